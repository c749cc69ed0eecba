/* SPDX-License-Identifier: Apache-2.0 */
/* The search of Wing and Gong, with Lowe's memo: at each place it tries the operations that may
 * come next, those that were invoked before anything that is left returned, and goes back where
 * none does. What distinguishes places is the set of operations that were ordered, kept as the
 * combination of their fingerprints, and the value of the key.
 *
 * Three shortcuts, none of which changes a verdict:
 *
 * - An operation that changes nothing and fits now is taken at once, and nothing else is tried
 *   there: whatever else comes next can come after it just as well.
 * - One of unknown outcome is only ever taken, alone or in a chain of several, to make one of known
 *   outcome fit that would not otherwise. Where that one fits without, the chain can come later, or
 *   never: for a result either tells that nothing was changed, or says what the value is
 * afterwards. By the same argument a Set or Del is the first of its chain, for it makes what was
 * before irrelevant.
 * - Of several of unknown outcome that do the same, the one invoked first is taken first.
 *
 * Long chains are rare, and there are very many of them: so the search is first done with chains of
 * one, then of two, and only where that finds no order with any.
 *
 * The order in which operations are tried is the caller's hint. With the true order no step is ever
 * taken back; without, or with a wrong one, the search only takes longer. */
#include "test/support/linearizability.h"

#include <stdlib.h>

#include "common/base/invariant.h"
#include "test/support/linear_parts.h"

enum { CHAIN_SHORT = 2 }; /* chains up to this are tried before later candidates are */

static const uint32_t chain_limits[] = {1, CHAIN_SHORT, UINT32_MAX};

enum { PASSES = sizeof chain_limits / sizeof chain_limits[0] };

/* ---- what may come next ---- */

static bool fits(const struct linear_search *search, uint32_t at, struct cell_value value)
{
    const struct linear_operation *o = search->items[at].source;
    return cell_result_equal(cell_apply(&o->operation, &value), o->result);
}

static uint32_t first_event(const struct linear_search *search)
{
    return search->links[2 * search->known_count].after;
}

/* Nothing that was invoked later may come next. */
static uint64_t horizon_ns(const struct linear_search *search)
{
    uint32_t event = first_event(search);
    while (event < search->known_count) {
        event = search->links[event].after;
    }
    return linear_event_ns(search, event);
}

/* One that fits and changes nothing, or NONE. */
static uint32_t find_keeper(const struct linear_search *search)
{
    uint32_t event = first_event(search);
    for (; event < search->known_count; event = search->links[event].after) {
        if (search->items[event].keeps_value && fits(search, event, search->value)) {
            return event;
        }
    }
    return NONE;
}

/* By hint, then by invocation. */
static bool is_tried_before(const struct linear_search *search, uint32_t a, uint32_t b)
{
    const uint64_t hint_a = search->items[a].source->hint - 1; /* 0, no idea: last */
    const uint64_t hint_b = search->items[b].source->hint - 1;
    return hint_a != hint_b ? hint_a < hint_b : a < b;
}

/* The candidate that is tried after `last`; NONE: there is no more. */
static uint32_t next_candidate(const struct linear_search *search, uint32_t last)
{
    uint32_t next = NONE;
    uint32_t event = first_event(search);
    for (; event < search->known_count; event = search->links[event].after) {
        if ((last == NONE || is_tried_before(search, last, event)) &&
            (next == NONE || is_tried_before(search, event, next))) {
            next = event;
        }
    }
    return next;
}

static bool is_available(const struct linear_search *search, const struct item *item,
                         uint64_t horizon)
{
    return !item->ordered && item->source->invoked_ns <= horizon &&
           (item->twin == NONE || search->items[item->twin].ordered);
}

static bool extends_chain(const struct item *item)
{
    return item->source->operation.verb == KV_CAS || item->source->operation.verb == KV_INCR;
}

static bool may_leave(const struct cell_operation *operation, struct cell_value value)
{
    switch (operation->verb) {
    case KV_DEL:
        return value.kind == CELL_ABSENT;
    case KV_INCR:
        return value.kind == CELL_NUMBER;
    default:
        return cell_value_equal(operation->value, value);
    }
}

/* How long a chain to this candidate may be; 0: none can make it fit. */
static uint32_t chain_max(const struct linear_search *search, uint32_t candidate)
{
    struct cell_value value;
    const bool told = linear_tells_value(search->items[candidate].source, &value);
    const uint64_t horizon = horizon_ns(search);
    bool possible = false;
    uint32_t extending = 0;
    for (uint32_t i = 0; i < search->unknown_count; i++) {
        const struct item *item = &search->items[search->known_count + i];
        if (!item->ordered && item->source->invoked_ns <= horizon) {
            possible = possible || !told || may_leave(&item->source->operation, value);
            extending += extends_chain(item) ? 1 : 0;
        }
    }
    return possible ? 1 + extending : 0;
}

/* ---- moves ---- */

struct move {
    uint32_t item;
    struct cursor next; /* at the place that it leads to */
};

static struct move move_to(uint32_t item)
{
    return (struct move){.item = item, .next = {.goal = NONE}};
}

static bool next_in_chain(struct linear_search *search, struct move *move)
{
    struct cursor *at = &search->cursor;
    if (!at->first && fits(search, at->goal, search->value)) {
        *move = move_to(at->goal);
        at->exhausted = true;
        return true;
    }
    const uint64_t horizon = horizon_ns(search);
    while (at->room > 0 && at->unknown < 2 * search->unknown_count) {
        /* Once around for those whose value nobody will ask for, once for the others. */
        const bool wanted = at->unknown >= search->unknown_count;
        const uint32_t i = search->known_count + at->unknown % search->unknown_count;
        const struct item *item = &search->items[i];
        struct cell_value value = search->value;
        at->unknown++;
        if (item->wanted != wanted || !is_available(search, item, horizon) ||
            (!at->first && !extends_chain(item))) {
            continue;
        }
        (void)cell_apply(&item->source->operation, &value); /* its result is what nobody knows */
        if (!cell_value_equal(value, search->value) &&
            (at->room > 1 || fits(search, at->goal, value))) {
            *move = (struct move){i, {.goal = at->goal, .room = at->room - 1}};
            return true;
        }
    }
    return false;
}

/* The candidate itself, or the beginning of a longer chain to it than was tried yet. */
static bool next_to_candidate(struct linear_search *search, struct move *move)
{
    struct cursor *at = &search->cursor;
    if (fits(search, at->candidate, search->value)) {
        *move = move_to(at->candidate);
        return at->length++ == 0 && !at->long_chains;
    }
    const uint32_t possible = chain_max(search, at->candidate);
    const uint32_t most = at->long_chains || possible < CHAIN_SHORT ? possible : CHAIN_SHORT;
    if (at->length >= most || at->length >= search->chain_limit) {
        return false;
    }
    at->length++;
    *move = (struct move){NONE, {.goal = at->candidate, .room = at->length, .first = true}};
    return true;
}

static void begin_round(struct linear_search *search, bool long_chains)
{
    search->cursor.long_chains = long_chains;
    search->cursor.candidate = next_candidate(search, NONE);
    search->cursor.length = long_chains ? CHAIN_SHORT : 0;
}

static bool next_move(struct linear_search *search, struct move *move)
{
    struct cursor *at = &search->cursor;
    if (at->exhausted) {
        return false;
    }
    if (at->goal != NONE) {
        return next_in_chain(search, move);
    }
    if (!at->begun) {
        at->begun = true;
        *move = move_to(find_keeper(search));
        if (move->item != NONE) {
            at->exhausted = true;
            return true;
        }
        begin_round(search, false);
    }
    while (!next_to_candidate(search, move)) {
        at->candidate = next_candidate(search, at->candidate);
        at->length = at->long_chains ? CHAIN_SHORT : 0;
        if (at->candidate == NONE &&
            (at->long_chains || search->chain_limit <= (uint32_t)CHAIN_SHORT)) {
            at->exhausted = true;
            return false;
        }
        if (at->candidate == NONE) {
            begin_round(search, true);
        }
    }
    return true;
}

static void unlink_event(struct link *links, uint32_t event)
{
    links[links[event].before].after = links[event].after;
    links[links[event].after].before = links[event].before;
}

static void relink_event(struct link *links, uint32_t event)
{
    links[links[event].before].after = event;
    links[links[event].after].before = event;
}

static void make_move(struct linear_search *search, const struct move *move)
{
    search->frames[search->depth++] = (struct frame){search->cursor, search->value, move->item};
    search->cursor = move->next;
    if (move->item == NONE) {
        return;
    }
    struct item *item = &search->items[move->item];
    item->ordered = true;
    search->set = fingerprint_combine(search->set, item->name);
    (void)cell_apply(&item->source->operation, &search->value); /* it fits, or nobody knows */
    if (move->item < search->known_count) {
        unlink_event(search->links, move->item);
        unlink_event(search->links, search->known_count + move->item);
        search->ordered_count++;
    }
}

/* In exactly the reverse order, so that links are right again. */
static void take_back(struct linear_search *search)
{
    const struct frame *frame = &search->frames[--search->depth];
    search->cursor = frame->cursor;
    search->value = frame->value;
    if (frame->item == NONE) {
        return;
    }
    struct item *item = &search->items[frame->item];
    item->ordered = false;
    search->set = fingerprint_combine(search->set, item->name);
    if (frame->item < search->known_count) {
        relink_event(search->links, search->known_count + frame->item);
        relink_event(search->links, frame->item);
        search->ordered_count--;
    }
}

static bool was_here(struct linear_search *search)
{
    const struct cursor *at = &search->cursor;
    struct fingerprint place = fingerprint_combine(
        search->set, fingerprint_of(search->value.content, 2 + (uint64_t)search->value.kind));
    if (at->goal != NONE) {
        const uint64_t room = 2 * (uint64_t)at->room + (at->first ? 1 : 0);
        place = fingerprint_combine(place, fingerprint_of(at->goal, 16 + room));
    }
    return !linear_memo_add(&search->memo, place);
}

/* ---- verdicts ---- */

static const struct linear_operation *last_writer(const struct linear_search *search)
{
    for (size_t i = search->depth; i > 0; i--) {
        const uint32_t item = search->frames[i - 1].item;
        if (item != NONE && !search->items[item].keeps_value) {
            return search->items[item].source;
        }
    }
    return NULL;
}

/* The farthest that any order got is what a person wants to see. */
static void note_stuck(struct linear_search *search)
{
    struct linear_verdict *verdict = &search->verdict;
    uint32_t event = first_event(search);
    if (search->cursor.goal != NONE ||
        (verdict->stuck_count > 0 && search->ordered_count <= verdict->ordered)) {
        return;
    }
    verdict->ordered = search->ordered_count;
    verdict->value = search->value;
    verdict->writer = last_writer(search);
    verdict->stuck_count = 0;
    for (; event < search->known_count && verdict->stuck_count < LINEAR_STUCK_MAX;
         event = search->links[event].after) {
        verdict->stuck[verdict->stuck_count++] = search->items[event].source;
    }
}

static enum linear_outcome run(struct linear_search *search, uint64_t steps_max)
{
    while (search->ordered_count < search->known_count) {
        struct move move;
        if (next_move(search, &move)) {
            if (search->verdict.steps >= steps_max) {
                note_stuck(search);
                return LINEAR_UNDECIDED;
            }
            search->verdict.steps++;
            make_move(search, &move);
            if (was_here(search)) {
                take_back(search);
            }
            continue;
        }
        note_stuck(search);
        if (search->depth == 0) {
            return LINEAR_NO;
        }
        take_back(search);
    }
    return LINEAR_YES;
}

static void begin_pass(struct linear_search *search, uint32_t chain_limit)
{
    linear_memo_reset(&search->memo);
    search->depth = 0;
    search->cursor = (struct cursor){.goal = NONE};
    search->value = (struct cell_value){.kind = CELL_ABSENT};
    search->set = (struct fingerprint){0};
    search->ordered_count = 0;
    search->chain_limit = chain_limit;
}

struct linear_verdict linear_check_key(struct linear_search *search,
                                       const struct linear_operation *operations, size_t count,
                                       uint64_t steps_max)
{
    search->verdict = (struct linear_verdict){.key = operations, .count = count};
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        const uint64_t steps = steps_max >> (PASSES - 1 - pass);
        linear_take_in(search, operations, count);
        begin_pass(search, chain_limits[pass]);
        search->verdict.outcome = run(search, steps);
        const bool decided = search->verdict.outcome == LINEAR_NO && search->unknown_count == 0;
        if (search->verdict.outcome == LINEAR_YES || decided) {
            break; /* without any of unknown outcome there are no chains */
        }
    }
    return search->verdict;
}

static int compare_history(const void *left, const void *right)
{
    const struct linear_operation *a = left;
    const struct linear_operation *b = right;
    const uint64_t x = a->key != b->key ? a->key : a->invoked_ns;
    const uint64_t y = a->key != b->key ? b->key : b->invoked_ns;
    return (x > y) - (x < y);
}

struct linear_verdict linear_check(struct linear_search *search,
                                   struct linear_operation *operations, size_t count,
                                   uint64_t steps_max, uint64_t *undecided)
{
    struct linear_verdict whole = {.outcome = LINEAR_YES};
    size_t first = 0;
    *undecided = 0;
    if (count > 0) { /* qsort() takes no null pointer, not even of nothing */
        qsort(operations, count, sizeof *operations, compare_history);
    }
    while (first < count) {
        size_t end = first;
        while (end < count && operations[end].key == operations[first].key) {
            end++;
        }
        const struct linear_verdict verdict =
            linear_check_key(search, operations + first, end - first, steps_max);
        if (verdict.outcome == LINEAR_NO) {
            return verdict;
        }
        *undecided += verdict.outcome == LINEAR_UNDECIDED ? 1 : 0;
        const uint64_t steps = whole.steps + verdict.steps;
        whole = verdict.outcome == LINEAR_UNDECIDED && *undecided == 1 ? verdict : whole;
        whole.steps = steps;
        first = end;
    }
    return whole;
}

size_t linear_order(const struct linear_search *search, const struct linear_operation **sources,
                    size_t order_max)
{
    size_t count = 0;
    for (size_t i = 0; i < search->depth && count < order_max; i++) {
        if (search->frames[i].item != NONE) {
            sources[count++] = search->items[search->frames[i].item].source;
        }
    }
    return count;
}

/* ---- life ---- */

struct linear_search *linear_create(void)
{
    struct linear_search *search = calloc(1, sizeof *search);
    INVARIANT(search != NULL);
    return search;
}

void linear_destroy(struct linear_search *search)
{
    if (search == NULL) {
        return;
    }
    linear_memo_free(&search->memo);
    free(search->items);
    free(search->links);
    free(search->sorted);
    free(search->values);
    free(search->frames);
    free(search);
}
