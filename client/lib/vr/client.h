/* SPDX-License-Identifier: Apache-2.0 */
/* vr/client.h - libvrclient: the client side of a viewstamp group, for C and C++.
 *
 *     struct vr_client *client;
 *     char error[VR_MESSAGE_MAX];
 *     if (vr_client_open("127.0.0.1:8000-8004", NULL, &client, error) != 0) { ... }
 *     struct vr_session *session = vr_session_open(client);
 *     struct vr_result result;
 *     if (vr_kv_set(session, "k", 1, "v", 1, 5000, &result) != VR_OK) { puts(result.message); }
 *     vr_result_free(&result);
 *     vr_client_close(client);
 *
 * A request ends in one of three ways, and never later than its timeout:
 *
 *     VR_OK       it was executed; the result is here
 *     VR_FAILED   it surely changed nothing and never will; or it was executed and says no itself
 *                 (key not found, ...)
 *     VR_UNKNOWN  it may have been executed, or may yet be: only a read can tell
 *
 * A request is executed at most once, however often it had to be sent. A session has one request in
 * flight; who wants more opens more sessions, which are cheap: one client carries thousands over
 * one socket. Requests of one session are executed in the order in which they were made.
 *
 * Threads:   a client may be used by any number of threads. A session too, but by one at a time:
 *            whoever opened it decides. Every client has one thread of its own, which receives and
 *            calls callbacks; a callback must not block and must not call a blocking function.
 * Signals:   the client's thread takes none.
 * Ownership: what is passed in is copied before the function returns. A struct vr_result that a
 *            blocking function filled in is released with vr_result_free(). */
#ifndef VR_CLIENT_H
#define VR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The shared library shows what is declared here and nothing else. */
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* Bytes. A cluster may have been initialised with smaller limits. */
enum {
    VR_KEY_SIZE_MAX = 1024,
    VR_VALUE_SIZE_MAX = 1024 * 1024,
    VR_OPERATION_SIZE_MAX = VR_KEY_SIZE_MAX + VR_VALUE_SIZE_MAX + 4096,
    VR_MESSAGE_MAX = 1024,     /* a message for people, with its NUL */
    VR_TIMEOUT_DEFAULT = 5000, /* milliseconds; what the programs use */
};

enum vr_outcome {
    VR_OK = 0,
    VR_FAILED = 1,
    VR_UNKNOWN = 2,
};

enum vr_error {
    VR_ERROR_NONE = 0,
    /* The group did not do it. */
    VR_ERROR_UNAVAILABLE = 1,     /* no answer in time */
    VR_ERROR_BUSY = 2,            /* the last answer in time was "busy" */
    VR_ERROR_SESSION_EXPIRED = 3, /* evicted; whether a write was executed is unknown */
    VR_ERROR_SESSION_MISUSED = 4, /* two requests with one number: a bug, or two processes that
                                     share a session */
    VR_ERROR_TOO_LARGE = 5,
    VR_ERROR_WRONG_CLUSTER = 6,
    VR_ERROR_WRONG_VERSION = 7,
    VR_ERROR_CANCELLED = 8,
    VR_ERROR_NO_MEMORY = 9,   /* of this process; not sent */
    VR_ERROR_WRONG_PORT = 10, /* `cluster` names a port at which replicas talk to each other */
    /* The key-value application said no. */
    VR_ERROR_NOT_FOUND = 20,
    VR_ERROR_MISMATCH = 21,     /* cas: the value is another one */
    VR_ERROR_NOT_A_NUMBER = 22, /* incr: the value is no signed 64-bit decimal number */
    VR_ERROR_OVERFLOW = 23,     /* incr: the sum would not fit */
    VR_ERROR_REFUSED = 24,      /* it did not accept the operation: see the message */
    VR_ERROR_BAD_RESULT = 25,   /* its answer is not one of the key-value application */
    VR_ERROR_STORE_FULL = 26,   /* set, cas, incr: over the cluster's state_size_max; delete some */
};

/* A word for each error, for programs: "unavailable", "not_found" ... */
const char *vr_error_name(enum vr_error error);

struct vr_result {
    enum vr_outcome outcome;
    enum vr_error error;
    uint32_t epoch;     /* of the view that answered; 0: none did */
    uint64_t view;      /* within the epoch */
    uint64_t op_number; /* where the operation stands in the log; 0: not known. Of a read that takes
                           no place there: what it shows is the state after this op */
    uint64_t commit_number; /* of a stale read: what the replica knows to be committed; else 0 */
    uint32_t retries;       /* how often it had to be sent again */
    int64_t number;         /* vr_kv_incr(): the new value */
    uint8_t *data;          /* the application's result, or the value; NULL if there is none */
    size_t size;            /* bytes of data */
    char message[VR_MESSAGE_MAX]; /* unless VR_OK: what happened, whom was asked, what it waited for
                                   */
};

/* Releases what a result holds; a result that is all zero holds nothing. */
void vr_result_free(struct vr_result *result);

/* ---- clients and sessions ---- */

struct vr_client;
struct vr_session;

/* Called by the functions that block, in the thread that called them, every VR_WAITING_MS for as
 * long as they wait. False cancels the request. It may call vr_client_info(), and nothing that
 * blocks or uses the session. If it was called at all it is called once more when the wait is over,
 * with the result, which is borrowed for the call; what it returns then does not matter. */
typedef bool vr_waiting(void *context, const struct vr_result *ended);

enum { VR_WAITING_MS = 50 };

struct vr_client_options {
    uint32_t sessions_max;  /* open at the same time; 0: 256 */
    uint32_t datagram_size; /* bytes of the largest datagram to send, 512 to 61440; 0: what the
                               route to each replica carries */
    vr_waiting *waiting;    /* NULL: none */
    void *waiting_context;
};

/* Makes a client of the group that is found at `cluster`: host:port[:peerport],... as in
 * "127.0.0.1:8000,[::1]:8001"; a port may be a range: "127.0.0.1:8000-8004". It is only where to
 * look: the group's own configuration replaces it. Sends nothing yet. `options` may be NULL.
 * Returns 0, or a negative errno and what is wrong in `message`: -EINVAL for arguments that can
 * never do, -EADDRNOTAVAIL where no name in `cluster` can be resolved now. */
int vr_client_open(const char *cluster, const struct vr_client_options *options,
                   struct vr_client **client, char message[VR_MESSAGE_MAX]);

/* Cancels what is in flight, calls those callbacks, closes the sessions that are open, and frees it
 * all. No other thread may be using the client. NULL is fine. */
void vr_client_close(struct vr_client *client);

/* NULL if sessions_max are open, or memory is short. The group hears of it with its first request.
 */
struct vr_session *vr_session_open(struct vr_client *client);

/* Nothing may be in flight in it. */
void vr_session_close(struct vr_session *session);

/* ---- any application: operations and results are bytes ---- */

enum {
    /* The caller's word that executing the operation changes nothing: no answer then means
     * VR_FAILED, and it may be answered without a place in the log. It shows everything that was
     * answered to anybody before it was submitted. Beside the log the group asks its application,
     * too, and refuses what is no read; through the log (servers with --reads log, or more than
     * 2,112 bytes) it executes whatever it is given. */
    VR_READ = 1,
};

/* Executes one operation and waits for its result. Returns result->outcome. */
enum vr_outcome vr_call(struct vr_session *session, const void *operation, size_t size,
                        unsigned flags, uint32_t timeout_ms, struct vr_result *result);

/* A read that any replica answers from what it has executed, even one that is cut off from the
 * others: it may show an old state, and a later read an older one. at_least_op: it shows at least
 * everything up to this op (a result's op_number), or waits for a replica that does; 0: whatever.
 * result->op_number says what it shows. Operations of up to 2,112 bytes. */
enum vr_outcome vr_call_stale(struct vr_session *session, const void *operation, size_t size,
                              uint64_t at_least_op, uint32_t timeout_ms, struct vr_result *result);

/* Called once for each request submitted with it, by the client's own thread. The result is
 * borrowed for the call. It may submit again, in this session or another. */
typedef void vr_callback(void *context, struct vr_session *session, const struct vr_result *result);

/* Submits one operation and returns at once; ends in `callback`, or, if that is NULL, in vr_wait().
 * Returns 0, or -EBUSY (a request is in flight), -ESHUTDOWN (the client is being closed), -ENOMEM.
 */
int vr_submit(struct vr_session *session, const void *operation, size_t size, unsigned flags,
              uint32_t timeout_ms, vr_callback *callback, void *context);

/* vr_call_stale(), as vr_submit(). */
int vr_submit_stale(struct vr_session *session, const void *operation, size_t size,
                    uint64_t at_least_op, uint32_t timeout_ms, vr_callback *callback,
                    void *context);

/* True if a request submitted without callback has ended: vr_wait() then returns at once. */
bool vr_poll(struct vr_session *session);

/* Waits for the end of a request submitted without callback. Returns result->outcome. */
enum vr_outcome vr_wait(struct vr_session *session, struct vr_result *result);

/* Ends what is in flight, VR_ERROR_CANCELLED; whoever waits for it is told. */
void vr_cancel(struct vr_session *session);

/* ---- the key-value application; keys and values are bytes ---- */

/* data is the value; VR_ERROR_NOT_FOUND. */
enum vr_outcome vr_kv_get(struct vr_session *session, const void *key, size_t key_size,
                          uint32_t timeout_ms, struct vr_result *result);

/* The same as vr_call_stale() reads. */
enum vr_outcome vr_kv_get_stale(struct vr_session *session, const void *key, size_t key_size,
                                uint64_t at_least_op, uint32_t timeout_ms,
                                struct vr_result *result);

enum vr_outcome vr_kv_set(struct vr_session *session, const void *key, size_t key_size,
                          const void *value, size_t value_size, uint32_t timeout_ms,
                          struct vr_result *result);

/* VR_ERROR_NOT_FOUND. */
enum vr_outcome vr_kv_del(struct vr_session *session, const void *key, size_t key_size,
                          uint32_t timeout_ms, struct vr_result *result);

/* Sets the key to `value` if it has `expected`; expected == NULL: if it does not exist.
 * VR_ERROR_MISMATCH; VR_ERROR_NOT_FOUND. */
enum vr_outcome vr_kv_cas(struct vr_session *session, const void *key, size_t key_size,
                          const void *expected, size_t expected_size, const void *value,
                          size_t value_size, uint32_t timeout_ms, struct vr_result *result);

/* Adds to a signed 64-bit decimal number; a missing key counts as 0. result->number is the sum. */
enum vr_outcome vr_kv_incr(struct vr_session *session, const void *key, size_t key_size, int64_t by,
                           uint32_t timeout_ms, struct vr_result *result);

/* Called for each pair, in order of keys, which compare as bytes. False ends the scan. */
typedef bool vr_kv_pair(void *context, const void *key, size_t key_size, const void *value,
                        size_t value_size);

/* All pairs whose key begins with `prefix`, at most `limit` (0: all). Goes page by page: each page
 * is one operation and has all of timeout_ms; pairs that change meanwhile may be seen or not. Where
 * it ends early, the result says why. */
enum vr_outcome vr_kv_scan(struct vr_session *session, const void *prefix, size_t prefix_size,
                           uint64_t limit, vr_kv_pair *each, void *context, uint32_t timeout_ms,
                           struct vr_result *result);

/* ---- the group, as far as this client has heard of it ---- */

struct vr_client_info {
    uint64_t cluster_id; /* 0: nobody answered yet */
    uint32_t epoch;      /* of the view; 0: none heard of */
    uint64_t view;       /* latest normal view heard of, within the epoch */
    bool primary_known;
    uint32_t primary_id;
    char primary_address[80];       /* "" if not known */
    uint32_t replica_count;         /* 0: the configuration is not known yet */
    uint32_t needed_count;          /* replicas that must run for the group to serve; 0: as above */
    uint64_t silent_ms;             /* how long a request has found nobody to answer; 0: not so */
    uint32_t answering_count;       /* while silent: replicas that were heard from nevertheless */
    char waits_for[VR_MESSAGE_MAX]; /* while silent: who was asked, who answers, in words */
    uint64_t busy_ms;               /* how long a primary has answered nothing but "busy"; 0: not */
    char busy_reason[80];           /* while busy: why */
};

void vr_client_info(struct vr_client *client, struct vr_client_info *info);

/* Asks all replicas who is primary, and waits until that is known; false: not within timeout_ms. */
bool vr_client_find_primary(struct vr_client *client, uint32_t timeout_ms);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
