/* SPDX-License-Identifier: Apache-2.0 */
/* server/vr/vr_log in blocks: what leaves at the front (K1), and a long random life beside a naive
 * model. test_core_parts has what the log promises anyway. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "server/vr/vr_log.h"

enum { CLUSTER = 9, BLOCK_SIZE = 1200, BLOCKS = 8, BODY_MAX = 300 };

static uint8_t payload[BLOCK_SIZE];

static struct vr_log new_log(uint64_t base_op)
{
    const struct checksum base = entry_chain_start(CLUSTER);
    struct vr_log log;
    const size_t size = (size_t)BLOCKS * BLOCK_SIZE;
    vr_log_init_blocks(&log, malloc(size), size, BLOCK_SIZE, CLUSTER, base_op, base);
    return log;
}

static size_t append(struct vr_log *log, uint64_t tag, uint32_t body_size)
{
    const struct entry entry = {
        .op_number = log->op_number + 1,
        .view_number = view_make(1, 1),
        .timestamp = tag,
        .client_id = {1, 2},
        .session = 1,
        .request_number = 1,
        .kind = ENTRY_OPERATION,
        .body_size = body_size,
        .body = payload,
    };
    vr_log_append(log, &entry);
    return ENTRY_HEADER_SIZE + (size_t)body_size;
}

/* Whole blocks only, and only those that are at or below the op. */
START_TEST(drop_takes_whole_blocks)
{
    struct vr_log log = new_log(0);
    for (int i = 0; i < 40; i++) {
        append(&log, 1, 136); /* 200 bytes and a slot of 24: five a block */
    }
    const struct checksum at_10 = vr_log_checksum(&log, 10);
    ck_assert(!vr_log_has_room(&log, 200));
    vr_log_protect(&log, 40);
    vr_log_drop(&log, 4);
    ck_assert_uint_eq(log.base_op, 0);
    vr_log_drop(&log, 14);
    ck_assert_uint_eq(log.base_op, 10);
    ck_assert(checksum_equal(log.base_checksum, at_10));
    ck_assert(vr_log_matches(&log, 10, at_10));
    ck_assert(!vr_log_has_checksum(&log, 9));
    ck_assert_uint_eq(vr_log_run_size(&log, 11, 40), 30 * 200);
    ck_assert_uint_eq(vr_log_bytes_used(&log), 30 * 224);
    ck_assert_uint_eq(vr_log_bytes_free(&log), 2 * BLOCK_SIZE);

    /* What left is used again at the end. */
    for (int i = 0; i < 10; i++) {
        ck_assert(vr_log_has_room(&log, 200));
        append(&log, 2, 136);
    }
    ck_assert(!vr_log_has_room(&log, 200));
    vr_log_protect(&log, 50);
    vr_log_drop(&log, 50);
    ck_assert_uint_eq(log.base_op, 50);
    ck_assert_uint_eq(log.op_number, 50);
    ck_assert_uint_eq(vr_log_bytes_used(&log), 0);
    append(&log, 3, 0);
    ck_assert_uint_eq(vr_log_run_size(&log, 51, 51), ENTRY_HEADER_SIZE);
    free(log.memory);
}
END_TEST

/* A run ends with its block, whatever there is room for. */
START_TEST(run_ends_at_a_block)
{
    struct vr_log log = new_log(0);
    for (int i = 0; i < 12; i++) {
        append(&log, 1, 136);
    }
    const uint8_t *bytes;
    size_t size;
    ck_assert_uint_eq(vr_log_run(&log, 3, 12, SIZE_MAX, &bytes, &size), 3);
    ck_assert_uint_eq(size, 600);
    ck_assert_uint_eq(vr_log_run(&log, 6, 12, SIZE_MAX, &bytes, &size), 5);
    ck_assert_uint_eq(vr_log_run(&log, 11, 12, SIZE_MAX, &bytes, &size), 2);
    free(log.memory);
}
END_TEST

/* Blocks low in memory come first: a log that is kept short stays where it was. */
START_TEST(a_short_log_touches_little_memory)
{
    struct vr_log log = new_log(0);
    for (int i = 0; i < 1000; i++) {
        append(&log, 1, 136);
        size_t size;
        const uint8_t *bytes = vr_log_entry(&log, log.op_number, &size);
        ck_assert(bytes < log.memory + 2 * BLOCK_SIZE);
        vr_log_protect(&log, log.op_number);
        vr_log_drop(&log, log.op_number < 3 ? 0 : log.op_number - 3);
    }
    free(log.memory);
}
END_TEST

START_TEST(restart_forgets_everything)
{
    struct vr_log log = new_log(0);
    append(&log, 1, 10);
    vr_log_protect(&log, 1);
    const struct checksum base = vr_log_checksum(&log, 1);
    vr_log_restart(&log, 77, base);
    ck_assert_uint_eq(log.op_number, 77);
    ck_assert(vr_log_matches(&log, 77, base));
    ck_assert(!vr_log_has_checksum(&log, 1));
    append(&log, 1, 10);
    ck_assert_uint_eq(log.op_number, 78);
    free(log.memory);
}
END_TEST

/* S3: what may still be cut, or is not committed, does not leave. */
START_TEST(log_never_drops_what_is_not_committed)
{
    struct vr_log log = new_log(0);
    append(&log, 1, 8);
    append(&log, 1, 8);
    vr_log_protect(&log, 1);
    vr_log_drop(&log, 2); /* aborts */
}
END_TEST

/* ---- beside a naive model ---- */

enum { OPS_MAX = 60000 };

struct model {
    uint64_t base_op;
    uint64_t op_number;
    uint64_t protected_op;
    uint8_t *bytes[OPS_MAX]; /* by op */
    size_t sizes[OPS_MAX];
    struct checksum checksums[OPS_MAX];
};

static void model_append(struct model *m, const struct vr_log *log)
{
    size_t size;
    const uint8_t *bytes = vr_log_entry(log, log->op_number, &size);
    m->op_number++;
    ck_assert_uint_eq(m->op_number, log->op_number);
    free(m->bytes[m->op_number]);
    m->bytes[m->op_number] = malloc(size);
    memcpy(m->bytes[m->op_number], bytes, size);
    m->sizes[m->op_number] = size;
    m->checksums[m->op_number] =
        entry_checksum(CLUSTER, m->checksums[m->op_number - 1], bytes, size);
}

static void compare(const struct model *m, const struct vr_log *log)
{
    ck_assert_uint_eq(log->base_op, m->base_op);
    ck_assert_uint_eq(log->op_number, m->op_number);
    size_t total = 0;
    for (uint64_t op = m->base_op; op <= m->op_number; op++) {
        ck_assert(vr_log_matches(log, op, m->checksums[op]));
        if (op > m->base_op) {
            size_t size;
            const uint8_t *bytes = vr_log_entry(log, op, &size);
            ck_assert_uint_eq(size, m->sizes[op]);
            ck_assert_mem_eq(bytes, m->bytes[op], size);
            total += size;
        }
    }
    ck_assert_uint_eq(vr_log_run_size(log, m->base_op + 1, m->op_number), total);
    ck_assert(m->base_op == 0 || !vr_log_has_checksum(log, m->base_op - 1));
    ck_assert(!vr_log_has_checksum(log, m->op_number + 1));
}

static void check_run(const struct model *m, const struct vr_log *log, struct prng *prng)
{
    if (m->op_number == m->base_op) {
        return;
    }
    const uint64_t first = m->base_op + 1 + prng_below(prng, m->op_number - m->base_op);
    const uint64_t last = first + prng_below(prng, m->op_number - first + 1);
    const size_t size_max = 1 + prng_below(prng, 2 * BLOCK_SIZE);
    const uint8_t *bytes;
    size_t size;
    const uint32_t count = vr_log_run(log, first, last, size_max, &bytes, &size);
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(first + count - 1, last);
    size_t at = 0;
    for (uint64_t op = first; op < first + count; op++) {
        ck_assert_mem_eq(bytes + at, m->bytes[op], m->sizes[op]);
        at += m->sizes[op];
    }
    ck_assert_uint_eq(at, size);
    ck_assert(count == 1 || size <= size_max);
}

/* A staged log that shares a beginning, as a log sync would install it. */
static void replace_suffix(struct model *m, struct vr_log *log, struct prng *prng, uint64_t tag)
{
    struct vr_log staged = new_log(0);
    const uint64_t from = m->protected_op + prng_below(prng, m->op_number - m->protected_op + 1);
    vr_log_restart(&staged, from, vr_log_checksum(log, from));
    const uint64_t count = prng_below(prng, 30);
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t body = (uint32_t)prng_below(prng, BODY_MAX);
        if (!vr_log_has_room(&staged, ENTRY_HEADER_SIZE + body)) {
            break;
        }
        append(&staged, tag, body);
    }
    if (vr_log_has_room_after(log, from, &staged, staged.op_number)) {
        vr_log_cut(log, from);
        m->op_number = from;
        for (uint64_t op = from + 1; op <= staged.op_number; op++) {
            vr_log_append_from(log, &staged, op);
            model_append(m, log);
        }
    }
    free(staged.memory);
}

static void step(struct model *m, struct vr_log *log, struct prng *prng, uint64_t tag)
{
    switch (prng_below(prng, 12)) {
    case 0:
        m->op_number -= prng_below(prng, m->op_number - m->protected_op + 1);
        vr_log_cut(log, m->op_number);
        break;
    case 1:
        m->protected_op += prng_below(prng, m->op_number - m->protected_op + 1);
        vr_log_protect(log, m->protected_op);
        break;
    case 2: {
        const uint64_t through = m->base_op + prng_below(prng, m->protected_op - m->base_op + 1);
        vr_log_drop(log, through);
        ck_assert_uint_le(log->base_op, through);
        ck_assert_uint_ge(log->base_op, m->base_op);
        m->base_op = log->base_op;
        break;
    }
    case 3:
        replace_suffix(m, log, prng, tag);
        break;
    default: {
        const uint32_t body = (uint32_t)prng_below(prng, BODY_MAX);
        if (vr_log_has_room(log, ENTRY_HEADER_SIZE + body)) {
            append(log, tag, body);
            model_append(m, log);
        } else {
            m->protected_op = m->op_number;
            vr_log_protect(log, m->protected_op);
        }
        break;
    }
    }
}

START_TEST(like_a_naive_log)
{
    struct model *m = calloc(1, sizeof *m);
    struct vr_log log = new_log(0);
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i + 1);
    m->checksums[0] = entry_chain_start(CLUSTER);
    for (uint64_t i = 1; i <= 5000; i++) {
        step(m, &log, &prng, i);
        check_run(m, &log, &prng);
        if (i % 16 == 0) {
            compare(m, &log);
        }
    }
    ck_assert_uint_gt(log.base_op, 500);
    for (uint64_t op = 0; op < OPS_MAX; op++) {
        free(m->bytes[op]);
    }
    free(m);
    free(log.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr_log");
    TCase *tcase = tcase_create("vr_log");
    tcase_add_test(tcase, drop_takes_whole_blocks);
    tcase_add_test(tcase, run_ends_at_a_block);
    tcase_add_test(tcase, a_short_log_touches_little_memory);
    tcase_add_test(tcase, restart_forgets_everything);
    tcase_add_test_raise_signal(tcase, log_never_drops_what_is_not_committed, SIGABRT);
    tcase_add_loop_test(tcase, like_a_naive_log, 0, 20);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
