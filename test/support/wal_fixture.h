/* SPDX-License-Identifier: Apache-2.0 */
/* wal_fixture.h - a log in memory that a test plays the core with, and the log on a simulated disk
 * below it. Asserts with Check. */
#ifndef VR_TEST_WAL_FIXTURE_H
#define VR_TEST_WAL_FIXTURE_H

#include "server/storage/wal.h"
#include "test/support/sim_disk.h"

#define DIRECTORY "data"
#define SEGMENT_1 DIRECTORY "/log.0000000000000001"
#define SEGMENT_2 DIRECTORY "/log.0000000000000002"

enum {
    CLUSTER = 0x7f3a91c2,
    LOG_MEMORY = 1024 * 1024,
    SEGMENT_SIZE = WAL_SEGMENT_HEADER_SIZE + 8192,
    BODY_MAX = 900,
};

struct fixture {
    struct sim_disk disk;
    struct file_ops ops;
    struct wal wal;
    struct wal_found found;
    struct storage_error error;
    struct prng prng;
    uint64_t incarnation;
    uint64_t commit_number;
    uint64_t named_segment; /* what the state file says */
    struct wal_end end;
    struct wal_head base; /* the checkpoint that the state file names */
    struct vr_log log;    /* as the core has it */
    struct vr_log read;   /* as wal_read() found it */
    struct vr_log spare;  /* for replacements */
    uint64_t memory[3][LOG_MEMORY / sizeof(uint64_t)];
};

/* An empty log behind op 0 in one of the fixture's regions. */
void log_reset(struct vr_log *log, uint64_t *memory);

void fixture_init(struct fixture *f, uint64_t seed);

void fixture_free(struct fixture *f);

struct wal_options wal_test_options(void);

int read_log(struct fixture *f);

/* A start: reads, and makes the log ready. */
void start_log(struct fixture *f);

/* The process ends, the machine goes on. */
void end_process(struct fixture *f);

void lose_power(struct fixture *f);

/* An entry that no other has been like. */
void log_add(struct fixture *f, struct vr_log *log);

struct wal_record entry_record(const struct vr_log *log, uint64_t op_number);

int append_entry(struct fixture *f, uint64_t op_number);

/* Entries that are new, appended and synced. */
void append_some(struct fixture *f, uint64_t count);

int replace_suffix(struct fixture *f, uint64_t cut_to, uint64_t count);

/* What was read is the core's log, all of it. */
void expect_all(const struct fixture *f);

uint8_t *segment_bytes(struct fixture *f, const char *path, size_t *size);

/* Where the record of the nth sequence number stands in a segment. */
size_t offset_of(struct fixture *f, const char *path, uint64_t number, uint64_t sequence,
                 struct wal_record *record);

#endif
