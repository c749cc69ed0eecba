/* SPDX-License-Identifier: Apache-2.0 */
/* disk_shim - a disk that fails on demand, below a real server: LD_PRELOAD=build/disk_shim.so.
 *
 * The file that DISK_SHIM_ORDERS names holds the orders, one a line, and is looked at again at each
 * call: who puts another file in its place (rename) changes them in a process that runs. Without
 * the file, or without the variable, every call is the system's own.
 *
 *     CALL TEXT FIRST LAST OUTCOME
 *
 *     CALL     write (pwrite), read (pread), sync (fsync, fdatasync), reserve (posix_fallocate)
 *     TEXT     calls on files whose path contains it, or ends in it if a `$` follows, are counted,
 *              from 1 on since the order came; with @OFFSET behind it only reads and writes that
 *              reach that byte
 *     FIRST    those from this one on are written down; up to LAST (`-`: all) have the OUTCOME
 *     OUTCOME  EIO, ENOSPC: nothing is done, and the call fails; short: half of it is done, and
 *              the call says so; kill: half of it is done, and the process is killed; pass: it is
 *              the system's own
 *
 * What is written down is a line each in DISK_SHIM_ORDERS.calls, "fdatasync EIO PATH"; so is what
 * comes behind LAST, as "pass": who fails one call sees whether another one follows. The first
 * order that a call fits decides. A path is what /proc says of the descriptor: the file's name now.
 *
 * Threads:   any.
 * Errors:    orders that cannot be read end the process: a test that orders nothing proves
 *            nothing. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ORDERS_MAX = 8,
    TEXT_SIZE = 64,
    PATH_SIZE = 1024,
    EXIT_USAGE = 2,
};

enum call {
    CALL_WRITE,
    CALL_READ,
    CALL_SYNC,
    CALL_RESERVE,
    CALL_COUNT,
};

enum outcome {
    OUTCOME_PASS,
    OUTCOME_SHORT,
    OUTCOME_KILL,
    OUTCOME_EIO,
    OUTCOME_ENOSPC,
    OUTCOME_COUNT,
};

static const char *const call_names[CALL_COUNT] = {"write", "read", "sync", "reserve"};
static const char *const outcome_names[OUTCOME_COUNT] = {"pass", "short", "kill", "EIO", "ENOSPC"};
static const int outcome_errors[OUTCOME_COUNT] = {0, 0, 0, EIO, ENOSPC};

struct order {
    enum call call;
    char text[TEXT_SIZE];
    uint64_t byte; /* UINT64_MAX: any */
    uint64_t first;
    uint64_t last;
    enum outcome outcome;
    uint64_t count; /* of calls that fitted */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct order orders[ORDERS_MAX];
static uint32_t order_count;
static struct stat orders_are; /* the file that they were read from */

/* --- orders --- */

static void give_up(const char *why, const char *line)
{
    (void)fprintf(stderr, "disk_shim: %s: %s\n", why, line);
    _exit(EXIT_USAGE);
}

static uint32_t find(const char *const *names, uint32_t count, const char *name, const char *line)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    give_up("no order", line);
    return 0;
}

static void read_order(const char *line)
{
    char call[16];
    char last[24];
    char outcome[16];
    struct order *order = &orders[order_count];
    *order = (struct order){.last = UINT64_MAX};
    if (order_count == ORDERS_MAX || sscanf(line, "%15s %63s %" SCNu64 " %23s %15s", call,
                                            order->text, &order->first, last, outcome) != 5) {
        give_up("no order", line);
    }
    char *at = strchr(order->text, '@');
    order->byte = at != NULL ? strtoull(at + 1, NULL, 10) : UINT64_MAX;
    if (at != NULL) {
        *at = '\0';
    }
    order->call = (enum call)find(call_names, CALL_COUNT, call, line);
    order->outcome = (enum outcome)find(outcome_names, OUTCOME_COUNT, outcome, line);
    if (strcmp(last, "-") != 0) {
        order->last = strtoull(last, NULL, 10);
    }
    order_count++;
}

/* Reads them again if they are others than before. Called with the mutex. */
static void refresh(const char *path)
{
    struct stat now;
    char line[256];
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &now) != 0) {
        order_count = 0;
        memset(&orders_are, 0, sizeof orders_are);
    } else if (now.st_ino != orders_are.st_ino || now.st_mtim.tv_sec != orders_are.st_mtim.tv_sec ||
               now.st_mtim.tv_nsec != orders_are.st_mtim.tv_nsec) {
        orders_are = now;
        order_count = 0;
        while (fgets(line, sizeof line, file) != NULL) {
            read_order(line);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* --- judging a call --- */

static void write_down(const char *orders_path, const char *function, enum outcome outcome,
                       const char *path)
{
    char line[PATH_SIZE + 64];
    (void)snprintf(line, sizeof line, "%s.calls", orders_path);
    const int file = open(line, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const int size =
        snprintf(line, sizeof line, "%s %s %s\n", function, outcome_names[outcome], path);
    if (file < 0 || write(file, line, (size_t)size) != size) {
        give_up("cannot write down", line);
    }
    (void)close(file);
}

static bool fits(const char *path, const char *text)
{
    const size_t size = strlen(text);
    const size_t path_size = strlen(path);
    if (text[size - 1] != '$') {
        return strstr(path, text) != NULL;
    }
    return path_size >= size - 1 && memcmp(path + path_size - (size - 1), text, size - 1) == 0;
}

/* The bytes that a call is about; of those that are about a whole file none. */
struct extent {
    uint64_t offset;
    uint64_t size;
};

static bool reaches(const struct extent *extent, uint64_t byte)
{
    return byte == UINT64_MAX || (byte >= extent->offset && byte - extent->offset < extent->size);
}

static enum outcome judge_path(const char *orders_path, enum call call, const char *function,
                               const char *path, const struct extent *extent)
{
    for (uint32_t i = 0; i < order_count; i++) {
        struct order *order = &orders[i];
        if (order->call != call || !fits(path, order->text) || !reaches(extent, order->byte)) {
            continue;
        }
        order->count++;
        const bool falls = order->count >= order->first && order->count <= order->last;
        const enum outcome outcome = falls ? order->outcome : OUTCOME_PASS;
        if (order->count >= order->first) {
            write_down(orders_path, function, outcome, path);
        }
        return outcome;
    }
    return OUTCOME_PASS;
}

/* Leaves errno as it is if the call is to be the system's own, for that may leave it, too. */
static enum outcome judge(enum call call, const char *function, int fd, struct extent extent)
{
    const char *orders_path = getenv("DISK_SHIM_ORDERS");
    char link[64];
    char path[PATH_SIZE];
    enum outcome outcome = OUTCOME_PASS;
    const int error = errno;
    if (orders_path == NULL) {
        return outcome;
    }
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)pthread_mutex_lock(&mutex);
    refresh(orders_path);
    const ssize_t size = order_count > 0 ? readlink(link, path, sizeof path - 1) : -1;
    if (size > 0) {
        path[size] = '\0';
        outcome = judge_path(orders_path, call, function, path, &extent);
    }
    (void)pthread_mutex_unlock(&mutex);
    errno = outcome_errors[outcome] != 0 ? outcome_errors[outcome] : error;
    return outcome;
}

static bool fails(enum outcome outcome)
{
    return outcome_errors[outcome] != 0;
}

static size_t part(enum outcome outcome, size_t size)
{
    return outcome == OUTCOME_SHORT || outcome == OUTCOME_KILL ? (size + 1) / 2 : size;
}

/* --- the calls --- */

/* Fills in the function of that name which this library stands before. */
static void find_next(void *function, const char *name)
{
    void *const found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        give_up("there is no such function", name);
    }
    memcpy(function, &found, sizeof found); /* C has no conversion from one to the other */
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    ssize_t (*next)(int, const void *, size_t, off_t);
    find_next(&next, "pwrite");
    const enum outcome outcome =
        judge(CALL_WRITE, "pwrite", fd, (struct extent){(uint64_t)offset, size});
    const ssize_t done = fails(outcome) ? -1 : next(fd, bytes, part(outcome, size), offset);
    if (outcome == OUTCOME_KILL) {
        (void)raise(SIGKILL);
    }
    return done;
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    ssize_t (*next)(int, void *, size_t, off_t);
    find_next(&next, "pread");
    const enum outcome outcome =
        judge(CALL_READ, "pread", fd, (struct extent){(uint64_t)offset, size});
    return fails(outcome) ? -1 : next(fd, bytes, part(outcome, size), offset);
}

int fsync(int fd)
{
    int (*next)(int);
    find_next(&next, "fsync");
    return fails(judge(CALL_SYNC, "fsync", fd, (struct extent){0})) ? -1 : next(fd);
}

int fdatasync(int fd)
{
    int (*next)(int);
    find_next(&next, "fdatasync");
    return fails(judge(CALL_SYNC, "fdatasync", fd, (struct extent){0})) ? -1 : next(fd);
}

/* Says what is wrong by what it returns. */
int posix_fallocate(int fd, off_t offset, off_t size)
{
    int (*next)(int, off_t, off_t);
    find_next(&next, "posix_fallocate");
    const enum outcome outcome = judge(CALL_RESERVE, "posix_fallocate", fd, (struct extent){0});
    return fails(outcome) ? outcome_errors[outcome] : next(fd, offset, size);
}
