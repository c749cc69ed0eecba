/* SPDX-License-Identifier: Apache-2.0 */
/* wal.c - appending. Each step that must be durable before the next is synced here, so the order
 * of the calls below is what the promises in wal.h rest on. */
#include "server/storage/wal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

static const char spare_name[] = "log.spare";
static const char renewed_name[] = "log.new";

static int fail(struct wal *wal, int status, const char *verb, struct storage_error *error)
{
    wal->failed = -status;
    return storage_error_system(error, status, verb, wal->directory);
}

/* Only what was to come has no place: what was written is as it was. */
static int fail_full(struct wal *wal, int status, const char *verb, struct storage_error *error)
{
    wal->full = -status;
    return storage_error_system(error, status, verb, wal->directory);
}

static bool is_want_of_room(int status)
{
    return status == -ENOSPC || status == -EDQUOT;
}

static int refuse_failed(const struct wal *wal, struct storage_error *error)
{
    return storage_error_set(error, -wal->failed,
                             "the log in %s failed before (%s) and cannot be trusted: this replica "
                             "must stop",
                             wal->directory, strerror(wal->failed));
}

static int refuse_full(const struct wal *wal, struct storage_error *error)
{
    return storage_error_set(error, -wal->full, "the log in %s had no room before (%s)",
                             wal->directory, strerror(wal->full));
}

static int segment_path(const struct wal *wal, uint64_t number, char path[STORAGE_PATH_MAX],
                        struct storage_error *error)
{
    char name[WAL_NAME_SIZE];
    wal_segment_name(number, name);
    return storage_path(path, wal->directory, name, error);
}

/* --- room ahead (D4) --- */

/* A file of zeros, of one segment's size, under `name`: it becomes the next segment. */
static int make_file(struct wal *wal, const char *path, uint64_t size)
{
    int file = wal->ops->open(wal->ops->disk, path, true);
    if (file == -EEXIST) {
        /* Left by a start that ended halfway: what is in it is nobody's. */
        const int status = wal->ops->remove(wal->ops->disk, path);
        file = status != 0 ? status : wal->ops->open(wal->ops->disk, path, true);
    }
    if (file < 0) {
        return file;
    }
    const int status = wal->ops->reserve(wal->ops->disk, file, size);
    if (status != 0) {
        wal->ops->close(wal->ops->disk, file);
        (void)wal->ops->remove(wal->ops->disk, path); /* gives back what room it took */
        return status;
    }
    return file;
}

/* A wish: without a spare the log goes on to the end of its segment. */
static void make_spare(struct wal *wal)
{
    char path[STORAGE_PATH_MAX];
    struct storage_error unused;
    int file = storage_path(path, wal->directory, spare_name, &unused);
    if (file == 0) {
        file = make_file(wal, path, wal->segment_size);
    }
    wal->spare_status = file < 0 ? file : 0;
    wal->has_spare = file >= 0;
    if (file >= 0) {
        wal->ops->close(wal->ops->disk, file);
        wal->disk_bytes += wal->segment_size;
    }
}

int wal_spare_error(const struct wal *wal)
{
    return wal->spare_status;
}

/* --- segments --- */

int wal_add_mark(struct wal *wal, const struct wal_mark *mark)
{
    if (wal->mark_count == wal->mark_capacity) {
        const size_t capacity = 2 * wal->mark_capacity + 64;
        struct wal_mark *marks = realloc(wal->marks, capacity * sizeof *marks);
        if (marks == NULL) {
            return -ENOMEM;
        }
        wal->marks = marks;
        wal->mark_capacity = capacity;
    }
    wal->marks[wal->mark_count++] = *mark;
    return 0;
}

void wal_note_cut(struct wal *wal, uint64_t cut_to)
{
    for (size_t i = 0; i < wal->mark_count; i++) {
        wal->marks[i].needs_earlier = wal->marks[i].needs_earlier || wal->marks[i].head_op > cut_to;
    }
}

/* Opens the room for a new segment: the spare, or a file made now. */
static int open_room(struct wal *wal, const char *path)
{
    if (wal->has_spare) {
        const int file = wal->ops->open(wal->ops->disk, path, false);
        if (file >= 0 && wal->ops->size(wal->ops->disk, file) == (int64_t)wal->segment_size) {
            return file;
        }
        if (file >= 0) {
            wal->ops->close(wal->ops->disk, file);
        }
        wal->disk_bytes -= wal->segment_size;
        wal->has_spare = false;
    }
    const int file = make_file(wal, path, wal->segment_size);
    wal->disk_bytes += file >= 0 ? wal->segment_size : 0;
    return file;
}

/* A header, and the segment's name over a file that is complete: whoever finds it finds a header.
 */
static int name_segment(struct wal *wal, int file, const struct wal_segment_header *segment,
                        const char *from, const char *to)
{
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    const struct file_ops *ops = wal->ops;
    wal_segment_header_encode(segment, &wal->owner, header);
    int status = ops->write(ops->disk, file, 0, header, sizeof header);
    status = status == 0 ? ops->sync(ops->disk, file) : status;
    status = status == 0 ? ops->rename(ops->disk, from, to) : status;
    return status == 0 ? ops->sync_directory(ops->disk, wal->directory) : status;
}

/* The segment before it stays as it is, whatever becomes of this one. */
static int begin_segment(struct wal *wal, uint64_t number, struct storage_error *error)
{
    char spare[STORAGE_PATH_MAX];
    char path[STORAGE_PATH_MAX];
    int status = storage_path(spare, wal->directory, spare_name, error);
    if (status != 0 || (status = segment_path(wal, number, path, error)) != 0) {
        return status;
    }
    const int file = open_room(wal, spare);
    if (file < 0) {
        return fail_full(wal, file, "make a segment of the log in", error);
    }
    const struct wal_segment_header segment = {
        .number = number,
        .size = wal->segment_size,
        .first_sequence = wal->sequence + 1,
        .synced_sequence = wal->sequence,
        .head_op = wal->head.op_number,
        .head_checksum = wal->head.checksum,
    };
    const struct wal_mark mark = {number, segment.size, segment.head_op, wal->group.active};
    status = wal_add_mark(wal, &mark);
    status = status == 0 ? name_segment(wal, file, &segment, spare, path) : status;
    if (status != 0) {
        wal->ops->close(wal->ops->disk, file);
        return is_want_of_room(status)
                   ? fail_full(wal, status, "make a segment of the log in", error)
                   : fail(wal, status, "make a segment of the log in", error);
    }
    wal->segment = segment;
    wal->file = file;
    wal->offset = WAL_SEGMENT_HEADER_SIZE;
    wal->has_spare = false;
    make_spare(wal);
    return 0;
}

static bool fits_segment(const struct wal *wal, uint32_t body_size)
{
    return wal->offset + wal_record_size(body_size) <= wal->segment.size;
}

bool wal_may_end_segment(const struct wal *wal, const struct wal_record *record)
{
    /* A cut is synced before, which may move it to another sector, and out of the segment. */
    return record->type != WAL_ENTRY || !fits_segment(wal, record->body_size);
}

static int next_segment(struct wal *wal, struct storage_error *error)
{
    const int file = wal->file;
    int status = wal_sync(wal, error); /* flushes */
    if (status == 0) {
        status = begin_segment(wal, wal->segment.number + 1, error);
    }
    if (status == 0) {
        wal->ops->close(wal->ops->disk, file);
    }
    return status;
}

/* --- appending --- */

static bool continues(const struct wal_head *head, const struct wal_record *record)
{
    return record->op_number == head->op_number + 1 &&
           checksum_equal(record->other, head->checksum);
}

static void end_group(struct wal *wal)
{
    INVARIANT(checksum_equal(wal->group.head.checksum, wal->group.through_checksum));
    wal->head = wal->group.head;
    wal->group.active = false;
}

/* Moves the head as the record says. */
static void follow(struct wal *wal, const struct wal_record *record)
{
    struct wal_head *head = wal->group.active ? &wal->group.head : &wal->head;
    switch (record->type) {
    case WAL_ENTRY:
        INVARIANT(continues(head, record));
        *head = (struct wal_head){record->op_number, record->checksum};
        break;
    case WAL_REPLACE:
        wal_note_cut(wal, record->op_number);
        wal->group = (struct wal_group){
            .active = true,
            .cut_to = record->op_number,
            .through_op = record->through_op,
            .through_checksum = record->other,
            .head = {record->op_number, record->checksum},
        };
        break;
    case WAL_ABANDON:
        wal->group.active = false;
        break;
    case WAL_RESTART:
        wal->group.active = false;
        wal->head = (struct wal_head){record->op_number, record->checksum};
        break;
    }
    if (wal->group.active && wal->group.head.op_number == wal->group.through_op) {
        end_group(wal);
    }
}

int wal_append(struct wal *wal, const struct wal_record *record, struct storage_error *error)
{
    const size_t size = wal_record_size(record->body_size);
    int status = wal->failed != 0 ? refuse_failed(wal, error)
                 : wal->full != 0 ? refuse_full(wal, error)
                                  : 0;
    /* A cut stands alone: what is lost before or behind it could not be told from a cut itself. */
    if (status == 0 && record->type != WAL_ENTRY) {
        status = wal_sync(wal, error);
    }
    if (status == 0 && !fits_segment(wal, record->body_size)) {
        status = next_segment(wal, error);
    }
    if (status == 0 && wal->batch_size + size > WAL_BATCH_SIZE) {
        status = wal_flush(wal, error);
    }
    if (status != 0) {
        return status;
    }
    INVARIANT(wal->offset + size <= wal->segment.size);
    struct wal_record sealed = *record;
    sealed.sequence = ++wal->sequence;
    sealed.incarnation = wal->incarnation;
    sealed.synced_sequence = wal->synced_sequence;
    follow(wal, record);
    wal_record_encode(&sealed, &wal->owner, wal->segment.number, wal->offset,
                      wal->batch + wal->batch_size);
    wal->batch_size += size;
    wal->offset += size;
    return record->type == WAL_ENTRY ? 0 : wal_sync(wal, error);
}

int wal_restart(struct wal *wal, const struct wal_head *base, struct storage_error *error)
{
    const struct wal_record record = {
        .type = WAL_RESTART,
        .op_number = base->op_number,
        .checksum = base->checksum,
    };
    return wal_append(wal, &record, error);
}

struct removal {
    const struct file_ops *ops;
    const char *directory;
    struct storage_error *error;
};

static int remove_if_segment(void *context, const char *name)
{
    const struct removal *removal = context;
    char path[STORAGE_PATH_MAX];
    if (wal_segment_number(name) == 0) {
        return 0;
    }
    int status = storage_path(path, removal->directory, name, removal->error);
    if (status != 0) {
        return status;
    }
    status = removal->ops->remove(removal->ops->disk, path);
    return status == 0
               ? 0
               : storage_error_system(removal->error, status, "remove a segment of the log,", path);
}

int wal_remove(const struct file_ops *ops, const char *directory, struct storage_error *error)
{
    struct removal removal = {ops, directory, error};
    error->text[0] = '\0';
    int status = ops->list(ops->disk, directory, remove_if_segment, &removal);
    if (status != 0) {
        return error->text[0] == '\0'
                   ? storage_error_system(error, status, "read the directory", directory)
                   : status;
    }
    status = ops->sync_directory(ops->disk, directory);
    return status == 0 ? 0 : storage_error_system(error, status, "sync the directory", directory);
}

static int remove_oldest(struct wal *wal, struct storage_error *error)
{
    char path[STORAGE_PATH_MAX];
    int status = segment_path(wal, wal->marks[0].number, path, error);
    if (status != 0) {
        return status;
    }
    status = wal->ops->remove(wal->ops->disk, path);
    if (status != 0 && status != -ENOENT) {
        return storage_error_system(error, status, "remove a segment of the log,", path);
    }
    wal->disk_bytes -= wal->marks[0].size;
    wal->mark_count--;
    memmove(wal->marks, wal->marks + 1, wal->mark_count * sizeof *wal->marks);
    return 0;
}

int wal_drop(struct wal *wal, uint64_t through_op, struct storage_error *error)
{
    int status = wal->failed != 0 ? refuse_failed(wal, error) : 0;
    size_t count = wal->mark_count;
    while (count > 1 &&
           (wal->marks[count - 1].needs_earlier || wal->marks[count - 1].head_op > through_op)) {
        count--;
    }
    for (; status == 0 && count > 1; count--) {
        status = remove_oldest(wal, error);
    }
    return status;
}

int wal_flush(struct wal *wal, struct storage_error *error)
{
    if (wal->failed != 0) {
        return refuse_failed(wal, error);
    }
    if (wal->batch_size == 0) {
        return 0;
    }
    const int status = wal->ops->write(wal->ops->disk, wal->file, wal->offset - wal->batch_size,
                                       wal->batch, wal->batch_size);
    wal->batch_size = 0;
    if (is_want_of_room(status)) {
        /* Of this batch nothing was reported; what was written before still waits for its sync. */
        wal->end_uncertain = true;
        return fail_full(wal, status, "write the log in", error);
    }
    if (status != 0) {
        return fail(wal, status, "write the log in", error);
    }
    wal->flushed_sequence = wal->sequence;
    return 0;
}

/* What is durable is never written to again: a sector that is torn takes all of itself along. */
static void leave_sector(struct wal *wal)
{
    INVARIANT(wal->batch_size == 0);
    const uint64_t over = wal->offset % wal->sector_size;
    wal->offset += over == 0 ? 0 : wal->sector_size - over;
}

int wal_sync(struct wal *wal, struct storage_error *error)
{
    int status = wal_flush(wal, error);
    if (status != 0) {
        return status;
    }
    status = wal->ops->sync_data(wal->ops->disk, wal->file);
    if (status != 0) {
        return fail(wal, status, "sync the log in", error);
    }
    wal_note_synced(wal, wal->flushed_sequence);
    leave_sector(wal);
    return 0;
}

void wal_note_synced(struct wal *wal, uint64_t sequence)
{
    INVARIANT(sequence <= wal->flushed_sequence);
    wal->synced_sequence = sequence > wal->synced_sequence ? sequence : wal->synced_sequence;
}

bool wal_is_full(const struct wal *wal)
{
    return wal->full != 0 && wal->failed == 0;
}

struct wal_end wal_end(const struct wal *wal)
{
    return (struct wal_end){
        .segment = wal->end_uncertain ? 0 : wal->segment.number,
        .head = wal->head,
    };
}

int wal_handle(const struct wal *wal)
{
    return wal->file;
}

/* --- a start --- */

/* The last segment into a fresh file, and that in its place. */
static int renew_in(struct wal *wal, int file, const char *from, const char *to)
{
    const struct file_ops *ops = wal->ops;
    wal->segment.synced_sequence = wal->vouched_sequence; /* once the name is there */
    wal_segment_header_encode(&wal->segment, &wal->owner, wal->image);
    int status = ops->write(ops->disk, file, 0, wal->image, wal->image_end);
    status = status == 0 ? ops->sync(ops->disk, file) : status;
    status = status == 0 ? ops->rename(ops->disk, from, to) : status;
    return status == 0 ? ops->sync_directory(ops->disk, wal->directory) : status;
}

static int renew_last(struct wal *wal, struct storage_error *error)
{
    char spare[STORAGE_PATH_MAX];
    char from[STORAGE_PATH_MAX];
    char to[STORAGE_PATH_MAX];
    const struct file_ops *ops = wal->ops;
    int status = storage_path(spare, wal->directory, spare_name, error);
    status = status == 0 ? storage_path(from, wal->directory, renewed_name, error) : status;
    status = status == 0 ? segment_path(wal, wal->segment.number, to, error) : status;
    if (status != 0) {
        return status;
    }
    /* The room that was reserved ahead is this step's too, so that it works on a full disk. */
    (void)ops->remove(ops->disk, spare);
    wal->has_spare = false;
    const int file = make_file(wal, from, wal->segment.size);
    if (file < 0) {
        return fail_full(wal, file, "make room to renew the log in", error);
    }
    status = renew_in(wal, file, from, to);
    if (status != 0) {
        ops->close(ops->disk, file);
        return fail(wal, status, "renew the log in", error);
    }
    wal->file = file;
    wal->offset = wal->image_end;
    wal->disk_bytes += wal->segment.size - wal->image_size; /* it may have been cut short */
    wal->marks[wal->mark_count - 1].size = wal->segment.size;
    wal->flushed_sequence = wal->sequence;
    wal->synced_sequence = wal->sequence;
    leave_sector(wal);
    make_spare(wal);
    return 0;
}

static int abandon_group(struct wal *wal, struct storage_error *error)
{
    const struct wal_record record = {
        .type = WAL_ABANDON,
        .op_number = wal->head.op_number,
        .checksum = wal->head.checksum,
    };
    return wal_append(wal, &record, error);
}

int wal_start(struct wal *wal, uint64_t incarnation, struct storage_error *error)
{
    wal->incarnation = incarnation;
    wal->batch = malloc(WAL_BATCH_SIZE);
    if (wal->batch == NULL) {
        return storage_error_set(error, -ENOMEM, "there is no memory left to write the log");
    }
    int status = wal->segment.number == 0 ? begin_segment(wal, 1, error) : renew_last(wal, error);
    free(wal->image);
    wal->image = NULL;
    if (status == 0 && wal->over) {
        const struct wal_head head = wal->head;
        status = wal_restart(wal, &head, error);
    } else if (status == 0 && wal->group.active) {
        status = abandon_group(wal, error);
    }
    return status;
}

void wal_close(struct wal *wal)
{
    if (wal->file >= 0) {
        wal->ops->close(wal->ops->disk, wal->file);
        wal->file = -1;
    }
    free(wal->batch);
    free(wal->image);
    free(wal->marks);
    wal->batch = NULL;
    wal->image = NULL;
    wal->marks = NULL;
}
