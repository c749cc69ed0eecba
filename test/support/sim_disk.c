/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

/* --- contents --- */

static void content_reserve(struct sim_disk_content *content, size_t size)
{
    if (size <= content->capacity) {
        return;
    }
    size = size < 2 * content->capacity ? 2 * content->capacity : size; /* few moves */
    uint8_t *bytes = realloc(content->bytes, size);
    INVARIANT(bytes != NULL);
    memset(bytes + content->capacity, 0, size - content->capacity);
    content->bytes = bytes;
    content->capacity = size;
}

static void content_write(struct sim_disk_content *content, size_t offset, const void *bytes,
                          size_t size)
{
    if (size == 0) {
        return; /* nor is the file any longer */
    }
    content_reserve(content, offset + size);
    memcpy(content->bytes + offset, bytes, size);
    content->size = offset + size > content->size ? offset + size : content->size;
}

static void content_copy(struct sim_disk_content *to, const struct sim_disk_content *from)
{
    content_reserve(to, from->size);
    if (to->capacity > from->size) {
        memset(to->bytes + from->size, 0, to->capacity - from->size);
    }
    if (from->size > 0) {
        memcpy(to->bytes, from->bytes, from->size);
    }
    to->size = from->size;
}

/* A sector that was being written when the power went: old, new or garbage. */
static void sector_settle(struct prng *prng, struct sim_disk_node *node, size_t offset, size_t size)
{
    uint8_t *durable = node->durable.bytes + offset;
    const uint8_t *now = node->now.bytes + offset;
    switch (prng_below(prng, 3)) {
    case 0:
        return;
    case 1:
        memcpy(durable, now, size);
        return;
    default:
        for (size_t i = 0; i < size; i++) {
            durable[i] = (uint8_t)prng_next(prng);
        }
    }
}

/* A sector that is written as a whole is another one on the disk. */
static void node_heal(struct sim_disk_node *node, size_t offset, size_t size)
{
    const size_t first = (offset + SIM_DISK_SECTOR_SIZE - 1) / SIM_DISK_SECTOR_SIZE;
    const size_t rest = offset + size == node->now.size ? SIM_DISK_SECTOR_SIZE - 1 : 0;
    const size_t end = (offset + size + rest) / SIM_DISK_SECTOR_SIZE;
    for (size_t at = first; at < end && at < node->worn.size; at++) {
        node->worn.bytes[at] = 0;
    }
}

static bool node_is_worn(const struct sim_disk_node *node, size_t offset, size_t size)
{
    bool worn = false;
    for (size_t at = offset / SIM_DISK_SECTOR_SIZE;
         at * SIM_DISK_SECTOR_SIZE < offset + size && at < node->worn.size; at++) {
        worn = worn || node->worn.bytes[at] != 0;
    }
    return worn;
}

static void node_write(struct sim_disk_node *node, size_t offset, const void *bytes, size_t size)
{
    static const uint8_t mark = 1;
    content_write(&node->now, offset, bytes, size);
    node_heal(node, offset, size);
    for (size_t at = offset / SIM_DISK_SECTOR_SIZE; at * SIM_DISK_SECTOR_SIZE < offset + size;
         at++) {
        content_write(&node->pending, at, &mark, 1);
    }
}

/* What was not written since the last sync is on the platter already, or never will be. */
static void node_sync(struct sim_disk_node *node)
{
    content_reserve(&node->durable, node->now.size);
    node->durable.size = node->now.size;
    for (size_t at = 0; at < node->pending.size; at++) {
        const size_t offset = at * SIM_DISK_SECTOR_SIZE;
        const size_t left = node->now.size - offset;
        if (node->pending.bytes[at] != 0) {
            memcpy(node->durable.bytes + offset, node->now.bytes + offset,
                   left < SIM_DISK_SECTOR_SIZE ? left : SIM_DISK_SECTOR_SIZE);
        }
    }
    content_copy(&node->pending, &(struct sim_disk_content){.size = 0});
}

static void node_free(struct sim_disk_node *node)
{
    free(node->now.bytes);
    free(node->durable.bytes);
    free(node->pending.bytes);
    free(node->worn.bytes);
    *node = (struct sim_disk_node){0};
}

static void node_settle(struct prng *prng, struct sim_disk_node *node)
{
    const size_t size_new = node->now.size;
    content_reserve(&node->durable, size_new);
    for (size_t at = 0; at < node->pending.size; at++) {
        const size_t offset = at * SIM_DISK_SECTOR_SIZE;
        const size_t left = size_new - offset;
        if (node->pending.bytes[at] != 0) {
            sector_settle(prng, node, offset,
                          left < SIM_DISK_SECTOR_SIZE ? left : SIM_DISK_SECTOR_SIZE);
        }
    }
    /* How far the file had grown is as uncertain as what is in it. */
    if (size_new > node->durable.size) {
        node->durable.size = prng_between(prng, node->durable.size, size_new);
    }
    content_copy(&node->now, &node->durable);
    content_copy(&node->pending, &(struct sim_disk_content){.size = 0});
}

/* --- names --- */

static struct sim_disk_name *name_find(struct sim_disk_name *names, const char *path)
{
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        if (strcmp(names[i].path, path) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

static void name_remove(struct sim_disk_name *names, const char *path)
{
    struct sim_disk_name *name = name_find(names, path);
    if (name != NULL) {
        name->path[0] = '\0';
    }
}

static void name_set(struct sim_disk_name *names, const char *path, uint32_t node)
{
    struct sim_disk_name *name = name_find(names, path);
    if (name == NULL) {
        name = name_find(names, "");
        INVARIANT(name != NULL);
        memcpy(name->path, path, strlen(path) + 1);
    }
    name->node = node;
}

static bool path_is_in(const char *path, const char *directory)
{
    const size_t size = strlen(directory);
    if (strcmp(directory, ".") == 0) {
        return strchr(path, '/') == NULL;
    }
    return strncmp(path, directory, size) == 0 && path[size] == '/' &&
           strchr(path + size + 1, '/') == NULL;
}

/* Makes one name on the platter say what it says now. */
static void name_settle(struct sim_disk *disk, const char *path)
{
    const struct sim_disk_name *now = name_find(disk->names, path);
    if (now != NULL) {
        name_set(disk->durable_names, path, now->node);
    } else {
        name_remove(disk->durable_names, path);
    }
}

/* --- calls --- */

static bool path_fits(const char *path)
{
    return path[0] != '\0' && strlen(path) < SIM_DISK_PATH_MAX;
}

enum call_fate { CALL_GOES_ON, CALL_FAILS, CALL_LOSES_POWER };

/* Counts a call that can change the disk. */
static enum call_fate call_begin(struct sim_disk *disk, int *status)
{
    if (disk->power_off) {
        *status = -EIO;
        return CALL_FAILS;
    }
    disk->calls++;
    if (disk->calls == disk->power_cut_at) {
        disk->power_off = true;
        disk->faults++;
        *status = -EIO;
        return CALL_LOSES_POWER;
    }
    if (disk->calls == disk->fail_at) {
        disk->faults++;
        *status = disk->fail_status;
        return CALL_FAILS;
    }
    *status = 0;
    return CALL_GOES_ON;
}

static int handle_take(struct sim_disk *disk, uint32_t node, bool lock)
{
    for (int i = 0; i < SIM_DISK_HANDLES_MAX; i++) {
        if (!disk->handles[i].open) {
            disk->handles[i] = (struct sim_disk_handle){.open = true, .lock = lock, .node = node};
            return i;
        }
    }
    return -EMFILE;
}

static struct sim_disk_node *handle_node(struct sim_disk *disk, int handle)
{
    INVARIANT(handle >= 0);
    INVARIANT(handle < SIM_DISK_HANDLES_MAX);
    INVARIANT(disk->handles[handle].open);
    return &disk->nodes[disk->handles[handle].node];
}

static bool node_is_named(const struct sim_disk_name *names, uint32_t node)
{
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        if (names[i].path[0] != '\0' && names[i].node == node) {
            return true;
        }
    }
    return false;
}

static bool node_is_open(const struct sim_disk *disk, uint32_t node)
{
    for (uint32_t i = 0; i < SIM_DISK_HANDLES_MAX; i++) {
        if (disk->handles[i].open && disk->handles[i].node == node) {
            return true;
        }
    }
    return false;
}

/* Frees what no name leads to any more, now or after a power cut. */
static void nodes_collect(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < SIM_DISK_NODES_MAX; i++) {
        if (disk->nodes[i].used && !node_is_named(disk->names, i) &&
            !node_is_named(disk->durable_names, i) && !node_is_open(disk, i)) {
            node_free(&disk->nodes[i]);
        }
    }
}

static uint32_t node_take(struct sim_disk *disk)
{
    uint32_t i = 0;
    nodes_collect(disk);
    while (i < SIM_DISK_NODES_MAX && disk->nodes[i].used) {
        i++;
    }
    INVARIANT(i < SIM_DISK_NODES_MAX);
    disk->nodes[i].used = true;
    return i;
}

/* Bytes of all files that can be seen. */
static uint64_t bytes_taken(const struct sim_disk *disk)
{
    uint64_t taken = 0;
    for (uint32_t i = 0; i < SIM_DISK_NODES_MAX; i++) {
        if (disk->nodes[i].used && (node_is_named(disk->names, i) || node_is_open(disk, i))) {
            taken += disk->nodes[i].now.size;
        }
    }
    return taken;
}

static bool has_room(struct sim_disk *disk, const struct sim_disk_node *node, uint64_t size)
{
    const bool fits = disk->room == 0 || size <= node->now.size ||
                      bytes_taken(disk) + (size - node->now.size) <= disk->room;
    disk->faults += fits ? 0 : 1;
    return fits;
}

static int node_create(struct sim_disk *disk, const char *path, bool is_directory)
{
    int status = 0;
    if (!path_fits(path)) {
        return -ENAMETOOLONG;
    }
    if (name_find(disk->names, path) != NULL) {
        return -EEXIST;
    }
    if (call_begin(disk, &status) == CALL_FAILS) {
        return status;
    }
    const uint32_t node = node_take(disk);
    disk->nodes[node].is_directory = is_directory;
    name_set(disk->names, path, node);
    return status;
}

static int sim_create_directory(void *state, const char *path)
{
    return node_create(state, path, true);
}

static int sim_lock_directory(void *state, const char *path)
{
    struct sim_disk *disk = state;
    const struct sim_disk_name *name = path_fits(path) ? name_find(disk->names, path) : NULL;
    if (name == NULL) {
        return -ENOENT;
    }
    for (int i = 0; i < SIM_DISK_HANDLES_MAX; i++) {
        const struct sim_disk_handle *handle = &disk->handles[i];
        if (handle->open && handle->lock && handle->node == name->node) {
            return -EWOULDBLOCK;
        }
    }
    return handle_take(disk, name->node, true);
}

static int sim_sync_directory(void *state, const char *path)
{
    struct sim_disk *disk = state;
    int status;
    if (call_begin(disk, &status) != CALL_GOES_ON) {
        return status;
    }
    disk->sync_count++;
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        if (path_is_in(disk->names[i].path, path)) {
            name_settle(disk, disk->names[i].path);
        }
    }
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        if (path_is_in(disk->durable_names[i].path, path)) {
            name_settle(disk, disk->durable_names[i].path);
        }
    }
    return 0;
}

static int sim_open(void *state, const char *path, bool create)
{
    struct sim_disk *disk = state;
    if (create) {
        const int status = node_create(disk, path, false);
        if (status != 0) {
            return status;
        }
    }
    const struct sim_disk_name *name = path_fits(path) ? name_find(disk->names, path) : NULL;
    return name == NULL ? -ENOENT : handle_take(disk, name->node, false);
}

static int64_t sim_read(void *state, int file, uint64_t offset, void *bytes, size_t size)
{
    struct sim_disk *disk = state;
    const struct sim_disk_node *node = handle_node(disk, file);
    const struct sim_disk_content *content = &node->now;
    if (disk->power_off) {
        return -EIO;
    }
    if (++disk->reads == disk->read_fail_at) {
        disk->faults++;
        return -EIO;
    }
    if (offset >= content->size) {
        return 0;
    }
    const size_t left = content->size - offset;
    const size_t got = size < left ? size : left;
    if (node_is_worn(node, offset, got)) {
        return -EIO;
    }
    memcpy(bytes, content->bytes + offset, got);
    return (int64_t)got;
}

/* A kernel copies page by page, and between two of them sees that the process is to die. */
static size_t written_until_killed(struct sim_disk *disk, uint64_t offset, size_t size)
{
    const uint64_t first = offset / SIM_DISK_SECTOR_SIZE + 1;
    const uint64_t last = (offset + size) / SIM_DISK_SECTOR_SIZE;
    if (first > last || prng_chance(&disk->prng, 1, 2)) {
        return size;
    }
    const uint64_t end = prng_between(&disk->prng, first, last) * SIM_DISK_SECTOR_SIZE;
    return (size_t)(end - offset);
}

static int sim_write(void *state, int file, uint64_t offset, const void *bytes, size_t size)
{
    struct sim_disk *disk = state;
    struct sim_disk_node *node = handle_node(disk, file);
    int status;
    if (!has_room(disk, node, offset + size)) {
        return -ENOSPC;
    }
    /* Even a write that fails has done some of its work: all of it pending, for a cut to choose;
     * or its beginning, as of a process that is killed amid its copying. */
    (void)call_begin(disk, &status);
    if (status == 0 || disk->calls == disk->fail_at) {
        node_write(node, offset, bytes, size);
    } else if (disk->calls == disk->power_cut_at) {
        node_write(node, offset, bytes, written_until_killed(disk, offset, size));
    }
    return status;
}

static int sim_sync(void *state, int file)
{
    struct sim_disk *disk = state;
    struct sim_disk_node *node = handle_node(disk, file);
    int status;
    switch (call_begin(disk, &status)) {
    case CALL_GOES_ON:
        disk->sync_count++;
        node_sync(node);
        return 0;
    case CALL_FAILS:
        if (!disk->power_off) { /* the kernel takes what it could not write for clean */
            content_copy(&node->pending, &(struct sim_disk_content){.size = 0});
        }
        return status;
    default:
        return status;
    }
}

static int sim_reserve(void *state, int file, uint64_t size)
{
    static const uint8_t zeros[SIM_DISK_SECTOR_SIZE];
    struct sim_disk *disk = state;
    struct sim_disk_node *node = handle_node(disk, file);
    int status;
    if (!has_room(disk, node, size)) {
        return -ENOSPC;
    }
    (void)call_begin(disk, &status);
    while (status == 0 && node->now.size < size) {
        const size_t left = size - node->now.size;
        node_write(node, node->now.size, zeros, left < sizeof zeros ? left : sizeof zeros);
    }
    return status;
}

static int64_t sim_size(void *state, int file)
{
    return (int64_t)handle_node(state, file)->now.size;
}

static int sim_remove(void *state, const char *path)
{
    struct sim_disk *disk = state;
    int status;
    if (name_find(disk->names, path) == NULL) {
        return -ENOENT;
    }
    if (call_begin(disk, &status) != CALL_FAILS) {
        name_remove(disk->names, path);
    }
    return status;
}

static int sim_list(void *state, const char *path, int (*visit)(void *context, const char *name),
                    void *context)
{
    struct sim_disk *disk = state;
    int result = disk->power_off ? -EIO : 0;
    for (uint32_t i = 0; result == 0 && i < SIM_DISK_NAMES_MAX; i++) {
        if (disk->names[i].path[0] != '\0' && path_is_in(disk->names[i].path, path)) {
            const char *slash = strrchr(disk->names[i].path, '/');
            result = visit(context, slash == NULL ? disk->names[i].path : slash + 1);
        }
    }
    return result;
}

static int sim_rename(void *state, const char *from, const char *to)
{
    struct sim_disk *disk = state;
    const struct sim_disk_name *name = name_find(disk->names, from);
    int status;
    if (name == NULL) {
        return -ENOENT;
    }
    if (!path_fits(to)) {
        return -ENAMETOOLONG;
    }
    if (call_begin(disk, &status) == CALL_FAILS) {
        return status;
    }
    const uint32_t node = name->node;
    name_remove(disk->names, from);
    name_set(disk->names, to, node);
    return status;
}

static void sim_close(void *state, int handle)
{
    struct sim_disk *disk = state;
    (void)handle_node(disk, handle);
    disk->handles[handle].open = false;
}

/* --- entry points --- */

void sim_disk_init(struct sim_disk *disk, uint64_t seed)
{
    memset(disk, 0, sizeof *disk);
    prng_seed(&disk->prng, seed);
}

void sim_disk_free(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < SIM_DISK_NODES_MAX; i++) {
        node_free(&disk->nodes[i]);
    }
    memset(disk, 0, sizeof *disk);
}

struct file_ops sim_disk_ops(struct sim_disk *disk)
{
    return (struct file_ops){
        .disk = disk,
        .create_directory = sim_create_directory,
        .lock_directory = sim_lock_directory,
        .sync_directory = sim_sync_directory,
        .open = sim_open,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .sync_data = sim_sync,
        .reserve = sim_reserve,
        .size = sim_size,
        .rename = sim_rename,
        .remove = sim_remove,
        .list = sim_list,
        .close = sim_close,
    };
}

void sim_disk_process_killed(struct sim_disk *disk)
{
    memset(disk->handles, 0, sizeof disk->handles);
    disk->power_off = false;
    disk->power_cut_at = 0;
    disk->fail_at = 0;
    disk->read_fail_at = 0;
}

void sim_disk_power_cut(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < SIM_DISK_NODES_MAX; i++) {
        node_settle(&disk->prng, &disk->nodes[i]);
    }
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        const char *path = disk->names[i].path;
        if (path[0] != '\0' && prng_chance(&disk->prng, 1, 2)) {
            name_settle(disk, path);
        }
    }
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        const char *path = disk->durable_names[i].path;
        if (path[0] != '\0' && prng_chance(&disk->prng, 1, 2)) {
            name_settle(disk, path);
        }
    }
    memcpy(disk->names, disk->durable_names, sizeof disk->names);
    sim_disk_process_killed(disk);
}

uint8_t *sim_disk_bytes(struct sim_disk *disk, const char *path, size_t *size)
{
    const struct sim_disk_name *name = name_find(disk->names, path);
    if (name == NULL) {
        return NULL;
    }
    struct sim_disk_node *node = &disk->nodes[name->node];
    *size = node->now.size;
    return node->now.bytes;
}

void sim_disk_settle(struct sim_disk *disk, const char *path)
{
    const struct sim_disk_name *name = name_find(disk->names, path);
    INVARIANT(name != NULL);
    struct sim_disk_node *node = &disk->nodes[name->node];
    content_copy(&node->durable, &node->now);
    content_copy(&node->pending, &(struct sim_disk_content){.size = 0});
}

void sim_disk_rot(struct sim_disk *disk, const char *path, size_t offset, size_t size)
{
    size_t file_size;
    uint8_t *bytes = sim_disk_bytes(disk, path, &file_size);
    INVARIANT(bytes != NULL);
    INVARIANT(offset + size <= file_size);
    for (size_t i = offset; i < offset + size; i++) {
        bytes[i] ^= 0xff;
    }
    sim_disk_settle(disk, path);
}

void sim_disk_wear(struct sim_disk *disk, const char *path, size_t offset, size_t size)
{
    static const uint8_t mark = 1;
    const struct sim_disk_name *name = name_find(disk->names, path);
    INVARIANT(name != NULL);
    struct sim_disk_node *node = &disk->nodes[name->node];
    INVARIANT(offset + size <= node->now.size);
    for (size_t at = offset / SIM_DISK_SECTOR_SIZE; at * SIM_DISK_SECTOR_SIZE < offset + size;
         at++) {
        content_write(&node->worn, at, &mark, 1);
    }
}

void sim_disk_lose(struct sim_disk *disk, const char *path)
{
    INVARIANT(name_find(disk->names, path) != NULL);
    name_remove(disk->names, path);
    name_remove(disk->durable_names, path);
}

void sim_disk_cut(struct sim_disk *disk, const char *path, size_t size)
{
    const struct sim_disk_name *name = name_find(disk->names, path);
    INVARIANT(name != NULL);
    struct sim_disk_content *now = &disk->nodes[name->node].now;
    INVARIANT(size <= now->size);
    memset(now->bytes + size, 0, now->size - size);
    now->size = size;
    sim_disk_settle(disk, path);
}

void sim_disk_fill(struct sim_disk *disk)
{
    const uint64_t taken = bytes_taken(disk);
    disk->room = taken > 0 ? taken : 1;
}
