/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *stdout_program; /* NULL: nobody looks at stdout */
static int stdout_code;

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

static void check_stdout(void)
{
    if (stdout_program == NULL || (fflush(stdout) == 0 && !ferror(stdout))) {
        return;
    }
    (void)fprintf(stderr, "%s: cannot write to stdout: %s\n", stdout_program, strerror(errno));
    _exit(stdout_code);
}

void process_check_stdout_at_exit(const char *program, int code)
{
    static bool registered;
    stdout_program = program;
    stdout_code = code;
    if (!registered) {
        registered = atexit(check_stdout) == 0;
    }
}
