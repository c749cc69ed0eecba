/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - wiring: what a replica consists of, in which order it is made, and how it stops.
 *
 * Start: data directory, addresses, sockets, memory; then the start itself becomes durable (S1, D3:
 * its incarnation, and that the log is used up); then threads, and only then the first message.
 *
 * Stop (TH-2): the core says goodbye and is driven no more; receivers and timer end; the executor
 * finishes what is committed; the state file gets its clean mark; all are joined before anything is
 * freed. No thread is ever cancelled, no descriptor closed while somebody uses it. */
#include "server/runtime/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/base/version.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/logger.h"
#include "common/os/memory.h"
#include "common/os/random.h"
#include "common/os/service.h"
#include "common/os/stop_signal.h"
#include "server/runtime/core.h"
#include "server/runtime/receiver.h"
#include "server/runtime/server_check.h"
#include "server/runtime/server_checkpoint.h"
#include "server/runtime/server_error.h"
#include "server/runtime/server_log.h"
#include "server/runtime/server_rebuild.h"
#include "server/runtime/status.h"
#include "server/runtime/supervisor.h"
#include "server/runtime/timer.h"
#include "server/runtime/trace.h"

enum {
    /* A process that was killed has its data directory until its memory is given back. */
    LOCK_WAIT_MS = 2000,
    LOCK_STEP_MS = 20,
    STOP_EXECUTE_MS = 400,       /* what the executor may still take when all else has stopped */
    LOG_MEMORY_UNIT = 64 * 1024, /* the regions of the log are multiples of this */
};

struct vr_server {
    struct vr_server_options options;
    uint64_t started_ns;
    uint32_t self; /* own member index */

    struct file_ops file_ops;
    struct state_file state_file;
    struct durable_state state; /* as this start left it; state_writer's copy goes on */
    enum vr_start start;

    struct net_address peer_addresses[REPLICAS_MAX];
    struct datagram_socket sockets[LANE_COUNT];

    struct inbox inbox;
    struct health health;
    struct receiver receivers[LANE_COUNT];
    struct core core;
    struct timer timer;
    struct execution execution;
    struct state_writer state_writer;
    struct server_log log;
    struct checkpointer checkpointer;
    struct backup_source backup;
    struct server_checkpoint base; /* what this start begins from (K3) */
    uint8_t boot_id[BOOT_ID_SIZE]; /* where there is none, no two boots look alike: all zero */
    struct status_source status;
    struct event_ring events;
    struct trace_source trace;

    void *replica_memory;
    void *log_memory;
    void *staging_memory;
    size_t log_memory_size;
    void *executor_memory;
    size_t executor_memory_size;

    atomic_bool failed;
    atomic_bool diverged;
};

/* Callbacks from the threads. */

static void on_state_durable(void *context, uint64_t number)
{
    struct vr_server *server = context;
    log_debug(LOG_STORAGE, "state %" PRIu64 " of this start is durable", number);
    inbox_post_state_durable(&server->inbox, number);
    core_run(&server->core, CORE_OTHER);
}

static void stop_serving(struct vr_server *server)
{
    if (!atomic_exchange(&server->failed, true) && server->options.failed != NULL) {
        server->options.failed(server->options.context);
    }
}

static void on_state_failed(void *context, int error, const char *text)
{
    struct vr_server *server = context;
    (void)error; /* the text says it */
    log_problem(ERROR_STATE_UNWRITABLE,
                "%s. This replica stops: what it cannot remember it must not promise", text);
    stop_serving(server);
}

static void on_log_durable(void *context, uint64_t generation, uint64_t op_number)
{
    struct vr_server *server = context;
    inbox_post_log_durable(&server->inbox, generation, op_number);
    core_run(&server->core, CORE_OTHER);
}

/* D4: where a write or sync failed, what is on the disk is not known any more, so that the next
 * start must not believe it. A log that only has no room is whole: should all disks fill up at the
 * same time, all of them go on from theirs. */
static void on_log_failed(void *context, const char *text, bool whole)
{
    struct vr_server *server = context;
    if (whole) {
        log_problem(
            ERROR_LOG_DISK_FULL,
            "%s. This replica stops; its log is whole, and it goes on from there when it is "
            "started again with room for more",
            text);
    } else {
        log_problem(ERROR_LOG_UNWRITABLE,
                    "%s. This replica stops; what is on the disk is not known any more, so it "
                    "fetches its log from the others when it starts again",
                    text);
        state_writer_lose_log(&server->state_writer);
    }
    stop_serving(server);
}

static void on_segment_begun(void *context, uint64_t segment)
{
    struct vr_server *server = context;
    state_writer_name_segment(&server->state_writer, segment);
}

static int wait_for_segment(void *context, uint64_t segment)
{
    struct vr_server *server = context;
    return state_writer_wait_segment(&server->state_writer, segment);
}

/* K4: never again from what it has. */
static void on_diverged(void *context)
{
    struct vr_server *server = context;
    atomic_store(&server->diverged, true);
    state_writer_diverge(&server->state_writer);
    stop_serving(server);
}

static bool is_log_restarted(void *context)
{
    struct vr_server *server = context;
    return server_log_restarted(&server->log);
}

static void on_news(void *context)
{
    struct vr_server *server = context;
    inbox_post_news(&server->inbox);
    core_run(&server->core, CORE_OTHER);
}

/* G4: it is behind the others' logs, and the checkpoint that it needs cannot be had here. */
static void on_checkpoint_failed(void *context, const char *text)
{
    struct vr_server *server = context;
    log_problem(ERROR_CHECKPOINT_STOPPED,
                "%s. This replica stops: the others' logs begin behind its own, and it cannot go "
                "on without that checkpoint. Started again, it fetches one anew",
                text);
    stop_serving(server);
}

static void on_executed(void *context, uint64_t op_number, bool urgent)
{
    struct vr_server *server = context;
    inbox_post_executed(&server->inbox, op_number, urgent);
    if (urgent) {
        core_run(&server->core, CORE_OTHER);
    }
}

static void on_backup_wanted(void *context)
{
    struct vr_server *server = context;
    execution_wake(&server->execution);
}

static void on_backup_unused(void *context)
{
    struct vr_server *server = context;
    checkpointer_drop_backup(&server->checkpointer);
}

static void on_wake_timer(void *context, bool run)
{
    struct vr_server *server = context;
    timer_wake(&server->timer, run);
}

/* Data directory. */

static enum vr_server_exit open_state(struct vr_server *server, struct vr_server_error *error)
{
    struct storage_error why;
    server->file_ops = file_ops_posix();
    const uint64_t deadline_ns = clock_monotonic_ns() + LOCK_WAIT_MS * NANOSECONDS_PER_MILLISECOND;
    int status = state_file_open(&server->state_file, &server->file_ops,
                                 server->options.data_directory, &server->state, &why);
    while (status == -EWOULDBLOCK && clock_monotonic_ns() < deadline_ns) {
        clock_sleep_ns(LOCK_STEP_MS * NANOSECONDS_PER_MILLISECOND);
        status = state_file_open(&server->state_file, &server->file_ops,
                                 server->options.data_directory, &server->state, &why);
    }
    if (status != 0) {
        return server_error_storage(error, status, &why);
    }
    if (server->state_file.unreadable != 0) {
        log_problem(ERROR_STATE_UNREADABLE,
                    "the disk cannot read %d of the %d copies in %s/state, though it was asked "
                    "again; the others are whole, and take their place. Look at this disk before "
                    "trusting it again",
                    __builtin_popcount(server->state_file.unreadable), STATE_SLOTS,
                    server->options.data_directory);
    }
    server->self = configuration_index(&server->state.configuration, server->state.replica_id);
    return VR_SERVER_OK;
}

/* D6, before the log is made to look whole. */
static enum vr_server_exit void_log(struct vr_server *server, struct vr_server_error *error)
{
    struct storage_error why;
    if (!server->log.on_disk || server->log.counts) {
        return VR_SERVER_OK;
    }
    const int status = state_file_void_log(&server->state_file, &server->state, &why);
    return status == 0 ? VR_SERVER_OK : server_error_storage(error, status, &why);
}

/* K3: the state, before the log behind it is read. */
static enum vr_server_exit load_checkpoint(struct vr_server *server, const struct app *app,
                                           struct vr_server_error *error)
{
    server->execution.executor = executor_init(
        server->executor_memory,
        &(struct executor_options){.parameters = server->state.configuration.parameters,
                                   .app = app,
                                   .hash_seed = random_nonzero_u64(),
                                   .configuration = &server->state.configuration});
    const enum vr_server_exit result = server_checkpoint_load(
        &server->base, &server->file_ops, server->options.data_directory, &server->state,
        server->options.durability, server->execution.executor, error);
    server->log.base = (struct wal_head){server->base.id.op_number, server->base.id.log};
    return result;
}

static enum vr_server_exit open_log(struct vr_server *server, struct vr_server_error *error)
{
    (void)service_boot_id(server->boot_id);
    enum vr_server_exit result =
        server_log_open(&server->log, &server->file_ops, server->options.data_directory,
                        &server->state, server->options.durability, server->boot_id,
                        server->log_memory, server->staging_memory, server->log_memory_size, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    result = void_log(server, error);
    if (result == VR_SERVER_OK) {
        result = server_log_begin(&server->log, server->state.incarnation + 1, error);
    }
    if (result != VR_SERVER_OK) {
        server_log_close(&server->log);
    }
    return result;
}

/* S1, D3: durable before the first message. */
static enum vr_server_exit store_start(struct vr_server *server, struct vr_server_error *error)
{
    struct storage_error why;
    server->start = durable_state_start(&server->state, server->options.durability, server->boot_id,
                                        server->log.counts);
    server->state.log_segment = server_log_segment(&server->log);
    if (server->options.durability == DURABILITY_MEMORY || server->base.lost) {
        memset(&server->state.checkpoint, 0, sizeof server->state.checkpoint);
    }
    const int status = state_file_store(&server->state_file, &server->state, &why);
    if (status != 0) {
        return server_error_storage(error, status, &why);
    }
    server_checkpoint_tidy(&server->file_ops, server->options.data_directory, &server->state);
    return VR_SERVER_OK;
}

/* Network. */

static enum vr_server_exit open_socket(struct vr_server *server, enum lane_kind kind,
                                       const struct net_address *address,
                                       struct vr_server_error *error)
{
    const int status = datagram_socket_open(&server->sockets[kind], address, RECEIVER_STOP_MS);
    if (status == 0) {
        return VR_SERVER_OK;
    }
    char text[NET_ADDRESS_TEXT_MAX];
    const char *advice = status == -EADDRINUSE
                             ? "another process has that port: stop it, or choose "
                               "another port"
                         : status == -EADDRNOTAVAIL
                             ? "this machine does not have that address: correct the cluster's "
                               "addresses, or give --listen"
                             : "choose another address or port";
    return server_error_set(error, VR_SERVER_IO, ERROR_BIND, "cannot bind %s for %s: %s; %s",
                            net_address_text(address, text),
                            kind == LANE_PEERS ? "peers" : "clients", strerror(-status), advice);
}

static enum vr_server_exit open_sockets(struct vr_server *server,
                                        const struct server_addresses *addresses,
                                        struct vr_server_error *error)
{
    enum vr_server_exit result =
        open_socket(server, LANE_CLIENTS, &addresses->own[LANE_CLIENTS], error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    result = open_socket(server, LANE_PEERS, &addresses->own[LANE_PEERS], error);
    if (result != VR_SERVER_OK) {
        datagram_socket_close(&server->sockets[LANE_CLIENTS]);
    }
    return result;
}

static void close_sockets(struct vr_server *server)
{
    datagram_socket_close(&server->sockets[LANE_PEERS]);
    datagram_socket_close(&server->sockets[LANE_CLIENTS]);
}

/* Memory: regions cost nothing until they are touched. */

static void release_memory(struct vr_server *server)
{
    memory_release(server->executor_memory, server->executor_memory_size);
    memory_release(server->staging_memory, server->log_memory_size);
    memory_release(server->log_memory, server->log_memory_size);
    free(server->replica_memory);
}

static enum vr_server_exit no_memory(struct vr_server_error *error)
{
    return server_error_set(error, VR_SERVER_INTERNAL, ERROR_MEMORY,
                            "there is no memory left for this replica: give it a smaller "
                            "--log-memory-max, or the machine more memory");
}

static enum vr_server_exit take_memory(struct vr_server *server, struct vr_server_error *error)
{
    const size_t log_memory_max = server->options.log_memory_max;
    server->log_memory_size = log_memory_max / LOG_MEMORY_UNIT * LOG_MEMORY_UNIT;
    server->executor_memory_size = executor_memory_size(&server->state.configuration.parameters);
    server->replica_memory = calloc(1, vr_memory_size());
    server->log_memory = memory_reserve(server->log_memory_size);
    server->staging_memory = memory_reserve(server->log_memory_size);
    memory_prefer_large_pages(server->log_memory, server->log_memory_size);
    memory_prefer_large_pages(server->staging_memory, server->log_memory_size);
    server->executor_memory = memory_reserve(server->executor_memory_size);
    if (server->replica_memory == NULL || server->log_memory == NULL ||
        server->staging_memory == NULL || server->executor_memory == NULL) {
        release_memory(server);
        return no_memory(error);
    }
    return VR_SERVER_OK;
}

/* Parts. Each make_ leaves nothing behind when it fails. */

static struct outbox_identity outbox_identity(const struct vr_server *server)
{
    return (struct outbox_identity){
        .cluster_id = server->state.configuration.cluster_id,
        .replica_id = server->state.replica_id,
        .incarnation = server->state.incarnation,
        .identity = server->state.identity,
        .configuration_hash = configuration_hash(&server->state.configuration),
    };
}

/* The smallest datagram on the way to any peer bounds a Prepare (M2). */
static uint32_t message_budget(const struct vr_server *server)
{
    const struct configuration *configuration = &server->state.configuration;
    uint32_t smallest = DATAGRAM_SIZE_LOOPBACK;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (i != server->self) {
            const uint32_t size =
                outbox_datagram_size(&server->core.peers, &server->peer_addresses[i]);
            smallest = size < smallest ? size : smallest;
        }
    }
    return smallest - WIRE_OVERHEAD;
}

static struct vr_options replica_options(const struct vr_server *server)
{
    struct vr_options options;
    vr_options_default(&options);
    options.configuration = server->state.configuration;
    options.replica_id = server->state.replica_id;
    options.incarnation = server->state.incarnation;
    options.identity = server->state.identity;
    options.nonce = random_nonzero_u64();
    options.seed = random_nonzero_u64();
    options.durability = server->options.durability;
    options.start = server->start;
    options.durable = server->state.vr;
    options.reads = server->options.reads;
    options.heartbeat_ns = server->options.heartbeat_ns;
    options.resend_ns = server->options.heartbeat_ns;
    options.view_change_ns = server->options.view_change_ns;
    if (options.view_change_max_ns < options.view_change_ns) {
        options.view_change_max_ns = options.view_change_ns;
    }
    options.message_budget = message_budget(server);
    options.log_memory = server->log_memory;
    options.staging_memory = server->staging_memory;
    options.log_memory_size = server->log_memory_size;
    options.log_retain = server->options.log_retain;
    options.transfer_rate = server->options.transfer_rate;
    options.checkpoint = server->base.id;
    options.checkpoint_timestamp = server->base.timestamp;
    server_log_describe(&server->log, &options);
    return options;
}

static int make_outboxes(struct vr_server *server)
{
    const struct outbox_identity identity = outbox_identity(server);
    const uint32_t datagram_size = server->options.datagram_size;
    int error = outbox_init(&server->core.peers, &server->sockets[LANE_PEERS], OUTBOX_CORE,
                            &identity, datagram_size);
    if (error != 0) {
        return error;
    }
    error = outbox_init(&server->core.clients, &server->sockets[LANE_CLIENTS], OUTBOX_CORE,
                        &identity, datagram_size);
    if (error != 0) {
        goto destroy_peers;
    }
    error = outbox_init(&server->execution.outbox, &server->sockets[LANE_CLIENTS], OUTBOX_EXECUTOR,
                        &identity, datagram_size);
    if (error != 0) {
        goto destroy_clients;
    }
    return 0;

destroy_clients:
    outbox_destroy(&server->core.clients);
destroy_peers:
    outbox_destroy(&server->core.peers);
    return error;
}

static void destroy_outboxes(struct vr_server *server)
{
    outbox_destroy(&server->execution.outbox);
    outbox_destroy(&server->core.clients);
    outbox_destroy(&server->core.peers);
}

static int make_receiver(struct vr_server *server, enum lane_kind kind)
{
    const struct outbox_identity identity = outbox_identity(server);
    struct receiver *receiver = &server->receivers[kind];
    receiver->kind = kind;
    receiver->sock = &server->sockets[kind];
    receiver->core = &server->core;
    receiver->inbox = &server->inbox;
    receiver->execution = &server->execution;
    receiver->configuration = server->state.configuration;
    receiver->self = server->self;
    memcpy(receiver->peer_addresses, server->peer_addresses, sizeof receiver->peer_addresses);
    random_bytes(receiver->token_secret, sizeof receiver->token_secret);
    receiver->status = &server->status;
    receiver->insecure = server->options.insecure;
    receiver->trace = &server->trace;
    receiver->backup = kind == LANE_CLIENTS ? &server->backup : NULL;
    receiver->health = &server->health;
    return receiver_init(receiver, &identity, server->options.datagram_size);
}

static int make_parts(struct vr_server *server)
{
    int error = inbox_init(&server->inbox);
    if (error != 0) {
        return error;
    }
    error = event_ring_init(&server->events);
    if (error != 0) {
        goto destroy_inbox;
    }
    error = make_outboxes(server);
    if (error != 0) {
        goto destroy_events;
    }
    error = make_receiver(server, LANE_PEERS);
    if (error != 0) {
        goto destroy_outboxes;
    }
    error = make_receiver(server, LANE_CLIENTS);
    if (error != 0) {
        goto destroy_peers;
    }
    error = checkpointer_init(&server->checkpointer);
    if (error != 0) {
        goto destroy_clients;
    }
    error = backup_source_init(&server->backup, server->options.data_directory);
    if (error != 0) {
        goto destroy_checkpointer;
    }
    health_init(&server->health, &server->state.configuration, server->self,
                server->log_memory_size, server->options.heartbeat_ns);
    timer_init(&server->timer);
    return 0;

destroy_checkpointer:
    checkpointer_destroy(&server->checkpointer);
destroy_clients:
    receiver_destroy(&server->receivers[LANE_CLIENTS]);
destroy_peers:
    receiver_destroy(&server->receivers[LANE_PEERS]);
destroy_outboxes:
    destroy_outboxes(server);
destroy_events:
    event_ring_destroy(&server->events);
destroy_inbox:
    inbox_destroy(&server->inbox);
    return error;
}

static void destroy_parts(struct vr_server *server)
{
    timer_destroy(&server->timer);
    health_destroy(&server->health);
    backup_source_destroy(&server->backup);
    checkpointer_destroy(&server->checkpointer);
    receiver_destroy(&server->receivers[LANE_CLIENTS]);
    receiver_destroy(&server->receivers[LANE_PEERS]);
    destroy_outboxes(server);
    event_ring_destroy(&server->events);
    inbox_destroy(&server->inbox);
}

static void wire_recorder(struct vr_server *server, struct recorder *recorder)
{
    recorder->ring = &server->events;
    recorder->configuration = &server->state.configuration;
    recorder->self = server->self;
}

static void wire_checkpoints(struct vr_server *server)
{
    struct checkpointer *checkpointer = &server->checkpointer;
    const bool on_disk = server->options.durability != DURABILITY_MEMORY;
    checkpointer->ops = &server->file_ops;
    checkpointer->directory = server->options.data_directory;
    checkpointer->cluster_id = server->state.configuration.cluster_id;
    checkpointer->state_writer = on_disk ? &server->state_writer : NULL;
    checkpointer->posted = on_news;
    checkpointer->failed = on_checkpoint_failed;
    checkpointer->context = server;
    checkpointer->backup = &server->backup;
    server->backup.ops = &server->file_ops;
    server->backup.cluster_id = server->state.configuration.cluster_id;
    server->backup.replica_id = server->state.replica_id;
    server->backup.wake = on_backup_wanted;
    server->backup.unused = on_backup_unused;
    server->backup.context = server;
    server->core.checkpointer = checkpointer;
    server->execution.cut = (struct cut){
        .executor = server->execution.executor,
        .checkpointer = checkpointer,
        .interval = server->state.configuration.parameters.checkpoint_interval,
        .backup = &server->backup,
    };
    if (server->base.id.op_number > 0) {
        cut_note_loaded(&server->execution.cut, &server->base.id);
    }
}

/* Fills in who knows whom. Returns 0 or -ENOMEM. */
static int wire_parts(struct vr_server *server)
{
    struct core *core = &server->core;
    core->inbox = &server->inbox;
    core->execution = &server->execution;
    core->state_writer = &server->state_writer;
    core->health = &server->health;
    core->configuration = server->state.configuration;
    core->self = server->self;
    memcpy(core->peer_addresses, server->peer_addresses, sizeof core->peer_addresses);
    wire_recorder(server, &core->recorder);
    core->recorder.durable_view = server->state.vr.view_number;
    core->recorder.durable_normal_view = server->state.vr.last_normal_view;
    recorder_started(&core->recorder, server->state.incarnation, server->started_ns);
    wire_recorder(server, &server->execution.recorder);
    core->wake_timer = on_wake_timer;
    core->diverged = on_diverged;
    core->wake_context = server;
    server->log.writer.durability = server->options.durability;
    server->log.writer.durable = on_log_durable;
    server->log.writer.failure = on_log_failed;
    server->log.writer.name_segment = on_segment_begun;
    server->log.writer.wait_segment = wait_for_segment;
    server->log.writer.context = server;

    server->timer.core = core;
    server->timer.peers = &server->receivers[LANE_PEERS];

    server->execution.executed = on_executed;
    server->execution.failed = on_checkpoint_failed;
    server->execution.log_restarted = is_log_restarted;
    server->execution.context = server;

    server->state_writer.file = &server->state_file;
    server->state_writer.state = server->state;
    server->state_writer.durable = on_state_durable;
    server->state_writer.failed = on_state_failed;
    server->state_writer.context = server;

    server->status = (struct status_source){
        .configuration = &server->state.configuration,
        .self = server->self,
        .health = &server->health,
        .execution = &server->execution,
        .core = core,
        .inbox = &server->inbox,
        .receivers = {&server->receivers[LANE_PEERS], &server->receivers[LANE_CLIENTS]},
        .sockets = {&server->sockets[LANE_PEERS], &server->sockets[LANE_CLIENTS]},
        .started_ns = server->started_ns,
        .view_change_ns = server->options.view_change_ns,
        .heartbeat_ns = server->options.heartbeat_ns,
        .log_memory_size = server->log_memory_size,
        .log = &server->log,
        .durability = server->options.durability,
    };
    wire_checkpoints(server);
    server->trace.replica_id = server->state.replica_id;
    server->trace.ring = &server->events;
    server->trace.health = &server->health;
    return server_log_wire(&server->log,
                           &(struct log_store_client){.context = core,
                                                      .entry = core_log_entry,
                                                      .chain = core_log_chain,
                                                      .commit = core_log_commit,
                                                      .durable = core_log_durable},
                           &core->log_store);
}

/* Threads. */

/* True if all that was promised is durable. */
static bool stop_threads(struct vr_server *server)
{
    receiver_stop(&server->receivers[LANE_PEERS]);
    receiver_stop(&server->receivers[LANE_CLIENTS]);
    timer_stop(&server->timer);
    receiver_join(&server->receivers[LANE_PEERS]);
    receiver_join(&server->receivers[LANE_CLIENTS]);
    execution_stop(&server->execution, STOP_EXECUTE_MS * NANOSECONDS_PER_MILLISECOND);
    checkpointer_stop(&server->checkpointer);
    const bool log_kept = server_log_stop(&server->log) == 0;
    const bool state_kept = state_writer_stop(&server->state_writer) == 0;
    execution_destroy(&server->execution); /* the writers have driven the core until now */
    if (!log_kept || !state_kept) {
        atomic_store(&server->failed, true);
    }
    return log_kept && state_kept;
}

static int start_threads(struct vr_server *server)
{
    struct vr_options options = replica_options(server);
    server->core.replica =
        vr_init(server->replica_memory, &options,
                (struct vr_time){.now_ns = clock_monotonic_ns(), .wall_ns = clock_wall_ns()});
    core_init(&server->core);
    bool started = false;
    int error = execution_start(&server->execution);
    if (error == 0) {
        error = state_writer_start(&server->state_writer);
    }
    if (error == 0) {
        error = server_log_start(&server->log);
    }
    if (error == 0) {
        error = checkpointer_start(&server->checkpointer);
    }
    if (error == 0) {
        error = timer_start(&server->timer);
    }
    if (error == 0) {
        core_start(&server->core);
        started = true;
        error = receiver_start(&server->receivers[LANE_PEERS]);
    }
    if (error == 0) {
        error = receiver_start(&server->receivers[LANE_CLIENTS]);
    }
    if (error != 0) {
        if (started) {
            core_halt(&server->core);
        }
        (void)stop_threads(server); /* it reports what failed */
        core_destroy(&server->core);
    }
    return error;
}

/* D5: a clean end, for a log that outlives it; the state file has it all the same. */
static void store_clean_end(struct vr_server *server)
{
    struct storage_error why;
    struct durable_state *state = &server->state_writer.state;
    state->clean_shutdown = true;
    state->log_segment = server_log_segment(&server->log);
    state->log_end = server_log_end(&server->log);
    if (state_file_store(&server->state_file, state, &why) != 0) {
        log_problem(ERROR_STATE_UNWRITABLE, "%s", why.text);
        atomic_store(&server->failed, true);
    }
}

/* Entry points. */

static void say_banner(const struct vr_server *server)
{
    const struct configuration *configuration = &server->state.configuration;
    char clients[NET_ADDRESS_TEXT_MAX];
    char peers[NET_ADDRESS_TEXT_MAX];
    log_info(LOG_RUNTIME,
             "viewstamp %s, cluster %016" PRIx64 ", replica %" PRIu32 " of %" PRIu32
             ", start %" PRIu64 ", durability %s",
             VERSION_TEXT, configuration->cluster_id, server->state.replica_id,
             configuration->member_count, server->state.incarnation,
             durability_name(server->options.durability));
    log_info(LOG_RUNTIME, "clients at %s, peers at %s, data in %s",
             net_address_text(&server->sockets[LANE_CLIENTS].bound, clients),
             net_address_text(&server->sockets[LANE_PEERS].bound, peers),
             server->options.data_directory);
    log_info(LOG_RUNTIME,
             "limits: operation %" PRIu32 " bytes, sessions %" PRIu32 ", stored reply %" PRIu32
             " bytes, checkpoint every %" PRIu32 " ops, state %" PRIu64
             " bytes, log %zu MiB, heartbeat %" PRIu64 " ms, view change after %" PRIu64 " ms",
             configuration->parameters.operation_size_max, configuration->parameters.sessions_max,
             configuration->parameters.reply_stored_max,
             configuration->parameters.checkpoint_interval,
             configuration->parameters.state_size_max, server->log_memory_size / (1024 * 1024),
             server->options.heartbeat_ns / NANOSECONDS_PER_MILLISECOND,
             server->options.view_change_ns / NANOSECONDS_PER_MILLISECOND);
    if (server->options.durability == DURABILITY_MEMORY && server->start == VR_START_RECOVER &&
        configuration->member_count == 1) {
        log_problem(ERROR_ONLY_COPY_GONE,
                    "the only copy of this group's log was in memory, and is gone with the process "
                    "that held it: initialise a new group, from a backup if there is one");
    }
}

enum vr_server_exit vr_server_start(const struct vr_server_options *options, const struct app *app,
                                    struct vr_server **out, struct vr_server_error *error)
{
    struct vr_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return no_memory(error);
    }
    server->options = *options;
    server->started_ns = clock_monotonic_ns();
    server_options_complete(&server->options);
    struct server_addresses addresses;
    enum vr_server_exit result = server_options_check(&server->options, error);
    if (result != VR_SERVER_OK) {
        goto free_server;
    }
    result = open_state(server, error);
    if (result != VR_SERVER_OK) {
        goto free_server;
    }
    result = server_rebuild(&server->state_file, &server->state, &server->options, error);
    if (result != VR_SERVER_OK) {
        goto close_state;
    }
    result = server_addresses_find(&server->options, &server->state.configuration, server->self,
                                   &addresses, error);
    if (result != VR_SERVER_OK) {
        goto close_state;
    }
    memcpy(server->peer_addresses, addresses.peers, sizeof server->peer_addresses);
    result = open_sockets(server, &addresses, error);
    if (result != VR_SERVER_OK) {
        goto close_state;
    }
    result = take_memory(server, error);
    if (result != VR_SERVER_OK) {
        goto close_sockets;
    }
    result = load_checkpoint(server, app, error);
    if (result != VR_SERVER_OK) {
        goto release_memory;
    }
    result = open_log(server, error);
    if (result != VR_SERVER_OK) {
        goto release_memory;
    }
    result = store_start(server, error);
    if (result != VR_SERVER_OK) {
        goto close_log;
    }
    if (make_parts(server) != 0) {
        result = no_memory(error);
        goto close_log;
    }
    if (wire_parts(server) != 0) {
        destroy_parts(server);
        result = no_memory(error);
        goto close_log;
    }
    say_banner(server);
    if (start_threads(server) != 0) {
        result = server_error_set(error, VR_SERVER_INTERNAL, ERROR_THREADS,
                                  "cannot start the threads of this replica: raise the limit of "
                                  "processes or memory");
        goto destroy_parts;
    }
    *out = server;
    return VR_SERVER_OK;

destroy_parts:
    server_log_unwire(&server->log);
    destroy_parts(server);
close_log:
    server_log_close(&server->log);
release_memory:
    release_memory(server);
close_sockets:
    close_sockets(server);
close_state:
    state_file_close(&server->state_file);
free_server:
    free(server);
    return result;
}

const struct net_address *vr_server_address(const struct vr_server *server)
{
    return &server->sockets[LANE_CLIENTS].bound;
}

enum vr_server_exit vr_server_stop(struct vr_server *server)
{
    core_halt(&server->core);
    if (stop_threads(server)) {
        store_clean_end(server);
    }
    const bool failed = atomic_load(&server->failed);
    core_destroy(&server->core);
    server_log_unwire(&server->log);
    destroy_parts(server);
    server_log_close(&server->log);
    release_memory(server);
    close_sockets(server);
    state_file_close(&server->state_file);
    free(server);
    return failed ? VR_SERVER_IO : VR_SERVER_OK;
}

static void tell(void *context)
{
    stop_signal_tell(context);
}

enum vr_server_exit vr_server_run(const struct vr_server_options *options, const struct app *app,
                                  struct vr_server_error *error)
{
    struct stop_signal stop;
    if (stop_signal_init(&stop) != 0) {
        return server_error_set(error, VR_SERVER_INTERNAL, ERROR_SIGNALS,
                                "cannot wait for signals: %s; raise the limit of open files",
                                strerror(errno));
    }
    struct vr_server_options own = *options;
    own.failed = tell;
    own.context = &stop;
    struct vr_server *server;
    enum vr_server_exit result = vr_server_start(&own, app, &server, error);
    if (result == VR_SERVER_OK) {
        logger_set_replica(server->state.replica_id);
        (void)puts("ready"); /* whoever closed stdout does not wait for it */
        (void)fflush(stdout);
        const int signal_number = supervisor_serve(&server->health, &stop);
        if (signal_number != 0) {
            log_info(LOG_RUNTIME, "stopping: %s", strsignal(signal_number));
        }
        const bool diverged = atomic_load(&server->diverged);
        result = vr_server_stop(server);
        if (diverged) {
            (void)server_error_set(error, result, ERROR_DIVERGED,
                                   "this replica has diverged from the others and has stopped; the "
                                   "lines above say where");
        } else if (result != VR_SERVER_OK) {
            (void)server_error_set(error, result, ERROR_STOPPED_UNWRITABLE,
                                   "this replica could not write to its disk and has stopped; the "
                                   "lines above say why");
        } else {
            log_info(LOG_RUNTIME, "stopped");
        }
    }
    stop_signal_destroy(&stop);
    return result;
}
