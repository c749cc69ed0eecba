/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_merge.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"
#include "common/os/clock.h"

enum { DELAY_MAX_MS = 1000 }; /* between a sending and what is still taken for its receipt */

/* One end of a message between two replicas. */
struct end {
    uint64_t key; /* equal for the two ends of one message */
    uint64_t at_ns;
    uint32_t source;
    uint32_t peer;
    size_t event;
    struct end *other; /* NULL: not found */
    size_t line;       /* of a sending, once it has one; SIZE_MAX before */
    bool doubtful;     /* of a sending: one alike came so late that it must be another */
};

struct ends {
    struct end *items;
    size_t count;
    size_t capacity;
};

struct merge {
    struct trace_source *sources;
    uint32_t count;
    uint64_t now_ns;
    uint64_t started_ns[REPLICAS_MAX]; /* own clock; 0: not remembered */
    struct ends sent;
    struct ends received;
    struct trace_lines *lines;
};

static uint64_t own_time(const struct merge *merge, uint32_t source, size_t event)
{
    const struct trace_source *s = &merge->sources[source];
    return trace_clock_own(&s->clock, s->events[event].time_ns);
}

/* ---- ends ---- */

static int by_time(const void *a, const void *b)
{
    const struct trace_event *x = a;
    const struct trace_event *y = b;
    return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static uint64_t key_of(const struct trace_event *e, uint32_t from, uint32_t to)
{
    const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t parts[] = {
        (uint64_t)e->type << 16 | from << 8 | to,
        e->view_number,
        e->first_op,
        e->op_count,
        e->commit_number,
        e->detail,
    };
    uint64_t mixed = prime;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        mixed = (mixed ^ parts[i]) * prime;
        mixed ^= mixed >> 29;
    }
    return mixed;
}

static void add_end(struct ends *ends, const struct end *end)
{
    if (ends->count == ends->capacity) {
        ends->capacity = ends->capacity == 0 ? 1024 : 2 * ends->capacity;
        ends->items = must_realloc(ends->items, ends->capacity * sizeof *ends->items);
    }
    ends->items[ends->count++] = *end;
}

static void collect_event(struct merge *merge, uint32_t source, size_t index)
{
    const struct trace_event *event = &merge->sources[source].events[index];
    if (event->kind == TRACE_STATE && event->type == TRACE_STARTED) {
        merge->started_ns[source] = own_time(merge, source, index);
    }
    if (event->kind == TRACE_STATE || trace_event_is_client(event)) {
        return;
    }
    for (uint32_t peer = 0; peer < merge->count; peer++) {
        if ((event->peers & (UINT32_C(1) << peer)) == 0 || peer == source) {
            continue;
        }
        const bool sent = event->kind == TRACE_SENT;
        const struct end end = {
            .key = key_of(event, sent ? source : peer, sent ? peer : source),
            .at_ns = own_time(merge, source, index),
            .source = source,
            .peer = peer,
            .event = index,
            .line = SIZE_MAX,
        };
        add_end(sent ? &merge->sent : &merge->received, &end);
    }
}

static int by_key(const void *a, const void *b)
{
    const struct end *x = a;
    const struct end *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

static int by_event(const void *a, const void *b)
{
    const struct end *const *x = a;
    const struct end *const *y = b;
    if ((*x)->source != (*y)->source) {
        return (*x)->source < (*y)->source ? -1 : 1;
    }
    if ((*x)->event != (*y)->event) {
        return (*x)->event < (*y)->event ? -1 : 1;
    }
    return (*x)->peer < (*y)->peer ? -1 : (*x)->peer > (*y)->peer;
}

/* ---- matching ---- */

static void join(struct end *sent, struct end *received)
{
    sent->other = received;
    received->other = sent;
}

/* By what is known of the two clocks, was it sent before it was received? */
static bool in_order(const struct merge *merge, const struct end *sent, const struct end *received)
{
    const uint64_t slack_ns = trace_clock_uncertainty(&merge->sources[sent->source].clock) +
                              trace_clock_uncertainty(&merge->sources[received->source].clock);
    return sent->at_ns <= received->at_ns + slack_ns;
}

/* The first event of a source that is not before that time, own clock; its count: there is none. */
static size_t first_from(const struct merge *merge, uint32_t source, uint64_t at_ns)
{
    size_t low = 0;
    size_t high = merge->sources[source].count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (own_time(merge, source, middle) < at_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* A process that was started in between had not been there to be sent to. */
static bool started_between(const struct merge *merge, const struct end *sent,
                            const struct end *received)
{
    const uint64_t started_ns = merge->started_ns[received->source];
    const uint64_t slack_ns = trace_clock_uncertainty(&merge->sources[sent->source].clock) +
                              trace_clock_uncertainty(&merge->sources[received->source].clock);
    return started_ns != 0 && sent->at_ns + slack_ns < started_ns && started_ns <= received->at_ns;
}

/* Nothing takes seconds on its way unless the receiver did not run: then it has no event between
 * what it did as the message came and what it found when it woke up. */
static bool too_late(const struct merge *merge, const struct end *sent, const struct end *received)
{
    const uint64_t from_ns = sent->at_ns + TRACE_PATIENCE_MS * NANOSECONDS_PER_MILLISECOND;
    const uint64_t delay_max_ns = DELAY_MAX_MS * NANOSECONDS_PER_MILLISECOND;
    if (received->at_ns < delay_max_ns || received->at_ns - delay_max_ns <= from_ns) {
        return false;
    }
    const struct trace_source *source = &merge->sources[received->source];
    for (uint32_t lane = 0; lane < TRACE_LANE_COUNT; lane++) {
        if (from_ns < trace_clock_own(&source->clock, source->complete_from_ns[lane])) {
            return true; /* what it did then is forgotten */
        }
    }
    return first_from(merge, received->source, from_ns) <
           first_from(merge, received->source, received->at_ns - delay_max_ns);
}

/* Of one key: may that receipt be of that sending? */
static bool is_credible(const struct merge *merge, const struct end *sent,
                        const struct end *received)
{
    return !started_between(merge, sent, received) && !too_late(merge, sent, received);
}

/* As many receipts as sendings, each after its own: nothing was lost. */
static bool match_all(const struct merge *merge, struct end *sent, struct end *received,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!in_order(merge, &sent[i], &received[i]) ||
            !is_credible(merge, &sent[i], &received[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        join(&sent[i], &received[i]);
    }
    return true;
}

/* The latest sending before it that has no receipt yet. What lies before one that is not credible
 * is even less so. */
static void match_receipt(const struct merge *merge, struct end *sent, size_t sent_count,
                          struct end *received)
{
    size_t i = 0;
    while (i < sent_count && in_order(merge, &sent[i], received)) {
        i++;
    }
    while (i > 0 && sent[i - 1].other != NULL) {
        i--;
    }
    if (i > 0 && is_credible(merge, &sent[i - 1], received)) {
        join(&sent[i - 1], received);
    } else if (i > 0) {
        sent[i - 1].doubtful = true;
    }
}

/* All ends of one key, in order of time. */
static void match_group(const struct merge *merge, struct end *sent, size_t sent_count,
                        struct end *received, size_t received_count)
{
    if (sent_count == received_count && match_all(merge, sent, received, sent_count)) {
        return;
    }
    for (size_t i = 0; i < received_count; i++) {
        match_receipt(merge, sent, sent_count, &received[i]);
    }
}

static size_t group_end(const struct ends *ends, size_t begin)
{
    size_t end = begin;
    while (end < ends->count && ends->items[end].key == ends->items[begin].key) {
        end++;
    }
    return end;
}

static void match(struct merge *merge)
{
    struct ends *sent = &merge->sent;
    struct ends *received = &merge->received;
    size_t r = 0;
    for (size_t s = 0; s < sent->count;) {
        const size_t s_end = group_end(sent, s);
        while (r < received->count && received->items[r].key < sent->items[s].key) {
            r++;
        }
        if (r < received->count && received->items[r].key == sent->items[s].key) {
            const size_t r_end = group_end(received, r);
            match_group(merge, &sent->items[s], s_end - s, &received->items[r], r_end - r);
            r = r_end;
        }
        s = s_end;
    }
}

/* The ends in the order of their events. */
static void order_ends(struct ends *ends, struct end **sorted)
{
    for (size_t i = 0; i < ends->count; i++) {
        sorted[i] = &ends->items[i];
    }
    if (ends->count > 0) {
        qsort(sorted, ends->count, sizeof *sorted, by_event);
    }
}

/* ---- lines ---- */

static struct trace_line *add_line(struct merge *merge, enum trace_fate fate, uint32_t source,
                                   size_t event)
{
    struct trace_lines *lines = merge->lines;
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity == 0 ? 1024 : 2 * lines->capacity;
        lines->items = must_realloc(lines->items, lines->capacity * sizeof *lines->items);
    }
    const uint64_t before_ns = lines->count > 0 ? lines->items[lines->count - 1].at_ns : 0;
    const uint64_t at_ns = own_time(merge, source, event);
    struct trace_line *line = &lines->items[lines->count++];
    *line = (struct trace_line){
        .fate = fate,
        .from = source,
        .to = source,
        .at_ns = at_ns > before_ns ? at_ns : before_ns,
        .event = merge->sources[source].events[event],
        .sent_index = SIZE_MAX,
        .received_index = SIZE_MAX,
    };
    line->repeated = line->event.repeated != 0;
    return line;
}

static enum trace_fate fate_of_unseen(const struct merge *merge, const struct end *sent)
{
    const struct trace_source *to = &merge->sources[sent->peer];
    const enum trace_lane lane =
        trace_event_lane(&merge->sources[sent->source].events[sent->event]);
    if (to->answered &&
        merge->now_ns < sent->at_ns + TRACE_PATIENCE_MS * NANOSECONDS_PER_MILLISECOND) {
        return FATE_IN_FLIGHT;
    }
    if (!to->answered || to->gaps || sent->doubtful ||
        sent->at_ns < trace_clock_own(&to->clock, to->complete_from_ns[lane])) {
        return FATE_UNKNOWN;
    }
    return FATE_LOST;
}

static void add_sent(struct merge *merge, struct end *end)
{
    struct trace_line *line = add_line(merge, fate_of_unseen(merge, end), end->source, end->event);
    line->to = end->peer;
    line->sent_ns = line->at_ns;
    line->sent_index = end->event;
    end->line = merge->lines->count - 1;
}

/* The other end of a line that is there, or a line of its own. */
static void add_received(struct merge *merge, const struct end *end)
{
    const struct trace_event *event = &merge->sources[end->source].events[end->event];
    struct trace_line *line;
    if (end->other != NULL && end->other->line != SIZE_MAX) {
        line = &merge->lines->items[end->other->line];
        line->repeated = line->repeated && event->repeated != 0;
    } else {
        line = add_line(merge, FATE_RECEIVED, end->source, end->event);
        line->from = end->peer;
        line->to = end->source;
    }
    line->fate = FATE_RECEIVED;
    line->received_index = end->event;
    line->verdict = (enum trace_verdict)event->verdict;
    line->received_ns = own_time(merge, end->source, end->event);
    line->received_ns = line->received_ns < line->at_ns ? line->at_ns : line->received_ns;
}

static void add_alone(struct merge *merge, uint32_t source, size_t index)
{
    const struct trace_event *event = &merge->sources[source].events[index];
    switch ((enum trace_kind)event->kind) {
    case TRACE_STATE: {
        struct trace_line *line = add_line(merge, FATE_STATE, source, index);
        line->sent_index = index;
        break;
    }
    case TRACE_SENT: {
        struct trace_line *line = add_line(merge, FATE_TO_CLIENT, source, index);
        line->to = TRACE_CLIENT;
        line->sent_ns = line->at_ns;
        line->sent_index = index;
        break;
    }
    case TRACE_RECEIVED: {
        struct trace_line *line = add_line(merge, FATE_RECEIVED, source, index);
        line->from = TRACE_CLIENT;
        line->received_ns = line->at_ns;
        line->received_index = index;
        line->verdict = (enum trace_verdict)event->verdict;
        break;
    }
    }
}

/* ---- merging ---- */

/* Where one source's merging has come to. */
struct head {
    size_t next;       /* event */
    struct end **sent; /* the next of its sendings */
    struct end **sent_stop;
    struct end **received; /* and of its receipts */
    struct end **received_stop;
};

static bool at_event(struct end *const *end, struct end *const *stop, size_t event)
{
    return end != stop && (*end)->event == event;
}

/* Its next event is a receipt whose sending has not been shown yet. */
static bool is_blocked(const struct head *head)
{
    return at_event(head->received, head->received_stop, head->next) &&
           (*head->received)->other != NULL && (*head->received)->other->line == SIZE_MAX;
}

/* The source with the earliest event that may come now; if the clocks and the matching contradict
 * each other so that none may, the earliest. REPLICAS_MAX: all are done. */
static uint32_t choose(const struct merge *merge, const struct head *heads)
{
    uint32_t best = REPLICAS_MAX;
    bool best_blocked = false;
    for (uint32_t i = 0; i < merge->count; i++) {
        if (heads[i].next >= merge->sources[i].count) {
            continue;
        }
        const bool blocked = is_blocked(&heads[i]);
        if (best == REPLICAS_MAX || (best_blocked && !blocked) ||
            (best_blocked == blocked &&
             own_time(merge, i, heads[i].next) < own_time(merge, best, heads[best].next))) {
            best = i;
            best_blocked = blocked;
        }
    }
    return best;
}

static void advance(struct merge *merge, uint32_t source, struct head *head)
{
    bool alone = true;
    while (at_event(head->sent, head->sent_stop, head->next)) {
        add_sent(merge, *head->sent++);
        alone = false;
    }
    while (at_event(head->received, head->received_stop, head->next)) {
        add_received(merge, *head->received++);
        alone = false;
    }
    if (alone) {
        add_alone(merge, source, head->next);
    }
    head->next++;
}

static void find_heads(const struct merge *merge, struct end **sent, struct end **received,
                       struct head *heads)
{
    size_t s = 0;
    size_t r = 0;
    for (uint32_t i = 0; i < merge->count; i++) {
        heads[i] = (struct head){.sent = &sent[s], .received = &received[r]};
        while (s < merge->sent.count && sent[s]->source == i) {
            s++;
        }
        while (r < merge->received.count && received[r]->source == i) {
            r++;
        }
        heads[i].sent_stop = &sent[s];
        heads[i].received_stop = &received[r];
    }
}

void trace_merge(struct trace_source *sources, uint32_t count, uint64_t now_ns,
                 struct trace_lines *lines)
{
    struct merge merge = {.sources = sources, .count = count, .now_ns = now_ns, .lines = lines};
    *lines = (struct trace_lines){0};
    for (uint32_t i = 0; i < count; i++) {
        if (sources[i].count > 0) {
            qsort(sources[i].events, sources[i].count, sizeof *sources[i].events, by_time);
        }
        for (size_t event = 0; event < sources[i].count; event++) {
            collect_event(&merge, i, event);
        }
    }
    if (merge.sent.count > 0 && merge.received.count > 0) {
        qsort(merge.sent.items, merge.sent.count, sizeof *merge.sent.items, by_key);
        qsort(merge.received.items, merge.received.count, sizeof *merge.received.items, by_key);
        match(&merge);
    }
    struct end **sent = must_calloc(merge.sent.count + 1, sizeof(struct end *));
    struct end **received = must_calloc(merge.received.count + 1, sizeof(struct end *));
    order_ends(&merge.sent, sent);
    order_ends(&merge.received, received);
    struct head heads[REPLICAS_MAX];
    find_heads(&merge, sent, received, heads);
    for (uint32_t i; (i = choose(&merge, heads)) != REPLICAS_MAX;) {
        advance(&merge, i, &heads[i]);
    }
    free(sent);
    free(received);
    free(merge.sent.items);
    free(merge.received.items);
}

void trace_lines_free(struct trace_lines *lines)
{
    free(lines->items);
    *lines = (struct trace_lines){0};
}
