/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lib/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/endpoint.h"

/* Text that is written piece by piece and cut where the room ends. */
struct text {
    char *at;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text->at + text->used, text->size - text->used, format, arguments);
    va_end(arguments);
    if (length > 0) {
        text->used += (size_t)length;
        text->used = text->used < text->size ? text->used : text->size - 1;
    }
}

const char *explain_grouped(uint64_t number, char text[GROUPED_MAX])
{
    char digits[GROUPED_MAX];
    const int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *at = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *at++ = ',';
        }
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

void explain_too_large(const char *what, uint64_t size, uint64_t size_max, char *text,
                       size_t text_size)
{
    char is[GROUPED_MAX];
    char most[GROUPED_MAX];
    (void)snprintf(text, text_size, "%s is %s bytes; at most %s", what, explain_grouped(size, is),
                   explain_grouped(size_max, most));
}

static double seconds_since(uint64_t since_ns, uint64_t now_ns)
{
    return now_ns > since_ns ? (double)(now_ns - since_ns) / (double)NANOSECONDS_PER_SECOND : 0;
}

static bool answered_since(const struct proxy_view *view, uint32_t target, uint64_t since_ns)
{
    return view->targets[target].heard_ns != 0 && view->targets[target].heard_ns >= since_ns;
}

uint32_t explain_answering(const struct proxy_view *view, uint64_t since_ns)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->target_count; i++) {
        count += answered_since(view, i, since_ns) ? 1u : 0u;
    }
    return count;
}

static uint32_t count_recovering(const struct proxy_view *view, uint64_t since_ns)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->target_count; i++) {
        const bool recovering = view->targets[i].status == STATUS_RECOVERING;
        count += recovering && answered_since(view, i, since_ns) ? 1u : 0u;
    }
    return count;
}

static void add_asked(struct text *text, const struct proxy_view *view)
{
    add(text, "asked ");
    for (uint32_t i = 0; i < view->target_count; i++) {
        char address[NET_ADDRESS_TEXT_MAX];
        add(text, "%s%s", i > 0 ? ", " : "", net_address_text(&view->targets[i].address, address));
    }
}

static void add_answered(struct text *text, const struct proxy_view *view, uint64_t since_ns)
{
    const char *separator = "";
    for (uint32_t i = 0; i < view->target_count; i++) {
        if (!answered_since(view, i, since_ns)) {
            continue;
        }
        char address[NET_ADDRESS_TEXT_MAX];
        if (view->targets[i].replica_id != REPLICA_NONE) {
            add(text, "%sreplica %" PRIu32, separator, view->targets[i].replica_id);
        } else {
            add(text, "%s%s", separator, net_address_text(&view->targets[i].address, address));
        }
        if (view->targets[i].status != 0) {
            add(text, " (%s)", vr_status_name(view->targets[i].status));
        }
        separator = ", ";
    }
}

/* How many answered: too few for a quorum, or enough, of which none serves. */
static void add_answered_count(struct text *text, const struct proxy_view *view, uint32_t answered)
{
    if (view->configuration == NULL) {
        add(text, "; answered: ");
        return;
    }
    const uint32_t quorum = configuration_quorum(view->configuration);
    if (answered < quorum) {
        add(text, "; %" PRIu32 " of the %" PRIu32 " needed answered: ", answered, quorum);
    } else if (answered == view->target_count) {
        add(text, "; all %" PRIu32 " replicas answered, none is primary: ", answered);
    } else {
        add(text, "; %" PRIu32 " of %" PRIu32 " replicas answered, none is primary: ", answered,
            view->target_count);
    }
}

/* More recovering than the group can lose: perhaps nobody is left to recover from. Perhaps only: a
 * replica says so too while it starts. */
static void add_memory_lost(struct text *text, const struct proxy_view *view, uint64_t since_ns)
{
    const uint32_t recovering = count_recovering(view, since_ns);
    if (view->configuration != NULL && recovering > configuration_faults_max(view->configuration)) {
        add(text,
            "; %" PRIu32 " of %" PRIu32
            " are recovering: the group may have lost its memory, status tells",
            recovering, view->configuration->member_count);
    }
}

static void add_silence(struct text *text, const struct proxy_view *view, uint64_t since_ns,
                        uint64_t now_ns)
{
    const double waited = seconds_since(since_ns, now_ns);
    const uint32_t answered = explain_answering(view, since_ns);
    if (answered == 0) {
        add(text, "no replica answers: ");
        add_asked(text, view);
        add(text, " for %.1f s", waited);
        return;
    }
    add(text, "no primary for %.1f s", waited);
    if (view->view_number != VIEW_NONE) {
        add(text, " (the last view known is %" PRIu64 ")", view_within_epoch(view->view_number));
    }
    add_answered_count(text, view, answered);
    add_answered(text, view, since_ns);
    add_memory_lost(text, view, since_ns);
    if (answered < view->target_count) {
        add(text, "; ");
        add_asked(text, view);
    }
}

void explain_silence(const struct proxy_view *view, uint64_t since_ns, uint64_t now_ns, char *text,
                     size_t text_size)
{
    struct text out = {.at = text, .size = text_size};
    text[0] = '\0';
    add_silence(&out, view, since_ns, now_ns);
}

void explain_peers_port(const struct net_address *asked, const struct refused *refusal, char *text,
                        size_t text_size)
{
    char address[NET_ADDRESS_TEXT_MAX];
    (void)snprintf(text, text_size,
                   "%s is the port for peers, at which replicas talk to each other; clients use "
                   "port %" PRIu64 ": correct the list of addresses",
                   net_address_text(asked, address), refusal->own);
}

static void add_refusal(struct text *text, const struct proxy_view *view)
{
    const struct refused *refusal = &view->refusal;
    if (refusal->reason == REFUSED_PEERS_PORT) {
        explain_peers_port(&view->refused_by, refusal, text->at + text->used,
                           text->size - text->used);
        text->used += strlen(text->at + text->used);
        return;
    }
    if (refusal->reason == REFUSED_VERSION) {
        add(text,
            "a replica speaks protocol version %" PRIu64 ", this client %" PRIu64
            ": use a client of the same release",
            refusal->own, refusal->yours);
        return;
    }
    add(text,
        "two clusters answer, %016" PRIx64 " and %016" PRIx64
        ": the list of addresses mixes them; ",
        refusal->yours, refusal->own);
    add_asked(text, view);
}

static void add_too_large(struct text *text, const struct proxy_view *view, size_t size)
{
    const uint64_t size_max = view->configuration != NULL
                                  ? view->configuration->parameters.operation_size_max
                                  : OPERATION_SIZE_MAX;
    char is[GROUPED_MAX];
    char most[GROUPED_MAX];
    add(text, "operation is %s bytes; at most %s", explain_grouped(size, is),
        explain_grouped(size_max, most));
}

void explain_failure(const struct proxy_view *view, const struct explain_request *request,
                     char *text, size_t text_size)
{
    struct text out = {.at = text, .size = text_size};
    text[0] = '\0';
    switch (request->error) {
    case PROXY_ERROR_NONE:
        return;
    case PROXY_ERROR_TIMEOUT:
        add_silence(&out, view, request->submitted_ns, request->now_ns);
        break;
    case PROXY_ERROR_BUSY:
        add(&out, "the primary is busy (%s), for %.1f s", busy_reason_name(view->busy_reason),
            seconds_since(request->submitted_ns, request->now_ns));
        break;
    case PROXY_ERROR_SESSION_EXPIRED:
        add(&out, "the session was evicted, before the request or after a first copy of it was "
                  "executed: more sessions are open than the cluster keeps");
        break;
    case PROXY_ERROR_PAYLOAD_MISMATCH:
        add(&out, "the request's number was used for another request: do two processes share this "
                  "session?");
        break;
    case PROXY_ERROR_TOO_LARGE:
        add_too_large(&out, view, request->size);
        break;
    case PROXY_ERROR_WRONG_CLUSTER:
    case PROXY_ERROR_WRONG_VERSION:
    case PROXY_ERROR_WRONG_PORT:
        add_refusal(&out, view);
        break;
    case PROXY_ERROR_NOT_A_READ:
        add(&out, "the operation is no read: it would have changed something");
        break;
    case PROXY_ERROR_CANCELLED:
        add(&out, "cancelled after %.1f s", seconds_since(request->submitted_ns, request->now_ns));
        break;
    }
    add(&out, "%s",
        request->outcome == PROXY_UNKNOWN
            ? "; outcome unknown: it may have been executed, or may yet be"
            : "; it was not executed");
}
