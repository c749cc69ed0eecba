/* SPDX-License-Identifier: Apache-2.0 */
/* restore_choose.h - what is left of a group, what is best of it, and what speaks against going on
 * from there (D9). Says nothing and asks nobody. */
#ifndef VR_CLI_RESTORE_CHOOSE_H
#define VR_CLI_RESTORE_CHOOSE_H

#include "client/cli/restore_ask.h"

enum restore_verdict {
    RESTORE_POSSIBLE,
    RESTORE_SILENT,        /* `who` neither answers nor is taken for dead */
    RESTORE_NOT_DEAD,      /* `who` is taken for dead, and answers */
    RESTORE_HAS_PRIMARY,   /* `who` acts as primary: it gives back all */
    RESTORE_MAJORITY,      /* enough remember all */
    RESTORE_NOBODY_LOST,   /* none that answers has lost anything */
    RESTORE_TOO_FEW,       /* less than a quorum answers */
    RESTORE_NOTHING_LEFT,  /* nobody holds anything, and in memory it was */
    RESTORE_CONTRADICTION, /* two tell different committed entries, or none holds them all */
};

struct restore_choice {
    uint32_t quorum;
    uint32_t answered;
    uint32_t remember; /* of those, how many have lost nothing */
    uint32_t best;     /* index of the target whose log it is */
    uint64_t view_max; /* of all that answer */
    struct restore restore;
};

/* `who` is a mask of target indices. */
enum restore_verdict restore_choose(const struct restore_target *targets, uint32_t count,
                                    struct restore_choice *choice, uint32_t *who);

/* One that answered acts as primary: the group serves. */
bool restore_has_primary(const struct restore_target *targets, uint32_t count);

/* One will not do it, whatever is waited for. */
bool restore_is_refused(const struct restore_target *targets, uint32_t count);

#endif
