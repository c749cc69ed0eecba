/* SPDX-License-Identifier: Apache-2.0 */
/* search.h - depth first through everything that can happen in a world, each state once. */
#ifndef VR_EXPLORE_SEARCH_H
#define VR_EXPLORE_SEARCH_H

#include <setjmp.h>

#include "test/explore/world.h"

enum { SEARCH_DEPTH_MAX = 256 };

struct search_counts {
    uint64_t states;      /* different ones */
    uint64_t transitions; /* actions tried */
    uint64_t known;       /* of these, to states that were met before */
    uint64_t idle;        /* of these, messages that changed nothing: as good as lost */
    uint64_t cut;         /* states behind which a bound of the world lies */
    uint32_t depth;       /* of the longest path */
    uint32_t views;       /* most views begun on one path, the first one included */
    uint64_t committed;   /* most ops committed on one path */
};

struct search {
    struct world *world;
    uint64_t states_max;  /* 0: all of them */
    uint64_t seconds_max; /* 0: as long as it takes */
    uint64_t walks;       /* paths at random, behind a search that was ended by one of these */
    uint64_t seed;        /* of the order in which branches are taken */
    struct search_counts counts;
    bool complete;
    bool violated;

    jmp_buf *escape; /* where a broken INVARIANT goes */
    struct world_action path[SEARCH_DEPTH_MAX];
    uint32_t path_count;

    uint64_t *seen; /* hashes of states, open addressing; 0 empty */
    size_t seen_capacity;
};

void search_init(struct search *search, struct world *world);
void search_free(struct search *search);

/* Returns whether no invariant broke. If one did, search->path leads there. */
bool search_run(struct search *search);

/* Takes away from the path what the violation does not need. */
void search_shrink(struct search *search);

/* Prints the path as a sequence, the broken invariant last. */
void search_print_path(struct search *search);

#endif
