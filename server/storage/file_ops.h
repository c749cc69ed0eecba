/* SPDX-License-Identifier: Apache-2.0 */
/* file_ops.h - the little that storage needs of a file system.
 *
 * Storage reaches the disk through these functions only, so that the simulated disk of the tests
 * (unsynced writes lost or torn at a crash, errors at any call) can take the place of the real one.
 *
 * Promises an implementation makes, and no more:
 *   - what sync() and sync_directory() returned 0 for survives a crash of the machine;
 *   - until then a crash keeps any part of what was written: every sector old, new or garbage, in
 * any order; a created, renamed or removed name is there or not;
 *   - rename() replaces its target in one step, seen whole or not at all.
 *
 * Errors:    a negative errno. An error of write() or sync() says that nothing is known any more of
 *            what is on the disk: the caller gives up, it never tries again (D4, PITFALLS PS-3).
 * Threads:   as the implementation says; storage calls from one thread at a time. */
#ifndef VR_STORAGE_FILE_OPS_H
#define VR_STORAGE_FILE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_ops {
    void *disk; /* the implementation's own; passed to every call */

    /* Makes a directory that only its owner can enter (0700). -EEXIST if the name is taken. */
    int (*create_directory)(void *disk, const char *path);

    /* Takes the directory for this process until the handle is closed. Returns a handle >= 0,
     * -EWOULDBLOCK if another process has it. */
    int (*lock_directory)(void *disk, const char *path);

    /* Makes names created and renamed in the directory durable. */
    int (*sync_directory)(void *disk, const char *path);

    /* Opens a file for reading and writing; `create`: makes it (0600), -EEXIST if it is there.
     * Returns a handle >= 0. */
    int (*open)(void *disk, const char *path, bool create);

    /* Reads at `offset` until `size` bytes or the end of the file. Returns how many it read. */
    int64_t (*read)(void *disk, int file, uint64_t offset, void *bytes, size_t size);

    /* Writes all of `bytes` at `offset`, or fails. */
    int (*write)(void *disk, int file, uint64_t offset, const void *bytes, size_t size);

    /* Makes the content of the file durable, and how long it is. */
    int (*sync)(void *disk, int file);

    /* Makes the content durable, within the size that the file had at the last sync(). */
    int (*sync_data)(void *disk, int file);

    /* Takes room for the file's first `size` bytes; those that it had not yet are zero. Afterwards
     * no write there fails for want of room. The size is durable after sync(). */
    int (*reserve)(void *disk, int file, uint64_t size);

    /* How long the file is. */
    int64_t (*size)(void *disk, int file);

    int (*rename)(void *disk, const char *from, const char *to);

    /* Takes a name away. -ENOENT if it is not there. */
    int (*remove)(void *disk, const char *path);

    /* Calls `visit` with each name in the directory, in no order; stops when that returns other
     * than 0, and returns that. */
    int (*list)(void *disk, const char *path, int (*visit)(void *context, const char *name),
                void *context);

    /* Closes a file or gives back a lock. What was not synced is promised to nobody, so there is
     * no error to report. */
    void (*close)(void *disk, int handle);
};

/* The operating system's files. Thread-safe as the system calls are. */
struct file_ops file_ops_posix(void);

#endif
