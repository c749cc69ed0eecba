/* SPDX-License-Identifier: Apache-2.0 */
/* Two replicas' executors and the same log: one executes it, the other one is cut and loaded again
 * amid it. Operations, sessions and requests are whatever the input says. Answers, digests and the
 * bytes of the last cut must be the same. */
#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/executor/executor.h"
#include "test/fuzz/targets/target.h"

enum { OPS_MAX = 64, CUT_MAX = 1024 * 1024, ENTRY_MAX = ENTRY_HEADER_SIZE + 1024 };

struct side {
    struct kv *kv;
    struct app app;
    void *memory;
    struct executor *executor;
    uint8_t *cut;
    size_t cut_size;
};

static void side_begin(struct side *side, uint64_t hash_seed)
{
    struct configuration c = {
        .cluster_id = 7,
        .epoch = EPOCH_FIRST,
        .member_count = 1,
        .parameters = cluster_parameters_default(),
    };
    c.members[0] = (struct member){
        .role = MEMBER_ACTIVE, .host = "127.0.0.1", .port = 8000, .peer_port = 8100};
    c.parameters.sessions_max = 3;
    side->kv = kv_create();
    side->app = kv_app(side->kv);
    side->memory = calloc(1, executor_memory_size(&c.parameters));
    side->cut = malloc(CUT_MAX);
    FUZZ_EXPECT(side->memory != NULL && side->cut != NULL);
    side->executor = executor_init(side->memory, &(struct executor_options){
                                                     .parameters = c.parameters,
                                                     .app = &side->app,
                                                     .hash_seed = hash_seed,
                                                     .configuration = &c,
                                                 });
}

static void side_end(struct side *side)
{
    free(side->cut);
    free(side->memory);
    kv_destroy(side->kv);
}

/* In slices of this size. */
static void cut(struct side *side, size_t slice)
{
    size_t size = 0;
    bool more = true;
    executor_cut_begin(side->executor);
    side->cut_size = 0;
    while (more) {
        FUZZ_EXPECT(side->cut_size + slice <= CUT_MAX);
        more = executor_cut(side->executor, side->cut + side->cut_size, slice, &size);
        side->cut_size += size;
    }
}

static void load_own_cut(struct side *side, size_t slice)
{
    executor_load_begin(side->executor);
    for (size_t at = 0; at < side->cut_size; at += slice) {
        const size_t left = side->cut_size - at;
        FUZZ_EXPECT(executor_load(side->executor, side->cut + at, left < slice ? left : slice));
    }
    FUZZ_EXPECT(executor_load_end(side->executor));
}

/* An operation with keys and values of the input, or bytes that are none. */
static size_t some_operation(struct input *input, uint8_t *bytes)
{
    const uint32_t kind = input_below(input, 8);
    if (kind == 0 || kind > KV_SCAN) {
        const size_t size = input->size < 16 ? input->size : 16;
        memcpy(bytes, input->bytes, size);
        return size;
    }
    static uint8_t value[512];
    uint8_t key[2] = {'k', (uint8_t)('a' + input_below(input, 4))};
    memset(value, '0' + (int)input_below(input, 10), sizeof value);
    const size_t value_size = (size_t)input_byte(input) * 2;
    const struct kv_operation operation = {
        .kind = (enum kv_kind)kind,
        .key = {key, kind == KV_SCAN ? input_below(input, 2) : 2},
        .value = {value, kind == KV_SET || kind == KV_CAS ? value_size : 0},
        .expected = {value, kind == KV_CAS ? input_below(input, 3) : 0},
        .by = kind == KV_INCR ? (int8_t)input_byte(input) : 0,
    };
    return kv_operation_encode(&operation, bytes);
}

static size_t some_entry(struct input *input, uint64_t op_number, uint8_t *bytes)
{
    uint8_t body[1024];
    struct entry entry = {
        .op_number = op_number,
        .view_number = view_make(EPOCH_FIRST, 0),
        .timestamp = op_number * 1000,
        .client_id = {1, 1 + input_below(input, 5)},
        .body = body,
    };
    const uint32_t kind = input_below(input, 8);
    if (kind == 0) {
        entry.kind = ENTRY_REGISTER;
        entry.request_number = 0;
    } else if (kind == 1) {
        entry.kind = ENTRY_UNREGISTER;
        entry.session = 1 + input_below(input, 8);
        entry.request_number = 0;
    } else {
        entry.kind = ENTRY_OPERATION;
        entry.session = 1 + input_below(input, 8);
        entry.request_number = 1 + input_below(input, 6);
        entry.body_size = (uint32_t)some_operation(input, body);
    }
    return entry_encode(&entry, bytes);
}

static void same_reply(const struct reply *a, const struct reply *b)
{
    FUZZ_EXPECT(a->op_number == b->op_number && a->session == b->session);
    FUZZ_EXPECT(a->request_number == b->request_number && a->status == b->status);
    FUZZ_EXPECT(a->result_size == b->result_size);
    FUZZ_EXPECT(a->result_size == 0 || memcmp(a->result, b->result, a->result_size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    struct side sides[2];
    side_begin(&sides[0], 1);
    side_begin(&sides[1], 2);
    for (uint64_t op = 1; op <= OPS_MAX && input.size > 0; op++) {
        uint8_t entry[ENTRY_MAX];
        struct entry decoded;
        struct reply replies[2];
        const size_t entry_size = some_entry(&input, op, entry);
        if (entry_decode(entry, entry_size, &decoded) != entry_size) {
            op--;
            continue; /* no primary would have it in its log */
        }
        executor_execute(sides[0].executor, entry, entry_size, &replies[0]);
        executor_execute(sides[1].executor, entry, entry_size, &replies[1]);
        same_reply(&replies[0], &replies[1]);
        if (input_below(&input, 16) == 0) {
            const size_t slice = 64 + (size_t)input_byte(&input) * 16;
            cut(&sides[1], slice);
            load_own_cut(&sides[1], 1 + input_byte(&input));
        }
        FUZZ_EXPECT(
            checksum_equal(executor_digest(sides[0].executor), executor_digest(sides[1].executor)));
    }
    cut(&sides[0], 4096);
    cut(&sides[1], 1000);
    FUZZ_EXPECT(sides[0].cut_size == sides[1].cut_size);
    FUZZ_EXPECT(memcmp(sides[0].cut, sides[1].cut, sides[0].cut_size) == 0);
    side_end(&sides[0]);
    side_end(&sides[1]);
    return 0;
}
