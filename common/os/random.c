/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/random.h"

#include <errno.h>
#include <sys/random.h>

#include "common/base/invariant.h"

void random_bytes(void *bytes, size_t size)
{
    unsigned char *at = bytes;
    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        INVARIANT(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

uint64_t random_nonzero_u64(void)
{
    uint64_t value = 0;
    while (value == 0) {
        random_bytes(&value, sizeof value);
    }
    return value;
}
