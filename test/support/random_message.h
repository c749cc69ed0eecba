/* SPDX-License-Identifier: Apache-2.0 */
/* random_message.h - valid messages of every type, drawn from a seed with a liking for bounds. */
#ifndef VR_SUPPORT_RANDOM_MESSAGE_H
#define VR_SUPPORT_RANDOM_MESSAGE_H

#include "common/base/message.h"
#include "common/base/prng.h"

enum { RANDOM_MESSAGE_TYPES = 36 };
extern const enum message_type random_message_types[RANDOM_MESSAGE_TYPES]; /* all there are */

/* A message with all that it points to; large, so allocate it. */
struct random_message {
    struct message message;
    struct status_report report;
    struct configuration configuration;
    struct status_counter counters[STATUS_COUNTERS_MAX];
    char texts[STATUS_COUNTERS_MAX + 2][STATUS_TEXT_MAX];
    uint8_t bytes[ENTRY_SIZE_MAX];
};

/* Passes message_validate(). Operations, results, entries and parts take at most bytes_max, which
 * is at least 2 * ENTRY_HEADER_SIZE. The envelope is a replica's; *out must not be moved. */
void random_message(struct prng *prng, enum message_type type, uint32_t bytes_max,
                    struct random_message *out);

/* The same type, envelope and content, whatever the pointers. */
bool message_equal(const struct message *a, const struct message *b);

#endif
