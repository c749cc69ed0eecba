/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/marks.h"

#include <inttypes.h>

/* The objects that the simulator is linked with count here. */
#ifndef VR_MARKS
#define VR_MARKS
#endif
#include "common/base/mark.h"

uint64_t vr_marks[VR_MARK_COUNT];

void sim_marks_print(FILE *out)
{
    static const char *const names[VR_MARK_COUNT] = {
#define NAME(rule, what, sentence) #rule "_" #what,
        VR_MARK_LIST(NAME) VR_MARK_RARE_LIST(NAME)
#undef NAME
    };
    static const char *const sentences[VR_MARK_COUNT] = {
#define SENTENCE(rule, what, sentence) sentence,
        VR_MARK_LIST(SENTENCE) VR_MARK_RARE_LIST(SENTENCE)
#undef SENTENCE
    };
    for (size_t i = 0; i < VR_MARK_COUNT; i++) {
        const char *word = i < VR_MARK_WANTED_COUNT ? "mark" : "rare";
        fprintf(out, "%s %s %" PRIu64 " %s\n", word, names[i], vr_marks[i], sentences[i]);
    }
}
