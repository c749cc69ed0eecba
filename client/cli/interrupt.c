/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/interrupt.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t seen;
static struct sigaction before; /* valid while depth > 0 */
static unsigned depth;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    seen = 1;
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
    seen = 0;
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
    return seen != 0;
}

void interrupt_end_line(void)
{
    if (seen != 0 && isatty(STDERR_FILENO) == 1) {
        (void)fputc('\n', stderr);
    }
}
