/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t seen;
static struct sigaction before;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    seen = 1;
}

void interrupt_catch(void)
{
    /* No SA_RESTART: who waits for the keyboard is to notice. */
    struct sigaction action = {.sa_handler = on_interrupt};
    (void)sigemptyset(&action.sa_mask);
    seen = 0;
    (void)sigaction(SIGINT, &action, &before);
}

void interrupt_release(void)
{
    (void)sigaction(SIGINT, &before, NULL);
}

void interrupt_clear(void)
{
    seen = 0;
}

bool interrupt_seen(void)
{
    return seen != 0;
}
