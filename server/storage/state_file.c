/* SPDX-License-Identifier: Apache-2.0 */
/* state_file.c - see state_file.h for the format and why it is laid out so. */
#include "server/storage/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "server/storage/sector_read.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char state_name[] = "state";
static const char state_new_name[] = "state.new";
static const uint8_t state_magic[8] = {'V', 'R', 'S', 'T', 'A', 'T', 'E', '\n'};

enum { PAIR_SIZE = 2 * STATE_SLOT_SIZE, CHECKSUM_OFFSET = 32 };

/* --- the content of a slot --- */

static size_t content_encode(const struct durable_state *state, uint8_t *bytes)
{
    bytes_put_u32(bytes + 0, state->replica_id);
    bytes[4] = (uint8_t)state->durability;
    bytes[5] = state->clean_shutdown ? 1 : 0;
    bytes[6] = state->vr.log_valid ? 1 : 0;
    bytes[7] = state->diverged ? 1 : 0;
    bytes_put_u64(bytes + 8, state->identity);
    bytes_put_u64(bytes + 16, state->incarnation);
    memcpy(bytes + 24, state->boot_id, BOOT_ID_SIZE);
    bytes_put_u64(bytes + 40, state->vr.view_number);
    bytes_put_u64(bytes + 48, state->vr.last_normal_view);
    bytes_put_u64(bytes + 56, state->checkpoint.op);
    bytes_put_u64(bytes + 64, state->checkpoint.checksum.low);
    bytes_put_u64(bytes + 72, state->checkpoint.checksum.high);
    const size_t size =
        configuration_encode(&state->configuration, bytes + STATE_CONTENT_FIXED_SIZE);
    bytes_put_u32(bytes + 80, (uint32_t)size);
    uint8_t *at = bytes + STATE_CONTENT_FIXED_SIZE + size;
    for (uint32_t i = 0; i < state->configuration.member_count; i++, at += 8) {
        bytes_put_u64(at, state->vr.identities[i]);
    }
    bytes_put_u64(at, state->log_segment);
    bytes_put_u64(at + 8, state->log_end.segment);
    bytes_put_u64(at + 16, state->log_end.head.op_number);
    bytes_put_u64(at + 24, state->log_end.head.checksum.low);
    bytes_put_u64(at + 32, state->log_end.head.checksum.high);
    return (size_t)(at - bytes) + STATE_CONTENT_LOG_SIZE;
}

static bool flag_decode(uint8_t byte, bool *flag)
{
    *flag = byte == 1;
    return byte <= 1;
}

static void log_decode(const uint8_t *bytes, struct durable_state *state)
{
    state->log_segment = bytes_get_u64(bytes);
    state->log_end.segment = bytes_get_u64(bytes + 8);
    state->log_end.head.op_number = bytes_get_u64(bytes + 16);
    state->log_end.head.checksum.low = bytes_get_u64(bytes + 24);
    state->log_end.head.checksum.high = bytes_get_u64(bytes + 32);
}

static bool content_decode(const uint8_t *bytes, size_t size, uint32_t format,
                           struct durable_state *state)
{
    const size_t log_size = format == 1 ? 0 : STATE_CONTENT_LOG_SIZE;
    memset(state, 0, sizeof *state);
    if (size < STATE_CONTENT_FIXED_SIZE) {
        return false;
    }
    state->replica_id = bytes_get_u32(bytes + 0);
    state->durability = (enum durability)bytes[4];
    if (!flag_decode(bytes[5], &state->clean_shutdown) ||
        !flag_decode(bytes[6], &state->vr.log_valid) || !flag_decode(bytes[7], &state->diverged)) {
        return false;
    }
    state->identity = bytes_get_u64(bytes + 8);
    state->incarnation = bytes_get_u64(bytes + 16);
    memcpy(state->boot_id, bytes + 24, BOOT_ID_SIZE);
    state->vr.view_number = bytes_get_u64(bytes + 40);
    state->vr.last_normal_view = bytes_get_u64(bytes + 48);
    state->checkpoint.op = bytes_get_u64(bytes + 56);
    state->checkpoint.checksum.low = bytes_get_u64(bytes + 64);
    state->checkpoint.checksum.high = bytes_get_u64(bytes + 72);
    const size_t rest = size - STATE_CONTENT_FIXED_SIZE;
    const size_t configuration_size = bytes_get_u32(bytes + 80);
    const uint8_t *at = bytes + STATE_CONTENT_FIXED_SIZE;
    if (configuration_size > rest ||
        !configuration_decode(at, configuration_size, &state->configuration)) {
        return false;
    }
    const uint32_t member_count = state->configuration.member_count;
    if (rest - configuration_size != (size_t)member_count * 8 + log_size) {
        return false;
    }
    at += configuration_size;
    for (uint32_t i = 0; i < member_count; i++, at += 8) {
        state->vr.identities[i] = bytes_get_u64(at);
    }
    if (log_size > 0) {
        log_decode(at, state);
    }
    return durable_state_reject(state) == NULL;
}

/* --- slots --- */

enum slot_verdict {
    SLOT_VALID,
    SLOT_DAMAGED, /* torn, rotten, misdirected, or content that cannot be */
    SLOT_FOREIGN, /* no slot of ours: other magic */
    SLOT_NEWER,   /* whole, but of a format that is not known here */
};

static struct checksum slot_checksum(const uint8_t *slot)
{
    static const uint8_t zero[16];
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, slot, CHECKSUM_OFFSET);
    XXH3_128bits_update(&state, zero, sizeof zero);
    XXH3_128bits_update(&state, slot + STATE_SLOT_HEADER_SIZE,
                        STATE_SLOT_SIZE - STATE_SLOT_HEADER_SIZE);
    const XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return (struct checksum){hash.low64, hash.high64};
}

/* Says which slot these bytes are for, and seals them. */
static void slot_seal(uint8_t *slot, uint32_t index)
{
    bytes_put_u32(slot + 12, index);
    const struct checksum checksum = slot_checksum(slot);
    bytes_put_u64(slot + CHECKSUM_OFFSET, checksum.low);
    bytes_put_u64(slot + CHECKSUM_OFFSET + 8, checksum.high);
}

static void slot_encode(const struct durable_state *state, uint64_t sequence, uint8_t *slot)
{
    memset(slot, 0, STATE_SLOT_SIZE);
    memcpy(slot, state_magic, sizeof state_magic);
    bytes_put_u32(slot + 8, STATE_FORMAT);
    bytes_put_u64(slot + 16, sequence);
    const size_t size = content_encode(state, slot + STATE_SLOT_HEADER_SIZE);
    INVARIANT(size <= STATE_CONTENT_MAX);
    bytes_put_u32(slot + 24, (uint32_t)size);
}

static uint64_t slot_sequence(const uint8_t *slot)
{
    return bytes_get_u64(slot + 16);
}

static enum slot_verdict slot_decode(const uint8_t *slot, uint32_t index,
                                     struct durable_state *state)
{
    if (memcmp(slot, state_magic, sizeof state_magic) != 0) {
        return SLOT_FOREIGN;
    }
    const struct checksum written = {bytes_get_u64(slot + CHECKSUM_OFFSET),
                                     bytes_get_u64(slot + CHECKSUM_OFFSET + 8)};
    if (!checksum_equal(written, slot_checksum(slot))) {
        return SLOT_DAMAGED;
    }
    const uint32_t format = bytes_get_u32(slot + 8);
    if (format > STATE_FORMAT) {
        return SLOT_NEWER;
    }
    const size_t size = bytes_get_u32(slot + 24);
    if (format == 0 || bytes_get_u32(slot + 12) != index || slot_sequence(slot) % 2 != index / 2 ||
        size > STATE_SLOT_SIZE - STATE_SLOT_HEADER_SIZE) {
        return SLOT_DAMAGED;
    }
    return content_decode(slot + STATE_SLOT_HEADER_SIZE, size, format, state) ? SLOT_VALID
                                                                              : SLOT_DAMAGED;
}

/* --- reading --- */

/* Both copies of a pair, from the one that `slot` points to. */
static void pair_fill(uint8_t *image, const uint8_t *slot)
{
    const uint32_t first = (uint32_t)(slot_sequence(slot) % 2) * 2;
    for (uint32_t i = first; i < first + 2; i++) {
        uint8_t *copy = image + (size_t)i * STATE_SLOT_SIZE;
        if (copy != slot) {
            memcpy(copy, slot, STATE_SLOT_SIZE);
        }
        slot_seal(copy, i);
    }
}

struct slot_scan {
    uint32_t foreign;
    uint32_t newer;
    uint32_t valid; /* bit i: slot i */
    uint32_t best;  /* index of a slot with the newest valid state; STATE_SLOTS: there is none */
};

static struct slot_scan image_scan(const uint8_t *image, struct durable_state *state)
{
    struct slot_scan scan = {.best = STATE_SLOTS};
    for (uint32_t i = 0; i < STATE_SLOTS; i++) {
        const uint8_t *slot = image + (size_t)i * STATE_SLOT_SIZE;
        struct durable_state candidate;
        const enum slot_verdict verdict = slot_decode(slot, i, &candidate);
        scan.foreign += verdict == SLOT_FOREIGN ? 1u : 0u;
        scan.newer += verdict == SLOT_NEWER ? 1u : 0u;
        if (verdict != SLOT_VALID) {
            continue;
        }
        scan.valid |= UINT32_C(1) << i;
        if (scan.best == STATE_SLOTS ||
            slot_sequence(slot) > slot_sequence(image + (size_t)scan.best * STATE_SLOT_SIZE)) {
            scan.best = i;
            *state = candidate;
        }
    }
    return scan;
}

static int refuse_scan(const struct slot_scan *scan, const char *directory,
                       struct storage_error *error)
{
    if (scan->newer > 0) {
        return storage_error_set(error, -EPROTO,
                                 "%s/%s was written by a newer version of vr-server, in a format "
                                 "that this one (format %d) cannot read: start the newer one",
                                 directory, state_name, STATE_FORMAT);
    }
    if (scan->foreign == STATE_SLOTS) {
        return storage_error_set(error, -EINVAL,
                                 "%s/%s is not a state file of vr-server: is this the right data "
                                 "directory?",
                                 directory, state_name);
    }
    return storage_error_set(
        error, -EBADMSG,
        "%s/%s is damaged: none of its %d copies is whole, so this replica no longer knows what it "
        "promised; it must not start from a copy or a new init: keep the directory, and replace "
        "the replica in the group's configuration",
        directory, state_name, STATE_SLOTS);
}

/* A copy that cannot be read is a damaged one, as long as the other of its pair is whole. Of a pair
 * that has none, damage is what a torn write leaves, of a state that nobody was told of; a disk
 * that cannot read leaves it open whether the newest state of all is there. */
static bool is_hidden(uint32_t unreadable, uint32_t valid)
{
    for (uint32_t first = 0; first < STATE_SLOTS; first += 2) {
        const uint32_t pair = UINT32_C(3) << first;
        if ((unreadable & pair) != 0 && (valid & pair) == 0) {
            return true;
        }
    }
    return false;
}

static int refuse_hidden(const struct state_file *file, struct storage_error *error)
{
    return storage_error_set(
        error, -EIO,
        "cannot read the state file in %s: %s. Of one of its two states no copy can be read, and "
        "that may be the newest: nothing was changed. Start it again when the disk reads it; if it "
        "never does, this replica no longer knows what it promised: keep the directory, and "
        "replace the replica in the group's configuration",
        file->directory, strerror(EIO));
}

/* Bit i: slot i cannot be read. Or a negative errno. */
static int64_t slots_read(struct state_file *file)
{
    struct unreadable unreadable;
    uint32_t mask = 0;
    memset(file->image, 0, sizeof file->image); /* a short file: the slots it lacks are damaged */
    const int64_t got = sector_read(file->ops, file->file, 0, file->image, sizeof file->image,
                                    STATE_SLOT_SIZE, &unreadable);
    for (uint32_t i = 0; got >= 0 && i < STATE_SLOTS; i++) {
        const uint64_t from = (uint64_t)i * STATE_SLOT_SIZE;
        mask |= unreadable_within(&unreadable, from, from + STATE_SLOT_SIZE) ? 1u << i : 0;
    }
    return got < 0 ? got : (int64_t)mask;
}

/* Returns the slot of the older pair that is to be written first, one that is damaged if there is
 * one, or a negative errno. */
static int image_read(struct state_file *file, struct durable_state *state,
                      struct storage_error *error)
{
    const int64_t unreadable = slots_read(file);
    if (unreadable < 0) {
        return storage_error_system(error, (int)unreadable, "read the state file in",
                                    file->directory);
    }
    file->unreadable = (uint32_t)unreadable;
    const struct slot_scan scan = image_scan(file->image, state);
    if (scan.newer == 0 && is_hidden(file->unreadable, scan.valid)) {
        return refuse_hidden(file, error);
    }
    if (scan.newer > 0 || scan.best == STATE_SLOTS) {
        return refuse_scan(&scan, file->directory, error);
    }
    const uint8_t *best = file->image + (size_t)scan.best * STATE_SLOT_SIZE;
    file->sequence = slot_sequence(best);
    file->view_number = state->vr.view_number;
    file->last_normal_view = state->vr.last_normal_view;
    pair_fill(file->image, best);
    const uint32_t older = scan.best / 2 * 2 ^ 2u;
    return (int)((scan.valid >> older & 1u) == 0 ? older : older + 1);
}

/* --- writing --- */

static int fail(struct state_file *file, int status, const char *verb, struct storage_error *error)
{
    file->failed = -status;
    return storage_error_system(error, status, verb, file->directory);
}

/* Writes slots first..first+count-1 of the image, durably. */
static int slots_write(struct state_file *file, uint32_t first, uint32_t count,
                       struct storage_error *error)
{
    const size_t offset = (size_t)first * STATE_SLOT_SIZE;
    const size_t size = (size_t)count * STATE_SLOT_SIZE;
    int status = file->ops->write(file->ops->disk, file->file, offset, file->image + offset, size);
    if (status != 0) {
        return fail(file, status, "write the state file in", error);
    }
    status = file->ops->sync(file->ops->disk, file->file);
    if (status != 0) {
        return fail(file, status, "sync the state file in", error);
    }
    return 0;
}

/* Writes the newest state again, as the next one, into the older pair, one copy after the other.
 * What was read, and is in the page cache only because its process ended before the sync, is synced
 * before anything else is at risk. After a sync that failed that would not help, and nobody can
 * tell which copies are on the disk: so the pair of the newest state is not touched. */
static int state_renew(struct state_file *file, uint32_t first, struct storage_error *error)
{
    const uint64_t sequence = file->sequence + 1;
    const uint8_t *newest = file->image + (size_t)(file->sequence % 2) * PAIR_SIZE;
    uint8_t *slot = file->image + (size_t)(sequence % 2) * PAIR_SIZE;
    memcpy(slot, newest, STATE_SLOT_SIZE);
    bytes_put_u64(slot + 16, sequence);
    pair_fill(file->image, slot);
    int status = file->ops->sync(file->ops->disk, file->file);
    if (status != 0) {
        return fail(file, status, "sync the state file in", error);
    }
    status = slots_write(file, first, 1, error);
    status = status == 0 ? slots_write(file, first ^ 1u, 1, error) : status;
    if (status == 0) {
        file->sequence = sequence;
    }
    return status;
}

static int parent_directory(const char *directory, char *parent)
{
    size_t size = strlen(directory);
    if (size == 0 || size >= STORAGE_PATH_MAX) {
        return size == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memcpy(parent, directory, size + 1);
    while (size > 1 && parent[size - 1] == '/') {
        size--;
    }
    while (size > 0 && parent[size - 1] != '/') {
        size--;
    }
    while (size > 1 && parent[size - 1] == '/') {
        size--;
    }
    if (size == 0) {
        parent[size++] = '.';
    }
    parent[size] = '\0';
    return 0;
}

/* --- entry points --- */

static int create_in(const struct file_ops *ops, const char *directory, const uint8_t *image,
                     struct storage_error *error)
{
    char path[STORAGE_PATH_MAX];
    char path_new[STORAGE_PATH_MAX];
    int status = storage_path(path, directory, state_name, error);
    if (status == 0) {
        status = storage_path(path_new, directory, state_new_name, error);
    }
    if (status != 0) {
        return status;
    }
    const int file = ops->open(ops->disk, path_new, true);
    if (file < 0) {
        return storage_error_system(error, file, "create", path_new);
    }
    status = ops->write(ops->disk, file, 0, image, STATE_FILE_SIZE);
    if (status == 0) {
        status = ops->sync(ops->disk, file);
    }
    ops->close(ops->disk, file);
    /* The name appears only over a complete file: whoever finds `state` finds all of it. */
    if (status == 0) {
        status = ops->rename(ops->disk, path_new, path);
    }
    if (status == 0) {
        status = ops->sync_directory(ops->disk, directory);
    }
    return status == 0 ? 0 : storage_error_system(error, status, "write", path);
}

int state_file_create_directory(const struct file_ops *ops, const char *directory,
                                struct storage_error *error)
{
    char parent[STORAGE_PATH_MAX];
    int status = parent_directory(directory, parent);
    if (status != 0) {
        return storage_error_system(error, status, "create the data directory", directory);
    }
    status = ops->create_directory(ops->disk, directory);
    if (status == -EEXIST) {
        return storage_error_set(error, status,
                                 "%s exists: init never writes into a directory that may hold a "
                                 "replica; name another one, or remove this one if no replica ever "
                                 "ran from it",
                                 directory);
    }
    return status == 0
               ? 0
               : storage_error_system(error, status, "create the data directory", directory);
}

int state_file_create_state(const struct file_ops *ops, const char *directory,
                            const struct durable_state *state, struct storage_error *error)
{
    INVARIANT(durable_state_reject(state) == NULL);
    char parent[STORAGE_PATH_MAX];
    int status = parent_directory(directory, parent);
    INVARIANT(status == 0); /* it was found when the directory was made */
    /* Both pairs hold the first state, so that every slot is valid from the start. */
    uint8_t image[STATE_FILE_SIZE];
    for (uint32_t pair = 0; pair < 2; pair++) {
        uint8_t *slot = image + (size_t)pair * PAIR_SIZE;
        slot_encode(state, pair, slot);
        pair_fill(image, slot);
    }
    status = create_in(ops, directory, image, error);
    if (status != 0) {
        return storage_error_set(error, status,
                                 "cannot make the state file in %s: %s; nothing is initialised: "
                                 "when that is mended remove the directory and run init again",
                                 directory, strerror(-status));
    }
    status = ops->sync_directory(ops->disk, parent);
    return status == 0 ? 0 : storage_error_system(error, status, "sync the directory", parent);
}

int state_file_create(const struct file_ops *ops, const char *directory,
                      const struct durable_state *state, struct storage_error *error)
{
    const int status = state_file_create_directory(ops, directory, error);
    return status == 0 ? state_file_create_state(ops, directory, state, error) : status;
}

static int lock_failed(int status, const char *directory, struct storage_error *error)
{
    if (status == -EWOULDBLOCK) {
        return storage_error_set(error, status,
                                 "%s is in use: another vr-server runs from it; stop that one "
                                 "first, two on one directory would destroy it",
                                 directory);
    }
    if (status == -ENOENT) {
        return storage_error_set(error, status,
                                 "there is no data directory %s: a new replica's is made by "
                                 "vr-server init; one that was lost must not be made anew, replace "
                                 "the replica in the group's configuration",
                                 directory);
    }
    return storage_error_system(error, status, "open the data directory", directory);
}

static int open_failed(int status, const char *directory, struct storage_error *error)
{
    if (status == -ENOENT) {
        return storage_error_set(error, status,
                                 "%s has no file `%s`: its init did not finish, or it is no data "
                                 "directory; if no replica ever ran from it, remove it and run "
                                 "init again",
                                 directory, state_name);
    }
    return storage_error_system(error, status, "open the state file in", directory);
}

/* Locks, opens and reads. Returns what image_read() does. */
static int open_and_read(struct state_file *file, const struct file_ops *ops, const char *directory,
                         struct durable_state *state, struct storage_error *error)
{
    char path[STORAGE_PATH_MAX];
    int status = storage_path(path, directory, state_name, error);
    if (status != 0) {
        return status;
    }
    *file = (struct state_file){.ops = ops};
    memcpy(file->directory, directory, strlen(directory) + 1); /* storage_path() found it short */
    file->lock = ops->lock_directory(ops->disk, directory);
    if (file->lock < 0) {
        return lock_failed(file->lock, directory, error);
    }
    file->file = ops->open(ops->disk, path, false);
    if (file->file < 0) {
        status = open_failed(file->file, directory, error);
        goto unlock;
    }
    status = image_read(file, state, error);
    if (status >= 0) {
        return status;
    }
    ops->close(ops->disk, file->file);
unlock:
    ops->close(ops->disk, file->lock);
    return status;
}

int state_file_open(struct state_file *file, const struct file_ops *ops, const char *directory,
                    struct durable_state *state, struct storage_error *error)
{
    int status = open_and_read(file, ops, directory, state, error);
    if (status < 0) {
        return status;
    }
    status = state_renew(file, (uint32_t)status, error);
    if (status != 0) {
        state_file_close(file);
    }
    return status;
}

int state_file_peek(const struct file_ops *ops, const char *directory, struct durable_state *state,
                    struct storage_error *error)
{
    char path[STORAGE_PATH_MAX];
    int status = storage_path(path, directory, state_name, error);
    if (status != 0) {
        return status;
    }
    struct state_file file = {.ops = ops};
    memcpy(file.directory, directory, strlen(directory) + 1); /* storage_path() found it short */
    file.file = ops->open(ops->disk, path, false);
    if (file.file == -ENOENT) { /* or is the directory missing? Nobody can be using that. */
        const int lock = ops->lock_directory(ops->disk, directory);
        if (lock < 0) {
            return lock_failed(lock, directory, error);
        }
        ops->close(ops->disk, lock);
    }
    if (file.file < 0) {
        return open_failed(file.file, directory, error);
    }
    status = image_read(&file, state, error);
    ops->close(ops->disk, file.file);
    return status >= 0 ? 0 : status;
}

int state_file_store(struct state_file *file, const struct durable_state *state,
                     struct storage_error *error)
{
    INVARIANT(durable_state_reject(state) == NULL);
    INVARIANT(state->vr.view_number >= file->view_number);           /* S2 */
    INVARIANT(state->vr.last_normal_view >= file->last_normal_view); /* S2 */
    if (file->failed != 0) {
        return storage_error_set(error, -file->failed,
                                 "the state file in %s failed before (%s) and cannot be trusted: "
                                 "this replica must stop",
                                 file->directory, strerror(file->failed));
    }
    const uint64_t sequence = file->sequence + 1;
    const uint32_t first = (uint32_t)(sequence % 2) * 2;
    uint8_t *slot = file->image + (size_t)first * STATE_SLOT_SIZE;
    slot_encode(state, sequence, slot);
    pair_fill(file->image, slot);
    const int status = slots_write(file, first, 2, error);
    if (status == 0) {
        file->sequence = sequence;
        file->view_number = state->vr.view_number;
        file->last_normal_view = state->vr.last_normal_view;
    }
    return status;
}

int state_file_void_log(struct state_file *file, struct durable_state *state,
                        struct storage_error *error)
{
    if (state->incarnation == 0 || !state->vr.log_valid) {
        return 0;
    }
    state->vr.log_valid = false;
    return state_file_store(file, state, error);
}

void state_file_close(struct state_file *file)
{
    file->ops->close(file->ops->disk, file->file);
    file->ops->close(file->ops->disk, file->lock);
}
