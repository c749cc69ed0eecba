/* SPDX-License-Identifier: Apache-2.0 */
/* history_client - clients that write down what they ask of a group and what they are told
 * (history_file.h), for check_history.
 *
 *     history_client --cluster LIST --file FILE [--clients N] [--first-client I] [--keys K]
 *                    [--seed S] [--seconds T]
 *
 * Each client is a thread with a session of its own: a closed loop over few keys, half of which
 * hold texts and half numbers. Some requests have so little time that their outcome stays unknown.
 * What is asked is on file before it is sent, so the process may be killed at any moment. It ends
 * after T seconds or with SIGTERM; what is in flight then is of unknown outcome. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/vr/client.h"
#include "common/base/prng.h"
#include "common/os/clock.h"
#include "test/support/history_file.h"

enum {
    CLIENTS_MAX = 64,
    KEYS_MAX = 64,
    WORD_MAX = 48,
    PATIENCE_MS = 5000,
    HASTE_MS = 8, /* the longest that an impatient request waits */
    THINK_US = 2000,
    EXIT_USAGE = 2,
    EXIT_SYSTEM = 74,
};

struct recorder {
    pthread_t thread;
    struct vr_session *session;
    int fd;
    uint32_t client;
    uint32_t keys;
    uint64_t number; /* of the operation */
    struct prng prng;
    char seen[KEYS_MAX][WORD_MAX]; /* the value last read or written of each key; "": none */
};

struct options {
    const char *cluster;
    const char *file;
    uint32_t clients;
    uint32_t first_client;
    uint32_t keys;
    uint64_t seed;
    uint64_t seconds;
};

static atomic_bool stopping; /* lock-free, so that a signal may set it */

_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a signal handler may use it");

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stopping, true);
}

/* ---- the file ---- */

/* One write of a whole line at the end: lines of several threads do not mix. */
__attribute__((format(printf, 2, 3))) static void write_line(int fd, const char *format, ...)
{
    char line[HISTORY_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof line || write(fd, line, (size_t)size) != size) {
        fprintf(stderr, "history_client: cannot write to the file: %s\n", strerror(errno));
        _exit(EXIT_SYSTEM);
    }
}

static uint64_t begin(struct recorder *r)
{
    r->number++;
    return clock_monotonic_ns();
}

/* A value as a word; what is no word was never written by any of us, and will show. */
static void take_word(const struct vr_result *result, char word[WORD_MAX])
{
    bool good = result->size > 0 && result->size < WORD_MAX;
    for (size_t i = 0; good && i < result->size; i++) {
        good = result->data[i] > ' ' && result->data[i] <= '~';
    }
    if (good) {
        (void)snprintf(word, WORD_MAX, "%.*s", (int)result->size, (const char *)result->data);
    } else {
        (void)snprintf(word, WORD_MAX, "garbage-of-%zu-bytes", result->size);
    }
}

static const char *status_word(const struct vr_result *result)
{
    if (result->outcome == VR_OK) {
        return "ok";
    }
    switch (result->error) {
    case VR_ERROR_NOT_FOUND:
    case VR_ERROR_MISMATCH:
    case VR_ERROR_NOT_A_NUMBER:
    case VR_ERROR_OVERFLOW:
        return vr_error_name(result->error);
    default:
        return result->outcome == VR_FAILED ? "failed" : "unknown";
    }
}

static void end(struct recorder *r, const struct vr_result *result, const char *value)
{
    const uint64_t now_ns = clock_monotonic_ns();
    const char *status = status_word(result);
    const bool executed = strcmp(status, "failed") != 0 && strcmp(status, "unknown") != 0;
    char op[32] = "";
    if (executed && result->op_number != 0) {
        (void)snprintf(op, sizeof op, " @%" PRIu64, result->op_number);
    }
    write_line(r->fd, "< %" PRIu32 " %" PRIu64 " %" PRIu64 " %s%s%s%s\n", r->client, r->number,
               now_ns, status, value[0] != '\0' ? " " : "", value, op);
}

/* ---- the operations ---- */

static void get(struct recorder *r, const char *key, char *seen, uint32_t timeout_ms)
{
    struct vr_result result = {0};
    char value[WORD_MAX] = "";
    const uint64_t now_ns = begin(r);
    write_line(r->fd, "> %" PRIu32 " %" PRIu64 " %" PRIu64 " get %s\n", r->client, r->number,
               now_ns, key);
    if (vr_kv_get(r->session, key, strlen(key), timeout_ms, &result) == VR_OK) {
        take_word(&result, value);
        memcpy(seen, value, WORD_MAX);
    } else if (result.error == VR_ERROR_NOT_FOUND) {
        seen[0] = '\0';
    }
    end(r, &result, value);
    vr_result_free(&result);
}

static void set(struct recorder *r, const char *key, char *seen, const char *value,
                uint32_t timeout_ms)
{
    struct vr_result result = {0};
    const uint64_t now_ns = begin(r);
    write_line(r->fd, "> %" PRIu32 " %" PRIu64 " %" PRIu64 " set %s %s\n", r->client, r->number,
               now_ns, key, value);
    (void)vr_kv_set(r->session, key, strlen(key), value, strlen(value), timeout_ms, &result);
    end(r, &result, "");
    memcpy(seen, value, WORD_MAX);
    vr_result_free(&result);
}

static void del(struct recorder *r, const char *key, char *seen, uint32_t timeout_ms)
{
    struct vr_result result = {0};
    const uint64_t now_ns = begin(r);
    write_line(r->fd, "> %" PRIu32 " %" PRIu64 " %" PRIu64 " del %s\n", r->client, r->number,
               now_ns, key);
    (void)vr_kv_del(r->session, key, strlen(key), timeout_ms, &result);
    end(r, &result, "");
    seen[0] = '\0';
    vr_result_free(&result);
}

static void cas(struct recorder *r, const char *key, char *seen, const char *value,
                uint32_t timeout_ms)
{
    struct vr_result result = {0};
    const bool absent = seen[0] == '\0';
    const uint64_t now_ns = begin(r);
    write_line(r->fd, "> %" PRIu32 " %" PRIu64 " %" PRIu64 " cas %s %s %s\n", r->client, r->number,
               now_ns, key, absent ? "-" : seen, value);
    (void)vr_kv_cas(r->session, key, strlen(key), absent ? NULL : seen, strlen(seen), value,
                    strlen(value), timeout_ms, &result);
    end(r, &result, "");
    if (result.outcome == VR_OK) {
        memcpy(seen, value, WORD_MAX);
    }
    vr_result_free(&result);
}

static void incr(struct recorder *r, const char *key, char *seen, uint32_t timeout_ms)
{
    struct vr_result result = {0};
    char value[WORD_MAX] = "";
    const int64_t by = (int64_t)prng_between(&r->prng, 1, 1000);
    const uint64_t now_ns = begin(r);
    write_line(r->fd, "> %" PRIu32 " %" PRIu64 " %" PRIu64 " incr %s %" PRId64 "\n", r->client,
               r->number, now_ns, key, by);
    if (vr_kv_incr(r->session, key, strlen(key), by, timeout_ms, &result) == VR_OK) {
        (void)snprintf(value, sizeof value, "%" PRId64, result.number);
        memcpy(seen, value, WORD_MAX);
    }
    end(r, &result, value);
    vr_result_free(&result);
}

/* Values differ, so that a wrong one shows: texts always, numbers mostly. */
static void one_operation(struct recorder *r)
{
    const uint32_t at = (uint32_t)prng_below(&r->prng, r->keys);
    const bool numbers = at % 2 == 1;
    const uint64_t kind = prng_below(&r->prng, 100);
    const uint32_t timeout_ms =
        prng_chance(&r->prng, 1, 20) ? (uint32_t)prng_between(&r->prng, 1, HASTE_MS) : PATIENCE_MS;
    char key[WORD_MAX];
    char value[WORD_MAX] = "";
    (void)snprintf(key, sizeof key, "key%" PRIu32, at);
    (void)snprintf(value, sizeof value, "%s%" PRIu32 "%s%06" PRIu64, numbers ? "" : "c",
                   r->client + 1, numbers ? "" : ".", r->number);
    if (kind < 40) {
        get(r, key, r->seen[at], timeout_ms);
    } else if (kind < 55) {
        set(r, key, r->seen[at], value, timeout_ms);
    } else if (kind < 62) {
        del(r, key, r->seen[at], timeout_ms);
    } else if (kind < 80 || !numbers) {
        cas(r, key, r->seen[at], value, timeout_ms);
    } else {
        incr(r, key, r->seen[at], timeout_ms);
    }
}

static void *run(void *context)
{
    struct recorder *r = context;
    while (!atomic_load(&stopping)) {
        one_operation(r);
        clock_sleep_ns(prng_below(&r->prng, THINK_US) * NANOSECONDS_PER_MICROSECOND);
    }
    return NULL;
}

/* ---- start and end ---- */

static void start(struct recorder *recorders, const struct options *options,
                  struct vr_client *client, int fd)
{
    for (uint32_t i = 0; i < options->clients; i++) {
        struct recorder *r = &recorders[i];
        *r = (struct recorder){
            .session = vr_session_open(client),
            .fd = fd,
            .client = options->first_client + i,
            .keys = options->keys,
        };
        prng_seed(&r->prng, options->seed * 1000 + r->client);
        if (r->session == NULL || pthread_create(&r->thread, NULL, run, r) != 0) {
            fprintf(stderr, "history_client: cannot start %" PRIu32 " clients\n", options->clients);
            exit(EXIT_SYSTEM);
        }
    }
}

static void stop(struct recorder *recorders, const struct options *options)
{
    for (uint32_t i = 0; i < options->clients; i++) {
        vr_cancel(recorders[i].session);
    }
    for (uint32_t i = 0; i < options->clients; i++) {
        (void)pthread_join(recorders[i].thread, NULL); /* it is there, and ends */
    }
}

static int record(const struct options *options)
{
    static struct recorder recorders[CLIENTS_MAX];
    struct vr_client *client;
    char message[VR_MESSAGE_MAX];
    const int fd = open(options->file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        fprintf(stderr, "history_client: %s: %s\n", options->file, strerror(errno));
        return EXIT_SYSTEM;
    }
    write_line(fd, "%s\n", HISTORY_HEADER);
    if (vr_client_open(options->cluster, NULL, &client, message) != 0) {
        fprintf(stderr, "history_client: %s\n", message);
        (void)close(fd); /* nothing is lost with it */
        return EXIT_USAGE;
    }
    start(recorders, options, client, fd);
    const uint64_t end_ns = clock_monotonic_ns() + options->seconds * NANOSECONDS_PER_SECOND;
    while (!atomic_load(&stopping) && clock_monotonic_ns() < end_ns) {
        clock_sleep_ns(10 * NANOSECONDS_PER_MILLISECOND);
    }
    atomic_store(&stopping, true);
    stop(recorders, options);
    vr_client_close(client);
    return close(fd) == 0 ? 0 : EXIT_SYSTEM;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"cluster", required_argument, NULL, 'c'}, {"file", required_argument, NULL, 'f'},
        {"clients", required_argument, NULL, 'n'}, {"first-client", required_argument, NULL, 'i'},
        {"keys", required_argument, NULL, 'k'},    {"seed", required_argument, NULL, 's'},
        {"seconds", required_argument, NULL, 't'}, {0},
    };
    int name;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        const uint64_t number = name == '?' ? 0 : strtoull(optarg, NULL, 10);
        options->cluster = name == 'c' ? optarg : options->cluster;
        options->file = name == 'f' ? optarg : options->file;
        options->clients = name == 'n' ? (uint32_t)number : options->clients;
        options->first_client = name == 'i' ? (uint32_t)number : options->first_client;
        options->keys = name == 'k' ? (uint32_t)number : options->keys;
        options->seed = name == 's' ? number : options->seed;
        options->seconds = name == 't' ? number : options->seconds;
        if (name == '?') {
            return false;
        }
    }
    return optind == argc && options->cluster != NULL && options->file != NULL &&
           options->clients >= 1 && options->clients <= CLIENTS_MAX && options->keys >= 1 &&
           options->keys <= KEYS_MAX;
}

int main(int argc, char **argv)
{
    struct options options = {.clients = 4, .keys = 8, .seed = 1, .seconds = 600};
    if (!parse_options(&options, argc, argv)) {
        fprintf(stderr, "usage: history_client --cluster LIST --file FILE [--clients N] "
                        "[--first-client I] [--keys K] [--seed S] [--seconds T]\n");
        return EXIT_USAGE;
    }
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    return record(&options);
}
