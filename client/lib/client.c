/* SPDX-License-Identifier: Apache-2.0 */
/* The library's clients and sessions (vr/client.h): a driver behind a lock, and a thread that runs
 * it.
 *
 * Whoever submits sends by itself, under the lock; the client's thread receives, outside of it, and
 * steps the driver under it. It sleeps without a timeout while nothing is in flight, and is then
 * woken by the first submit. Callbacks are called by that thread alone, with the lock released. */
#include "client/lib/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/lib/cluster_list.h"
#include "client/lib/explain.h"
#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"
#include "common/os/thread.h"
#include "common/wire/kv_codec.h"

enum { SESSIONS_MAX_DEFAULT = 256 };

_Static_assert((int)VR_KEY_SIZE_MAX == (int)KEY_SIZE_MAX, "the public limits are the limits");
_Static_assert((int)VR_VALUE_SIZE_MAX == (int)VALUE_SIZE_MAX, "the public limits are the limits");
_Static_assert((int)VR_OPERATION_SIZE_MAX == (int)OPERATION_SIZE_MAX,
               "the public limits are the limits");

struct vr_client {
    pthread_mutex_t
        mutex; /* guards everything below but thread, wake_fd and the driver's receiver */
    struct driver driver;
    struct vr_session **sessions; /* by the driver's index; NULL where none is open */
    struct vr_session *ended;     /* requests that ended and have a callback, oldest first */
    struct vr_session **ended_tail;
    pthread_cond_t heard; /* the group was heard of: a view or a configuration is new */
    uint32_t finding;     /* calls of vr_client_find_primary() under way */
    bool sleeping;        /* the thread is about to wait, or waits, for wake_fd */
    bool stopping;

    pthread_t thread;
    int wake_fd;
    vr_waiting *waiting; /* NULL: none; never changes */
    void *waiting_context;
};

/* ---- the driver's side ---- */

static void request_ended(void *context, const struct driver_done *done)
{
    struct vr_client *client = context;
    struct vr_session *session = client->sessions[done->session];
    const struct explain_request request = {
        .outcome = done->outcome,
        .error = done->error,
        .submitted_ns = session->submitted_ns,
        .now_ns = clock_monotonic_ns(),
        .size = session->operation_size,
    };
    result_fill(&session->result, done, proxy_view(client->driver.proxy), &request);
    session->state = SESSION_ENDED;
    if (session->callback != NULL) {
        session->next_ended = NULL;
        *client->ended_tail = session;
        client->ended_tail = &session->next_ended;
    } else {
        condition_broadcast(&session->ended);
    }
}

static void wake(struct vr_client *client)
{
    if (client->sleeping) {
        client->sleeping = false;
        const uint64_t one = 1;
        (void)!write(client->wake_fd, &one, sizeof one); /* full: it is awake already */
    }
}

/* Calls the callbacks of what ended, one after the other, with the lock released: a callback
 * submits again. */
static void call_back(struct vr_client *client)
{
    struct vr_session *session;
    while ((session = client->ended) != NULL) {
        client->ended = session->next_ended;
        if (client->ended == NULL) {
            client->ended_tail = &client->ended;
        }
        struct vr_result result = session->result;
        vr_callback *callback = session->callback;
        void *context = session->context;
        memset(&session->result, 0, sizeof session->result);
        session->state = SESSION_READY;
        mutex_unlock(&client->mutex);
        callback(context, session, &result);
        vr_result_free(&result);
        mutex_lock(&client->mutex);
    }
}

/* Waits with the lock released. While requests are in flight the socket's own short timeout is
 * precise enough for retries, and waiting for the socket alone costs one system call. */
static void wait_for_something(struct vr_client *client)
{
    const uint64_t deadline_ns = driver_deadline(&client->driver);
    if (client->driver.in_flight_count > 0) {
        const uint64_t timeout_ns = driver_wait_ns(&client->driver, clock_monotonic_ns());
        mutex_unlock(&client->mutex);
        driver_wait(&client->driver, timeout_ns);
        mutex_lock(&client->mutex);
        return;
    }
    client->sleeping = true;
    mutex_unlock(&client->mutex);
    struct pollfd fds[2] = {
        {.fd = client->driver.channel.socket.fd, .events = POLLIN},
        {.fd = client->wake_fd, .events = POLLIN},
    };
    const uint64_t now_ns = clock_monotonic_ns();
    const struct timespec timeout = clock_timespec(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    (void)ppoll(fds, 2, deadline_ns == UINT64_MAX ? NULL : &timeout, NULL);
    if ((fds[1].revents & POLLIN) != 0) {
        uint64_t ignored;
        (void)!read(client->wake_fd, &ignored, sizeof ignored);
    }
    if ((fds[0].revents & POLLIN) != 0) {
        driver_wait(&client->driver, 0);
    }
    mutex_lock(&client->mutex);
    client->sleeping = false;
}

static void *run(void *argument)
{
    struct vr_client *client = argument;
    mutex_lock(&client->mutex);
    for (;;) {
        call_back(client);
        if (client->stopping) {
            break;
        }
        wait_for_something(client);
        driver_step(&client->driver, clock_monotonic_ns());
        if (client->finding > 0) {
            condition_broadcast(&client->heard);
        }
    }
    mutex_unlock(&client->mutex);
    return NULL;
}

/* ---- clients ---- */

static int open_with(struct vr_client *client, const struct cluster_list *list,
                     uint32_t sessions_max, uint32_t datagram_size)
{
    const struct driver_options options = {
        .datagram_size = datagram_size,
        .seeds = list->addresses,
        .seed_count = list->count,
        .sessions_max = sessions_max,
        .done = request_ended,
        .context = client,
    };
    client->ended_tail = &client->ended;
    client->sessions = calloc(sessions_max, sizeof(struct vr_session *));
    if (client->sessions == NULL) {
        return -ENOMEM;
    }
    int error = driver_open(&client->driver, &options);
    if (error != 0) {
        goto free_sessions;
    }
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (client->wake_fd < 0) {
        error = -errno;
        goto close_driver;
    }
    mutex_init(&client->mutex);
    condition_init(&client->heard);
    error = thread_start(&client->thread, "vr-client", run, client);
    if (error == 0) {
        return 0;
    }

    condition_destroy(&client->heard);
    mutex_destroy(&client->mutex);
    (void)close(client->wake_fd); /* an eventfd has nothing to lose */
close_driver:
    driver_close(&client->driver);
free_sessions:
    free(client->sessions);
    return error;
}

int vr_client_open(const char *cluster, const struct vr_client_options *options,
                   struct vr_client **opened, char message[VR_MESSAGE_MAX])
{
    struct cluster_list list;
    const int resolved = cluster_list_resolve(cluster, &list, message, VR_MESSAGE_MAX);
    if (resolved != 0) {
        return resolved;
    }
    const uint32_t wanted = options != NULL ? options->sessions_max : 0;
    const uint32_t sessions_max = wanted > 0 ? wanted : SESSIONS_MAX_DEFAULT;
    if (sessions_max > SESSIONS_MAX) {
        (void)snprintf(message, VR_MESSAGE_MAX, "sessions_max is %u; at most %d", sessions_max,
                       SESSIONS_MAX);
        return -EINVAL;
    }
    const uint32_t datagram_size = options != NULL ? options->datagram_size : 0;
    if (datagram_size != 0 &&
        (datagram_size < DATAGRAM_SIZE_MIN || datagram_size > DATAGRAM_SIZE_LOOPBACK)) {
        (void)snprintf(message, VR_MESSAGE_MAX, "datagram_size is %u; %d to %d", datagram_size,
                       DATAGRAM_SIZE_MIN, DATAGRAM_SIZE_LOOPBACK);
        return -EINVAL;
    }
    struct vr_client *client = calloc(1, sizeof *client);
    const int error =
        client != NULL ? open_with(client, &list, sessions_max, datagram_size) : -ENOMEM;
    if (error != 0) {
        free(client);
        (void)snprintf(message, VR_MESSAGE_MAX, "cannot open a socket and start a thread: %s",
                       strerror(-error));
        return error;
    }
    client->waiting = options != NULL ? options->waiting : NULL;
    client->waiting_context = options != NULL ? options->waiting_context : NULL;
    *opened = client;
    return 0;
}

static void free_session(struct vr_session *session)
{
    condition_destroy(&session->ended);
    memory_release(session->kv_memory, KV_ARENA_SIZE);
    vr_result_free(&session->result);
    free(session->operation);
    free(session);
}

void vr_client_close(struct vr_client *client)
{
    if (client == NULL) {
        return;
    }
    const uint32_t sessions_max = client->driver.options.sessions_max;
    mutex_lock(&client->mutex);
    client->stopping = true;
    const uint64_t now_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < sessions_max; i++) {
        if (client->sessions[i] != NULL) {
            driver_cancel(&client->driver, i, now_ns);
        }
    }
    driver_flush(&client->driver, now_ns);
    wake(client);
    mutex_unlock(&client->mutex);
    thread_join(client->thread);

    driver_close(&client->driver);
    for (uint32_t i = 0; i < sessions_max; i++) {
        if (client->sessions[i] != NULL) {
            free_session(client->sessions[i]);
        }
    }
    condition_destroy(&client->heard);
    mutex_destroy(&client->mutex);
    (void)close(client->wake_fd); /* an eventfd has nothing to lose */
    free(client->sessions);
    free(client);
}

static uint64_t milliseconds_since(uint64_t since_ns, uint64_t now_ns)
{
    return now_ns > since_ns ? (now_ns - since_ns) / NANOSECONDS_PER_MILLISECOND : 0;
}

void vr_client_info(struct vr_client *client, struct vr_client_info *info)
{
    memset(info, 0, sizeof *info);
    mutex_lock(&client->mutex);
    const struct proxy_view *view = proxy_view(client->driver.proxy);
    info->cluster_id = view->cluster_id;
    info->epoch = view_epoch(view->view_number);
    info->view = view_within_epoch(view->view_number);
    info->primary_known = view->primary_id != REPLICA_NONE;
    info->primary_id = view->primary_id;
    info->replica_count = view->configuration != NULL ? view->configuration->member_count : 0;
    for (uint32_t i = 0; i < view->target_count && info->primary_known; i++) {
        if (view->targets[i].replica_id == view->primary_id) {
            char text[NET_ADDRESS_TEXT_MAX];
            (void)snprintf(info->primary_address, sizeof info->primary_address, "%s",
                           net_address_text(&view->targets[i].address, text));
        }
    }
    info->needed_count =
        view->configuration != NULL ? configuration_quorum(view->configuration) : 0;
    const uint64_t now_ns = clock_monotonic_ns();
    if (view->silent_since_ns != 0) {
        info->silent_ms = milliseconds_since(view->silent_since_ns, now_ns);
        info->answering_count = explain_answering(view, view->silent_since_ns);
        explain_silence(view, view->silent_since_ns, now_ns, info->waits_for,
                        sizeof info->waits_for);
    }
    if (view->busy_since_ns != 0) {
        info->busy_ms = milliseconds_since(view->busy_since_ns, now_ns);
        (void)snprintf(info->busy_reason, sizeof info->busy_reason, "%s",
                       busy_reason_name(view->busy_reason));
    }
    mutex_unlock(&client->mutex);
}

bool vr_client_find_primary(struct vr_client *client, uint32_t timeout_ms)
{
    enum { ASK_AGAIN_MS = 50 };
    const uint64_t deadline_ns = clock_monotonic_ns() + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    mutex_lock(&client->mutex);
    const struct proxy_view *view = proxy_view(client->driver.proxy);
    client->finding++;
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        if ((view->configuration != NULL && view->primary_id != REPLICA_NONE) ||
            now_ns >= deadline_ns || client->stopping) {
            break;
        }
        proxy_ask_status(client->driver.proxy, now_ns);
        driver_flush(&client->driver, now_ns);
        wake(client);
        const uint64_t again_ns = now_ns + ASK_AGAIN_MS * NANOSECONDS_PER_MILLISECOND;
        const uint64_t until_ns = again_ns < deadline_ns ? again_ns : deadline_ns;
        while ((view->configuration == NULL || view->primary_id == REPLICA_NONE) &&
               condition_wait_until(&client->heard, &client->mutex, until_ns)) {
        }
    }
    client->finding--;
    const bool found = view->configuration != NULL && view->primary_id != REPLICA_NONE;
    mutex_unlock(&client->mutex);
    return found;
}

/* ---- sessions ---- */

struct vr_session *vr_session_open(struct vr_client *client)
{
    struct vr_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session->client = client;
    condition_init(&session->ended);
    mutex_lock(&client->mutex);
    session->index = client->stopping ? UINT32_MAX : driver_open_session(&client->driver);
    if (session->index != UINT32_MAX) {
        client->sessions[session->index] = session;
    }
    mutex_unlock(&client->mutex);
    if (session->index == UINT32_MAX) {
        free_session(session);
        return NULL;
    }
    return session;
}

void vr_session_close(struct vr_session *session)
{
    struct vr_client *client = session->client;
    mutex_lock(&client->mutex);
    INVARIANT(session->state != SESSION_IN_FLIGHT);
    client->sessions[session->index] = NULL;
    driver_close_session(&client->driver, session->index);
    driver_flush(&client->driver, clock_monotonic_ns());
    mutex_unlock(&client->mutex);
    free_session(session);
}

static int keep_operation(struct vr_session *session, const void *operation, size_t size)
{
    if (size > session->operation_capacity) {
        uint8_t *larger = realloc(session->operation, size);
        if (larger == NULL) {
            return -ENOMEM;
        }
        session->operation = larger;
        session->operation_capacity = size;
    }
    if (size > 0) {
        memcpy(session->operation, operation, size);
    }
    session->operation_size = size;
    return 0;
}

/* What is asked for: a write, or a read and what it may show. */
struct asked {
    const void *operation;
    size_t size;
    bool reads;
    struct proxy_read read;
};

static void submit_locked(struct vr_session *session, const struct asked *asked,
                          uint32_t timeout_ms)
{
    struct driver *driver = &session->client->driver;
    const uint64_t now_ns = clock_monotonic_ns();
    const uint64_t deadline_ns = now_ns + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    session->state = SESSION_IN_FLIGHT;
    session->operation_size = asked->size;
    session->submitted_ns = now_ns;
    if (asked->reads) {
        driver_submit_read(driver, session->index, session->operation, asked->size, &asked->read,
                           deadline_ns, now_ns);
    } else {
        driver_submit(driver, session->index, session->operation, asked->size, false, deadline_ns,
                      now_ns);
    }
    driver_flush(driver, now_ns);
}

static int submit(struct vr_session *session, const struct asked *asked, uint32_t timeout_ms,
                  vr_callback *callback, void *context)
{
    struct vr_client *client = session->client;
    mutex_lock(&client->mutex);
    int error = session->state == SESSION_READY ? 0 : -EBUSY;
    if (client->stopping) {
        error = -ESHUTDOWN;
    }
    if (error == 0) {
        /* What is larger is refused by its size; the bytes are not needed for that. */
        error = keep_operation(session, asked->operation,
                               asked->size <= OPERATION_SIZE_MAX ? asked->size : 0);
    }
    if (error == 0) {
        session->callback = callback;
        session->context = context;
        submit_locked(session, asked, timeout_ms);
        wake(client);
    }
    mutex_unlock(&client->mutex);
    return error;
}

static struct asked ask(const void *operation, size_t size, unsigned flags)
{
    return (struct asked){.operation = operation,
                          .size = size,
                          .reads = (flags & VR_READ) != 0,
                          .read = {.mode = READ_LINEARIZABLE}};
}

static struct asked ask_stale(const void *operation, size_t size, uint64_t at_least_op)
{
    return (struct asked){.operation = operation,
                          .size = size,
                          .reads = true,
                          .read = {.mode = READ_STALE, .min_op = at_least_op}};
}

int vr_submit(struct vr_session *session, const void *operation, size_t size, unsigned flags,
              uint32_t timeout_ms, vr_callback *callback, void *context)
{
    const struct asked asked = ask(operation, size, flags);
    return submit(session, &asked, timeout_ms, callback, context);
}

int vr_submit_stale(struct vr_session *session, const void *operation, size_t size,
                    uint64_t at_least_op, uint32_t timeout_ms, vr_callback *callback, void *context)
{
    const struct asked asked = ask_stale(operation, size, at_least_op);
    return submit(session, &asked, timeout_ms, callback, context);
}

bool vr_poll(struct vr_session *session)
{
    mutex_lock(&session->client->mutex);
    const bool ended = session->state == SESSION_ENDED && session->callback == NULL;
    mutex_unlock(&session->client->mutex);
    return ended;
}

/* One VR_WAITING_MS of waiting, then the owner's word on whether to go on. Returns whether it was
 * asked. */
static bool wait_and_ask(struct vr_client *client, struct vr_session *session)
{
    const uint64_t until_ns = clock_monotonic_ns() + VR_WAITING_MS * NANOSECONDS_PER_MILLISECOND;
    while (session->state == SESSION_IN_FLIGHT &&
           condition_wait_until(&session->ended, &client->mutex, until_ns)) {
    }
    if (session->state != SESSION_IN_FLIGHT) {
        return false;
    }
    mutex_unlock(&client->mutex);
    const bool go_on = client->waiting(client->waiting_context, NULL);
    mutex_lock(&client->mutex);
    if (!go_on) {
        const uint64_t now_ns = clock_monotonic_ns();
        driver_cancel(&client->driver, session->index, now_ns);
        driver_flush(&client->driver, now_ns);
    }
    return true;
}

enum vr_outcome vr_wait(struct vr_session *session, struct vr_result *result)
{
    struct vr_client *client = session->client;
    bool asked = false;
    mutex_lock(&client->mutex);
    INVARIANT(session->state != SESSION_READY);
    INVARIANT(session->callback == NULL);
    while (session->state == SESSION_IN_FLIGHT) {
        if (client->waiting != NULL) {
            asked = wait_and_ask(client, session) || asked;
        } else {
            condition_wait(&session->ended, &client->mutex);
        }
    }
    *result = session->result;
    memset(&session->result, 0, sizeof session->result);
    session->state = SESSION_READY;
    mutex_unlock(&client->mutex);
    if (asked) {
        (void)client->waiting(client->waiting_context, result); /* there is nothing to cancel */
    }
    return result->outcome;
}

static enum vr_outcome call(struct vr_session *session, const struct asked *asked,
                            uint32_t timeout_ms, struct vr_result *result)
{
    const int error = submit(session, asked, timeout_ms, NULL, NULL);
    if (error == -ENOMEM) {
        return result_fail(result, VR_ERROR_NO_MEMORY,
                           "there is no memory for the operation; it was not executed");
    }
    if (error != 0) {
        return result_fail(result, VR_ERROR_SESSION_MISUSED,
                           error == -EBUSY ? "a request is in flight in this session already; "
                                             "it was not executed"
                                           : "the client is being closed; it was not executed");
    }
    return vr_wait(session, result);
}

enum vr_outcome vr_call(struct vr_session *session, const void *operation, size_t size,
                        unsigned flags, uint32_t timeout_ms, struct vr_result *result)
{
    const struct asked asked = ask(operation, size, flags);
    return call(session, &asked, timeout_ms, result);
}

enum vr_outcome vr_call_stale(struct vr_session *session, const void *operation, size_t size,
                              uint64_t at_least_op, uint32_t timeout_ms, struct vr_result *result)
{
    const struct asked asked = ask_stale(operation, size, at_least_op);
    return call(session, &asked, timeout_ms, result);
}

void vr_cancel(struct vr_session *session)
{
    struct vr_client *client = session->client;
    mutex_lock(&client->mutex);
    const uint64_t now_ns = clock_monotonic_ns();
    driver_cancel(&client->driver, session->index, now_ns);
    driver_flush(&client->driver, now_ns);
    wake(client); /* a callback is called by the client's thread */
    mutex_unlock(&client->mutex);
}
