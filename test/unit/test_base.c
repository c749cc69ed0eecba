/* SPDX-License-Identifier: Apache-2.0 */
/* common/base: the entry's byte form and chain, configurations, the prng. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/configuration.h"
#include "common/base/entry.h"
#include "common/base/prng.h"

static const uint8_t body[] = "set k v";

static struct entry sample_entry(void)
{
    return (struct entry){
        .op_number = 7,
        .view_number = view_make(1, 3),
        .timestamp = 12345,
        .client_id = {0x1122, 0x3344},
        .session = 5,
        .request_number = 9,
        .kind = ENTRY_OPERATION,
        .body_size = sizeof body,
        .body = body,
    };
}

START_TEST(entry_round_trip)
{
    const struct entry entry = sample_entry();
    uint8_t bytes[256];
    const size_t size = entry_encode(&entry, bytes);
    ck_assert_uint_eq(size, ENTRY_HEADER_SIZE + sizeof body);
    struct entry read;
    ck_assert_uint_eq(entry_decode(bytes, size, &read), size);
    ck_assert_uint_eq(read.op_number, entry.op_number);
    ck_assert_uint_eq(read.view_number, entry.view_number);
    ck_assert_uint_eq(read.timestamp, entry.timestamp);
    ck_assert(client_id_equal(read.client_id, entry.client_id));
    ck_assert_uint_eq(read.session, entry.session);
    ck_assert_uint_eq(read.request_number, entry.request_number);
    ck_assert_int_eq((int)read.kind, (int)entry.kind);
    ck_assert_mem_eq(read.body, body, sizeof body);
}
END_TEST

/* The byte form is a contract with logs and peers of other versions: these offsets never move. */
START_TEST(entry_layout_is_fixed)
{
    const struct entry entry = sample_entry();
    uint8_t bytes[256];
    (void)entry_encode(&entry, bytes);
    ck_assert_uint_eq(bytes_get_u64(bytes + 0), 7);
    ck_assert_uint_eq(bytes_get_u64(bytes + 8), (UINT64_C(1) << 40) + 3);
    ck_assert_uint_eq(bytes_get_u64(bytes + 16), 12345);
    ck_assert_uint_eq(bytes_get_u64(bytes + 24), 0x1122);
    ck_assert_uint_eq(bytes_get_u64(bytes + 32), 0x3344);
    ck_assert_uint_eq(bytes_get_u64(bytes + 40), 5);
    ck_assert_uint_eq(bytes_get_u64(bytes + 48), 9);
    ck_assert_uint_eq(bytes_get_u32(bytes + 56), 1);
    ck_assert_uint_eq(bytes_get_u32(bytes + 60), sizeof body);
}
END_TEST

START_TEST(entry_decode_refuses_what_is_no_entry)
{
    const struct entry entry = sample_entry();
    uint8_t good[256];
    const size_t size = entry_encode(&entry, good);
    struct entry read;
    for (size_t shorter = 0; shorter < size; shorter++) {
        ck_assert_uint_eq(entry_decode(good, shorter, &read), 0);
    }
    uint8_t bad[256];
    memcpy(bad, good, size);
    bad[56] = 4; /* unknown kind */
    ck_assert_uint_eq(entry_decode(bad, size, &read), 0);
    bad[56] = 0;
    ck_assert_uint_eq(entry_decode(bad, size, &read), 0);
    memcpy(bad, good, size);
    bad[57] = 1; /* padding */
    ck_assert_uint_eq(entry_decode(bad, size, &read), 0);
    memcpy(bad, good, size);
    bytes_put_u32(bad + 60, OPERATION_SIZE_MAX + 1);
    ck_assert_uint_eq(entry_decode(bad, SIZE_MAX / 2, &read), 0);
    memcpy(bad, good, size);
    bytes_put_u64(bad + 40, 0); /* an operation outside of any session */
    ck_assert_uint_eq(entry_decode(bad, size, &read), 0);
    memcpy(bad, good, size);
    bad[56] = ENTRY_REGISTER; /* with a body, a session and a number */
    ck_assert_uint_eq(entry_decode(bad, size, &read), 0);
}
END_TEST

/* PROTOCOL section 0: equal checksums mean equal logs; every bit before counts. */
START_TEST(chain_covers_parent_bytes_and_cluster)
{
    uint8_t bytes[256];
    const struct entry entry = sample_entry();
    const size_t size = entry_encode(&entry, bytes);
    const struct checksum start = entry_chain_start(1);
    const struct checksum one = entry_checksum(1, start, bytes, size);
    ck_assert(checksum_equal(one, entry_checksum(1, start, bytes, size)));
    ck_assert(!checksum_equal(start, entry_chain_start(2)));
    ck_assert(!checksum_equal(one, entry_checksum(2, start, bytes, size)));
    ck_assert(!checksum_equal(one, entry_checksum(1, one, bytes, size)));
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 1;
        ck_assert(!checksum_equal(one, entry_checksum(1, start, bytes, size)));
        bytes[i] ^= 1;
    }
}
END_TEST

static struct configuration sample_configuration(uint32_t member_count)
{
    struct configuration c = {
        .cluster_id = 0x7f3a91c2,
        .epoch = EPOCH_FIRST,
        .member_count = member_count,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < member_count; i++) {
        c.members[i].replica_id = i;
        c.members[i].role = MEMBER_ACTIVE;
        strcpy(c.members[i].host, "127.0.0.1");
        c.members[i].port = (uint16_t)(8000 + i);
        c.members[i].peer_port = (uint16_t)(8100 + i);
    }
    return c;
}

START_TEST(quorum_and_faults_of_every_size)
{
    static const uint32_t quorums[] = {0, 1, 2, 2, 3, 3, 4, 4, 5, 5};
    static const uint32_t faults[] = {0, 0, 0, 1, 1, 2, 2, 3, 3, 4};
    for (uint32_t n = 1; n <= REPLICAS_MAX; n++) {
        const struct configuration c = sample_configuration(n);
        ck_assert_ptr_null(configuration_reject(&c));
        ck_assert_uint_eq(configuration_quorum(&c), quorums[n]);
        ck_assert_uint_eq(configuration_faults_max(&c), faults[n]);
    }
}
END_TEST

/* V5: round robin over the actives, witnesses left out, whatever the epoch. */
START_TEST(primary_is_never_a_witness)
{
    struct configuration c = sample_configuration(3);
    c.members[1].role = MEMBER_WITNESS;
    ck_assert_ptr_null(configuration_reject(&c));
    ck_assert_uint_eq(configuration_primary(&c, view_make(1, 0)), 0);
    ck_assert_uint_eq(configuration_primary(&c, view_make(1, 1)), 2);
    ck_assert_uint_eq(configuration_primary(&c, view_make(1, 2)), 0);
    ck_assert_uint_eq(configuration_primary(&c, view_make(9, 1)), 2);
}
END_TEST

START_TEST(configuration_round_trip_and_hash)
{
    const struct configuration c = sample_configuration(5);
    uint8_t bytes[CONFIGURATION_ENCODED_MAX];
    const size_t size = configuration_encode(&c, bytes);
    struct configuration read;
    ck_assert(configuration_decode(bytes, size, &read));
    ck_assert_uint_eq(configuration_hash(&c), configuration_hash(&read));
    ck_assert_str_eq(read.members[4].host, "127.0.0.1");
    for (size_t shorter = 0; shorter < size; shorter++) {
        ck_assert(!configuration_decode(bytes, shorter, &read));
    }
    struct configuration other = c;
    other.parameters.sessions_max++;
    ck_assert_uint_ne(configuration_hash(&c), configuration_hash(&other));
    other = c;
    other.parameters.checkpoint_interval++;
    ck_assert_uint_ne(configuration_hash(&c), configuration_hash(&other));
    other = c;
    other.parameters.state_size_max++;
    ck_assert_uint_ne(configuration_hash(&c), configuration_hash(&other));
}
END_TEST

/* Format 1 ended before checkpoint_interval and state_size_max; all replicas read it alike. */
START_TEST(configuration_of_an_older_format_has_defaults)
{
    struct configuration c = sample_configuration(3);
    uint8_t bytes[CONFIGURATION_ENCODED_MAX];
    c.parameters.checkpoint_interval = 7;
    const size_t size = configuration_encode(&c, bytes);
    struct configuration read;
    bytes[0] = 1;
    ck_assert(!configuration_decode(bytes, size, &read));
    ck_assert(configuration_decode(bytes, size - 12, &read));
    ck_assert_uint_eq(read.parameters.checkpoint_interval, CHECKPOINT_INTERVAL_DEFAULT);
    ck_assert_uint_eq(read.parameters.state_size_max, STATE_SIZE_MAX_DEFAULT);
    ck_assert_uint_eq(read.parameters.sessions_max, c.parameters.sessions_max);
    bytes[0] = 3; /* an origin is missing */
    ck_assert(!configuration_decode(bytes, size, &read));
    bytes[0] = 4;
    ck_assert(!configuration_decode(bytes, size, &read));
}
END_TEST

/* A group made from a backup is another one than its like without, or from another one; without one
 * nothing is added, so that replicas of older builds agree. */
START_TEST(configuration_names_the_backup_that_all_begin_with)
{
    const struct configuration plain = sample_configuration(3);
    struct configuration c = plain;
    uint8_t bytes[CONFIGURATION_ENCODED_MAX];
    struct configuration read;
    const size_t plain_size = configuration_encode(&plain, bytes);
    ck_assert_uint_eq(bytes[0], 2);
    c.origin.low = 7;
    c.origin.high = 9;
    const size_t size = configuration_encode(&c, bytes);
    ck_assert_uint_eq(bytes[0], 3);
    ck_assert_uint_eq(size, plain_size + 16);
    ck_assert(configuration_decode(bytes, size, &read));
    ck_assert(checksum_equal(read.origin, c.origin));
    ck_assert_uint_eq(configuration_hash(&c), configuration_hash(&read));
    ck_assert_uint_ne(configuration_hash(&c), configuration_hash(&plain));
    read.origin.high++;
    ck_assert_uint_ne(configuration_hash(&c), configuration_hash(&read));
    ck_assert(!configuration_decode(bytes, size - 1, &read));
    memset(bytes + size - 16, 0, 16); /* that is format 2's */
    ck_assert(!configuration_decode(bytes, size, &read));
}
END_TEST

/* PITFALLS RF-8: bad configurations are refused before anybody lives by them. */
START_TEST(configuration_refuses_nonsense)
{
    struct configuration c = sample_configuration(3);
    c.members[2].replica_id = 0;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c = sample_configuration(3);
    c.members[2].port = 8000;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c = sample_configuration(3);
    c.members[0].host[0] = '\0';
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c = sample_configuration(3);
    c.members[0].role = MEMBER_WITNESS;
    c.members[1].role = MEMBER_WITNESS;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c = sample_configuration(3);
    c.member_count = 0;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.member_count = REPLICAS_MAX + 1;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c = sample_configuration(3);
    c.cluster_id = 0;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c = sample_configuration(3);
    c.parameters.operation_size_max = OPERATION_SIZE_MAX + 1;
    ck_assert_ptr_nonnull(configuration_reject(&c));
}
END_TEST

/* E0: the least of each parameter is one that a group can work with. */
START_TEST(configuration_refuses_parameters_below_the_least)
{
    struct configuration c = sample_configuration(3);
    c.parameters = (struct cluster_parameters){.sessions_max = 1,
                                               .operation_size_max = 1,
                                               .reply_stored_max = REPLY_STORED_MIN,
                                               .checkpoint_interval = 1,
                                               .state_size_max = STATE_SIZE_MIN};
    ck_assert_ptr_null(configuration_reject(&c));
    c.parameters.reply_stored_max = REPLY_STORED_MIN - 1;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.reply_stored_max = REPLY_STORED_MAX + 1;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.reply_stored_max = REPLY_STORED_MIN;
    c.parameters.sessions_max = 0;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.sessions_max = 1;
    c.parameters.operation_size_max = 0;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.operation_size_max = 1;
    c.parameters.checkpoint_interval = 0;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.checkpoint_interval = CHECKPOINT_INTERVAL_MAX;
    ck_assert_ptr_null(configuration_reject(&c));
    c.parameters.checkpoint_interval++;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.checkpoint_interval = 1;
    c.parameters.state_size_max = STATE_SIZE_MIN - 1;
    ck_assert_ptr_nonnull(configuration_reject(&c));
    c.parameters.state_size_max = STATE_SIZE_MAX;
    ck_assert_ptr_null(configuration_reject(&c));
    c.parameters.state_size_max++;
    ck_assert_ptr_nonnull(configuration_reject(&c));
}
END_TEST

/* What a damaged file or a peer says is judged before it is believed. */
START_TEST(configuration_with_parameters_out_of_range_is_not_decoded)
{
    const struct configuration good = sample_configuration(3);
    uint8_t bytes[CONFIGURATION_ENCODED_MAX];
    struct configuration read;
    struct configuration bad[4] = {good, good, good, good};
    bad[0].parameters.checkpoint_interval = 0;
    bad[1].parameters.checkpoint_interval = CHECKPOINT_INTERVAL_MAX + 1;
    bad[2].parameters.state_size_max = STATE_SIZE_MIN - 1;
    bad[3].parameters.state_size_max = UINT64_MAX;
    for (int i = 0; i < 4; i++) {
        const size_t size = configuration_encode(&bad[i], bytes);
        ck_assert(!configuration_decode(bytes, size, &read));
    }
    size_t size = configuration_encode(&good, bytes);
    ck_assert(configuration_decode(bytes, size, &read));
    ck_assert(memcmp(&read.parameters, &good.parameters, sizeof read.parameters) == 0);
    ck_assert(!configuration_decode(bytes, size - 1, &read));
    ck_assert(!configuration_decode(bytes, size - 12, &read)); /* format 2, as short as format 1 */
}
END_TEST

START_TEST(prng_repeats_and_stays_in_bounds)
{
    struct prng a;
    struct prng b;
    prng_seed(&a, 42);
    prng_seed(&b, 42);
    uint32_t seen = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(prng_next(&a), prng_next(&b));
        const uint64_t value = prng_between(&a, 3, 7);
        (void)prng_next(&b);
        ck_assert(value >= 3 && value <= 7);
        seen |= 1u << value;
    }
    ck_assert_uint_eq(seen, 0xf8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tcase = tcase_create("base");
    tcase_add_test(tcase, entry_round_trip);
    tcase_add_test(tcase, entry_layout_is_fixed);
    tcase_add_test(tcase, entry_decode_refuses_what_is_no_entry);
    tcase_add_test(tcase, chain_covers_parent_bytes_and_cluster);
    tcase_add_test(tcase, quorum_and_faults_of_every_size);
    tcase_add_test(tcase, primary_is_never_a_witness);
    tcase_add_test(tcase, configuration_round_trip_and_hash);
    tcase_add_test(tcase, configuration_of_an_older_format_has_defaults);
    tcase_add_test(tcase, configuration_names_the_backup_that_all_begin_with);
    tcase_add_test(tcase, configuration_refuses_nonsense);
    tcase_add_test(tcase, configuration_refuses_parameters_below_the_least);
    tcase_add_test(tcase, configuration_with_parameters_out_of_range_is_not_decoded);
    tcase_add_test(tcase, prng_repeats_and_stays_in_bounds);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
