/* SPDX-License-Identifier: Apache-2.0 */
/* reads.c - reads beside the log (section 5).
 *
 * R2: what was answered to anybody before a read arrived was committed in this view, and lies at or
 * below commit_number; or in an earlier one, and lies at or below the op at which this view
 * started; or in a later one, and then a quorum had left this view before the read arrived, and no
 * round that began afterwards is acked by a quorum. So the state behind the larger of the two ops
 * is recent enough, once such a round is acked, and so is every later one: it need not be asked
 * again whether this replica is still primary when the executor gets there. */
#include "server/vr/reads.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/quorum.h"
#include "server/vr/replica.h"

enum { READS_OUTPUTS_SPARE = 8 }; /* outputs left to others in a flush */

/* ---- lists ---- */

void reads_init(struct reads *reads)
{
    memset(reads, 0, offsetof(struct reads, slots));
    reads->pending = (struct read_list){READ_SLOT_NONE, READ_SLOT_NONE};
    reads->settled = reads->pending;
    reads->free_first = READ_SLOT_NONE;
}

static void list_append(struct reads *reads, struct read_list *list, uint32_t index)
{
    reads->slots[index].next = READ_SLOT_NONE;
    if (list->first == READ_SLOT_NONE) {
        list->first = index;
    } else {
        reads->slots[list->last].next = index;
    }
    list->last = index;
}

static uint32_t list_take_first(struct reads *reads, struct read_list *list)
{
    const uint32_t index = list->first;
    list->first = reads->slots[index].next;
    if (list->first == READ_SLOT_NONE) {
        list->last = READ_SLOT_NONE;
    }
    return index;
}

/* READ_SLOT_NONE if there are READS_MAX. */
static uint32_t slot_take(struct reads *reads)
{
    uint32_t index = reads->free_first;
    if (index != READ_SLOT_NONE) {
        reads->free_first = reads->slots[index].next;
    } else if (reads->used_count < READS_MAX) {
        index = reads->used_count++;
    } else {
        return READ_SLOT_NONE;
    }
    reads->waiting_count++;
    return index;
}

/* The slot's bytes stay as they are until the next read arrives: outputs borrow them. */
static void slot_free(struct reads *reads, uint32_t index)
{
    INVARIANT(reads->waiting_count > 0);
    reads->waiting_count--;
    reads->slots[index].next = reads->free_first;
    reads->free_first = index;
}

/* ---- other answers than the state's ---- */

static void answer_not_primary(struct replica *r, struct client_id client_id, uint64_t nonce,
                               const struct net_address *address)
{
    if (!take_answer(r)) {
        return;
    }
    const struct message answer = {
        .type = MESSAGE_NOT_PRIMARY,
        .not_primary =
            {
                .client_id = client_id,
                .request_number = nonce,
                .last_normal_view = r->last_normal_view,
                .status = r->status,
            },
    };
    send_to_client(r, address, &answer);
}

static void answer_busy(struct replica *r, struct client_id client_id, uint64_t nonce,
                        uint64_t view_number, const struct net_address *address,
                        enum busy_reason reason)
{
    r->busy_count++;
    const struct message answer = {
        .type = MESSAGE_BUSY,
        .busy =
            {
                .client_id = client_id,
                .request_number = nonce,
                .view_number = view_number,
                .reason = reason,
            },
    };
    send_to_client(r, address, &answer);
}

static void answer_refused(struct replica *r, const struct message *m, enum reply_status status)
{
    const struct message answer = {
        .type = MESSAGE_REPLY,
        .reply =
            {
                .view_number = r->last_normal_view,
                .client_id = m->read.client_id,
                .request_number = m->read.nonce,
                .status = status,
            },
    };
    send_to_client(r, &m->address, &answer);
}

/* ---- a read arrives ---- */

/* D6: while recovering it answers nobody; who was never normal knows of no view to tell. */
static bool may_answer(const struct replica *r, enum read_mode mode)
{
    if (mode == READ_STALE) {
        return r->status != STATUS_RECOVERING && r->last_normal_view != VIEW_NONE;
    }
    return r->acting_primary && r->later_view <= r->view_number;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void keep(struct replica *r, const struct message *m, uint32_t index)
{
    const struct read *read = &m->read;
    struct reads *reads = &r->reads;
    const bool stale = read->mode == READ_STALE;
    reads->slots[index] = (struct read_slot){
        .operation_size = read->operation_size,
        .client_id = read->client_id,
        .nonce = read->nonce,
        .mode = read->mode,
        .address = m->address,
        .view_number = r->view_number,
        .round = r->round + 1,
        .op_number =
            stale ? read->min_op : larger(read->min_op, larger(r->commit_number, r->started_op)),
        .arrived_ns = r->time.now_ns,
    };
    VR_MARK_IF(!stale && r->started_op > r->commit_number, R2_read_waits_for_the_views_start);
    memcpy(reads->operations[index], read->operation, read->operation_size);
    list_append(reads, stale ? &reads->settled : &reads->pending, index);
}

void on_read(struct replica *r, const struct message *m)
{
    const struct read *read = &m->read;
    r->reads.seen++;
    if (!may_answer(r, read->mode)) {
        answer_not_primary(r, read->client_id, read->nonce, &m->address);
        return;
    }
    if (read->operation_size > r->options.configuration.parameters.operation_size_max) {
        answer_refused(r, m, REPLY_OPERATION_TOO_LARGE);
        return;
    }
    if (read->mode == READ_LINEARIZABLE && r->options.reads == READS_LOG) {
        VR_MARK(R1_read_is_sent_through_the_log);
        answer_refused(r, m, REPLY_READ_BY_LOG);
        return;
    }
    if (read->mode == READ_LINEARIZABLE && r->abdicated) {
        VR_MARK(R2_primary_without_a_quorum_takes_no_read);
        answer_busy(r, read->client_id, read->nonce, r->last_normal_view, &m->address,
                    BUSY_NO_QUORUM);
        return;
    }
    const uint32_t index = slot_take(&r->reads);
    if (index == READ_SLOT_NONE) {
        answer_busy(r, read->client_id, read->nonce, r->last_normal_view, &m->address,
                    BUSY_QUEUE_FULL);
        return;
    }
    keep(r, m, index);
}

/* ---- rounds (R2) ---- */

/* The last round of this view that a quorum has acked; UINT64_MAX in a group of one. */
static uint64_t confirmed_round(const struct replica *r)
{
    uint64_t acked[REPLICAS_MAX];
    for (uint32_t i = 0; i < r->member_count; i++) {
        acked[i] = i == r->self ? UINT64_MAX : r->peers[i].acked_round;
    }
    return quorum_nth_largest(acked, r->member_count, r->quorum);
}

/* One round at a time: reads that come meanwhile share the next one. A round that was lost is made
 * up for by the next heartbeat, or by one that is asked for again here. */
void reads_ask(struct replica *r)
{
    struct reads *reads = &r->reads;
    if (reads->pending.last == READ_SLOT_NONE ||
        reads->slots[reads->pending.last].round <= r->round || r->quorum == 1) {
        return;
    }
    const uint64_t sent_ns = r->round_sent_ns[reads->asked_round % ROUNDS_REMEMBERED];
    const bool under_way = reads->asked_round > confirmed_round(r) &&
                           r->round - reads->asked_round < ROUNDS_REMEMBERED &&
                           r->time.now_ns - sent_ns < r->options.heartbeat_ns / 4;
    if (under_way || !outputs_have_room(r, READS_OUTPUTS_SPARE)) {
        return;
    }
    send_commit(r);
    reads->asked_round = r->round;
    reads->rounds++;
}

/* ---- a drain ends ---- */

static bool of_this_view(const struct replica *r, const struct read_slot *slot)
{
    return r->acting_primary && slot->view_number == r->view_number;
}

/* A view that is over answers no read that it has not confirmed; its client asks the next one. */
static void settle_pending(struct replica *r)
{
    struct reads *reads = &r->reads;
    const uint64_t confirmed = is_serving(r) ? confirmed_round(r) : 0;
    while (reads->pending.first != READ_SLOT_NONE && outputs_have_room(r, READS_OUTPUTS_SPARE)) {
        const struct read_slot *slot = &reads->slots[reads->pending.first];
        const bool late = r->time.now_ns - slot->arrived_ns >= r->options.view_change_ns;
        if (!of_this_view(r, slot)) {
            VR_MARK(R2_read_ends_with_its_view);
            answer_not_primary(r, slot->client_id, slot->nonce, &slot->address);
            slot_free(reads, list_take_first(reads, &reads->pending));
        } else if (confirmed >= slot->round) {
            VR_MARK_IF(slot->next != READ_SLOT_NONE &&
                           reads->slots[slot->next].round == slot->round,
                       R2_round_is_shared);
            reads->confirmed++;
            list_append(reads, &reads->settled, list_take_first(reads, &reads->pending));
        } else if (late) {
            /* Its client, who would be sent to this very replica by a Busy, asks all of them. */
            VR_MARK(R2_late_read_is_not_answered);
            reads->late++;
            slot_free(reads, list_take_first(reads, &reads->pending));
        } else {
            return;
        }
    }
}

/* R2: a read that its view has confirmed is that view's, though another may have begun meanwhile.
 */
static uint64_t answered_in(const struct replica *r, const struct read_slot *slot)
{
    return slot->mode == READ_STALE ? r->last_normal_view : slot->view_number;
}

static void hand_to_executor(struct replica *r, uint32_t index)
{
    const struct read_slot *slot = &r->reads.slots[index];
    VR_MARK_IF(slot->mode != READ_STALE && !of_this_view(r, slot), R2_read_outlives_its_view);
    struct vr_output *output = output_add(r, VR_OUT_READ);
    output->read.client_id = slot->client_id;
    output->read.nonce = slot->nonce;
    output->read.view_number = answered_in(r, slot);
    output->read.commit_number = slot->mode == READ_STALE ? r->commit_number : 0; /* R4 */
    output->read.op_number = slot->op_number;
    output->read.address = slot->address;
    output->read.operation_size = slot->operation_size;
    output->read.operation = r->reads.operations[index];
    r->reads.answered++;
}

/* G4: between being told of a checkpoint and having loaded it the executor has no state. */
static bool may_read_state(const struct replica *r)
{
    return r->status != STATUS_RECOVERING && !r->transfer.installing;
}

/* All of them are looked at: few wait here for long, for an op that this replica has not got. */
static void answer_settled(struct replica *r)
{
    struct reads *reads = &r->reads;
    struct read_list waiting = {READ_SLOT_NONE, READ_SLOT_NONE};
    while (reads->settled.first != READ_SLOT_NONE && outputs_have_room(r, 1)) {
        const uint32_t index = list_take_first(reads, &reads->settled);
        const struct read_slot *slot = &reads->slots[index];
        if (slot->op_number <= r->handed_op && may_read_state(r)) {
            hand_to_executor(r, index);
            slot_free(reads, index);
        } else if (r->time.now_ns - slot->arrived_ns >= r->options.view_change_ns) {
            VR_MARK_IF(slot->op_number > r->handed_op, R4_op_does_not_come);
            answer_busy(r, slot->client_id, slot->nonce, answered_in(r, slot), &slot->address,
                        BUSY_BEHIND);
            slot_free(reads, index);
        } else {
            VR_MARK_IF(r->transfer.installing, R4_read_meets_an_install);
            list_append(reads, &waiting, index);
        }
    }
    /* Those that wait on come first: they are older than what there was no room for. */
    if (waiting.first != READ_SLOT_NONE) {
        reads->slots[waiting.last].next = reads->settled.first;
        if (reads->settled.last == READ_SLOT_NONE) {
            reads->settled.last = waiting.last;
        }
        reads->settled.first = waiting.first;
    }
}

bool reads_flush(struct replica *r)
{
    if (r->reads.waiting_count == 0) {
        return false;
    }
    settle_pending(r);
    answer_settled(r);
    return !outputs_have_room(r, READS_OUTPUTS_SPARE);
}
