/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: the textbook's table, row i for the first i letters of a. */
size_t suggest_distance(const char *a, const char *b)
{
    size_t d[SUGGEST_SIZE_MAX + 1][SUGGEST_SIZE_MAX + 1];
    const size_t a_size = strlen(a);
    const size_t b_size = strlen(b);
    if (a_size > SUGGEST_SIZE_MAX || b_size > SUGGEST_SIZE_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_size; j++) {
        d[0][j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        d[i][0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t change = same_letter(a[i - 1], b[j - 1]) ? 0 : 1;
            d[i][j] = min_size(min_size(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + change);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1])) {
                d[i][j] = min_size(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a_size][b_size];
}

/* The only word that begins so; NULL if there are none or several. */
static const char *find_begun(const char *word, const char *const *words)
{
    const char *found = NULL;
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strncasecmp(word, words[i], strlen(word)) == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = words[i];
        }
    }
    return found;
}

const char *suggest_nearest(const char *word, const char *const *words)
{
    const size_t size = strlen(word);
    if (size < 2) {
        return NULL; /* everything short is near to one letter */
    }
    const char *nearest = find_begun(word, words);
    size_t least = size / 3 > 1 ? size / 3 : 1;
    for (size_t i = 0; words[i] != NULL && nearest == NULL; i++) {
        least = min_size(least, suggest_distance(word, words[i]));
    }
    for (size_t i = 0; words[i] != NULL && nearest == NULL; i++) {
        if (suggest_distance(word, words[i]) == least) {
            nearest = words[i];
        }
    }
    return nearest;
}
