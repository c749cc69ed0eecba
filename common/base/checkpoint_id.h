/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_id.h - what names a checkpoint: the state of the application, the client table and the
 * configuration behind one op (K1). Its content is canonical, so replicas that agree have the same
 * checkpoint_id at the same op, and a replica may pull the bytes from any of them (G4). */
#ifndef VR_BASE_CHECKPOINT_ID_H
#define VR_BASE_CHECKPOINT_ID_H

#include "common/base/types.h"

/* Bytes of every chunk of a checkpoint but the last, which may be shorter. */
enum { CHECKPOINT_CHUNK_SIZE = 64 * 1024 };

struct checkpoint_id {
    uint64_t op_number;     /* everything up to it is in the checkpoint; 0: there is none */
    uint64_t view_number;   /* of the entry at op_number */
    struct checksum log;    /* of the log up to op_number */
    struct checksum digest; /* of the state (K4) */
    uint64_t size;          /* bytes of the content; there are some */
    struct checksum root;   /* over all above, and the list of the chunks' checksums */
};

/* Chunks that a content of this many bytes has. */
static inline uint64_t checkpoint_chunk_count(uint64_t size)
{
    return size / CHECKPOINT_CHUNK_SIZE + (size % CHECKPOINT_CHUNK_SIZE != 0);
}

/* Bytes of chunk `index`, which is one of them. */
static inline uint32_t checkpoint_chunk_size(uint64_t size, uint64_t index)
{
    const uint64_t rest = size - index * CHECKPOINT_CHUNK_SIZE;
    return rest < CHECKPOINT_CHUNK_SIZE ? (uint32_t)rest : (uint32_t)CHECKPOINT_CHUNK_SIZE;
}

static inline bool checkpoint_id_equal(const struct checkpoint_id *a, const struct checkpoint_id *b)
{
    return a->op_number == b->op_number && a->view_number == b->view_number && a->size == b->size &&
           checksum_equal(a->log, b->log) && checksum_equal(a->digest, b->digest) &&
           checksum_equal(a->root, b->root);
}

#endif
