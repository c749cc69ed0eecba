/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/memory.h"

#include <sys/mman.h>

#include "common/base/invariant.h"

void *memory_reserve(size_t size)
{
    void *region = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return region == MAP_FAILED ? NULL : region;
}

void memory_prefer_large_pages(void *region, size_t size)
{
    if (region != NULL) {
        (void)madvise(region, size, MADV_HUGEPAGE); /* a kernel may have none */
    }
}

void memory_release(void *region, size_t size)
{
    if (region == NULL) {
        return;
    }
    const int result = munmap(region, size);
    INVARIANT(result == 0);
}
