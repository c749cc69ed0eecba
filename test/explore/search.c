/* SPDX-License-Identifier: Apache-2.0 */
#include "test/explore/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/invariant.h"

enum { SEEN_CAPACITY_FIRST = 1 << 20 };

/* One level of the search. */
struct frame {
    struct world_now now;
    struct world_image image;
    uint32_t action_count;
    uint32_t next;
    uint64_t order; /* of this state's branches */
    struct world_action actions[WORLD_ACTIONS_MAX];
};

static void *allocate(size_t count, size_t size)
{
    void *bytes = calloc(count, size);
    INVARIANT(bytes != NULL);
    return bytes;
}

/* ---- states that were met ---- */

static bool insert(uint64_t *seen, size_t capacity, uint64_t hash)
{
    size_t at = (size_t)hash & (capacity - 1);
    while (seen[at] != 0) {
        if (seen[at] == hash) {
            return false;
        }
        at = (at + 1) & (capacity - 1);
    }
    seen[at] = hash;
    return true;
}

static void grow(struct search *search)
{
    const size_t capacity = 2 * search->seen_capacity;
    uint64_t *seen = allocate(capacity, sizeof *seen);
    for (size_t i = 0; i < search->seen_capacity; i++) {
        if (search->seen[i] != 0) {
            (void)insert(seen, capacity, search->seen[i]);
        }
    }
    free(search->seen);
    search->seen = seen;
    search->seen_capacity = capacity;
}

/* True if the state is new. */
static bool note_state(struct search *search)
{
    const uint64_t hash = world_hash(search->world);
    if (2 * search->counts.states >= search->seen_capacity) {
        grow(search);
    }
    if (!insert(search->seen, search->seen_capacity, hash == 0 ? 1 : hash)) {
        search->counts.known++;
        return false;
    }
    struct search_counts *counts = &search->counts;
    counts->states++;
    counts->depth = search->path_count > counts->depth ? search->path_count : counts->depth;
    if (search->world->views.count > counts->views) {
        counts->views = (uint32_t)search->world->views.count;
    }
    if (search->world->now.committed > counts->committed) {
        counts->committed = search->world->now.committed;
    }
    return true;
}

/* ---- the search ---- */

static uint64_t seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static void open_frame(struct search *search, struct frame *frame)
{
    frame->action_count = search->world->now.cut ? 0 : world_actions(search->world, frame->actions);
    frame->next = 0;
    frame->now = search->world->now;
    frame->order = world_hash(search->world) ^ search->seed;
}

/* The next branch, in an order that differs from state to state: a search that is ended early has
 * not only seen what lies behind the first branches. */
static struct world_action next_action(struct frame *frame)
{
    const uint32_t left = frame->action_count - frame->next;
    frame->order = frame->order * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const uint32_t chosen = frame->next + (uint32_t)((frame->order >> 33) % left);
    const struct world_action action = frame->actions[chosen];
    frame->actions[chosen] = frame->actions[frame->next];
    frame->actions[frame->next++] = action;
    return action;
}

/* A message that changes nothing is as good as lost: what can come of it, can come without it. */
static bool changed_nothing(const struct world *world, const struct frame *before,
                            const struct world_action *action)
{
    return action->kind == WORLD_DELIVER &&
           world->now.nodes[action->node].hash == before->now.nodes[action->node].hash &&
           world->now.letter_count < before->now.letter_count;
}

static bool is_over(const struct search *search, uint64_t until)
{
    return (search->states_max > 0 && search->counts.states >= search->states_max) ||
           (search->seconds_max > 0 && (search->counts.transitions & 1023) == 0 &&
            seconds_now() >= until);
}

/* Takes one branch; true: a state that is to be looked behind. */
static bool descend(struct search *search, struct frame *frame)
{
    struct world *world = search->world;
    const struct world_action action = next_action(frame);
    world_save(world, action.node, &frame->now, &frame->image);
    INVARIANT(search->path_count < SEARCH_DEPTH_MAX);
    search->path[search->path_count++] = action;
    const bool done = world_act(world, &action);
    INVARIANT(done);
    search->counts.transitions++;
    if (world->failed) {
        search->violated = true;
        return false;
    }
    if (changed_nothing(world, frame, &action)) {
        search->counts.idle++;
    } else if (note_state(search)) {
        search->counts.cut += world->now.cut ? 1 : 0;
        return true;
    }
    search->path_count--;
    world_restore(world, action.node, &frame->now, &frame->image);
    return false;
}

static void walk(struct search *search, struct frame *frames)
{
    const uint64_t until = seconds_now() + search->seconds_max;
    (void)note_state(search);
    open_frame(search, &frames[0]);
    uint32_t depth = 0;
    for (;;) {
        struct frame *frame = &frames[depth];
        if (is_over(search, until)) {
            return;
        }
        if (frame->next < frame->action_count) {
            if (descend(search, frame)) {
                depth++;
                open_frame(search, &frames[depth]);
            }
            if (search->violated) {
                return;
            }
        } else if (depth == 0) {
            search->complete = true;
            return;
        } else {
            depth--;
            search->path_count--;
            world_restore(search->world, search->path[search->path_count].node, &frames[depth].now,
                          &frames[depth].image);
        }
    }
}

/* One path at random to where nothing can happen any more; true: nothing broke. */
static bool walk_at_random(struct search *search, struct prng *prng)
{
    static struct world_action actions[WORLD_ACTIONS_MAX];
    struct world *world = search->world;
    world_to_root(world);
    search->path_count = 0;
    for (;;) {
        const uint32_t count = world->now.cut ? 0 : world_actions(world, actions);
        if (count == 0 || search->path_count == SEARCH_DEPTH_MAX) {
            return true;
        }
        const struct world_action action = actions[prng_below(prng, count)];
        search->path[search->path_count++] = action;
        (void)world_act(world, &action);
        search->counts.transitions++;
        if (world->failed) {
            search->violated = true;
            return false;
        }
        (void)note_state(search);
    }
}

/* What is too large to be seen as a whole is seen from all sides. */
static void sample(struct search *search)
{
    const uint64_t until = seconds_now() + search->seconds_max;
    struct prng prng;
    prng_seed(&prng, search->seed);
    for (uint64_t i = 0; i < search->walks && walk_at_random(search, &prng); i++) {
        if (search->seconds_max > 0 && seconds_now() >= until) {
            return;
        }
    }
}

void search_init(struct search *search, struct world *world)
{
    *search = (struct search){.world = world, .seen_capacity = SEEN_CAPACITY_FIRST};
    search->seen = allocate(search->seen_capacity, sizeof *search->seen);
}

void search_free(struct search *search)
{
    free(search->seen);
}

bool search_run(struct search *search)
{
    struct frame *frames = allocate(SEARCH_DEPTH_MAX + 1, sizeof *frames);
    jmp_buf escape;
    search->escape = &escape;
    search->path_count = 0;
    world_to_root(search->world);
    if (setjmp(escape) == 0) {
        walk(search, frames);
        if (!search->complete && !search->violated) {
            sample(search);
        }
    } else {
        search->violated = true;
    }
    search->escape = NULL;
    free(frames);
    return !search->violated;
}

/* ---- a path that breaks something ---- */

/* Whether these actions, as far as they are possible, break an invariant; those that were taken
 * become *path. */
static bool breaks(struct search *search, struct world_action *path, uint32_t *count)
{
    struct world *world = search->world;
    jmp_buf escape;
    volatile uint32_t taken = 0;
    search->escape = &escape;
    world_to_root(world);
    if (setjmp(escape) == 0) {
        for (uint32_t i = 0; i < *count && !world->failed; i++) {
            const struct world_action action = path[i];
            path[taken++] = action;
            if (!world_act(world, &action)) {
                taken--;
            }
        }
    }
    search->escape = NULL;
    *count = taken;
    return world->failed;
}

static bool shrink_by(struct search *search, uint32_t at, uint32_t length)
{
    struct world_action shorter[SEARCH_DEPTH_MAX];
    memcpy(shorter, search->path, at * sizeof shorter[0]);
    memcpy(shorter + at, search->path + at + length,
           (search->path_count - at - length) * sizeof shorter[0]);
    uint32_t count = search->path_count - length;
    if (!breaks(search, shorter, &count)) {
        return false;
    }
    memcpy(search->path, shorter, count * sizeof shorter[0]);
    search->path_count = count;
    return true;
}

void search_shrink(struct search *search)
{
    for (uint32_t length = search->path_count / 2; length > 0;) {
        bool shorter = false;
        for (uint32_t at = 0; at + length <= search->path_count;) {
            if (shrink_by(search, at, length)) {
                shorter = true;
            } else {
                at++;
            }
        }
        length = shorter ? length : length / 2;
    }
}

void search_print_path(struct search *search)
{
    struct world *world = search->world;
    jmp_buf escape;
    search->escape = &escape;
    world_to_root(world);
    printf("replicas 0, 1 and 2 are normal in view %" PRIu64 ", nothing is on its way\n",
           view_within_epoch(world->first_view));
    if (setjmp(escape) == 0) {
        for (volatile uint32_t i = 0; i < search->path_count && !world->failed; i++) {
            char text[512];
            world_action_text(world, &search->path[i], text, sizeof text);
            printf("  %3u  %s\n", i + 1, text);
            (void)world_act(world, &search->path[i]);
        }
    }
    search->escape = NULL;
    printf("violated: %s\n", world->failed ? world->report.text : "nothing, when done again");
}
