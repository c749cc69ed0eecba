/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - allocation for a command-line program, which has nothing better to do than to stop
 * where memory is short. */
#ifndef VR_CLI_MEMORY_H
#define VR_CLI_MEMORY_H

#include <stddef.h>

/* As realloc(), but ends the program with a message and EXIT_INTERNAL. */
void *must_realloc(void *memory, size_t size);

/* Zeroed. */
void *must_calloc(size_t count, size_t size);

#endif
