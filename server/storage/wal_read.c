/* SPDX-License-Identifier: Apache-2.0 */
/* wal_read.c - reading at a start: what did this replica have?
 *
 * Records are read in the order in which they were written. Where one is damaged the search goes on
 * behind it: whatever is whole there proves that the damage is no torn tail (PITFALLS PS-1, PS-2).
 * The numbers of records tell how many are missing, and every record adds one entry or, where it
 * cuts, none; so where as many entries as records are missing, nothing was cut in between, and the
 * log's end is known although some of its entries are not. Otherwise the log is BROKEN.
 *
 * Damage behind which nothing whole comes is a torn tail only where nothing says that there was
 * more: the state file, which knows how many segments there are and where a clean stop left the
 * log; and every header, which says what was durable when it was written. A segment gets its name
 * when its header is durable, so a header that is damaged is never the work of a crash.
 *
 * Sectors that cannot be read are damage, which the disk tells of itself: they are zeros, and
 * whether the log went on in them is not known (judge_unread()).
 *
 * A start from a checkpoint (K3) needs the log only behind its op, the base. Segments may be gone
 * whose entries are all at or below it; and wherever the log reaches the base with the base's
 * checksum, all before it is known, whatever its records look like. A log that ends before the
 * base, or was another one there, is over: the checkpoint was named when that was known (G4). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "server/storage/sector_read.h"
#include "server/storage/wal.h"

struct reader {
    struct wal *wal;
    const struct wal_options *options;
    struct vr_log *log; /* NULL: only the structure is wanted */
    struct vr_log *staging;
    struct wal_found *found;
    struct storage_error *error;

    uint64_t base_op; /* what is held begins behind it */
    uint64_t held_op; /* entries that were read, without a gap */
    bool faulty;      /* the log goes on behind held_op */
    bool differs;     /* it is known to be another one than the checkpoint's at the base */
    bool broken;
    bool headless;      /* the segment's header is damaged */
    bool end_lost;      /* the last segment may have held more than can be seen */
    uint64_t lost;      /* the first record that is damaged, since the log was whole; 0: none */
    uint64_t synced;    /* records up to here were durable, by the word of some header */
    uint64_t truncated; /* the first segment that is shorter than it was made; 0: none is */
    uint64_t hurt_last; /* offset of the segment's last record, if its body is damaged; else 0 */

    struct unreadable unreadable; /* of the segment */

    uint64_t *numbers; /* of the segments, rising */
    size_t count;
    size_t capacity;
};

/* --- what a record means --- */

static void note_damage(struct reader *r, uint64_t segment, uint64_t offset)
{
    struct wal_found *found = r->found;
    if (found->damaged_count++ == 0) {
        found->damaged_segment = segment;
        found->damaged_offset = offset;
    }
}

static void note_synced(struct reader *r, uint64_t sequence)
{
    r->synced = sequence > r->synced ? sequence : r->synced;
}

static void note_lost(struct reader *r, uint64_t sequence)
{
    r->lost = r->lost == 0 ? sequence : r->lost;
}

static int no_room(struct reader *r)
{
    return storage_error_set(r->error, -ENOBUFS,
                             "the log in %s needs more memory than this replica may use: start it "
                             "with a larger --log-memory-max",
                             r->wal->directory);
}

static bool held_matches(const struct reader *r, const struct wal_head *head)
{
    return head->op_number >= r->base_op && head->op_number <= r->held_op &&
           (r->log == NULL || vr_log_matches(r->log, head->op_number, head->checksum));
}

/* What is held is nothing, and begins anew behind `head`. */
static void hold_from(struct reader *r, const struct wal_head *head)
{
    r->base_op = head->op_number;
    r->held_op = head->op_number;
    if (r->log != NULL) {
        vr_log_restart(r->log, head->op_number, head->checksum);
    }
}

static struct wal_head log_begin(const struct reader *r)
{
    return (struct wal_head){0, entry_chain_start(r->options->owner.cluster_id)};
}

static void hold_up_to(struct reader *r, uint64_t op_number)
{
    if (op_number >= r->held_op) {
        return;
    }
    if (r->log != NULL && op_number < r->log->protected_op) {
        /* Given up already: to make room, or for a checkpoint that took its place. What is held
         * begins anew at the base, if the log comes there. */
        const struct wal_head none = log_begin(r);
        hold_from(r, &none);
        return;
    }
    r->held_op = op_number;
    if (r->log != NULL) {
        vr_log_cut(r->log, op_number);
    }
}

/* ---- the base ---- */

enum at_base {
    BASE_ELSEWHERE, /* this says nothing of what the log is at the base */
    BASE_MET,       /* it is the checkpoint's */
    BASE_MISSED,    /* it is not */
};

static enum at_base compare_base(const struct reader *r, uint64_t op_number,
                                 struct checksum checksum)
{
    const struct wal_head *base = &r->options->base;
    if (base->op_number == 0 || op_number != base->op_number) {
        return BASE_ELSEWHERE;
    }
    return checksum_equal(checksum, base->checksum) ? BASE_MET : BASE_MISSED;
}

/* An entry knows where it stands, and what it stands on. */
static enum at_base entry_at_base(const struct reader *r, const struct wal_record *record)
{
    const enum at_base at = compare_base(r, record->op_number, record->checksum);
    return at != BASE_ELSEWHERE ? at : compare_base(r, record->op_number - 1, record->other);
}

/* Of what was lost before nothing is missed any more; a segment that was cut short and is being
 * read may lack more. */
static void miss_nothing(struct reader *r)
{
    r->lost = 0;
    if (r->truncated != r->wal->segment.number) {
        r->truncated = 0;
    }
}

/* Here the log is what the checkpoint's is: entries that are lost before it are not missed. */
static void begin_at_base(struct reader *r)
{
    hold_from(r, &r->options->base);
    r->wal->head = r->options->base;
    r->faulty = false;
    miss_nothing(r);
}

/* Where memory is short, what lies before the base is done without. */
static void make_room(struct reader *r)
{
    const struct wal_head *base = &r->options->base;
    if (base->op_number == 0 || !held_matches(r, base)) {
        return;
    }
    if (r->log->protected_op < base->op_number) {
        vr_log_protect(r->log, base->op_number);
    }
    vr_log_drop(r->log, base->op_number);
    r->base_op = r->log->base_op;
}

/* What was cut is not known, so of what is held only that counts which never is: what was
 * committed. */
static void break_log(struct reader *r)
{
    if (!r->broken) {
        r->broken = true;
        hold_up_to(r, r->found->commit_known);
    }
}

/* The log behind the replacement: the whole story again, where its beginning is held. */
static int finish_group(struct reader *r)
{
    struct wal *wal = r->wal;
    struct wal_group *group = &wal->group;
    group->active = false;
    wal->head = (struct wal_head){group->through_op, group->through_checksum};
    if (group->cut_to < r->options->base.op_number) {
        r->differs = group->differs;
    }
    r->broken = false; /* by its checksums the log is known again, whoever holds its entries */
    if (!group->attachable) {
        hold_up_to(r, group->cut_to);
        r->faulty = true;
        return 0;
    }
    if (group->from_base) {
        hold_from(r, &r->options->base);
    } else {
        hold_up_to(r, group->cut_to);
    }
    /* What it builds upon may have had to make room. */
    r->faulty = group->faulty || r->held_op < group->cut_to;
    if (r->faulty) {
        return 0;
    }
    miss_nothing(r);
    if (r->log != NULL && group->through_op > group->cut_to) {
        if (!vr_log_has_room_after(r->log, r->held_op, r->staging, group->through_op)) {
            make_room(r);
        }
        if (!vr_log_has_room_after(r->log, r->held_op, r->staging, group->through_op)) {
            return no_room(r);
        }
        vr_log_append_from(r->log, r->staging, group->through_op);
    }
    r->held_op = group->through_op;
    return 0;
}

/* The replacement's entries count from the base on, which is held by the checkpoint. */
static void group_from_base(struct reader *r)
{
    struct wal_group *group = &r->wal->group;
    group->from_base = true;
    group->attachable = true;
    group->faulty = false;
    if (r->staging != NULL) {
        vr_log_restart(r->staging, r->options->base.op_number, r->options->base.checksum);
    }
}

static int begin_group(struct reader *r, const struct wal_record *record)
{
    const struct wal_head base = {record->op_number, record->checksum};
    wal_note_cut(r->wal, record->op_number);
    struct wal_group *group = &r->wal->group;
    *group = (struct wal_group){
        .active = true,
        .attachable = held_matches(r, &base),
        .cut_to = record->op_number,
        .through_op = record->through_op,
        .through_checksum = record->other,
        .incarnation = record->incarnation,
        .head = base,
    };
    if (r->staging != NULL) {
        vr_log_restart(r->staging, base.op_number, base.checksum);
    }
    if (!group->attachable && compare_base(r, base.op_number, base.checksum) == BASE_MET) {
        group_from_base(r);
    }
    return group->through_op == group->cut_to ? finish_group(r) : 0;
}

static int group_entry(struct reader *r, const struct wal_record *record, bool body_whole)
{
    struct wal_group *group = &r->wal->group;
    const enum at_base at = entry_at_base(r, record);
    const bool known = record->op_number == r->options->base.op_number && at == BASE_MET;
    group->differs = at == BASE_ELSEWHERE ? group->differs : at == BASE_MISSED;
    if (at == BASE_MET && (!group->attachable || group->faulty || (known && !body_whole))) {
        group_from_base(r);
    }
    const bool staged = group->from_base && known;
    group->faulty = group->faulty || (!body_whole && !staged);
    group->head = (struct wal_head){record->op_number, record->checksum};
    if (!staged && !group->faulty && group->attachable && r->log != NULL) {
        if (!vr_log_has_room(r->staging, record->body_size)) {
            return no_room(r);
        }
        vr_log_append_bytes(r->staging, record->body, record->body_size);
    }
    if (record->op_number < group->through_op) {
        return 0;
    }
    const bool ends = checksum_equal(group->head.checksum, group->through_checksum);
    const int status = finish_group(r);
    if (!ends) {
        break_log(r);
    }
    return status;
}

static int plain_entry(struct reader *r, const struct wal_record *record, bool body_whole)
{
    r->faulty = r->faulty || !body_whole;
    r->wal->head = (struct wal_head){record->op_number, record->checksum};
    if (r->faulty || r->broken) {
        return 0;
    }
    if (r->log != NULL && !vr_log_has_room(r->log, record->body_size)) {
        make_room(r);
    }
    if (r->log != NULL && !vr_log_has_room(r->log, record->body_size)) {
        if (record->op_number > r->options->base.op_number) {
            return no_room(r);
        }
        hold_from(r, &r->wal->head); /* what comes before the base can be done without */
        return 0;
    }
    if (r->log != NULL) {
        vr_log_append_bytes(r->log, record->body, record->body_size);
    }
    r->held_op = record->op_number;
    return 0;
}

/* The replacement's last entries are among what is missing, and this one is behind them: they were
 * of one batch, which is torn. */
static bool ends_within_missing(const struct wal_group *group, const struct wal_record *record,
                                uint64_t missing)
{
    return group->active && missing > 0 && record->incarnation == group->incarnation &&
           record->op_number > group->through_op &&
           record->op_number == group->head.op_number + missing + 1;
}

/* `missing` records before this one are damaged beyond recognition. */
static int on_entry(struct reader *r, const struct wal_record *record, bool body_whole,
                    uint64_t missing)
{
    struct wal_group *group = &r->wal->group;
    if (ends_within_missing(group, record, missing)) {
        missing = record->op_number - group->through_op - 1;
        group->faulty = true;
        (void)finish_group(r); /* nothing of it is held, so there is nothing that could fail */
        r->faulty = true;
    }
    const struct wal_head *head = group->active ? &group->head : &r->wal->head;
    const bool follows = record->op_number == head->op_number + missing + 1 &&
                         (missing > 0 || checksum_equal(record->other, head->checksum)) &&
                         (!group->active || (record->incarnation == group->incarnation &&
                                             record->op_number <= group->through_op));
    if (!follows) {
        group->active = false;
        break_log(r);
        r->wal->head = (struct wal_head){record->op_number, record->checksum};
        return 0;
    }
    if (group->active) {
        group->faulty = group->faulty || missing > 0;
        return group_entry(r, record, body_whole);
    }
    r->faulty = r->faulty || missing > 0;
    const enum at_base at = entry_at_base(r, record);
    r->differs = at == BASE_ELSEWHERE ? r->differs : at == BASE_MISSED;
    const bool known = at == BASE_MET && record->op_number == r->options->base.op_number;
    if (at == BASE_MET && !r->broken && (r->faulty || (known && !body_whole))) {
        begin_at_base(r);
        if (known) {
            return 0;
        }
        r->lost = body_whole ? 0 : record->sequence;
    }
    return plain_entry(r, record, body_whole);
}

/* Where `head` is known to be where the log was, and all before it is dispensable. */
static void go_on_from(struct reader *r, const struct wal_head *head)
{
    r->wal->head = *head;
    r->wal->group.active = false;
    r->broken = false;
    r->faulty = false;
    r->differs = false;
    miss_nothing(r);
    hold_from(r, head);
}

static void restart_log(struct reader *r, const struct wal_record *record)
{
    const struct wal_head head = {record->op_number, record->checksum};
    go_on_from(r, &head);
    r->differs = compare_base(r, head.op_number, head.checksum) == BASE_MISSED;
}

static int follow(struct reader *r, const struct wal_record *record, bool body_whole)
{
    struct wal *wal = r->wal;
    const uint64_t missing = record->sequence - wal->sequence - 1;
    wal->sequence = record->sequence;
    if (record->type == WAL_ENTRY) {
        return on_entry(r, record, body_whole, missing);
    }
    /* What is missing before a cut may have been a cut as well; only what is held counts then. */
    if (missing > 0 && record->type != WAL_RESTART) {
        break_log(r);
    }
    if (record->type == WAL_REPLACE) {
        return begin_group(r, record);
    }
    wal->group.active = false;
    if (record->type == WAL_RESTART) {
        restart_log(r, record);
        return 0;
    }
    if (record->op_number != wal->head.op_number ||
        !checksum_equal(record->checksum, wal->head.checksum)) {
        break_log(r);
        wal->head = (struct wal_head){record->op_number, record->checksum};
    }
    return 0;
}

static int on_record(struct reader *r, const struct wal_record *record, bool body_whole)
{
    const int status = follow(r, record, body_whole);
    /* True of every log of this replica, whatever became of the one in which it stands. */
    if (record->commit_number > r->found->commit_known) {
        r->found->commit_known = record->commit_number;
    }
    note_synced(r, record->synced_sequence);
    return status;
}

/* --- one segment --- */

static void visit(const struct reader *r, uint64_t offset, enum wal_verdict verdict,
                  const struct wal_record *record)
{
    if (r->options->visit != NULL) {
        r->options->visit(r->options->context, r->wal->segment.number, offset, verdict, record);
    }
}

/* A record that can stand here: whole, and later than all that was read. */
static enum wal_verdict decode_at(const struct reader *r, uint64_t offset, uint64_t end,
                                  struct wal_record *record)
{
    const enum wal_verdict verdict =
        wal_record_decode(r->wal->image + offset, end - offset, &r->wal->owner,
                          r->wal->segment.number, offset, record);
    const bool stands = (verdict == WAL_VALID || verdict == WAL_BODY_DAMAGED) &&
                        record->sequence > r->wal->sequence;
    return stands ? verdict : WAL_DAMAGED;
}

/* The next record at or behind *offset, which moves there; WAL_DAMAGED: there is none. */
static enum wal_verdict find_record(const struct reader *r, uint64_t *offset, uint64_t end,
                                    struct wal_record *record)
{
    while (*offset + WAL_RECORD_HEADER_SIZE <= end) {
        const enum wal_verdict verdict = decode_at(r, *offset, end, record);
        if (verdict != WAL_DAMAGED) {
            return verdict;
        }
        *offset += WAL_ALIGNMENT;
    }
    return WAL_DAMAGED;
}

static uint64_t last_nonzero(const uint8_t *bytes, uint64_t from, uint64_t end)
{
    while (end > from && bytes[end - 1] == 0) {
        end--;
    }
    return end;
}

static int read_records(struct reader *r, uint64_t end)
{
    struct wal *wal = r->wal;
    uint64_t offset = WAL_SEGMENT_HEADER_SIZE;
    int status = 0;
    wal->image_end = WAL_SEGMENT_HEADER_SIZE;
    r->hurt_last = 0;
    while (status == 0 && offset < end) {
        struct wal_record record;
        uint64_t found = offset;
        const enum wal_verdict verdict = find_record(r, &found, end, &record);
        if (verdict == WAL_DAMAGED) {
            break;
        }
        if (record.sequence != wal->sequence + 1) {
            note_damage(r, wal->segment.number, offset);
            note_lost(r, wal->sequence + 1);
            visit(r, offset, WAL_DAMAGED, NULL);
        }
        if (verdict == WAL_BODY_DAMAGED) {
            note_damage(r, wal->segment.number, found);
            note_lost(r, record.sequence);
        }
        visit(r, found, verdict, &record);
        status = on_record(r, &record, verdict == WAL_VALID);
        r->hurt_last = verdict == WAL_VALID ? 0 : found;
        offset = found + wal_record_size(record.body_size);
        wal->image_end = offset;
    }
    return status;
}

/* A process that is killed amid a write leaves whole pages of it, then what the segment was made
 * of.
 */
static bool is_cut_short(const struct reader *r, uint64_t end)
{
    const struct wal *wal = r->wal;
    const uint64_t body = r->hurt_last + WAL_RECORD_HEADER_SIZE;
    if (r->hurt_last == 0) {
        return false;
    }
    const uint64_t written = last_nonzero(wal->image, body, end);
    const uint64_t over = written % wal->sector_size;
    return (over == 0 ? written : written + wal->sector_size - over) < wal->image_end;
}

/* Behind the last record of the last segment: what a crash left of records that were being written,
 * unless they are known to have been durable, or the segment's header, which may have known it, is
 * damaged, too. In an earlier segment it is damage, if the next one says that records are missing.
 */
static void judge_tail(struct reader *r, uint64_t end)
{
    const struct wal *wal = r->wal;
    const uint64_t torn_end = last_nonzero(wal->image, wal->image_end, end);
    if (r->synced > wal->sequence || (r->headless && torn_end > wal->image_end)) {
        note_damage(r, wal->segment.number, wal->image_end);
        r->end_lost = true;
    } else if (torn_end > wal->image_end) {
        r->found->torn_bytes = torn_end - wal->image_end;
        r->found->torn_segment = wal->segment.number;
        r->found->torn_offset = wal->image_end;
    }
    r->found->tail_unfinished =
        r->lost == wal->sequence && !r->headless && !r->end_lost && is_cut_short(r, end);
}

/* What a clean stop said of the log's end is what was found. */
static bool ends_as_known(const struct reader *r)
{
    const struct wal *wal = r->wal;
    const struct wal_end *end = &r->options->end;
    return end->segment == wal->segment.number && end->head.op_number == wal->head.op_number &&
           checksum_equal(end->head.checksum, wal->head.checksum);
}

/* Where the next record of the last segment would begin - behind the last one, or in the sector
 * behind that - or in what is no record, or in the sector behind that, a sector cannot be read: no
 * torn tail, for what was there is not known. Behind sectors that can be read and are empty nothing
 * was ever whole. */
static void judge_unread(struct reader *r, uint64_t end)
{
    const struct wal *wal = r->wal;
    if (r->unreadable.count == 0 || r->end_lost || ends_as_known(r)) {
        return;
    }
    const uint64_t torn_end = last_nonzero(wal->image, wal->image_end, end);
    const uint64_t next = (torn_end + wal->sector_size - 1) / wal->sector_size;
    if (unreadable_within(&r->unreadable, wal->image_end, (next + 1) * wal->sector_size)) {
        note_damage(r, wal->segment.number, wal->image_end);
        r->end_lost = true;
    }
}

/* --- segments --- */

static int refuse(const struct reader *r, int status, const char *name, const char *why,
                  const char *cure)
{
    return storage_error_set(r->error, status, "%s/%s %s; %s", r->wal->directory, name, why, cure);
}

static int judge_header(struct reader *r, uint64_t number, const char *name)
{
    struct wal *wal = r->wal;
    struct wal_segment_header header;
    const enum wal_verdict verdict =
        wal->image_size < WAL_SEGMENT_HEADER_SIZE
            ? WAL_DAMAGED
            : wal_segment_header_decode(wal->image, &wal->owner, number, &header);
    if (verdict == WAL_NEWER) {
        return refuse(r, -EPROTO, name,
                      "was written by a newer version of vr-server, in a format that this one "
                      "cannot read",
                      "start the newer one");
    }
    if (verdict == WAL_FOREIGN) {
        return refuse(r, -EINVAL, name, "belongs to another replica or another cluster",
                      "each replica needs the directory that its own init made: put the right "
                      "files back");
    }
    r->headless = verdict != WAL_VALID;
    if (verdict == WAL_VALID && wal->image_size < header.size) {
        note_damage(r, number, wal->image_size);
        r->truncated = r->truncated == 0 ? number : r->truncated;
        r->end_lost = true;
    } else if (verdict == WAL_VALID) {
        r->end_lost = false;
    } else {
        note_damage(r, number, 0);
        r->end_lost = true; /* until something whole is found in it */
        header = (struct wal_segment_header){
            .number = number,
            .size = wal->image_size < wal->segment_size ? wal->segment_size : wal->image_size,
            .first_sequence = wal->sequence + 1,
            .synced_sequence = wal->sequence,
            .head_op = wal->head.op_number,
            .head_checksum = wal->head.checksum,
        };
    }
    wal->segment = header;
    note_synced(r, header.synced_sequence);
    return 0;
}

/* Records are missing before a segment: its header says where the log was by then. */
static void judge_missing(struct reader *r)
{
    struct wal *wal = r->wal;
    const struct wal_segment_header *header = &wal->segment;
    if (r->options->base.op_number > 0 && header->head_op <= r->options->base.op_number &&
        !r->headless &&
        (((r->broken || r->faulty) && !wal->group.active) ||
         header->first_sequence > wal->sequence + 1)) {
        /* Compaction took what was before (K1), or could have. */
        go_on_from(r, &(struct wal_head){header->head_op, header->head_checksum});
        wal->sequence = header->first_sequence - 1;
        return;
    }
    if (header->first_sequence <= wal->sequence + 1) {
        return;
    }
    const uint64_t missing = header->first_sequence - wal->sequence - 1;
    if (wal->group.active || header->head_op != wal->head.op_number + missing) {
        break_log(r);
    }
    note_damage(r, header->number, WAL_SEGMENT_HEADER_SIZE);
    note_lost(r, wal->sequence + 1);
    wal->group.active = false;
    r->faulty = true;
    wal->sequence = header->first_sequence - 1;
    wal->head = (struct wal_head){header->head_op, header->head_checksum};
}

static int image_grow(struct reader *r, uint64_t size)
{
    if (size > WAL_SEGMENT_SIZE_MAX) {
        return storage_error_set(r->error, -EINVAL,
                                 "a file of the log in %s is larger than any that vr-server makes: "
                                 "is this the right data directory?",
                                 r->wal->directory);
    }
    uint8_t *image =
        realloc(r->wal->image, size < WAL_SEGMENT_HEADER_SIZE ? WAL_SEGMENT_HEADER_SIZE : size);
    if (image == NULL) {
        return storage_error_set(r->error, -ENOMEM, "there is no memory left to read the log");
    }
    r->wal->image = image;
    r->wal->image_size = size;
    return 0;
}

/* Sectors that lie side by side are one hole. */
static void note_holes(struct reader *r, uint64_t segment)
{
    struct wal_found *found = r->found;
    const struct unreadable *unreadable = &r->unreadable;
    uint64_t end = UINT64_MAX;
    for (uint32_t i = 0; i < unreadable->count; i++) {
        const uint64_t size = unreadable->sector_size;
        const bool goes_on = unreadable->offsets[i] == end;
        end = unreadable->offsets[i] + size;
        found->unreadable_bytes += size;
        found->hole_count += goes_on ? 0 : 1;
        if (found->hole_count > WAL_HOLES_SAID) {
            continue;
        }
        struct wal_hole *hole = &found->holes[found->hole_count - 1];
        *hole = goes_on ? (struct wal_hole){segment, hole->offset, hole->size + size}
                        : (struct wal_hole){segment, unreadable->offsets[i], size};
    }
}

static bool too_many_fail(const struct reader *r)
{
    return r->found->unreadable_bytes / r->wal->sector_size + r->unreadable.count >= UNREADABLE_MAX;
}

static int read_failed(const struct reader *r, int status, const char *path)
{
    return status == -EIO && too_many_fail(r)
               ? storage_error_set(r->error, status,
                                   "cannot read %s: %d sectors of the log and more fail, so that "
                                   "it may be the disk which does not answer; nothing was changed. "
                                   "Look at the kernel's log, mend what it names, start this "
                                   "replica again; if it stays so, let the others give it what "
                                   "it had: start it once with --durability memory, then as before",
                                   path, UNREADABLE_MAX)
               : storage_error_system(r->error, status, "read", path);
}

static int read_image(struct reader *r, const char *path)
{
    const struct file_ops *ops = r->wal->ops;
    const int file = ops->open(ops->disk, path, false);
    if (file < 0) {
        return storage_error_system(r->error, file, "open", path);
    }
    const int64_t size = ops->size(ops->disk, file);
    int status = size < 0 ? (int)size : image_grow(r, (uint64_t)size);
    if (status == 0) {
        const int64_t got = sector_read(ops, file, 0, r->wal->image, r->wal->image_size,
                                        r->wal->sector_size, &r->unreadable);
        status = got < 0            ? read_failed(r, (int)got, path)
                 : too_many_fail(r) ? read_failed(r, -EIO, path)
                                    : 0;
        r->wal->image_size = got < 0 ? 0 : (size_t)got;
    } else if (size < 0) {
        (void)storage_error_system(r->error, status, "read the size of", path);
    }
    ops->close(ops->disk, file);
    return status;
}

static int read_segment(struct reader *r, size_t index)
{
    char name[WAL_NAME_SIZE];
    char path[STORAGE_PATH_MAX];
    const bool last = index + 1 == r->count;
    wal_segment_name(r->numbers[index], name);
    int status = storage_path(path, r->wal->directory, name, r->error);
    status = status == 0 ? read_image(r, path) : status;
    note_holes(r, r->numbers[index]);
    status = status == 0 ? judge_header(r, r->numbers[index], name) : status;
    if (status != 0) {
        return status;
    }
    const struct wal *wal = r->wal;
    const uint64_t end = wal->image_size < wal->segment.size ? wal->image_size : wal->segment.size;
    judge_missing(r);
    const struct wal_mark mark = {r->numbers[index], wal->image_size, wal->segment.head_op,
                                  wal->group.active};
    if (wal_add_mark(r->wal, &mark) != 0) {
        return storage_error_set(r->error, -ENOMEM, "there is no memory left to read the log");
    }
    const uint64_t sequence = wal->sequence;
    status = read_records(r, end);
    if (r->headless && wal->sequence > sequence && end >= wal->segment_size) {
        r->end_lost = false; /* only the header is lost: what is behind it speaks for itself */
    }
    if (last) {
        judge_tail(r, end);
        judge_unread(r, end);
    }
    r->wal->disk_bytes += wal->image_size;
    return status;
}

/* --- the directory --- */

static int note_name(void *context, const char *name)
{
    struct reader *r = context;
    const uint64_t number = wal_segment_number(name);
    if (number == 0) {
        return 0;
    }
    if (r->count == r->capacity) {
        const size_t capacity = 2 * r->capacity + 64;
        uint64_t *numbers = realloc(r->numbers, capacity * sizeof *numbers);
        if (numbers == NULL) {
            return storage_error_set(r->error, -ENOMEM, "there is no memory left to read the log");
        }
        r->numbers = numbers;
        r->capacity = capacity;
    }
    r->numbers[r->count++] = number;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int list_segments(struct reader *r)
{
    const struct file_ops *ops = r->wal->ops;
    r->error->text[0] = '\0';
    const int status = ops->list(ops->disk, r->wal->directory, note_name, r);
    if (status != 0 && r->error->text[0] == '\0') {
        return storage_error_system(r->error, status, "read the directory", r->wal->directory);
    }
    if (r->count > 1) {
        qsort(r->numbers, r->count, sizeof r->numbers[0], compare_numbers);
    }
    return status;
}

/* What the state file knows of the log is not there. */
static void judge_end(struct reader *r)
{
    const struct wal_options *options = r->options;
    const struct wal *wal = r->wal;
    const uint64_t last = r->count == 0 ? 0 : r->numbers[r->count - 1];
    if (last < options->named_segment || last < options->end.segment) {
        note_damage(r, last + 1, 0);
        r->end_lost = true;
    } else if (options->end.segment != 0 && !r->end_lost &&
               (wal->head.op_number != options->end.head.op_number ||
                !checksum_equal(wal->head.checksum, options->end.head.checksum))) {
        note_damage(r, last, wal->image_end);
        r->end_lost = true;
    }
    if (r->end_lost) {
        r->found->torn_bytes = 0;
        break_log(r);
    }
}

/* K3: what is held begins at or before the base and reaches it, or begins anew there. */
static void judge_base(struct reader *r)
{
    const struct wal_head *named = &r->options->base;
    const struct wal_head base = named->op_number > 0 ? *named : log_begin(r);
    if (r->base_op <= base.op_number && held_matches(r, &base)) {
        return;
    }
    if (r->base_op > base.op_number) {
        break_log(r); /* it begins behind a later checkpoint, which is not there any more */
    }
    hold_from(r, &base);
    if (!r->broken && r->faulty && !r->differs && r->wal->head.op_number > base.op_number) {
        return; /* entries are lost on both sides of it */
    }
    if (!r->broken) {
        r->found->detached = true;
        r->faulty = false;
    }
    r->wal->over = true;
    r->wal->head = base;
    r->wal->group.active = false;
}

static void conclude(struct reader *r)
{
    struct wal_found *found = r->found;
    const struct wal *wal = r->wal;
    judge_end(r);
    judge_base(r);
    found->base_op = r->base_op;
    if (found->commit_known < r->options->base.op_number) {
        found->commit_known = r->options->base.op_number;
    }
    found->condition = r->broken ? WAL_BROKEN : r->faulty ? WAL_FAULTY : WAL_INTACT;
    found->lost_durable = r->lost != 0 && r->lost <= r->synced;
    /* Renewing the segment makes nothing durable that is damaged. */
    const bool torn = r->faulty && r->lost != 0 && !found->lost_durable;
    r->wal->vouched_sequence = torn ? r->lost - 1 : wal->sequence;
    found->held_op = r->held_op;
    found->head = wal->head;
    found->segment_count = r->count;
    found->last_segment = r->count == 0 ? 0 : r->numbers[r->count - 1];
    found->disk_bytes = wal->disk_bytes;
    found->unfinished_replacement = wal->group.active;
    found->commit_number =
        found->commit_known < found->held_op ? found->commit_known : found->held_op;
}

/* A file that was cut, by whatever moved or copied it, may be there as a whole elsewhere; unless
 * the log has done without it since. */
static int judge_truncated(struct reader *r)
{
    char name[WAL_NAME_SIZE];
    if (r->truncated == 0 || !r->options->refuse_truncated || r->found->condition == WAL_INTACT) {
        return 0;
    }
    wal_segment_name(r->truncated, name);
    return refuse(r, -EBADMSG, name,
                  "is shorter than it was made: it was cut or not copied whole, so this "
                  "replica no longer knows what it promised",
                  "put the whole file back; or let the others give it what it had: start it "
                  "once with --durability memory, then as before");
}

int wal_read(struct wal *wal, const struct file_ops *ops, const struct wal_options *options,
             struct vr_log *log, struct vr_log *staging, struct wal_found *found,
             struct storage_error *error)
{
    INVARIANT(strlen(options->directory) < STORAGE_PATH_MAX);
    INVARIANT(options->segment_size >= WAL_SEGMENT_HEADER_SIZE);
    INVARIANT(options->segment_size <= WAL_SEGMENT_SIZE_MAX);
    INVARIANT(options->sector_size > 0 && options->sector_size % WAL_ALIGNMENT == 0);
    *wal = (struct wal){
        .ops = ops,
        .owner = options->owner,
        .segment_size = options->segment_size,
        .sector_size = options->sector_size,
        .file = -1,
        .head = {0, entry_chain_start(options->owner.cluster_id)},
    };
    memcpy(wal->directory, options->directory, strlen(options->directory) + 1);
    *found = (struct wal_found){.condition = WAL_INTACT};
    struct reader reader = {
        .wal = wal,
        .options = options,
        .log = log,
        .staging = staging,
        .found = found,
        .error = error,
    };
    int status = list_segments(&reader);
    for (size_t i = 0; status == 0 && i < reader.count; i++) {
        status = read_segment(&reader, i);
    }
    conclude(&reader);
    status = status == 0 ? judge_truncated(&reader) : status;
    free(reader.numbers);
    if (status != 0) {
        wal_close(wal);
    }
    return status;
}
