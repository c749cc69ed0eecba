/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/entry.h"
#include "common/base/invariant.h"
#include "common/os/memory.h"
#include "common/os/random.h"
#include "server/runtime/checkpoint_load.h"
#include "server/runtime/server_error.h"
#include "server/storage/checkpoint_writer.h"

/* An executor whose memory is a region of its own. */
struct workspace {
    void *memory;
    size_t size;
    struct executor *executor;
};

static bool workspace_open(struct workspace *workspace, const struct executor_options *options)
{
    workspace->size = executor_memory_size(&options->parameters);
    workspace->memory = memory_reserve(workspace->size);
    if (workspace->memory == NULL) {
        return false;
    }
    workspace->executor = executor_init(workspace->memory, options);
    return true;
}

static void workspace_close(struct workspace *workspace)
{
    memory_release(workspace->memory, workspace->size);
}

static enum vr_server_exit no_memory(struct vr_server_error *error)
{
    return server_error_set(error, VR_SERVER_INTERNAL, ERROR_MEMORY,
                            "there is no memory left to load the backup: this machine needs as "
                            "much as a replica of that cluster");
}

/* --- the file --- */

/* A backup belongs to whoever made it: it is only read, and may be read-only. A pipe or a device
 * has no size and no second reading. */
static int open_to_read(void *disk, const char *path, bool create)
{
    (void)disk;
    INVARIANT(!create);
    struct stat about;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return -errno;
    }
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        const bool is_directory = S_ISDIR(about.st_mode);
        (void)close(file); /* opened for reading: nothing to lose */
        return is_directory ? -EISDIR : -EINVAL;
    }
    return file;
}

static enum vr_server_exit unreadable(struct vr_server_error *error, int status,
                                      const struct storage_error *why)
{
    if (status == -ENOMEM) {
        return no_memory(error);
    }
    return server_error_set(error, status == -EPROTO ? VR_SERVER_CONFIGURATION : VR_SERVER_IO,
                            ERROR_BACKUP_UNREADABLE, "--from-backup: %s. Nothing was initialised",
                            why->text);
}

static enum vr_server_exit unusable(struct vr_server_error *error, const char *path)
{
    return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_BACKUP_UNUSABLE,
                            "--from-backup: %s is whole, but holds no state that this program "
                            "knows: restore it with the version that made it. Nothing was "
                            "initialised",
                            path);
}

/* --- loading --- */

/* The first chunk says what cluster the rest is to be read as. */
static enum vr_server_exit read_origin(struct checkpoint_reader *reader,
                                       struct configuration *origin, struct vr_server_error *error)
{
    struct storage_error why;
    uint8_t *chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    if (chunk == NULL) {
        return no_memory(error);
    }
    const int size = checkpoint_reader_chunk(reader, 0, chunk, &why);
    const bool known = size >= 0 && executor_read_origin(chunk, (size_t)size, origin);
    free(chunk);
    if (size < 0) {
        return unreadable(error, size, &why);
    }
    return known ? VR_SERVER_OK : unusable(error, reader->path);
}

/* As the cluster that it is of would: then it is known to be what that had. */
static enum vr_server_exit load(struct server_backup *backup, struct checkpoint_reader *reader,
                                const struct configuration *origin, struct vr_server_error *error)
{
    struct workspace old;
    struct storage_error why;
    if (!workspace_open(&old, &(struct executor_options){.parameters = origin->parameters,
                                                         .app = backup->app,
                                                         .hash_seed = random_nonzero_u64(),
                                                         .configuration = origin})) {
        return no_memory(error);
    }
    const int status = checkpoint_load(reader, old.executor, NULL, &why);
    backup->timestamp = executor_timestamp(old.executor);
    workspace_close(&old);
    return status == 0         ? VR_SERVER_OK
           : status == -EINVAL ? unusable(error, reader->path)
                               : unreadable(error, status, &why);
}

enum vr_server_exit server_backup_load(struct server_backup *backup, const char *path,
                                       const struct app *app, struct vr_server_error *error)
{
    struct file_ops ops = file_ops_posix();
    struct checkpoint_reader reader;
    struct configuration origin;
    struct storage_error why;
    ops.open = open_to_read;
    *backup = (struct server_backup){.path = path, .app = app};
    int status = checkpoint_reader_open_backup(&reader, &ops, path, &why);
    if (status != 0) {
        return unreadable(error, status, &why);
    }
    enum vr_server_exit result = VR_SERVER_OK;
    status = checkpoint_verify(&reader, &why);
    if (status != 0) {
        result = unreadable(error, status, &why);
    }
    if (result == VR_SERVER_OK) {
        result = read_origin(&reader, &origin, error);
    }
    if (result == VR_SERVER_OK && origin.cluster_id != reader.cluster_id) {
        result = unusable(error, path);
    }
    if (result == VR_SERVER_OK) {
        result = load(backup, &reader, &origin, error);
    }
    backup->id = reader.id;
    backup->cluster_id = reader.cluster_id;
    checkpoint_reader_close(&reader);
    return result;
}

/* --- the new cluster's --- */

enum vr_server_exit server_backup_allow(const struct server_backup *backup,
                                        const struct configuration *configuration,
                                        struct vr_server_error *error)
{
    const uint64_t size = backup->app->state_size(backup->app->state);
    if (configuration->cluster_id == backup->cluster_id) {
        return server_error_set(
            error, VR_SERVER_CONFIGURATION, ERROR_BACKUP_UNUSABLE,
            "--cluster-id %016" PRIx64 " is that of the cluster which %s was made of. What is "
            "restored is always a new cluster: clients and replicas of the old one must not take "
            "it for theirs. Leave --cluster-id out on the first replica, and init draws a new one",
            backup->cluster_id, backup->path);
    }
    if (size > configuration->parameters.state_size_max) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_BACKUP_UNUSABLE,
                                "--from-backup: the state in %s takes %" PRIu64
                                " bytes, and this cluster is to hold at most %" PRIu64
                                ": give --state-size-max a larger one",
                                backup->path, size, configuration->parameters.state_size_max);
    }
    return VR_SERVER_OK;
}

static int write_content(struct checkpoint_writer *writer, struct executor *executor,
                         struct storage_error *why)
{
    uint8_t *slice = malloc(CHECKPOINT_CHUNK_SIZE);
    if (slice == NULL) {
        return storage_error_set(why, -ENOMEM, "there is no memory left");
    }
    int status = 0;
    bool more = true;
    executor_cut_begin(executor);
    while (status == 0 && more) {
        size_t size;
        more = executor_cut(executor, slice, CHECKPOINT_CHUNK_SIZE, &size);
        status = checkpoint_writer_append(writer, slice, size, why);
    }
    executor_cut_abandon(executor);
    free(slice);
    return status;
}

static int write_checkpoint(struct executor *executor, const struct file_ops *ops,
                            const char *directory, const struct configuration *configuration,
                            struct checkpoint_id *id, struct storage_error *why)
{
    struct checkpoint_writer writer;
    *id = (struct checkpoint_id){
        .op_number = executor_executed_op(executor),
        .view_number = view_make(configuration->epoch, 0),
        .log = entry_chain_start(configuration->cluster_id),
        .digest = executor_digest(executor),
    };
    int status = checkpoint_writer_begin(&writer, ops, directory, configuration->cluster_id, why);
    status = status == 0 ? write_content(&writer, executor, why) : status;
    status = status == 0 ? checkpoint_writer_finish(&writer, id, why) : status;
    checkpoint_writer_abandon(&writer);
    return status;
}

enum vr_server_exit server_backup_write(const struct server_backup *backup,
                                        const struct file_ops *ops, const char *directory,
                                        struct durable_state *state, struct vr_server_error *error)
{
    struct workspace new;
    struct checkpoint_id id;
    struct storage_error why;
    const struct configuration *configuration = &state->configuration;
    if (!workspace_open(&new, &(struct executor_options){.parameters = configuration->parameters,
                                                         .app = backup->app,
                                                         .hash_seed = random_nonzero_u64(),
                                                         .configuration = configuration})) {
        return no_memory(error);
    }
    executor_begin_behind(new.executor, backup->id.op_number, backup->timestamp);
    const int status = write_checkpoint(new.executor, ops, directory, configuration, &id, &why);
    workspace_close(&new);
    if (status != 0) {
        return server_error_set(error, VR_SERVER_IO, ERROR_DIRECTORY_UNUSABLE,
                                "%s. Nothing is initialised: when that is mended remove %s and run "
                                "init again",
                                why.text, directory);
    }
    state->checkpoint.op = id.op_number;
    state->checkpoint.checksum = id.root;
    return VR_SERVER_OK;
}
