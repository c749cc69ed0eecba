/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs this machine, now, that an idle group's datagrams move: a process that sends one to
 * each of four others every 20 ms, and these, which answer. No logic at all. Prints the share of
 * one core that all five used, in percent.
 *
 *     idle_floor SECONDS */
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKUPS = 4,
    HEARTBEAT_MS = 20,
    DATAGRAM_SIZE = 128,
    ANSWER_TIMEOUT_US = 10 * 1000, /* a lost answer ends the round */
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_socket(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (const struct sockaddr *)address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) != 0) {
        die("idle_floor: socket");
    }
    return fd;
}

/* Answers until it is sent a datagram of one byte. */
static void answer(int fd)
{
    uint8_t bytes[DATAGRAM_SIZE];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        const ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        if (got == 1) {
            _exit(0);
        }
        if (got > 0) {
            (void)sendto(fd, bytes, (size_t)got, 0, (const struct sockaddr *)&from, size);
        }
    }
}

static void send_all(int fd, const struct sockaddr_in backups[BACKUPS], size_t size)
{
    static const uint8_t bytes[DATAGRAM_SIZE];
    for (int i = 0; i < BACKUPS; i++) {
        (void)sendto(fd, bytes, size, 0, (const struct sockaddr *)&backups[i], sizeof backups[i]);
    }
}

static void beat(int fd, const struct sockaddr_in backups[BACKUPS])
{
    uint8_t bytes[DATAGRAM_SIZE];
    send_all(fd, backups, DATAGRAM_SIZE);
    for (int i = 0; i < BACKUPS && recv(fd, bytes, sizeof bytes, 0) > 0; i++) {
    }
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double used_s(int who)
{
    struct rusage usage;
    (void)getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    const double seconds = argc == 2 ? atof(argv[1]) : 5;
    struct sockaddr_in backups[BACKUPS];
    struct sockaddr_in own;
    for (int i = 0; i < BACKUPS; i++) {
        const int fd = open_socket(&backups[i]);
        const pid_t pid = fork();
        if (pid < 0) {
            die("idle_floor: fork");
        }
        if (pid == 0) {
            answer(fd);
        }
        (void)close(fd);
    }
    const int fd = open_socket(&own);
    const struct timeval timeout = {.tv_usec = ANSWER_TIMEOUT_US};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    const double begin_s = now_s();
    const struct timespec rest = {.tv_nsec = HEARTBEAT_MS * 1000 * 1000};
    while (now_s() - begin_s < seconds) {
        beat(fd, backups);
        (void)nanosleep(&rest, NULL);
    }
    const double took_s = now_s() - begin_s;
    send_all(fd, backups, 1);
    while (wait(NULL) > 0) {
    }
    const double all_s = used_s(RUSAGE_SELF) + used_s(RUSAGE_CHILDREN);
    (void)printf("%.3f\n", 100 * all_s / took_s);
    return 0;
}
