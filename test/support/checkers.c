/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/checkers.h"

#include "common/base/invariant.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *resize(void *memory, size_t count, size_t size)
{
    memory = realloc(memory, count * size);
    INVARIANT(memory != NULL);
    return memory;
}

__attribute__((format(printf, 2, 3))) static bool violated(struct sim_report *report,
                                                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(report->text, sizeof report->text, format, arguments);
    va_end(arguments);
    return false;
}

/* Views are shown without their epoch, which stays 1 here. */
#define VIEW(view_number) view_within_epoch(view_number)

/* ---- I1 ---- */

static void history_grow(struct sim_history *history, uint64_t op_number)
{
    if (op_number < history->capacity) {
        return;
    }
    size_t capacity = history->capacity == 0 ? 4096 : history->capacity;
    while (capacity <= op_number) {
        capacity *= 2;
    }
    history->checksums = resize(history->checksums, capacity, sizeof *history->checksums);
    history->views = resize(history->views, capacity, sizeof *history->views);
    history->capacity = capacity;
}

void sim_history_reset(struct sim_history *history, struct checksum chain_start)
{
    history_grow(history, 0);
    history->committed = 0;
    history->acknowledged = 0;
    history->checksums[0] = chain_start;
    history->views[0] = VIEW_NONE;
}

void sim_history_free(struct sim_history *history)
{
    free(history->checksums);
    free(history->views);
    *history = (struct sim_history){0};
}

bool sim_check_agreement(struct sim_history *history, const struct sim_observed *observed,
                         uint64_t from_op, struct sim_report *report)
{
    for (uint64_t op = from_op + 1; op <= observed->commit_number; op++) {
        if (op > history->committed) {
            history_grow(history, op);
            history->checksums[op] = observed->chain[op];
            history->views[op] = observed->last_normal_view;
            history->committed = op;
        } else if (!checksum_equal(history->checksums[op], observed->chain[op])) {
            return violated(report,
                            "I1: replica %u committed at op %" PRIu64
                            " an entry other than the one committed before",
                            observed->replica, op);
        }
    }
    if (observed->commit_number > history->committed) {
        return violated(report, "I1: replica %u committed op %" PRIu64 " that was not compared",
                        observed->replica, observed->commit_number);
    }
    if (!checksum_equal(history->checksums[observed->commit_number], observed->commit_checksum)) {
        return violated(report, "I1: replica %u no longer holds what was committed at op %" PRIu64,
                        observed->replica, observed->commit_number);
    }
    return true;
}

/* ---- I2, I5 ---- */

void sim_views_reset(struct sim_views *views)
{
    for (size_t i = 0; i < views->count; i++) {
        free(views->views[i].chain);
    }
    views->count = 0;
}

void sim_views_free(struct sim_views *views)
{
    sim_views_reset(views);
    free(views->views);
    *views = (struct sim_views){0};
}

/* Looked for from the end: it is mostly the latest. */
const struct sim_view *sim_views_find(const struct sim_views *views, uint64_t view_number)
{
    for (size_t i = views->count; i > 0; i--) {
        if (views->views[i - 1].view_number == view_number) {
            return &views->views[i - 1];
        }
    }
    return NULL;
}

static void views_add(struct sim_views *views, const struct sim_history *history,
                      const struct sim_observed *observed)
{
    if (views->count == views->capacity) {
        views->capacity = 2 * views->capacity + 64;
        views->views = resize(views->views, views->capacity, sizeof *views->views);
    }
    const uint64_t known_from =
        history->committed < observed->op_number ? history->committed : observed->op_number;
    const size_t known_count = observed->op_number - known_from + 1;
    struct checksum *chain = resize(NULL, known_count, sizeof *chain);
    memcpy(chain, observed->chain + known_from, known_count * sizeof *chain);
    views->views[views->count++] = (struct sim_view){
        .view_number = observed->last_normal_view,
        .replica = observed->replica,
        .incarnation = observed->incarnation,
        .start_op = observed->op_number,
        .start_checksum = observed->head_checksum,
        .known_from = known_from,
        .chain = chain,
    };
}

bool sim_check_acting_primary(struct sim_views *views, const struct sim_history *history,
                              const struct sim_observed *observed, uint32_t expected_primary,
                              bool *started, struct sim_report *report)
{
    *started = false;
    if (!observed->acting_primary) {
        return true;
    }
    if (observed->status != STATUS_NORMAL || observed->last_normal_view != observed->view_number) {
        return violated(report, "I5: replica %u acts as primary of view %" PRIu64 " in status %s",
                        observed->replica, VIEW(observed->view_number),
                        vr_status_name(observed->status));
    }
    if (observed->replica != expected_primary) {
        return violated(report,
                        "I5: replica %u acts as primary of view %" PRIu64 ", which belongs to %u",
                        observed->replica, VIEW(observed->view_number), expected_primary);
    }
    const struct sim_view *view = sim_views_find(views, observed->last_normal_view);
    if (view == NULL) {
        views_add(views, history, observed);
        *started = true;
        return true;
    }
    if (view->replica != observed->replica || view->incarnation != observed->incarnation) {
        return violated(report,
                        "I5: view %" PRIu64
                        " was started twice: by replica %u (incarnation %" PRIu64
                        ") and replica %u (incarnation %" PRIu64 ")",
                        VIEW(view->view_number), view->replica, view->incarnation,
                        observed->replica, observed->incarnation);
    }
    return true;
}

bool sim_check_view_start(const struct sim_history *history, const struct sim_observed *observed,
                          struct sim_report *report)
{
    /* What was committed in this very view is committed in the log that it began with, or behind.
     */
    uint64_t op = history->committed;
    while (op > 0 && history->views[op] >= observed->last_normal_view) {
        op--;
    }
    if (observed->op_number < op) {
        return violated(report,
                        "I2: view %" PRIu64 " begins with op %" PRIu64 ", yet op %" PRIu64
                        " was committed in view %" PRIu64,
                        VIEW(observed->last_normal_view), observed->op_number, op,
                        VIEW(history->views[op]));
    }
    if (!checksum_equal(observed->chain[op], history->checksums[op])) {
        return violated(report,
                        "I2: view %" PRIu64 " begins with a log that differs from what was "
                        "committed up to op %" PRIu64,
                        VIEW(observed->last_normal_view), op);
    }
    return true;
}

bool sim_check_late_commit(const struct sim_views *views, const struct sim_history *history,
                           uint64_t op, uint64_t view_number, struct sim_report *report)
{
    for (size_t i = 0; i < views->count; i++) {
        const struct sim_view *view = &views->views[i];
        if (view->view_number <= view_number) {
            continue;
        }
        if (view->start_op < op ||
            (op >= view->known_from &&
             !checksum_equal(view->chain[op - view->known_from], history->checksums[op]))) {
            return violated(report,
                            "I2: op %" PRIu64 " was committed in view %" PRIu64
                            ", but view %" PRIu64 " had begun without it",
                            op, VIEW(view_number), VIEW(view->view_number));
        }
    }
    return true;
}

bool sim_check_acknowledged(struct sim_history *history, uint64_t op_number,
                            struct sim_report *report)
{
    if (op_number > history->committed) {
        return violated(report, "I2: a client was told of op %" PRIu64 ", committed is %" PRIu64,
                        op_number, history->committed);
    }
    if (op_number > history->acknowledged) {
        history->acknowledged = op_number;
    }
    return true;
}

/* ---- I3 ---- */

void sim_executions_reset(struct sim_executions *executions)
{
    if (executions->capacity == 0) {
        executions->capacity = 8192;
        executions->slots = resize(NULL, executions->capacity, sizeof *executions->slots);
    }
    memset(executions->slots, 0, executions->capacity * sizeof *executions->slots);
    executions->count = 0;
}

void sim_executions_free(struct sim_executions *executions)
{
    free(executions->slots);
    *executions = (struct sim_executions){0};
}

static bool key_equal(const struct sim_request_key *a, const struct sim_request_key *b)
{
    return client_id_equal(a->client_id, b->client_id) && a->session == b->session &&
           a->request_number == b->request_number;
}

static struct sim_execution *slot_of(const struct sim_executions *executions,
                                     const struct sim_request_key *key)
{
    uint64_t hash = key->client_id.low ^ (key->session * UINT64_C(0x9e3779b97f4a7c15)) ^
                    (key->request_number * UINT64_C(0xbf58476d1ce4e5b9));
    hash ^= hash >> 29;
    for (;; hash++) {
        struct sim_execution *slot = &executions->slots[hash & (executions->capacity - 1)];
        if (slot->key.session == 0 || key_equal(&slot->key, key)) {
            return slot;
        }
    }
}

static void executions_grow(struct sim_executions *executions)
{
    const struct sim_executions old = *executions;
    executions->capacity *= 2;
    executions->slots = resize(NULL, executions->capacity, sizeof *executions->slots);
    memset(executions->slots, 0, executions->capacity * sizeof *executions->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].key.session != 0) {
            *slot_of(executions, &old.slots[i].key) = old.slots[i];
        }
    }
    free(old.slots);
}

static struct sim_execution *slot_take(struct sim_executions *executions,
                                       const struct sim_request_key *key)
{
    if (2 * executions->count >= executions->capacity) {
        executions_grow(executions);
    }
    struct sim_execution *slot = slot_of(executions, key);
    if (slot->key.session == 0) {
        slot->key = *key;
        executions->count++;
    }
    return slot;
}

bool sim_check_executed_once(struct sim_executions *executions, const struct sim_request_key *key,
                             uint64_t op_number, struct sim_report *report)
{
    struct sim_execution *slot = slot_take(executions, key);
    if (slot->forbidden) {
        return violated(report,
                        "C5: session %" PRIu64 " request %" PRIu64 " was executed at op %" PRIu64
                        ", yet its client was told that it was not",
                        key->session, key->request_number, op_number);
    }
    if (slot->op_number != 0 && slot->op_number != op_number) {
        return violated(report,
                        "I3: session %" PRIu64 " request %" PRIu64 " was executed at op %" PRIu64
                        " and at op %" PRIu64,
                        key->session, key->request_number, slot->op_number, op_number);
    }
    slot->op_number = op_number;
    return true;
}

bool sim_check_never_executed(struct sim_executions *executions, const struct sim_request_key *key,
                              struct sim_report *report)
{
    struct sim_execution *slot = slot_take(executions, key);
    if (slot->op_number != 0) {
        return violated(report,
                        "C5: session %" PRIu64 " request %" PRIu64 " is reported as not executed, "
                        "but was, at op %" PRIu64,
                        key->session, key->request_number, slot->op_number);
    }
    slot->forbidden = true;
    return true;
}

/* ---- I4 ---- */

bool sim_check_answer(const struct sim_answer *answer, uint64_t model_hash,
                      struct sim_report *report)
{
    if (answer->op_number <= answer->acknowledged_before) {
        return violated(report,
                        "I4: an operation invoked when op %" PRIu64
                        " was acknowledged stands at op %" PRIu64,
                        answer->acknowledged_before, answer->op_number);
    }
    if (answer->result_hash != model_hash) {
        return violated(report, "I4: the answer at op %" PRIu64 " is not what the model yields",
                        answer->op_number);
    }
    return true;
}

bool sim_check_read(const struct sim_history *history, uint64_t op_number, uint64_t least_op,
                    struct sim_report *report)
{
    if (op_number < least_op) {
        return violated(report,
                        "I4: a read invoked when op %" PRIu64 " was acknowledged shows op %" PRIu64,
                        least_op, op_number);
    }
    if (op_number > history->committed) {
        return violated(report, "I4: a read shows op %" PRIu64 ", committed is %" PRIu64, op_number,
                        history->committed);
    }
    return true;
}

/* ---- I6 ---- */

bool sim_check_progress(const struct sim_observed *before, const struct sim_observed *after,
                        struct sim_report *report)
{
    if (after->view_number < before->view_number) {
        return violated(report, "I6: view_number of replica %u fell from %" PRIu64 " to %" PRIu64,
                        after->replica, VIEW(before->view_number), VIEW(after->view_number));
    }
    if (after->last_normal_view < before->last_normal_view) {
        return violated(
            report, "I6: last_normal_view of replica %u fell from %" PRIu64 " to %" PRIu64,
            after->replica, VIEW(before->last_normal_view), VIEW(after->last_normal_view));
    }
    if (after->commit_number < before->commit_number) {
        return violated(report, "I6: commit_number of replica %u fell from %" PRIu64 " to %" PRIu64,
                        after->replica, before->commit_number, after->commit_number);
    }
    if (after->executed_op < before->executed_op) {
        return violated(report, "I6: executed_op of replica %u fell from %" PRIu64 " to %" PRIu64,
                        after->replica, before->executed_op, after->executed_op);
    }
    return true;
}

bool sim_check_state(const struct sim_observed *observed, struct sim_report *report)
{
    if (observed->last_normal_view > observed->view_number) {
        return violated(report, "I6: replica %u has last_normal_view above view_number",
                        observed->replica);
    }
    if (observed->status == STATUS_VIEW_CHANGE &&
        observed->last_normal_view >= observed->view_number) {
        return violated(report, "I6: replica %u is in view change for a view it was normal in",
                        observed->replica);
    }
    if (observed->status == STATUS_NORMAL && observed->last_normal_view != observed->view_number) {
        return violated(report,
                        "I6: replica %u is normal in a view that is not its last normal one",
                        observed->replica);
    }
    if (observed->commit_number > observed->op_number) {
        return violated(report, "I6: replica %u committed more than it has", observed->replica);
    }
    if (observed->executed_op > observed->commit_number) {
        return violated(report, "I6: replica %u executed more than is committed",
                        observed->replica);
    }
    return true;
}

bool sim_check_durable_progress(const struct sim_durable *before, const struct sim_durable *after,
                                struct sim_report *report)
{
    if (after->view_number < before->view_number) {
        return violated(report, "I6: durable view_number fell from %" PRIu64 " to %" PRIu64,
                        VIEW(before->view_number), VIEW(after->view_number));
    }
    if (after->last_normal_view < before->last_normal_view) {
        return violated(report, "I6: durable last_normal_view fell from %" PRIu64 " to %" PRIu64,
                        VIEW(before->last_normal_view), VIEW(after->last_normal_view));
    }
    return true;
}

/* What a message says of its sender. */
struct revealed {
    uint64_t view_number;      /* the sender's view is at least this */
    uint64_t last_normal_view; /* and its last normal view at least this */
    uint64_t claimed_op;       /* and it holds everything up to here */
};

static struct revealed revealed_by(const struct message *m)
{
    switch (m->type) {
    case MESSAGE_PREPARE:
        return (struct revealed){m->prepare.view_number, m->prepare.view_number, 0};
    case MESSAGE_COMMIT:
        return (struct revealed){m->commit.view_number, m->commit.view_number, 0};
    case MESSAGE_PREPARE_OK:
        return (struct revealed){m->prepare_ok.view_number, m->prepare_ok.view_number,
                                 m->prepare_ok.op_number};
    case MESSAGE_GOODBYE:
        return (struct revealed){m->goodbye.view_number, m->goodbye.view_number, 0};
    case MESSAGE_START_VIEW_CHANGE:
        return (struct revealed){m->start_view_change.view_number - 1, 0, 0};
    case MESSAGE_DO_VIEW_CHANGE:
        return (struct revealed){
            m->do_view_change.view_number, m->do_view_change.log.last_normal_view,
            m->do_view_change.faulty_from != 0 ? m->do_view_change.faulty_from - 1
                                               : m->do_view_change.log.op_number};
    case MESSAGE_START_VIEW:
        return (struct revealed){m->start_view.view_number, m->start_view.view_number, 0};
    case MESSAGE_RECOVERY:
        return (struct revealed){m->recovery.view_number, 0, 0};
    case MESSAGE_RECOVERY_RESPONSE:
        return (struct revealed){m->recovery_response.view_number, m->recovery_response.view_number,
                                 0};
    case MESSAGE_NOT_PRIMARY:
        return (struct revealed){0, m->not_primary.last_normal_view, 0};
    case MESSAGE_BUSY:
        return (struct revealed){m->busy.view_number, m->busy.view_number, 0};
    case MESSAGE_REPLY:
        return (struct revealed){m->reply.view_number, m->reply.view_number, 0};
    default:
        return (struct revealed){0, 0, 0};
    }
}

bool sim_check_revealed(const struct message *message, const struct sim_durable *durable,
                        uint64_t durable_op, uint64_t vote_heard, struct sim_report *report)
{
    const struct revealed revealed = revealed_by(message);
    const bool follows = message->type == MESSAGE_START_VIEW_CHANGE &&
                         message->start_view_change.view_number <= vote_heard;
    if (revealed.view_number > durable->view_number && !follows) {
        return violated(report, "S1: %s reveals view %" PRIu64 ", durable is %" PRIu64,
                        message_type_name(message->type), VIEW(revealed.view_number),
                        VIEW(durable->view_number));
    }
    if (revealed.last_normal_view > durable->last_normal_view) {
        return violated(report, "S1: %s reveals last_normal_view %" PRIu64 ", durable is %" PRIu64,
                        message_type_name(message->type), VIEW(revealed.last_normal_view),
                        VIEW(durable->last_normal_view));
    }
    if (revealed.claimed_op > durable_op) {
        return violated(report, "N4: %s claims op %" PRIu64 ", durable is %" PRIu64,
                        message_type_name(message->type), revealed.claimed_op, durable_op);
    }
    return true;
}

/* ---- I7 ---- */

bool sim_check_prefix(const struct sim_observed *a, const struct sim_observed *b,
                      struct sim_report *report)
{
    if (a->status != STATUS_NORMAL || b->status != STATUS_NORMAL ||
        a->view_number != b->view_number) {
        return true;
    }
    const uint64_t op = a->op_number < b->op_number ? a->op_number : b->op_number;
    if (!checksum_equal(a->chain[op], b->chain[op])) {
        return violated(report,
                        "I7: replicas %u and %u are normal in view %" PRIu64
                        " with different logs at op %" PRIu64,
                        a->replica, b->replica, VIEW(a->view_number), op);
    }
    return true;
}

bool sim_check_holds_view_start(const struct sim_views *views, const struct sim_observed *observed,
                                struct sim_report *report)
{
    if (observed->status != STATUS_NORMAL) {
        return true;
    }
    const struct sim_view *view = sim_views_find(views, observed->view_number);
    if (view == NULL) {
        return violated(report, "I7: replica %u is normal in view %" PRIu64 ", which nobody began",
                        observed->replica, VIEW(observed->view_number));
    }
    if (observed->op_number < view->start_op ||
        !checksum_equal(observed->chain[view->start_op], view->start_checksum)) {
        return violated(report,
                        "I7: replica %u is normal in view %" PRIu64
                        " without the log that it began with (op %" PRIu64 " of %" PRIu64 ")",
                        observed->replica, VIEW(observed->view_number), observed->op_number,
                        view->start_op);
    }
    return true;
}

/* ---- I8 ---- */

void sim_digests_reset(struct sim_digests *digests)
{
    if (digests->capacity > 0) {
        memset(digests->known, 0, digests->capacity * sizeof *digests->known);
    }
}

void sim_digests_free(struct sim_digests *digests)
{
    free(digests->digests);
    free(digests->known);
    *digests = (struct sim_digests){0};
}

bool sim_check_digest(struct sim_digests *digests, uint32_t replica, uint64_t op_number,
                      struct checksum digest, struct sim_report *report)
{
    if (op_number >= digests->capacity) {
        const size_t old = digests->capacity;
        const size_t capacity = 2 * op_number + 4096;
        digests->digests = resize(digests->digests, capacity, sizeof *digests->digests);
        digests->known = resize(digests->known, capacity, sizeof *digests->known);
        memset(digests->known + old, 0, (capacity - old) * sizeof *digests->known);
        digests->capacity = capacity;
    }
    if (!digests->known[op_number]) {
        digests->known[op_number] = true;
        digests->digests[op_number] = digest;
        return true;
    }
    if (!checksum_equal(digests->digests[op_number], digest)) {
        return violated(report, "I8: the state of replica %u at op %" PRIu64 " differs", replica,
                        op_number);
    }
    return true;
}

/* ---- I9 ---- */

bool sim_check_converged(const struct sim_observed *core, uint32_t count, struct sim_report *report)
{
    uint32_t primaries = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (core[i].status != STATUS_NORMAL) {
            return violated(report, "I9: replica %u is still in status %s of view %" PRIu64,
                            core[i].replica, vr_status_name(core[i].status),
                            VIEW(core[i].view_number));
        }
        if (core[i].view_number != core[0].view_number) {
            return violated(report, "I9: replica %u is in view %" PRIu64 ", replica %u in %" PRIu64,
                            core[i].replica, VIEW(core[i].view_number), core[0].replica,
                            VIEW(core[0].view_number));
        }
        if (core[i].commit_number != core[0].commit_number) {
            return violated(report, "I9: replica %u committed %" PRIu64 ", replica %u %" PRIu64,
                            core[i].replica, core[i].commit_number, core[0].replica,
                            core[0].commit_number);
        }
        if (core[i].executed_op != core[i].commit_number) {
            return violated(report, "I9: replica %u executed %" PRIu64 " of %" PRIu64,
                            core[i].replica, core[i].executed_op, core[i].commit_number);
        }
        primaries += core[i].acting_primary ? 1 : 0;
    }
    if (primaries != 1) {
        return violated(report, "I9: %u acting primaries", primaries);
    }
    return true;
}

/* ---- I10 ---- */

bool sim_check_bounds(uint32_t replica, const struct sim_bound *bounds, size_t count,
                      struct sim_report *report)
{
    for (size_t i = 0; i < count; i++) {
        if (bounds[i].value > bounds[i].limit) {
            return violated(report, "I10: %s of replica %u is %" PRIu64 ", over %" PRIu64,
                            bounds[i].what, replica, bounds[i].value, bounds[i].limit);
        }
    }
    return true;
}
