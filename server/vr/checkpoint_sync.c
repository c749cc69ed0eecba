/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_sync.c - a checkpoint in place of a log that nobody has any more (G4).
 *
 * A log sync that asks for entries which its source has dropped is offered a checkpoint
 * (checkpoint_serve.c). It is pulled in pieces: first the list of the chunks' checksums, then
 * chunks, a few at a time, from whoever offers the same root; storage verifies and keeps them. Only
 * when all of it is there, and a view_number at least as large as the source's is durable, is it
 * installed: the whole log goes in one step, for it diverged from what is committed, or ended,
 * before the checkpoint's op. Then the log sync goes on from there. */
#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/replica.h"

enum {
    SILENT_STALLS = 3, /* 28 resend intervals: nothing came of a checkpoint, whoever was asked */
};

/* ---- pulling ---- */

static uint64_t list_size(const struct transfer *t)
{
    return t->chunk_count * CHUNK_CHECKSUM_SIZE;
}

static uint32_t size_of(const struct transfer *t, bool list, uint64_t index)
{
    return checkpoint_chunk_size(list ? list_size(t) : t->id.size, index);
}

static void ask_chunk(struct replica *r, struct chunk_slot *slot)
{
    slot->asked_ns = r->time.now_ns;
    const struct message m = {
        .type = MESSAGE_CHECKPOINT_REQUEST,
        .checkpoint_request =
            {
                .nonce = r->sync.nonce,
                .last_normal_view = r->sync.target.last_normal_view,
                .root = r->transfer.id.root,
                .list = slot->list,
                .first = slot->index,
                .count = 1,
                .staged = r->transfer.staged,
            },
    };
    send_to_peer(r, r->sync.source, &m);
}

static uint32_t slots_busy(const struct transfer *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        count += t->slots[i].busy ? 1u : 0u;
    }
    return count;
}

/* What is to be asked for next; false: nothing now. The list comes in order, a piece at a time, for
 * it is verified as a whole; chunks are verified by it. */
static bool next_chunk(struct transfer *t, bool *list, uint64_t *index)
{
    if (t->list_next < t->list_count) {
        *list = true;
        *index = t->list_next;
        if (slots_busy(t) > 0) {
            return false;
        }
        t->list_next++;
        return true;
    }
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        if (t->slots[i].busy && t->slots[i].list) {
            return false;
        }
    }
    *list = false;
    *index = t->chunk_next;
    if (t->chunk_next >= t->chunk_count) {
        return false;
    }
    t->chunk_next++;
    return true;
}

/* True while the own disk is left in peace after it has failed: it may be full for hours. */
static bool disk_rests(const struct replica *r)
{
    const struct transfer *t = &r->transfer;
    return t->losses > 0 &&
           r->time.now_ns - t->lost_ns < sync_back_off(r->options.resend_ns, t->losses);
}

static void fill_window(struct replica *r)
{
    struct transfer *t = &r->transfer;
    timeout_set(&r->timeouts, TIMEOUT_SYNC, r->time.now_ns + r->options.resend_ns);
    if (disk_rests(r)) {
        VR_MARK(G4_own_disk_is_left_in_peace);
        r->sync.progress_ns = r->time.now_ns; /* the source is not to blame (G5) */
        return;
    }
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX && outputs_have_room(r, CHUNK_WINDOW_MAX); i++) {
        struct chunk_slot *slot = &t->slots[i];
        bool list;
        uint64_t index;
        if (slot->busy || !next_chunk(t, &list, &index)) {
            continue;
        }
        *slot = (struct chunk_slot){.busy = true, .list = list, .index = index};
        ask_chunk(r, slot);
    }
}

void transfer_pause(struct replica *r)
{
    struct transfer *t = &r->transfer;
    r->sync.pulling = false;
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        const struct chunk_slot *slot = &t->slots[i];
        if (slot->busy && slot->list && slot->index < t->list_next) {
            t->list_next = slot->index;
        } else if (slot->busy && !slot->list && slot->index < t->chunk_next) {
            t->chunk_next = slot->index;
        }
        t->slots[i].busy = false;
    }
}

static void begin_pulling(struct replica *r, const struct checkpoint_id *id, uint64_t view_number)
{
    struct transfer *t = &r->transfer;
    if (!checkpoint_id_equal(&t->id, id)) {
        memset(t, 0, sizeof *t);
        t->id = *id;
        t->chunk_count = checkpoint_chunk_count(id->size);
        t->list_count = checkpoint_chunk_count(list_size(t));
    }
    t->view_number = view_number > t->view_number ? view_number : t->view_number;
    t->lacking = 0;
    r->sync.pulling = true;
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        r->sync_slots[i].from_op = 0;
    }
}

/* Each sync is offered the newest checkpoint. If one that was interrupted had begun with an older
 * one, that goes on, or a transfer that takes longer than views last would never end; who has it no
 * longer says so. */
static struct checkpoint_id id_to_pull(const struct replica *r, const struct checkpoint_id *offered)
{
    const struct checkpoint_id *begun = &r->transfer.id;
    const bool useful = begun->op_number > r->commit_number && r->transfer.staged > 0 &&
                        !vr_log_matches(&r->log, begun->op_number, begun->log);
    VR_MARK_IF(useful, G4_transfer_is_resumed);
    return useful ? *begun : *offered;
}

/* Who offers another checkpoint has not got this one any more, and who is asked for it and long
 * silent may as well have lost it. Once nobody is left, it is given up for the other, which may be
 * an older one: the log of who offers it begins at or before it (K1). */
static void offered_another(struct replica *r, const struct checkpoint_offer *offer, uint32_t peer)
{
    struct transfer *t = &r->transfer;
    t->lacking |= 1u << peer;
    if ((r->sync.sources & ~t->lacking) == 0) {
        VR_MARK(G4_transfer_is_given_up_for_another);
        transfer_pause(r);
        begin_pulling(r, &offer->id, offer->view_number);
        r->sync.source = peer;
        fill_window(r);
    } else if (peer == r->sync.source) {
        sync_next_source(r);
        for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
            t->slots[i].asked_ns = 0; /* the tick asks it */
            t->slots[i].repeats = 0;
        }
    }
}

/* It may be gone, or have the checkpoint and not be able to read it. A disk here that is slow to
 * keep what has come is no sign of either. */
void transfer_stalled(struct replica *r)
{
    struct transfer *t = &r->transfer;
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        if (t->slots[i].busy && !t->slots[i].staging && r->sync.stalls >= SILENT_STALLS) {
            t->lacking |= 1u << r->sync.source;
        }
    }
}

/* The install, now or once a view_number is durable that is at least the source's. */
static void try_install(struct replica *r)
{
    struct transfer *t = &r->transfer;
    if (!r->sync.pulling || t->installing || t->list_next < t->list_count ||
        t->chunk_next < t->chunk_count || slots_busy(t) > 0) {
        return;
    }
    if (t->id.op_number <= r->commit_number) {
        VR_MARK(G4_transfer_is_overtaken);
        sync_drop(r); /* overtaken: what is known to be committed is never gone back behind */
        return;
    }
    if (vr_log_matches(&r->log, t->id.op_number, t->id.log)) {
        VR_MARK(G4_log_has_come_past_it);
        /* Prepares that were late have brought the log past it meanwhile, and were acked. */
        const uint64_t op_number = t->id.op_number;
        transfer_pause(r);
        sync_start_at(r, op_number);
        return;
    }
    if (r->status == STATUS_NORMAL && r->log.op_number >= t->id.op_number) {
        drop(r, DROP_CHECKSUM); /* logs of one view are prefixes of each other: N7 tells who errs */
        sync_drop(r);
        return;
    }
    if (r->durable.view_number < t->view_number) {
        VR_MARK(G4_install_waits_for_the_view);
        if (r->wanted.view_number < t->view_number) {
            INVARIANT(r->status == STATUS_RECOVERING); /* else V3 has raised it already */
            r->view_number = t->view_number;
            r->wanted.view_number = t->view_number;
            state_changed(r);
        }
        return;
    }
    INVARIANT(!r->acting_primary);
    INVARIANT(r->install.phase == INSTALL_NONE);
    t->installing = true;
    output_add(r, VR_OUT_INSTALL_CHECKPOINT)->install_checkpoint = t->id;
}

void transfer_state_durable(struct replica *r)
{
    if (r->sync.active) {
        try_install(r);
    }
}

/* The view that it was committed in is adopted before anything else: false if that ends the sync,
 * or if the offer is not for this replica. */
static bool adopt_view(struct replica *r, const struct checkpoint_offer *offer, uint32_t peer)
{
    if (offer->view_number <= r->view_number) {
        return true;
    }
    if (r->status == STATUS_RECOVERING) {
        /* D6: it follows an acting primary only; the one of that later view will answer. */
        if (offer->view_number <= r->sync.entering) {
            return true;
        }
        VR_MARK(D6_offer_of_a_later_view_is_not_followed);
        drop(r, DROP_NEWER_VIEW);
        if (peer == r->sync.source) {
            sync_next_source(r);
        }
        return false;
    }
    VR_MARK(G4_view_of_an_offer_is_adopted);
    enter_view_change(r, offer->view_number); /* V3 */
    return false;
}

void on_checkpoint_offer(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct checkpoint_offer *offer = &m->checkpoint_offer;
    if (!r->sync.active || offer->nonce != r->sync.nonce) {
        drop(r, DROP_NONCE);
        return;
    }
    if (r->transfer.installing || offer->id.op_number <= r->commit_number ||
        (r->sync.pulling && checkpoint_id_equal(&offer->id, &r->transfer.id))) {
        drop(r, DROP_DUPLICATE);
        return;
    }
    if (!adopt_view(r, offer, peer)) {
        return;
    }
    r->peers[peer].unreachable = false;
    if (r->sync.pulling) {
        offered_another(r, offer, peer);
        return;
    }
    if (vr_log_matches(&r->log, offer->id.op_number, offer->id.log)) {
        if (r->sync.entering != 0 && offer->id.op_number > r->sync.start_op) {
            VR_MARK(G4_offer_is_a_start);
            sync_start_at(r, offer->id.op_number); /* nothing has to be pulled */
        }
        return;
    }
    const struct checkpoint_id id = id_to_pull(r, &offer->id);
    begin_pulling(r, &id, offer->view_number);
    r->sync.source = peer;
    r->sync.progress_ns = r->time.now_ns;
    fill_window(r);
    try_install(r); /* all of it may be here from an earlier sync */
}

static struct chunk_slot *slot_of(struct replica *r, bool list, uint64_t index)
{
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        struct chunk_slot *slot = &r->transfer.slots[i];
        if (slot->busy && slot->list == list && slot->index == index) {
            return slot;
        }
    }
    return NULL;
}

void on_checkpoint_chunk(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct checkpoint_chunk *chunk = &m->checkpoint_chunk;
    if (!r->sync.active || !r->sync.pulling || chunk->nonce != r->sync.nonce ||
        !checksum_equal(chunk->root, r->transfer.id.root)) {
        drop(r, DROP_NONCE);
        return;
    }
    struct chunk_slot *slot = slot_of(r, chunk->list, chunk->index);
    if (slot == NULL || slot->staging) {
        drop(r, DROP_DUPLICATE);
        return;
    }
    if (chunk->size != size_of(&r->transfer, chunk->list, chunk->index)) {
        drop(r, DROP_INVALID);
        return;
    }
    r->peers[peer].unreachable = false;
    r->transfer.lacking &= ~(1u << peer);
    r->sync.progress_ns = r->time.now_ns;
    r->sync.stalls = 0;
    slot->staging = true;
    struct vr_output *output = output_add(r, VR_OUT_STAGE_CHUNK);
    output->stage_chunk.id = r->transfer.id;
    output->stage_chunk.list = chunk->list;
    output->stage_chunk.index = chunk->index;
    output->stage_chunk.size = chunk->size;
    output->stage_chunk.bytes = chunk->bytes;
}

/* The bytes were not what the root says: from somebody else, then. A list is wrong as a whole. */
static void chunk_refused(struct replica *r, struct chunk_slot *slot)
{
    drop(r, DROP_CHECKSUM);
    sync_next_source(r);
    if (slot->list) {
        r->transfer.list_next = 0;
        slot->busy = false;
        return;
    }
    slot->staging = false;
    slot->asked_ns = 0;
}

/* The own disk: the list is asked for again, then the first chunk, and what storage finds there
 * already is passed over. */
static void chunk_lost(struct replica *r)
{
    struct transfer *t = &r->transfer;
    VR_MARK(G4_own_disk_loses_a_chunk);
    transfer_pause(r);
    r->sync.pulling = true;
    t->list_next = 0;
    t->chunk_next = 0;
    t->losses++;
    t->lost_ns = r->time.now_ns;
}

void on_chunk_staged(struct replica *r, const struct vr_event *event)
{
    struct transfer *t = &r->transfer;
    if (!r->sync.active || !r->sync.pulling || t->installing ||
        !checksum_equal(event->chunk_staged.root, t->id.root)) {
        return;
    }
    struct chunk_slot *slot = slot_of(r, event->chunk_staged.list, event->chunk_staged.index);
    if (slot == NULL) {
        return;
    }
    if (!event->chunk_staged.ok && event->chunk_staged.lost) {
        chunk_lost(r);
        return;
    }
    if (!event->chunk_staged.ok) {
        chunk_refused(r, slot);
        return; /* the tick asks, at its pace */
    }
    slot->busy = false;
    t->staged++;
    uint64_t *next = slot->list ? &t->list_next : &t->chunk_next;
    if (event->chunk_staged.missing > *next) {
        VR_MARK(G4_chunks_are_there_from_before);
        *next = event->chunk_staged.missing; /* there already, from an earlier run */
    }
    fill_window(r);
    try_install(r);
}

void transfer_tick(struct replica *r)
{
    struct transfer *t = &r->transfer;
    if (t->installing) {
        timeout_set(&r->timeouts, TIMEOUT_SYNC, r->time.now_ns + r->options.resend_ns);
        return;
    }
    for (uint32_t i = 0; i < CHUNK_WINDOW_MAX; i++) {
        struct chunk_slot *slot = &t->slots[i];
        if (slot->busy && !slot->staging && outputs_have_room(r, CHUNK_WINDOW_MAX) &&
            r->time.now_ns - slot->asked_ns >= sync_back_off(r->options.resend_ns, slot->repeats)) {
            slot->repeats++;
            ask_chunk(r, slot);
        }
    }
    fill_window(r);
}

/* ---- installed ---- */

/* The log is what the checkpoint says and nothing else; storage has it so already (S4). */
static void replace_log(struct replica *r, const struct checkpoint_id *id, uint64_t timestamp)
{
    vr_log_restart(&r->log, id->op_number, id->log);
    r->commit_number = id->op_number;
    r->handed_op = id->op_number;
    r->executed_op = id->op_number;
    r->written_op = id->op_number;
    r->durable_op = id->op_number;
    r->log_generation++;
    r->written_generation = r->log_generation;
    r->settled_generation = r->log_generation;
    r->held_op = r->had.op_number > 0 ? id->op_number : 0;
    r->dropped_op = id->op_number;
    r->base_timestamp = timestamp;
    r->log_full = false;
    r->full_at_op = UINT64_MAX;
    forget_lost(r, false);
}

void on_checkpoint_installed(struct replica *r, const struct vr_event *event)
{
    const struct checkpoint_id *id = &event->installed.id;
    INVARIANT(r->transfer.installing);
    INVARIANT(checkpoint_id_equal(id, &r->transfer.id));
    INVARIANT(id->op_number > r->commit_number);
    INVARIANT(r->executed_op == r->handed_op);
    INVARIANT(r->status != STATUS_NORMAL ||
              r->log.op_number < id->op_number); /* nothing acked goes */
    const bool wanted = r->sync.active && r->sync.pulling;
    memset(&r->transfer, 0, sizeof r->transfer);
    replace_log(r, id, event->installed.timestamp);
    r->checkpoint_count = 0;
    checkpoint_remember(r, id);
    r->checkpoints_installed++;
    VR_MARK_IF(r->status == STATUS_RECOVERING, G4_recovering_replica_installs);
    VR_MARK_IF(r->status == STATUS_VIEW_CHANGE, G4_installs_on_the_way_into_a_view);
    if (r->status == STATUS_NORMAL) {
        VR_MARK(G4_installs_in_its_own_view);
        r->ack_owed = true;
        stash_drain(r);
    }
    if (wanted && !r->diverged) {
        r->sync.pulling = false;
        sync_start_at(r, id->op_number);
    }
}
