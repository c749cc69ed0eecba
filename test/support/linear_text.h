/* SPDX-License-Identifier: Apache-2.0 */
/* linear_text.h - a verdict about a history, for people. */
#ifndef VR_SUPPORT_LINEAR_TEXT_H
#define VR_SUPPORT_LINEAR_TEXT_H

#include "test/support/linearizability.h"

enum { LINEAR_OPERATION_TEXT_MAX = 256, LINEAR_VERDICT_TEXT_MAX = 832 };

/* "client 3: cas expecting 5 to 6, invoked at 12.345 ms, mismatch at 13.456 ms". Texts are shown by
 * their hashes, for more is not known of them. */
const char *linear_operation_text(const struct linear_operation *operation,
                                  char text[LINEAR_OPERATION_TEXT_MAX]);

/* "5", "a text (1f2e...)", "no value" */
enum { CELL_VALUE_TEXT_MAX = 32 };
const char *cell_value_text(struct cell_value value, char text[CELL_VALUE_TEXT_MAX]);

/* One line about a verdict that is not LINEAR_YES: how far an order goes, what the key holds there,
 * and the first of those that do not fit. */
void linear_verdict_text(const struct linear_verdict *verdict, char text[LINEAR_VERDICT_TEXT_MAX]);

#endif
