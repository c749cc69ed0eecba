/* SPDX-License-Identifier: Apache-2.0 */
/* interrupt.h - Ctrl-C cancels what a command waits for, and not the program.
 *
 * Threads: main's. The signal is taken by main alone: the library's thread blocks all of them. */
#ifndef VR_CLI_INTERRUPT_H
#define VR_CLI_INTERRUPT_H

#include <stdbool.h>

/* From here on Ctrl-C is only noted. Calls of the system that wait return EINTR. */
void interrupt_catch(void);

/* Ctrl-C does again what it did before interrupt_catch(). */
void interrupt_release(void);

/* Forgets what was noted. */
void interrupt_clear(void);

bool interrupt_seen(void);

#endif
