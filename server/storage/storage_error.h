/* storage_error.h - what went wrong with a file, for a person: what happened, why it matters, what
 * to do. Beside it every function of storage returns a negative errno for code to decide by. */
#ifndef VR_STORAGE_ERROR_H
#define VR_STORAGE_ERROR_H

enum { STORAGE_ERROR_MAX = 1024 };

struct storage_error {
    char text[STORAGE_ERROR_MAX]; /* one line, NUL-terminated, cut if too long */
};

#endif
