/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/histogram.h"

#include <string.h>

static const uint64_t VALUE_MAX = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;

/* Values below HISTOGRAM_PRECISION have a bucket each; above, every power of two has as many. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_PRECISION) {
        return (uint32_t)value;
    }
    const uint32_t exponent = 63 - (uint32_t)__builtin_clzll(value);
    const uint32_t shift = exponent - HISTOGRAM_PRECISION_BITS;
    const uint32_t offset = (uint32_t)(value >> shift) - HISTOGRAM_PRECISION;
    return (shift + 1) * HISTOGRAM_PRECISION + offset;
}

/* The largest value in a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < HISTOGRAM_PRECISION) {
        return bucket;
    }
    const uint32_t shift = bucket / HISTOGRAM_PRECISION - 1;
    const uint64_t first = HISTOGRAM_PRECISION + bucket % HISTOGRAM_PRECISION;
    return ((first + 1) << shift) - 1;
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
    const uint64_t value = value_ns < VALUE_MAX ? value_ns : VALUE_MAX;
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    histogram->max = histogram->max > value ? histogram->max : value;
}

void histogram_add(struct histogram *histogram, const struct histogram *other)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        histogram->buckets[i] += other->buckets[i];
    }
    histogram->count += other->count;
    histogram->max = histogram->max > other->max ? histogram->max : other->max;
}

void histogram_subtract(const struct histogram *now, const struct histogram *before,
                        struct histogram *between)
{
    between->max = 0;
    between->count = now->count - before->count;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        between->buckets[i] = now->buckets[i] - before->buckets[i];
        between->max = between->buckets[i] > 0 ? bucket_end(i) : between->max;
    }
    between->max = between->max < now->max ? between->max : now->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, uint32_t millipercent)
{
    enum { ALL = 100 * 1000 };
    /* Rounded up: of 10 values the 99th percentile is the largest. Split, so as not to overflow. */
    const uint64_t whole = histogram->count / ALL * millipercent;
    const uint64_t rest = (histogram->count % ALL * millipercent + ALL - 1) / ALL;
    const uint64_t wanted = whole + rest > 0 ? whole + rest : 1;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            const uint64_t end = bucket_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}
