/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/checkpoint_load.h"

#include <errno.h>
#include <stdlib.h>

/* Reads chunk by chunk, `into` an executor if there is one. -EINVAL, without a text: that refuses.
 */
static int each_chunk(struct checkpoint_reader *reader, struct executor *into,
                      const atomic_bool *stop, struct storage_error *error)
{
    uint8_t *chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    if (chunk == NULL) {
        return storage_error_set(error, -ENOMEM, "there is no memory left to read %s",
                                 reader->path);
    }
    const uint64_t count = checkpoint_chunk_count(reader->id.size);
    int status = 0;
    for (uint64_t i = 0; status >= 0 && i < count; i++) {
        if (stop != NULL && atomic_load(stop)) {
            status = storage_error_set(error, -ECANCELED, "the replica stops");
            break;
        }
        status = checkpoint_reader_chunk(reader, i, chunk, error);
        if (status >= 0 && into != NULL && !executor_load(into, chunk, (size_t)status)) {
            status = -EINVAL;
        }
    }
    free(chunk);
    return status < 0 ? status : 0;
}

int checkpoint_verify(struct checkpoint_reader *reader, struct storage_error *error)
{
    return each_chunk(reader, NULL, NULL, error);
}

/* The checkpoint is what its checksums say, and still it is not this cluster's state. */
static int unusable(const struct checkpoint_reader *reader, struct storage_error *error)
{
    return storage_error_set(error, -EINVAL,
                             "%s is whole, but no state that this program and this cluster's "
                             "parameters can have led to: run the release that wrote it, and "
                             "report this",
                             reader->path);
}

int checkpoint_load(struct checkpoint_reader *reader, struct executor *executor,
                    const atomic_bool *stop, struct storage_error *error)
{
    executor_load_begin(executor);
    const int status = each_chunk(reader, executor, stop, error);
    if (status == -EINVAL) {
        return unusable(reader, error);
    }
    if (status != 0) {
        return status;
    }
    const bool whole = executor_load_end(executor) &&
                       executor_executed_op(executor) == reader->id.op_number &&
                       checksum_equal(executor_digest(executor), reader->id.digest);
    return whole ? 0 : unusable(reader, error);
}
