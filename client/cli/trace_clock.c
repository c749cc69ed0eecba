/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_clock.h"

void trace_clock_add(struct trace_clock *clock, uint64_t asked_ns, uint64_t answered_ns,
                     uint64_t theirs_ns)
{
    if (answered_ns < asked_ns) {
        return;
    }
    const int64_t low_ns = (int64_t)(theirs_ns - answered_ns);
    const int64_t high_ns = (int64_t)(theirs_ns - asked_ns);
    const uint64_t rtt_ns = answered_ns - asked_ns;
    if (!clock->known || low_ns > clock->high_ns || high_ns < clock->low_ns) {
        /* The first; or the clocks run apart, and what was known is no longer so. */
        *clock = (struct trace_clock){true, low_ns, high_ns, rtt_ns};
        return;
    }
    clock->low_ns = low_ns > clock->low_ns ? low_ns : clock->low_ns;
    clock->high_ns = high_ns < clock->high_ns ? high_ns : clock->high_ns;
    clock->rtt_ns = rtt_ns < clock->rtt_ns ? rtt_ns : clock->rtt_ns;
}

int64_t trace_clock_offset(const struct trace_clock *clock)
{
    if (!clock->known || (clock->low_ns <= 0 && clock->high_ns >= 0)) {
        return 0;
    }
    return clock->low_ns + (clock->high_ns - clock->low_ns) / 2;
}

uint64_t trace_clock_uncertainty(const struct trace_clock *clock)
{
    return (uint64_t)(clock->high_ns - clock->low_ns) / 2;
}

uint64_t trace_clock_own(const struct trace_clock *clock, uint64_t theirs_ns)
{
    return theirs_ns - (uint64_t)trace_clock_offset(clock);
}
