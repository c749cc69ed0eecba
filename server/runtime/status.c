/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/status.h"

#include <string.h>
#include <sys/resource.h>

#include "common/base/version.h"
#include "common/os/clock.h"
#include "common/os/logger.h"

/* Counters that never moved are left out: an answer is as short as it can be. */
static void add(struct status_answer *answer, const char *name, uint64_t value)
{
    if (value != 0 && answer->report.counter_count < STATUS_COUNTERS_MAX) {
        answer->counters[answer->report.counter_count++] = (struct status_counter){name, value};
    }
}

static uint64_t get(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_core(struct status_answer *answer, const struct status_source *source)
{
    static const char *const drop_names[DROP_REASON_COUNT] = {
        [DROP_INVALID] = "drop_invalid",
        [DROP_NOT_MEMBER] = "drop_not_member",
        [DROP_CONFIGURATION] = "drop_configuration",
        [DROP_IDENTITY] = "drop_identity",
        [DROP_INCARNATION] = "drop_incarnation",
        [DROP_STATUS] = "drop_status",
        [DROP_OLD_VIEW] = "drop_old_view",
        [DROP_NEWER_VIEW] = "drop_newer_view",
        [DROP_EPOCH] = "drop_epoch",
        [DROP_NOT_PRIMARY] = "drop_not_primary",
        [DROP_NOT_FROM_PRIMARY] = "drop_not_from_primary",
        [DROP_DUPLICATE] = "drop_duplicate",
        [DROP_CHECKSUM] = "drop_checksum",
        [DROP_UNKNOWN_OP] = "drop_unknown_op",
        [DROP_NONCE] = "drop_nonce",
        [DROP_STASH_FULL] = "drop_stash_full",
        [DROP_LOG_FULL] = "drop_log_full",
        [DROP_RATE] = "drop_rate",
        [DROP_OLD_REQUEST] = "drop_old_request",
        [DROP_STOPPED] = "drop_stopped",
    };
    const struct vr_snapshot *now = &answer->published.snapshot;
    add(answer, "view_changes", now->view_changes);
    add(answer, "views_started", now->views_started);
    add(answer, "requests_seen", now->requests_seen);
    add(answer, "busy", now->busy_count);
    add(answer, "reads", now->reads_seen);
    add(answer, "reads_answered", now->reads_answered);
    add(answer, "read_rounds", now->read_rounds);
    add(answer, "reads_late", now->reads_late);
    add(answer, "catchup_entries", now->catchup_entries);
    add(answer, "catchup_served", now->catchup_served);
    add(answer, "prepares_resent", now->prepares_resent);
    add(answer, "log_bytes", now->log_bytes);
    add(answer, "log_base_op", now->base_op);
    add(answer, "checkpoint_op", now->checkpoint_op);
    add(answer, "checkpoints_offered", now->checkpoints_offered);
    add(answer, "checkpoints_installed", now->checkpoints_installed);
    add(answer, "chunks_served", now->chunks_served);
    add(answer, "transfer_op", now->transfer_op);
    add(answer, "core_drains", get(&source->core->drains));
    for (size_t i = 0; i < DROP_REASON_COUNT; i++) {
        if (drop_names[i] != NULL) {
            add(answer, drop_names[i], now->dropped[i]);
        }
    }
}

static void add_execution(struct status_answer *answer, const struct status_source *source)
{
    add(answer, "sessions", answer->executed.session_count);
    add(answer, "sessions_evicted", answer->executed.evicted_count);
    add(answer, "reads_refused", get(&source->execution->reads_refused));
    add(answer, "lookups_dropped", get(&source->execution->lookups_dropped));
    add(answer, "log_lines_lost", logger_lost_count());
}

/* What both sockets count, a name for each. */
struct lane_names {
    const char *received;
    const char *sent;
    const char *receive_calls;
    const char *send_calls;
    const char *overflowed;
    const char *receive_errors;
    const char *send_lost;
    const char *too_large;
    const char *lane_full;
    const char *parts_asked;
    const char *parts_given_up;
    const char *split;
};

static const struct lane_names lane_names[LANE_COUNT] = {
    [LANE_PEERS] =
        {
            .received = "peer_datagrams_received",
            .sent = "peer_datagrams_sent",
            .receive_calls = "peer_receive_calls",
            .send_calls = "peer_send_calls",
            .overflowed = "peer_socket_overflowed",
            .receive_errors = "peer_receive_errors",
            .send_lost = "peer_send_lost",
            .too_large = "peer_send_too_large",
            .lane_full = "peer_inbox_full",
            .parts_asked = "peer_parts_asked",
            .parts_given_up = "peer_parts_given_up",
            .split = "peer_messages_split",
        },
    [LANE_CLIENTS] =
        {
            .received = "client_datagrams_received",
            .sent = "client_datagrams_sent",
            .receive_calls = "client_receive_calls",
            .send_calls = "client_send_calls",
            .overflowed = "client_socket_overflowed",
            .receive_errors = "client_receive_errors",
            .send_lost = "client_send_lost",
            .too_large = "client_send_too_large",
            .lane_full = "client_inbox_full",
            .parts_asked = "client_parts_asked",
            .parts_given_up = "client_parts_given_up",
            .split = "client_messages_split",
        },
};

static void add_lane(struct status_answer *answer, const struct status_source *source,
                     enum lane_kind kind)
{
    const struct lane_names *names = &lane_names[kind];
    const struct datagram_counters *sock = &source->sockets[kind]->counters;
    const struct receiver_counters *receiver = &source->receivers[kind]->counters;
    const struct health_senders *senders = &answer->published.senders;
    add(answer, names->received, get(&sock->received));
    add(answer, names->sent, get(&sock->sent));
    add(answer, names->receive_calls, get(&sock->receive_calls));
    add(answer, names->send_calls, get(&sock->send_calls));
    add(answer, names->overflowed, get(&sock->overflowed));
    add(answer, names->receive_errors, get(&sock->receive_errors) + get(&sock->truncated));
    add(answer, names->send_lost,
        get(&sock->send_full) + get(&sock->send_unreachable) + get(&sock->send_failed));
    add(answer, names->too_large, get(&sock->send_too_large));
    add(answer, names->lane_full, get(&receiver->lane_full));
    add(answer, names->parts_asked, get(&receiver->parts_asked));
    add(answer, names->parts_given_up,
        get(&receiver->parts_given_up) + get(&receiver->parts_evicted));
    add(answer, names->split,
        kind == LANE_PEERS ? senders->peers.split
                           : senders->clients.split + answer->executed.sender.split);
}

/* M3's drops: both sockets together, for the reasons are the same. */
static void add_refused(struct status_answer *answer, const struct status_source *source)
{
    static const char *const wire_names[WIRE_DROP_COUNT] = {
        [WIRE_DROP_SIZE] = "wire_size",
        [WIRE_DROP_MAGIC] = "wire_magic",
        [WIRE_DROP_CHECKSUM] = "wire_checksum",
        [WIRE_DROP_VERSION] = "wire_version",
        [WIRE_DROP_CLUSTER] = "wire_cluster",
        [WIRE_DROP_KEY] = "wire_key",
        [WIRE_DROP_FRAME] = "wire_frame",
        [WIRE_DROP_TYPE] = "wire_type",
        [WIRE_DROP_BODY_SIZE] = "wire_body_size",
        [WIRE_DROP_BODY] = "wire_body",
        [WIRE_DROP_MEMORY] = "wire_memory",
        [WIRE_DROP_INVALID] = "wire_invalid",
        [WIRE_DROP_PART_MISMATCH] = "wire_part_mismatch",
        [WIRE_DROP_PART_REPEATED] = "wire_part_repeated",
        [WIRE_DROP_PART_LIMIT] = "wire_part_limit",
        [WIRE_DROP_PART_CHECKSUM] = "wire_part_checksum",
    };
    const struct receiver_counters *peers = &source->receivers[LANE_PEERS]->counters;
    const struct receiver_counters *clients = &source->receivers[LANE_CLIENTS]->counters;
    for (size_t i = 0; i < WIRE_DROP_COUNT; i++) {
        if (wire_names[i] != NULL) {
            add(answer, wire_names[i], get(&peers->wire[i]) + get(&clients->wire[i]));
        }
    }
    add(answer, "wrong_sender", get(&peers->not_member));
    add(answer, "wrong_socket", get(&peers->wrong_socket) + get(&clients->wrong_socket));
    add(answer, "challenged", get(&clients->challenged));
    add(answer, "refused_sent", get(&peers->refused) + get(&clients->refused));
    add(answer, "answers_too_long", get(&peers->answers_short) + get(&clients->answers_short));
    add(answer, "status_answered", get(&clients->status_answered));
    add(answer, "trace_answered", get(&clients->trace_answered));
    add(answer, "trace_refused", get(&clients->trace_refused));
}

/* What the machine gave to this process, in all its threads: whoever measures asks twice. */
static void add_process(struct status_answer *answer)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        const struct timeval *user = &usage.ru_utime;
        const struct timeval *system = &usage.ru_stime;
        add(answer, "cpu_us",
            (uint64_t)(user->tv_sec + system->tv_sec) * 1000 * 1000 +
                (uint64_t)(user->tv_usec + system->tv_usec));
        add(answer, "memory_peak_kib", (uint64_t)usage.ru_maxrss);
    }
}

static void fill_masks(const struct status_source *source, uint64_t now_ns,
                       const struct vr_snapshot *now, struct status_report *report)
{
    for (uint32_t i = 0; i < now->member_count; i++) {
        const uint32_t bit = UINT32_C(1) << i;
        const uint64_t heard_ns = now->members[i].heard_ns;
        const bool heard =
            heard_ns != 0 && (heard_ns >= now_ns || now_ns - heard_ns <= source->view_change_ns);
        report->silent_mask |= i != source->self && !heard ? bit : 0;
        report->bound_mask |= now->members[i].bound ? bit : 0;
        const bool suspects = i == source->self ? now->suspecting : now->members[i].vote_later;
        report->suspect_mask |= suspects ? bit : 0;
    }
}

/* For how long those in silent_mask have been silent, by member index; one that was never heard has
 * no such time. */
static void add_silent(struct status_answer *answer, uint64_t now_ns)
{
    static const char *const names[REPLICAS_MAX] = {"silent_ms_0", "silent_ms_1", "silent_ms_2",
                                                    "silent_ms_3", "silent_ms_4", "silent_ms_5",
                                                    "silent_ms_6", "silent_ms_7", "silent_ms_8"};
    const struct vr_snapshot *now = &answer->published.snapshot;
    for (uint32_t i = 0; i < now->member_count; i++) {
        const uint64_t heard_ns = now->members[i].heard_ns;
        if ((answer->report.silent_mask & UINT32_C(1) << i) != 0 && heard_ns != 0) {
            add(answer, names[i], (now_ns - heard_ns) / NANOSECONDS_PER_MILLISECOND);
        }
    }
}

/* Options that should be the same on every replica: whoever asks all of them compares. */
static void add_options(struct status_answer *answer, const struct status_source *source)
{
    add(answer, "option_heartbeat_ms", source->heartbeat_ns / NANOSECONDS_PER_MILLISECOND);
    add(answer, "option_view_change_ms", source->view_change_ns / NANOSECONDS_PER_MILLISECOND);
    add(answer, "option_reads", answer->published.snapshot.reads);
    add(answer, "option_log_memory_mib", source->log_memory_size / (1024 * 1024));
}

void status_answer(const struct status_source *source, uint64_t nonce, struct status_answer *answer)
{
    health_published(source->health, &answer->published);
    execution_status(source->execution, &answer->executed);
    const uint64_t now_ns = clock_monotonic_ns();
    const struct vr_snapshot *now = &answer->published.snapshot;
    const uint64_t published_ns = answer->published.published_ns;
    struct status_report *report = &answer->report;
    *report = (struct status_report){
        .nonce = nonce,
        .cluster_id = source->configuration->cluster_id,
        .replica_id = source->configuration->members[source->self].replica_id,
        .view_number = now->view_number,
        .last_normal_view = now->last_normal_view,
        .status = now->status,
        .acting_primary = now->acting_primary,
        .log_full = now->log_full,
        .op_number = now->op_number,
        .commit_number = now->commit_number,
        .executed_op = answer->executed.executed_op,
        .snapshot_age_us =
            now_ns > published_ns ? (now_ns - published_ns) / NANOSECONDS_PER_MICROSECOND : 0,
        .uptime_s = (now_ns - source->started_ns) / NANOSECONDS_PER_SECOND,
        .disk_bytes = STATE_FILE_SIZE + server_log_disk_bytes(source->log) +
                      checkpointer_disk_bytes(source->core->checkpointer),
        .durability = source->durability,
        .state_digest = {.op = answer->executed.executed_op, .value = answer->executed.digest},
        .version = VERSION_TEXT,
        .note = health_note(source->health, &answer->published, answer->note),
        .configuration = source->configuration,
        .counters = answer->counters,
    };
    fill_masks(source, now_ns, now, report);
    add_options(answer, source);
    add_process(answer);
    add_silent(answer, now_ns);
    add_core(answer, source);
    add_execution(answer, source);
    add_lane(answer, source, LANE_PEERS);
    add_lane(answer, source, LANE_CLIENTS);
    add_refused(answer, source);
}

void status_answer_shorten(struct status_answer *answer)
{
    answer->report.counter_count = 0;
}
