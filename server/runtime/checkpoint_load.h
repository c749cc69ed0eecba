/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_load.h - a checkpoint's content into the executor (K3, G4).
 *
 * Threads: the executor's, or the start before there is one. Memory: one chunk meanwhile. */
#ifndef VR_RUNTIME_CHECKPOINT_LOAD_H
#define VR_RUNTIME_CHECKPOINT_LOAD_H

#include <stdatomic.h>

#include "server/executor/executor.h"
#include "server/storage/checkpoint_reader.h"

/* Reads all of it, so that it is known to be whole before anything is given up for it. Returns 0 or
 * the reader's errors; -ENOMEM. */
int checkpoint_verify(struct checkpoint_reader *reader, struct storage_error *error);

/* The executor has the checkpoint's state afterwards, whatever it had before. Returns 0; -ECANCELED
 * once *stop is true (may be NULL), and otherwise an error with its text, after which the executor
 * has no state at all. */
int checkpoint_load(struct checkpoint_reader *reader, struct executor *executor,
                    const atomic_bool *stop, struct storage_error *error);

#endif
