/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/memory.h"

#include <stdlib.h>

#include "common/base/invariant.h"

void *sim_allocate(size_t size)
{
    void *bytes = malloc(size);
    INVARIANT(bytes != NULL);
    return bytes;
}

void *sim_memory_room(struct sim_memory *memory, size_t size)
{
    if (size > memory->size) {
        free(memory->bytes);
        memory->bytes = sim_allocate(size);
        memory->size = size;
    }
    return memory->bytes;
}

void sim_memory_free(struct sim_memory *memory)
{
    free(memory->bytes);
    *memory = (struct sim_memory){0};
}
