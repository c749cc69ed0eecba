/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/sector_read.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"

struct piece {
    const struct file_ops *ops;
    int file;
    uint64_t offset; /* in the file, of ... */
    uint8_t *bytes;
    size_t size;
};

static uint64_t sector_end(uint64_t offset, size_t sector_size)
{
    return (offset / sector_size + 1) * sector_size;
}

/* From `offset` to the sector's end, as far as the piece goes. What cannot be read is zero. */
static int64_t read_sector(const struct piece *piece, uint64_t offset, size_t sector_size)
{
    const size_t at = (size_t)(offset - piece->offset);
    const size_t left = piece->size - at;
    const size_t whole = (size_t)(sector_end(offset, sector_size) - offset);
    const size_t size = left < whole ? left : whole;
    const int64_t got =
        piece->ops->read(piece->ops->disk, piece->file, offset, piece->bytes + at, size);
    if (got < 0) {
        memset(piece->bytes + at, 0, size);
    }
    return got < 0 ? got : (size_t)got < size ? got : (int64_t)whole;
}

/* Returns how many bytes there are. */
static int64_t read_each(const struct piece *piece, struct unreadable *unreadable)
{
    const uint64_t end = piece->offset + piece->size;
    for (uint64_t offset = piece->offset; offset < end;) {
        const uint64_t next = sector_end(offset, unreadable->sector_size);
        const int64_t got = read_sector(piece, offset, unreadable->sector_size);
        if (got < 0 && (got != -EIO || unreadable->count == UNREADABLE_MAX)) {
            return got;
        }
        if (got < 0) {
            unreadable->offsets[unreadable->count++] = offset;
        } else if (offset + (uint64_t)got < next) {
            return (int64_t)(offset - piece->offset) + got; /* the file ends */
        }
        offset = next;
    }
    return (int64_t)piece->size;
}

/* Only what fails again is taken for lost. */
static int read_again(const struct piece *piece, struct unreadable *unreadable)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < unreadable->count; i++) {
        const int64_t got = read_sector(piece, unreadable->offsets[i], unreadable->sector_size);
        if (got < 0 && got != -EIO) {
            return (int)got;
        }
        if (got < 0) {
            unreadable->offsets[count++] = unreadable->offsets[i];
        }
    }
    unreadable->count = count;
    return 0;
}

int64_t sector_read(const struct file_ops *ops, int file, uint64_t offset, uint8_t *bytes,
                    size_t size, size_t sector_size, struct unreadable *unreadable)
{
    INVARIANT(sector_size > 0);
    unreadable->count = 0;
    unreadable->sector_size = sector_size;
    int64_t got = ops->read(ops->disk, file, offset, bytes, size);
    if (got != -EIO) {
        return got;
    }
    const struct piece piece = {ops, file, offset, bytes, size};
    got = read_each(&piece, unreadable);
    const int status = got < 0 ? (int)got : read_again(&piece, unreadable);
    return status < 0 ? status : got;
}

bool unreadable_within(const struct unreadable *unreadable, uint64_t from, uint64_t to)
{
    bool any = false;
    for (uint32_t i = 0; i < unreadable->count; i++) {
        const uint64_t offset = unreadable->offsets[i];
        any = any || (offset < to && sector_end(offset, unreadable->sector_size) > from);
    }
    return any;
}
