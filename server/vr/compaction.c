/* SPDX-License-Identifier: Apache-2.0 */
/* compaction.c - what checkpoints taken here are good for: the log before them goes (K1, K2), and
 * their digests tell a replica whose state is not the others' (K4). */
#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/replica.h"

/* ---- the own checkpoints ---- */

static bool is_gone(const struct replica *r, uint32_t i)
{
    return (r->checkpoints_gone & (UINT32_C(1) << i)) != 0;
}

/* Takes one out of the list. */
static void forget(struct replica *r, uint32_t i)
{
    const uint32_t below = (UINT32_C(1) << i) - 1;
    r->checkpoint_count--;
    memmove(&r->checkpoints[i], &r->checkpoints[i + 1],
            (r->checkpoint_count - i) * sizeof r->checkpoints[0]);
    r->checkpoints_gone = (r->checkpoints_gone & below) | ((r->checkpoints_gone >> 1) & ~below);
}

/* Where the list is full, the oldest that is gone; there is one, for no more than two and one for
 * each peer are kept. */
static void make_place(struct replica *r)
{
    for (uint32_t i = CHECKPOINTS_MAX; i-- > 0 && r->checkpoint_count == CHECKPOINTS_MAX;) {
        if (is_gone(r, i)) {
            forget(r, i);
        }
    }
    INVARIANT(r->checkpoint_count < CHECKPOINTS_MAX);
}

void checkpoint_remember(struct replica *r, const struct checkpoint_id *id)
{
    make_place(r);
    memmove(&r->checkpoints[1], &r->checkpoints[0], r->checkpoint_count * sizeof r->checkpoints[0]);
    r->checkpoints[0] = *id;
    r->checkpoints_gone <<= 1;
    r->checkpoint_count++;
}

const struct checkpoint_id *checkpoint_with_root(const struct replica *r, struct checksum root)
{
    for (uint32_t i = 0; i < r->checkpoint_count; i++) {
        if (checksum_equal(r->checkpoints[i].root, root) && !is_gone(r, i)) {
            return &r->checkpoints[i];
        }
    }
    return NULL;
}

const struct checkpoint_id *checkpoint_offered(const struct replica *r)
{
    for (uint32_t i = 0; i < r->checkpoint_count; i++) {
        if (!is_gone(r, i)) {
            return &r->checkpoints[i];
        }
    }
    return NULL;
}

void on_checkpoint_unreadable(struct replica *r, uint64_t op_number)
{
    for (uint32_t i = 0; i < r->checkpoint_count; i++) {
        if (r->checkpoints[i].op_number == op_number) {
            VR_MARK(K3_checkpoint_is_unreadable);
            r->checkpoints_gone |= UINT32_C(1) << i;
        }
    }
}

static const struct checkpoint_id *checkpoint_at(const struct replica *r, uint64_t op_number)
{
    for (uint32_t i = 0; i < r->checkpoint_count; i++) {
        if (r->checkpoints[i].op_number == op_number) {
            return &r->checkpoints[i];
        }
    }
    return NULL;
}

/* ---- what may go (K2) ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* True if somebody pulls that checkpoint, or did lately: it may have been paused, or be slow. */
static bool is_pulled(const struct replica *r, uint64_t op_number)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct peer *peer = &r->peers[i];
        if (peer->pulled_ns != 0 && peer->pulled_op == op_number &&
            r->time.now_ns - peer->pulled_ns < r->options.checkpoint_pin_ns) {
            return true;
        }
    }
    return false;
}

/* Bit i: checkpoint i is kept because it is pulled. Beyond the last two, which stay anyway, not
 * more than CHECKPOINT_PINS_MAX: the oldest of them, for theirs are the transfers that end first.
 */
static uint32_t pinned(const struct replica *r)
{
    uint32_t mask = 0;
    uint32_t count = 0;
    for (uint32_t i = r->checkpoint_count; i-- > 0;) {
        const bool takes_room = i >= 2;
        if (!is_gone(r, i) && is_pulled(r, r->checkpoints[i].op_number) &&
            !(takes_room && count == CHECKPOINT_PINS_MAX)) {
            mask |= UINT32_C(1) << i;
            count += takes_room ? 1u : 0u;
        }
    }
    return mask;
}

/* The oldest pinned one, if what follows it is still in the log: else that waits for nobody. */
static uint64_t oldest_followed(const struct replica *r, uint32_t pins)
{
    for (uint32_t i = r->checkpoint_count; i-- > 0;) {
        const uint64_t op = r->checkpoints[i].op_number;
        if ((pins & (UINT32_C(1) << i)) != 0 && op >= r->log.base_op) {
            return op;
        }
    }
    return UINT64_MAX;
}

/* Where memory ends no laggard is waited for (NC-10): it finds a checkpoint. */
static bool memory_is_scarce(const struct replica *r)
{
    return vr_log_bytes_free(&r->log) < (size_t)r->log.block_count / 4 * r->log.block_size;
}

/* As much as is needed, the oldest first, and nothing behind the last checkpoint. So who pulls that
 * has the time in which three quarters of the memory are written, to follow it. */
static void drop_while_scarce(struct replica *r)
{
    const uint64_t held = smaller(r->durable_op, r->executed_op);
    const uint64_t last = r->checkpoint_count == 0 ? 0 : r->checkpoints[0].op_number;
    const uint64_t before = r->log.base_op;
    if (!memory_is_scarce(r)) {
        return;
    }
    r->base_timestamp = last_timestamp(r);
    while (memory_is_scarce(r) && vr_log_drop_block(&r->log, smaller(last, held))) {
    }
    if (r->log.base_op > before) {
        VR_MARK(K2_laggards_wait_in_vain);
        r->log_full = false;
        r->full_at_op = UINT64_MAX;
    }
}

/* Index of the one that a start falls back to (K3); checkpoint_count: there is none. */
static uint32_t second_whole(const struct replica *r)
{
    uint32_t i = 1;
    while (i < r->checkpoint_count && is_gone(r, i)) {
        i++;
    }
    return i < r->checkpoint_count ? i : r->checkpoint_count;
}

void compaction_make_room(struct replica *r)
{
    const uint64_t held = smaller(r->durable_op, r->executed_op);
    const uint64_t last = r->checkpoint_count == 0 ? 0 : r->checkpoints[0].op_number;
    r->base_timestamp = last_timestamp(r);
    vr_log_drop(&r->log, smaller(last, held));
}

/* Drops what may go: of the log in memory; of the one on disk never more than all before the
 * previous one, for a start may find the last one damaged (K1, K3). */
static void compact(struct replica *r)
{
    const uint64_t held = smaller(r->durable_op, r->executed_op);
    const uint32_t second = second_whole(r);
    const uint64_t previous = second == r->checkpoint_count ? 0 : r->checkpoints[second].op_number;
    const uint64_t retain = r->options.log_retain;
    const uint32_t pins = pinned(r);
    const bool scarce = memory_is_scarce(r);
    uint64_t through = smaller(previous, held);
    if (!scarce) {
        through = smaller(through, r->log.op_number > retain ? r->log.op_number - retain : 0);
        through = smaller(through, oldest_followed(r, pins));
        r->base_timestamp = last_timestamp(r);
        vr_log_drop(&r->log, through);
    }
    drop_while_scarce(r);
    r->log_full = false;
    r->full_at_op = UINT64_MAX;
    r->dropped_op = through > r->dropped_op ? through : r->dropped_op;
    if (second == r->checkpoint_count) {
        return;
    }
    struct vr_output *output = output_add(r, VR_OUT_DROP_LOG);
    output->drop_log.through_op = r->dropped_op;
    output->drop_log.checkpoints_from = previous;
    output->drop_log.pulled_count = 0;
    for (uint32_t i = second + 1; i < r->checkpoint_count; i++) {
        if ((pins & (UINT32_C(1) << i)) != 0) {
            VR_MARK(K2_checkpoint_that_is_pulled_is_kept);
            output->drop_log.pulled[output->drop_log.pulled_count++] = r->checkpoints[i].op_number;
        } else {
            r->checkpoints_gone |= UINT32_C(1) << i;
        }
    }
}

/* Operations may be so large that the memory of the log is used up before the interval is: then
 * nothing more could be executed, and no checkpoint would ever be taken. So one is asked for
 * whenever the log behind the last one takes a quarter of the memory; again after a while, for the
 * disk may have refused it. And whenever the last one turned out to be damaged: a start and those
 * who lag need another. */
void compaction_flush(struct replica *r)
{
    const uint64_t last = r->checkpoint_count == 0 ? 0 : r->checkpoints[0].op_number;
    const size_t quarter = (size_t)r->log.block_count * r->log.block_size / 4;
    const bool asked_lately =
        r->asked_checkpoint_ns != 0 &&
        r->time.now_ns - r->asked_checkpoint_ns < r->options.view_change_max_ns / 8;
    if (!r->transfer.installing && r->install.phase == INSTALL_NONE) {
        drop_while_scarce(r);
    }
    if (asked_lately || r->executed_op <= last || r->transfer.installing) {
        return;
    }
    if (!(r->checkpoint_count > 0 && is_gone(r, 0)) &&
        (vr_log_bytes_used(&r->log) < quarter ||
         vr_log_run_size(&r->log, last + 1, r->executed_op) < quarter)) {
        return;
    }
    VR_MARK(K1_checkpoint_before_its_interval);
    r->asked_checkpoint_ns = r->time.now_ns;
    (void)output_add(r, VR_OUT_TAKE_CHECKPOINT);
}

/* ---- digests (K4) ---- */

struct checkpoint_mark checkpoint_last(const struct replica *r)
{
    if (r->checkpoint_count == 0) {
        return (struct checkpoint_mark){0};
    }
    return (struct checkpoint_mark){r->checkpoints[0].op_number, r->checkpoints[0].digest};
}

/* Other members that told of this very digest. */
static uint32_t count_marks(const struct replica *r, const struct checkpoint_mark *mark)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct checkpoint_mark *theirs = &r->peers[i].checkpoint;
        count += i != r->self && theirs->op_number == mark->op_number &&
                         checksum_equal(theirs->digest, mark->digest)
                     ? 1u
                     : 0u;
    }
    return count;
}

struct checkpoint_mark checkpoint_agreed(const struct replica *r)
{
    for (uint32_t i = 0; i < r->checkpoint_count; i++) {
        const struct checkpoint_mark mark = {r->checkpoints[i].op_number, r->checkpoints[i].digest};
        if (count_marks(r, &mark) + 1 >= r->quorum) {
            return mark;
        }
    }
    return (struct checkpoint_mark){0};
}

/* True, and this replica is out, if its own digest is not the one that a quorum has. */
static bool judge_mark(struct replica *r, const struct checkpoint_mark *mark, uint32_t peer)
{
    const struct checkpoint_id *own =
        mark->op_number == 0 ? NULL : checkpoint_at(r, mark->op_number);
    if (r->diverged || own == NULL || checksum_equal(own->digest, mark->digest)) {
        return false;
    }
    const struct checkpoint_mark mine = {own->op_number, own->digest};
    diverge_state(r, &mine, mark, peer);
    return true;
}

static bool judge_peers_mark(struct replica *r, uint32_t peer)
{
    const struct checkpoint_mark mark = r->peers[peer].checkpoint;
    return count_marks(r, &mark) >= r->quorum && judge_mark(r, &mark, peer);
}

void hear_checkpoint(struct replica *r, const struct checkpoint_mark *mark, uint32_t peer)
{
    if (mark->op_number > r->peers[peer].checkpoint.op_number) {
        r->peers[peer].checkpoint = *mark;
        (void)judge_peers_mark(r, peer);
    }
}

void hear_agreed_checkpoint(struct replica *r, const struct checkpoint_mark *mark, uint32_t peer)
{
    if (mark->op_number > r->agreed.op_number) {
        r->agreed = *mark;
        (void)judge_mark(r, mark, peer);
    }
}

void on_checkpoint(struct replica *r, const struct checkpoint_id *id)
{
    if (r->checkpoint_count > 0 && id->op_number <= r->checkpoints[0].op_number) {
        return; /* one from another replica was installed meanwhile */
    }
    INVARIANT(id->op_number <= r->executed_op);
    INVARIANT(vr_log_matches(&r->log, id->op_number, id->log));
    checkpoint_remember(r, id);
    r->asked_checkpoint_ns = 0;
    bool diverged = judge_mark(r, &r->agreed, primary_of(r, r->view_number));
    for (uint32_t i = 0; i < r->member_count && !diverged; i++) {
        diverged = i != r->self && judge_peers_mark(r, i);
    }
    if (!diverged) {
        compact(r);
    }
}
