/* SPDX-License-Identifier: Apache-2.0 */
/* json_text.h - bytes in JSON, and one object a line on stdout. */
#ifndef VR_CLI_JSON_TEXT_H
#define VR_CLI_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Sets `name` to the bytes as a string if they are UTF-8, else "<name>_base64" to their base64. */
void json_set_bytes(json_t *object, const char *name, const uint8_t *bytes, size_t size);

/* Numbers above 2^63 - 1, which no counter here reaches, are cut to it. */
void json_set_u64(json_t *object, const char *name, uint64_t value);

/* NULL becomes null. */
void json_set_text(json_t *object, const char *name, const char *text);

/* "0123456789abcdef" */
void json_set_hex(json_t *object, const char *name, uint64_t value);

/* Prints the object on one line of stdout, flushed, and releases it. */
void json_print_line(json_t *object);

#endif
