/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - what time it is, in nanoseconds.
 *
 * Threads: all of these are safe anywhere and never block. */
#ifndef VR_OS_CLOCK_H
#define VR_OS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)
#define NANOSECONDS_PER_MICROSECOND UINT64_C(1000)

/* CLOCK_MONOTONIC: for timeouts. Never jumps; stands still while the machine sleeps (TM-2). */
uint64_t clock_monotonic_ns(void);

/* CLOCK_REALTIME, since 1970: may jump, so it only stamps entries and log lines (TM-1). */
uint64_t clock_wall_ns(void);

/* CLOCK_BOOTTIME: goes on while the machine sleeps; what leases are measured with (R3). */
uint64_t clock_boot_ns(void);

/* For the timed waits of the system. */
struct timespec clock_timespec(uint64_t ns);

/* Sleeps, and goes on sleeping when a signal interrupts it. */
void clock_sleep_ns(uint64_t duration_ns);

#endif
