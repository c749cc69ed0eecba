/* SPDX-License-Identifier: Apache-2.0 */
/* trace_summary.h - the story of one operation in one sentence.
 *
 * Threads: plain data; the functions are pure. */
#ifndef VR_CLI_TRACE_SUMMARY_H
#define VR_CLI_TRACE_SUMMARY_H

#include "client/cli/json_text.h"
#include "client/cli/trace_explain.h"
#include "client/cli/trace_names.h"

enum { TRACE_SUMMARY_MAX = 512 };

/* "op 4: request 2 of session 1, client a67a, answered after 0.831 ms". `primary_answers`: the
 * replica that the op was prepared by could be asked. Returns `text`. */
const char *trace_summary(const struct trace_names *names, uint64_t op_number,
                          const struct trace_explanation *explanation, bool primary_answers,
                          char text[TRACE_SUMMARY_MAX]);

/* The same for programs: a new object. */
json_t *trace_summary_json(const struct trace_names *names, uint64_t op_number,
                           const struct trace_explanation *explanation, bool primary_answers);

#endif
