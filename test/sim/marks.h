/* SPDX-License-Identifier: Apache-2.0 */
/* marks.h - how often the runs of this process met each coverage mark (common/base/mark.h). */
#ifndef VR_SIM_MARKS_H
#define VR_SIM_MARKS_H

#include <stdio.h>

/* A line each: "mark NAME COUNT SENTENCE", or "rare ..." (VR_MARK_RARE_LIST). tools/seeds.sh adds
 * up those of several processes, and judges the sum. */
void sim_marks_print(FILE *out);

#endif
