/* SPDX-License-Identifier: Apache-2.0 */
/* target.h - what the fuzzed functions of libFuzzer share: numbers and bytes taken off an input, in
 * order; where it ends, zeros follow. */
#ifndef VR_FUZZ_TARGET_H
#define VR_FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
    const uint8_t *bytes;
    size_t size;
};

static inline uint8_t input_byte(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->bytes++;
}

/* Below `bound`, which is at most 256. */
static inline uint32_t input_below(struct input *input, uint32_t bound)
{
    return input_byte(input) % bound;
}

static inline uint64_t input_u64(struct input *input)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)input_byte(input) << (8 * i);
    }
    return value;
}

/* What was found wrong ends the process, as an INVARIANT does. */
#define FUZZ_EXPECT(condition) \
    do { \
        if (!(condition)) { \
            abort(); \
        } \
    } while (0)

/* libFuzzer's entry. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
