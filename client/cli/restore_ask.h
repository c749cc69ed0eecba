/* SPDX-License-Identifier: Apache-2.0 */
/* restore_ask.h - asks every replica what it still holds, or to take over a log (D9).
 *
 * Threads: the caller's. Memory: the channel's, until restore_ask_close(). */
#ifndef VR_CLI_RESTORE_ASK_H
#define VR_CLI_RESTORE_ASK_H

#include "client/cli/survey.h"
#include "client/lib/channel.h"

/* A member of the group, in configuration order. */
struct restore_target {
    uint32_t replica_id;
    const char *name; /* the survey's */
    struct net_address address;
    uint64_t token;
    uint64_t next_ns;
    bool reachable; /* it answered the survey */
    bool without;   /* --without: taken for dead */
    bool asked;     /* in this round */
    bool answered;  /* in this round */
    struct restore_report report;
};

struct restore_asker {
    struct channel channel;
    uint64_t nonce;                /* of this round */
    const struct restore *restore; /* NULL: only asks */
    uint32_t count;
    struct restore_target targets[REPLICAS_MAX];
};

/* Fills in the targets. Returns 0, or a negative errno with nothing to close. */
int restore_ask_open(struct restore_asker *asker, const struct survey *survey,
                     uint32_t datagram_size);
void restore_ask_close(struct restore_asker *asker);

/* Asks all that can be reached what they hold, until all have answered or the time is up. */
void restore_ask_status(struct restore_asker *asker, uint32_t timeout_ms);

/* Tells those that said that they recover, and are not done yet, the same way. */
void restore_tell(struct restore_asker *asker, const struct restore *restore, uint32_t timeout_ms);

#endif
