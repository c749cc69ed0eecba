/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - memory that is kept between runs and grows to what the hungriest needed. */
#ifndef VR_SIM_MEMORY_H
#define VR_SIM_MEMORY_H

#include <stddef.h>

struct sim_memory {
    void *bytes;
    size_t size;
};

/* malloc that cannot fail. */
void *sim_allocate(size_t size);

/* At least `size` bytes, aligned as malloc aligns. What was in there may be gone. */
void *sim_memory_room(struct sim_memory *memory, size_t size);
void sim_memory_free(struct sim_memory *memory);

#endif
