/* SPDX-License-Identifier: Apache-2.0 */
/* wal.h - the write-ahead log: the core's log on a disk (D1, D2). wal_format.h has its bytes.
 *
 * Only ever appended to. What the core cuts is cut by a record: REPLACE says which entries the ones
 * behind it stand for, and counts only once the last of those is there; until then the old ones do
 * (ST-2: a log is never shortened before its replacement is safe).
 *
 * What holds at any moment, however the machine or the process ends:
 *   - every segment but the last is durable, and complete;
 *   - a record that was reported durable is found again by wal_read(), or is damage that wal_read()
 *     tells from a torn tail (PITFALLS PS-1, PS-2): a header that is whole, anything whole behind
 *     it, or the word of the state file or of a segment's header that it was durable. What nothing
 *     vouches for is the last batch only, damaged to its very end;
 *   - nothing that was read counts before it was written anew and synced: what the page cache shows
 *     after a sync that failed, or never ran, may not be on the disk (PS-3). wal_start() writes the
 *     last segment into a fresh file and renames it over the old one, so that what is durable is
 *     never at risk. That also clears away what a torn tail left.
 *   - what is durable is not written to again: records after a sync begin in another sector, for a
 *     sector that is torn is lost as a whole;
 *   - room for at least one segment more is reserved (D4), so a full disk is noticed while there is
 *     time; wal_spare_error() says that it is gone. When it is used up the log ends, and is whole:
 *     the next segment is made before anything is written to it.
 *
 * Compaction (K1) drops whole segments from the front, the oldest first: wal_drop(). A log that
 * lacks its beginning is whole for a start from a checkpoint that stands for what is gone; entries
 * up to the checkpoint's op are read if they are there, and not missed if they are damaged.
 *
 * Threads:   one caller at a time; another thread may sync wal_handle() meanwhile, as long as no
 *            segment is begun (wal_may_end_segment()).
 * Memory:    a batch buffer, and during wal_read() one segment.
 * Errors:    0 or a negative errno with a text, and the log then refuses for ever (D4). After a
 *            failed write or sync nobody knows what is on the disk; where only room was wanting
 *            (wal_is_full()) all that was written before is whole. */
#ifndef VR_STORAGE_WAL_H
#define VR_STORAGE_WAL_H

#include "server/storage/file_ops.h"
#include "server/storage/storage_error.h"
#include "server/storage/storage_path.h"
#include "server/storage/wal_format.h"
#include "server/vr/vr_log.h"

enum { WAL_BATCH_SIZE = 1024 * 1024 + WAL_RECORD_SIZE_MAX };

/* Where a log ends. */
struct wal_head {
    uint64_t op_number;
    struct checksum checksum;
};

enum wal_condition {
    WAL_INTACT, /* all that was ever reported durable is there, but for what a torn tail hides */
    WAL_FAULTY, /* entries above held_op are damaged, but where the log ended is known (D5) */
    WAL_BROKEN, /* damaged, and what the log was cannot be told (D6) */
};

/* Bytes of a segment that cannot be read, though it was tried again: taken for zeros. */
struct wal_hole {
    uint64_t segment;
    uint64_t offset;
    uint64_t size;
};

enum { WAL_HOLES_SAID = 8 };

/* What wal_read() found. */
struct wal_found {
    enum wal_condition condition;
    uint64_t base_op;       /* entries from behind it ... */
    uint64_t held_op;       /* ... up to here were read; of a BROKEN log: some log's prefix */
    struct wal_head head;   /* the log's end: what this replica had */
    uint64_t commit_number; /* the last one known, at most held_op */
    uint64_t commit_known;  /* the last one known, whether or not its entries are held */
    uint64_t last_segment;  /* its number; 0: there is none */
    uint64_t segment_count;
    uint64_t disk_bytes;
    uint64_t damaged_count;   /* places */
    uint64_t damaged_segment; /* the first one: 0 none */
    uint64_t damaged_offset;  /* within that segment */
    bool lost_durable;        /* FAULTY: some of what is lost was durable once; else all of it may
                                 have been under way when the machine stopped */
    bool tail_unfinished; /* FAULTY: only the last record is missed, and damaged in the way in which
                             the end of its process leaves it that came amid the write */
    uint64_t torn_bytes;  /* cut at the end; 0: nothing was */
    uint64_t torn_segment; /* where */
    uint64_t torn_offset;
    uint64_t
        unreadable_bytes; /* in all; not all of it need be damage: nothing may have been there */
    uint64_t hole_count;
    struct wal_hole holes[WAL_HOLES_SAID]; /* the first of them */
    bool unfinished_replacement;           /* a switch of suffix was under way: it never happened */
    bool detached; /* INTACT, but it does not reach the base, or was another log there: it is over,
                      and held_op, head and the log behind it begin at the base */
};

/* Where a log ended. */
struct wal_end {
    uint64_t segment; /* the last one; 0: not known */
    struct wal_head head;
};

struct wal_options {
    const char *directory;
    struct wal_owner owner;
    uint64_t named_segment; /* a log that ends before it is not whole; 0: not known */
    struct wal_end end;     /* where it ended, after a clean stop */
    struct wal_head base;   /* of the checkpoint to start from, durable and named (K3): its op, and
                               the log's checksum there; op 0: none */
    uint64_t segment_size;
    uint64_t sector_size; /* what disk and kernel write in one piece, or a multiple of it */
    bool
        refuse_truncated; /* a file shorter than it was made is refused; else it counts as damage */

    /* Called for each place that was read, in order; a tool's. May be NULL. */
    void (*visit)(void *context, uint64_t segment, uint64_t offset, enum wal_verdict verdict,
                  const struct wal_record *record);
    void *context;
};

/* A replacement being read, or written. */
struct wal_group {
    bool active;
    bool faulty;     /* some of it is damaged */
    bool attachable; /* what it builds upon is held */
    bool from_base;  /* reading: it is held from the checkpoint's op on, which it passes */
    bool differs;    /* reading: it passes that op as another log */
    uint64_t cut_to;
    uint64_t through_op;
    struct checksum through_checksum;
    uint64_t incarnation;
    struct wal_head head; /* how far it has come */
};

/* What dropping goes by: where the log was when a segment was begun. */
struct wal_mark {
    uint64_t number;
    uint64_t size; /* bytes of the file */
    uint64_t head_op;
    bool needs_earlier; /* a replacement spans its beginning, or the log was cut below it later */
};

struct wal {
    const struct file_ops *ops; /* outlives the wal */
    struct wal_owner owner;
    uint64_t incarnation;
    uint64_t segment_size; /* of those to come */
    uint64_t sector_size;
    uint64_t disk_bytes;
    int failed; /* 0, or the errno of the write or sync that failed */
    int full;   /* 0, or the errno for which nothing more can be written; what was is whole */

    /* The last segment. */
    struct wal_segment_header segment;
    int file;
    uint64_t offset; /* where the next record goes: behind the batch */

    uint64_t sequence;    /* of the newest record */
    struct wal_head head; /* of the log, as its finished records have it */
    struct wal_group group;
    uint64_t flushed_sequence; /* of the newest record that was handed to the operating system, */
    uint64_t synced_sequence;  /* and that is known to be durable */
    bool end_uncertain;        /* a write was cut short: some records of it may be there */

    struct wal_mark *marks; /* of all segments, the oldest first */
    size_t mark_count;
    size_t mark_capacity;

    bool has_spare;
    int spare_status; /* why there is none */

    uint8_t *batch;
    size_t batch_size;

    uint8_t *image; /* wal_read(): bytes of the last segment */
    size_t image_size;
    uint64_t image_end;        /* behind its last record */
    uint64_t vouched_sequence; /* no record above it may be said to have been durable */
    bool over;                 /* wal_start(): the log begins anew, at the head */

    char directory[STORAGE_PATH_MAX];
};

/* Reads the log, and changes nothing. What is held goes into *log, an empty log behind op 0, which
 * then begins where the segments do, at or before the base, or at the base; *staging is another one
 * for replacements. With log NULL only the structure is read, for tools. -ENOBUFS: the log does not
 * fit *log, even without what lies before the base. */
int wal_read(struct wal *wal, const struct file_ops *ops, const struct wal_options *options,
             struct vr_log *log, struct vr_log *staging, struct wal_found *found,
             struct storage_error *error);

/* After wal_read(): makes what was read durable, and the log ready to be appended to, by the start
 * `incarnation`. Makes the first segment where there is none. */
int wal_start(struct wal *wal, uint64_t incarnation, struct storage_error *error);

/* Removes all segments of a log that does not count, by the word of the state file, and that nobody
 * has open. */
int wal_remove(const struct file_ops *ops, const char *directory, struct storage_error *error);

/* Adds a record to the batch; sequence and incarnation are filled in here. Where a segment or the
 * batch is full it writes, and a segment that ends is synced. The record follows from the ones
 * before: an entry behind the head or within the replacement under way (asserted). */
int wal_append(struct wal *wal, const struct wal_record *record, struct storage_error *error);

/* G4: a checkpoint of `base`, durable and named, takes the log's place, whatever that is. */
int wal_restart(struct wal *wal, const struct wal_head *base, struct storage_error *error);

/* K1: removes the oldest segments as long as all that the log has of them is at or below
 * through_op, which a durable checkpoint stands for. The last one always stays. An error costs
 * nothing but room: the next call tries again. */
int wal_drop(struct wal *wal, uint64_t through_op, struct storage_error *error);

/* Hands the batch to the operating system: now a killed process loses none of it. */
int wal_flush(struct wal *wal, struct storage_error *error);

/* Makes what was flushed durable. */
int wal_sync(struct wal *wal, struct storage_error *error);

/* wal_read()'s: notes a segment. Returns 0 or -ENOMEM. */
int wal_add_mark(struct wal *wal, const struct wal_mark *mark);

/* wal_read()'s: the log is cut. */
void wal_note_cut(struct wal *wal, uint64_t cut_to);

/* For a sync by another thread: the last segment's file. */
int wal_handle(const struct wal *wal);

/* Another thread's sync has made the records up to `sequence` durable. */
void wal_note_synced(struct wal *wal, uint64_t sequence);

/* True if wal_append() of such a record may end the segment, and close its file. */
bool wal_may_end_segment(const struct wal *wal, const struct wal_record *record);

/* True if it refuses for want of room: what was written is whole, and a start goes on from it. */
bool wal_is_full(const struct wal *wal);

/* After the last wal_sync(): what a start must find again. */
struct wal_end wal_end(const struct wal *wal);

/* 0, or why no room could be reserved ahead (D4); the log goes on while its last segment lasts. */
int wal_spare_error(const struct wal *wal);

/* Gives back what wal_read() and wal_start() took. What was not synced is promised to nobody. */
void wal_close(struct wal *wal);

#endif
