/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/random_message.h"

#include <string.h>

#include "common/base/trace_event.h"

const enum message_type random_message_types[RANDOM_MESSAGE_TYPES] = {
    MESSAGE_REQUEST,
    MESSAGE_STATUS_REQUEST,
    MESSAGE_TRACE_REQUEST,
    MESSAGE_LOG_LEVEL_REQUEST,
    MESSAGE_RESTORE_STATUS,
    MESSAGE_RESTORE,
    MESSAGE_READ,
    MESSAGE_BACKUP_REQUEST,
    MESSAGE_REPLY,
    MESSAGE_NOT_PRIMARY,
    MESSAGE_BUSY,
    MESSAGE_CHALLENGE,
    MESSAGE_REFUSED,
    MESSAGE_STATUS,
    MESSAGE_TRACE_REPORT,
    MESSAGE_LOG_LEVEL_REPORT,
    MESSAGE_RESTORE_REPORT,
    MESSAGE_BACKUP_OFFER,
    MESSAGE_BACKUP_CHUNK,
    MESSAGE_PREPARE,
    MESSAGE_PREPARE_OK,
    MESSAGE_COMMIT,
    MESSAGE_GOODBYE,
    MESSAGE_START_VIEW_CHANGE,
    MESSAGE_DO_VIEW_CHANGE,
    MESSAGE_START_VIEW,
    MESSAGE_GET_VIEW,
    MESSAGE_CATCHUP_REQUEST,
    MESSAGE_CATCHUP_RESPONSE,
    MESSAGE_CHECKPOINT_OFFER,
    MESSAGE_CHECKPOINT_REQUEST,
    MESSAGE_CHECKPOINT_CHUNK,
    MESSAGE_RECOVERY,
    MESSAGE_RECOVERY_RESPONSE,
    MESSAGE_PART,
    MESSAGE_PARTS_MISSING,
};

/* In [low, high]: a bound, next to one, or anything between. */
static uint64_t number(struct prng *prng, uint64_t low, uint64_t high)
{
    switch (prng_below(prng, 6)) {
    case 0:
        return low;
    case 1:
        return high;
    case 2:
        return low < high ? low + 1 : low;
    case 3:
        return low < high ? high - 1 : high;
    case 4: /* small, as most numbers are */
        return prng_between(prng, low, high - low > 1000 ? low + 1000 : high);
    default:
        return prng_between(prng, low, high);
    }
}

static uint64_t any(struct prng *prng)
{
    return number(prng, 0, UINT64_MAX);
}

static struct checksum checksum(struct prng *prng)
{
    return (struct checksum){any(prng), any(prng)};
}

static uint64_t view(struct prng *prng)
{
    return number(prng, view_make(EPOCH_FIRST, 0), UINT64_MAX);
}

static uint64_t view_or_none(struct prng *prng)
{
    return prng_chance(prng, 1, 4) ? VIEW_NONE : view(prng);
}

static struct client_id client_id(struct prng *prng)
{
    struct client_id id = {any(prng), any(prng)};
    if (id.low == 0 && id.high == 0) {
        id.high = 1;
    }
    return id;
}

static void fill(struct prng *prng, uint8_t *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i += 8) {
        const uint64_t value = prng_next(prng);
        memcpy(bytes + i, &value, size - i < 8 ? size - i : 8);
    }
}

static struct log_descriptor log_of(struct prng *prng, uint64_t last_normal_view)
{
    const uint64_t op_number = any(prng);
    return (struct log_descriptor){
        .last_normal_view = last_normal_view,
        .op_number = op_number,
        .head_checksum = checksum(prng),
        .commit_number = number(prng, 0, op_number),
        .commit_checksum = checksum(prng),
    };
}

/* Writes whole entries from first_op on, as many as fit and at most count_max; returns how many. */
static uint32_t entries(struct prng *prng, uint64_t first_op, uint64_t view_number,
                        uint32_t count_max, uint32_t bytes_max, uint8_t *bytes, uint32_t *size)
{
    static uint8_t bodies[OPERATION_SIZE_MAX]; /* what they hold does not matter */
    fill(prng, bodies, bytes_max < sizeof bodies ? bytes_max : sizeof bodies);
    uint64_t entry_view = view_make(EPOCH_FIRST, 0);
    uint64_t timestamp = prng_below(prng, 1000);
    uint32_t count = 0;
    *size = 0;
    while (count < count_max && bytes_max - *size >= 2 * ENTRY_HEADER_SIZE) {
        const uint32_t room = bytes_max - *size - ENTRY_HEADER_SIZE;
        const enum entry_kind kind = (enum entry_kind)prng_between(prng, 1, 3);
        struct entry entry = {
            .op_number = first_op + count,
            .view_number = entry_view,
            .timestamp = timestamp,
            .client_id = client_id(prng),
            .session = kind == ENTRY_REGISTER ? 0 : number(prng, 1, UINT64_MAX),
            .request_number = kind == ENTRY_OPERATION ? number(prng, 1, UINT64_MAX) : 0,
            .kind = kind,
        };
        if (kind == ENTRY_OPERATION) {
            const uint32_t max = room < OPERATION_SIZE_MAX ? room : OPERATION_SIZE_MAX;
            entry.body_size = (uint32_t)number(prng, 0, count_max == 1 ? max : max / 3);
            entry.body = bodies;
        }
        *size += (uint32_t)entry_encode(&entry, bytes + *size);
        count++;
        timestamp += 1 + prng_below(prng, 1000);
        entry_view = number(prng, entry_view, view_number);
    }
    return count;
}

static void text(struct prng *prng, uint64_t size_min, char *out)
{
    const uint64_t size = number(prng, size_min, STATUS_TEXT_MAX - 1);
    for (uint64_t i = 0; i < size; i++) {
        const char c = (char)prng_between(prng, 0x20, 0xff);
        out[i] = c == 0x7f ? '~' : c;
    }
    out[size] = '\0';
}

static void random_configuration(struct prng *prng, struct configuration *out)
{
    *out = (struct configuration){
        .cluster_id = number(prng, 1, UINT64_MAX),
        .epoch = EPOCH_FIRST,
        .member_count = (uint32_t)number(prng, 1, REPLICAS_MAX),
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < out->member_count; i++) {
        struct member *member = &out->members[i];
        member->replica_id = i * 7;
        member->role = MEMBER_ACTIVE;
        member->port = (uint16_t)(8000 + i);
        member->peer_port = (uint16_t)(8100 + i);
        memset(member->host, 'a' + (int)i, (size_t)number(prng, 1, HOST_SIZE_MAX - 1));
    }
}

static void status_report(struct prng *prng, struct random_message *out)
{
    random_configuration(prng, &out->configuration);
    const uint32_t members = (1u << out->configuration.member_count) - 1;
    const uint64_t view_number = view(prng);
    const uint64_t op_number = any(prng);
    text(prng, 0, out->texts[0]);
    text(prng, 0, out->texts[1]);
    out->report = (struct status_report){
        .nonce = any(prng),
        .cluster_id = number(prng, 1, UINT64_MAX),
        .replica_id = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
        .view_number = view_number,
        .last_normal_view =
            prng_chance(prng, 1, 4) ? VIEW_NONE : number(prng, view_make(1, 0), view_number),
        .status = (enum vr_status)prng_between(prng, 1, 4),
        .acting_primary = prng_chance(prng, 1, 2),
        .log_full = prng_chance(prng, 1, 2),
        .op_number = op_number,
        .commit_number = number(prng, 0, op_number),
        .executed_op = any(prng),
        .snapshot_age_us = any(prng),
        .uptime_s = any(prng),
        .disk_bytes = any(prng),
        .durability = (enum durability)prng_between(prng, 1, 3),
        .state_digest = {any(prng), checksum(prng)},
        .silent_mask = (uint32_t)number(prng, 0, members),
        .bound_mask = (uint32_t)number(prng, 0, members),
        .suspect_mask = (uint32_t)number(prng, 0, members),
        .version = out->texts[0],
        .note = out->texts[1],
        .configuration = &out->configuration,
        .counter_count = (uint32_t)number(prng, 0, STATUS_COUNTERS_MAX),
        .counters = out->counters,
    };
    for (uint32_t i = 0; i < out->report.counter_count; i++) {
        text(prng, 1, out->texts[2 + i]);
        out->counters[i] = (struct status_counter){out->texts[2 + i], any(prng)};
    }
    out->message.status = &out->report;
}

/* Any event that passes: what shares a place with something else is drawn as that. */
static void trace_event(struct prng *prng, struct trace_event *e)
{
    const bool state = prng_chance(prng, 1, 4);
    *e = (struct trace_event){
        .time_ns = any(prng),
        .view_number = view_or_none(prng),
        .first_op = number(prng, 0, UINT64_MAX - UINT32_MAX),
        .commit_number = any(prng),
        .detail = any(prng),
        .op_count = (uint32_t)number(prng, 0, UINT32_MAX),
        .payload_size = (uint32_t)number(prng, 0, UINT32_MAX),
        .kind = state ? TRACE_STATE : (uint8_t)prng_between(prng, TRACE_RECEIVED, TRACE_SENT),
        .type = state ? (uint8_t)prng_between(prng, 1, TRACE_STATE_MAX)
                      : (uint8_t)random_message_types[prng_below(prng, RANDOM_MESSAGE_TYPES)],
        .verdict = (uint8_t)(prng_chance(prng, 1, 2)
                                 ? prng_between(prng, VERDICT_ACCEPTED, VERDICT_REFUSED)
                                 : prng_between(prng, VERDICT_INVALID, VERDICT_MAX)),
        .extra = (uint8_t)prng_below(prng, 256),
    };
    if (trace_event_is_client(e)) {
        e->session = any(prng);
        e->client_port = (uint16_t)number(prng, 0, UINT16_MAX);
        e->client_ipv6 = prng_chance(prng, 1, 2) ? 1 : 0;
    } else {
        e->peers = state ? 0 : (uint16_t)number(prng, 0, (1u << REPLICAS_MAX) - 1);
        e->repeated = prng_chance(prng, 1, 2) ? 1 : 0;
    }
}

static void trace_report(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    const uint32_t fit = bytes_max / TRACE_EVENT_SIZE;
    struct trace_report *m = &out->message.trace_report;
    *m = (struct trace_report){
        .nonce = any(prng),
        .replica_id = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
        .lane = (uint32_t)prng_below(prng, TRACE_LANE_COUNT),
        .now_ns = any(prng),
        .wall_ns = any(prng),
        .view_number = view(prng),
        .status = (enum vr_status)prng_between(prng, 1, 4),
        .oldest_event = number(prng, 0, UINT64_MAX - TRACE_EVENTS_MAX),
        .event_count = (uint32_t)number(prng, 0, fit < TRACE_EVENTS_MAX ? fit : TRACE_EVENTS_MAX),
        .events = out->bytes,
    };
    m->first_event = number(prng, m->oldest_event, UINT64_MAX - TRACE_EVENTS_MAX);
    m->next_event = number(prng, m->first_event + m->event_count, UINT64_MAX);
    for (uint32_t i = 0; i < m->event_count; i++) {
        struct trace_event event;
        trace_event(prng, &event);
        memcpy(out->bytes + (size_t)i * TRACE_EVENT_SIZE, &event, TRACE_EVENT_SIZE);
    }
}

static void part(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    const uint32_t part_size = (uint32_t)number(
        prng, PART_SIZE_MIN, bytes_max < 60000 ? (bytes_max < 352 ? 352 : bytes_max) : 60000);
    const uint32_t total_size = (uint32_t)number(prng, part_size + 1, MESSAGE_SIZE_MAX);
    const uint32_t count = (total_size + part_size - 1) / part_size;
    const uint32_t index = (uint32_t)number(prng, 0, count - 1);
    const uint32_t rest = total_size - index * part_size;
    const uint32_t data_size = rest < part_size ? rest : part_size;
    fill(prng, out->bytes, data_size);
    out->message.part = (struct part){
        .id = any(prng),
        .type = random_message_types[prng_below(prng, RANDOM_MESSAGE_TYPES - 2)],
        .total_size = total_size,
        .part_size = part_size,
        .index = index,
        .whole_checksum = any(prng),
        .data_size = data_size,
        .data = out->bytes,
    };
}

static void request(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    const uint32_t max = bytes_max < OPERATION_SIZE_MAX ? bytes_max : OPERATION_SIZE_MAX;
    const enum entry_kind kind = (enum entry_kind)prng_between(prng, 1, 3);
    const uint32_t size = kind == ENTRY_OPERATION ? (uint32_t)number(prng, 0, max) : 0;
    fill(prng, out->bytes, size);
    out->message.request = (struct request){
        .client_id = client_id(prng),
        .session = kind == ENTRY_REGISTER ? 0 : number(prng, 1, UINT64_MAX),
        .request_number = kind == ENTRY_OPERATION ? number(prng, 1, UINT64_MAX) : 0,
        .kind = kind,
        .operation_size = size,
        .operation = out->bytes,
    };
}

static void read_message(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    const uint32_t max = bytes_max < READ_SIZE_MAX ? bytes_max : READ_SIZE_MAX;
    const uint32_t size = (uint32_t)number(prng, 1, max > 1 ? max : 1);
    fill(prng, out->bytes, size);
    out->message.read = (struct read){
        .client_id = client_id(prng),
        .nonce = number(prng, 1, UINT64_MAX),
        .mode = (enum read_mode)prng_between(prng, READ_LINEARIZABLE, READ_STALE),
        .min_op = any(prng),
        .operation_size = size,
        .operation = out->bytes,
    };
}

static void reply(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    const uint32_t max = bytes_max < RESULT_SIZE_MAX ? bytes_max : RESULT_SIZE_MAX;
    const uint32_t size = (uint32_t)number(prng, 0, max);
    fill(prng, out->bytes, size);
    out->message.reply = (struct reply){
        .view_number = view(prng),
        .op_number = any(prng),
        .client_id = client_id(prng),
        .session = any(prng),
        .request_number = any(prng),
        .status = (enum reply_status)prng_between(prng, REPLY_OK, REPLY_NOT_A_READ),
        .commit_number = any(prng),
        .result_size = size,
        .result = out->bytes,
    };
}

static void prepare(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    struct prepare *m = &out->message.prepare;
    *m = (struct prepare){
        .view_number = view(prng),
        .first_op = number(prng, 1, UINT64_MAX - 100000),
        .parent_checksum = checksum(prng),
        .commit_number = any(prng),
        .commit_checksum = checksum(prng),
        .round = any(prng),
        .entries = out->bytes,
    };
    m->entry_count = entries(prng, m->first_op, m->view_number, (uint32_t)number(prng, 1, 100),
                             bytes_max, out->bytes, &m->entries_size);
}

static struct checkpoint_mark mark(struct prng *prng)
{
    return prng_below(prng, 2) == 0
               ? (struct checkpoint_mark){0}
               : (struct checkpoint_mark){number(prng, 1, UINT64_MAX), checksum(prng)};
}

static void checkpoint_offer(struct prng *prng, struct checkpoint_offer *m)
{
    *m = (struct checkpoint_offer){
        .nonce = any(prng),
        .view_number = view(prng),
        .id =
            {
                .op_number = number(prng, 1, UINT64_MAX),
                .view_number = view_make(EPOCH_FIRST, 0),
                .log = checksum(prng),
                .digest = checksum(prng),
                .size = number(prng, 1, CHECKPOINT_SIZE_MAX),
                .root = checksum(prng),
            },
    };
}

static void checkpoint_request(struct prng *prng, struct checkpoint_request *m)
{
    *m = (struct checkpoint_request){
        .nonce = any(prng),
        .last_normal_view = view_or_none(prng),
        .root = checksum(prng),
        .list = prng_below(prng, 2) == 0,
        .first = number(prng, 0, CHECKPOINT_CHUNKS_MAX - 1),
        .count = (uint32_t)number(prng, 1, CHUNK_WINDOW_MAX),
        .staged = any(prng),
    };
}

static void backup_request(struct prng *prng, struct backup_request *m)
{
    *m = (struct backup_request){.nonce = any(prng), .least_op = any(prng)};
    if (prng_below(prng, 2) == 0) {
        m->root = (struct checksum){number(prng, 1, UINT64_MAX), any(prng)};
        m->list = prng_below(prng, 2) == 0;
        m->first = number(prng, 0, CHECKPOINT_CHUNKS_MAX - 1);
        m->count = (uint32_t)number(prng, 1, CHUNK_WINDOW_MAX);
    }
}

static void backup_offer(struct prng *prng, struct backup_offer *m)
{
    *m = (struct backup_offer){
        .nonce = any(prng),
        .replica_id = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
        .outcome = (enum backup_outcome)prng_between(prng, BACKUP_READY, BACKUP_FAILED),
        .executed_op = any(prng),
    };
    if (m->outcome == BACKUP_READY) {
        m->id = (struct checkpoint_id){
            .op_number = number(prng, 1, UINT64_MAX),
            .view_number = view(prng),
            .log = checksum(prng),
            .digest = checksum(prng),
            .size = number(prng, 1, CHECKPOINT_SIZE_MAX),
            .root = {number(prng, 1, UINT64_MAX), any(prng)},
        };
    }
}

static void checkpoint_chunk(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    const uint32_t size_max = bytes_max < CHECKPOINT_CHUNK_SIZE ? bytes_max : CHECKPOINT_CHUNK_SIZE;
    struct checkpoint_chunk *m = &out->message.checkpoint_chunk;
    *m = (struct checkpoint_chunk){
        .nonce = any(prng),
        .root = checksum(prng),
        .list = prng_below(prng, 2) == 0,
        .index = number(prng, 0, CHECKPOINT_CHUNKS_MAX - 1),
        .size = (uint32_t)number(prng, 1, size_max),
        .bytes = out->bytes,
    };
    fill(prng, out->bytes, m->size);
}

static void catchup_response(struct prng *prng, uint32_t bytes_max, struct random_message *out)
{
    struct catchup_response *m = &out->message.catchup_response;
    *m = (struct catchup_response){
        .nonce = any(prng),
        .last_normal_view = view_or_none(prng),
        .first_op = number(prng, 1, UINT64_MAX - 100000),
        .parent_checksum = checksum(prng),
        .entries = out->bytes,
    };
    m->entry_count =
        entries(prng, m->first_op, UINT64_MAX, (uint32_t)number(prng, 0, SYNC_ENTRIES_MAX),
                bytes_max, out->bytes, &m->entries_size);
}

static void restore(struct prng *prng, struct restore *m)
{
    *m = (struct restore){
        .nonce = any(prng),
        .recovery_nonce = any(prng),
        .view_number = number(prng, view_make(EPOCH_FIRST, 1), UINT64_MAX),
        .source = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
    };
    m->last_normal_view = number(prng, view_make(EPOCH_FIRST, 0), m->view_number - 1);
    m->log = log_of(prng, number(prng, view_make(EPOCH_FIRST, 0), m->last_normal_view));
}

static void restore_report(struct prng *prng, struct restore_report *m)
{
    *m = (struct restore_report){
        .nonce = any(prng),
        .replica_id = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
        .outcome = (enum restore_outcome)prng_between(prng, RESTORE_TOLD, RESTORE_OTHER),
        .status = (enum vr_status)prng_between(prng, STATUS_NORMAL, STATUS_TRANSITIONING),
        .acting_primary = prng_chance(prng, 1, 2),
        .recovery_nonce = any(prng),
        .view_number = view(prng),
        .synced_op = any(prng),
        .durability = (enum durability)prng_between(prng, DURABILITY_MEMORY, DURABILITY_SYNC),
    };
    m->log = log_of(prng, number(prng, view_make(EPOCH_FIRST, 0), m->view_number));
}

void random_message(struct prng *prng, enum message_type type, uint32_t bytes_max,
                    struct random_message *out)
{
    struct message *m = &out->message;
    *m = (struct message){
        .type = type,
        .from = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
        .incarnation = any(prng),
        .identity = any(prng),
        .configuration_hash = any(prng),
        .address = {.ip = {127, 0, 0, 1}, .port = (uint16_t)number(prng, 1, UINT16_MAX)},
    };
    if (bytes_max > ENTRY_SIZE_MAX) {
        bytes_max = ENTRY_SIZE_MAX;
    }
    switch (type) {
    case MESSAGE_NONE:
        break;
    case MESSAGE_REQUEST:
        request(prng, bytes_max, out);
        break;
    case MESSAGE_READ:
        read_message(prng, bytes_max, out);
        break;
    case MESSAGE_STATUS_REQUEST:
        m->status_request = (struct status_request){
            .nonce = any(prng),
            .padding_size = (uint32_t)number(
                prng, 0, bytes_max < STATUS_PADDING_MAX ? bytes_max : STATUS_PADDING_MAX),
        };
        break;
    case MESSAGE_LOG_LEVEL_REQUEST:
        text(prng, 0, out->texts[0]);
        m->log_level_request = (struct log_level_request){any(prng), out->texts[0]};
        break;
    case MESSAGE_REPLY:
        reply(prng, bytes_max, out);
        break;
    case MESSAGE_NOT_PRIMARY:
        m->not_primary = (struct not_primary){
            .client_id = client_id(prng),
            .session = any(prng),
            .request_number = any(prng),
            .last_normal_view = view_or_none(prng),
            .status = (enum vr_status)prng_between(prng, 1, 4),
        };
        break;
    case MESSAGE_BUSY:
        m->busy = (struct busy){
            .client_id = client_id(prng),
            .session = any(prng),
            .request_number = any(prng),
            .view_number = view(prng),
            .reason = (enum busy_reason)prng_between(prng, BUSY_QUEUE_FULL, BUSY_BEHIND),
        };
        break;
    case MESSAGE_CHALLENGE:
        m->challenge.token = number(prng, 1, UINT64_MAX);
        break;
    case MESSAGE_REFUSED:
        m->refused = (struct refused){
            .reason = (enum refused_reason)prng_between(prng, REFUSED_CLUSTER, REFUSED_PEERS_PORT),
            .own = any(prng),
            .yours = any(prng),
        };
        break;
    case MESSAGE_STATUS:
        status_report(prng, out);
        break;
    case MESSAGE_TRACE_REQUEST:
        m->trace_request = (struct trace_request){
            .nonce = any(prng),
            .lane = (uint32_t)prng_below(prng, TRACE_LANE_COUNT),
            .events_max = (uint32_t)number(prng, 0, TRACE_EVENTS_MAX),
            .from_event = any(prng),
        };
        break;
    case MESSAGE_TRACE_REPORT:
        trace_report(prng, bytes_max, out);
        break;
    case MESSAGE_LOG_LEVEL_REPORT:
        text(prng, 1, out->texts[0]);
        m->log_level_report = (struct log_level_report){
            .nonce = any(prng),
            .replica_id = (uint32_t)number(prng, 0, REPLICA_NONE - 1),
            .outcome =
                (enum log_level_outcome)prng_between(prng, LOG_LEVELS_TOLD, LOG_LEVELS_UNKNOWN),
            .levels = out->texts[0],
        };
        break;
    case MESSAGE_PREPARE:
        prepare(prng, bytes_max, out);
        break;
    case MESSAGE_PREPARE_OK:
        m->prepare_ok =
            (struct prepare_ok){view(prng), any(prng), checksum(prng), any(prng), mark(prng)};
        break;
    case MESSAGE_COMMIT:
        m->commit = (struct commit){
            .view_number = view(prng),
            .commit_checksum = checksum(prng),
            .op_number = any(prng),
            .round = any(prng),
            .checkpoint = mark(prng),
        };
        m->commit.commit_number = number(prng, 0, m->commit.op_number);
        break;
    case MESSAGE_GOODBYE:
        m->goodbye.view_number = view(prng);
        break;
    case MESSAGE_START_VIEW_CHANGE:
        m->start_view_change.view_number = view(prng);
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        m->do_view_change.view_number = number(prng, view_make(EPOCH_FIRST, 1), UINT64_MAX);
        m->do_view_change.log =
            log_of(prng, prng_chance(prng, 1, 4) ? VIEW_NONE
                                                 : number(prng, view_make(EPOCH_FIRST, 0),
                                                          m->do_view_change.view_number - 1));
        m->do_view_change.synced_op = any(prng);
        m->do_view_change.primary_identity = any(prng);
        m->do_view_change.base_op = number(prng, 0, m->do_view_change.log.op_number);
        if (m->do_view_change.log.op_number > 0 && prng_chance(prng, 1, 3)) {
            m->do_view_change.faulty_from = number(prng, 1, m->do_view_change.log.op_number);
            m->do_view_change.held_checksum = checksum(prng);
            if (m->do_view_change.log.commit_number >= m->do_view_change.faulty_from) {
                m->do_view_change.log.commit_checksum = (struct checksum){0};
            }
        }
        break;
    case MESSAGE_START_VIEW:
        m->start_view.view_number = view(prng);
        m->start_view.log = log_of(prng, m->start_view.view_number);
        break;
    case MESSAGE_GET_VIEW:
        m->get_view.view_number = view(prng);
        break;
    case MESSAGE_CATCHUP_REQUEST:
        m->catchup_request = (struct catchup_request){
            .nonce = any(prng),
            .last_normal_view = view_or_none(prng),
            .from_op = number(prng, 1, UINT64_MAX - SYNC_ENTRIES_MAX),
        };
        m->catchup_request.to_op =
            m->catchup_request.from_op + number(prng, 0, SYNC_ENTRIES_MAX - 1);
        m->catchup_request.synced_op = number(prng, 0, m->catchup_request.from_op - 1);
        m->catchup_request.restores = prng_chance(prng, 1, 2);
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        catchup_response(prng, bytes_max, out);
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        checkpoint_offer(prng, &m->checkpoint_offer);
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        checkpoint_request(prng, &m->checkpoint_request);
        break;
    case MESSAGE_BACKUP_REQUEST:
        backup_request(prng, &m->backup_request);
        break;
    case MESSAGE_BACKUP_OFFER:
        backup_offer(prng, &m->backup_offer);
        break;
    case MESSAGE_BACKUP_CHUNK:
    case MESSAGE_CHECKPOINT_CHUNK:
        checkpoint_chunk(prng, bytes_max, out);
        break;
    case MESSAGE_RESTORE_STATUS:
        m->restore_status = (struct restore_status){any(prng)};
        break;
    case MESSAGE_RESTORE:
        restore(prng, &m->restore);
        break;
    case MESSAGE_RESTORE_REPORT:
        restore_report(prng, &m->restore_report);
        break;
    case MESSAGE_RECOVERY:
        m->recovery = (struct recovery){any(prng), view(prng)};
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        m->recovery_response.nonce = any(prng);
        m->recovery_response.view_number = view(prng);
        m->recovery_response.log = log_of(prng, m->recovery_response.view_number);
        break;
    case MESSAGE_PART:
        part(prng, bytes_max, out);
        break;
    case MESSAGE_PARTS_MISSING:
        m->parts_missing = (struct parts_missing){
            .id = any(prng),
            .bitmap_size = (uint32_t)number(
                prng, 1, bytes_max < PARTS_BITMAP_MAX ? bytes_max : PARTS_BITMAP_MAX),
            .bitmap = out->bytes,
        };
        fill(prng, out->bytes, m->parts_missing.bitmap_size);
        break;
    }
}

static bool bytes_equal(const uint8_t *a, uint32_t a_size, const uint8_t *b, uint32_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static bool log_equal(const struct log_descriptor *a, const struct log_descriptor *b)
{
    return a->last_normal_view == b->last_normal_view && a->op_number == b->op_number &&
           checksum_equal(a->head_checksum, b->head_checksum) &&
           a->commit_number == b->commit_number &&
           checksum_equal(a->commit_checksum, b->commit_checksum);
}

static bool report_equal(const struct status_report *a, const struct status_report *b)
{
    uint8_t a_bytes[CONFIGURATION_ENCODED_MAX];
    uint8_t b_bytes[CONFIGURATION_ENCODED_MAX];
    const size_t a_size = configuration_encode(a->configuration, a_bytes);
    const size_t b_size = configuration_encode(b->configuration, b_bytes);
    if (!bytes_equal(a_bytes, (uint32_t)a_size, b_bytes, (uint32_t)b_size) ||
        a->counter_count != b->counter_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->counter_count; i++) {
        if (strcmp(a->counters[i].name, b->counters[i].name) != 0 ||
            a->counters[i].value != b->counters[i].value) {
            return false;
        }
    }
    return a->nonce == b->nonce && a->cluster_id == b->cluster_id &&
           a->replica_id == b->replica_id && a->view_number == b->view_number &&
           a->last_normal_view == b->last_normal_view && a->status == b->status &&
           a->acting_primary == b->acting_primary && a->log_full == b->log_full &&
           a->op_number == b->op_number && a->commit_number == b->commit_number &&
           a->executed_op == b->executed_op && a->snapshot_age_us == b->snapshot_age_us &&
           a->uptime_s == b->uptime_s && a->disk_bytes == b->disk_bytes &&
           a->durability == b->durability && a->state_digest.op == b->state_digest.op &&
           checksum_equal(a->state_digest.value, b->state_digest.value) &&
           a->silent_mask == b->silent_mask && a->bound_mask == b->bound_mask &&
           a->suspect_mask == b->suspect_mask && strcmp(a->version, b->version) == 0 &&
           strcmp(a->note, b->note) == 0;
}

static bool part_equal(const struct part *a, const struct part *b)
{
    return a->id == b->id && a->type == b->type && a->total_size == b->total_size &&
           a->part_size == b->part_size && a->index == b->index &&
           a->whole_checksum == b->whole_checksum &&
           bytes_equal(a->data, a->data_size, b->data, b->data_size);
}

static bool request_equal(const struct request *a, const struct request *b)
{
    return client_id_equal(a->client_id, b->client_id) && a->session == b->session &&
           a->request_number == b->request_number && a->kind == b->kind &&
           bytes_equal(a->operation, a->operation_size, b->operation, b->operation_size);
}

static bool read_equal(const struct read *a, const struct read *b)
{
    return client_id_equal(a->client_id, b->client_id) && a->nonce == b->nonce &&
           a->mode == b->mode && a->min_op == b->min_op &&
           bytes_equal(a->operation, a->operation_size, b->operation, b->operation_size);
}

static bool reply_equal(const struct reply *a, const struct reply *b)
{
    return a->view_number == b->view_number && a->op_number == b->op_number &&
           client_id_equal(a->client_id, b->client_id) && a->session == b->session &&
           a->request_number == b->request_number && a->status == b->status &&
           a->commit_number == b->commit_number &&
           bytes_equal(a->result, a->result_size, b->result, b->result_size);
}

static bool not_primary_equal(const struct not_primary *a, const struct not_primary *b)
{
    return client_id_equal(a->client_id, b->client_id) && a->session == b->session &&
           a->request_number == b->request_number && a->last_normal_view == b->last_normal_view &&
           a->status == b->status;
}

static bool busy_equal(const struct busy *a, const struct busy *b)
{
    return client_id_equal(a->client_id, b->client_id) && a->session == b->session &&
           a->request_number == b->request_number && a->view_number == b->view_number &&
           a->reason == b->reason;
}

static bool prepare_equal(const struct prepare *a, const struct prepare *b)
{
    return a->view_number == b->view_number && a->first_op == b->first_op &&
           checksum_equal(a->parent_checksum, b->parent_checksum) &&
           a->commit_number == b->commit_number &&
           checksum_equal(a->commit_checksum, b->commit_checksum) && a->round == b->round &&
           a->entry_count == b->entry_count &&
           bytes_equal(a->entries, a->entries_size, b->entries, b->entries_size);
}

static bool mark_equal(const struct checkpoint_mark *a, const struct checkpoint_mark *b)
{
    return a->op_number == b->op_number && checksum_equal(a->digest, b->digest);
}

static bool checkpoint_request_equal(const struct checkpoint_request *a,
                                     const struct checkpoint_request *b)
{
    return a->nonce == b->nonce && a->last_normal_view == b->last_normal_view &&
           checksum_equal(a->root, b->root) && a->list == b->list && a->first == b->first &&
           a->count == b->count && a->staged == b->staged;
}

static bool backup_request_equal(const struct backup_request *a, const struct backup_request *b)
{
    return a->nonce == b->nonce && a->least_op == b->least_op && checksum_equal(a->root, b->root) &&
           a->list == b->list && a->first == b->first && a->count == b->count;
}

static bool backup_offer_equal(const struct backup_offer *a, const struct backup_offer *b)
{
    return a->nonce == b->nonce && a->replica_id == b->replica_id && a->outcome == b->outcome &&
           a->executed_op == b->executed_op && checkpoint_id_equal(&a->id, &b->id);
}

static bool catchup_response_equal(const struct catchup_response *a,
                                   const struct catchup_response *b)
{
    return a->nonce == b->nonce && a->last_normal_view == b->last_normal_view &&
           a->first_op == b->first_op && checksum_equal(a->parent_checksum, b->parent_checksum) &&
           a->entry_count == b->entry_count &&
           bytes_equal(a->entries, a->entries_size, b->entries, b->entries_size);
}

static bool trace_report_equal(const struct trace_report *a, const struct trace_report *b)
{
    return a->nonce == b->nonce && a->replica_id == b->replica_id && a->lane == b->lane &&
           a->now_ns == b->now_ns && a->wall_ns == b->wall_ns && a->view_number == b->view_number &&
           a->status == b->status && a->oldest_event == b->oldest_event &&
           a->next_event == b->next_event && a->first_event == b->first_event &&
           bytes_equal(a->events, a->event_count * TRACE_EVENT_SIZE, b->events,
                       b->event_count * TRACE_EVENT_SIZE);
}

static bool restore_equal(const struct restore *a, const struct restore *b)
{
    return a->nonce == b->nonce && a->recovery_nonce == b->recovery_nonce &&
           a->view_number == b->view_number && a->last_normal_view == b->last_normal_view &&
           a->source == b->source && log_equal(&a->log, &b->log);
}

static bool restore_report_equal(const struct restore_report *a, const struct restore_report *b)
{
    return a->nonce == b->nonce && a->replica_id == b->replica_id && a->outcome == b->outcome &&
           a->status == b->status && a->acting_primary == b->acting_primary &&
           a->recovery_nonce == b->recovery_nonce && a->view_number == b->view_number &&
           log_equal(&a->log, &b->log) && a->synced_op == b->synced_op &&
           a->durability == b->durability;
}

static bool body_equal(const struct message *a, const struct message *b)
{
    switch (a->type) {
    case MESSAGE_NONE:
        return true;
    case MESSAGE_REQUEST:
        return request_equal(&a->request, &b->request);
    case MESSAGE_READ:
        return read_equal(&a->read, &b->read);
    case MESSAGE_STATUS_REQUEST:
        return a->status_request.nonce == b->status_request.nonce &&
               a->status_request.padding_size == b->status_request.padding_size;
    case MESSAGE_LOG_LEVEL_REQUEST:
        return a->log_level_request.nonce == b->log_level_request.nonce &&
               strcmp(a->log_level_request.levels, b->log_level_request.levels) == 0;
    case MESSAGE_REPLY:
        return reply_equal(&a->reply, &b->reply);
    case MESSAGE_NOT_PRIMARY:
        return not_primary_equal(&a->not_primary, &b->not_primary);
    case MESSAGE_BUSY:
        return busy_equal(&a->busy, &b->busy);
    case MESSAGE_CHALLENGE:
        return a->challenge.token == b->challenge.token;
    case MESSAGE_REFUSED:
        return a->refused.reason == b->refused.reason && a->refused.own == b->refused.own &&
               a->refused.yours == b->refused.yours;
    case MESSAGE_STATUS:
        return report_equal(a->status, b->status);
    case MESSAGE_TRACE_REQUEST:
        return a->trace_request.nonce == b->trace_request.nonce &&
               a->trace_request.lane == b->trace_request.lane &&
               a->trace_request.events_max == b->trace_request.events_max &&
               a->trace_request.from_event == b->trace_request.from_event;
    case MESSAGE_TRACE_REPORT:
        return trace_report_equal(&a->trace_report, &b->trace_report);
    case MESSAGE_LOG_LEVEL_REPORT:
        return a->log_level_report.nonce == b->log_level_report.nonce &&
               a->log_level_report.replica_id == b->log_level_report.replica_id &&
               a->log_level_report.outcome == b->log_level_report.outcome &&
               strcmp(a->log_level_report.levels, b->log_level_report.levels) == 0;
    case MESSAGE_PREPARE:
        return prepare_equal(&a->prepare, &b->prepare);
    case MESSAGE_PREPARE_OK:
        return a->prepare_ok.view_number == b->prepare_ok.view_number &&
               a->prepare_ok.op_number == b->prepare_ok.op_number &&
               checksum_equal(a->prepare_ok.checksum, b->prepare_ok.checksum) &&
               a->prepare_ok.round == b->prepare_ok.round &&
               mark_equal(&a->prepare_ok.checkpoint, &b->prepare_ok.checkpoint);
    case MESSAGE_COMMIT:
        return a->commit.view_number == b->commit.view_number &&
               a->commit.commit_number == b->commit.commit_number &&
               checksum_equal(a->commit.commit_checksum, b->commit.commit_checksum) &&
               a->commit.op_number == b->commit.op_number && a->commit.round == b->commit.round &&
               mark_equal(&a->commit.checkpoint, &b->commit.checkpoint);
    case MESSAGE_GOODBYE:
        return a->goodbye.view_number == b->goodbye.view_number;
    case MESSAGE_START_VIEW_CHANGE:
        return a->start_view_change.view_number == b->start_view_change.view_number;
    case MESSAGE_DO_VIEW_CHANGE:
        return a->do_view_change.view_number == b->do_view_change.view_number &&
               a->do_view_change.synced_op == b->do_view_change.synced_op &&
               a->do_view_change.primary_identity == b->do_view_change.primary_identity &&
               a->do_view_change.faulty_from == b->do_view_change.faulty_from &&
               a->do_view_change.base_op == b->do_view_change.base_op &&
               checksum_equal(a->do_view_change.held_checksum, b->do_view_change.held_checksum) &&
               log_equal(&a->do_view_change.log, &b->do_view_change.log);
    case MESSAGE_START_VIEW:
        return a->start_view.view_number == b->start_view.view_number &&
               log_equal(&a->start_view.log, &b->start_view.log);
    case MESSAGE_GET_VIEW:
        return a->get_view.view_number == b->get_view.view_number;
    case MESSAGE_CATCHUP_REQUEST:
        return a->catchup_request.nonce == b->catchup_request.nonce &&
               a->catchup_request.last_normal_view == b->catchup_request.last_normal_view &&
               a->catchup_request.from_op == b->catchup_request.from_op &&
               a->catchup_request.to_op == b->catchup_request.to_op &&
               a->catchup_request.synced_op == b->catchup_request.synced_op &&
               a->catchup_request.restores == b->catchup_request.restores;
    case MESSAGE_CATCHUP_RESPONSE:
        return catchup_response_equal(&a->catchup_response, &b->catchup_response);
    case MESSAGE_CHECKPOINT_OFFER:
        return a->checkpoint_offer.nonce == b->checkpoint_offer.nonce &&
               a->checkpoint_offer.view_number == b->checkpoint_offer.view_number &&
               checkpoint_id_equal(&a->checkpoint_offer.id, &b->checkpoint_offer.id);
    case MESSAGE_CHECKPOINT_REQUEST:
        return checkpoint_request_equal(&a->checkpoint_request, &b->checkpoint_request);
    case MESSAGE_BACKUP_REQUEST:
        return backup_request_equal(&a->backup_request, &b->backup_request);
    case MESSAGE_BACKUP_OFFER:
        return backup_offer_equal(&a->backup_offer, &b->backup_offer);
    case MESSAGE_BACKUP_CHUNK:
    case MESSAGE_CHECKPOINT_CHUNK:
        return a->checkpoint_chunk.nonce == b->checkpoint_chunk.nonce &&
               checksum_equal(a->checkpoint_chunk.root, b->checkpoint_chunk.root) &&
               a->checkpoint_chunk.list == b->checkpoint_chunk.list &&
               a->checkpoint_chunk.index == b->checkpoint_chunk.index &&
               bytes_equal(a->checkpoint_chunk.bytes, a->checkpoint_chunk.size,
                           b->checkpoint_chunk.bytes, b->checkpoint_chunk.size);
    case MESSAGE_RESTORE_STATUS:
        return a->restore_status.nonce == b->restore_status.nonce;
    case MESSAGE_RESTORE:
        return restore_equal(&a->restore, &b->restore);
    case MESSAGE_RESTORE_REPORT:
        return restore_report_equal(&a->restore_report, &b->restore_report);
    case MESSAGE_RECOVERY:
        return a->recovery.nonce == b->recovery.nonce &&
               a->recovery.view_number == b->recovery.view_number;
    case MESSAGE_RECOVERY_RESPONSE:
        return a->recovery_response.nonce == b->recovery_response.nonce &&
               a->recovery_response.view_number == b->recovery_response.view_number &&
               log_equal(&a->recovery_response.log, &b->recovery_response.log);
    case MESSAGE_PART:
        return part_equal(&a->part, &b->part);
    case MESSAGE_PARTS_MISSING:
        return a->parts_missing.id == b->parts_missing.id &&
               bytes_equal(a->parts_missing.bitmap, a->parts_missing.bitmap_size,
                           b->parts_missing.bitmap, b->parts_missing.bitmap_size);
    }
    return false;
}

bool message_equal(const struct message *a, const struct message *b)
{
    return a->type == b->type && a->from == b->from && a->incarnation == b->incarnation &&
           a->identity == b->identity && a->configuration_hash == b->configuration_hash &&
           net_address_equal(&a->address, &b->address) && body_equal(a, b);
}
