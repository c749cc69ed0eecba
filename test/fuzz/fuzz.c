/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz - throws bytes at the ports of live replicas, from an address that is nobody's.
 *
 *     fuzz [--seconds N] [--rate PER_SECOND] [--seed N] [--cluster-id HEX]
 *          [--client-port P]... [--peer-port P]...           on 127.0.0.1
 *
 * Each datagram is one of:
 *     noise     random bytes of random length, 0 and the largest included
 *     dressed   a right header - magic, version, cluster id, checksum - around random frames
 *     message   a valid message of any type, made by common/wire, with extreme and ordinary numbers
 *     mutated   such a message with some bytes changed, its checksum wrong
 *     repaired  the same with its checksum right again
 *
 * A valid Request at a client port is what clients send, and would be executed; those alone are
 * left out. test/fuzz/run.py watches the replicas meanwhile. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/trace_event.h"
#include "common/os/clock.h"
#include "common/os/datagram_socket.h"
#include "common/wire/sender.h"
#include "test/support/mutate.h"

enum {
    PORTS_MAX = 2 * REPLICAS_MAX,
    PERSONAS = 4, /* a client, and three replicas */
    BURST = 16,   /* datagrams between two looks at the clock */
    NOISE_MAX = 2048,
    OPERATION_MAX = 256,
    ENTRIES_MAX = 4,
    EXIT_USAGE = 2,
    EXIT_SYSTEM = 74,
};

enum kind { NOISE, DRESSED, MESSAGE, MUTATED, REPAIRED, KIND_COUNT };
static const char *const kind_names[KIND_COUNT] = {"noise", "dressed", "message", "mutated",
                                                   "repaired"};

struct fuzz {
    struct prng prng;
    uint64_t cluster_id;
    uint16_t ports[PORTS_MAX];
    bool port_is_peer[PORTS_MAX];
    size_t port_count;
    struct wire_sender *personas[PERSONAS];
    uint8_t datagram[DATAGRAM_SIZE_MAX]; /* the one being made */
    size_t size;
    struct arena arena; /* for looking at what was made */
    uint64_t sent[KIND_COUNT];
};

/* --- random, but with a liking for the edges -------------------------------------------------- */

static uint64_t some_number(struct fuzz *fuzz)
{
    switch (prng_below(&fuzz->prng, 8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - prng_below(&fuzz->prng, 2);
    case 2:
        return prng_next(&fuzz->prng);
    case 3:
        return UINT64_C(1) << prng_below(&fuzz->prng, 64);
    default:
        return prng_between(&fuzz->prng, 1, 2000);
    }
}

static uint64_t some_view(struct fuzz *fuzz)
{
    return prng_chance(&fuzz->prng, 1, 4) ? some_number(fuzz)
                                          : view_make(EPOCH_FIRST, prng_below(&fuzz->prng, 100));
}

static struct checksum some_checksum(struct fuzz *fuzz)
{
    return (struct checksum){prng_next(&fuzz->prng), prng_next(&fuzz->prng)};
}

static struct checkpoint_mark some_mark(struct fuzz *fuzz)
{
    return (struct checkpoint_mark){some_number(fuzz), some_checksum(fuzz)};
}

static struct log_descriptor some_log(struct fuzz *fuzz)
{
    return (struct log_descriptor){
        .last_normal_view = some_view(fuzz),
        .op_number = some_number(fuzz),
        .head_checksum = some_checksum(fuzz),
        .commit_number = some_number(fuzz),
        .commit_checksum = some_checksum(fuzz),
    };
}

static void some_bytes(struct fuzz *fuzz, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)prng_next(&fuzz->prng);
    }
}

/* Entries from first_op on, in their byte form. */
static uint32_t some_entries(struct fuzz *fuzz, uint64_t first_op, uint64_t view_number,
                             uint8_t *bytes, uint32_t *count)
{
    size_t used = 0;
    *count = (uint32_t)prng_between(&fuzz->prng, 1, ENTRIES_MAX);
    for (uint32_t i = 0; i < *count; i++) {
        uint8_t body[OPERATION_MAX];
        const struct entry entry = {
            .op_number = first_op + i,
            .view_number = view_number,
            .timestamp = UINT64_C(1700000000000000000) + i,
            .client_id = {prng_next(&fuzz->prng), prng_next(&fuzz->prng)},
            .session = prng_between(&fuzz->prng, 1, 1000),
            .request_number = prng_between(&fuzz->prng, 1, 1000),
            .kind = ENTRY_OPERATION,
            .body_size = (uint32_t)prng_between(&fuzz->prng, 1, sizeof body),
            .body = body,
        };
        some_bytes(fuzz, body, entry.body_size);
        used += entry_encode(&entry, bytes + used);
    }
    return (uint32_t)used;
}

/* --- messages --------------------------------------------------------------------------------- */

/* Fills in a message of some type, valid or not. `bytes` is what it borrows from. */
static void some_message(struct fuzz *fuzz, struct message *m, uint8_t *bytes)
{
    static const enum message_type types[] = {
        MESSAGE_REQUEST,
        MESSAGE_STATUS_REQUEST,
        MESSAGE_TRACE_REQUEST,
        MESSAGE_TRACE_REPORT,
        MESSAGE_LOG_LEVEL_REQUEST,
        MESSAGE_RESTORE_STATUS,
        MESSAGE_RESTORE,
        MESSAGE_READ,
        MESSAGE_BACKUP_REQUEST,
        MESSAGE_BACKUP_OFFER,
        MESSAGE_BACKUP_CHUNK,
        MESSAGE_REPLY,
        MESSAGE_NOT_PRIMARY,
        MESSAGE_BUSY,
        MESSAGE_CHALLENGE,
        MESSAGE_REFUSED,
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
    *m = (struct message){.type = types[prng_below(&fuzz->prng, sizeof types / sizeof types[0])]};
    switch (m->type) {
    case MESSAGE_REQUEST:
        m->request = (struct request){
            .client_id = {some_number(fuzz), some_number(fuzz)},
            .session = some_number(fuzz),
            .request_number = some_number(fuzz),
            .kind = (enum entry_kind)prng_between(&fuzz->prng, ENTRY_OPERATION, ENTRY_UNREGISTER),
            .operation_size = (uint32_t)prng_below(&fuzz->prng, OPERATION_MAX),
            .operation = bytes,
        };
        break;
    case MESSAGE_READ:
        m->read = (struct read){
            .client_id = {some_number(fuzz), some_number(fuzz)},
            .nonce = some_number(fuzz),
            .mode = (enum read_mode)prng_between(&fuzz->prng, READ_LINEARIZABLE, READ_STALE),
            .min_op = some_number(fuzz),
            .operation_size = (uint32_t)prng_below(&fuzz->prng, OPERATION_MAX),
            .operation = bytes,
        };
        break;
    case MESSAGE_STATUS_REQUEST:
        m->status_request = (struct status_request){
            some_number(fuzz), (uint32_t)prng_below(&fuzz->prng, DATAGRAM_SIZE_DEFAULT)};
        break;
    case MESSAGE_TRACE_REQUEST:
        m->trace_request = (struct trace_request){
            .nonce = some_number(fuzz),
            .lane = (uint32_t)prng_below(&fuzz->prng, TRACE_LANE_COUNT + 1),
            .events_max = (uint32_t)prng_below(&fuzz->prng, TRACE_EVENTS_MAX + 2),
            .from_event = some_number(fuzz),
        };
        break;
    case MESSAGE_TRACE_REPORT:
        m->trace_report = (struct trace_report){
            .nonce = some_number(fuzz),
            .view_number = some_view(fuzz),
            .status = (enum vr_status)prng_between(&fuzz->prng, 1, 4),
            .next_event = some_number(fuzz),
            .event_count = (uint32_t)prng_below(&fuzz->prng, OPERATION_MAX / TRACE_EVENT_SIZE),
            .events = bytes,
        };
        break;
    case MESSAGE_LOG_LEVEL_REQUEST:
        m->log_level_request = (struct log_level_request){
            some_number(fuzz), prng_chance(&fuzz->prng, 1, 2) ? "info,network=info" : "loud"};
        break;
    case MESSAGE_REPLY:
        m->reply = (struct reply){
            .view_number = some_view(fuzz),
            .op_number = some_number(fuzz),
            .client_id = {some_number(fuzz), some_number(fuzz)},
            .session = some_number(fuzz),
            .request_number = some_number(fuzz),
            .status = REPLY_OK,
            .result_size = (uint32_t)prng_below(&fuzz->prng, OPERATION_MAX),
            .result = bytes,
        };
        break;
    case MESSAGE_NOT_PRIMARY:
        m->not_primary = (struct not_primary){
            .client_id = {some_number(fuzz), some_number(fuzz)},
            .session = some_number(fuzz),
            .request_number = some_number(fuzz),
            .last_normal_view = some_view(fuzz),
            .status = (enum vr_status)prng_between(&fuzz->prng, 1, 4),
        };
        break;
    case MESSAGE_BUSY:
        m->busy = (struct busy){
            .client_id = {some_number(fuzz), some_number(fuzz)},
            .session = some_number(fuzz),
            .request_number = some_number(fuzz),
            .view_number = some_view(fuzz),
            .reason = (enum busy_reason)prng_between(&fuzz->prng, 1, 5),
        };
        break;
    case MESSAGE_CHALLENGE:
        m->challenge.token = some_number(fuzz);
        break;
    case MESSAGE_REFUSED:
        m->refused = (struct refused){(enum refused_reason)prng_between(&fuzz->prng, 1, 5),
                                      some_number(fuzz), some_number(fuzz)};
        break;
    case MESSAGE_PREPARE:
        m->prepare = (struct prepare){
            .view_number = some_view(fuzz),
            .first_op = some_number(fuzz),
            .parent_checksum = some_checksum(fuzz),
            .commit_number = some_number(fuzz),
            .commit_checksum = some_checksum(fuzz),
            .round = some_number(fuzz),
            .entries = bytes,
        };
        m->prepare.entries_size = some_entries(fuzz, m->prepare.first_op, m->prepare.view_number,
                                               bytes, &m->prepare.entry_count);
        break;
    case MESSAGE_PREPARE_OK:
        m->prepare_ok = (struct prepare_ok){some_view(fuzz), some_number(fuzz), some_checksum(fuzz),
                                            some_number(fuzz), some_mark(fuzz)};
        break;
    case MESSAGE_COMMIT:
        m->commit = (struct commit){some_view(fuzz),   some_number(fuzz), some_checksum(fuzz),
                                    some_number(fuzz), some_number(fuzz), some_mark(fuzz)};
        break;
    case MESSAGE_GOODBYE:
        m->goodbye.view_number = some_view(fuzz);
        break;
    case MESSAGE_START_VIEW_CHANGE:
        m->start_view_change.view_number = some_view(fuzz);
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        m->do_view_change = (struct do_view_change){
            some_view(fuzz),   some_log(fuzz),      some_number(fuzz), some_number(fuzz),
            some_number(fuzz), some_checksum(fuzz), some_number(fuzz)};
        break;
    case MESSAGE_START_VIEW:
        m->start_view = (struct start_view){some_view(fuzz), some_log(fuzz)};
        m->start_view.log.last_normal_view = m->start_view.view_number;
        break;
    case MESSAGE_GET_VIEW:
        m->get_view.view_number = some_view(fuzz);
        break;
    case MESSAGE_CATCHUP_REQUEST:
        m->catchup_request = (struct catchup_request){
            some_number(fuzz), some_view(fuzz),   some_number(fuzz),
            some_number(fuzz), some_number(fuzz), prng_below(&fuzz->prng, 8) == 0};
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        m->catchup_response = (struct catchup_response){
            .nonce = some_number(fuzz),
            .last_normal_view = some_view(fuzz),
            .first_op = some_number(fuzz),
            .parent_checksum = some_checksum(fuzz),
            .entries = bytes,
        };
        m->catchup_response.entries_size =
            some_entries(fuzz, m->catchup_response.first_op, m->catchup_response.last_normal_view,
                         bytes, &m->catchup_response.entry_count);
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        m->checkpoint_offer = (struct checkpoint_offer){
            .nonce = some_number(fuzz),
            .view_number = some_view(fuzz),
            .id = {.op_number = some_number(fuzz),
                   .view_number = some_view(fuzz),
                   .log = some_checksum(fuzz),
                   .digest = some_checksum(fuzz),
                   .size = some_number(fuzz),
                   .root = some_checksum(fuzz)},
        };
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        m->checkpoint_request = (struct checkpoint_request){
            .nonce = some_number(fuzz),
            .last_normal_view = some_view(fuzz),
            .root = some_checksum(fuzz),
            .list = prng_below(&fuzz->prng, 2) == 0,
            .first = some_number(fuzz),
            .count = (uint32_t)prng_below(&fuzz->prng, CHUNK_WINDOW_MAX + 2),
            .staged = some_number(fuzz),
        };
        break;
    case MESSAGE_BACKUP_REQUEST:
        m->backup_request = (struct backup_request){
            .nonce = some_number(fuzz),
            .least_op = some_number(fuzz),
            .root = prng_chance(&fuzz->prng, 1, 2) ? some_checksum(fuzz) : (struct checksum){0, 0},
            .list = prng_below(&fuzz->prng, 2) == 0,
            .first = some_number(fuzz),
            .count = (uint32_t)prng_below(&fuzz->prng, CHUNK_WINDOW_MAX + 2),
        };
        break;
    case MESSAGE_BACKUP_OFFER:
        m->backup_offer = (struct backup_offer){
            .nonce = some_number(fuzz),
            .outcome = (enum backup_outcome)prng_between(&fuzz->prng, BACKUP_READY, BACKUP_FAILED),
            .executed_op = some_number(fuzz),
            .id = {.op_number = some_number(fuzz),
                   .view_number = some_view(fuzz),
                   .log = some_checksum(fuzz),
                   .digest = some_checksum(fuzz),
                   .size = some_number(fuzz),
                   .root = some_checksum(fuzz)},
        };
        break;
    case MESSAGE_BACKUP_CHUNK:
    case MESSAGE_CHECKPOINT_CHUNK:
        m->checkpoint_chunk = (struct checkpoint_chunk){
            .nonce = some_number(fuzz),
            .root = some_checksum(fuzz),
            .list = prng_below(&fuzz->prng, 2) == 0,
            .index = some_number(fuzz),
            .size = (uint32_t)prng_below(&fuzz->prng, 100),
            .bytes = bytes,
        };
        break;
    case MESSAGE_RESTORE_STATUS:
        m->restore_status = (struct restore_status){some_number(fuzz)};
        break;
    case MESSAGE_RESTORE:
        m->restore = (struct restore){some_number(fuzz),
                                      some_number(fuzz),
                                      some_view(fuzz),
                                      some_view(fuzz),
                                      (uint32_t)prng_below(&fuzz->prng, REPLICAS_MAX + 1),
                                      some_log(fuzz)};
        break;
    case MESSAGE_RECOVERY:
        m->recovery = (struct recovery){some_number(fuzz), some_view(fuzz)};
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        m->recovery_response =
            (struct recovery_response){some_number(fuzz), some_view(fuzz), some_log(fuzz)};
        m->recovery_response.log.last_normal_view = m->recovery_response.view_number;
        break;
    case MESSAGE_PART:
        m->part = (struct part){
            .id = some_number(fuzz),
            .type = (uint32_t)types[prng_below(&fuzz->prng, sizeof types / sizeof types[0])],
            .total_size = (uint32_t)prng_between(&fuzz->prng, 1, MESSAGE_SIZE_MAX),
            .part_size = (uint32_t)prng_between(&fuzz->prng, 1, OPERATION_MAX),
            .index = (uint32_t)prng_below(&fuzz->prng, 8),
            .data = bytes,
        };
        m->part.data_size = m->part.part_size;
        break;
    case MESSAGE_PARTS_MISSING:
        m->parts_missing = (struct parts_missing){
            some_number(fuzz), (uint32_t)prng_between(&fuzz->prng, 1, OPERATION_MAX), bytes};
        break;
    default:
        break;
    }
}

/* Called by a persona's sender with the datagram that holds the message. */
static void keep_datagram(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct fuzz *fuzz = context;
    if (count > 0) {
        memcpy(fuzz->datagram, datagrams[0].bytes, datagrams[0].size);
        fuzz->size = datagrams[0].size;
    }
}

static void make_message(struct fuzz *fuzz)
{
    static uint8_t bytes[ENTRIES_MAX * (ENTRY_HEADER_SIZE + OPERATION_MAX)];
    static const struct wire_destination nowhere = {.address.port = 1};
    struct message m;
    some_bytes(fuzz, bytes, sizeof bytes);
    do {
        some_message(fuzz, &m, bytes);
    } while (!message_validate(&m));
    struct wire_sender *persona = fuzz->personas[prng_below(&fuzz->prng, PERSONAS)];
    fuzz->size = 0;
    wire_send(persona, &nowhere, &m, clock_monotonic_ns());
    wire_flush(persona);
}

static void make_noise(struct fuzz *fuzz)
{
    fuzz->size = prng_chance(&fuzz->prng, 1, 100)
                     ? (size_t)prng_between(&fuzz->prng, 0, sizeof fuzz->datagram)
                     : (size_t)prng_below(&fuzz->prng, NOISE_MAX);
    some_bytes(fuzz, fuzz->datagram, fuzz->size);
}

static void make_dressed(struct fuzz *fuzz)
{
    make_noise(fuzz);
    if (fuzz->size < WIRE_OVERHEAD) {
        fuzz->size = WIRE_OVERHEAD;
    }
    uint8_t *d = fuzz->datagram;
    memset(d, 0, WIRE_HEADER_SIZE);
    bytes_put_u32(d, WIRE_MAGIC);
    bytes_put_u16(d + 4, WIRE_VERSION);
    bytes_put_u64(d + 8, fuzz->cluster_id);
    bytes_put_u32(d + 16, prng_chance(&fuzz->prng, 1, 2)
                              ? REPLICA_NONE
                              : (uint32_t)prng_below(&fuzz->prng, REPLICAS_MAX));
    bytes_put_u64(d + 24, some_number(fuzz));
    bytes_put_u64(d + 32, some_number(fuzz));
    bytes_put_u16(d + WIRE_HEADER_SIZE, (uint16_t)prng_below(&fuzz->prng, MESSAGE_TYPE_MAX + 2));
    bytes_put_u16(d + WIRE_HEADER_SIZE + 2, 0);
    bytes_put_u32(d + WIRE_HEADER_SIZE + 4,
                  (uint32_t)(prng_chance(&fuzz->prng, 1, 4) ? prng_next(&fuzz->prng)
                                                            : fuzz->size - WIRE_OVERHEAD));
    mutate_repair_checksum(d, fuzz->size);
}

/* True if a replica would find a Request in it. */
static bool holds_request(struct fuzz *fuzz)
{
    const struct net_address nobody = {.port = 1};
    struct wire_header header;
    struct wire_cursor cursor;
    struct message m;
    if (wire_open(fuzz->datagram, fuzz->size, &nobody, &header, &cursor) != WIRE_OK) {
        return false;
    }
    arena_reset(&fuzz->arena);
    for (;;) {
        const enum wire_drop drop = wire_next(&cursor, &fuzz->arena, &m);
        if (drop == WIRE_END) {
            return false;
        }
        if (drop == WIRE_OK && (m.type == MESSAGE_REQUEST || m.type == MESSAGE_PART)) {
            return true; /* parts may add up to a Request */
        }
    }
}

static enum kind make(struct fuzz *fuzz)
{
    const enum kind kind = (enum kind)prng_below(&fuzz->prng, KIND_COUNT);
    switch (kind) {
    case NOISE:
        make_noise(fuzz);
        break;
    case DRESSED:
        make_dressed(fuzz);
        break;
    default:
        make_message(fuzz);
        if (kind != MESSAGE) {
            fuzz->size = mutate(fuzz->datagram, fuzz->size, sizeof fuzz->datagram, &fuzz->prng);
        }
        if (kind == REPAIRED) {
            mutate_repair_checksum(fuzz->datagram, fuzz->size);
        }
        break;
    }
    return kind;
}

/* --- start ------------------------------------------------------------------------------------ */

static void *take(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fprintf(stderr, "fuzz: no memory\n");
        exit(EXIT_SYSTEM);
    }
    return memory;
}

static void init_personas(struct fuzz *fuzz)
{
    for (uint32_t i = 0; i < PERSONAS; i++) {
        struct wire_sender_options options = {0};
        wire_sender_options_default(&options);
        options.cluster_id = fuzz->cluster_id;
        options.sender = i == 0 ? REPLICA_NONE : i - 1;
        options.incarnation = i == 0 ? prng_next(&fuzz->prng) : i;
        options.identity = i == 0 ? 0 : prng_next(&fuzz->prng);
        options.configuration_hash = i == 0 ? 0 : prng_next(&fuzz->prng);
        options.emit = keep_datagram;
        options.emit_context = fuzz;
        fuzz->personas[i] = wire_sender_init(take(wire_sender_memory_size(&options)), &options);
    }
    const size_t size = wire_arena_size(DATAGRAM_SIZE_MAX);
    arena_init(&fuzz->arena, take(size), size);
}

static void add_port(struct fuzz *fuzz, const char *text, bool peer)
{
    const unsigned long port = strtoul(text, NULL, 10);
    if (port == 0 || port > UINT16_MAX || fuzz->port_count == PORTS_MAX) {
        fprintf(stderr, "fuzz: %s is not a port, or one too many\n", text);
        exit(EXIT_USAGE);
    }
    fuzz->ports[fuzz->port_count] = (uint16_t)port;
    fuzz->port_is_peer[fuzz->port_count++] = peer;
}

static void run(struct fuzz *fuzz, struct datagram_socket *sock, uint64_t seconds, uint64_t rate)
{
    const uint64_t start = clock_monotonic_ns();
    const uint64_t end = start + seconds * NANOSECONDS_PER_SECOND;
    uint64_t total = 0;
    for (uint64_t now = start; now < end; now = clock_monotonic_ns()) {
        const uint64_t due = start + total * NANOSECONDS_PER_SECOND / rate;
        if (due > now) {
            clock_sleep_ns(due - now);
        }
        for (int i = 0; i < BURST; i++, total++) {
            const enum kind kind = make(fuzz);
            const size_t target = (size_t)prng_below(&fuzz->prng, fuzz->port_count);
            if (!fuzz->port_is_peer[target] && holds_request(fuzz)) {
                continue;
            }
            struct datagram_out out = {.bytes = fuzz->datagram, .size = fuzz->size};
            out.address.ip[10] = out.address.ip[11] = 0xff;
            out.address.ip[12] = 127;
            out.address.ip[15] = 1;
            out.address.port = fuzz->ports[target];
            datagram_send(sock, &out, 1);
            fuzz->sent[kind]++;
        }
    }
}

int main(int argc, char **argv)
{
    static struct fuzz fuzz;
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},
        {"rate", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 'S'},
        {"cluster-id", required_argument, NULL, 'i'},
        {"client-port", required_argument, NULL, 'c'},
        {"peer-port", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    uint64_t seconds = 10;
    uint64_t rate = 2000;
    uint64_t seed = clock_wall_ns();
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            seconds = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            rate = strtoull(optarg, NULL, 10);
            break;
        case 'S':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            fuzz.cluster_id = strtoull(optarg, NULL, 16);
            break;
        case 'c':
        case 'p':
            add_port(&fuzz, optarg, option == 'p');
            break;
        default:
            return EXIT_USAGE;
        }
    }
    if (fuzz.port_count == 0 || rate == 0) {
        fprintf(stderr, "fuzz: name at least one --client-port or --peer-port, and a rate\n");
        return EXIT_USAGE;
    }
    printf("fuzz: seed %" PRIu64 "\n", seed);
    fflush(stdout);
    prng_seed(&fuzz.prng, seed);
    init_personas(&fuzz);

    struct datagram_socket sock;
    struct net_address any = {.port = 0};
    any.ip[10] = any.ip[11] = 0xff;
    any.ip[12] = 127;
    any.ip[15] = 1;
    const int error = datagram_socket_open(&sock, &any, 100);
    if (error != 0) {
        fprintf(stderr, "fuzz: socket: %s\n", strerror(-error));
        return EXIT_SYSTEM;
    }
    run(&fuzz, &sock, seconds, rate);
    datagram_socket_close(&sock);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        printf("%s%s %" PRIu64, kind == 0 ? "fuzz: sent " : ", ", kind_names[kind],
               fuzz.sent[kind]);
    }
    printf("\n");
    return 0;
}
