/* SPDX-License-Identifier: Apache-2.0 */
/* prng.h - xoshiro256**, seeded through splitmix64: the same seed gives the same numbers on every
 * machine. For jitter, workloads and the simulator; nonces come from the operating system. */
#ifndef VR_BASE_PRNG_H
#define VR_BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_seed(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);

/* Uniform in [0, bound), without modulo bias; bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);

/* Uniform in [low, high], both included. */
uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high);

/* True with probability numerator / denominator. */
bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator);

#endif
