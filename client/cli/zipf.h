/* SPDX-License-Identifier: Apache-2.0 */
/* zipf.h - ranks that follow Zipf's law: rank k is drawn with a probability in proportion to
 * 1 / (k + 1)^0.99, as in YCSB, so that of 1,000 keys the first gets an eighth of all operations.
 *
 * By rejection-inversion (Hoermann and Derflinger, 1996): no table, whatever the number of ranks,
 * and 1.1 tries on average.
 *
 * Threads: none of this is shared; what zipf_init() has filled in does not change. */
#ifndef VR_CLI_ZIPF_H
#define VR_CLI_ZIPF_H

#include "common/base/prng.h"

struct zipf {
    double count;
    double from; /* of the integral of the density: before the first rank */
    double to;   /* and behind the last */
    double sure; /* so near above its rank nothing is rejected */
};

/* `count` ranks, at least 1. */
void zipf_init(struct zipf *zipf, uint32_t count);

/* A rank below count. */
uint32_t zipf_draw(const struct zipf *zipf, struct prng *prng);

#endif
