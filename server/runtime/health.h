/* SPDX-License-Identifier: Apache-2.0 */
/* health.h - what the core says of itself after each drain: published for status (M7), and told to
 * people in log lines, one on entering a state and one on leaving it.
 *
 * Threads: health_published() from any thread; everything else by the holder of the core lock. */
#ifndef VR_RUNTIME_HEALTH_H
#define VR_RUNTIME_HEALTH_H

#include <pthread.h>

#include "common/wire/sender.h"
#include "server/vr/vr.h"

enum {
    HEALTH_NOTE_MAX = STATUS_TEXT_MAX,
    HEALTH_SYNC_ENTRIES_MIN = 1000, /* a log sync of fewer is no news */
};

#define HEALTH_SILENT_NS UINT64_C(1000000000) /* a primary misses a backup that long: news */
#define HEALTH_STALL_NS UINT64_C(1000000000)  /* a primary did not run that long: news */
/* Heard that long after its last Refused, a member is taken to refuse this replica no more. One
 * that refuses may go on sending, and repeats it only when it is sent something; the longer
 * heartbeats take the rarer that is. */
#define HEALTH_UNREFUSED_NS UINT64_C(10000000000)
#define HEALTH_UNREFUSED_HEARTBEATS 100

struct health_senders {
    struct wire_sender_counters peers;
    struct wire_sender_counters clients;
};

struct health_published {
    uint64_t published_ns;
    uint64_t sync_started_ns;     /* of the log sync in `snapshot`, if one runs */
    uint64_t transfer_started_ns; /* of the checkpoint's transfer there, if one runs, */
    uint64_t transfer_first;      /* and how much was here then: of an earlier attempt */
    struct vr_snapshot snapshot;
    struct health_senders senders;
};

/* What log lines are about. */
struct health_said {
    bool anything;
    uint64_t view_number;
    enum vr_status status;
    bool acting_primary;
    bool suspecting;
    bool log_full;
    bool group_lost;
    bool restores;
    uint64_t sync_from;
    uint64_t sync_target;
    uint64_t transfer_op;
};

struct health {
    struct configuration configuration;
    uint32_t self; /* own member index */
    uint64_t log_memory_max;
    uint64_t heartbeat_ns;

    pthread_mutex_t mutex; /* guards published, for a copy in or out */
    struct health_published published;

    /* The holder's alone: where the replica stands, and what was said last. */
    uint64_t view_number;
    uint64_t op_number;
    uint64_t commit_number;
    struct health_said said;
    uint64_t sync_started_ns;
    uint64_t transfer_started_ns;
    uint64_t transfer_first;
    uint64_t observed_ns; /* 0: never */
    uint64_t resumed_ns;  /* end of the last stall */
    uint32_t silent_mask;
    uint32_t refused_peers[REPLICAS_MAX]; /* by member index: reasons said already, as bits */
    uint64_t refused_ns[REPLICAS_MAX];    /* when a member was refused last */
    uint32_t refused_by[REPLICAS_MAX];    /* as refused_peers: the other way round */
    uint64_t refused_by_ns[REPLICAS_MAX]; /* when a member refused last */
};

void health_init(struct health *health, const struct configuration *configuration, uint32_t self,
                 uint64_t log_memory_max, uint64_t heartbeat_ns);
void health_destroy(struct health *health);

void health_observe(struct health *health, const struct replica *replica,
                    const struct health_senders *senders, uint64_t now_ns);

/* The part of it that writes log lines: what is different from what was said last. */
void health_tell(struct health *health, const struct vr_snapshot *now, uint64_t now_ns);

/* N7; `state`: K4, the checksums are digests of the state behind that op. */
void health_diverged(struct health *health, uint64_t op_number, struct checksum own,
                     struct checksum theirs, uint32_t peer, bool state);

/* E0, D10: this replica refuses members, or a member refuses this replica. */
void health_refused_peers(struct health *health, uint32_t member_mask,
                          const struct refused *refused);
void health_refused_by(struct health *health, uint32_t replica_id, const struct refused *refused);

void health_published(struct health *health, struct health_published *out);

/* What a person should know of a replica in this state; "" if nothing. Returns `note`. */
const char *health_note(const struct health *health, const struct health_published *published,
                        char note[HEALTH_NOTE_MAX]);

#endif
