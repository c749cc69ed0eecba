/* SPDX-License-Identifier: Apache-2.0 */
/* normal.c - normal operation (VRR section 4.1; rules N1 to N10, and V1's check of the quorum).
 *
 * Requests become entries as they arrive; vr_flush() turns all that arrived since the last one into
 * Prepares. What is not prepared yet waits at the log's end, which is the bounded queue of N3: an
 * entry is made once, and never copied from one place of waiting to another. */
#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/quorum.h"
#include "server/vr/replica.h"

bool is_serving(const struct replica *r)
{
    return r->acting_primary && !r->abdicated && r->later_view <= r->view_number;
}

/* ---- requests (N1, N2, N3) ---- */

static void answer_not_primary(struct replica *r, const struct message *m)
{
    if (!take_answer(r)) {
        return;
    }
    VR_MARK(N1_request_meets_another_than_the_primary);
    const struct message answer = {
        .type = MESSAGE_NOT_PRIMARY,
        .not_primary =
            {
                .client_id = m->request.client_id,
                .session = m->request.session,
                .request_number = m->request.request_number,
                .last_normal_view = r->last_normal_view,
                .status = r->status,
            },
    };
    send_to_client(r, &m->address, &answer);
}

static void answer_busy(struct replica *r, const struct message *m, enum busy_reason reason)
{
    r->busy_count++;
    const struct message answer = {
        .type = MESSAGE_BUSY,
        .busy =
            {
                .client_id = m->request.client_id,
                .session = m->request.session,
                .request_number = m->request.request_number,
                .view_number = r->last_normal_view,
                .reason = reason,
            },
    };
    send_to_client(r, &m->address, &answer);
}

static void answer_too_large(struct replica *r, const struct message *m)
{
    const struct message answer = {
        .type = MESSAGE_REPLY,
        .reply =
            {
                .view_number = r->view_number,
                .client_id = m->request.client_id,
                .session = m->request.session,
                .request_number = m->request.request_number,
                .status = REPLY_OPERATION_TOO_LARGE,
            },
    };
    send_to_client(r, &m->address, &answer);
}

/* Why no request can be taken now; 0 if one can. */
static enum busy_reason busy(struct replica *r, size_t entry_size)
{
    if (r->abdicated) {
        VR_MARK(V1_primary_without_a_quorum_takes_no_request);
        return BUSY_NO_QUORUM;
    }
    if (r->log.op_number - r->commit_number >=
        (uint64_t)r->options.pipeline_max + r->options.request_queue_max) {
        VR_MARK(N3_queue_is_full);
        return BUSY_QUEUE_FULL;
    }
    if (r->commit_number - r->executed_op >= r->options.execute_lag_max) {
        VR_MARK(N9_primary_waits_for_the_executor);
        return BUSY_EXECUTOR;
    }
    if (!vr_log_has_room(&r->log, entry_size)) {
        VR_MARK(N3_log_is_full);
        r->log_full = true;
        return BUSY_LOG_FULL;
    }
    return (enum busy_reason)0;
}

/* N2: a request that is known already. Returns false if it is to be appended. */
static bool repeat_known(struct replica *r, const struct message *m)
{
    const struct request *request = &m->request;
    struct in_flight_slot *slot =
        in_flight_find(&r->in_flight, request->kind, request->client_id, request->session);
    if (slot == NULL || request->request_number > slot->request_number) {
        return false;
    }
    if (request->request_number < slot->request_number) {
        VR_MARK(N2_older_request_is_dropped);
        drop(r, DROP_OLD_REQUEST);
        return true;
    }
    const uint64_t checksum =
        operation_checksum(request->kind, request->operation, request->operation_size);
    if (slot->op_number > r->handed_op) {
        VR_MARK(N2_request_is_in_flight_already);
        if (slot->operation_checksum == checksum) {
            slot->address = m->address;
        }
        drop(r, DROP_DUPLICATE);
        return true;
    }
    if (slot->looked_up) {
        /* That did not help: the answer was lost, or the executor no longer has it (an evicted
         * session's Register). Logged again it is answered for certain, and harmless by C3. */
        VR_MARK(N2_request_is_logged_again);
        return false;
    }
    VR_MARK(N2_request_is_looked_up);
    slot->looked_up = true;
    struct vr_output *output = output_add(r, VR_OUT_LOOKUP);
    output->lookup.client_id = request->client_id;
    output->lookup.session = request->session;
    output->lookup.request_number = request->request_number;
    output->lookup.kind = request->kind;
    output->lookup.operation_checksum = checksum;
    output->lookup.view_number = r->view_number;
    output->lookup.address = m->address;
    return true;
}

uint64_t last_timestamp(const struct replica *r)
{
    struct entry entry;
    size_t size;
    if (r->log.op_number == r->log.base_op) {
        return r->base_timestamp;
    }
    const uint8_t *bytes = vr_log_entry(&r->log, r->log.op_number, &size);
    INVARIANT(entry_decode(bytes, size, &entry) == size);
    return entry.timestamp;
}

static uint64_t next_timestamp(const struct replica *r)
{
    const uint64_t last = last_timestamp(r);
    return r->time.wall_ns > last ? r->time.wall_ns : last + 1;
}

void on_request(struct replica *r, const struct message *m)
{
    r->requests_seen++;
    const struct request *request = &m->request;
    if (!r->acting_primary || r->later_view > r->view_number) {
        answer_not_primary(r, m);
        return;
    }
    if (request->operation_size > r->options.configuration.parameters.operation_size_max) {
        answer_too_large(r, m);
        return;
    }
    if (repeat_known(r, m)) {
        return;
    }
    const enum busy_reason reason = busy(r, ENTRY_HEADER_SIZE + (size_t)request->operation_size);
    if (reason != 0) {
        answer_busy(r, m, reason);
        return;
    }
    const struct entry entry = {
        .op_number = r->log.op_number + 1,
        .view_number = r->view_number,
        .timestamp = next_timestamp(r),
        .client_id = request->client_id,
        .session = request->session,
        .request_number = request->request_number,
        .kind = request->kind,
        .body_size = request->operation_size,
        .body = request->operation,
    };
    vr_log_append(&r->log, &entry);
    in_flight_add(&r->in_flight, &entry, &m->address);
}

/* ---- the primary sends (N3, N6, N10) ---- */

static void begin_round(struct replica *r)
{
    r->round++;
    r->round_sent_ns[r->round % ROUNDS_REMEMBERED] = r->time.now_ns;
    timeout_set(&r->timeouts, TIMEOUT_HEARTBEAT, r->time.now_ns + r->options.heartbeat_ns);
}

/* How long entries may be in flight to one backup before they are taken for lost.
 *
 * T after the last ack that counts the primary falls silent (V1), and then nothing is sent again. A
 * Prepare that was lost to a quorum, with none behind it that shows the gap, has only this clock:
 * if it were of round trips alone, a loss on long links would end the view. So two repetitions lie
 * within T: after T/4 at the latest, which no ack exceeds where T is five round trips as it should
 * be, and T/2 after the first. T is more than a heartbeat, so neither is below the least. */
static uint64_t resend_timeout(const struct replica *r, const struct peer *peer)
{
    const uint64_t least = r->options.heartbeat_ns / 4;
    const uint64_t most = r->options.view_change_ns / (peer->resends == 0 ? 4 : 2);
    uint64_t timeout = peer->rtt_ns == 0 ? r->options.heartbeat_ns : 4 * peer->rtt_ns;
    timeout = timeout < least ? least : timeout;
    timeout <<= peer->resends < 4 ? peer->resends : 4;
    return timeout < most ? timeout : most;
}

/* One Prepare from first_op on, as large as a datagram may be. Returns the last op in it. */
static uint64_t send_prepare(struct replica *r, uint32_t mask, uint64_t first_op, uint64_t last_op)
{
    const uint8_t *bytes;
    size_t size;
    const uint32_t count = vr_log_run(&r->log, first_op, last_op,
                                      r->options.message_budget - PREPARE_OVERHEAD, &bytes, &size);
    const struct message m = {
        .type = MESSAGE_PREPARE,
        .prepare =
            {
                .view_number = r->view_number,
                .first_op = first_op,
                .parent_checksum = vr_log_checksum(&r->log, first_op - 1),
                .commit_number = r->commit_number,
                .commit_checksum = vr_log_checksum(&r->log, r->commit_number),
                .round = r->round,
                .entry_count = count,
                .entries_size = (uint32_t)size,
                .entries = bytes,
            },
    };
    send_to_mask(r, mask, &m);
    r->commit_said = r->commit_number;
    return first_op + count - 1;
}

/* How far Prepares may go now: the pipeline in entries and in bytes (N3). */
static uint64_t pipeline_end(const struct replica *r)
{
    const uint64_t limit = r->commit_number + r->options.pipeline_max;
    const uint64_t end = r->log.op_number < limit ? r->log.op_number : limit;
    VR_MARK_IF(r->log.op_number > limit, N3_pipeline_is_full);
    if (end <= r->prepared_op || r->prepared_op < r->commit_number) {
        return end;
    }
    const size_t in_flight = vr_log_run_size(&r->log, r->commit_number + 1, r->prepared_op);
    return in_flight < PIPELINE_BYTES_MAX ? end : r->prepared_op;
}

/* Returns true if there is more to send than one list of outputs holds. */
static bool send_prepares(struct replica *r)
{
    uint64_t end = pipeline_end(r);
    if (r->prepared_op >= end) {
        return false;
    }
    begin_round(r);
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct peer *peer = &r->peers[i];
        if (i == r->self) {
            continue;
        }
        if (peer->acked_op >= r->prepared_op) {
            peer->progress_ns = r->time.now_ns;
            peer->resends = 0;
        }
        timeout_set_at_latest(&r->timeouts, TIMEOUT_RESEND,
                              r->time.now_ns + resend_timeout(r, peer));
    }
    while (r->prepared_op < end && outputs_have_room(r, 8)) {
        r->prepared_op = send_prepare(r, others_mask(r), r->prepared_op + 1, end);
        end = pipeline_end(r);
    }
    return r->prepared_op < end;
}

void send_commit(struct replica *r)
{
    begin_round(r);
    const struct message m = {
        .type = MESSAGE_COMMIT,
        .commit =
            {
                .view_number = r->view_number,
                .commit_number = r->commit_number,
                .commit_checksum = vr_log_checksum(&r->log, r->commit_number),
                .op_number = r->log.op_number,
                .round = r->round,
                .checkpoint = checkpoint_agreed(r),
            },
    };
    send_to_others(r, &m);
    r->commit_said = r->commit_number;
}

/* N10: from the backup's acked op on. One that was not heard lately, or never acked in this view,
 * has other ways back: it asks for the view (V8) or syncs to what the heartbeat says (N7). */
static void resend_prepares(struct replica *r)
{
    timeout_stop(&r->timeouts, TIMEOUT_RESEND);
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct peer *peer = &r->peers[i];
        if (i == r->self || !peer->acked_in_view || peer->acked_op >= r->prepared_op ||
            r->time.now_ns - peer->heard_ns >= r->options.view_change_ns) {
            continue;
        }
        const uint64_t due = peer->progress_ns + resend_timeout(r, peer);
        if (due > r->time.now_ns) {
            timeout_set_at_latest(&r->timeouts, TIMEOUT_RESEND, due);
            continue;
        }
        uint64_t op = peer->acked_op;
        if (op < r->log.base_op) {
            VR_MARK(N10_what_is_not_acked_is_gone);
            continue; /* NC-10: the heartbeat tells it what it lacks, and G4 how it gets it */
        }
        for (uint32_t n = 0; n < RESEND_PREPARES_MAX && op < r->prepared_op; n++) {
            op = send_prepare(r, 1u << i, op + 1, r->prepared_op);
            r->prepares_resent++;
            VR_MARK(N10_prepare_is_sent_again);
        }
        peer->resends++;
        peer->progress_ns = r->time.now_ns;
        timeout_set_at_latest(&r->timeouts, TIMEOUT_RESEND,
                              r->time.now_ns + resend_timeout(r, peer));
    }
}

/* ---- the primary hears (N5) ---- */

void commit_up_to(struct replica *r, uint64_t commit_number)
{
    if (commit_number <= r->commit_number) {
        return;
    }
    INVARIANT(commit_number <= r->log.op_number);
    r->commit_number = commit_number;
    vr_log_protect(&r->log, commit_number);
    if (r->status == STATUS_NORMAL) {
        r->failed_views = 0;
        timeout_stop(&r->timeouts, TIMEOUT_STABLE);
    }
}

void count_acks(struct replica *r)
{
    uint64_t acked[REPLICAS_MAX];
    for (uint32_t i = 0; i < r->member_count; i++) {
        acked[i] = i == r->self ? r->durable_op : r->peers[i].acked_op;
    }
    commit_up_to(r, quorum_nth_largest(acked, r->member_count, r->quorum));
    if (r->commit_number > r->commit_said) {
        /* N6: soon, unless a Prepare carries it first. */
        timeout_set_at_latest(&r->timeouts, TIMEOUT_HEARTBEAT,
                              r->time.now_ns + r->options.heartbeat_ns / 4);
    }
}

static enum drop_reason reject_prepare_ok(const struct replica *r, const struct prepare_ok *ok)
{
    if (!r->acting_primary) {
        return DROP_NOT_PRIMARY;
    }
    if (ok->view_number != r->view_number) {
        VR_MARK_IF(ok->view_number < r->view_number, N5_ack_of_an_older_view);
        return ok->view_number < r->view_number ? DROP_OLD_VIEW : DROP_NEWER_VIEW;
    }
    if (r->later_view > r->view_number) {
        return DROP_NEWER_VIEW;
    }
    if (ok->op_number > r->log.op_number || ok->op_number < r->log.base_op) {
        VR_MARK(N5_ack_of_what_the_log_does_not_hold);
        return DROP_UNKNOWN_OP;
    }
    if (!vr_log_matches(&r->log, ok->op_number, ok->checksum)) {
        return DROP_CHECKSUM;
    }
    return DROP_NONE;
}

/* R2: it was of this view after that round had begun. */
static void note_round(const struct replica *r, struct peer *peer, uint64_t round)
{
    if (round > peer->acked_round && round <= r->round) {
        peer->acked_round = round;
    }
}

static void sample_rtt(struct replica *r, struct peer *peer, uint64_t round)
{
    if (round <= peer->rtt_round || round > r->round || r->round - round >= ROUNDS_REMEMBERED) {
        return;
    }
    peer->rtt_round = round;
    const uint64_t sent = r->round_sent_ns[round % ROUNDS_REMEMBERED];
    const uint64_t sample = r->received_ns > sent ? r->received_ns - sent : 1;
    peer->rtt_ns = peer->rtt_ns == 0 ? sample : (7 * peer->rtt_ns + sample) / 8;
}

/* V1: the time by which a quorum, this replica included, had answered last. */
static uint64_t quorum_heard_ns(const struct replica *r)
{
    uint64_t heard[REPLICAS_MAX];
    for (uint32_t i = 0; i < r->member_count; i++) {
        heard[i] = i == r->self ? UINT64_MAX : r->peers[i].acked_ns;
    }
    return quorum_nth_largest(heard, r->member_count, r->quorum);
}

/* V1: a primary without a quorum falls silent, so that the others notice; and it suspects itself.
 * With the others' votes that can end the view on the spot: false then, and there is nothing left
 * to do as its primary. */
static bool check_quorum(struct replica *r)
{
    const uint64_t heard = quorum_heard_ns(r);
    const bool silent = heard < r->time.now_ns && /* UINT64_MAX in a group of one */
                        r->time.now_ns - heard >= r->options.view_change_ns;
    if (silent && !r->abdicated) {
        VR_MARK(V1_primary_without_a_quorum_falls_silent);
        r->abdicated = true;
        suspect(r);
    } else if (!silent && r->abdicated) {
        VR_MARK(V1_silent_primary_is_heard_again);
        r->abdicated = false;
        hear_primary(r);
    }
    return r->acting_primary;
}

void count_as_heard(struct peer *peer, uint64_t heard_ns)
{
    if (heard_ns > peer->acked_ns) {
        peer->acked_ns = heard_ns;
    }
}

/* V1: a member that pulls this view's log, and gets on with it, hears its primary and will ack: the
 * view must last until then, or a group that needs this member would fail view after view. */
void note_progress(struct replica *r, uint32_t peer_index, uint64_t synced_op)
{
    struct peer *peer = &r->peers[peer_index];
    if (r->acting_primary && synced_op > peer->synced_op && synced_op <= r->log.op_number) {
        VR_MARK(V1_progress_counts_as_an_answer);
        peer->synced_op = synced_op;
        count_as_heard(peer, r->received_ns);
    }
}

/* The same for one that pulls a checkpoint. */
void note_transfer(struct replica *r, uint32_t peer_index, uint64_t staged)
{
    struct peer *peer = &r->peers[peer_index];
    if (r->acting_primary && staged > peer->transfer_staged) {
        peer->transfer_staged = staged;
        count_as_heard(peer, r->received_ns);
    }
}

void on_prepare_ok(struct replica *r, const struct message *m, uint32_t peer_index)
{
    const struct prepare_ok *ok = &m->prepare_ok;
    const enum drop_reason reason = reject_prepare_ok(r, ok);
    if (reason != DROP_NONE) {
        note_later_view(r, ok->view_number);
        drop(r, reason);
        return;
    }
    struct peer *peer = &r->peers[peer_index];
    const bool advanced = ok->op_number > peer->acked_op;
    if (advanced) {
        peer->acked_op = ok->op_number;
        peer->progress_ns = r->time.now_ns;
        peer->resends = 0;
    }
    peer->acked_in_view = true;
    /* V1: heartbeats alone do not count while entries are in flight. */
    if (advanced || peer->acked_op >= r->prepared_op) {
        count_as_heard(peer, r->received_ns);
    }
    if (peer->acked_op < r->prepared_op) {
        timeout_set_at_latest(&r->timeouts, TIMEOUT_RESEND,
                              r->time.now_ns + resend_timeout(r, peer));
    }
    r->stall_forgiven = false;
    note_round(r, peer, ok->round);
    sample_rtt(r, peer, ok->round);
    hear_checkpoint(r, &ok->checkpoint, peer_index);
    if (!r->diverged && check_quorum(r)) {
        count_acks(r);
    }
}

/* ---- a backup hears (N4, N7) ---- */

/* Advances to what the primary says, as far as the own log goes; remembers the rest (NC-5). */
static void learn_commit(struct replica *r, uint64_t commit_number, struct checksum checksum,
                         uint32_t peer)
{
    if (commit_number > r->hint_commit) {
        VR_MARK_IF(commit_number > r->log.op_number, N7_commit_number_is_beyond_the_own_log);
        r->hint_commit = commit_number;
        r->hint_checksum = checksum;
    }
    if (commit_number >= r->log.base_op && commit_number <= r->log.op_number &&
        !vr_log_matches(&r->log, commit_number, checksum)) {
        diverge(r, commit_number, checksum, peer);
        return;
    }
    const uint64_t known = r->hint_commit < r->log.op_number ? r->hint_commit : r->log.op_number;
    if (known == r->hint_commit && known > r->commit_number &&
        !vr_log_matches(&r->log, known, r->hint_checksum)) {
        diverge(r, known, r->hint_checksum, peer);
        return;
    }
    commit_up_to(r, known);
}

enum appended {
    APPENDED,
    APPENDED_NOTHING, /* all of it was there already */
    APPEND_GAP,
    APPEND_FULL,
    APPEND_DIVERGED,
};

/* Appends what chains onto the head and skips what is there, in a log of this very view (N4). */
static enum appended append_entries(struct replica *r, uint64_t first_op, struct checksum parent,
                                    const uint8_t *bytes, size_t size, uint32_t peer)
{
    if (first_op > r->log.op_number + 1) {
        return APPEND_GAP;
    }
    if (first_op <= r->log.base_op) {
        return APPENDED_NOTHING;
    }
    if (!vr_log_matches(&r->log, first_op - 1, parent)) {
        diverge(r, first_op - 1, parent, peer);
        return APPEND_DIVERGED;
    }
    const uint64_t head_before = r->log.op_number;
    struct checksum chain = parent;
    while (size > 0) {
        struct entry entry;
        const size_t entry_size = entry_decode(bytes, size, &entry);
        INVARIANT(entry_size > 0); /* message_validate() */
        if (entry.op_number <= r->log.op_number) {
            chain = entry_checksum(r->log.cluster_id, chain, bytes, entry_size);
            if (!vr_log_matches(&r->log, entry.op_number, chain)) {
                diverge(r, entry.op_number, chain, peer);
                return APPEND_DIVERGED;
            }
        } else if (vr_log_has_room(&r->log, entry_size)) {
            vr_log_append_bytes(&r->log, bytes, entry_size);
        } else {
            VR_MARK(N9_backup_has_no_room);
            r->log_full = true;
            drop(r, DROP_LOG_FULL);
            return APPEND_FULL;
        }
        bytes += entry_size;
        size -= entry_size;
    }
    return r->log.op_number > head_before ? APPENDED : APPENDED_NOTHING;
}

void stash_drain(struct replica *r)
{
    const uint32_t primary = primary_of(r, r->view_number);
    struct stash_slot *slot;
    while (!r->diverged && (slot = stash_find(&r->stash, r->log.op_number + 1)) != NULL) {
        VR_MARK(N4_stashed_prepare_is_used);
        (void)append_entries(r, slot->first_op, slot->parent_checksum, slot->entries,
                             slot->entries_size, primary); /* what it could not use is dropped */
        stash_free(&r->stash, slot);
    }
}

/* The gap before a Prepare, or before what a heartbeat says is committed, is closed at once. */
static void close_gap(struct replica *r, uint64_t op_number, struct checksum checksum,
                      uint32_t peer)
{
    if (r->sync.active || op_number <= r->log.op_number) {
        return;
    }
    const struct log_descriptor target = {
        .last_normal_view = r->view_number,
        .op_number = op_number,
        .head_checksum = checksum,
        .commit_number = r->commit_number,
        .commit_checksum = vr_log_checksum(&r->log, r->commit_number),
    };
    sync_begin(r, &target, 0, peer, others_mask(r));
}

/* Keeps a Prepare until what lies before it has come. */
static void stash_prepare(struct replica *r, const struct prepare *prepare)
{
    r->gap_last = true;
    if (!stash_put(&r->stash, prepare)) {
        VR_MARK(N4_stash_is_full);
        drop(r, DROP_STASH_FULL);
    }
}

/* True if a Prepare or Commit of this view can be acted on now; else sees to it that it will be. */
static bool follow_view(struct replica *r, const struct message *m, uint32_t peer,
                        uint64_t view_number)
{
    if (r->status == STATUS_RECOVERING) {
        drop(r, DROP_STATUS);
        return false;
    }
    if (view_number < r->view_number) {
        drop(r, DROP_OLD_VIEW);
        return false;
    }
    if (peer != primary_of(r, view_number)) {
        drop(r, DROP_NOT_FROM_PRIMARY);
        return false;
    }
    if (view_number > r->view_number) {
        VR_MARK(V8_asks_for_a_later_view);
        note_later_view(r, view_number);
        ask_view(r, peer, view_number);
        drop(r, DROP_NEWER_VIEW);
        return false;
    }
    const uint64_t round = m->type == MESSAGE_PREPARE ? m->prepare.round : m->commit.round;
    if (round > r->ack_round) {
        r->ack_round = round; /* an old heartbeat said again keeps nobody alive (UDP-7) */
        hear_primary(r);
    }
    if (r->status == STATUS_VIEW_CHANGE) {
        /* V8: its log is not ours yet, so nothing of it is executed by number. */
        if (!sync_running(r, view_number)) {
            VR_MARK(V8_asks_for_its_own_view);
            ask_view(r, peer, view_number);
        } else if (m->type == MESSAGE_PREPARE) {
            VR_MARK(V7_prepare_waits_for_the_view);
            stash_prepare(r, &m->prepare);
        }
        return false;
    }
    if (r->transfer.installing) {
        VR_MARK(G4_prepare_meets_an_install);
        drop(r, DROP_STATUS); /* G4: the log is about to go */
        return false;
    }
    return true;
}

void on_prepare(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct prepare *prepare = &m->prepare;
    if (!follow_view(r, m, peer, prepare->view_number)) {
        return;
    }
    switch (append_entries(r, prepare->first_op, prepare->parent_checksum, prepare->entries,
                           prepare->entries_size, peer)) {
    case APPENDED:
        stash_drain(r);
        break;
    case APPENDED_NOTHING:
        VR_MARK(N4_repeated_prepare_is_acked_again);
        drop(r, DROP_DUPLICATE);
        r->ack_owed = true;
        break;
    case APPEND_GAP:
        VR_MARK(N4_prepare_leaves_a_gap);
        stash_prepare(r, prepare);
        close_gap(r, prepare->first_op - 1, prepare->parent_checksum, peer);
        break;
    case APPEND_FULL:
    case APPEND_DIVERGED:
        break;
    }
    if (!r->diverged) {
        learn_commit(r, prepare->commit_number, prepare->commit_checksum, peer);
    }
}

void on_commit(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct commit *commit = &m->commit;
    if (!follow_view(r, m, peer, commit->view_number)) {
        return;
    }
    r->ack_owed = true; /* N8 */
    hear_agreed_checkpoint(r, &commit->checkpoint, peer);
    if (r->diverged) {
        return;
    }
    learn_commit(r, commit->commit_number, commit->commit_checksum, peer);
    if (!r->diverged) {
        close_gap(r, commit->commit_number, commit->commit_checksum, peer);
    }
}

void on_goodbye(struct replica *r, const struct message *m, uint32_t peer)
{
    if (r->status != STATUS_NORMAL || r->acting_primary ||
        m->goodbye.view_number != r->view_number) {
        drop(r, DROP_STATUS);
        return;
    }
    if (peer != primary_of(r, r->view_number)) {
        drop(r, DROP_NOT_FROM_PRIMARY);
        return;
    }
    VR_MARK(V1_goodbye_is_suspicion);
    suspect(r);
}

/* ---- a view begins; time passes; a drain ends ---- */

/* N2: the filter is rebuilt from the log above executed_op; addresses are unknown, clients resend.
 */
static void rebuild_in_flight(struct replica *r)
{
    static const struct net_address unknown;
    in_flight_clear(&r->in_flight);
    uint64_t op = r->executed_op > r->log.base_op ? r->executed_op : r->log.base_op;
    VR_MARK_IF(op < r->log.op_number, N2_filter_is_rebuilt_from_the_log);
    if (r->log.op_number - op > IN_FLIGHT_MAX) {
        op = r->log.op_number - IN_FLIGHT_MAX;
    }
    while (op < r->log.op_number) {
        op++;
        struct entry entry;
        size_t size;
        const uint8_t *bytes = vr_log_entry(&r->log, op, &size);
        INVARIANT(entry_decode(bytes, size, &entry) == size);
        in_flight_add(&r->in_flight, &entry, &unknown);
    }
}

void primary_begin(struct replica *r)
{
    VR_MARK_IF(r->commit_number < r->log.op_number, V6_view_starts_with_uncommitted_entries);
    r->acting_primary = true;
    r->abdicated = false;
    r->later_view = r->view_number; /* what was said of later views came to nothing until now */
    r->views_started++;
    r->prepared_op = r->log.op_number; /* StartView tells of them; N10 resends what is not acked */
    r->started_op = r->log.op_number;
    r->commit_said = r->commit_number;
    /* V1: after failed views the others get as much time to follow as they give this view. */
    const uint64_t patience_ns = view_change_timeout(r) - r->options.view_change_ns;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct peer *peer = &r->peers[i];
        peer->acked_in_view = false;
        peer->rtt_round = r->round;
        peer->acked_round = 0;
        peer->acked_op = 0;
        peer->synced_op = 0;
        peer->transfer_staged = 0;
        peer->acked_ns = r->time.now_ns + patience_ns;
        peer->progress_ns = r->time.now_ns;
        peer->resends = 0;
        peer->start_view_sent_ns = 0;
    }
    rebuild_in_flight(r);
    send_start_view(r, others_mask(r));
    timeout_set(&r->timeouts, TIMEOUT_HEARTBEAT, r->time.now_ns + r->options.heartbeat_ns);
    count_acks(r);
}

void backup_begin(struct replica *r)
{
    r->ack_owed = true;
    hear_primary(r);
    stash_drain(r);
}

void normal_tick(struct replica *r)
{
    if (timeout_due(&r->timeouts, TIMEOUT_STABLE, r->time.now_ns)) {
        timeout_stop(&r->timeouts, TIMEOUT_STABLE);
        r->failed_views = 0;
    }
    if (!r->acting_primary || !check_quorum(r)) {
        return;
    }
    if (!is_serving(r)) {
        /* V1, V9: neither Commit nor Prepare; the clock for the check goes on. */
        timeout_set(&r->timeouts, TIMEOUT_HEARTBEAT, r->time.now_ns + r->options.heartbeat_ns);
        timeout_stop(&r->timeouts, TIMEOUT_RESEND);
        return;
    }
    if (timeout_due(&r->timeouts, TIMEOUT_HEARTBEAT, r->time.now_ns)) {
        send_commit(r);
    }
    if (timeout_due(&r->timeouts, TIMEOUT_RESEND, r->time.now_ns)) {
        resend_prepares(r);
    }
}

/* N4: always what is as durable as the mode requires, never the head. */
static void send_prepare_ok(struct replica *r)
{
    INVARIANT(r->durable.last_normal_view == r->view_number);
    VR_MARK_IF(r->durable_op < r->log.op_number, N4_ack_names_less_than_the_head);
    r->ack_owed = false;
    const struct message m = {
        .type = MESSAGE_PREPARE_OK,
        .prepare_ok =
            {
                .view_number = r->view_number,
                .op_number = r->durable_op,
                .checksum = vr_log_checksum(&r->log, r->durable_op),
                .round = r->ack_round,
                .checkpoint = checkpoint_last(r),
            },
    };
    send_to_peer(r, primary_of(r, r->view_number), &m);
}

bool normal_flush(struct replica *r)
{
    if (is_serving(r)) {
        const bool more = send_prepares(r);
        reads_ask(r);
        return more;
    }
    if (!r->acting_primary && r->ack_owed) {
        send_prepare_ok(r);
    }
    return false;
}
