/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/differences.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

void sim_differences_reset(struct sim_differences *differences)
{
    if (differences->capacity > 0) {
        memset(differences->answered, 0, differences->capacity * sizeof *differences->answered);
    }
    differences->mark_count = 0;
    differences->spread = false;
}

void sim_differences_free(struct sim_differences *differences)
{
    free(differences->answered);
    *differences = (struct sim_differences){0};
}

void sim_differences_answer(struct sim_differences *differences, uint64_t op_number)
{
    if (op_number >= differences->capacity) {
        const size_t old = differences->capacity;
        differences->capacity = 2 * op_number + 1024;
        differences->answered =
            realloc(differences->answered, differences->capacity * sizeof *differences->answered);
        INVARIANT(differences->answered != NULL);
        memset(differences->answered + old, 0,
               (differences->capacity - old) * sizeof *differences->answered);
    }
    differences->answered[op_number] = true;
}

bool sim_differences_answered(const struct sim_differences *differences, uint64_t op_number)
{
    return op_number < differences->capacity && differences->answered[op_number];
}

void sim_differences_cut(struct sim_differences *differences, const struct checkpoint_mark *mark)
{
    INVARIANT(differences->mark_count < SIM_DIFFERING_MARKS_MAX);
    differences->marks[differences->mark_count++] = *mark;
}

bool sim_differences_has_cut(const struct sim_differences *differences,
                             const struct checkpoint_mark *mark)
{
    for (uint32_t i = 0; i < differences->mark_count; i++) {
        if (differences->marks[i].op_number == mark->op_number &&
            checksum_equal(differences->marks[i].digest, mark->digest)) {
            return true;
        }
    }
    return false;
}
