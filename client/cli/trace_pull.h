/* SPDX-License-Identifier: Apache-2.0 */
/* trace_pull.h - the events of all replicas that answer, fetched page by page (M8).
 *
 * Once: backwards from the newest, so that what is kept longest is fetched last, and a ring that
 * moves on meanwhile takes nothing from what matters. Following: forwards, a bounded number of
 * pages a round, over whatever was overwritten meanwhile.
 *
 * Threads: the caller's. Memory: the events, as they come; bounded by what the rings hold. */
#ifndef VR_CLI_TRACE_PULL_H
#define VR_CLI_TRACE_PULL_H

#include "client/cli/survey.h"
#include "client/cli/trace_merge.h"
#include "client/lib/channel.h"

enum {
    TRACE_FOLLOW_PAGES = 2, /* pages of one lane of one replica in one round of following */
    TRACE_BEHIND_MS = 1000, /* so long after a loss nothing is said of what is missing */
};

/* One lane of one replica. */
struct trace_lane_pull {
    bool known;    /* next_event was told */
    bool finished; /* this round */
    bool waiting;
    uint64_t nonce; /* of the question under way */
    uint64_t asked_ns;
    uint64_t from;
    uint32_t count;
    uint32_t pages; /* answered in this round */
    uint64_t next;  /* of the lane, as told last */
    uint64_t floor; /* once: where to stop */
    uint64_t cursor;
    uint64_t lost; /* following: overwritten before they were read */
};

struct trace_member {
    uint32_t replica_id;
    struct net_address address;
    uint64_t token;
    bool reachable; /* it answered the survey */
    uint64_t heard_ns;
    uint64_t behind_ns; /* following: when events were last lost, or left for the next round */
    struct trace_lane_pull lanes[TRACE_LANE_COUNT];
    size_t capacity; /* of its source's events */
};

struct trace_pull {
    struct channel channel;
    uint64_t cluster_id;
    uint64_t nonce; /* of the last question to anybody */
    bool follow;
    uint64_t rounds; /* of following */
    uint64_t newest; /* once: events of a lane that are enough; 0: all */
    uint32_t member_count;
    struct trace_member members[REPLICAS_MAX];
    struct trace_source sources[REPLICAS_MAX]; /* by member index */
};

/* Returns 0 or a negative errno, with nothing to close. */
int trace_pull_open(struct trace_pull *pull, const struct survey *survey, uint32_t datagram_size);
void trace_pull_close(struct trace_pull *pull);

/* Fetches until all is there, or the time is over: who did not answer by then is not `answered`. */
void trace_pull_once(struct trace_pull *pull, uint64_t newest, uint64_t deadline_ns);

/* A round of following, into the events that are there. The first one begins with what a lane has
 * from now on. */
void trace_pull_more(struct trace_pull *pull, uint64_t deadline_ns);

/* What was lost of a replica since the last call. */
uint64_t trace_pull_take_lost(struct trace_pull *pull, uint32_t member);

#endif
