/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/clock.h"

#include <errno.h>

#include "common/base/invariant.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    const int result = clock_gettime(id, &now);
    INVARIANT(result == 0);
    return (uint64_t)now.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

struct timespec clock_timespec(uint64_t ns)
{
    return (struct timespec){
        .tv_sec = (time_t)(ns / NANOSECONDS_PER_SECOND),
        .tv_nsec = (long)(ns % NANOSECONDS_PER_SECOND),
    };
}

void clock_sleep_ns(uint64_t duration_ns)
{
    const struct timespec until = clock_timespec(clock_monotonic_ns() + duration_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}
