/* SPDX-License-Identifier: Apache-2.0 */
/* log_sync.c - the one way a log is repaired (rules G1 to G7; VRR sections 4.3, 5.2).
 *
 * The difference to a target is pulled, staged beside the own log and verified along the chain.
 * Until the chain reaches the target's head the own log, last_normal_view and all that the replica
 * says of itself stay as they were (G3: VRR truncates first and asks then, and loses committed
 * entries when something comes between). Installing is one write of the log, then one of the state
 * file, then a new status (G6). */
#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/replica.h"

enum {
    RANGE_FIRST = 8,  /* ops asked for at once before entry sizes are known */
    BACK_OFF_MAX = 6, /* doublings */
};

bool sync_running(const struct replica *r, uint64_t entering)
{
    return (r->sync.active && r->sync.entering == entering) ||
           (r->install.phase != INSTALL_NONE && r->install.view_number == entering);
}

void sync_drop(struct replica *r)
{
    if (r->sync.active && r->sync.pulling) {
        transfer_pause(r);
    }
    r->sync.active = false;
    r->sync.entering = 0;
    timeout_stop(&r->timeouts, TIMEOUT_SYNC);
}

/* ---- installing (G6) ---- */

/* The last op up to which the own log and the staged one are the same. */
static uint64_t common_op(const struct replica *r, uint64_t target_op)
{
    if (target_op <= r->commit_number) {
        VR_MARK(G6_late_target_is_met);
        return r->commit_number; /* a late duplicate that is met: nothing committed is cut */
    }
    uint64_t op = r->sync.start_op;
    while (op < target_op && op < r->log.op_number &&
           vr_log_matches(&r->log, op + 1, vr_log_checksum(&r->staging, op + 1))) {
        op++;
    }
    return op;
}

static void cut_log(struct replica *r, uint64_t op_number)
{
    if (op_number == r->log.op_number) {
        if (r->had.op_number > op_number) {
            r->log_generation++; /* D5: the disk's log goes on behind what is held of it */
        }
        return;
    }
    VR_MARK(G6_log_is_cut);
    vr_log_cut(&r->log, op_number);
    r->log_generation++; /* S4 */
    r->written_op = r->written_op < op_number ? r->written_op : op_number;
    r->durable_op = r->durable_op < op_number ? r->durable_op : op_number;
    r->held_op = r->held_op < op_number ? r->held_op : op_number;
    r->log_full = false;
    r->full_at_op = UINT64_MAX;
}

static void append_staged(struct replica *r, uint64_t after_op)
{
    INVARIANT(after_op == r->log.op_number);
    r->catchup_entries += r->staging.op_number - after_op;
    if (after_op == r->log.base_op && r->staging.base_op == r->log.base_op) {
        /* A whole log into an empty one: the regions change places. */
        const struct vr_log empty = r->log;
        r->log = r->staging;
        r->staging = empty;
        return;
    }
    vr_log_append_from(&r->log, &r->staging, r->staging.op_number);
}

/* This replica's memory ends before the log does. Pulling it again would end the same way, so it
 * stays out until it is given more (V11), and says why. */
static void give_up_full(struct replica *r, uint64_t op_number)
{
    r->log_full = true;
    r->full_at_op = op_number;
    drop(r, DROP_LOG_FULL);
    sync_drop(r);
}

/* Staged entries need no room that a checkpoint can make: outside a view nothing is executed, so
 * none would be taken that does. */
static bool fits_behind(struct replica *r, uint64_t after_op, uint64_t last_op)
{
    if (!vr_log_has_room_after(&r->log, after_op, &r->staging, last_op)) {
        compaction_make_room(r);
    }
    return vr_log_has_room_after(&r->log, after_op, &r->staging, last_op);
}

/* On the way into a view that this replica was not yet normal in: cut at the first op that differs,
 * never below it; append; wait for the disk. */
static void install_begin(struct replica *r)
{
    const struct log_descriptor target = r->sync.target;
    const uint64_t entering = r->sync.entering;
    const uint64_t common = common_op(r, target.op_number);
    if (target.op_number > common && !fits_behind(r, common, target.op_number)) {
        give_up_full(r, target.op_number);
        return;
    }
    const struct vr_log *holder = target.commit_number <= common ? &r->log : &r->staging;
    if (target.commit_number >= r->log.base_op && /* below, all is committed, and gone */
        !vr_log_matches(holder, target.commit_number, target.commit_checksum)) {
        drop(r, DROP_CHECKSUM); /* N7: no log can be right for such a target */
        sync_drop(r);
        return;
    }
    const bool restores = restoring(r);
    sync_drop(r);
    cut_log(r, common);
    if (target.op_number > common) {
        append_staged(r, common);
    }
    r->install = (struct install){
        .phase = INSTALL_LOG,
        .view_number = entering,
        .target = target,
        .restores = restores,
    };
    install_log_durable(r);
}

void install_log_durable(struct replica *r)
{
    if (r->install.phase != INSTALL_LOG || r->durable_op < r->log.op_number ||
        r->settled_generation != r->log_generation) {
        return;
    }
    r->install.phase = INSTALL_STATE;
    r->view_number = r->install.view_number; /* raised here only if it was recovering */
    r->wanted.view_number = r->install.view_number;
    r->wanted.last_normal_view =
        r->install.restores ? r->restore.last_normal_view : r->install.view_number;
    r->wanted.log_valid = r->options.durability != DURABILITY_MEMORY; /* D3: every start is D6 */
    state_changed(r);
}

void install_state_durable(struct replica *r)
{
    const bool restores = r->install.restores;
    const uint64_t written = restores ? r->durable.view_number : r->durable.last_normal_view;
    if (r->install.phase != INSTALL_STATE || written != r->install.view_number) {
        return;
    }
    INVARIANT(r->view_number == r->install.view_number);
    INVARIANT(r->durable.view_number == r->view_number);
    INVARIANT(r->status != STATUS_NORMAL);
    r->install.phase = INSTALL_NONE;
    commit_up_to(r, r->install.target.commit_number);
    commit_up_to(r, r->commit_known); /* every view begins with all that is committed */
    if (restores) {
        restore_installed(r);
        return;
    }
    r->status = STATUS_NORMAL;
    r->suspecting = false;
    r->lost_since_ns = 0;
    timeouts_stop_all(&r->timeouts);
    timeout_set(&r->timeouts, TIMEOUT_STABLE, r->time.now_ns + 10 * r->options.view_change_ns);
    if (primary_of(r, r->view_number) == r->self) {
        primary_begin(r); /* V6 was completed in this run (P1): nothing else leads here */
    } else {
        backup_begin(r);
    }
}

/* In the own normal view an install only appends. */
static void append_only(struct replica *r)
{
    const uint64_t head = r->log.op_number;
    const uint64_t last = r->staging.op_number;
    if (head >= last) {
        VR_MARK(G6_gap_is_closed_already);
        sync_drop(r);
        return;
    }
    if (!vr_log_has_checksum(&r->staging, head) ||
        !vr_log_matches(&r->log, head, vr_log_checksum(&r->staging, head))) {
        drop(r, DROP_CHECKSUM);
        sync_drop(r);
        return;
    }
    if (!fits_behind(r, head, last)) {
        give_up_full(r, last);
        return;
    }
    VR_MARK(G6_own_view_is_appended_to);
    sync_drop(r);
    vr_log_append_from(&r->log, &r->staging, last);
    r->catchup_entries += last - head;
    r->ack_owed = true; /* ST-6 */
    stash_drain(r);
    if (!r->diverged && r->hint_commit <= r->log.op_number &&
        vr_log_matches(&r->log, r->hint_commit, r->hint_checksum)) {
        commit_up_to(r, r->hint_commit);
    }
}

static void sync_finish(struct replica *r)
{
    if (r->sync.entering == 0) {
        append_only(r);
    } else {
        install_begin(r);
    }
}

/* ---- pulling (G1, G5) ---- */

static void ask(struct replica *r, struct sync_slot *slot)
{
    slot->asked_ns = r->time.now_ns;
    slot->held = false;
    const struct message m = {
        .type = MESSAGE_CATCHUP_REQUEST,
        .catchup_request =
            {
                .nonce = r->sync.nonce,
                .last_normal_view = r->sync.target.last_normal_view,
                .from_op = slot->from_op,
                .to_op = slot->to_op,
                .synced_op = r->staging.op_number,
                .restores = restoring(r),
            },
    };
    send_to_peer(r, r->sync.source, &m);
}

/* The slot whose range holds op, or NULL. */
static struct sync_slot *slot_covering(struct replica *r, uint64_t op)
{
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op != 0 && slot->from_op <= op && op <= slot->to_op) {
            return slot;
        }
    }
    return NULL;
}

/* The lowest run of ops that nobody was asked for yet; *to_op < *from_op if there is none. */
static void find_unasked(struct replica *r, uint64_t *from_op, uint64_t *to_op)
{
    const struct sync_slot *slot;
    *from_op = r->staging.op_number + 1;
    while ((slot = slot_covering(r, *from_op)) != NULL) {
        *from_op = slot->to_op + 1;
    }
    const uint64_t last = *from_op + r->sync.range - 1;
    *to_op = last < r->sync.target.op_number ? last : r->sync.target.op_number;
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        const uint64_t asked_from = r->sync_slots[i].from_op;
        if (asked_from > *from_op && asked_from <= *to_op) {
            *to_op = asked_from - 1;
        }
    }
}

static uint32_t slots_busy(const struct replica *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        count += r->sync_slots[i].from_op != 0 ? 1u : 0u;
    }
    return count;
}

/* A free slot within the window, or the one farthest ahead: what comes first is asked for first,
 * even where an answer that did not hold all it was asked for has left a hole. NULL: all are busy
 * with what lies below from_op. */
static struct sync_slot *slot_for(struct replica *r, uint64_t from_op)
{
    const bool may_take_free = slots_busy(r) < r->sync.window;
    struct sync_slot *farthest = NULL;
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op == 0) {
            if (may_take_free) {
                return slot;
            }
        } else if (slot->from_op > from_op &&
                   (farthest == NULL || slot->from_op > farthest->from_op)) {
            farthest = slot;
        }
    }
    return farthest;
}

static void fill_window(struct replica *r)
{
    timeout_set(&r->timeouts, TIMEOUT_SYNC, r->time.now_ns + r->options.resend_ns);
    for (uint32_t i = 0; i < r->sync.window && outputs_have_room(r, SYNC_WINDOW_MAX); i++) {
        uint64_t from_op;
        uint64_t to_op;
        find_unasked(r, &from_op, &to_op);
        struct sync_slot *slot = to_op < from_op ? NULL : slot_for(r, from_op);
        if (slot == NULL) {
            return;
        }
        slot->from_op = from_op;
        slot->to_op = to_op;
        slot->repeats = 0;
        ask(r, slot);
    }
}

/* Forgets what is staged and starts from an op where own log and target are known to be equal. */
static void stage_from(struct replica *r, uint64_t start_op)
{
    r->sync.start_op = start_op;
    r->sync.nonce = prng_next(&r->prng); /* answers to earlier questions count no more (G7) */
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        r->sync_slots[i].from_op = 0;
    }
    vr_log_restart(&r->staging, start_op, vr_log_checksum(&r->log, start_op));
}

void sync_next_source(struct replica *r)
{
    for (uint32_t i = 1; i <= r->member_count; i++) {
        const uint32_t candidate = (r->sync.source + i) % r->member_count;
        if ((r->sync.sources & (1u << candidate)) != 0) {
            r->sync.source = candidate;
            return;
        }
    }
}

/* G5: not from this op, or not this source; the tick asks the next one, at its pace. To close a gap
 * in its own view a replica need not know who is wrong: the next heartbeat names a target again. */
static void start_over(struct replica *r)
{
    if (!r->sync.active) {
        return;
    }
    if (r->sync.start_is_guess) {
        r->sync.start_is_guess = false;
        stage_from(r, r->commit_number);
        fill_window(r);
        return;
    }
    r->sync.mismatches++;
    if ((r->sync.entering == 0 || restoring(r)) && r->sync.mismatches >= r->member_count) {
        sync_drop(r); /* D9: not what is known to be committed here; a person chooses anew */
        return;
    }
    sync_next_source(r);
    /* In the own view the log goes on meanwhile, and what was its head may be gone by now (K1). */
    stage_from(r, r->sync.entering == 0 ? r->log.op_number : r->sync.start_op);
    timeout_set(&r->timeouts, TIMEOUT_SYNC, r->time.now_ns + r->options.resend_ns);
}

/* G1: the largest op at which both logs are known, or may be hoped, to be equal. */
static uint64_t find_start(struct replica *r, const struct log_descriptor *target,
                           uint64_t entering)
{
    r->sync.start_is_guess = false;
    if (vr_log_matches(&r->log, target->op_number, target->head_checksum)) {
        return target->op_number;
    }
    if (entering == 0) {
        return r->log.op_number;
    }
    uint64_t start_op = r->commit_number;
    if (target->commit_number > start_op &&
        vr_log_matches(&r->log, target->commit_number, target->commit_checksum)) {
        VR_MARK(G1_starts_from_the_targets_commit_number);
        start_op = target->commit_number;
    }
    if (r->last_normal_view == target->last_normal_view && r->log.op_number > start_op &&
        r->log.op_number < target->op_number) {
        start_op =
            r->log.op_number; /* logs of one view are prefixes of each other; the chain tells */
        VR_MARK(G1_start_is_guessed);
        r->sync.start_is_guess = true;
    }
    return start_op;
}

void sync_begin(struct replica *r, const struct log_descriptor *target, uint64_t entering,
                uint32_t source, uint32_t sources)
{
    INVARIANT(r->install.phase == INSTALL_NONE);
    if (entering != 0 && target->op_number < r->commit_known) {
        drop(r, DROP_OLD_VIEW); /* D5: no log that leaves out what is committed; G6 likewise */
        return;
    }
    if (r->transfer.installing) {
        VR_MARK(G4_sync_meets_an_install);
        drop(r, DROP_STATUS); /* G4: the log that it would start from is about to go */
        return;
    }
    if (target->op_number <= r->commit_number &&
        !vr_log_matches(&r->log, target->op_number, target->head_checksum)) {
        VR_MARK(G6_superseded_view_is_ignored);
        drop(r, DROP_OLD_VIEW); /* G6: that view is superseded */
        return;
    }
    if (target->op_number >= r->full_at_op) {
        VR_MARK(V11_log_larger_than_the_memory);
        drop(r, DROP_LOG_FULL); /* tried before: more than this replica's memory holds */
        return;
    }
    sync_drop(r);
    r->sync.entering = entering;
    r->sync.target = *target;
    r->sync.source = source;
    r->sync.sources = sources & others_mask(r);
    r->sync.range = RANGE_FIRST;
    r->sync.window = SYNC_WINDOW_MAX;
    r->sync.mismatches = 0;
    r->sync.stalls = 0;
    r->sync.progress_ns = r->time.now_ns;
    r->sync.source_ns = r->time.now_ns;
    r->sync.pulling = false;
    r->sync.active = true;
    stage_from(r, find_start(r, target, entering));
    if (r->sync.start_op >= target->op_number) {
        sync_finish(r);
        return;
    }
    if (r->sync.source == r->self) {
        sync_next_source(r);
    }
    fill_window(r);
}

/* G4: the own log is known to be right up to this op, so the target is pulled from there on. */
void sync_start_at(struct replica *r, uint64_t op_number)
{
    const struct log_descriptor *target = &r->sync.target;
    const uint64_t start = r->sync.entering == 0 ? r->log.op_number : op_number;
    if (target->op_number < start ||
        (target->op_number == start && !vr_log_matches(&r->log, start, target->head_checksum))) {
        sync_drop(r); /* G6: superseded, or met and more */
        return;
    }
    r->sync.start_is_guess = false;
    stage_from(r, start);
    if (start == target->op_number) {
        sync_finish(r);
    } else {
        fill_window(r);
    }
}

static enum drop_reason reject_response(const struct replica *r,
                                        const struct catchup_response *response)
{
    if (!r->sync.active || response->nonce != r->sync.nonce ||
        response->last_normal_view != r->sync.target.last_normal_view) {
        VR_MARK(G7_late_answer_is_dropped);
        return DROP_NONCE;
    }
    return DROP_NONE;
}

/* The request that this answers; an answer that was held already is a duplicate. */
static struct sync_slot *slot_asked(struct replica *r, const struct catchup_response *response)
{
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op != 0 && slot->from_op == response->first_op && !slot->held &&
            response->entry_count <= slot->to_op - slot->from_op + 1) {
            return slot;
        }
    }
    return NULL;
}

/* An answer ends where it stops: what did not fit is asked for as a range of its own, and the next
 * ranges are what fitted this time. */
static void fit_slot(struct replica *r, struct sync_slot *slot, uint32_t entry_count)
{
    const uint64_t asked = slot->to_op - slot->from_op + 1;
    slot->to_op = slot->from_op + entry_count - 1;
    if (entry_count < asked) {
        VR_MARK(G1_answer_holds_less_than_was_asked_for);
        r->sync.range = entry_count;
    } else if (asked >= r->sync.range && r->sync.range < SYNC_ENTRIES_MAX) {
        r->sync.range = 2 * r->sync.range < SYNC_ENTRIES_MAX ? 2 * r->sync.range : SYNC_ENTRIES_MAX;
    }
}

/* Stages entries that follow the staged head. False: they do not chain, or there is no room and the
 * sync has ended. */
static bool stage(struct replica *r, struct checksum parent, const uint8_t *bytes, size_t size)
{
    if (!checksum_equal(parent, vr_log_checksum(&r->staging, r->staging.op_number))) {
        drop(r, DROP_CHECKSUM);
        return false;
    }
    while (size > 0) {
        struct entry entry;
        const size_t entry_size = entry_decode(bytes, size, &entry);
        INVARIANT(entry_size > 0); /* message_validate() */
        if (!vr_log_has_room(&r->staging, entry_size)) {
            give_up_full(r, entry.op_number);
            return false;
        }
        vr_log_append_bytes(&r->staging, bytes, entry_size);
        bytes += entry_size;
        size -= entry_size;
    }
    return true;
}

static struct sync_slot *slot_held_next(struct replica *r)
{
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op == r->staging.op_number + 1 && slot->held) {
            return slot;
        }
    }
    return NULL;
}

static void hold(struct replica *r, struct sync_slot *slot, const struct catchup_response *response)
{
    if (response->entries_size <= sizeof slot->entries) {
        VR_MARK(G3_answer_waits_for_those_before);
        slot->held = true;
        slot->parent_checksum = response->parent_checksum;
        slot->entry_count = response->entry_count;
        slot->entries_size = response->entries_size;
        memcpy(slot->entries, response->entries, response->entries_size);
        return;
    }
    /* Too large to wait here: from now on one after the other. */
    VR_MARK(G3_answer_is_too_large_to_wait);
    r->sync.window = 1;
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        if (r->sync_slots[i].from_op > r->staging.op_number + 1) {
            r->sync_slots[i].from_op = 0;
        }
    }
}

void on_catchup_response(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct catchup_response *response = &m->catchup_response;
    const enum drop_reason reason = reject_response(r, response);
    struct sync_slot *slot = reason == DROP_NONE ? slot_asked(r, response) : NULL;
    if (slot == NULL) {
        drop(r, reason == DROP_NONE ? DROP_DUPLICATE : reason);
        return;
    }
    if (response->entry_count == 0) {
        VR_MARK(G2_source_does_not_hold_it);
        if (peer == r->sync.source) {
            sync_next_source(r); /* the tick asks it */
        }
        return;
    }
    r->peers[peer].unreachable = false;
    r->sync.progress_ns = r->time.now_ns;
    r->sync.stalls = 0;
    fit_slot(r, slot, response->entry_count);
    if (response->first_op != r->staging.op_number + 1) {
        hold(r, slot, response);
        fill_window(r);
        return;
    }
    if (!stage(r, response->parent_checksum, response->entries, response->entries_size)) {
        start_over(r);
        return;
    }
    slot->from_op = 0;
    while ((slot = slot_held_next(r)) != NULL) {
        if (!stage(r, slot->parent_checksum, slot->entries, slot->entries_size)) {
            start_over(r);
            return;
        }
        slot->from_op = 0;
    }
    if (r->staging.op_number < r->sync.target.op_number) {
        fill_window(r);
    } else if (vr_log_matches(&r->staging, r->sync.target.op_number,
                              r->sync.target.head_checksum)) {
        sync_finish(r);
    } else {
        drop(r, DROP_CHECKSUM);
        start_over(r);
    }
}

/* An answer of a megabyte takes its time in small datagrams, and its lost parts are sent again
 * anyway (M6): asking at a constant rate would bury it under copies of itself (PITFALLS ST-9). */
uint64_t sync_back_off(uint64_t interval_ns, uint32_t times)
{
    return interval_ns << (times < BACK_OFF_MAX ? times : BACK_OFF_MAX);
}

/* G5: nothing came for a while from this source. */
static void stall(struct replica *r)
{
    const uint64_t since =
        r->sync.progress_ns > r->sync.source_ns ? r->sync.progress_ns : r->sync.source_ns;
    if (r->time.now_ns - since < sync_back_off(4 * r->options.resend_ns, r->sync.stalls)) {
        return;
    }
    VR_MARK(G5_silent_source_is_left);
    r->sync.stalls++;
    r->sync.source_ns = r->time.now_ns;
    r->peers[r->sync.source].unreachable = r->sync.source != r->self;
    if (r->sync.pulling) {
        transfer_stalled(r);
    }
    sync_next_source(r);
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        r->sync_slots[i].repeats = 0; /* nobody has asked this one yet */
        r->sync_slots[i].asked_ns = 0;
    }
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        r->transfer.slots[i].repeats = 0;
        r->transfer.slots[i].asked_ns = 0;
    }
    if (r->status == STATUS_VIEW_CHANGE && primary_of(r, r->view_number) == r->self) {
        choose_anew(r); /* V6: from what it has received by now */
    }
}

void sync_tick(struct replica *r)
{
    if (!r->sync.active || !timeout_due(&r->timeouts, TIMEOUT_SYNC, r->time.now_ns)) {
        return;
    }
    if (r->sync.entering == 0 && r->log.op_number >= r->sync.target.op_number) {
        VR_MARK(G5_prepares_close_the_gap);
        sync_drop(r); /* Prepares have closed the gap */
        return;
    }
    if (!r->transfer.installing) {
        stall(r);
    }
    if (r->sync.active && r->sync.pulling) {
        transfer_tick(r);
        return;
    }
    for (uint32_t i = 0; r->sync.active && i < SYNC_WINDOW_MAX; i++) {
        struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op != 0 && !slot->held && outputs_have_room(r, SYNC_WINDOW_MAX) &&
            r->time.now_ns - slot->asked_ns >= sync_back_off(r->options.resend_ns, slot->repeats)) {
            slot->repeats++;
            ask(r, slot);
        }
    }
    if (r->sync.active) {
        fill_window(r);
    }
}

/* ---- serving (G2) ---- */

void on_catchup_request(struct replica *r, const struct message *m, uint32_t peer)
{
    /* D9: what is said for a restore is verified along the chain that a person chose. */
    if (r->status == STATUS_RECOVERING && !m->catchup_request.restores) {
        drop(r, DROP_STATUS);
        return;
    }
    note_later_view(r, m->catchup_request.last_normal_view); /* V9 */
    if (m->catchup_request.last_normal_view == r->view_number) {
        note_progress(r, peer, m->catchup_request.synced_op);
    }
    if (r->catchup_count == CATCHUP_QUEUE_MAX) {
        VR_MARK(G2_too_many_questions_wait);
        drop(r, DROP_RATE);
        return;
    }
    const uint32_t at = (r->catchup_head + r->catchup_count) % CATCHUP_QUEUE_MAX;
    r->catchup_queue[at] = (struct catchup_waiting){peer, m->catchup_request};
    r->catchup_count++;
}

static void serve(struct replica *r, const struct catchup_waiting *waiting)
{
    const struct catchup_request *request = &waiting->request;
    struct message m = {
        .type = MESSAGE_CATCHUP_RESPONSE,
        .catchup_response =
            {
                .nonce = request->nonce,
                .last_normal_view = request->last_normal_view,
                .first_op = request->from_op,
            },
    };
    const bool whole = request->restores || r->last_normal_view == request->last_normal_view;
    VR_MARK_IF(!whole, G2_serves_what_is_committed_in_another_view);
    const uint64_t held = whole ? r->log.op_number : r->commit_number;
    const uint64_t last = request->to_op < held ? request->to_op : held;
    if (request->from_op <= r->log.base_op && checkpoint_offered(r) != NULL) {
        send_checkpoint_offer(r, waiting->peer, request->nonce); /* G4 */
        return;
    }
    if (request->from_op > r->log.base_op && request->from_op <= last) {
        size_t size;
        m.catchup_response.parent_checksum = vr_log_checksum(&r->log, request->from_op - 1);
        m.catchup_response.entry_count = vr_log_run(&r->log, request->from_op, last,
                                                    r->options.message_budget - PREPARE_OVERHEAD,
                                                    &m.catchup_response.entries, &size);
        m.catchup_response.entries_size = (uint32_t)size;
    }
    send_to_peer(r, waiting->peer, &m);
    r->catchup_served++;
}

/* A few a flush: what arrived meanwhile comes first, so that serving never delays a heartbeat. */
void catchup_flush(struct replica *r)
{
    for (uint32_t n = 0;
         n < CATCHUP_PER_FLUSH_MAX && r->catchup_count > 0 && outputs_have_room(r, 2); n++) {
        serve(r, &r->catchup_queue[r->catchup_head]);
        r->catchup_head = (r->catchup_head + 1) % CATCHUP_QUEUE_MAX;
        r->catchup_count--;
    }
}
