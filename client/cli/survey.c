/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/lib/channel.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/random.h"

enum {
    ASK_AGAIN_MS = 100,
    REST_MS = 500,  /* what the others get once one has answered */
    REST_RTTS = 4,  /* or so many of its round trips */
    ASKS_MAX = 8,   /* requests to one target whose answers are timed */
    PADDING = 1024, /* M3: room for a usual answer before the token is known, */
    FRAME = 256,    /* beside what a datagram has besides */
};

/* What is under way for a target. */
struct asking {
    uint64_t token;
    bool in_short; /* it answered, but without its counters: the question was too short (M3) */
    uint64_t next_ns;
    uint32_t asks;
    uint64_t asked_ns[ASKS_MAX]; /* by the request's number, modulo ASKS_MAX */
};

struct surveyor {
    struct survey *survey;
    struct channel channel;
    struct asking asking[PROXY_SEEDS_MAX];
    uint64_t nonce; /* of the first request to any target; the following count up */
    uint32_t padding_size;
    uint64_t rest_deadline_ns;
    const struct net_address *seeds;
    uint32_t seed_count;
    uint32_t seeds_heard; /* bit i: seed i answered, whatever it said */
};

static uint32_t find_address(const struct surveyor *surveyor, const struct net_address *address)
{
    for (uint32_t i = 0; i < surveyor->survey->target_count; i++) {
        if (net_address_equal(&surveyor->survey->targets[i].address, address)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void ask(struct surveyor *surveyor, uint32_t target, uint64_t now_ns)
{
    struct asking *asking = &surveyor->asking[target];
    const struct message message = {
        .type = MESSAGE_STATUS_REQUEST,
        .from = REPLICA_NONE,
        .status_request = {.nonce = surveyor->nonce + asking->asks,
                           .padding_size = asking->token == 0 ? surveyor->padding_size : 0},
    };
    asking->asked_ns[asking->asks % ASKS_MAX] = now_ns;
    asking->asks++;
    asking->next_ns = now_ns + ASK_AGAIN_MS * NANOSECONDS_PER_MILLISECOND;
    channel_send(&surveyor->channel, &surveyor->survey->targets[target].address, asking->token,
                 &message, now_ns);
}

/* ---- answers ---- */

static void name_target(struct survey_target *target)
{
    char text[NET_ADDRESS_TEXT_MAX];
    (void)snprintf(target->name, sizeof target->name, "%s",
                   net_address_text(&target->address, text));
}

static void name_member(struct survey_target *target, const struct member *member)
{
    const bool v6 = strchr(member->host, ':') != NULL;
    (void)snprintf(target->name, sizeof target->name, v6 ? "[%s]:%u" : "%s:%u", member->host,
                   (unsigned)member->port);
}

/* The members replace the seeds; who was challenged or answered already stays so. */
static void adopt(struct surveyor *surveyor, const struct configuration *configuration)
{
    struct survey *survey = surveyor->survey;
    if (survey->has_configuration && configuration->epoch <= survey->configuration.epoch) {
        return;
    }
    static struct survey_target old_targets[PROXY_SEEDS_MAX];
    struct asking old_asking[PROXY_SEEDS_MAX];
    const uint32_t old_count = survey->target_count;
    memcpy(old_targets, survey->targets, sizeof old_targets);
    memcpy(old_asking, surveyor->asking, sizeof old_asking);
    memset(survey->targets, 0, sizeof survey->targets);
    memset(surveyor->asking, 0, sizeof surveyor->asking);

    survey->has_configuration = true;
    survey->configuration = *configuration;
    survey->target_count = configuration->member_count;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct member *member = &configuration->members[i];
        struct survey_target *target = &survey->targets[i];
        struct endpoint_error ignored; /* it cannot be asked, then: "no answer" */
        (void)endpoint_resolve(member->host, member->port, &target->address, &ignored);
        for (uint32_t j = 0; j < old_count; j++) {
            if (net_address_equal(&old_targets[j].address, &target->address)) {
                *target = old_targets[j];
                old_targets[j].report.counters = NULL;
                surveyor->asking[i] = old_asking[j];
            }
        }
        name_member(target, member);
    }
    for (uint32_t j = 0; j < old_count; j++) {
        free(old_targets[j].report.counters);
    }
}

static void copy_text(char out[STATUS_TEXT_MAX], const char *text)
{
    (void)snprintf(out, STATUS_TEXT_MAX, "%s", text);
}

static void copy_report(const struct status_report *from, struct survey_report *to)
{
    *to = (struct survey_report){
        .replica_id = from->replica_id,
        .view_number = from->view_number,
        .last_normal_view = from->last_normal_view,
        .status = from->status,
        .acting_primary = from->acting_primary,
        .log_full = from->log_full,
        .op_number = from->op_number,
        .commit_number = from->commit_number,
        .executed_op = from->executed_op,
        .uptime_s = from->uptime_s,
        .disk_bytes = from->disk_bytes,
        .durability = from->durability,
        .digest_op = from->state_digest.op,
        .digest = from->state_digest.value,
        .silent_mask = from->silent_mask,
        .suspect_mask = from->suspect_mask,
        .configuration = *from->configuration,
        .counter_count = from->counter_count,
        .counters = must_calloc(from->counter_count, sizeof(struct survey_counter)),
    };
    copy_text(to->version, from->version);
    copy_text(to->note, from->note);
    for (uint32_t i = 0; i < from->counter_count; i++) {
        copy_text(to->counters[i].name, from->counters[i].name);
        to->counters[i].value = from->counters[i].value;
    }
}

static void on_status(struct surveyor *surveyor, const struct message *message, uint64_t now_ns)
{
    const struct status_report *report = message->status;
    uint32_t target = find_address(surveyor, &message->address);
    if (target == UINT32_MAX || report->configuration == NULL) {
        return;
    }
    const uint64_t number = report->nonce - surveyor->nonce;
    if (number >= surveyor->asking[target].asks) {
        return; /* not to what was asked */
    }
    const uint64_t asked_ns = surveyor->asking[target].asked_ns[number % ASKS_MAX];
    adopt(surveyor, report->configuration);
    target = find_address(surveyor, &message->address);
    if (target == UINT32_MAX) {
        /* A seed by an address that its configuration does not use. */
        target = configuration_index(&surveyor->survey->configuration, report->replica_id);
    }
    if (target >= surveyor->survey->target_count || surveyor->survey->targets[target].answered) {
        return;
    }
    /* It has told us its token, or will, and says the rest to that. */
    struct asking *asking = &surveyor->asking[target];
    asking->in_short = report->counter_count == 0;
    struct survey_target *answered = &surveyor->survey->targets[target];
    answered->answered = !asking->in_short;
    free(answered->report.counters);
    copy_report(report, &answered->report);
    answered->report.rtt_ns = now_ns - asked_ns;

    const uint64_t rest_ns = REST_MS * NANOSECONDS_PER_MILLISECOND;
    const uint64_t rtts_ns = REST_RTTS * answered->report.rtt_ns;
    if (surveyor->rest_deadline_ns == UINT64_MAX) {
        surveyor->rest_deadline_ns = now_ns + (rest_ns > rtts_ns ? rest_ns : rtts_ns);
    }
}

static void on_challenge(struct surveyor *surveyor, const struct message *message, uint64_t now_ns)
{
    const uint32_t target = find_address(surveyor, &message->address);
    if (target == UINT32_MAX || surveyor->survey->targets[target].answered ||
        surveyor->asking[target].token == message->challenge.token) {
        return;
    }
    surveyor->asking[target].token = message->challenge.token;
    ask(surveyor, target, now_ns);
}

static void on_refused(struct surveyor *surveyor, const struct message *message)
{
    const uint32_t target = find_address(surveyor, &message->address);
    surveyor->survey->refusal = message->refused;
    surveyor->survey->refused_by = message->address;
    if (target != UINT32_MAX) {
        surveyor->survey->targets[target].refusal = message->refused;
    }
}

static bool heard_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    struct survey *survey = ((struct surveyor *)context)->survey;
    if (survey->cluster_id == 0) {
        survey->cluster_id = cluster_id;
    }
    if (cluster_id == 0 || cluster_id == survey->cluster_id) {
        return true;
    }
    survey->refusal =
        (struct refused){.reason = REFUSED_CLUSTER, .own = cluster_id, .yours = survey->cluster_id};
    survey->refused_by = *address;
    return false;
}

static void hear_seed(struct surveyor *surveyor, const struct net_address *address)
{
    for (uint32_t i = 0; i < surveyor->seed_count; i++) {
        if (net_address_equal(&surveyor->seeds[i], address)) {
            surveyor->seeds_heard |= 1u << i;
        }
    }
}

static void take_message(void *context, const struct message *message, uint64_t now_ns)
{
    struct surveyor *surveyor = context;
    hear_seed(surveyor, &message->address);
    switch (message->type) {
    case MESSAGE_STATUS:
        on_status(surveyor, message, now_ns);
        return;
    case MESSAGE_CHALLENGE:
        on_challenge(surveyor, message, now_ns);
        return;
    case MESSAGE_REFUSED:
        on_refused(surveyor, message);
        return;
    default:
        return;
    }
}

static uint64_t token_of(void *context, const struct net_address *address)
{
    const struct surveyor *surveyor = context;
    const uint32_t target = find_address(surveyor, address);
    return target != UINT32_MAX ? surveyor->asking[target].token : 0;
}

/* ---- running ---- */

/* Every member, and every seed: one that is no member may be of another cluster. */
static bool all_answered(const struct surveyor *surveyor)
{
    const struct survey *survey = surveyor->survey;
    for (uint32_t i = 0; i < surveyor->seed_count; i++) {
        if ((surveyor->seeds_heard & (1u << i)) == 0) {
            return false;
        }
    }
    for (uint32_t i = 0; i < survey->target_count; i++) {
        if (!survey->targets[i].answered) {
            return false;
        }
    }
    return survey->has_configuration;
}

static void ask_who_is_due(struct surveyor *surveyor, uint64_t now_ns)
{
    for (uint32_t i = 0; i < surveyor->survey->target_count; i++) {
        const struct survey_target *target = &surveyor->survey->targets[i];
        if (!target->answered && net_address_known(&target->address) &&
            surveyor->asking[i].next_ns <= now_ns) {
            ask(surveyor, i, now_ns);
        }
    }
}

/* The list is wrong, whatever else will be heard. */
static bool list_is_wrong(const struct survey *survey)
{
    return survey->refusal.reason == REFUSED_CLUSTER ||
           survey->refusal.reason == REFUSED_PEERS_PORT;
}

static void run(struct surveyor *surveyor, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    while (now_ns < deadline_ns && now_ns < surveyor->rest_deadline_ns &&
           !list_is_wrong(surveyor->survey) && !all_answered(surveyor) && !interrupt_seen()) {
        channel_set_cluster(&surveyor->channel, surveyor->survey->cluster_id);
        ask_who_is_due(surveyor, now_ns);
        channel_flush(&surveyor->channel);
        (void)channel_receive(&surveyor->channel, CHANNEL_WAIT_MS * NANOSECONDS_PER_MILLISECOND);
        now_ns = clock_monotonic_ns();
        channel_dispatch(&surveyor->channel, now_ns);
    }
    for (uint32_t i = 0; i < surveyor->survey->target_count; i++) {
        surveyor->survey->targets[i].answered |= surveyor->asking[i].in_short;
    }
}

int survey_run(struct survey *survey, const struct net_address *seeds, uint32_t seed_count,
               uint32_t timeout_ms, uint32_t datagram_size)
{
    memset(survey, 0, sizeof *survey);
    struct surveyor *surveyor = must_calloc(1, sizeof *surveyor);
    surveyor->survey = survey;
    surveyor->nonce = random_nonzero_u64();
    surveyor->padding_size = datagram_size > 0 && datagram_size < PADDING + FRAME
                                 ? datagram_size - FRAME /* DATAGRAM_SIZE_MIN is more */
                                 : PADDING;
    surveyor->rest_deadline_ns = UINT64_MAX;
    surveyor->seeds = seeds;
    surveyor->seed_count = seed_count;
    survey->target_count = seed_count;
    for (uint32_t i = 0; i < seed_count; i++) {
        survey->targets[i].address = seeds[i];
        name_target(&survey->targets[i]);
    }
    const struct channel_handler handler = {
        .context = surveyor,
        .heard_cluster = heard_cluster,
        .message = take_message,
        .token = token_of,
    };
    const int error = channel_open(&surveyor->channel, &handler, seeds, seed_count, datagram_size);
    if (error == 0) {
        const uint64_t begin_ns = clock_monotonic_ns();
        run(surveyor, begin_ns + timeout_ms * NANOSECONDS_PER_MILLISECOND);
        survey->took_ns = clock_monotonic_ns() - begin_ns;
        channel_close(&surveyor->channel);
    }
    free(surveyor);
    return error;
}

bool survey_is_refused(const struct survey *survey)
{
    return list_is_wrong(survey) ||
           (survey->refusal.reason == REFUSED_VERSION && !survey->has_configuration);
}

void survey_free(struct survey *survey)
{
    for (uint32_t i = 0; i < PROXY_SEEDS_MAX; i++) {
        free(survey->targets[i].report.counters);
    }
    memset(survey, 0, sizeof *survey);
}
