/* SPDX-License-Identifier: Apache-2.0 */
/* floor.c - what the machine alone costs: the datagrams of normal operation without its logic.
 *
 * A client, a primary and two backups (-b: another number of them), one process of one thread each,
 * on loopback. Requests are 128 bytes, one a datagram, a fixed number outstanding (closed loop).
 * The primary drains up to 64 with one recvmmsg() and sends them on as one prepare to each backup;
 * each backup acks with 64 bytes; when enough acks of a prepare are in (a majority with the
 * primary: one of two backups, two of four), the primary answers each of its requests with 64
 * bytes. Nothing is encoded, checked, kept or executed. Loopback loses nothing unless a socket
 * buffer overflows; a client that waits for a second begins again and counts it.
 *
 * What a replicated write costs beyond this is ours; what it costs up to this is the kernel's. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_SIZE = 128, /* bytes of one request, and of its place in a prepare */
    ANSWER_SIZE = 64,   /* bytes of an ack, and of a reply */
    BATCH_MAX = 64,     /* datagrams a system call moves, requests a prepare carries */
    BACKUPS_MAX = 8,
    PREPARES_MAX = 4096, /* prepares that may wait for their ack; a power of two */
    OUTSTANDING_MAX = 1024,
    SOCKET_BUFFER = 8 * 1024 * 1024, /* bytes; the kernel grants what it may */
    PREPARE_SIZE_MAX = 16 + BATCH_MAX * REQUEST_SIZE,
};

/* A fixed set of datagrams that one system call receives or sends. */
struct batch {
    struct mmsghdr headers[BATCH_MAX];
    struct iovec vectors[BATCH_MAX];
    uint8_t bytes[BATCH_MAX][PREPARE_SIZE_MAX];
};

static void fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(74);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static int bound_socket(struct sockaddr_in *address)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("socket");
    }
    const int size = SOCKET_BUFFER;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof *address;
    if (bind(fd, (struct sockaddr *)address, length) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &length) < 0) {
        fail("bind");
    }
    return fd;
}

static void batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    for (size_t i = 0; i < BATCH_MAX; i++) {
        batch->vectors[i] = (struct iovec){batch->bytes[i], PREPARE_SIZE_MAX};
        batch->headers[i].msg_hdr.msg_iov = &batch->vectors[i];
        batch->headers[i].msg_hdr.msg_iovlen = 1;
    }
}

/* Waits for the first datagram, then takes all that are there. Returns 0 when a receive timed out.
 */
static unsigned batch_receive(int fd, struct batch *batch)
{
    for (size_t i = 0; i < BATCH_MAX; i++) {
        batch->vectors[i].iov_len = PREPARE_SIZE_MAX;
    }
    const int count = recvmmsg(fd, batch->headers, BATCH_MAX, MSG_WAITFORONE, NULL);
    if (count >= 0) {
        return (unsigned)count;
    }
    if (errno != EAGAIN && errno != EINTR) {
        fail("recvmmsg");
    }
    return 0;
}

/* Sends the first `count` datagrams; `to` is where each of them goes. */
static void batch_send(int fd, struct batch *batch, unsigned count, size_t size,
                       struct sockaddr_in *to)
{
    for (unsigned i = 0; i < count; i++) {
        batch->vectors[i].iov_len = size;
        batch->headers[i].msg_hdr.msg_name = to;
        batch->headers[i].msg_hdr.msg_namelen = sizeof *to;
    }
    for (unsigned sent = 0; sent < count;) {
        const int n = sendmmsg(fd, batch->headers + sent, count - sent, 0);
        if (n < 0 && errno != EINTR) {
            fail("sendmmsg");
        }
        sent += n > 0 ? (unsigned)n : 0;
    }
}

/* Acks every prepare with its number. */
static _Noreturn void run_backup(int fd, struct sockaddr_in primary)
{
    static struct batch in;
    static struct batch out;
    batch_init(&in);
    batch_init(&out);
    for (;;) {
        const unsigned count = batch_receive(fd, &in);
        for (unsigned i = 0; i < count; i++) {
            memcpy(out.bytes[i], in.bytes[i], sizeof(uint64_t));
        }
        batch_send(fd, &out, count, ANSWER_SIZE, &primary);
    }
}

/* One socket takes requests and acks, which differ in size. */
static _Noreturn void run_primary(int fd, struct sockaddr_in client,
                                  const struct sockaddr_in *backups, unsigned backup_count)
{
    static struct batch in;
    static struct batch out;
    static uint8_t prepare[PREPARE_SIZE_MAX];
    /* Numbers of the requests of each prepare that waits for its acks. */
    static struct {
        unsigned count;
        unsigned acks;
        uint32_t requests[BATCH_MAX];
    } waiting[PREPARES_MAX];
    uint64_t prepare_number = 0;

    batch_init(&in);
    batch_init(&out);
    for (;;) {
        const unsigned count = batch_receive(fd, &in);
        unsigned requests = 0;
        for (unsigned i = 0; i < count; i++) {
            if (in.headers[i].msg_len == REQUEST_SIZE) {
                memcpy(prepare + 16 + (size_t)requests * REQUEST_SIZE, in.bytes[i], REQUEST_SIZE);
                requests++;
                continue;
            }
            uint64_t number;
            memcpy(&number, in.bytes[i], sizeof number);
            const size_t slot = number % PREPARES_MAX;
            if (++waiting[slot].acks < (backup_count + 1) / 2) {
                continue;
            }
            /* Any further ack of a prepare finds nothing left to answer. */
            for (unsigned r = 0; r < waiting[slot].count; r++) {
                memcpy(out.bytes[r], &waiting[slot].requests[r], sizeof(uint32_t));
            }
            batch_send(fd, &out, waiting[slot].count, ANSWER_SIZE, &client);
            waiting[slot].count = 0;
        }
        if (requests == 0) {
            continue;
        }
        prepare_number++;
        memcpy(prepare, &prepare_number, sizeof prepare_number);
        const size_t slot = prepare_number % PREPARES_MAX;
        waiting[slot].count = requests;
        waiting[slot].acks = 0;
        for (unsigned r = 0; r < requests; r++) {
            memcpy(&waiting[slot].requests[r], prepare + 16 + (size_t)r * REQUEST_SIZE,
                   sizeof(uint32_t));
        }
        struct iovec vector = {prepare, 16 + (size_t)requests * REQUEST_SIZE};
        struct sockaddr_in to[BACKUPS_MAX];
        struct mmsghdr headers[BACKUPS_MAX] = {0};
        for (size_t i = 0; i < backup_count; i++) {
            to[i] = backups[i];
            headers[i].msg_hdr.msg_name = &to[i];
            headers[i].msg_hdr.msg_namelen = sizeof to[i];
            headers[i].msg_hdr.msg_iov = &vector;
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        if (sendmmsg(fd, headers, backup_count, 0) != (int)backup_count) {
            fail("sendmmsg");
        }
    }
}

struct result {
    double seconds;
    uint64_t ops;
    uint64_t stalls; /* receives that timed out: datagrams were lost */
    uint64_t p50_ns;
    uint64_t p99_ns;
};

static int compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Keeps `outstanding` requests in flight for `seconds`. */
static void run_client(int fd, struct sockaddr_in primary, unsigned outstanding, double seconds,
                       struct result *result)
{
    static struct batch in;
    static struct batch out;
    static uint64_t sent_ns[OUTSTANDING_MAX];
    enum { SAMPLES_MAX = 1 << 20 };
    static uint32_t samples[SAMPLES_MAX]; /* latencies in ns, the latest ones */
    uint64_t sample_count = 0;

    batch_init(&in);
    batch_init(&out);
    const struct timeval timeout = {.tv_sec = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);

    const uint64_t start = now_ns();
    const uint64_t end = start + (uint64_t)(seconds * 1e9);
    uint64_t now = start;
    bool begin = true;
    while (now < end) {
        unsigned to_send = 0;
        if (begin) {
            for (uint32_t i = 0; i < outstanding; i++) {
                memcpy(out.bytes[to_send++], &i, sizeof i);
                sent_ns[i] = now;
                if (to_send == BATCH_MAX) {
                    batch_send(fd, &out, to_send, REQUEST_SIZE, &primary);
                    to_send = 0;
                }
            }
            begin = false;
        } else {
            const unsigned count = batch_receive(fd, &in);
            now = now_ns();
            if (count == 0) {
                result->stalls++;
                begin = true;
                continue;
            }
            for (unsigned i = 0; i < count; i++) {
                uint32_t number;
                memcpy(&number, in.bytes[i], sizeof number);
                number %= OUTSTANDING_MAX;
                samples[sample_count++ % SAMPLES_MAX] = (uint32_t)(now - sent_ns[number]);
                sent_ns[number] = now;
                memcpy(out.bytes[to_send++], &number, sizeof number);
            }
            result->ops += count;
        }
        batch_send(fd, &out, to_send, REQUEST_SIZE, &primary);
    }
    result->seconds = (double)(now - start) / 1e9;
    const size_t kept = sample_count < SAMPLES_MAX ? (size_t)sample_count : SAMPLES_MAX;
    if (kept > 0) {
        qsort(samples, kept, sizeof samples[0], compare_u32);
        result->p50_ns = samples[kept / 2];
        result->p99_ns = samples[kept * 99 / 100];
    }
}

/* A child that ends with its parent, whatever happens to either. */
static pid_t fork_child(void)
{
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
        fail("fork");
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(70);
        }
    }
    return pid;
}

static double cpu_seconds(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void measure(unsigned outstanding, unsigned backup_count, double seconds, bool json)
{
    struct sockaddr_in client_address;
    struct sockaddr_in primary_address;
    struct sockaddr_in backup_addresses[BACKUPS_MAX];
    int backup_fds[BACKUPS_MAX];
    const int client_fd = bound_socket(&client_address);
    const int primary_fd = bound_socket(&primary_address);
    for (size_t i = 0; i < backup_count; i++) {
        backup_fds[i] = bound_socket(&backup_addresses[i]);
    }

    const double cpu_before = cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN);
    pid_t children[1 + BACKUPS_MAX];
    for (size_t i = 0; i < backup_count; i++) {
        children[i] = fork_child();
        if (children[i] == 0) {
            run_backup(backup_fds[i], primary_address);
        }
    }
    children[backup_count] = fork_child();
    if (children[backup_count] == 0) {
        run_primary(primary_fd, client_address, backup_addresses, backup_count);
    }

    struct result result = {0};
    run_client(client_fd, primary_address, outstanding, seconds, &result);
    for (size_t i = 0; i < 1 + backup_count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    const double cpu = cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN) - cpu_before;
    close(client_fd);
    close(primary_fd);
    for (size_t i = 0; i < backup_count; i++) {
        close(backup_fds[i]);
    }

    const double ops = (double)result.ops;
    const char *format =
        json ? "{\"outstanding\":%u,\"ops_per_second\":%.0f,\"cpu_us_per_op\":%.2f,"
               "\"p50_us\":%.1f,\"p99_us\":%.1f,\"stalls\":%llu}\n"
             : "%4u outstanding: %8.0f ops/s  %5.2f us CPU per op  p50 %6.1f us  p99 %6.1f us"
               "  stalls %llu\n";
    printf(format, outstanding, ops / result.seconds, ops > 0 ? cpu * 1e6 / ops : 0,
           (double)result.p50_ns / 1e3, (double)result.p99_ns / 1e3,
           (unsigned long long)result.stalls);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = 2;
    bool json = false;
    unsigned backup_count = 2;
    unsigned list[16] = {1, 16, 64, 256};
    size_t list_count = 4;

    for (int option; (option = getopt(argc, argv, "jb:s:h")) != -1;) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'b':
            backup_count = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            seconds = strtod(optarg, NULL);
            break;
        default:
            fprintf(stderr, "usage: floor [-j] [-b BACKUPS] [-s SECONDS] [OUTSTANDING...]     "
                            "-j: JSON lines\n");
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind < argc) {
        list_count = 0;
        for (int i = optind; i < argc && list_count < sizeof list / sizeof list[0]; i++) {
            list[list_count++] = (unsigned)strtoul(argv[i], NULL, 10);
        }
    }
    for (size_t i = 0; i < list_count; i++) {
        if (list[i] == 0 || list[i] > OUTSTANDING_MAX || !(seconds > 0) || backup_count == 0 ||
            backup_count > BACKUPS_MAX) {
            fprintf(stderr,
                    "floor: 1 to %d outstanding, 1 to %d backups, and more than 0 seconds\n",
                    OUTSTANDING_MAX, BACKUPS_MAX);
            return 2;
        }
        measure(list[i], backup_count, seconds, json);
    }
    return 0;
}
