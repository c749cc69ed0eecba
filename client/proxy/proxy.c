/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of proxy.h but proxy_receive() (answers.c); requests.c holds how requests are sent. */
#include "client/proxy/proxy.h"

#include <string.h>

#include "client/proxy/requests.h"
#include "common/base/invariant.h"

void proxy_options_default(struct proxy_options *options)
{
    memset(options, 0, sizeof *options);
    options->sessions_max = 1;
    options->retry_first_ns = 20 * NS_PER_MS;
    options->retry_max_ns = 100 * NS_PER_MS;
}

static size_t table_offset(void)
{
    const size_t align = _Alignof(max_align_t);
    return (sizeof(struct proxy) + align - 1) / align * align;
}

size_t proxy_memory_size(const struct proxy_options *options)
{
    return table_offset() + session_table_memory_size(options->sessions_max);
}

struct proxy *proxy_init(void *memory, const struct proxy_options *options)
{
    struct proxy *proxy = memory;
    memset(proxy, 0, sizeof *proxy);
    proxy->options = *options;
    prng_seed(&proxy->prng, options->random_seed);
    group_init(&proxy->group, options);
    seeds_init(proxy);
    session_table_init(&proxy->table, (unsigned char *)memory + table_offset(),
                       options->sessions_max);
    proxy->probe = SESSION_NONE;
    proxy->status_nonce = prng_next(&proxy->prng);
    proxy->status_due_ns = UINT64_MAX;
    return proxy;
}

const struct proxy_view *proxy_view(const struct proxy *proxy)
{
    return &proxy->group.view;
}

/* ---- StatusRequests: who is there, and who is primary (M7) ---- */

void proxy_ask_status(struct proxy *proxy, uint64_t now_ns)
{
    seeds_asked(proxy, now_ns);
    proxy->status_mask = group_everybody(&proxy->group);
    proxy->status_interval_ns = request_first_interval(proxy);
    proxy->status_due_ns = add_saturating(now_ns, proxy->status_interval_ns);
}

static void tick_status(struct proxy *proxy, uint64_t now_ns)
{
    if (proxy->status_due_ns > now_ns) {
        return;
    }
    if (proxy->in_flight_count == 0 || !group_wants_configuration(&proxy->group)) {
        proxy->status_due_ns = UINT64_MAX;
        return;
    }
    proxy->status_mask = group_everybody(&proxy->group);
    proxy->status_interval_ns =
        request_next_interval(proxy, proxy->status_interval_ns, FIRST_SECOND_NS);
    proxy->status_due_ns =
        add_saturating(now_ns, request_jittered(proxy, proxy->status_interval_ns));
}

void proxy_ask_status_if_wanted(struct proxy *proxy, uint64_t now_ns)
{
    if (proxy->status_due_ns == UINT64_MAX && group_wants_configuration(&proxy->group)) {
        proxy_ask_status(proxy, now_ns);
    }
}

/* ---- what callers do ---- */

uint32_t proxy_open(struct proxy *proxy, struct client_id client_id)
{
    return session_open(&proxy->table, client_id);
}

bool proxy_is_open(const struct proxy *proxy, uint32_t index)
{
    INVARIANT(index < proxy->table.capacity);
    const enum session_state state = proxy->table.sessions[index].state;
    return state != SESSION_FREE && state != SESSION_CLOSING;
}

void proxy_close(struct proxy *proxy, uint32_t index, uint64_t now_ns)
{
    struct session *session = session_at(proxy, index);
    INVARIANT(session->state == SESSION_IDLE);
    session_forget_name(&proxy->table, index);
    if (session->number == 0 || request_first_choice(proxy) == 0) {
        session_free(&proxy->table, index);
        return;
    }
    session->state = SESSION_CLOSING;
    session->deadline_ns = UINT64_MAX;
    session->interval_ns = request_first_interval(proxy);
    request_send(proxy, session, request_first_choice(proxy), now_ns);
    session_wake_at(&proxy->table, index, UINT64_MAX); /* sent once, never again */
}

static size_t operation_size_max(const struct proxy *proxy)
{
    const struct configuration *configuration = proxy->group.view.configuration;
    return configuration != NULL ? configuration->parameters.operation_size_max
                                 : OPERATION_SIZE_MAX;
}

/* Its session is idle; what it is to read beside the log, if that is what it is to do, is set. */
static void submit(struct proxy *proxy, struct session *session, const uint8_t *operation,
                   size_t size, uint64_t deadline_ns, uint64_t now_ns)
{
    INVARIANT(session->state == SESSION_IDLE);
    session->operation = operation;
    session->operation_size = size;
    session->operation_sent = false;
    session->deadline_ns = deadline_ns;
    session->retries = 0;
    session->last_was_busy = false;
    proxy->in_flight_count++;
    session->state = SESSION_REGISTERING;
    const bool fits = session->read_mode == 0 || (size > 0 && size <= READ_SIZE_MAX);
    if (size > operation_size_max(proxy) || !fits) {
        request_complete(proxy, session, PROXY_FAILED, PROXY_ERROR_TOO_LARGE);
    } else if (deadline_ns <= now_ns) {
        request_complete(proxy, session, PROXY_FAILED, PROXY_ERROR_TIMEOUT);
    } else if (proxy->seeds.wrong) {
        request_complete(proxy, session, PROXY_FAILED, request_refusal_error(&proxy->group.view));
    } else {
        request_begin(proxy, session, now_ns);
        proxy_ask_status_if_wanted(proxy, now_ns);
    }
}

void proxy_submit(struct proxy *proxy, uint32_t index, const uint8_t *operation, size_t size,
                  bool is_read, uint64_t deadline_ns, uint64_t now_ns)
{
    struct session *session = session_at(proxy, index);
    session->is_read = is_read;
    session->read_mode = (enum read_mode)0;
    submit(proxy, session, operation, size, deadline_ns, now_ns);
}

void proxy_submit_read(struct proxy *proxy, uint32_t index, const uint8_t *operation, size_t size,
                       const struct proxy_read *read, uint64_t deadline_ns, uint64_t now_ns)
{
    struct session *session = session_at(proxy, index);
    const uint64_t view_number = proxy->group.view.view_number;
    const bool by_log = read->mode == READ_LINEARIZABLE &&
                        (size == 0 || size > READ_SIZE_MAX ||
                         (view_number != VIEW_NONE && proxy->log_reads_view == view_number));
    session->is_read = true;
    session->read_mode = by_log ? (enum read_mode)0 : read->mode;
    session->min_op = read->min_op;
    submit(proxy, session, operation, size, deadline_ns, now_ns);
}

void proxy_cancel(struct proxy *proxy, uint32_t index, uint64_t now_ns)
{
    struct session *session = session_at(proxy, index);
    if (in_flight(session)) {
        request_give_up(proxy, session, PROXY_ERROR_CANCELLED, now_ns);
    }
}

void proxy_tick(struct proxy *proxy, uint64_t now_ns)
{
    uint32_t index;
    while ((index = session_wake_next(&proxy->table, now_ns)) != SESSION_NONE) {
        struct session *session = session_at(proxy, index);
        INVARIANT(in_flight(session));
        if (session->deadline_ns <= now_ns) {
            request_give_up(proxy, session,
                            session->last_was_busy ? PROXY_ERROR_BUSY : PROXY_ERROR_TIMEOUT,
                            now_ns);
        } else {
            request_retry(proxy, session, now_ns);
        }
    }
    tick_status(proxy, now_ns);
    seeds_tick(proxy, now_ns);
}

uint64_t proxy_deadline(const struct proxy *proxy)
{
    return min_u64(min_u64(session_wake_deadline(&proxy->table), proxy->status_due_ns),
                   seeds_deadline(proxy));
}

/* ---- outputs ---- */

uint64_t proxy_token(const struct proxy *proxy, const struct net_address *address)
{
    const uint32_t target = group_find_address(&proxy->group, address);
    return target != TARGET_NONE ? proxy->group.tokens[target] : 0;
}

static uint32_t take_lowest(uint32_t *mask)
{
    const uint32_t bit = (uint32_t)__builtin_ctz(*mask);
    *mask &= *mask - 1;
    return bit;
}

static bool take_done(struct proxy *proxy, struct proxy_output *output)
{
    const uint32_t index = proxy->table.lists[LIST_DONE].first;
    if (index == SESSION_NONE) {
        return false;
    }
    struct session *session = session_at(proxy, index);
    session_move(&proxy->table, index, LIST_NONE);
    session->state = SESSION_IDLE;
    output->kind = PROXY_OUT_DONE;
    output->done.session = index;
    output->done.outcome = session->outcome;
    output->done.error = session->error;
    output->done.view_number = session->view_number;
    output->done.op_number = session->op_number;
    output->done.commit_number = session->commit_number;
    output->done.result = session->result;
    output->done.result_size = session->result_size;
    output->done.retries = session->retries;
    return true;
}

static void address_output(const struct proxy *proxy, uint32_t target, struct proxy_output *output)
{
    memset(output, 0, sizeof *output);
    output->kind = PROXY_OUT_SEND;
    output->send.address = proxy->group.view.targets[target].address;
    output->send.token = proxy->group.tokens[target];
    output->send.message.from = REPLICA_NONE;
    output->send.message.address = output->send.address;
}

static void address_to_seed(const struct proxy *proxy, uint32_t seed, struct proxy_output *output)
{
    memset(output, 0, sizeof *output);
    output->kind = PROXY_OUT_SEND;
    output->send.address = proxy->options.seeds[seed];
    output->send.token = proxy_token(proxy, &output->send.address);
    output->send.message.from = REPLICA_NONE;
    output->send.message.address = output->send.address;
}

static bool take_status_request(struct proxy *proxy, struct proxy_output *output)
{
    if (proxy->status_mask != 0) {
        address_output(proxy, take_lowest(&proxy->status_mask), output);
    } else if (proxy->seeds.ask_mask != 0) {
        address_to_seed(proxy, take_lowest(&proxy->seeds.ask_mask), output);
    } else {
        return false;
    }
    output->send.message.type = MESSAGE_STATUS_REQUEST;
    output->send.message.status_request.nonce = proxy->status_nonce;
    output->send.message.status_request.padding_size = output->send.token == 0 ? STATUS_PADDING : 0;
    return true;
}

static struct request make_request(const struct session *session)
{
    struct request request = {
        .client_id = session->client_id,
        .session = session->number,
    };
    switch (session->state) {
    case SESSION_REQUESTING:
        request.kind = ENTRY_OPERATION;
        request.request_number = session->request_number;
        request.operation = session->operation;
        request.operation_size = (uint32_t)session->operation_size;
        break;
    case SESSION_REGISTERING:
        request.kind = ENTRY_REGISTER;
        break;
    default:
        INVARIANT(session->state == SESSION_CLOSING);
        request.kind = ENTRY_UNREGISTER;
        break;
    }
    return request;
}

static struct read make_read(const struct session *session)
{
    return (struct read){
        .client_id = session->client_id,
        .nonce = session->read_number,
        .mode = session->read_mode,
        .min_op = session->min_op,
        .operation = session->operation,
        .operation_size = (uint32_t)session->operation_size,
    };
}

static bool take_request(struct proxy *proxy, struct proxy_output *output)
{
    const uint32_t index = proxy->table.lists[LIST_SEND].first;
    if (index == SESSION_NONE) {
        return false;
    }
    struct session *session = session_at(proxy, index);
    INVARIANT(session->send_mask != 0);
    const uint32_t target = take_lowest(&session->send_mask);
    address_output(proxy, target, output);
    if (session->state == SESSION_READING) {
        output->send.message.type = MESSAGE_READ;
        output->send.message.read = make_read(session);
    } else {
        output->send.message.type = MESSAGE_REQUEST;
        output->send.message.request = make_request(session);
    }
    session->tried_mask |= 1u << target;
    if (session->state != SESSION_REGISTERING) {
        session->operation_sent = true;
    }
    if (session->send_mask == 0) {
        if (session->state == SESSION_CLOSING) {
            session_free(&proxy->table, index);
        } else {
            session_move(&proxy->table, index, LIST_WAITING);
        }
    }
    return true;
}

bool proxy_next_output(struct proxy *proxy, struct proxy_output *output)
{
    return take_done(proxy, output) || take_status_request(proxy, output) ||
           take_request(proxy, output);
}
