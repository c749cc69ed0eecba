/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - large regions that cost nothing until they are touched. */
#ifndef VR_OS_MEMORY_H
#define VR_OS_MEMORY_H

#include <stddef.h>

/* Zeroed, page-aligned address space; pages are taken from the machine as they are first touched,
 * and none are promised ahead. NULL where there is no address space left. */
void *memory_reserve(size_t size);

/* Asks for the machine's large pages as the region fills: fewer faults, and a process that held
 * gigabytes is gone sooner. A wish; nothing depends on it. `region` may be NULL. */
void memory_prefer_large_pages(void *region, size_t size);

/* `region` may be NULL. */
void memory_release(void *region, size_t size);

#endif
