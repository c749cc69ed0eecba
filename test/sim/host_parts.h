/* SPDX-License-Identifier: Apache-2.0 */
/* host_parts.h - what the files of one host ask of each other.
 *
 *     host.c          its clock and disk, its events, its life and death
 *     host_disk.c     its log on its disk
 *     host_state.c    its state file on the same disk
 *     host_rot.c      what befalls files that lie on a disk
 *     host_drive.c    steps, flushes and outputs of the core
 *     host_sockets.c  datagrams out and in
 *     host_execute.c  the executor and the application
 *     host_checkpoint.c  its checkpoints: taken, kept, served
 *     host_install.c  checkpoints of others, received and installed
 *     host_base.c     the checkpoint that a start begins from
 *     host_differ.c   a state that differs from the others' (K4)
 *     host_observe.c  what the checkers see
 *
 * Functions that may step the core return false once the replica is gone (an armed crash struck) or
 * the run is over; their callers then touch nothing of it any more. */
#ifndef VR_SIM_HOST_PARTS_H
#define VR_SIM_HOST_PARTS_H

#include "test/sim/host.h"

/* host.c */
uint64_t host_now_ns(const struct sim_host *host); /* virtual time */
struct vr_time host_local_time(const struct sim_host *host);
void host_schedule(struct sim_host *host, enum sim_event_kind kind, uint64_t at_ns,
                   uint64_t argument);
void host_arm_timer(struct sim_host *host);
void host_arm_drain(struct sim_host *host);

#define HOST_DIRECTORY "data" /* on the simulated disk */

/* host_state.c; those that return a status: 0, or a negative errno of the disk's */
void host_state_make(struct sim_host *host);
int host_state_open(struct sim_host *host);
int host_state_begin(struct sim_host *host, const struct durable_state *state);
int host_state_store(struct sim_host *host, const struct vr_durable_state *state);
int host_state_diverge(struct sim_host *host);
int host_state_name_segment(struct sim_host *host, uint64_t segment);
int host_state_name_checkpoint(struct sim_host *host, const struct checkpoint_id *id);
void host_state_end(struct sim_host *host, bool clean);
void host_state_close(struct sim_host *host);

/* host_disk.c; those that return bool: false once the replica is gone */
bool host_on_disk(const struct sim_host *host);
void host_end_of_storage(struct sim_host *host);
void host_disk_make(struct sim_host *host);
bool host_log_open(struct sim_host *host, enum vr_start *start);
void host_log_close(struct sim_host *host, enum sim_end end);
bool host_log_reaches_base(const struct sim_host *host);
void host_log_describe(const struct sim_host *host, struct vr_options *options);
const uint8_t *host_log_entry(void *context, uint64_t op_number, size_t *size);
struct checksum host_log_chain(void *context, uint64_t op_number);
uint64_t host_log_commit(void *context);
void host_log_write(struct sim_host *host, const struct log_write *write);
void host_on_log_write(struct sim_host *host);
void host_on_log_sync(struct sim_host *host);
void host_log_restart(struct sim_host *host, const struct wal_head *base);
bool host_log_finish(struct sim_host *host);

/* host_drive.c */
bool host_step(struct sim_host *host, struct vr_event *event);
bool host_step_log_durable(struct sim_host *host, struct vr_event *event);
void host_end_drain(struct sim_host *host);
void host_ready(struct sim_host *host, const struct vr_event *event); /* before the next flush */
void host_send_client(struct sim_host *host, const struct message *message,
                      const struct net_address *address);

/* host_sockets.c */
void host_open_sockets(struct sim_host *host);
void host_inbox_clear(struct sim_host *host, struct sim_inbox *inbox);
bool host_drain(struct sim_host *host, uint32_t count);
void host_ask_parts(void *context, const struct net_address *address,
                    const struct message *message); /* a wire_ask */

/* host_execute.c */
void host_start_executor(struct sim_host *host);
void host_let_read(struct sim_host *host, const struct vr_output *output);
void host_hand_over(struct sim_host *host, const struct vr_output *output);
void host_arm_execution(struct sim_host *host);
void host_execute(struct sim_host *host);

/* host_checkpoint.c */
void host_note_executed(struct sim_host *host, const struct entry *entry);
void host_on_checkpoint(struct sim_host *host, uint64_t number);
void host_abandon_taking(struct sim_host *host);
void host_keep_checkpoint(struct sim_host *host, const struct checkpoint_id *id);
void host_drop_log(struct sim_host *host, const struct vr_output *output);
void host_on_drop(struct sim_host *host);
void host_serve_checkpoint(struct sim_host *host, const struct vr_output *output);
void host_checkpoints_close(struct sim_host *host, bool clean);
bool host_checkpoint_failed(struct sim_host *host); /* false once the replica is gone */

/* host_install.c */
void host_stage_chunk(struct sim_host *host, const struct vr_output *output);
void host_on_stage(struct sim_host *host);
void host_install_checkpoint(struct sim_host *host, const struct vr_output *output);
void host_on_install(struct sim_host *host);
void host_receiving_close(struct sim_host *host);

/* host_base.c; those that return a status: 0, or a negative errno */
int host_base_load(struct sim_host *host);
int host_base_tidy(struct sim_host *host);
int host_checkpoint_load(struct sim_host *host, uint64_t op_number, struct checkpoint_id *id,
                         struct storage_error *error);
void host_base_find(struct sim_host *host, struct wal_head *base);

/* host_differ.c */
void host_differ(struct sim_host *host, const struct app_context *context);
void host_check_digest(struct sim_host *host, uint64_t op_number);
void host_note_cut(struct sim_host *host, const struct checkpoint_id *id);
void host_note_loaded(struct sim_host *host, const struct checkpoint_id *id);
void host_note_diverged(struct sim_host *host, const struct vr_output *output);
void host_leave(struct sim_host *host);
int host_rebuild(struct sim_host *host);

/* host_observe.c */
void host_observe_start(struct sim_host *host);
void host_observe(struct sim_host *host);
void host_chain_replace(struct sim_host *host, const struct checksum *checksums,
                        uint64_t op_number);

#endif
