/* memory.h - large regions that cost nothing until they are touched. */
#ifndef VR_OS_MEMORY_H
#define VR_OS_MEMORY_H

#include <stddef.h>

/* Zeroed, page-aligned address space; pages are taken from the machine as they are first touched,
 * and none are promised ahead. NULL where there is no address space left. */
void *memory_reserve(size_t size);

/* `region` may be NULL. */
void memory_release(void *region, size_t size);

#endif
