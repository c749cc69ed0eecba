/* SPDX-License-Identifier: Apache-2.0 */
/* interrupt.h - Ctrl-C cancels what a command waits for, and not the program.
 *
 * Threads: main's. The signal is taken by main alone: the library's thread blocks all of them. */
#ifndef VR_CLI_INTERRUPT_H
#define VR_CLI_INTERRUPT_H

#include <stdbool.h>

/* From here on Ctrl-C is only noted; what was noted before is forgotten. Calls of the system that
 * wait return EINTR. May be nested. */
void interrupt_catch(void);

/* The outermost: Ctrl-C does again what it did before. */
void interrupt_release(void);

/* For the rest of a command that the first Ctrl-C has begun to end: one more ends the program, as
 * it would have before interrupt_catch(). */
void interrupt_give_up(void);

bool interrupt_seen(void);

/* The terminal has shown the Ctrl-C, if there was one: what is said next begins a line. */
void interrupt_end_line(void);

#endif
