/* SPDX-License-Identifier: Apache-2.0 */
/* stop_signal.h - waiting for the end: SIGTERM, SIGINT, or one of our own threads.
 *
 * Threads: stop_signal_tell() from any thread; the rest from the one that is main. */
#ifndef VR_OS_STOP_SIGNAL_H
#define VR_OS_STOP_SIGNAL_H

#include <stdbool.h>

struct stop_signal {
    int signals; /* a signalfd */
    int told;    /* an eventfd */
};

/* Holds the two signals back, for this thread and all that it starts from now on, and ignores
 * SIGPIPE. Returns 0 or a negative errno. */
int stop_signal_init(struct stop_signal *stop);
void stop_signal_destroy(struct stop_signal *stop);

/* Ends the wait from within. */
void stop_signal_tell(struct stop_signal *stop);

/* Waits. Returns the signal that came, 0 if we were told. From then on another signal ends the
 * process at once. */
int stop_signal_wait(struct stop_signal *stop);

/* The same for timeout_ms at most (-1: for ever). False if that passed; else *number is what
 * stop_signal_wait() returns. */
bool stop_signal_wait_for(struct stop_signal *stop, int timeout_ms, int *number);

#endif
