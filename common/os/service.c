/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/service.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool service_is_supervised(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

void service_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path) {
        return;
    }
    const size_t path_size = strlen(path);
    memcpy(address.sun_path, path, path_size);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* an abstract name: no file, and no NUL behind it */
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_size);
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&address, size); /* see service.h */
    (void)close(fd);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool service_boot_id(uint8_t boot_id[SERVICE_BOOT_ID_SIZE])
{
    enum { BOOT_ID_TEXT_MAX = 64 };
    char text[BOOT_ID_TEXT_MAX];
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t size = read(fd, text, sizeof text);
    (void)close(fd); /* only read */
    size_t digits = 0;
    memset(boot_id, 0, SERVICE_BOOT_ID_SIZE);
    for (ssize_t i = 0; i < size && digits < 2 * SERVICE_BOOT_ID_SIZE; i++) {
        const int digit = hex_digit(text[i]);
        if (digit >= 0) { /* the dashes between groups are skipped */
            boot_id[digits / 2] = (uint8_t)(boot_id[digits / 2] << 4 | digit);
            digits++;
        }
    }
    return digits == 2 * SERVICE_BOOT_ID_SIZE;
}
