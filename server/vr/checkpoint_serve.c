/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_serve.c - a checkpoint of this replica goes to one that lacks what lies before it
 * (G4).
 *
 * Who asks for a log's entries that are gone is offered the newest one. What is asked of it waits
 * in a queue, and leaves that in order, so many bytes in a second for all who pull: a chunk is
 * dozens of datagrams, and neither heartbeats nor clients may wait behind many of them. Time
 * decides, not ticks: with heartbeats that are far apart a transfer is as fast as with others. Who
 * pulls asks for no more than CHUNK_WINDOW_MAX chunks ahead, so on a link that is slower than that
 * rate it is the link that decides, and no more than these wait on it. */
#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/replica.h"

void send_checkpoint_offer(struct replica *r, uint32_t peer, uint64_t nonce)
{
    const struct checkpoint_id *id = checkpoint_offered(r);
    INVARIANT(id != NULL);
    VR_MARK(G4_checkpoint_is_offered);
    const struct message m = {
        .type = MESSAGE_CHECKPOINT_OFFER,
        .checkpoint_offer =
            {
                .nonce = nonce,
                .view_number = r->durable.view_number, /* S1 */
                .id = *id,
            },
    };
    send_to_peer(r, peer, &m);
    r->checkpoints_offered++;
}

/* ---- the queue ---- */

static void take_out(struct replica *r, uint32_t i)
{
    r->chunk_queue_count--;
    memmove(&r->chunk_queue[i], &r->chunk_queue[i + 1],
            (r->chunk_queue_count - i) * sizeof r->chunk_queue[0]);
}

static bool same_question(const struct checkpoint_request *a, const struct checkpoint_request *b)
{
    return a->list == b->list && a->first == b->first && a->count == b->count &&
           checksum_equal(a->root, b->root);
}

/* What this peer asked for in a sync that is over needs no answer (G7). */
static void forget_older(struct replica *r, uint32_t peer, uint64_t nonce)
{
    for (uint32_t i = r->chunk_queue_count; i-- > 0;) {
        if (r->chunk_queue[i].peer == peer && r->chunk_queue[i].request.nonce != nonce) {
            take_out(r, i);
        }
    }
}

static void wait_in_queue(struct replica *r, uint32_t peer,
                          const struct checkpoint_request *request)
{
    uint32_t waiting = 0;
    forget_older(r, peer, request->nonce);
    for (uint32_t i = 0; i < r->chunk_queue_count; i++) {
        if (r->chunk_queue[i].peer != peer) {
            continue;
        }
        waiting++;
        if (same_question(&r->chunk_queue[i].request, request)) {
            drop(r, DROP_DUPLICATE); /* it has waited for longer than it takes to ask again */
            return;
        }
    }
    if (waiting == CHUNK_WINDOW_MAX) {
        drop(r, DROP_RATE);
        return;
    }
    INVARIANT(r->chunk_queue_count < CHUNK_QUEUE_MAX);
    r->chunk_queue[r->chunk_queue_count++] = (struct chunks_waiting){peer, *request};
}

void on_checkpoint_request(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct checkpoint_request *request = &m->checkpoint_request;
    /* A recovering replica has nothing to say, but what it has of a checkpoint is committed all the
     * same, and where a person has the group restored from it (D9) there may be no other. */
    if (r->status != STATUS_RECOVERING) {
        note_later_view(r, request->last_normal_view); /* V9 */
    }
    if (r->status != STATUS_RECOVERING && request->last_normal_view == r->view_number) {
        note_transfer(r, peer, request->staged);
    }
    const struct checkpoint_id *id = checkpoint_with_root(r, request->root);
    if (id == NULL) {
        VR_MARK(G4_checkpoint_asked_for_is_gone);
        drop(r, DROP_UNKNOWN_OP);
        if (checkpoint_offered(r) != NULL) {
            send_checkpoint_offer(r, peer, request->nonce);
        }
        return;
    }
    r->peers[peer].pulled_op = id->op_number;
    r->peers[peer].pulled_ns = r->time.now_ns;
    wait_in_queue(r, peer, request);
}

/* ---- the rate ---- */

static uint64_t time_of_chunks(const struct replica *r, uint32_t count)
{
    return count * CHECKPOINT_CHUNK_SIZE * UINT64_C(1000000000) / r->options.transfer_rate;
}

/* The rate's clock goes on with what is served. Time in which nothing was asked for is saved for
 * one window of chunks, and so is a tick that comes late. */
static void spend(struct replica *r, uint32_t count)
{
    const uint64_t saved_ns = time_of_chunks(r, CHUNK_WINDOW_MAX);
    const uint64_t earliest_ns = r->time.now_ns > saved_ns ? r->time.now_ns - saved_ns : 0;
    r->chunks_due_ns = r->chunks_due_ns > earliest_ns ? r->chunks_due_ns : earliest_ns;
    r->chunks_due_ns += time_of_chunks(r, count);
}

static void serve(struct replica *r, const struct chunks_waiting *waiting)
{
    const struct checkpoint_request *request = &waiting->request;
    const struct checkpoint_id *id = checkpoint_with_root(r, request->root);
    if (id == NULL) {
        return; /* gone meanwhile; asked again, it is answered with an offer */
    }
    spend(r, request->count);
    r->chunks_served += request->count;
    struct vr_output *output = output_add(r, VR_OUT_SERVE_CHECKPOINT);
    output->serve_checkpoint.peer = waiting->peer;
    output->serve_checkpoint.id = *id;
    output->serve_checkpoint.nonce = request->nonce;
    output->serve_checkpoint.list = request->list;
    output->serve_checkpoint.first = request->first;
    output->serve_checkpoint.count = request->count;
}

void chunks_flush(struct replica *r)
{
    timeout_stop(&r->timeouts, TIMEOUT_CHUNKS);
    while (r->chunk_queue_count > 0) {
        if (r->chunks_due_ns > r->time.now_ns || !outputs_have_room(r, CHUNK_WINDOW_MAX)) {
            VR_MARK(G4_chunks_wait_for_the_rate);
            timeout_set(&r->timeouts, TIMEOUT_CHUNKS, r->chunks_due_ns);
            return;
        }
        serve(r, &r->chunk_queue[0]);
        take_out(r, 0);
    }
}
