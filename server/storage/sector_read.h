/* SPDX-License-Identifier: Apache-2.0 */
/* sector_read.h - reading what a disk still gives of a file that it cannot give all of.
 *
 * A read that fails with EIO says nothing of the other sectors, nor that the next try fails. So the
 * sectors are read one by one, and those that fail a second time, when all others have been read;
 * what still fails is zero, and listed: the caller takes it for damage. Where too many fail it is
 * not the sectors: a disk that does not answer has lost nothing, and is no reason to give anything
 * up.
 *
 * Threads:   as the file_ops. Memory: none but the caller's.
 * Errors:    a negative errno: -EIO if more than UNREADABLE_MAX sectors fail. */
#ifndef VR_STORAGE_SECTOR_READ_H
#define VR_STORAGE_SECTOR_READ_H

#include "server/storage/file_ops.h"

enum { UNREADABLE_MAX = 256 }; /* sectors; a disk may take many seconds to fail at each */

struct unreadable {
    uint64_t offsets[UNREADABLE_MAX]; /* of sectors, within the file, rising; of the first one the
                                         part that was to be read */
    uint32_t count;
    size_t sector_size;
};

/* Reads as ops->read() does; *unreadable says what is missing of what was read. */
int64_t sector_read(const struct file_ops *ops, int file, uint64_t offset, uint8_t *bytes,
                    size_t size, size_t sector_size, struct unreadable *unreadable);

/* True if any byte of from ... to - 1 is in a sector that cannot be read. */
bool unreadable_within(const struct unreadable *unreadable, uint64_t from, uint64_t to);

#endif
