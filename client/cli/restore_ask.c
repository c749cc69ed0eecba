/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/restore_ask.h"

#include <string.h>

#include "common/os/clock.h"
#include "common/os/random.h"

enum { ASK_AGAIN_MS = 100 };

static struct restore_target *find_target(struct restore_asker *asker,
                                          const struct net_address *address)
{
    for (uint32_t i = 0; i < asker->count; i++) {
        if (net_address_equal(&asker->targets[i].address, address)) {
            return &asker->targets[i];
        }
    }
    return NULL;
}

static void ask(struct restore_asker *asker, struct restore_target *target, uint64_t now_ns)
{
    struct message message = {.from = REPLICA_NONE};
    if (asker->restore == NULL) {
        message.type = MESSAGE_RESTORE_STATUS;
        message.restore_status.nonce = asker->nonce;
    } else {
        message.type = MESSAGE_RESTORE;
        message.restore = *asker->restore;
        message.restore.nonce = asker->nonce;
        message.restore.recovery_nonce = target->report.recovery_nonce;
    }
    target->next_ns = now_ns + ASK_AGAIN_MS * NANOSECONDS_PER_MILLISECOND;
    channel_send(&asker->channel, &target->address, target->token, &message, now_ns);
}

static bool heard_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    (void)address;
    const struct restore_asker *asker = context;
    return cluster_id == asker->channel.cluster_id;
}

/* What a replica holds is what it said when it was asked for that; the nonce of its start stays the
 * one that was shown. */
static void take_report(struct restore_asker *asker, struct restore_target *target,
                        const struct restore_report *report)
{
    target->answered = true;
    if (asker->restore == NULL) {
        target->report = *report;
        return;
    }
    target->report.outcome = report->outcome;
    target->report.synced_op = report->synced_op;
}

static void take_message(void *context, const struct message *message, uint64_t now_ns)
{
    struct restore_asker *asker = context;
    struct restore_target *target = find_target(asker, &message->address);
    if (target == NULL || !target->asked || target->answered) {
        return;
    }
    if (message->type == MESSAGE_CHALLENGE && target->token != message->challenge.token) {
        target->token = message->challenge.token;
        ask(asker, target, now_ns);
    } else if (message->type == MESSAGE_RESTORE_REPORT &&
               message->restore_report.nonce == asker->nonce &&
               message->restore_report.replica_id == target->replica_id) {
        take_report(asker, target, &message->restore_report);
    }
}

static uint64_t token_of(void *context, const struct net_address *address)
{
    const struct restore_target *target = find_target(context, address);
    return target != NULL ? target->token : 0;
}

/* False once all have answered. */
static bool ask_who_is_due(struct restore_asker *asker, uint64_t now_ns)
{
    bool waiting = false;
    for (uint32_t i = 0; i < asker->count; i++) {
        struct restore_target *target = &asker->targets[i];
        if (!target->asked || target->answered) {
            continue;
        }
        waiting = true;
        if (target->next_ns <= now_ns) {
            ask(asker, target, now_ns);
        }
    }
    return waiting;
}

static void run_round(struct restore_asker *asker, uint32_t timeout_ms)
{
    uint64_t now_ns = clock_monotonic_ns();
    const uint64_t deadline_ns = now_ns + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    while (now_ns < deadline_ns && ask_who_is_due(asker, now_ns)) {
        channel_flush(&asker->channel);
        (void)channel_receive(&asker->channel, CHANNEL_WAIT_MS * NANOSECONDS_PER_MILLISECOND);
        now_ns = clock_monotonic_ns();
        channel_dispatch(&asker->channel, now_ns);
    }
}

int restore_ask_open(struct restore_asker *asker, const struct survey *survey,
                     uint32_t datagram_size)
{
    struct net_address addresses[REPLICAS_MAX];
    uint32_t reachable = 0;
    memset(asker, 0, sizeof *asker);
    for (uint32_t i = 0; i < survey->target_count; i++) {
        asker->targets[asker->count++] = (struct restore_target){
            .replica_id = survey->configuration.members[i].replica_id,
            .name = survey->targets[i].name,
            .address = survey->targets[i].address,
            .reachable = survey->targets[i].answered,
        };
        if (survey->targets[i].answered) {
            addresses[reachable++] = survey->targets[i].address;
        }
    }
    const struct channel_handler handler = {
        .context = asker,
        .heard_cluster = heard_cluster,
        .message = take_message,
        .token = token_of,
    };
    const int error = channel_open(&asker->channel, &handler, addresses, reachable, datagram_size);
    if (error == 0) {
        channel_set_cluster(&asker->channel, survey->cluster_id);
    }
    return error;
}

void restore_ask_close(struct restore_asker *asker)
{
    channel_close(&asker->channel);
}

void restore_ask_status(struct restore_asker *asker, uint32_t timeout_ms)
{
    asker->restore = NULL;
    asker->nonce = random_nonzero_u64();
    for (uint32_t i = 0; i < asker->count; i++) {
        struct restore_target *target = &asker->targets[i];
        target->asked = target->reachable;
        target->answered = false;
        target->next_ns = 0;
    }
    run_round(asker, timeout_ms);
}

void restore_tell(struct restore_asker *asker, const struct restore *restore, uint32_t timeout_ms)
{
    asker->restore = restore;
    asker->nonce = random_nonzero_u64();
    for (uint32_t i = 0; i < asker->count; i++) {
        struct restore_target *target = &asker->targets[i];
        target->asked = target->reachable && target->report.recovery_nonce != 0 &&
                        target->report.outcome != RESTORE_DONE;
        target->answered = false;
        target->next_ns = 0;
    }
    run_round(asker, timeout_ms);
}
