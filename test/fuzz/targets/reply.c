/* SPDX-License-Identifier: Apache-2.0 */
/* What a client makes of what comes back: datagrams through the wire's decoder into a proxy that
 * waits for answers. However odd they are, each operation ends once, with one outcome. */
#include "client/proxy/proxy.h"
#include "common/wire/codec.h"
#include "test/fuzz/targets/target.h"

enum { SESSIONS = 2, SEEDS = 3 };

#define MS UINT64_C(1000000)

static struct proxy *proxy;
static void *memory;
static struct arena arena;
static uint64_t now_ns;
static bool busy[SESSIONS];
static uint64_t registers[SESSIONS]; /* request numbers last sent, for answers that fit */
static struct client_id client_of(uint32_t session)
{
    return (struct client_id){.low = 1 + session, .high = 5};
}

static void begin(void)
{
    struct proxy_options options;
    proxy_options_default(&options);
    options.seed_count = SEEDS;
    for (uint32_t i = 0; i < SEEDS; i++) {
        options.seeds[i] = (struct net_address){.port = (uint16_t)(100 + i)};
    }
    options.sessions_max = SESSIONS;
    options.random_seed = 1;
    if (memory == NULL) {
        const size_t size = wire_arena_size(MESSAGE_SIZE_MAX);
        memory = malloc(proxy_memory_size(&options));
        arena_init(&arena, malloc(size), size);
    }
    proxy = proxy_init(memory, &options);
    now_ns = 1000 * MS;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        busy[i] = false;
        registers[i] = 0;
        FUZZ_EXPECT(proxy_open(proxy, client_of(i)) == i);
    }
}

static void take_outputs(void)
{
    struct proxy_output output;
    while (proxy_next_output(proxy, &output)) {
        if (output.kind == PROXY_OUT_DONE) {
            FUZZ_EXPECT(output.done.session < SESSIONS);
            FUZZ_EXPECT(busy[output.done.session]);
            busy[output.done.session] = false;
        } else {
            FUZZ_EXPECT(message_validate(&output.send.message));
            if (output.send.message.type == MESSAGE_REQUEST) {
                const uint64_t name = output.send.message.request.client_id.low - 1;
                FUZZ_EXPECT(name < SESSIONS);
                registers[name] = output.send.message.request.request_number;
            }
        }
    }
}

static void submit(uint32_t session, bool is_read)
{
    if (!busy[session]) {
        busy[session] = true;
        proxy_submit(proxy, session, (const uint8_t *)"x", 1, is_read, now_ns + 500 * MS, now_ns);
    }
}

/* An answer that fits what was asked, but for what the input changes. */
static void answer(struct input *input, struct message *m)
{
    const uint32_t session = input_below(input, SESSIONS);
    m->type = MESSAGE_REPLY;
    m->reply = (struct reply){
        .view_number = view_make(EPOCH_FIRST, input_below(input, 3)),
        .op_number = input_below(input, 9),
        .client_id = client_of(session),
        .session = input_below(input, 4),
        .request_number = registers[session] - (input_below(input, 8) == 7),
        .status = (enum reply_status)input_below(input, 7),
        .result = (const uint8_t *)"y",
        .result_size = input_below(input, 2),
    };
}

static void receive(struct input *input)
{
    static const enum message_type types[] = {MESSAGE_REPLY,   MESSAGE_NOT_PRIMARY, MESSAGE_BUSY,
                                              MESSAGE_REFUSED, MESSAGE_CHALLENGE,   MESSAGE_STATUS};
    const uint32_t from = input_below(input, SEEDS);
    struct message m = {.from = from + 1,
                        .incarnation = 1,
                        .identity = 1,
                        .configuration_hash = 1,
                        .address = {.port = (uint16_t)(100 + from)}};
    const uint32_t type = input_below(input, 7);
    if (type == 6) {
        answer(input, &m);
        if (!message_validate(&m)) {
            return;
        }
    } else {
        size_t size = input_byte(input);
        size = size < input->size ? size : input->size;
        arena_reset(&arena);
        const enum wire_drop drop =
            codec_decode((uint32_t)types[type], input->bytes, size, &arena, &m);
        input->bytes += size;
        input->size -= size;
        if (drop != WIRE_OK) {
            return;
        }
    }
    proxy_receive(proxy, &m, now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    begin();
    for (uint32_t i = 0; i < 64 && input.size > 0; i++) {
        const uint8_t kind = input_byte(&input);
        switch (kind % 8) {
        case 0:
            now_ns += input_byte(&input) * MS;
            proxy_tick(proxy, now_ns);
            break;
        case 1:
            submit(0, (kind & 8) != 0);
            break;
        case 2:
            submit(1, (kind & 8) != 0);
            break;
        case 3:
            (void)proxy_heard_cluster(
                proxy, &(struct net_address){.port = (uint16_t)(100 + input_below(&input, SEEDS))},
                1 + input_below(&input, 2));
            break;
        default:
            receive(&input);
            break;
        }
        take_outputs();
    }
    now_ns += 1000 * MS;
    proxy_tick(proxy, now_ns);
    take_outputs();
    FUZZ_EXPECT(!busy[0] && !busy[1]); /* by its deadline, whatever happened */
    return 0;
}
