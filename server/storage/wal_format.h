/* SPDX-License-Identifier: Apache-2.0 */
/* wal_format.h - the bytes of the log on disk: segments full of records. docs/formats.md explains
 * them byte by byte, and test_wal.c pins them.
 *
 * A segment is a file `log.N` (N in 16 hexadecimal digits, from 1) of one fixed size, reserved when
 * it is made. It begins with a header of WAL_SEGMENT_HEADER_SIZE bytes, then records lie one behind
 * the other, each at a multiple of WAL_ALIGNMENT, after a sync at a multiple of WAL_SECTOR_SIZE,
 * then zeros. A record never spans segments.
 *
 * Checksums of headers cover where they stand - segment and offset - so that neither a misdirected
 * write nor a copy of a log inside somebody's value is ever taken for a record (PITFALLS PS-5).
 *
 * Pure: no file in sight. */
#ifndef VR_STORAGE_WAL_FORMAT_H
#define VR_STORAGE_WAL_FORMAT_H

#include "common/base/entry.h"

enum {
    WAL_FORMAT = 1,
    WAL_ALIGNMENT = 16,
    WAL_SECTOR_SIZE = 4096,
    WAL_SEGMENT_HEADER_SIZE = 4096, /* a page of its own: records never share a sector with it */
    WAL_RECORD_HEADER_SIZE = 144,
    WAL_RECORD_SIZE_MAX = WAL_RECORD_HEADER_SIZE +
                          (ENTRY_SIZE_MAX + WAL_ALIGNMENT - 1) / WAL_ALIGNMENT * WAL_ALIGNMENT,
    WAL_SEGMENT_SIZE_MIN = WAL_SEGMENT_HEADER_SIZE + WAL_RECORD_SIZE_MAX,
    WAL_SEGMENT_SIZE_DEFAULT = 16 * 1024 * 1024,
    WAL_SEGMENT_SIZE_MAX = 256 * 1024 * 1024,
};
_Static_assert(WAL_SEGMENT_SIZE_MIN <= WAL_SEGMENT_SIZE_DEFAULT, "the largest entry fits");

/* Whose log it is; every header says it. */
struct wal_owner {
    uint64_t cluster_id;
    uint32_t replica_id;
};

struct wal_segment_header {
    uint64_t number;
    uint64_t size;            /* bytes of the file */
    uint64_t first_sequence;  /* of the first record in it: nothing before is missing */
    uint64_t synced_sequence; /* records up to here were durable when this was written */
    uint64_t head_op;         /* of the log when the segment was begun: for tools, and to drop it */
    struct checksum head_checksum;
};

enum wal_record_type {
    WAL_ENTRY = 1,   /* body: an entry's one byte form */
    WAL_REPLACE = 2, /* the entries that follow, up to through_op, replace all above op_number; not
                        before the last of them is there (ST-2) */
    WAL_ABANDON = 3, /* a replacement that was not finished never happened */
    WAL_RESTART = 4, /* a checkpoint took the log's place (G4): it is empty behind op_number */
};

struct wal_record {
    enum wal_record_type type;
    uint64_t sequence;    /* numbers all records of a log, from 1 */
    uint64_t op_number;   /* of the entry; REPLACE: cut to here; ABANDON, RESTART: the log's head */
    uint64_t view_number; /* of the entry, else 0 */
    uint64_t incarnation; /* of the start that wrote it */
    uint64_t commit_number; /* known then; it never goes back */
    uint64_t
        synced_sequence; /* records up to here were durable then: damage there is no torn tail */
    uint64_t through_op; /* REPLACE, else 0 */
    struct checksum checksum; /* of the log up to op_number */
    struct checksum other;    /* ENTRY: of its parent; REPLACE: of the log up to through_op */
    uint32_t body_size;
    const uint8_t *body;
};

/* Bytes that a record takes, padding included. */
size_t wal_record_size(uint32_t body_size);

/* Writes wal_record_size() bytes, for this place. */
void wal_record_encode(const struct wal_record *record, const struct wal_owner *owner,
                       uint64_t segment, uint64_t offset, uint8_t *bytes);

enum wal_verdict {
    WAL_VALID,
    WAL_BODY_DAMAGED, /* the header is whole: it says what was here */
    WAL_DAMAGED,      /* no header for this place */
    WAL_FOREIGN,      /* whole, but of another cluster or replica */
    WAL_NEWER,        /* a segment of a format that is not known here */
};

/* Judges the record at `offset` of a segment whose bytes go on for `available`. `record->body`
 * points into them. Never WAL_NEWER. */
enum wal_verdict wal_record_decode(const uint8_t *bytes, size_t available,
                                   const struct wal_owner *owner, uint64_t segment, uint64_t offset,
                                   struct wal_record *record);

void wal_segment_header_encode(const struct wal_segment_header *header,
                               const struct wal_owner *owner,
                               uint8_t bytes[WAL_SEGMENT_HEADER_SIZE]);
enum wal_verdict wal_segment_header_decode(const uint8_t bytes[WAL_SEGMENT_HEADER_SIZE],
                                           const struct wal_owner *owner, uint64_t number,
                                           struct wal_segment_header *header);

/* The name of a segment's file within the data directory. */
enum { WAL_NAME_SIZE = 24 };
void wal_segment_name(uint64_t number, char name[WAL_NAME_SIZE]);

/* The number that a name stands for; 0: it is no segment's. */
uint64_t wal_segment_number(const char *name);

#endif
