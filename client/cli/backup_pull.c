/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/backup_pull.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "common/os/clock.h"
#include "common/os/random.h"

struct pull {
    const struct backup_target *target;
    struct channel channel;
    uint64_t nonce; /* of all questions */
    uint64_t token;
    uint64_t next_ns;     /* when to ask again */
    uint64_t heard_ns;    /* something useful */
    uint64_t executed_op; /* there, as told last */

    bool offered; /* the receiver has begun */
    uint32_t offers;
    struct checkpoint_receiver receiver;
    uint64_t first; /* asked for last: pieces of the list, or chunks */
    uint32_t count;
    bool list;
    uint32_t came; /* bit i: of first + i */

    bool ended;
    enum backup_end end;
    struct storage_error *why;
};

static void end(struct pull *pull, enum backup_end how)
{
    if (!pull->ended) {
        pull->ended = true;
        pull->end = how;
    }
}

/* What storage says of it is written for replicas. */
static void fail_local(struct pull *pull, int status)
{
    const char *partial = pull->target->partial;
    end(pull, status == -EWOULDBLOCK ? BACKUP_IN_USE : BACKUP_LOCAL);
    if (status == -EWOULDBLOCK) {
        (void)storage_error_set(pull->why, status, "another vr-client writes to %s at this moment",
                                partial);
    } else if (status == -EEXIST) {
        (void)storage_error_set(pull->why, status, "%s came to be meanwhile: --force replaces it",
                                pull->target->path);
    } else {
        (void)storage_error_set(pull->why, status, "cannot write %s: %s", partial,
                                strerror(-status));
    }
}

/* --- asking --- */

static uint64_t list_pieces(const struct pull *pull)
{
    return checkpoint_chunk_count(pull->receiver.chunk_count * CHECKPOINT_CHECKSUM_SIZE);
}

/* What to ask for next: the list in order, then what is missing of the chunks. False: it is all
 * there. */
static bool choose(struct pull *pull)
{
    struct checkpoint_receiver *receiver = &pull->receiver;
    uint64_t end_index;
    pull->list = !checkpoint_receiver_has_list(receiver);
    if (pull->list) {
        pull->first = receiver->list_used / CHECKPOINT_CHUNK_SIZE;
        end_index = list_pieces(pull);
    } else {
        pull->first = checkpoint_receiver_missing(receiver, 0);
        end_index = pull->first;
        while (end_index < receiver->chunk_count && end_index - pull->first < CHUNK_WINDOW_MAX &&
               receiver->received[end_index] == 0) {
            end_index++;
        }
    }
    const uint64_t left = end_index - pull->first;
    pull->count = left < CHUNK_WINDOW_MAX ? (uint32_t)left : (uint32_t)CHUNK_WINDOW_MAX;
    pull->came = 0;
    return pull->count > 0;
}

static void send_request(struct pull *pull, uint64_t now_ns)
{
    const struct message message = {
        .type = MESSAGE_BACKUP_REQUEST,
        .from = REPLICA_NONE,
        .backup_request =
            {
                .nonce = pull->nonce,
                .least_op = pull->target->least_op,
                .root = pull->offered ? pull->receiver.id.root : (struct checksum){0, 0},
                .list = pull->offered && pull->list,
                .first = pull->offered ? pull->first : 0,
                .count = pull->offered ? pull->count : 0,
            },
    };
    const uint64_t wait_ms = pull->offered ? BACKUP_ASK_AGAIN_MS : BACKUP_ASK_OFFER_MS;
    pull->next_ns = now_ns + wait_ms * NANOSECONDS_PER_MILLISECOND;
    channel_send(&pull->channel, &pull->target->address, pull->token, &message, now_ns);
}

static void tell(struct pull *pull)
{
    const struct backup_target *target = pull->target;
    const struct checkpoint_receiver *receiver = &pull->receiver;
    if (target->progress == NULL) {
        return;
    }
    if (!pull->offered) {
        target->progress(target->context, NULL, 0, 0);
        return;
    }
    const uint64_t done = receiver->received_count * CHECKPOINT_CHUNK_SIZE;
    const uint64_t size = receiver->id.size;
    target->progress(target->context, &receiver->id, done < size ? done : size, size);
}

static void finish(struct pull *pull)
{
    const int status = checkpoint_receiver_finish(&pull->receiver, pull->why);
    if (status == 0) {
        end(pull, BACKUP_DONE);
    } else {
        fail_local(pull, status);
    }
}

static void go_on(struct pull *pull, uint64_t now_ns)
{
    if (choose(pull)) {
        send_request(pull, now_ns);
    } else {
        finish(pull);
    }
}

/* --- answers --- */

static void begin(struct pull *pull, const struct checkpoint_id *id, uint64_t now_ns)
{
    const struct backup_target *target = pull->target;
    if (pull->offered) {
        checkpoint_receiver_close(&pull->receiver);
        pull->offered = false;
    }
    if (pull->offers++ == BACKUP_OFFERS_MAX) {
        end(pull, BACKUP_CHANGED);
        return;
    }
    const int status = checkpoint_receiver_begin_backup(
        &pull->receiver, target->ops, target->directory, target->partial, target->path,
        target->cluster_id, id, pull->why);
    if (status != 0) {
        fail_local(pull, status);
        return;
    }
    pull->offered = true;
    go_on(pull, now_ns);
}

/* The one that was pulled is not there any more: the next question is for an offer again. */
static void forget(struct pull *pull)
{
    if (pull->offered) {
        checkpoint_receiver_close(&pull->receiver);
        pull->offered = false;
    }
}

static void on_offer(struct pull *pull, const struct backup_offer *offer, uint64_t now_ns)
{
    /* One that does not come nearer to what is wanted is as good as silent. */
    if (offer->outcome != BACKUP_TAKING || offer->executed_op >= pull->target->least_op ||
        offer->executed_op > pull->executed_op) {
        pull->heard_ns = now_ns;
    }
    pull->executed_op = offer->executed_op;
    switch (offer->outcome) {
    case BACKUP_READY:
        if (!pull->offered || !checkpoint_id_equal(&offer->id, &pull->receiver.id)) {
            begin(pull, &offer->id, now_ns);
        }
        break;
    case BACKUP_TAKING:
        forget(pull);
        break;
    case BACKUP_EMPTY:
        end(pull, BACKUP_NOTHING);
        break;
    case BACKUP_NOT_NORMAL:
        end(pull, BACKUP_NOT_SERVED);
        break;
    case BACKUP_FAILED:
        end(pull, BACKUP_NOT_WRITTEN);
        break;
    }
}

static void on_chunk(struct pull *pull, const struct checkpoint_chunk *chunk, uint64_t now_ns)
{
    struct checkpoint_receiver *receiver = &pull->receiver;
    if (!pull->offered || !checksum_equal(chunk->root, receiver->id.root) ||
        chunk->list == checkpoint_receiver_has_list(receiver)) {
        return;
    }
    const int status =
        chunk->list ? checkpoint_receiver_list(receiver, chunk->index * CHECKPOINT_CHUNK_SIZE,
                                               chunk->bytes, chunk->size, pull->why)
                    : checkpoint_receiver_chunk(receiver, chunk->index, chunk->bytes, chunk->size,
                                                pull->why);
    if (status != 0) {
        if (status != -EBADMSG) { /* wrong bytes are asked for again */
            fail_local(pull, status);
        }
        return;
    }
    pull->heard_ns = now_ns;
    if (chunk->list == pull->list && chunk->index >= pull->first &&
        chunk->index - pull->first < pull->count) {
        pull->came |= UINT32_C(1) << (chunk->index - pull->first);
    }
    if (pull->came == (UINT32_C(1) << pull->count) - 1) {
        go_on(pull, now_ns);
    }
}

static void take_message(void *context, const struct message *message, uint64_t now_ns)
{
    struct pull *pull = context;
    if (pull->ended || !net_address_equal(&message->address, &pull->target->address)) {
        return;
    }
    if (message->type == MESSAGE_CHALLENGE && message->challenge.token != pull->token) {
        pull->token = message->challenge.token;
        send_request(pull, now_ns);
    } else if (message->type == MESSAGE_REFUSED) {
        end(pull, BACKUP_REFUSED);
    } else if (message->type == MESSAGE_BACKUP_OFFER &&
               message->backup_offer.nonce == pull->nonce) {
        on_offer(pull, &message->backup_offer, now_ns);
    } else if (message->type == MESSAGE_BACKUP_CHUNK &&
               message->checkpoint_chunk.nonce == pull->nonce) {
        on_chunk(pull, &message->checkpoint_chunk, now_ns);
    }
}

static bool heard_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    const struct pull *pull = context;
    (void)address;
    return cluster_id == pull->target->cluster_id;
}

static uint64_t token_of(void *context, const struct net_address *address)
{
    const struct pull *pull = context;
    return net_address_equal(address, &pull->target->address) ? pull->token : 0;
}

/* --- running --- */

static void step(struct pull *pull)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns >= pull->next_ns) {
        if (pull->offered) {
            go_on(pull, now_ns);
        } else {
            send_request(pull, now_ns);
        }
    }
    if (pull->ended) {
        return;
    }
    tell(pull);
    channel_flush(&pull->channel);
    (void)channel_receive(&pull->channel, CHANNEL_WAIT_MS * NANOSECONDS_PER_MILLISECOND);
    now_ns = clock_monotonic_ns();
    channel_dispatch(&pull->channel, now_ns);
    channel_flush(&pull->channel);
    if (now_ns > pull->heard_ns && now_ns - pull->heard_ns > pull->target->silence_ns) {
        end(pull, BACKUP_SILENT);
    }
    if (interrupt_seen()) {
        end(pull, BACKUP_CANCELLED);
    }
}

enum backup_end backup_pull(const struct backup_target *target, struct checkpoint_id *id,
                            struct storage_error *why)
{
    struct pull *pull = must_calloc(1, sizeof *pull);
    pull->target = target;
    pull->nonce = random_nonzero_u64();
    pull->why = why;
    pull->heard_ns = clock_monotonic_ns();
    const struct channel_handler handler = {.context = pull,
                                            .heard_cluster = heard_cluster,
                                            .message = take_message,
                                            .token = token_of};
    const int error =
        channel_open(&pull->channel, &handler, &target->address, 1, target->datagram_size);
    if (error != 0) {
        free(pull);
        (void)storage_error_set(why, error, "cannot open a socket: %s", strerror(-error));
        return BACKUP_LOCAL;
    }
    channel_set_cluster(&pull->channel, target->cluster_id);
    while (!pull->ended) {
        step(pull);
    }
    *id = pull->receiver.id;
    if (pull->offered) {
        checkpoint_receiver_close(&pull->receiver);
    }
    channel_close(&pull->channel);
    const enum backup_end how = pull->end;
    free(pull);
    return how;
}
