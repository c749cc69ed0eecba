/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** 1.0 (Blackman and Vigna), written from its published description. */
#include "common/base/prng.h"

#include "common/base/invariant.h"

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

void prng_seed(struct prng *prng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        prng->state[i] = z ^ (z >> 31);
    }
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    INVARIANT(bound > 0);
    const uint64_t reject_below = (UINT64_C(0) - bound) % bound;
    for (;;) {
        const uint64_t value = prng_next(prng);
        if (value >= reject_below) {
            return value % bound;
        }
    }
}

uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    INVARIANT(low <= high);
    const uint64_t span = high - low;
    return span == UINT64_MAX ? prng_next(prng) : low + prng_below(prng, span + 1);
}

bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator)
{
    return prng_below(prng, denominator) < numerator;
}
