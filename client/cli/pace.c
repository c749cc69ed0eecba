/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/pace.h"

#include "common/os/clock.h"

void pace_init(struct pace *pace, double per_second, uint64_t start_ns)
{
    *pace = (struct pace){.per_second = per_second, .start_ns = start_ns};
}

/* Each from the start, not from the one before: rounding does not add up. */
static uint64_t due_ns(const struct pace *pace, uint64_t number)
{
    return pace->start_ns +
           (uint64_t)((double)number * ((double)NANOSECONDS_PER_SECOND / pace->per_second));
}

uint64_t pace_next_ns(const struct pace *pace)
{
    return due_ns(pace, pace->taken);
}

bool pace_take(struct pace *pace, uint64_t now_ns, uint64_t *since_ns)
{
    const uint64_t next_ns = pace_next_ns(pace);
    if (next_ns > now_ns) {
        return false;
    }
    *since_ns = next_ns;
    pace->taken++;
    return true;
}

uint64_t pace_overdue(const struct pace *pace, uint64_t now_ns)
{
    if (now_ns < pace_next_ns(pace)) {
        return 0;
    }
    const double passed_s = (double)(now_ns - pace->start_ns) / (double)NANOSECONDS_PER_SECOND;
    const uint64_t due = (uint64_t)(passed_s * pace->per_second) + 1;
    return due > pace->taken ? due - pace->taken : 1;
}
