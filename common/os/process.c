/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

bool process_open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        const int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode) != fd) {
            return false;
        }
    }
    return true;
}

void process_ignore_signals(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* neither can fail: both signals exist and may be ignored */
    (void)signal(SIGXFSZ, SIG_IGN);
}
