/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_format.h - the bytes of a checkpoint file (K1). docs/formats.md explains them, and
 * test_checkpoint_file.c pins them.
 *
 * A checkpoint is a file `checkpoint.OP` (OP in 16 hexadecimal digits): a header of one page, the
 * content in chunks of CHECKPOINT_CHUNK_SIZE bytes one behind the other, then the list of the
 * chunks' checksums, 16 bytes each. Content, list and what the header says of them are the same on
 * every replica; only the header's cluster id says whose file it is.
 *
 * Pure: no file in sight. */
#ifndef VR_STORAGE_CHECKPOINT_FORMAT_H
#define VR_STORAGE_CHECKPOINT_FORMAT_H

#include <stddef.h>

#include "common/base/checkpoint_id.h"
#include "common/base/limits.h"

enum {
    CHECKPOINT_FORMAT = 1,
    CHECKPOINT_HEADER_SIZE = 4096,
    CHECKPOINT_CHECKSUM_SIZE = 16,
    CHECKPOINT_NAME_SIZE = 32,
};

enum checkpoint_verdict {
    CHECKPOINT_VALID,
    CHECKPOINT_DAMAGED, /* not whole, or no checkpoint */
    CHECKPOINT_FOREIGN, /* whole, but of another cluster */
    CHECKPOINT_NEWER,   /* of a format that is not known here */
};

void checkpoint_header_encode(const struct checkpoint_id *id, uint64_t cluster_id,
                              uint8_t bytes[CHECKPOINT_HEADER_SIZE]);
enum checkpoint_verdict checkpoint_header_decode(const uint8_t bytes[CHECKPOINT_HEADER_SIZE],
                                                 uint64_t cluster_id, struct checkpoint_id *id);

/* The cluster that a whole header names; what it is of one that is not does not matter. */
uint64_t checkpoint_header_cluster(const uint8_t bytes[CHECKPOINT_HEADER_SIZE]);

struct checksum checkpoint_chunk_checksum(const uint8_t *chunk, size_t size);

/* The root of a checkpoint: over all of *id but the root itself, and the list, which has
 * CHECKPOINT_CHECKSUM_SIZE bytes for each chunk of id->size. */
struct checksum checkpoint_root(const struct checkpoint_id *id, const uint8_t *list);

/* Where the list begins, and the size of the whole file. */
uint64_t checkpoint_list_offset(uint64_t size);
uint64_t checkpoint_file_size(uint64_t size);

/* The name of a checkpoint's file within the data directory. */
void checkpoint_file_name(uint64_t op_number, char name[CHECKPOINT_NAME_SIZE]);

/* The op that a name stands for; 0: it is no checkpoint's. */
uint64_t checkpoint_file_op(const char *name);

#endif
