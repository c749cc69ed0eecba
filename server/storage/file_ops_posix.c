/* SPDX-License-Identifier: Apache-2.0 */
/* file_ops_posix.c - storage's view of the operating system's files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/storage/file_ops.h"

static int posix_create_directory(void *disk, const char *path)
{
    (void)disk;
    return mkdir(path, 0700) == 0 ? 0 : -errno;
}

static int open_directory(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static int posix_lock_directory(void *disk, const char *path)
{
    (void)disk;
    const int fd = open_directory(path);
    if (fd < 0) {
        return fd;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int status = -errno;
        (void)close(fd); /* opened for reading: nothing to lose */
        return status;
    }
    return fd;
}

/* EINTR is no failure of the disk: nothing was tried yet. Every other error is final (PS-3). */
static int sync_fd(int fd)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int posix_sync_directory(void *disk, const char *path)
{
    (void)disk;
    const int fd = open_directory(path);
    if (fd < 0) {
        return fd;
    }
    const int status = sync_fd(fd);
    (void)close(fd); /* opened for reading: nothing to lose */
    return status;
}

static int posix_open(void *disk, const char *path, bool create)
{
    (void)disk;
    const int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
    return fd >= 0 ? fd : -errno;
}

static int64_t posix_read(void *disk, int file, uint64_t offset, void *bytes, size_t size)
{
    (void)disk;
    size_t done = 0;
    while (done < size) {
        const ssize_t got =
            pread(file, (unsigned char *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (int64_t)done;
}

static int posix_write(void *disk, int file, uint64_t offset, const void *bytes, size_t size)
{
    (void)disk;
    size_t done = 0;
    while (done < size) {
        const ssize_t put =
            pwrite(file, (const unsigned char *)bytes + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return -errno;
        }
        if (put == 0) {
            return -EIO; /* a regular file takes at least a byte, or says why not */
        }
        done += (size_t)put;
    }
    return 0;
}

static int posix_sync(void *disk, int file)
{
    (void)disk;
    return sync_fd(file);
}

static int posix_sync_data(void *disk, int file)
{
    (void)disk;
    while (fdatasync(file) != 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int posix_reserve(void *disk, int file, uint64_t size)
{
    (void)disk;
    int status;
    do {
        status = posix_fallocate(file, 0, (off_t)size);
    } while (status == EINTR);
    return -status;
}

static int64_t posix_size(void *disk, int file)
{
    struct stat status;
    (void)disk;
    return fstat(file, &status) == 0 ? (int64_t)status.st_size : -errno;
}

static int posix_remove(void *disk, const char *path)
{
    (void)disk;
    return unlink(path) == 0 ? 0 : -errno;
}

static int posix_list(void *disk, const char *path, int (*visit)(void *context, const char *name),
                      void *context)
{
    (void)disk;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return -errno;
    }
    int result = 0;
    errno = 0;
    for (const struct dirent *entry; result == 0 && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = visit(context, entry->d_name);
        }
        errno = 0;
    }
    result = result == 0 ? -errno : result;
    (void)closedir(directory); /* opened for reading: nothing to lose */
    return result;
}

static int posix_rename(void *disk, const char *from, const char *to)
{
    (void)disk;
    return rename(from, to) == 0 ? 0 : -errno;
}

static void posix_close(void *disk, int handle)
{
    (void)disk;
    (void)close(handle); /* what mattered was synced; see file_ops.h */
}

struct file_ops file_ops_posix(void)
{
    return (struct file_ops){
        .create_directory = posix_create_directory,
        .lock_directory = posix_lock_directory,
        .sync_directory = posix_sync_directory,
        .open = posix_open,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .sync_data = posix_sync_data,
        .reserve = posix_reserve,
        .size = posix_size,
        .rename = posix_rename,
        .remove = posix_remove,
        .list = posix_list,
        .close = posix_close,
    };
}
