/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - protocol messages as lines for people (--trace-messages).
 *
 * Threads: pure; safe anywhere. */
#ifndef VR_RUNTIME_TRACE_H
#define VR_RUNTIME_TRACE_H

#include <stddef.h>

#include "common/base/message.h"

enum { TRACE_TEXT_MAX = 256 };

/* What a message says, in a few words: "Prepare view 3 ops 17..20 commit 16". Returns `text`. */
const char *trace_message(const struct message *message, char text[TRACE_TEXT_MAX]);

#endif
