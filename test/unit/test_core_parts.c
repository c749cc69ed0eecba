/* SPDX-License-Identifier: Apache-2.0 */
/* server/vr, its nouns one by one: the log, the requests in flight, the stash, quorums. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "server/vr/in_flight.h"
#include "server/vr/quorum.h"
#include "server/vr/stash.h"
#include "server/vr/vr_log.h"

enum { CLUSTER = 9, LOG_SIZE = 64 * 1024 };

static struct vr_log new_log(void)
{
    struct vr_log log;
    vr_log_init(&log, malloc(LOG_SIZE), LOG_SIZE, CLUSTER, 0, entry_chain_start(CLUSTER));
    return log;
}

static uint8_t payload[OPERATION_SIZE_MAX];

static void append(struct vr_log *log, uint64_t view, uint32_t body_size)
{
    const struct entry entry = {
        .op_number = log->op_number + 1,
        .view_number = view_make(1, view),
        .client_id = {1, 2},
        .session = 1,
        .request_number = log->op_number + 1,
        .kind = ENTRY_OPERATION,
        .body_size = body_size,
        .body = payload,
    };
    vr_log_append(log, &entry);
}

START_TEST(log_keeps_entries_and_checksums)
{
    struct vr_log log = new_log();
    struct vr_log copy = new_log();
    for (uint32_t i = 0; i < 100; i++) {
        append(&log, 1, i);
    }
    for (uint64_t op = 1; op <= 100; op++) {
        size_t size;
        const uint8_t *bytes = vr_log_entry(&log, op, &size);
        ck_assert_uint_eq(size, ENTRY_HEADER_SIZE + op - 1);
        vr_log_append_bytes(&copy, bytes, size);
        ck_assert(vr_log_matches(&copy, op, vr_log_checksum(&log, op)));
    }
    ck_assert(!vr_log_has_checksum(&log, 101));
    ck_assert(!vr_log_matches(&log, 101, vr_log_checksum(&log, 100)));
    free(log.memory);
    free(copy.memory);
}
END_TEST

/* A run is one run of bytes, as many whole entries as fit, and always the first. */
START_TEST(log_run_respects_the_size)
{
    struct vr_log log = new_log();
    for (uint32_t i = 0; i < 10; i++) {
        append(&log, 1, 36); /* 100 bytes each */
    }
    const uint8_t *bytes;
    size_t size;
    ck_assert_uint_eq(vr_log_run(&log, 3, 10, 350, &bytes, &size), 3);
    ck_assert_uint_eq(size, 300);
    ck_assert_uint_eq(vr_log_run(&log, 3, 4, 350, &bytes, &size), 2);
    ck_assert_uint_eq(vr_log_run(&log, 3, 10, 1, &bytes, &size), 1);
    ck_assert_uint_eq(size, 100);
    struct entry entry;
    ck_assert_uint_eq(entry_decode(bytes, size, &entry), 100);
    ck_assert_uint_eq(entry.op_number, 3);
    ck_assert_uint_eq(vr_log_run_size(&log, 3, 5), 300);
    free(log.memory);
}
END_TEST

START_TEST(log_is_full_when_entries_meet_the_index)
{
    struct vr_log log = new_log();
    uint32_t count = 0;
    while (vr_log_has_room(&log, ENTRY_HEADER_SIZE + 100)) {
        append(&log, 1, 100);
        count++;
        ck_assert_uint_le(vr_log_bytes_used(&log), LOG_SIZE);
    }
    ck_assert_uint_gt(count, 300);
    size_t size;
    struct entry entry;
    const uint8_t *bytes = vr_log_entry(&log, count, &size);
    ck_assert_uint_eq(entry_decode(bytes, size, &entry), size);
    ck_assert_uint_eq(entry.op_number, count);
    free(log.memory);
}
END_TEST

START_TEST(log_cut_and_other_suffix)
{
    struct vr_log log = new_log();
    for (int i = 0; i < 5; i++) {
        append(&log, 1, 8);
    }
    const struct checksum at_3 = vr_log_checksum(&log, 3);
    const struct checksum at_5 = vr_log_checksum(&log, 5);
    vr_log_cut(&log, 3);
    append(&log, 2, 8);
    append(&log, 2, 8);
    ck_assert(vr_log_matches(&log, 3, at_3));
    ck_assert(!vr_log_matches(&log, 5, at_5));
    free(log.memory);
}
END_TEST

/* G6: a staged suffix is taken over as it is. */
START_TEST(log_appends_from_another)
{
    struct vr_log log = new_log();
    struct vr_log staged;
    for (uint32_t i = 0; i < 4; i++) {
        append(&log, 1, 10 * i);
    }
    vr_log_init(&staged, malloc(LOG_SIZE), LOG_SIZE, CLUSTER, 2, vr_log_checksum(&log, 2));
    for (uint32_t i = 2; i < 4; i++) {
        append(&staged, 1, 10 * i);
        ck_assert(vr_log_matches(&log, staged.op_number, vr_log_checksum(&staged, i + 1)));
    }
    for (uint32_t i = 0; i < 50; i++) {
        append(&staged, 2, i);
    }
    vr_log_append_from(&log, &staged, 30);
    ck_assert_uint_eq(log.op_number, 30);
    append(&log, 3, 5);
    vr_log_cut(&log, 30);
    vr_log_append_from(&log, &staged, staged.op_number);
    ck_assert_uint_eq(log.op_number, staged.op_number);
    for (uint64_t op = 3; op <= staged.op_number; op++) {
        size_t own_size;
        size_t other_size;
        const uint8_t *own = vr_log_entry(&log, op, &own_size);
        const uint8_t *other = vr_log_entry(&staged, op, &other_size);
        ck_assert_uint_eq(own_size, other_size);
        ck_assert_mem_eq(own, other, own_size);
        ck_assert(vr_log_matches(&log, op, vr_log_checksum(&staged, op)));
    }
    free(log.memory);
    free(staged.memory);
}
END_TEST

/* S3: a committed entry is never removed. */
START_TEST(log_never_cuts_what_is_committed)
{
    struct vr_log log = new_log();
    append(&log, 1, 8);
    append(&log, 1, 8);
    vr_log_protect(&log, 2);
    vr_log_cut(&log, 1); /* aborts */
}
END_TEST

static struct entry request_entry(uint64_t op, uint64_t session, uint64_t number)
{
    return (struct entry){
        .op_number = op,
        .client_id = {session, 7},
        .session = session,
        .request_number = number,
        .kind = ENTRY_OPERATION,
        .body = payload,
    };
}

/* N2, against the plain truth: the latest request of a session within the ring. */
START_TEST(in_flight_finds_the_latest_request)
{
    enum { SESSIONS = 50, OPS = 4 * IN_FLIGHT_MAX };
    struct in_flight *f = malloc(sizeof *f);
    in_flight_init(f, 5);
    uint64_t latest_op[SESSIONS + 1] = {0};
    struct prng prng;
    prng_seed(&prng, 1);
    const struct net_address nowhere = {.port = 0};
    for (uint64_t op = 1; op <= OPS; op++) {
        /* Session 1 speaks once and is silent: the ring comes round and forgets it. */
        const uint64_t session = op == 1 ? 1 : prng_between(&prng, 2, SESSIONS);
        const struct entry entry = request_entry(op, session, op);
        in_flight_add(f, &entry, &nowhere);
        latest_op[session] = op;
        const uint64_t asked = prng_between(&prng, 1, SESSIONS);
        const struct in_flight_slot *slot =
            in_flight_find(f, ENTRY_OPERATION, (struct client_id){asked, 7}, asked);
        if (latest_op[asked] == 0 || op - latest_op[asked] >= IN_FLIGHT_MAX) {
            ck_assert_ptr_null(slot);
        } else {
            ck_assert_ptr_nonnull(slot);
            ck_assert_uint_eq(slot->op_number, latest_op[asked]);
        }
    }
    ck_assert_ptr_null(in_flight_at(f, OPS - IN_FLIGHT_MAX));
    ck_assert_ptr_nonnull(in_flight_at(f, OPS - IN_FLIGHT_MAX + 1));
    ck_assert_ptr_null(in_flight_find(f, ENTRY_UNREGISTER, (struct client_id){2, 7}, 2));
    in_flight_clear(f);
    ck_assert_ptr_null(in_flight_find(f, ENTRY_OPERATION, (struct client_id){2, 7}, 2));
    free(f);
}
END_TEST

/* N4: bounded; what lies nearest to the gap is kept. */
START_TEST(stash_keeps_what_is_nearest)
{
    struct stash *stash = malloc(sizeof *stash);
    stash_clear(stash);
    struct prepare prepare = {.entry_count = 1, .entries_size = 8, .entries = payload};
    for (uint64_t op = 2 * STASH_MAX; op > 0; op--) {
        prepare.first_op = op;
        ck_assert(stash_put(stash, &prepare));
    }
    ck_assert_uint_eq(stash->count, STASH_MAX);
    prepare.first_op = 2 * STASH_MAX;
    ck_assert(!stash_put(stash, &prepare));
    prepare.first_op = 5;
    ck_assert(!stash_put(stash, &prepare)); /* there already */
    for (uint64_t op = 1; op <= STASH_MAX; op++) {
        struct stash_slot *slot = stash_find(stash, op);
        ck_assert_ptr_nonnull(slot);
        ck_assert_uint_eq(slot->first_op, op);
        stash_free(stash, slot);
    }
    ck_assert_ptr_null(stash_find(stash, UINT64_MAX));
    prepare.entries_size = DATAGRAM_SIZE_MAX + 1;
    ck_assert(!stash_put(stash, &prepare));
    free(stash);
}
END_TEST

/* N5: what a quorum reached; one slot a replica. */
START_TEST(quorum_takes_the_nth_largest)
{
    const uint64_t values[] = {5, 9, 7, 9, 1};
    ck_assert_uint_eq(quorum_nth_largest(values, 5, 1), 9);
    ck_assert_uint_eq(quorum_nth_largest(values, 5, 2), 9);
    ck_assert_uint_eq(quorum_nth_largest(values, 5, 3), 7);
    ck_assert_uint_eq(quorum_nth_largest(values, 5, 5), 1);
    ck_assert_uint_eq(quorum_nth_largest(values, 1, 1), 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core parts");
    TCase *tcase = tcase_create("core parts");
    tcase_add_test(tcase, log_keeps_entries_and_checksums);
    tcase_add_test(tcase, log_run_respects_the_size);
    tcase_add_test(tcase, log_is_full_when_entries_meet_the_index);
    tcase_add_test(tcase, log_cut_and_other_suffix);
    tcase_add_test(tcase, log_appends_from_another);
    tcase_add_test_raise_signal(tcase, log_never_cuts_what_is_committed, SIGABRT);
    tcase_add_test(tcase, in_flight_finds_the_latest_request);
    tcase_add_test(tcase, stash_keeps_what_is_nearest);
    tcase_add_test(tcase, quorum_takes_the_nth_largest);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
