/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_pull.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "common/os/clock.h"
#include "common/os/random.h"

enum {
    ASK_AGAIN_MS = 100,
    GIVE_UP_MS = 1000, /* without a word of a replica that others have answered for */
};

/* ---- questions ---- */

static void ask(struct trace_pull *pull, struct trace_member *member, uint32_t lane,
                uint64_t now_ns)
{
    struct trace_lane_pull *asking = &member->lanes[lane];
    asking->nonce = ++pull->nonce;
    asking->asked_ns = now_ns;
    asking->waiting = true;
    const struct message message = {
        .type = MESSAGE_TRACE_REQUEST,
        .from = REPLICA_NONE,
        .trace_request = {.nonce = asking->nonce,
                          .lane = lane,
                          .events_max = asking->count,
                          .from_event = asking->from},
    };
    channel_send(&pull->channel, &member->address, member->token, &message, now_ns);
}

/* Once: the page below the cursor. */
static void choose_backwards(struct trace_lane_pull *lane)
{
    const uint64_t left = lane->cursor - lane->floor;
    lane->count = left < TRACE_EVENTS_MAX ? (uint32_t)left : TRACE_EVENTS_MAX;
    lane->from = lane->cursor - lane->count;
    lane->finished = lane->count == 0;
}

/* Following: the page from the cursor on. */
static void choose_forwards(struct trace_lane_pull *lane)
{
    lane->from = lane->cursor;
    lane->count = TRACE_EVENTS_MAX;
    lane->finished =
        lane->pages > 0 && (lane->cursor >= lane->next || lane->pages >= TRACE_FOLLOW_PAGES);
}

static void choose_next(const struct trace_pull *pull, struct trace_lane_pull *lane)
{
    if (!lane->known) {
        lane->from = UINT64_MAX; /* only tells where the lane ends */
        lane->count = 0;
    } else if (pull->follow) {
        choose_forwards(lane);
    } else {
        choose_backwards(lane);
    }
}

static void ask_who_is_due(struct trace_pull *pull, uint64_t now_ns)
{
    for (uint32_t i = 0; i < pull->member_count; i++) {
        struct trace_member *member = &pull->members[i];
        for (uint32_t lane = 0; member->reachable && lane < TRACE_LANE_COUNT; lane++) {
            struct trace_lane_pull *asking = &member->lanes[lane];
            const bool overdue = asking->waiting && now_ns - asking->asked_ns >=
                                                        ASK_AGAIN_MS * NANOSECONDS_PER_MILLISECOND;
            if (asking->finished || (asking->waiting && !overdue)) {
                continue;
            }
            if (!asking->waiting) {
                choose_next(pull, asking);
            }
            if (!asking->finished) {
                ask(pull, member, lane, now_ns);
            }
        }
    }
}

/* ---- answers ---- */

static void add_events(struct trace_member *member, struct trace_source *source,
                       const struct trace_report *report, uint64_t stop)
{
    const size_t needed = source->count + report->event_count;
    if (needed > member->capacity) {
        member->capacity = needed < 1024 ? 1024 : 2 * needed;
        source->events = must_realloc(source->events, member->capacity * sizeof *source->events);
    }
    for (uint32_t i = 0; i < report->event_count && report->first_event + i < stop; i++) {
        const uint8_t *bytes = report->events + (size_t)i * TRACE_EVENT_SIZE;
        if (trace_event_decode(bytes, &source->events[source->count])) {
            source->count++;
        }
    }
}

/* Where the lane ends is known now, and so where to begin. */
static void begin_lane(const struct trace_pull *pull, struct trace_lane_pull *lane,
                       const struct trace_report *report)
{
    lane->known = true;
    lane->cursor = report->next_event;
    if (pull->follow && pull->rounds > 1) {
        lane->cursor = report->oldest_event; /* it was not there when we began: all is news */
    }
    lane->floor = report->oldest_event;
    if (pull->newest != 0 && report->next_event - report->oldest_event > pull->newest) {
        lane->floor = report->next_event - pull->newest;
    }
}

static void take_backwards(struct trace_member *member, struct trace_source *source,
                           struct trace_lane_pull *lane, const struct trace_report *report)
{
    add_events(member, source, report, lane->cursor);
    lane->cursor = lane->from;
    if (report->first_event > lane->from) { /* the ring has come this far meanwhile */
        lane->cursor = report->first_event;
        lane->floor = lane->cursor;
    }
}

static void take_forwards(struct trace_member *member, struct trace_source *source,
                          struct trace_lane_pull *lane, const struct trace_report *report)
{
    const uint64_t enough = TRACE_FOLLOW_PAGES * TRACE_EVENTS_MAX;
    if (report->next_event < lane->cursor) { /* it was started anew */
        lane->cursor = report->oldest_event;
        return;
    }
    if (report->first_event > lane->cursor) {
        lane->lost += report->first_event - lane->cursor;
    }
    add_events(member, source, report, UINT64_MAX);
    lane->cursor = report->first_event + report->event_count;
    if (lane->cursor < report->next_event && report->next_event - lane->cursor > enough) {
        /* Too fast for us: what comes next is better than what was. */
        const uint64_t skipped = report->next_event - enough - lane->cursor;
        lane->lost += skipped;
        lane->cursor += skipped;
    }
}

static void on_report(struct trace_pull *pull, uint32_t index, const struct trace_report *report,
                      uint64_t now_ns)
{
    struct trace_member *member = &pull->members[index];
    struct trace_source *source = &pull->sources[index];
    struct trace_lane_pull *lane = &member->lanes[report->lane];
    if (!lane->waiting || report->nonce != lane->nonce) {
        return; /* late: it was asked again */
    }
    trace_clock_add(&source->clock, lane->asked_ns, now_ns, report->now_ns);
    lane->waiting = false;
    lane->next = report->next_event;
    if (!lane->known) {
        begin_lane(pull, lane, report);
        return;
    }
    lane->pages++;
    if (pull->follow) {
        take_forwards(member, source, lane, report);
    } else {
        take_backwards(member, source, lane, report);
    }
}

static uint32_t find_member(const struct trace_pull *pull, const struct net_address *address)
{
    for (uint32_t i = 0; i < pull->member_count; i++) {
        if (net_address_equal(&pull->members[i].address, address)) {
            return i;
        }
    }
    return REPLICAS_MAX;
}

static void on_challenge(struct trace_pull *pull, uint32_t index, uint64_t token, uint64_t now_ns)
{
    struct trace_member *member = &pull->members[index];
    if (member->token == token) {
        return;
    }
    member->token = token;
    for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
        if (member->lanes[lane].waiting) {
            ask(pull, member, lane, now_ns);
        }
    }
}

static void take_message(void *context, const struct message *message, uint64_t now_ns)
{
    struct trace_pull *pull = context;
    const uint32_t index = find_member(pull, &message->address);
    if (index == REPLICAS_MAX) {
        return;
    }
    pull->members[index].heard_ns = now_ns;
    if (message->type == MESSAGE_TRACE_REPORT) {
        on_report(pull, index, &message->trace_report, now_ns);
    } else if (message->type == MESSAGE_CHALLENGE) {
        on_challenge(pull, index, message->challenge.token, now_ns);
    }
}

static bool heard_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    (void)address;
    return cluster_id == ((struct trace_pull *)context)->cluster_id;
}

static uint64_t token_of(void *context, const struct net_address *address)
{
    const struct trace_pull *pull = context;
    const uint32_t index = find_member(pull, address);
    return index != REPLICAS_MAX ? pull->members[index].token : 0;
}

/* ---- running ---- */

static bool is_quiet(const struct trace_member *member, uint64_t now_ns)
{
    return now_ns - member->heard_ns > GIVE_UP_MS * NANOSECONDS_PER_MILLISECOND;
}

/* Following does not wait for who is quiet, but asks again and again. */
static bool all_finished(const struct trace_pull *pull, uint64_t now_ns)
{
    for (uint32_t i = 0; i < pull->member_count; i++) {
        const struct trace_member *member = &pull->members[i];
        const bool waited_for = member->reachable && !(pull->follow && is_quiet(member, now_ns));
        for (uint32_t lane = 0; waited_for && lane < TRACE_LANE_COUNT; lane++) {
            if (!member->lanes[lane].finished) {
                return false;
            }
        }
    }
    return true;
}

/* Who has said nothing for so long has died meanwhile. */
static void give_up_silent(struct trace_pull *pull, uint64_t begin_ns, uint64_t now_ns)
{
    for (uint32_t i = 0; i < pull->member_count; i++) {
        struct trace_member *member = &pull->members[i];
        const uint64_t since_ns = member->heard_ns > begin_ns ? member->heard_ns : begin_ns;
        if (now_ns - since_ns > GIVE_UP_MS * NANOSECONDS_PER_MILLISECOND) {
            for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
                member->lanes[lane].finished = true;
            }
        }
    }
}

static void run(struct trace_pull *pull, uint64_t deadline_ns)
{
    const uint64_t begin_ns = clock_monotonic_ns();
    uint64_t now_ns = begin_ns;
    for (uint32_t i = 0; i < pull->member_count; i++) {
        for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
            struct trace_lane_pull *asking = &pull->members[i].lanes[lane];
            asking->finished = false;
            asking->waiting = false;
            asking->pages = 0;
        }
    }
    for (;;) {
        ask_who_is_due(pull, now_ns);
        give_up_silent(pull, begin_ns, now_ns);
        channel_flush(&pull->channel);
        if (now_ns >= deadline_ns || all_finished(pull, now_ns) || interrupt_seen()) {
            return;
        }
        (void)channel_receive(&pull->channel, CHANNEL_WAIT_MS * NANOSECONDS_PER_MILLISECOND);
        now_ns = clock_monotonic_ns();
        channel_dispatch(&pull->channel, now_ns);
    }
}

/* Everything of a lane is there from its earliest event on; from the start of the process, if that
 * was the lane's first. */
static void judge_completeness(const struct trace_member *member, struct trace_source *source)
{
    uint64_t started_ns = 0;
    uint64_t earliest_ns[TRACE_LANE_COUNT] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < source->count; i++) {
        const struct trace_event *event = &source->events[i];
        uint64_t *earliest = &earliest_ns[trace_event_lane(event)];
        *earliest = event->time_ns < *earliest ? event->time_ns : *earliest;
        if (event->kind == TRACE_STATE && event->type == TRACE_STARTED) {
            started_ns = event->time_ns;
        }
    }
    for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
        source->complete_from_ns[lane] =
            member->lanes[lane].cursor == 0 ? started_ns : earliest_ns[lane];
    }
}

static bool is_known(const struct trace_member *member)
{
    bool known = member->reachable;
    for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
        known = known && member->lanes[lane].known;
    }
    return known;
}

/* Something was lost in this round, or is not there yet. */
static bool is_behind(const struct trace_member *member)
{
    for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
        if (member->lanes[lane].lost > 0 || member->lanes[lane].cursor < member->lanes[lane].next) {
            return true;
        }
    }
    return false;
}

void trace_pull_once(struct trace_pull *pull, uint64_t newest, uint64_t deadline_ns)
{
    pull->follow = false;
    pull->newest = newest;
    run(pull, deadline_ns);
    for (uint32_t i = 0; i < pull->member_count; i++) {
        pull->sources[i].answered = is_known(&pull->members[i]);
        judge_completeness(&pull->members[i], &pull->sources[i]);
    }
}

void trace_pull_more(struct trace_pull *pull, uint64_t deadline_ns)
{
    pull->follow = true;
    pull->rounds++;
    for (uint32_t i = 0; i < pull->member_count; i++) {
        pull->members[i].reachable = net_address_known(&pull->members[i].address);
    }
    run(pull, deadline_ns);
    const uint64_t now_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < pull->member_count; i++) {
        struct trace_member *member = &pull->members[i];
        member->behind_ns = is_behind(member) ? now_ns : member->behind_ns;
        pull->sources[i].gaps =
            now_ns - member->behind_ns < TRACE_BEHIND_MS * NANOSECONDS_PER_MILLISECOND;
        pull->sources[i].answered = is_known(member) && !is_quiet(member, now_ns);
    }
}

uint64_t trace_pull_take_lost(struct trace_pull *pull, uint32_t member)
{
    uint64_t lost = 0;
    for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
        lost += pull->members[member].lanes[lane].lost;
        pull->members[member].lanes[lane].lost = 0;
    }
    return lost;
}

int trace_pull_open(struct trace_pull *pull, const struct survey *survey, uint32_t datagram_size)
{
    struct net_address addresses[REPLICAS_MAX];
    size_t address_count = 0;
    memset(pull, 0, sizeof *pull);
    pull->cluster_id = survey->cluster_id;
    pull->nonce = random_nonzero_u64();
    pull->member_count = survey->configuration.member_count;
    for (uint32_t i = 0; i < pull->member_count; i++) {
        pull->members[i] = (struct trace_member){
            .replica_id = survey->configuration.members[i].replica_id,
            .address = survey->targets[i].address,
            .reachable = net_address_known(&survey->targets[i].address),
        };
        if (pull->members[i].reachable) {
            addresses[address_count++] = pull->members[i].address;
        }
        pull->members[i].reachable = pull->members[i].reachable && survey->targets[i].answered;
        pull->members[i].heard_ns = pull->members[i].reachable ? clock_monotonic_ns() : 0;
    }
    const struct channel_handler handler = {
        .context = pull,
        .heard_cluster = heard_cluster,
        .message = take_message,
        .token = token_of,
    };
    const int error =
        channel_open(&pull->channel, &handler, addresses, address_count, datagram_size);
    if (error == 0) {
        channel_set_cluster(&pull->channel, pull->cluster_id);
    }
    return error;
}

void trace_pull_close(struct trace_pull *pull)
{
    channel_close(&pull->channel);
    for (uint32_t i = 0; i < pull->member_count; i++) {
        free(pull->sources[i].events);
    }
    memset(pull, 0, sizeof *pull);
}
