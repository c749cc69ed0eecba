/* SPDX-License-Identifier: Apache-2.0 */
/* storage_error.h - what went wrong with a file, for a person: what happened, why it matters, what
 * to do. Beside it every function of storage returns a negative errno for code to decide by. */
#ifndef VR_STORAGE_ERROR_H
#define VR_STORAGE_ERROR_H

enum { STORAGE_ERROR_MAX = 1024 };

struct storage_error {
    char text[STORAGE_ERROR_MAX]; /* one line, NUL-terminated, cut if too long */
};

/* Sets the text; returns `status`, so that a caller can say it and return it in one line. */
int storage_error_set(struct storage_error *error, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "cannot VERB PATH: why; what to do" for a system call that returned `status`, a negative errno.
 */
int storage_error_system(struct storage_error *error, int status, const char *verb,
                         const char *path);

#endif
