/* SPDX-License-Identifier: Apache-2.0 */
/* trace_text.h - events as words for people: the one description of a message, for log lines
 * (--trace-messages) and for vr-client trace.
 *
 * Threads: safe anywhere. */
#ifndef VR_OS_TRACE_TEXT_H
#define VR_OS_TRACE_TEXT_H

#include "common/base/trace_event.h"

enum { TRACE_TEXT_MAX = 256 };

/* "Prepare view 3 ops 17..20 commit 16", "primary of view 3". Returns `text`. */
const char *trace_text(const struct trace_event *event, char text[TRACE_TEXT_MAX]);

/* The same without the name of the message: "view 3 ops 17..20 commit 16". */
const char *trace_text_details(const struct trace_event *event, char text[TRACE_TEXT_MAX]);

/* "127.0.0.1:4711": where the client of a request or an answer is; "[..c3d4:a1b2]:4711" for an IPv6
 * address, of which only the end is kept. Returns `text`. */
enum { TRACE_CLIENT_TEXT_MAX = 32 };
const char *trace_text_client(const struct trace_event *event, char text[TRACE_CLIENT_TEXT_MAX]);

#endif
