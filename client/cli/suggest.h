/* SPDX-License-Identifier: Apache-2.0 */
/* suggest.h - "did you mean": the known word that is nearest to a mistyped one.
 *
 * Pure. */
#ifndef VR_CLI_SUGGEST_H
#define VR_CLI_SUGGEST_H

#include <stddef.h>

enum { SUGGEST_SIZE_MAX = 32 }; /* longer words than that resemble nothing */

/* How many letters must be put in, left out, changed, or swapped with their neighbour to make one
 * word of the other; SIZE_MAX if one is longer than SUGGEST_SIZE_MAX. Case does not count. */
size_t suggest_distance(const char *a, const char *b);

/* The nearest of `words`, which end with a NULL; NULL if none is near: a third of the letters may
 * be wrong, one at least. An unfinished word counts as near to the only one that it begins. */
const char *suggest_nearest(const char *word, const char *const *words);

#endif
