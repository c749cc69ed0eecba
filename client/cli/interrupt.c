/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_bool seen; /* set in a handler, read by any thread; lock-free, below */
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a signal's handler must not wait");
static struct sigaction before; /* valid while depth > 0 */
static unsigned depth;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    atomic_store(&seen, true);
}

static void install(struct sigaction *old)
{
    /* No SA_RESTART: who waits for the keyboard is to notice. */
    struct sigaction action = {.sa_handler = on_interrupt};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, old);
}

void interrupt_catch(void)
{
    atomic_store(&seen, false);
    if (depth++ == 0) {
        install(&before);
    }
}

void interrupt_release(void)
{
    if (--depth == 0) {
        (void)sigaction(SIGINT, &before, NULL);
    }
}

void interrupt_give_up(void)
{
    if (depth > 0) {
        (void)sigaction(SIGINT, &before, NULL);
    }
}

bool interrupt_seen(void)
{
    return atomic_load(&seen);
}

void interrupt_end_line(void)
{
    if (atomic_load(&seen) && isatty(STDERR_FILENO) == 1) {
        (void)fputc('\n', stderr);
    }
}
