/* SPDX-License-Identifier: Apache-2.0 */
/* restore_show.h - the words of `unsafe-restore`: what is left, what will be lost, why not. */
#ifndef VR_CLI_RESTORE_SHOW_H
#define VR_CLI_RESTORE_SHOW_H

#include <stdio.h>

#include "client/cli/report.h"
#include "client/cli/restore_choose.h"

/* A table of all replicas, on `out`; best: index of the one that was chosen, or REPLICAS_MAX. */
void restore_show_table(FILE *out, const struct restore_asker *asker, uint32_t best);

/* What going on from there means. */
void restore_show_meaning(FILE *out, const struct restore_asker *asker,
                          const struct restore_choice *choice);

/* Why it is not done. Returns the exit code. */
int restore_show_verdict(const struct shell *shell, const struct restore_asker *asker,
                         enum restore_verdict verdict, const struct restore_choice *choice,
                         uint32_t who);

/* What came of it, as one JSON object; `code` is the exit code. */
void restore_show_json(const struct restore_asker *asker, const struct restore_choice *choice,
                       int code);

/* "RESTORE_STARTED" as people read it. */
const char *restore_outcome_text(enum restore_outcome outcome);

#endif
