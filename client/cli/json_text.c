/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/json_text.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/memory.h"

static void set_base64(json_t *object, const char *name, const uint8_t *bytes, size_t size)
{
    const size_t text_size = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_ORIGINAL);
    char *text = must_calloc(text_size, 1);
    char field[64];
    (void)sodium_bin2base64(text, text_size, bytes, size, sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(field, sizeof field, "%s_base64", name);
    (void)json_object_set_new(object, field, json_string(text));
    free(text);
}

void json_set_bytes(json_t *object, const char *name, const uint8_t *bytes, size_t size)
{
    json_t *text = json_stringn(size > 0 ? (const char *)bytes : "", size);
    if (text != NULL) {
        (void)json_object_set_new(object, name, text);
    } else {
        set_base64(object, name, bytes, size);
    }
}

void json_set_u64(json_t *object, const char *name, uint64_t value)
{
    const json_int_t number = value > INT64_MAX ? INT64_MAX : (json_int_t)value;
    (void)json_object_set_new(object, name, json_integer(number));
}

void json_set_text(json_t *object, const char *name, const char *text)
{
    (void)json_object_set_new(object, name, text != NULL ? json_string(text) : json_null());
}

void json_set_hex(json_t *object, const char *name, uint64_t value)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, value);
    json_set_text(object, name, text);
}

void json_print_line(json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    (void)fputc('\n', stdout);
    (void)fflush(stdout); /* a reader may wait for this line; its errors are checked at exit */
    json_decref(object);
}
