/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h - counts of times, log-linear: buckets that are HISTOGRAM_PRECISION times narrower
 * than their value, from 1 ns to over an hour, so that a percentile is right to 1/64 at any
 * magnitude.
 *
 * Threads: none of this is shared. Memory: one flat struct, about 15 KiB. */
#ifndef VR_CLI_HISTOGRAM_H
#define VR_CLI_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_PRECISION_BITS = 6,
    HISTOGRAM_PRECISION = 1 << HISTOGRAM_PRECISION_BITS,
    HISTOGRAM_VALUE_BITS = 42, /* larger values count as 2^42 - 1 ns: 73 minutes */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_PRECISION_BITS + 1) * HISTOGRAM_PRECISION,
};

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value_ns);
void histogram_add(struct histogram *histogram, const struct histogram *other);

/* What was recorded between two copies of one histogram; the largest value is that of its bucket.
 */
void histogram_subtract(const struct histogram *now, const struct histogram *before,
                        struct histogram *between);

/* The smallest value that at least this many thousandths of a percent of all values do not exceed:
 * 50,000 is the median, 99,900 the 99.9th percentile; rounded up to its bucket's end, at most the
 * largest value recorded. 0 if nothing was recorded. */
uint64_t histogram_percentile(const struct histogram *histogram, uint32_t millipercent);

#endif
