/* SPDX-License-Identifier: Apache-2.0 */
/* One core, and whatever can reach it: messages that message_validate() passes, completions, ticks,
 * in any order, beginning in each status. Messages are made of small numbers and of what the core
 * has, for almost nothing else gets past its first glance; or they are bytes off the wire. What the
 * core says in turn has to be valid, and its INVARIANTs hold. */
#include "common/wire/codec.h"
#include "server/vr/replica.h"
#include "test/fuzz/targets/target.h"

enum {
    NODES = 3,
    SELF = 1, /* member index: the primary of view 1 */
    LOG_SIZE = 256 * 1024,
    ENTRIES_MAX = 3,
    EVENTS_MAX = 64,
};

#define MS UINT64_C(1000000)

static struct {
    struct replica *replica;
    void *log_memory[2];
    struct configuration configuration;
    uint64_t now_ns;
    struct vr_outputs outputs;
    bool state_waits;
    uint64_t state_number;
    bool log_waits;
    uint64_t log_generation;
    uint64_t log_op;
    uint64_t execute_to;
    bool stage_waits;
    struct checksum staged_root;
    bool staged_list;
    uint64_t staged_index;
    struct checkpoint_id installing;
    uint8_t entries[ENTRIES_MAX * (ENTRY_HEADER_SIZE + 8)];
    struct arena arena;
} f;

static uint64_t view(uint32_t within_epoch)
{
    return view_make(EPOCH_FIRST, within_epoch);
}

static struct vr_time now(void)
{
    return (struct vr_time){f.now_ns, f.now_ns};
}

/* ---- the world around the core ---- */

static void carry_out(void)
{
    for (uint32_t i = 0; i < f.outputs.count; i++) {
        const struct vr_output *output = &f.outputs.items[i];
        switch (output->kind) {
        case VR_OUT_SEND_PEERS:
        case VR_OUT_SEND_CLIENT:
            FUZZ_EXPECT(message_validate(&output->send.message));
            break;
        case VR_OUT_WRITE_STATE:
            FUZZ_EXPECT(!f.state_waits);
            f.state_waits = true;
            f.state_number = output->write_state.number;
            break;
        case VR_OUT_WRITE_LOG:
            f.log_waits = true;
            f.log_generation = output->write_log.generation;
            f.log_op = output->write_log.last_op;
            break;
        case VR_OUT_EXECUTE:
            f.execute_to = output->execute.last_op;
            break;
        case VR_OUT_STAGE_CHUNK:
            f.stage_waits = true;
            f.staged_root = output->stage_chunk.id.root;
            f.staged_list = output->stage_chunk.list;
            f.staged_index = output->stage_chunk.index;
            break;
        case VR_OUT_INSTALL_CHECKPOINT:
            f.installing = output->install_checkpoint;
            break;
        case VR_OUT_LOOKUP:
        case VR_OUT_READ:
        case VR_OUT_DIVERGED:
        case VR_OUT_TAKE_CHECKPOINT:
        case VR_OUT_DROP_LOG:
        case VR_OUT_SERVE_CHECKPOINT:
            break;
        }
    }
}

static void step(struct vr_event *event)
{
    event->time = now();
    vr_step(f.replica, event, &f.outputs);
    carry_out();
}

static void flush(void)
{
    while (vr_flush(f.replica, now(), &f.outputs)) {
        carry_out();
    }
    carry_out();
}

static void complete_state(void)
{
    if (f.state_waits) {
        f.state_waits = false;
        step(&(struct vr_event){.kind = VR_EVENT_STATE_DURABLE, .state_durable = {f.state_number}});
    }
}

static void complete_log(void)
{
    if (f.log_waits) {
        f.log_waits = false;
        step(&(struct vr_event){.kind = VR_EVENT_LOG_DURABLE,
                                .log_durable = {f.log_generation, f.log_op}});
    }
}

static void complete_execution(void)
{
    if (f.execute_to > f.replica->executed_op) {
        step(&(struct vr_event){.kind = VR_EVENT_EXECUTED, .executed = {f.execute_to}});
    }
}

static void complete_chunk(bool ok)
{
    if (f.stage_waits) {
        f.stage_waits = false;
        step(&(struct vr_event){.kind = VR_EVENT_CHUNK_STAGED,
                                .chunk_staged = {.root = f.staged_root,
                                                 .list = f.staged_list,
                                                 .index = f.staged_index,
                                                 .ok = ok,
                                                 .missing = f.staged_index + 1}});
    }
}

static void complete_install(void)
{
    if (f.installing.op_number > 0) {
        complete_execution();
        struct vr_event event = {.kind = VR_EVENT_CHECKPOINT_INSTALLED,
                                 .installed = {.id = f.installing, .timestamp = 1}};
        f.installing.op_number = 0;
        step(&event);
    }
}

/* ---- messages ---- */

static uint64_t some_view(struct input *input)
{
    return view(input_below(input, 5));
}

static uint64_t some_op(struct input *input)
{
    return input_below(input, 7);
}

/* What the core has there, if it has something; else one of a few. */
static struct checksum checksum_at(struct input *input, uint64_t op_number)
{
    if (input_below(input, 8) != 0 && vr_log_has_checksum(&f.replica->log, op_number)) {
        return vr_log_checksum(&f.replica->log, op_number);
    }
    return (struct checksum){op_number, input_below(input, 2)};
}

static struct log_descriptor some_log(struct input *input)
{
    struct log_descriptor log = {.last_normal_view = some_view(input), .op_number = some_op(input)};
    log.commit_number = input_below(input, (uint32_t)log.op_number + 1);
    log.head_checksum = checksum_at(input, log.op_number);
    log.commit_checksum = log.commit_number == log.op_number
                              ? log.head_checksum
                              : checksum_at(input, log.commit_number);
    return log;
}

/* Entries from `first_op` on; returns their size. */
static uint32_t some_entries(struct input *input, uint64_t first_op, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct entry entry = {
            .op_number = first_op + i,
            .view_number = view(input_below(input, 3)),
            .timestamp = 1 + first_op + i,
            .client_id = {1, 1 + input_below(input, 2)},
            .session = 1,
            .request_number = 1 + input_below(input, 3),
            .kind = ENTRY_OPERATION,
            .body = (const uint8_t *)"x",
            .body_size = 1,
        };
        size += entry_encode(&entry, f.entries + size);
    }
    return (uint32_t)size;
}

static struct prepare some_prepare(struct input *input)
{
    struct prepare p = {
        .view_number = some_view(input),
        .first_op = 1 + some_op(input),
        .entry_count = 1 + input_below(input, ENTRIES_MAX),
        .round = input_below(input, 4),
        .entries = f.entries,
    };
    p.parent_checksum = checksum_at(input, p.first_op - 1);
    p.commit_number = input_below(input, (uint32_t)(p.first_op + p.entry_count));
    p.commit_checksum = checksum_at(input, p.commit_number);
    p.entries_size = some_entries(input, p.first_op, p.entry_count);
    return p;
}

static struct checkpoint_id some_checkpoint(struct input *input)
{
    const uint64_t op = 1 + some_op(input);
    return (struct checkpoint_id){
        .op_number = op,
        .view_number = some_view(input),
        .log = checksum_at(input, op),
        .digest = {op, 1},
        .size = 1 + input_below(input, 3) * UINT64_C(100000),
        .root = {op, 2 + input_below(input, 2)},
    };
}

static void fill_in_sync(struct input *input, struct message *m)
{
    /* The core's own questions are answered, or others. */
    const uint64_t nonce = input_below(input, 8) != 0 ? f.replica->sync.nonce : 3;
    if (m->type == MESSAGE_CATCHUP_REQUEST) {
        m->catchup_request = (struct catchup_request){
            .nonce = 1 + input_below(input, 3),
            .last_normal_view = some_view(input),
            .from_op = 1 + some_op(input),
            .synced_op = some_op(input),
            .restores = input_below(input, 2) == 1,
        };
        m->catchup_request.to_op = m->catchup_request.from_op + input_below(input, 4);
    } else if (m->type == MESSAGE_CATCHUP_RESPONSE) {
        m->catchup_response = (struct catchup_response){
            .nonce = nonce,
            .last_normal_view = some_view(input),
            .first_op = 1 + some_op(input),
            .entry_count = input_below(input, ENTRIES_MAX + 1),
            .entries = f.entries,
        };
        struct catchup_response *response = &m->catchup_response;
        response->parent_checksum = checksum_at(input, response->first_op - 1);
        response->entries_size = some_entries(input, response->first_op, response->entry_count);
    } else if (m->type == MESSAGE_CHECKPOINT_OFFER) {
        m->checkpoint_offer = (struct checkpoint_offer){
            .nonce = nonce, .view_number = some_view(input), .id = some_checkpoint(input)};
    } else if (m->type == MESSAGE_CHECKPOINT_REQUEST) {
        m->checkpoint_request = (struct checkpoint_request){
            .nonce = 1,
            .last_normal_view = some_view(input),
            .root = some_checkpoint(input).root,
            .list = input_below(input, 2) == 1,
            .first = input_below(input, 3),
            .count = 1 + input_below(input, CHUNK_WINDOW_MAX),
        };
    } else {
        static const uint8_t chunk[CHECKPOINT_CHUNK_SIZE];
        const struct transfer *transfer = &f.replica->transfer;
        m->checkpoint_chunk = (struct checkpoint_chunk){
            .nonce = nonce,
            .root = transfer->id.root,
            .list = input_below(input, 2) == 1,
            .index = input_below(input, 4),
            .bytes = chunk,
        };
        const uint64_t size = m->checkpoint_chunk.list
                                  ? CHUNK_CHECKSUM_SIZE * checkpoint_chunk_count(transfer->id.size)
                                  : transfer->id.size;
        m->checkpoint_chunk.size = input_below(input, 8) != 0 && size > 0
                                       ? checkpoint_chunk_size(size, m->checkpoint_chunk.index)
                                       : 1 + (uint32_t)input_byte(input);
    }
}

static void fill_in_view_change(struct input *input, struct message *m)
{
    if (m->type == MESSAGE_START_VIEW_CHANGE) {
        m->start_view_change.view_number = some_view(input);
    } else if (m->type == MESSAGE_DO_VIEW_CHANGE) {
        m->do_view_change = (struct do_view_change){
            .view_number = some_view(input),
            .log = some_log(input),
            .synced_op = some_op(input),
            .primary_identity = 1000 + SELF,
            .faulty_from = input_below(input, 4) == 0 ? 1 + some_op(input) : 0,
            .base_op = input_below(input, 4) == 0 ? some_op(input) : 0,
        };
        if (m->do_view_change.faulty_from != 0) {
            m->do_view_change.held_checksum = checksum_at(input, m->do_view_change.faulty_from - 1);
        }
    } else if (m->type == MESSAGE_START_VIEW) {
        m->start_view.log = some_log(input);
        m->start_view.view_number = m->start_view.log.last_normal_view;
    } else {
        m->get_view.view_number = some_view(input);
    }
}

static void fill_in(struct input *input, struct message *m)
{
    switch (m->type) {
    case MESSAGE_PREPARE:
        m->prepare = some_prepare(input);
        break;
    case MESSAGE_PREPARE_OK:
        m->prepare_ok = (struct prepare_ok){.view_number = some_view(input),
                                            .op_number = some_op(input),
                                            .round = input_below(input, 4)};
        m->prepare_ok.checksum = checksum_at(input, m->prepare_ok.op_number);
        break;
    case MESSAGE_COMMIT:
        m->commit = (struct commit){.view_number = some_view(input),
                                    .commit_number = some_op(input),
                                    .round = input_below(input, 4)};
        m->commit.op_number = m->commit.commit_number + input_below(input, 3);
        m->commit.commit_checksum = checksum_at(input, m->commit.commit_number);
        break;
    case MESSAGE_GOODBYE:
        m->goodbye.view_number = some_view(input);
        break;
    case MESSAGE_RECOVERY:
        m->recovery = (struct recovery){1 + input_below(input, 3), some_view(input)};
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        m->recovery_response.nonce = f.replica->options.nonce;
        m->recovery_response.log = some_log(input);
        m->recovery_response.view_number = m->recovery_response.log.last_normal_view;
        break;
    case MESSAGE_RESTORE:
        m->restore = (struct restore){.nonce = 1,
                                      .recovery_nonce = f.replica->options.nonce,
                                      .view_number = some_view(input),
                                      .source = 1 + input_below(input, NODES),
                                      .log = some_log(input)};
        m->restore.last_normal_view = m->restore.log.last_normal_view;
        break;
    case MESSAGE_REQUEST:
        m->from = REPLICA_NONE;
        m->address = (struct net_address){.port = 9};
        m->request = (struct request){.client_id = {1, 1 + input_below(input, 2)},
                                      .session = 1,
                                      .request_number = 1 + input_below(input, 3),
                                      .kind = ENTRY_OPERATION,
                                      .operation_size = 1,
                                      .operation = (const uint8_t *)"x"};
        break;
    case MESSAGE_START_VIEW_CHANGE:
    case MESSAGE_DO_VIEW_CHANGE:
    case MESSAGE_START_VIEW:
    case MESSAGE_GET_VIEW:
        fill_in_view_change(input, m);
        break;
    default:
        fill_in_sync(input, m);
        break;
    }
}

static const enum message_type types[] = {
    MESSAGE_PREPARE,
    MESSAGE_PREPARE_OK,
    MESSAGE_COMMIT,
    MESSAGE_GOODBYE,
    MESSAGE_RECOVERY,
    MESSAGE_RECOVERY_RESPONSE,
    MESSAGE_RESTORE,
    MESSAGE_REQUEST,
    MESSAGE_START_VIEW_CHANGE,
    MESSAGE_DO_VIEW_CHANGE,
    MESSAGE_START_VIEW,
    MESSAGE_GET_VIEW,
    MESSAGE_CATCHUP_REQUEST,
    MESSAGE_CATCHUP_RESPONSE,
    MESSAGE_CHECKPOINT_OFFER,
    MESSAGE_CHECKPOINT_CHUNK,
    MESSAGE_CHECKPOINT_REQUEST,
};

static void receive(struct message *m)
{
    if (message_validate(m)) {
        struct vr_event event = {.kind = VR_EVENT_MESSAGE,
                                 .message = {.message = m, .received_ns = f.now_ns}};
        step(&event);
    }
}

static struct message envelope(struct input *input)
{
    const uint32_t peer = input_below(input, 2) == 0 ? 0 : 2;
    return (struct message){
        .from = peer + 1,
        .incarnation = 1 + (input_below(input, 16) == 0),
        .identity = 1000 + peer,
        .configuration_hash = configuration_hash(&f.configuration),
    };
}

static void receive_made(struct input *input)
{
    struct message m = envelope(input);
    m.type = types[input_below(input, sizeof types / sizeof types[0])];
    fill_in(input, &m);
    receive(&m);
}

/* The rest of the input is a frame's body. */
static void receive_bytes(struct input *input)
{
    struct message m = envelope(input);
    const uint32_t type = (uint32_t)types[input_below(input, sizeof types / sizeof types[0])];
    arena_reset(&f.arena);
    const size_t size = input->size < 512 ? input->size : 512;
    if (codec_decode(type, input->bytes, size, &f.arena, &m) == WIRE_OK) {
        receive(&m);
    }
    input->size = 0;
}

/* ---- beginning ---- */

static void allocate(void)
{
    f.replica = malloc(vr_memory_size());
    f.log_memory[0] = malloc(LOG_SIZE);
    f.log_memory[1] = malloc(LOG_SIZE);
    const size_t size = wire_arena_size(DATAGRAM_SIZE_MAX);
    arena_init(&f.arena, malloc(size), size);
    f.configuration = (struct configuration){
        .cluster_id = 0x5eed,
        .epoch = EPOCH_FIRST,
        .member_count = NODES,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < NODES; i++) {
        struct member *member = &f.configuration.members[i];
        *member = (struct member){
            .replica_id = i + 1, .role = MEMBER_ACTIVE, .port = 7000, .peer_port = 7100};
        memcpy(member->host, "10.0.0.1", 9);
        member->host[7] = (char)('1' + i);
    }
}

/* A log of up to three entries, as a start finds it. */
static struct vr_log log_of(uint32_t count)
{
    struct vr_log log;
    vr_log_init(&log, f.log_memory[0], LOG_SIZE, f.configuration.cluster_id, 0,
                entry_chain_start(f.configuration.cluster_id));
    for (uint32_t i = 1; i <= count; i++) {
        const struct entry entry = {.op_number = i,
                                    .view_number = view(0),
                                    .timestamp = i,
                                    .client_id = {1, 1},
                                    .session = 1,
                                    .request_number = i,
                                    .kind = ENTRY_OPERATION,
                                    .body = (const uint8_t *)"x",
                                    .body_size = 1};
        vr_log_append(&log, &entry);
    }
    return log;
}

static void begin(struct input *input)
{
    const uint32_t status = input_below(input, 4);
    const struct vr_log log = log_of(input_below(input, 4));
    struct vr_options options;
    vr_options_default(&options);
    options.configuration = f.configuration;
    options.replica_id = SELF + 1;
    options.incarnation = 2;
    options.identity = 1000 + SELF;
    options.nonce = 17;
    options.seed = 1;
    options.durability = DURABILITY_SYNC;
    options.start = status == 3 ? VR_START_RECOVER : VR_START_RESUME;
    options.log = &log;
    options.commit_number = input_below(input, (uint32_t)log.op_number + 1);
    options.commit_known = options.commit_number;
    /* A backup in view 0; view_change as the primary to be, or not; recovering. */
    options.durable = (struct vr_durable_state){
        .view_number = view(status == 3 ? 0 : status),
        .last_normal_view = view(0),
        .log_valid = status != 3,
        .identities = {1000, 1001, 1002},
    };
    options.log_memory = f.log_memory[0];
    options.staging_memory = f.log_memory[1];
    options.log_memory_size = LOG_SIZE;
    f.now_ns = 1000 * MS;
    f.state_waits = false;
    f.log_waits = false;
    f.stage_waits = false;
    f.installing.op_number = 0;
    f.execute_to = 0;
    (void)vr_init(f.replica, &options, now());
    flush();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    if (f.replica == NULL) {
        allocate();
    }
    begin(&input);
    for (uint32_t i = 0; i < EVENTS_MAX && input.size > 0; i++) {
        const uint8_t kind = input_byte(&input);
        switch (kind % 16) {
        case 0:
            f.now_ns += input_byte(&input) * MS;
            step(&(struct vr_event){.kind = VR_EVENT_TICK});
            break;
        case 1:
            complete_state();
            break;
        case 2:
            complete_log();
            break;
        case 3:
            complete_execution();
            break;
        case 4:
            complete_chunk((kind & 16) == 0);
            break;
        case 5:
            complete_install();
            break;
        case 6:
            receive_bytes(&input);
            break;
        case 7:
            flush();
            complete_state();
            complete_log();
            complete_execution();
            break;
        default:
            receive_made(&input);
            if ((kind & 16) == 0) {
                flush();
            }
            break;
        }
    }
    flush();
    return 0;
}
