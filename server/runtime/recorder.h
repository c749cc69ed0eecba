/* SPDX-License-Identifier: Apache-2.0 */
/* recorder.h - makes events of messages and of changes of state, and brings them to the ring in
 * batches. With --log-level network=debug they are log lines as well.
 *
 * Threads: one caller at a time: one recorder for the holder of the core lock, one for the
 *          executor. */
#ifndef VR_RUNTIME_RECORDER_H
#define VR_RUNTIME_RECORDER_H

#include "server/runtime/event_ring.h"
#include "server/vr/vr.h"

struct recorder {
    /* Filled in by the server. */
    struct event_ring *ring;
    const struct configuration *configuration;
    uint32_t self; /* own member index */

    struct vr_glance seen; /* where the replica stood */
    /* What was said last, by direction, member (the last slot: several at once) and type: so that
     * what is said again is known as such. */
    uint64_t said[2][REPLICAS_MAX + 1][MESSAGE_TYPE_MAX + 1];
    uint64_t last_ns; /* time of the last event */
    struct trace_event pending[RING_APPEND_MAX];
    size_t pending_count;
    size_t executed_count; /* pending up to and with the run of ops executed; 0: there is none */

    /* Of the state file: what it holds, what it will once the write under way is done, and since
     * when that is. The server fills in the first two at start. */
    uint64_t durable_view;
    uint64_t durable_normal_view;
    uint64_t writing_view;
    uint64_t writing_normal_view;
    uint64_t writing_since_ns;
};

/* The first event: this process began. */
void recorder_started(struct recorder *recorder, uint64_t incarnation, uint64_t now_ns);

/* A message was stepped: `glance` is of right after, `outputs` what it led to. */
void recorder_received(struct recorder *recorder, const struct message *message,
                       const struct vr_glance *glance, const struct vr_outputs *outputs,
                       uint64_t now_ns);

/* What has changed since the last call. */
void recorder_glanced(struct recorder *recorder, const struct vr_glance *glance, uint64_t now_ns);

void recorder_sent_peers(struct recorder *recorder, uint32_t member_mask,
                         const struct message *message, uint64_t now_ns);

/* To message->address. */
void recorder_sent_client(struct recorder *recorder, const struct message *message,
                          uint64_t now_ns);

/* A state is on its way to the disk, one at a time; it is there. */
void recorder_state_writing(struct recorder *recorder, const struct vr_durable_state *state,
                            uint64_t now_ns);
void recorder_state_durable(struct recorder *recorder, uint64_t now_ns);

/* Ops come one after the other; the clock is read for the first of a run alone. */
void recorder_executed(struct recorder *recorder, uint64_t op_number);

/* Hands what was collected to the ring. */
void recorder_flush(struct recorder *recorder);

#endif
