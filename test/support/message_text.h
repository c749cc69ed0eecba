/* SPDX-License-Identifier: Apache-2.0 */
/* message_text.h - a message on one line, for traces: type and key fields. Views are shown without
 * their epoch. */
#ifndef VR_SUPPORT_MESSAGE_TEXT_H
#define VR_SUPPORT_MESSAGE_TEXT_H

#include "common/base/message.h"

enum { MESSAGE_TEXT_MAX = 256 };

/* Writes a NUL-terminated line without newline, cut to `size` bytes; returns `text`. */
const char *message_text(const struct message *message, char *text, size_t size);

#endif
