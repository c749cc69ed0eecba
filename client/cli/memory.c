/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/cli/exit_code.h"

static void *must(void *memory)
{
    if (memory == NULL) {
        (void)fputs("vr-client: out of memory\n", stderr);
        exit(EXIT_INTERNAL);
    }
    return memory;
}

void *must_realloc(void *memory, size_t size)
{
    return must(realloc(memory, size > 0 ? size : 1));
}

void *must_calloc(size_t count, size_t size)
{
    return must(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}
