/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/zipf.h"

#include <math.h>

static const double EXPONENT = 0.99;
static const double RANDOM_UNIT = 1.0 / 9007199254740992.0; /* 2^-53 */

/* The density, at x from 1 on; its integral; and what is the integral's inverse. */
static double density(double x)
{
    return exp(-EXPONENT * log(x));
}

static double integral(double x)
{
    return expm1((1 - EXPONENT) * log(x)) / (1 - EXPONENT);
}

static double inverse(double area)
{
    return exp(log1p((1 - EXPONENT) * area) / (1 - EXPONENT));
}

void zipf_init(struct zipf *zipf, uint32_t count)
{
    zipf->count = count;
    zipf->from = integral(1.5) - 1;
    zipf->to = integral(zipf->count + 0.5);
    zipf->sure = 2 - inverse(integral(2.5) - density(2));
}

uint32_t zipf_draw(const struct zipf *zipf, struct prng *prng)
{
    for (;;) {
        const double uniform = (double)(prng_next(prng) >> 11) * RANDOM_UNIT;
        const double area = zipf->to + uniform * (zipf->from - zipf->to);
        const double x = inverse(area);
        const double nearest = floor(x + 0.5);
        const double rank = nearest < 1 ? 1 : nearest > zipf->count ? zipf->count : nearest;
        if (rank - x <= zipf->sure || area >= integral(rank + 0.5) - density(rank)) {
            return (uint32_t)rank - 1;
        }
    }
}
