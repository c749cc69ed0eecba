/* SPDX-License-Identifier: Apache-2.0 */
/* sim_disk.h - a disk that forgets what was not synced, behind storage's file interface.
 *
 * Every file has two contents: what a reader sees now, and what is on the platter. sync() makes the
 * second equal to the first; power_cut() makes the first equal to the second, but each 512-byte
 * sector that was written and not synced turns out old, new or garbage (one that was rewritten with
 * the bytes it had, too), and each name that was
 * created, renamed or removed and not synced is there or not. One seed decides all of it.
 *
 * Calls that can change the disk are numbered from 1 in `calls`; power can be made to fail at any
 * of them (`power_cut_at`: that call does part of its work, it and all later ones fail with EIO),
 * and any of them can be made to fail once with an error of choice (`fail_at`, `fail_status`). A
 * sync that fails leaves what it should have written as Linux does: still seen by readers, taken
 * for clean, and not on the platter, so that syncing again succeeds and saves nothing (PITFALLS
 * PS-3). Calls of read() are counted apart, in `reads`, and can be made to fail once, too; sectors
 * can be made unreadable for good, until they are written, which is no fault that is counted.
 * `room` bounds the bytes of all files together (ENOSPC). What was made to fail is counted in
 * `faults`.
 *
 * Threads: one caller at a time. Memory: grows with what is written. */
#ifndef VR_TEST_SIM_DISK_H
#define VR_TEST_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/prng.h"
#include "server/storage/file_ops.h"

enum {
    SIM_DISK_SECTOR_SIZE = 512,
    SIM_DISK_NODES_MAX = 512, /* files and directories */
    SIM_DISK_NAMES_MAX = 512,
    SIM_DISK_HANDLES_MAX = 32,
    SIM_DISK_PATH_MAX = 256,
};

struct sim_disk_content {
    uint8_t *bytes; /* `capacity` bytes, zero behind `size` */
    size_t size;
    size_t capacity;
};

struct sim_disk_node {
    bool used;
    bool is_directory;
    struct sim_disk_content now;
    struct sim_disk_content durable;
    struct sim_disk_content pending; /* a byte a sector: written since the last sync */
    struct sim_disk_content worn;    /* a byte a sector: it cannot be read */
};

struct sim_disk_name {
    char path[SIM_DISK_PATH_MAX]; /* "" : a free entry */
    uint32_t node;
};

struct sim_disk_handle {
    bool open;
    bool lock;
    uint32_t node;
};

struct sim_disk {
    struct prng prng;
    uint64_t calls;
    uint64_t power_cut_at; /* 0: never */
    bool power_off;
    uint64_t fail_at; /* 0: never */
    int fail_status;  /* a negative errno */
    uint64_t reads;
    uint64_t read_fail_at; /* 0: never */
    uint64_t sync_count;
    uint64_t room;   /* bytes; 0: without bound */
    uint64_t faults; /* errors returned that a disk without faults would not have */
    struct sim_disk_node nodes[SIM_DISK_NODES_MAX];
    struct sim_disk_name names[SIM_DISK_NAMES_MAX];
    struct sim_disk_name durable_names[SIM_DISK_NAMES_MAX];
    struct sim_disk_handle handles[SIM_DISK_HANDLES_MAX];
};

void sim_disk_init(struct sim_disk *disk, uint64_t seed);
void sim_disk_free(struct sim_disk *disk);
struct file_ops sim_disk_ops(struct sim_disk *disk);

/* The machine loses power and comes back: all handles and locks are gone, faults are disarmed. */
void sim_disk_power_cut(struct sim_disk *disk);

/* The process dies, the machine does not: handles and locks are gone, everything written is there;
 * of the write that `power_cut_at` struck all, or its first sectors. */
void sim_disk_process_killed(struct sim_disk *disk);

/* Bit rot: inverts `size` bytes of a file, both contents. The file must be that long. */
void sim_disk_rot(struct sim_disk *disk, const char *path, size_t offset, size_t size);

/* The sectors that `size` bytes of a file lie in cannot be read any more, until all of one is
 * written. The file must be that long. */
void sim_disk_wear(struct sim_disk *disk, const char *path, size_t offset, size_t size);

/* The file system has lost a file, or its end; both contents. The file must be there, and longer.
 */
void sim_disk_lose(struct sim_disk *disk, const char *path);
void sim_disk_cut(struct sim_disk *disk, const char *path, size_t size);

/* There is no room left, until `room` is set again. */
void sim_disk_fill(struct sim_disk *disk);

/* What a reader sees of a file now, to be changed at will together with the platter's; NULL if
 * there is no such file. */
uint8_t *sim_disk_bytes(struct sim_disk *disk, const char *path, size_t *size);

/* Makes the platter hold what a reader sees of a file. */
void sim_disk_settle(struct sim_disk *disk, const char *path);

#endif
