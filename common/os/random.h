/* SPDX-License-Identifier: Apache-2.0 */
/* random.h - numbers nobody can guess: identities, nonces, token keys, cluster and client ids. */
#ifndef VR_OS_RANDOM_H
#define VR_OS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* From the kernel. Asserted: on Linux it cannot fail once the machine has booted. */
void random_bytes(void *bytes, size_t size);

/* Never 0, which means "none" everywhere such a number is used. */
uint64_t random_nonzero_u64(void);

#endif
