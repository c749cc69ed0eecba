/* SPDX-License-Identifier: Apache-2.0 */
/* explain.h - why a request did not succeed, in words for a person: who was asked, who answered,
 * for how long it waited, and whether the operation may have been executed. */
#ifndef VR_CLIENT_EXPLAIN_H
#define VR_CLIENT_EXPLAIN_H

#include "client/proxy/proxy.h"

struct explain_request {
    enum proxy_outcome outcome;
    enum proxy_error error;
    uint64_t submitted_ns;
    uint64_t now_ns;
    size_t size; /* bytes of the operation */
};

/* Writes one line without newline; always ends in a NUL. */
void explain_failure(const struct proxy_view *view, const struct explain_request *request,
                     char *text, size_t text_size);

/* Who was asked since `since_ns`, and who answered: "no replica answers: asked A, B". */
void explain_silence(const struct proxy_view *view, uint64_t since_ns, uint64_t now_ns, char *text,
                     size_t text_size);

/* How many replicas were heard from since then. */
uint32_t explain_answering(const struct proxy_view *view, uint64_t since_ns);

/* A number with thousands separators: "1,048,576". */
enum { GROUPED_MAX = 28 };
const char *explain_grouped(uint64_t number, char text[GROUPED_MAX]);

/* "value is 1,048,597 bytes; at most 1,048,576" */
void explain_too_large(const char *what, uint64_t size, uint64_t size_max, char *text,
                       size_t text_size);

#endif
