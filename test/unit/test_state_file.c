/* SPDX-License-Identifier: Apache-2.0 */
/* The state file: what a replica must never forget, on a disk that forgets (PITFALLS PS-1, PS-3,
 * PS-5, PS-8), and on the real one. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "server/storage/log_store.h"
#include "server/storage/state_file.h"
#include "test/support/sim_disk.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define DIRECTORY "data/replica1"
#define STATE_PATH DIRECTORY "/state"

enum { SEEDS = 300 };

static struct configuration three_members(void)
{
    struct configuration c = {
        .cluster_id = 0x7f3a91c2,
        .epoch = EPOCH_FIRST,
        .member_count = 3,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < c.member_count; i++) {
        c.members[i] = (struct member){
            .replica_id = i,
            .role = MEMBER_ACTIVE,
            .host = "127.0.0.1",
            .port = (uint16_t)(8000 + i),
            .peer_port = (uint16_t)(8100 + i),
        };
    }
    return c;
}

static struct durable_state fresh_state(void)
{
    const struct configuration configuration = three_members();
    struct durable_state state;
    durable_state_init(&state, &configuration, 1, 0xfeed);
    return state;
}

/* A later state, each of its fields told from the earlier one's. */
static struct durable_state later_state(const struct durable_state *state, uint64_t by)
{
    struct durable_state later = *state;
    later.incarnation += by;
    later.vr.view_number += by;
    later.vr.last_normal_view = later.vr.view_number;
    later.vr.log_valid = by % 2 == 0;
    later.vr.identities[0] = 0xabc0 + by;
    later.checkpoint.op = by;
    later.checkpoint.checksum = (struct checksum){by, ~by};
    later.clean_shutdown = by % 2 == 1;
    later.log_segment = 100 + by;
    later.log_end = (struct wal_end){200 + by, {300 + by, {400 + by, ~by}}};
    memset(later.boot_id, (int)by, sizeof later.boot_id);
    return later;
}

static bool states_equal(const struct durable_state *a, const struct durable_state *b)
{
    return configuration_hash(&a->configuration) == configuration_hash(&b->configuration) &&
           a->replica_id == b->replica_id && a->identity == b->identity &&
           a->incarnation == b->incarnation &&
           memcmp(a->boot_id, b->boot_id, sizeof a->boot_id) == 0 &&
           a->clean_shutdown == b->clean_shutdown && a->durability == b->durability &&
           a->checkpoint.op == b->checkpoint.op &&
           checksum_equal(a->checkpoint.checksum, b->checkpoint.checksum) &&
           a->log_segment == b->log_segment && a->log_end.segment == b->log_end.segment &&
           a->log_end.head.op_number == b->log_end.head.op_number &&
           checksum_equal(a->log_end.head.checksum, b->log_end.head.checksum) &&
           a->vr.view_number == b->vr.view_number &&
           a->vr.last_normal_view == b->vr.last_normal_view && a->vr.log_valid == b->vr.log_valid &&
           memcmp(a->vr.identities, b->vr.identities, sizeof a->vr.identities) == 0;
}

struct fixture {
    struct sim_disk disk;
    struct file_ops ops;
    struct state_file file;
    struct storage_error error;
    struct durable_state first;
};

/* A disk with a directory that init finished. */
static void fixture_init(struct fixture *f, uint64_t seed)
{
    sim_disk_init(&f->disk, seed);
    f->ops = sim_disk_ops(&f->disk);
    f->first = fresh_state();
    ck_assert_int_eq(f->ops.create_directory(&f->disk, "data"), 0);
    ck_assert_int_eq(f->ops.sync_directory(&f->disk, "."), 0);
    ck_assert_int_eq(state_file_create(&f->ops, DIRECTORY, &f->first, &f->error), 0);
    f->disk.calls = 0;
}

static struct durable_state fixture_open(struct fixture *f)
{
    struct durable_state state;
    const int status = state_file_open(&f->file, &f->ops, DIRECTORY, &state, &f->error);
    ck_assert_msg(status == 0, "open: %d %s", status, f->error.text);
    return state;
}

static int fixture_try_open(struct fixture *f)
{
    struct durable_state state;
    return state_file_open(&f->file, &f->ops, DIRECTORY, &state, &f->error);
}

static void fixture_store(struct fixture *f, const struct durable_state *state)
{
    ck_assert_int_eq(state_file_store(&f->file, state, &f->error), 0);
}

/* The checksum as state_file.h promises it, in one piece; its own field is zeroed first. */
static void seal_as_the_format_says(uint8_t *slot)
{
    memset(slot + 32, 0, 16);
    const XXH128_hash_t hash = XXH3_128bits(slot, STATE_SLOT_SIZE);
    bytes_put_u64(slot + 32, hash.low64);
    bytes_put_u64(slot + 40, hash.high64);
}

/* --- what is written is what is read --- */

START_TEST(init_writes_view_zero_normal_in_none)
{
    static struct fixture f;
    fixture_init(&f, 1);
    const struct durable_state state = fixture_open(&f);
    ck_assert(states_equal(&state, &f.first));
    ck_assert_uint_eq(state.vr.view_number, view_make(EPOCH_FIRST, 0)); /* P1 */
    ck_assert_uint_eq(state.vr.last_normal_view, VIEW_NONE);
    ck_assert(state.vr.log_valid);   /* D3 */
    ck_assert(state.clean_shutdown); /* D5 */
    ck_assert_uint_eq(state.vr.identities[1], state.identity);
    state_file_close(&f.file);
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(every_field_comes_back)
{
    static struct fixture f;
    fixture_init(&f, 1);
    const struct durable_state first = fixture_open(&f);
    for (uint64_t i = 1; i < 10; i++) {
        const struct durable_state later = later_state(&first, i);
        fixture_store(&f, &later);
        sim_disk_power_cut(&f.disk);
        const struct durable_state read = fixture_open(&f);
        ck_assert_msg(states_equal(&read, &later), "state %d", (int)i);
    }
    sim_disk_free(&f.disk);
}
END_TEST

/* Format 1 ended before what is known of the log: it is read, and written anew as format 2. */
START_TEST(the_format_before_is_read)
{
    static struct fixture f;
    fixture_init(&f, 1);
    size_t size;
    uint8_t *bytes = sim_disk_bytes(&f.disk, STATE_PATH, &size);
    for (uint32_t i = 0; i < STATE_SLOTS; i++) {
        uint8_t *slot = bytes + (size_t)i * STATE_SLOT_SIZE;
        const uint32_t content_size = bytes_get_u32(slot + 24) - STATE_CONTENT_LOG_SIZE;
        bytes_put_u32(slot + 8, 1);
        bytes_put_u32(slot + 24, content_size);
        memset(slot + 48 + content_size, 0, STATE_CONTENT_LOG_SIZE);
        seal_as_the_format_says(slot);
    }
    const struct durable_state old = fixture_open(&f);
    ck_assert(states_equal(&old, &f.first));
    ck_assert_uint_eq(old.log_segment, 0);
    for (uint64_t i = 1; i < 4; i++) {
        const struct durable_state later = later_state(&old, i);
        fixture_store(&f, &later);
        sim_disk_process_killed(&f.disk);
        const struct durable_state read = fixture_open(&f);
        ck_assert(states_equal(&read, &later));
    }
    sim_disk_free(&f.disk);
}
END_TEST

/* The configuration of an earlier build ends 12 bytes before ours: it is read with the defaults of
 * what it lacks, and written anew as ours is. */
START_TEST(the_configuration_before_is_read)
{
    enum { LACKING = 12 };
    static struct fixture f;
    fixture_init(&f, 1);
    size_t size;
    uint8_t *bytes = sim_disk_bytes(&f.disk, STATE_PATH, &size);
    for (uint32_t i = 0; i < STATE_SLOTS; i++) {
        uint8_t *slot = bytes + (size_t)i * STATE_SLOT_SIZE;
        uint8_t *content = slot + STATE_SLOT_HEADER_SIZE;
        const uint32_t content_size = bytes_get_u32(slot + 24);
        const uint32_t configuration_size = bytes_get_u32(content + 80);
        uint8_t *end = content + 84 + configuration_size;
        memmove(end - LACKING, end, content_size - 84 - configuration_size);
        memset(content + content_size - LACKING, 0, LACKING);
        bytes_put_u16(content + 84, 1);
        bytes_put_u32(content + 80, configuration_size - LACKING);
        bytes_put_u32(slot + 24, content_size - LACKING);
        seal_as_the_format_says(slot);
    }
    const struct durable_state old = fixture_open(&f);
    ck_assert(states_equal(&old, &f.first)); /* whose parameters are the defaults */
    const struct durable_state later = later_state(&old, 1);
    fixture_store(&f, &later);
    sim_disk_process_killed(&f.disk);
    const struct durable_state read = fixture_open(&f);
    ck_assert(states_equal(&read, &later));
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(the_largest_configuration_fits)
{
    static struct fixture f;
    fixture_init(&f, 1);
    struct configuration c = three_members();
    c.member_count = REPLICAS_MAX;
    for (uint32_t i = 0; i < REPLICAS_MAX; i++) {
        c.members[i] = c.members[0];
        c.members[i].replica_id = i;
        memset(c.members[i].host, 'a' + (int)i, HOST_SIZE_MAX - 1);
        c.members[i].host[HOST_SIZE_MAX - 1] = '\0';
    }
    struct durable_state state;
    durable_state_init(&state, &c, REPLICAS_MAX - 1, 7);
    ck_assert_int_eq(state_file_create(&f.ops, "data/large", &state, &f.error), 0);
    struct durable_state read;
    ck_assert_int_eq(state_file_open(&f.file, &f.ops, "data/large", &read, &f.error), 0);
    ck_assert(states_equal(&read, &state));
    sim_disk_free(&f.disk);
}
END_TEST

/* --- crashes --- */

/* PITFALLS PS-1: power goes at every single call of a store; afterwards the state is the old one or
 * the new one, and the new one if store() said so. */
START_TEST(a_crash_in_a_store_leaves_old_or_new)
{
    static struct fixture f;
    uint32_t seen_old = 0;
    uint32_t seen_new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint64_t step = 1;; step++) {
            fixture_init(&f, seed);
            struct durable_state old = fixture_open(&f);
            for (uint64_t i = 0; i < seed % 3; i++) { /* either pair may be the newest */
                old = later_state(&old, 1);
                fixture_store(&f, &old);
            }
            const struct durable_state new = later_state(&old, 2);
            f.disk.power_cut_at = f.disk.calls + step;
            const bool stored = state_file_store(&f.file, &new, &f.error) == 0;
            sim_disk_power_cut(&f.disk);

            const struct durable_state read = fixture_open(&f);
            const bool is_new = states_equal(&read, &new);
            ck_assert_msg(is_new || states_equal(&read, &old), "seed %d step %d", (int)seed,
                          (int)step);
            ck_assert(is_new || !stored);
            seen_new += is_new && !stored;
            seen_old += !is_new;
            sim_disk_free(&f.disk);
            if (stored) {
                break;
            }
        }
    }
    ck_assert_uint_gt(seen_old, 0);
    ck_assert_uint_gt(seen_new, 0);
}
END_TEST

/* What open() returned is believed and acted on, so it must stay, although it may have been found
 * in the page cache only: the process died between write and sync, then the machine dies as well.
 */
START_TEST(a_state_once_read_survives_a_power_cut)
{
    static struct fixture f;
    uint32_t seen_new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fixture_init(&f, seed);
        const struct durable_state old = fixture_open(&f);
        const struct durable_state new = later_state(&old, 2);
        f.disk.fail_at = f.disk.calls + 2; /* the sync */
        f.disk.fail_status = -EIO;
        ck_assert_int_eq(state_file_store(&f.file, &new, &f.error), -EIO);
        sim_disk_process_killed(&f.disk);
        const struct durable_state read = fixture_open(&f);
        sim_disk_power_cut(&f.disk);
        const struct durable_state again = fixture_open(&f);
        ck_assert(states_equal(&again, &read));
        seen_new += states_equal(&read, &new);
        sim_disk_free(&f.disk);
    }
    ck_assert_uint_gt(seen_new, 0);
}
END_TEST

/* A state that was reported durable survives a power cut at any call of the open() that follows,
 * and of the one after that. */
START_TEST(a_crash_while_opening_loses_nothing)
{
    static struct fixture f;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint64_t step = 1; step <= 5; step++) {
            fixture_init(&f, seed);
            const struct durable_state old = fixture_open(&f);
            const struct durable_state new = later_state(&old, 2);
            fixture_store(&f, &new);
            for (int times = 0; times < 2; times++) {
                sim_disk_process_killed(&f.disk);
                f.disk.power_cut_at = f.disk.calls + step;
                (void)fixture_try_open(&f);
                sim_disk_power_cut(&f.disk);
            }
            const struct durable_state read = fixture_open(&f);
            ck_assert_msg(states_equal(&read, &new), "seed %d step %d", (int)seed, (int)step);
            sim_disk_free(&f.disk);
        }
    }
}
END_TEST

/* The same with one copy of it rotten: the good one is not at risk while the other is repaired. */
START_TEST(a_crash_while_repairing_loses_nothing)
{
    static struct fixture f;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint64_t step = 1; step <= 5; step++) {
            fixture_init(&f, seed);
            struct durable_state new = fixture_open(&f);
            for (uint64_t i = 0; i <= seed % 2; i++) {
                new = later_state(&new, 2);
                fixture_store(&f, &new);
            }
            sim_disk_process_killed(&f.disk);
            const size_t pair = f.file.sequence % 2 * 2 * STATE_SLOT_SIZE;
            const size_t copy = pair + seed / 2 % 2 * STATE_SLOT_SIZE;
            sim_disk_rot(&f.disk, STATE_PATH, copy + seed % STATE_SLOT_SIZE, 1);
            f.disk.power_cut_at = f.disk.calls + step;
            (void)fixture_try_open(&f);
            sim_disk_power_cut(&f.disk);
            const struct durable_state read = fixture_open(&f);
            ck_assert_msg(states_equal(&read, &new), "seed %d step %d", (int)seed, (int)step);
            sim_disk_free(&f.disk);
        }
    }
}
END_TEST

/* One copy may be on the disk and the other one in the page cache only: a start that was killed
 * before its sync left that, where the end before it had torn the one. So ends of both kinds follow
 * each other, at any call of some starts, the first of them perhaps in a store. */
START_TEST(ends_of_both_kinds_lose_nothing)
{
    static struct fixture f;
    struct prng prng;
    prng_seed(&prng, 5);
    for (uint64_t round = 0; round < 4000; round++) {
        fixture_init(&f, round);
        const struct durable_state old = fixture_open(&f);
        const struct durable_state new = later_state(&old, 2);
        const bool reported = prng_chance(&prng, 1, 2);
        f.disk.power_cut_at = reported ? 0 : f.disk.calls + prng_between(&prng, 1, 2);
        const int status = state_file_store(&f.file, &new, &f.error);
        ck_assert((status == 0) == reported);
        for (int ends = 0; ends < 6; ends++) {
            if (prng_chance(&prng, 1, 2)) {
                sim_disk_power_cut(&f.disk);
            } else {
                sim_disk_process_killed(&f.disk);
            }
            f.disk.power_cut_at = f.disk.calls + prng_between(&prng, 1, 5);
            (void)fixture_try_open(&f);
        }
        sim_disk_power_cut(&f.disk);
        const struct durable_state read = fixture_open(&f);
        ck_assert_msg(states_equal(&read, &new) || (!reported && states_equal(&read, &old)),
                      "round %d", (int)round);
        sim_disk_free(&f.disk);
    }
}
END_TEST

/* PITFALLS PS-8: an init cut short leaves no state file, or all of it; one that said 0 stays. */
START_TEST(a_crash_in_init_leaves_nothing_or_all)
{
    static struct fixture f;
    uint32_t seen_none = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint64_t step = 1;; step++) {
            fixture_init(&f, seed);
            f.disk.power_cut_at = f.disk.calls + step;
            const bool created = state_file_create(&f.ops, "data/other", &f.first, &f.error) == 0;
            sim_disk_power_cut(&f.disk);
            struct durable_state read;
            const int status = state_file_open(&f.file, &f.ops, "data/other", &read, &f.error);
            ck_assert(status == 0 || (status == -ENOENT && !created));
            ck_assert(status != 0 || states_equal(&read, &f.first));
            seen_none += status != 0;
            sim_disk_free(&f.disk);
            if (created) {
                break;
            }
        }
    }
    ck_assert_uint_gt(seen_none, 0);
}
END_TEST

/* --- damage --- */

/* PITFALLS PS-5: one damaged block, anywhere in the file, never costs the newest state. */
START_TEST(one_rotten_block_costs_nothing)
{
    static struct fixture f;
    for (uint64_t stores = 0; stores < 4; stores++) {
        for (size_t offset = 0; offset < STATE_FILE_SIZE; offset += SIM_DISK_SECTOR_SIZE) {
            fixture_init(&f, 1);
            struct durable_state newest = fixture_open(&f);
            for (uint64_t i = 0; i < stores; i++) {
                newest = later_state(&newest, 1);
                fixture_store(&f, &newest);
            }
            sim_disk_process_killed(&f.disk);
            sim_disk_rot(&f.disk, STATE_PATH, offset, SIM_DISK_SECTOR_SIZE);
            struct durable_state read = fixture_open(&f);
            ck_assert(states_equal(&read, &newest));
            /* Opening repaired it: the other copy may rot now. */
            sim_disk_process_killed(&f.disk);
            sim_disk_rot(&f.disk, STATE_PATH, offset ^ STATE_SLOT_SIZE, SIM_DISK_SECTOR_SIZE);
            read = fixture_open(&f);
            ck_assert(states_equal(&read, &newest));
            sim_disk_free(&f.disk);
        }
    }
}
END_TEST

START_TEST(every_flipped_byte_is_noticed)
{
    static struct fixture f;
    fixture_init(&f, 1);
    for (size_t at = 0; at < STATE_SLOT_SIZE; at++) {
        for (uint32_t slot = 0; slot < STATE_SLOTS; slot++) {
            sim_disk_rot(&f.disk, STATE_PATH, (size_t)slot * STATE_SLOT_SIZE + at, 1);
        }
        ck_assert_int_eq(fixture_try_open(&f), at < 8 ? -EINVAL : -EBADMSG);
        for (uint32_t slot = 0; slot < STATE_SLOTS; slot++) {
            sim_disk_rot(&f.disk, STATE_PATH, (size_t)slot * STATE_SLOT_SIZE + at, 1);
        }
    }
    (void)fixture_open(&f);
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(damage_everywhere_is_refused_with_advice)
{
    static struct fixture f;
    fixture_init(&f, 1);
    for (uint32_t slot = 0; slot < STATE_SLOTS; slot++) {
        sim_disk_rot(&f.disk, STATE_PATH, (size_t)slot * STATE_SLOT_SIZE + 60, 1);
    }
    ck_assert_int_eq(fixture_try_open(&f), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(f.error.text, "damaged"));
    ck_assert_ptr_nonnull(strstr(f.error.text, "replace the replica"));
    ck_assert_ptr_nonnull(strstr(f.error.text, DIRECTORY));
    sim_disk_free(&f.disk);
}
END_TEST

/* PITFALLS PS-5: a slot written to another slot's place is no valid slot there. */
START_TEST(a_misdirected_write_is_noticed)
{
    static struct fixture f;
    fixture_init(&f, 1);
    size_t size;
    uint8_t *bytes = sim_disk_bytes(&f.disk, STATE_PATH, &size);
    uint8_t slot[STATE_SLOT_SIZE];
    memcpy(slot, bytes + 2 * STATE_SLOT_SIZE, sizeof slot);
    for (uint32_t i = 0; i < STATE_SLOTS; i++) {
        if (i != 2) {
            memcpy(bytes + (size_t)i * STATE_SLOT_SIZE, slot, sizeof slot);
        }
    }
    memset(bytes + 2 * STATE_SLOT_SIZE, 0, sizeof slot);
    ck_assert_int_eq(fixture_try_open(&f), -EBADMSG);
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(a_foreign_file_is_refused)
{
    static struct fixture f;
    fixture_init(&f, 1);
    size_t size;
    uint8_t *bytes = sim_disk_bytes(&f.disk, STATE_PATH, &size);
    memset(bytes, 'x', size);
    ck_assert_int_eq(fixture_try_open(&f), -EINVAL);
    ck_assert_ptr_nonnull(strstr(f.error.text, "not a state file"));
    sim_disk_free(&f.disk);
}
END_TEST

/* Magic, format and checksum keep their places for ever: a newer format is named, not "damaged",
 * and an older state beside it is not believed. */
START_TEST(a_newer_format_is_refused)
{
    static struct fixture f;
    fixture_init(&f, 1);
    size_t size;
    uint8_t *slot = sim_disk_bytes(&f.disk, STATE_PATH, &size);
    bytes_put_u32(slot + 8, STATE_FORMAT + 1);
    seal_as_the_format_says(slot);
    ck_assert_int_eq(fixture_try_open(&f), -EPROTO);
    ck_assert_ptr_nonnull(strstr(f.error.text, "newer version"));
    sim_disk_free(&f.disk);
}
END_TEST

/* Whole by its checksum, but no state that this program could have written. */
START_TEST(content_that_cannot_be_is_damage)
{
    static const struct {
        size_t offset;
        uint8_t value;
    } faults[] = {
        {48 + 0, 9},  /* a replica that is no member */
        {48 + 4, 0},  /* no durability mode */
        {48 + 4, 4},  /* one beyond the last */
        {48 + 5, 2},  /* a flag that is neither */
        {48 + 6, 2},  /* */
        {48 + 7, 2},  /* */
        {48 + 8, 1},  /* an identity that is not the bound one */
        {48 + 45, 2}, /* a view of another epoch */
        {48 + 54, 1}, /* last_normal_view above view_number */
        {48 + 80, 1}, /* a configuration cut short */
        {48 + 82, 1}, /* or longer than the slot */
        {48 + 84, 9}, /* or of another form */
        {24, 80},     /* content cut short */
        {25, 0xff},   /* or longer than the slot */
        {16, 1},      /* a sequence that belongs to the other pair */
    };
    static struct fixture f;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        fixture_init(&f, 1);
        size_t size;
        uint8_t *bytes = sim_disk_bytes(&f.disk, STATE_PATH, &size);
        bytes[faults[i].offset] = faults[i].value;
        seal_as_the_format_says(bytes);
        memset(bytes + STATE_SLOT_SIZE, 0, size - STATE_SLOT_SIZE);
        ck_assert_msg(fixture_try_open(&f) == -EBADMSG, "fault %d: %s", (int)i, f.error.text);
        sim_disk_free(&f.disk);
    }
}
END_TEST

START_TEST(a_short_file_is_damage_of_what_it_lacks)
{
    static struct fixture f;
    fixture_init(&f, 1);
    const struct durable_state old = fixture_open(&f);
    const struct durable_state new = later_state(&old, 1);
    fixture_store(&f, &old); /* sequence 3, and 4 */
    fixture_store(&f, &new); /* that is the first pair */
    sim_disk_process_killed(&f.disk);
    for (uint32_t i = 0; i < SIM_DISK_NODES_MAX; i++) {
        struct sim_disk_node *node = &f.disk.nodes[i];
        if (node->now.size == STATE_FILE_SIZE) {
            node->now.size = STATE_SLOT_SIZE;
        }
    }
    const struct durable_state read = fixture_open(&f);
    ck_assert(states_equal(&read, &new));
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(random_bytes_never_open)
{
    static struct fixture f;
    struct prng prng;
    prng_seed(&prng, 4);
    for (uint64_t round = 0; round < 200; round++) {
        fixture_init(&f, round);
        size_t size;
        uint8_t *bytes = sim_disk_bytes(&f.disk, STATE_PATH, &size);
        for (uint32_t slot = 0; slot < STATE_SLOTS; slot++) {
            /* Random content under a good header and checksum: the decoder alone stands. */
            uint8_t *at = bytes + (size_t)slot * STATE_SLOT_SIZE;
            const size_t from = 48 + (size_t)prng_below(&prng, 400);
            const size_t count = 1 + (size_t)prng_below(&prng, 200);
            for (size_t i = from; i < from + count; i++) {
                at[i] = (uint8_t)prng_next(&prng);
            }
            seal_as_the_format_says(at);
        }
        struct durable_state state;
        if (state_file_open(&f.file, &f.ops, DIRECTORY, &state, &f.error) == 0) {
            ck_assert_ptr_null(durable_state_reject(&state));
        }
        sim_disk_free(&f.disk);
    }
}
END_TEST

/* --- errors of the machine --- */

/* PITFALLS PS-3: an error of write or sync is reported and final; nothing is tried again. */
START_TEST(a_failed_store_is_final)
{
    for (uint64_t call = 1; call <= 2; call++) {
        static struct fixture f;
        fixture_init(&f, 1);
        const struct durable_state old = fixture_open(&f);
        const struct durable_state new = later_state(&old, 1);
        f.disk.fail_at = f.disk.calls + call;
        f.disk.fail_status = -EIO;
        ck_assert_int_eq(state_file_store(&f.file, &new, &f.error), -EIO);
        const uint64_t calls = f.disk.calls;
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(state_file_store(&f.file, &new, &f.error), -EIO);
            ck_assert_ptr_nonnull(strstr(f.error.text, "must stop"));
        }
        ck_assert_uint_eq(f.disk.calls, calls);
        sim_disk_free(&f.disk);
    }
}
END_TEST

START_TEST(a_failed_open_is_reported)
{
    for (uint64_t call = 1; call <= 5; call++) {
        static struct fixture f;
        fixture_init(&f, 1);
        f.disk.fail_at = call;
        f.disk.fail_status = -EIO;
        ck_assert_int_eq(fixture_try_open(&f), -EIO);
        (void)fixture_open(&f); /* and left no lock behind */
        sim_disk_free(&f.disk);
    }
}
END_TEST

/* One copy of a pair is enough, and heals the other; of a pair that gives nothing it cannot be told
 * whether it was the newest. */
START_TEST(a_copy_that_cannot_be_read_is_a_damaged_one)
{
    for (uint32_t worn = 0; worn < 16; worn++) {
        static struct fixture f;
        fixture_init(&f, 1);
        const struct durable_state old = fixture_open(&f);
        const struct durable_state new = later_state(&old, 1);
        fixture_store(&f, &new);
        state_file_close(&f.file);
        for (uint32_t i = 0; i < STATE_SLOTS; i++) {
            if ((worn & (1u << i)) != 0) {
                sim_disk_wear(&f.disk, STATE_PATH, (size_t)i * STATE_SLOT_SIZE + 600, 1);
            }
        }
        if ((worn & 3) == 3 || (worn & 12) == 12) {
            ck_assert_int_eq(fixture_try_open(&f), -EIO);
            ck_assert_ptr_nonnull(strstr(f.error.text, "may be the newest"));
            ck_assert_int_eq(fixture_try_open(&f), -EIO); /* and left no lock behind */
            sim_disk_free(&f.disk);
            continue;
        }
        struct durable_state found = fixture_open(&f);
        ck_assert(states_equal(&found, &new));
        ck_assert_uint_eq(f.file.unreadable, worn);
        fixture_store(&f, &new); /* as a start does */
        state_file_close(&f.file);
        found = fixture_open(&f);
        ck_assert(states_equal(&found, &new));
        ck_assert_uint_eq(f.file.unreadable, 0);
        sim_disk_free(&f.disk);
    }
}
END_TEST

/* What fails once and not again is no damage; beside a damaged copy an unreadable one hides what
 * may be the newest. */
START_TEST(a_copy_that_is_damaged_does_not_speak_for_one_that_cannot_be_read)
{
    static struct fixture f;
    fixture_init(&f, 1);
    const struct durable_state old = fixture_open(&f);
    const struct durable_state new = later_state(&old, 1);
    fixture_store(&f, &new);
    state_file_close(&f.file);
    f.disk.read_fail_at = f.disk.reads + 1;
    const struct durable_state found = fixture_open(&f);
    ck_assert(states_equal(&found, &new));
    ck_assert_uint_eq(f.file.unreadable, 0);
    const uint32_t newest = (uint32_t)(f.file.sequence % 2) * 2;
    state_file_close(&f.file);
    sim_disk_rot(&f.disk, STATE_PATH, (size_t)newest * STATE_SLOT_SIZE + 600, 1);
    sim_disk_wear(&f.disk, STATE_PATH, (size_t)(newest + 1) * STATE_SLOT_SIZE + 600, 1);
    ck_assert_int_eq(fixture_try_open(&f), -EIO);
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(a_full_disk_says_what_to_do)
{
    static struct fixture f;
    fixture_init(&f, 1);
    const struct durable_state old = fixture_open(&f);
    const struct durable_state new = later_state(&old, 1);
    f.disk.fail_at = f.disk.calls + 1;
    f.disk.fail_status = -ENOSPC;
    ck_assert_int_eq(state_file_store(&f.file, &new, &f.error), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(f.error.text, "free some space"));
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(every_failure_of_init_is_reported)
{
    uint64_t failed = 0;
    for (uint64_t call = 1;; call++) {
        static struct fixture f;
        fixture_init(&f, 1);
        f.disk.fail_at = call;
        f.disk.fail_status = -ENOSPC;
        const int status = state_file_create(&f.ops, "data/other", &f.first, &f.error);
        sim_disk_free(&f.disk);
        if (status == 0) {
            break;
        }
        ck_assert_int_eq(status, -ENOSPC);
        failed++;
    }
    ck_assert_uint_eq(failed, 7); /* mkdir, create, write, sync, rename, sync, sync of the parent */
}
END_TEST

/* --- directories --- */

/* PITFALLS RC-8. */
START_TEST(init_refuses_an_existing_directory)
{
    static struct fixture f;
    fixture_init(&f, 1);
    ck_assert_int_eq(state_file_create(&f.ops, DIRECTORY, &f.first, &f.error), -EEXIST);
    ck_assert_ptr_nonnull(strstr(f.error.text, "exists"));
    ck_assert_int_eq(state_file_create(&f.ops, "data", &f.first, &f.error), -EEXIST);
    const struct durable_state state = fixture_open(&f);
    ck_assert(states_equal(&state, &f.first));
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(a_missing_directory_is_never_recreated)
{
    static struct fixture f;
    fixture_init(&f, 1);
    struct durable_state state;
    ck_assert_int_eq(state_file_open(&f.file, &f.ops, "data/none", &state, &f.error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(f.error.text, "no data directory")); /* D10 */
    ck_assert_int_eq(state_file_open(&f.file, &f.ops, "data", &state, &f.error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(f.error.text, "init did not finish"));
    sim_disk_free(&f.disk);
}
END_TEST

/* PITFALLS PS-8: two processes on one data directory. */
START_TEST(a_directory_in_use_is_refused)
{
    static struct fixture f;
    static struct state_file second;
    fixture_init(&f, 1);
    (void)fixture_open(&f);
    struct durable_state state;
    ck_assert_int_eq(state_file_open(&second, &f.ops, DIRECTORY, &state, &f.error), -EWOULDBLOCK);
    ck_assert_ptr_nonnull(strstr(f.error.text, "in use"));
    state_file_close(&f.file);
    ck_assert_int_eq(state_file_open(&second, &f.ops, DIRECTORY, &state, &f.error), 0);
    sim_disk_free(&f.disk);
}
END_TEST

static int must_not_write(void *disk, int file, uint64_t offset, const void *bytes, size_t size)
{
    (void)disk, (void)file, (void)offset, (void)bytes, (void)size;
    ck_abort_msg("it writes");
    return -EIO;
}

static int must_not_lock(void *disk, const char *path)
{
    (void)disk, (void)path;
    ck_abort_msg("it locks");
    return -EIO;
}

/* --check: also while a replica runs from the directory, which does not notice. */
START_TEST(peeking_reads_and_changes_nothing)
{
    static struct fixture f;
    struct durable_state seen;
    fixture_init(&f, 1);
    struct durable_state state = fixture_open(&f);
    state = later_state(&state, 3);
    fixture_store(&f, &state);
    struct file_ops reading = f.ops;
    reading.write = must_not_write;
    reading.lock_directory = must_not_lock;
    ck_assert_int_eq(state_file_peek(&reading, DIRECTORY, &seen, &f.error), 0);
    ck_assert(states_equal(&seen, &state));
    state = later_state(&state, 4);
    fixture_store(&f, &state); /* whoever runs from it goes on */
    state_file_close(&f.file);

    reading.lock_directory = f.ops.lock_directory;
    ck_assert_int_eq(state_file_peek(&reading, "data/none", &seen, &f.error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(f.error.text, "no data directory"));
    ck_assert_int_eq(state_file_peek(&reading, "data", &seen, &f.error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(f.error.text, "no file `state`"));
    sim_disk_free(&f.disk);
}
END_TEST

START_TEST(a_name_too_long_is_refused)
{
    static struct fixture f;
    static char name[STORAGE_PATH_MAX + 10];
    fixture_init(&f, 1);
    memset(name, 'a', sizeof name - 1);
    struct durable_state state;
    ck_assert_int_eq(state_file_open(&f.file, &f.ops, name, &state, &f.error), -ENAMETOOLONG);
    ck_assert_int_eq(state_file_create(&f.ops, name, &f.first, &f.error), -ENAMETOOLONG);
    sim_disk_free(&f.disk);
}
END_TEST

/* --- the real disk --- */

START_TEST(the_operating_system_does_it_too)
{
    const struct file_ops ops = file_ops_posix();
    static struct state_file file;
    static struct state_file second;
    struct storage_error error;
    char base[] = "/tmp/test_state_file.XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(base));
    char directory[128];
    char path[160];
    (void)snprintf(directory, sizeof directory, "%s/replica", base);
    (void)snprintf(path, sizeof path, "%s/state", directory);
    const struct durable_state first = fresh_state();

    (void)umask(0);
    ck_assert_msg(state_file_create(&ops, directory, &first, &error) == 0, "%s", error.text);
    ck_assert_int_eq(state_file_create(&ops, directory, &first, &error), -EEXIST);
    struct stat status;
    ck_assert_int_eq(stat(directory, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(status.st_size, STATE_FILE_SIZE);

    struct durable_state state;
    ck_assert_msg(state_file_open(&file, &ops, directory, &state, &error) == 0, "%s", error.text);
    ck_assert(states_equal(&state, &first));
    ck_assert_int_eq(state_file_open(&second, &ops, directory, &state, &error), -EWOULDBLOCK);
    for (uint64_t i = 1; i < 5; i++) {
        const struct durable_state later = later_state(&first, i);
        ck_assert_int_eq(state_file_store(&file, &later, &error), 0);
        state_file_close(&file);
        ck_assert_int_eq(state_file_open(&file, &ops, directory, &state, &error), 0);
        ck_assert(states_equal(&state, &later));
    }
    state_file_close(&file);
    ck_assert_int_eq(truncate(path, 10), 0);
    ck_assert_int_eq(state_file_open(&file, &ops, directory, &state, &error), -EBADMSG);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    ck_assert_int_eq(rmdir(base), 0);
}
END_TEST

/* A full file system, for real: /dev/full stands for it wherever the system has one. */
START_TEST(enospc_from_the_operating_system_is_reported)
{
    const struct file_ops ops = file_ops_posix();
    const int file = ops.open(ops.disk, "/dev/full", false);
    if (file < 0) {
        return;
    }
    ck_assert_int_eq(ops.write(ops.disk, file, 0, "x", 1), -ENOSPC);
    ops.close(ops.disk, file);
}
END_TEST

/* --- how a start begins --- */

static const uint8_t this_boot[BOOT_ID_SIZE] = {7};
static const uint8_t other_boot[BOOT_ID_SIZE] = {8};
static const uint8_t unknown_boot[BOOT_ID_SIZE];

/* D3: init's log_valid lasts for one start in mode memory; every later one is D6. */
START_TEST(only_the_first_start_finds_its_log_intact)
{
    struct durable_state state = fresh_state();
    ck_assert_int_eq(durable_state_start(&state, DURABILITY_MEMORY, this_boot, false),
                     VR_START_INITIAL);
    ck_assert(!state.vr.log_valid);
    ck_assert(!state.clean_shutdown);
    ck_assert_uint_eq(state.incarnation, 1);
    ck_assert_mem_eq(state.boot_id, this_boot, sizeof this_boot);

    state.clean_shutdown = true; /* even a clean stop leaves no log behind */
    ck_assert_int_eq(durable_state_start(&state, DURABILITY_MEMORY, this_boot, false),
                     VR_START_RECOVER);
    ck_assert_uint_eq(state.incarnation, 2);

    state.vr.log_valid = true; /* as the write that ends a recovery may say (D6) */
    ck_assert(!durable_state_trusts_log(&state, this_boot));
    ck_assert_int_eq(durable_state_start(&state, DURABILITY_MEMORY, this_boot, false),
                     VR_START_RECOVER);
    ck_assert(!state.vr.log_valid);
}
END_TEST

/* D1, D2, D5: whose word about the log counts after which end. */
START_TEST(a_log_counts_as_its_mode_and_its_end_say)
{
    static const struct {
        enum durability durability; /* of the run before */
        bool log_valid;
        bool clean;
        const uint8_t *boot; /* of the start */
        bool counts;
    } cases[] = {
        {DURABILITY_SYNC, true, false, this_boot, true},
        {DURABILITY_SYNC, true, false, other_boot, true}, /* power may go at any time */
        {DURABILITY_SYNC, false, true, this_boot, false},
        {DURABILITY_ASYNC, true, false, this_boot, true},   /* a killed process loses nothing */
        {DURABILITY_ASYNC, true, false, other_boot, false}, /* M-async-resume */
        {DURABILITY_ASYNC, true, true, other_boot, true},
        {DURABILITY_ASYNC, false, true, this_boot, false},
        {DURABILITY_MEMORY, true, true, this_boot, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct durable_state state = fresh_state();
        state.incarnation = 3;
        state.durability = cases[i].durability;
        state.vr.log_valid = cases[i].log_valid;
        state.clean_shutdown = cases[i].clean;
        memcpy(state.boot_id, this_boot, sizeof this_boot);
        ck_assert_msg(durable_state_trusts_log(&state, cases[i].boot) == cases[i].counts,
                      "case %zu", i);
    }
    struct durable_state state = fresh_state();
    state.incarnation = 3;
    state.durability = DURABILITY_ASYNC;
    state.clean_shutdown = false;
    /* Where no boot id is known no two boots look alike. */
    ck_assert(!durable_state_trusts_log(&state, unknown_boot));
}
END_TEST

START_TEST(a_start_uses_up_what_the_end_before_it_said)
{
    struct durable_state state = fresh_state();
    ck_assert(durable_state_trusts_log(&state, this_boot));
    ck_assert_int_eq(durable_state_start(&state, DURABILITY_ASYNC, this_boot, true),
                     VR_START_INITIAL);
    ck_assert(state.vr.log_valid);
    ck_assert(!state.clean_shutdown);
    ck_assert_int_eq(state.durability, DURABILITY_ASYNC);

    ck_assert_int_eq(durable_state_start(&state, DURABILITY_SYNC, this_boot, true),
                     VR_START_RESUME); /* D11 */
    ck_assert(state.vr.log_valid);
    ck_assert_int_eq(durable_state_start(&state, DURABILITY_SYNC, this_boot, false),
                     VR_START_RECOVER); /* what was read does not bear it out (D6) */
    ck_assert(!state.vr.log_valid);
    state.vr.log_valid = true;
    ck_assert_int_eq(durable_state_start(&state, DURABILITY_MEMORY, this_boot, true),
                     VR_START_RECOVER); /* D11: -> memory sets log_valid false */
    ck_assert(!state.vr.log_valid);
}
END_TEST

/* S2, asserted where it is written. */
START_TEST(a_view_that_goes_back_is_never_written)
{
    static struct fixture f;
    fixture_init(&f, 1);
    const struct durable_state first = fixture_open(&f);
    const struct durable_state later = later_state(&first, 1);
    fixture_store(&f, &later);
    fixture_store(&f, &first); /* aborts */
}
END_TEST

/* --- the seam of the log --- */

struct completion {
    uint64_t generation;
    uint64_t op_number;
    uint32_t count;
};

static void note_completion(void *context, uint64_t generation, uint64_t op_number)
{
    struct completion *completion = context;
    completion->generation = generation;
    completion->op_number = op_number;
    completion->count++;
}

START_TEST(memory_is_durable_at_once)
{
    struct completion completion = {0};
    struct log_store_memory memory;
    const struct log_store_client client = {.context = &completion, .durable = note_completion};
    const struct log_store store = log_store_memory_init(&memory, &client);
    const struct log_write append = {.generation = 3, .cut_to = 4, .first_op = 5, .last_op = 9};
    store.write(store.state, &append);
    ck_assert_uint_eq(completion.generation, 3);
    ck_assert_uint_eq(completion.op_number, 9);
    const struct log_write cut = {.generation = 4, .cut_to = 4, .first_op = 5, .last_op = 4};
    store.write(store.state, &cut);
    ck_assert_uint_eq(completion.generation, 4);
    ck_assert_uint_eq(completion.op_number, 4);
    ck_assert_uint_eq(completion.count, 2);
}
END_TEST

static Suite *state_file_suite(bool forks)
{
    Suite *suite = suite_create("state_file");
    TCase *tests = tcase_create("state_file");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, init_writes_view_zero_normal_in_none);
    tcase_add_test(tests, every_field_comes_back);
    tcase_add_test(tests, the_format_before_is_read);
    tcase_add_test(tests, the_configuration_before_is_read);
    tcase_add_test(tests, the_largest_configuration_fits);
    tcase_add_test(tests, a_crash_in_a_store_leaves_old_or_new);
    tcase_add_test(tests, a_state_once_read_survives_a_power_cut);
    tcase_add_test(tests, a_crash_while_opening_loses_nothing);
    tcase_add_test(tests, a_crash_while_repairing_loses_nothing);
    tcase_add_test(tests, ends_of_both_kinds_lose_nothing);
    tcase_add_test(tests, a_crash_in_init_leaves_nothing_or_all);
    tcase_add_test(tests, one_rotten_block_costs_nothing);
    tcase_add_test(tests, every_flipped_byte_is_noticed);
    tcase_add_test(tests, damage_everywhere_is_refused_with_advice);
    tcase_add_test(tests, a_misdirected_write_is_noticed);
    tcase_add_test(tests, a_foreign_file_is_refused);
    tcase_add_test(tests, a_newer_format_is_refused);
    tcase_add_test(tests, content_that_cannot_be_is_damage);
    tcase_add_test(tests, a_short_file_is_damage_of_what_it_lacks);
    tcase_add_test(tests, random_bytes_never_open);
    tcase_add_test(tests, a_failed_store_is_final);
    tcase_add_test(tests, a_failed_open_is_reported);
    tcase_add_test(tests, a_copy_that_cannot_be_read_is_a_damaged_one);
    tcase_add_test(tests, a_copy_that_is_damaged_does_not_speak_for_one_that_cannot_be_read);
    tcase_add_test(tests, a_full_disk_says_what_to_do);
    tcase_add_test(tests, every_failure_of_init_is_reported);
    tcase_add_test(tests, init_refuses_an_existing_directory);
    tcase_add_test(tests, a_missing_directory_is_never_recreated);
    tcase_add_test(tests, a_directory_in_use_is_refused);
    tcase_add_test(tests, peeking_reads_and_changes_nothing);
    tcase_add_test(tests, a_name_too_long_is_refused);
    tcase_add_test(tests, the_operating_system_does_it_too);
    tcase_add_test(tests, enospc_from_the_operating_system_is_reported);
    tcase_add_test(tests, only_the_first_start_finds_its_log_intact);
    tcase_add_test(tests, a_log_counts_as_its_mode_and_its_end_say);
    tcase_add_test(tests, a_start_uses_up_what_the_end_before_it_said);
    tcase_add_test(tests, memory_is_durable_at_once);
    if (forks) { /* an abort ends the process it happens in */
        tcase_add_test_raise_signal(tests, a_view_that_goes_back_is_never_written, SIGABRT);
    }
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *empty = srunner_create(NULL);
    const bool forks = srunner_fork_status(empty) == CK_FORK;
    srunner_free(empty);
    SRunner *runner = srunner_create(state_file_suite(forks));
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
