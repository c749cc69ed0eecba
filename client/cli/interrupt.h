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

/* In between, for what does not ask interrupt_seen(): Ctrl-C does what it did before. */
void interrupt_suspend(void);
void interrupt_resume(void);

bool interrupt_seen(void);

#endif
