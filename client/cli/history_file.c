/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "client/cli/memory.h"

enum {
    LOCK_TRIES = 40, /* others hold the lock for one write */
    LOCK_PAUSE_NS = 5 * 1000 * 1000,
    REPLACED_TRIES = 4,
    FILE_MODE = 0600,
    DIRECTORY_MODE = 0700,
};

bool history_path(const char *state_home, const char *home, char path[HISTORY_PATH_MAX])
{
    int length = -1;
    if (state_home != NULL && state_home[0] == '/') {
        length = snprintf(path, HISTORY_PATH_MAX, "%s/viewstamp/history", state_home);
    } else if (home != NULL && home[0] == '/') {
        length = snprintf(path, HISTORY_PATH_MAX, "%s/.local/state/viewstamp/history", home);
    }
    return length > 0 && length < HISTORY_PATH_MAX;
}

bool history_keeps(const char *line, size_t size)
{
    if (size == 0 || size > HISTORY_LINE_SIZE_MAX || line[0] == ' ' || line[0] == '\t') {
        return false;
    }
    mbstate_t state = {0};
    for (size_t at = 0; at < size;) {
        const unsigned char byte = (unsigned char)line[at];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return false;
        }
        /* Line editing reads it in the locale's encoding, and cannot show what is none. */
        const size_t length = mbrlen(line + at, size - at, &state);
        if (length == 0 || length > size - at) {
            return false;
        }
        at += length;
    }
    return true;
}

/* ---- the file ---- */

static int make_parents(const char *path)
{
    char directory[HISTORY_PATH_MAX];
    (void)snprintf(directory, sizeof directory, "%s", path);
    for (char *slash = strchr(directory + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(directory, DIRECTORY_MODE) != 0 && errno != EEXIST) {
            return -errno;
        }
        *slash = '/';
    }
    return 0;
}

static int lock(int fd)
{
    for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (i == LOCK_TRIES || (errno != EWOULDBLOCK && errno != EINTR)) {
            return -errno;
        }
        const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        (void)nanosleep(&pause, NULL); /* woken early, it asks again early */
    }
    return 0;
}

/* Opens and locks the file that has this name now: another REPL may put a new one there between the
 * two. Returns the descriptor, or a negative errno. */
static int open_locked(const char *path, int flags)
{
    for (unsigned i = 0; i < REPLACED_TRIES; i++) {
        const int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
        if (fd < 0) {
            return -errno;
        }
        struct stat status;
        int error = lock(fd);
        if (error == 0 && fstat(fd, &status) != 0) {
            error = -errno;
        } else if (error == 0 && !S_ISREG(status.st_mode)) {
            error = -EINVAL;
        }
        if (error == 0 && status.st_nlink > 0) {
            return fd;
        }
        (void)close(fd); /* nothing was written */
        if (error != 0) {
            return error;
        }
    }
    return -EAGAIN;
}

static int write_all(int fd, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t written = write(fd, bytes + done, size - done);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return 0;
}

int history_append(const char *path, const char *line)
{
    const size_t size = strlen(line);
    if (!history_keeps(line, size)) {
        return 0;
    }
    int fd = open_locked(path, O_WRONLY | O_APPEND | O_CREAT);
    if (fd == -ENOENT) {
        const int error = make_parents(path);
        if (error != 0) {
            return error;
        }
        fd = open_locked(path, O_WRONLY | O_APPEND | O_CREAT);
    }
    if (fd < 0) {
        return fd;
    }
    char text[HISTORY_LINE_SIZE_MAX + 1];
    memcpy(text, line, size);
    text[size] = '\n';
    int error = write_all(fd, text, size + 1);
    if (close(fd) != 0 && error == 0) {
        error = -errno;
    }
    return error;
}

/* Puts a file with these bytes in the old one's place; whoever holds the lock of the old one finds
 * it gone (open_locked()). */
static int replace(const char *path, const char *bytes, size_t size)
{
    char new_path[HISTORY_PATH_MAX + 8];
    (void)snprintf(new_path, sizeof new_path, "%s.new", path);
    const int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return -errno;
    }
    int error = write_all(fd, bytes, size);
    if (close(fd) != 0 && error == 0) {
        error = -errno;
    }
    if (error == 0 && rename(new_path, path) != 0) {
        error = -errno;
    }
    if (error != 0) {
        (void)unlink(new_path); /* the old one stays, only too long */
    }
    return error;
}

/* Reads it all, a NUL behind it. Returns its size, or a negative errno. */
static ssize_t read_all(int fd, char **bytes)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    if (status.st_size > HISTORY_READ_MAX) {
        return -EFBIG;
    }
    const size_t size = (size_t)status.st_size;
    *bytes = must_calloc(size + 1, 1);
    size_t done = 0;
    while (done < size) {
        const ssize_t got = read(fd, *bytes + done, size - done);
        if (got < 0 && errno != EINTR) {
            const int error = -errno;
            free(*bytes);
            return error;
        }
        if (got == 0) {
            break;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}

/* Where the newest HISTORY_LINES_MAX lines begin. */
static size_t newest_begin(const char *bytes, size_t size)
{
    size_t lines = 0;
    size_t at = size > 0 && bytes[size - 1] == '\n' ? size - 1 : size;
    while (at > 0 && (bytes[at - 1] != '\n' || ++lines < HISTORY_LINES_MAX)) {
        at--;
    }
    return at;
}

int history_load(const char *path, void (*each)(void *context, const char *line), void *context)
{
    const int fd = open_locked(path, O_RDONLY);
    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    char *bytes = NULL;
    const ssize_t size = read_all(fd, &bytes);
    if (size < 0) {
        (void)close(fd); /* only read */
        return (int)size;
    }
    const size_t begin = newest_begin(bytes, (size_t)size);
    int error = 0;
    if (begin > 0 && size > HISTORY_FILE_SIZE_MAX) {
        error = replace(path, bytes + begin, (size_t)size - begin);
    }
    (void)close(fd); /* only read; unlocks */
    for (char *line = bytes + begin; line < bytes + size;) {
        const size_t length = strcspn(line, "\n");
        line[length] = '\0';
        if (history_keeps(line, length)) {
            each(context, line);
        }
        line += length + 1;
    }
    free(bytes);
    return error;
}
