/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/stop_signal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/invariant.h"

static sigset_t stop_set(void)
{
    sigset_t set;
    (void)sigemptyset(&set); /* neither can fail with valid signals */
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    return set;
}

int stop_signal_init(struct stop_signal *stop)
{
    const sigset_t set = stop_set();
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -errno;
    }
    stop->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (stop->signals < 0) {
        return -errno;
    }
    stop->told = eventfd(0, EFD_CLOEXEC);
    if (stop->told < 0) {
        const int error = -errno;
        (void)close(stop->signals);
        return error;
    }
    return 0;
}

void stop_signal_destroy(struct stop_signal *stop)
{
    (void)close(stop->told);
    (void)close(stop->signals);
}

void stop_signal_tell(struct stop_signal *stop)
{
    const uint64_t one = 1;
    /* Full at 2^64 - 2 tellings: then it is readable anyway. */
    const ssize_t ignored = write(stop->told, &one, sizeof one);
    (void)ignored;
}

bool stop_signal_wait_for(struct stop_signal *stop, int timeout_ms, int *number)
{
    struct pollfd watched[] = {
        {.fd = stop->signals, .events = POLLIN},
        {.fd = stop->told, .events = POLLIN},
    };
    const int ready = poll(watched, sizeof watched / sizeof watched[0], timeout_ms);
    INVARIANT(ready >= 0 || errno == EINTR);
    if (ready <= 0) {
        return false;
    }
    *number = 0;
    if (watched[0].revents != 0) {
        struct signalfd_siginfo info;
        const ssize_t size = read(stop->signals, &info, sizeof info);
        INVARIANT(size == (ssize_t)sizeof info);
        *number = (int)info.ssi_signo;
    }
    const sigset_t set = stop_set();
    const int result = sigprocmask(SIG_UNBLOCK, &set, NULL);
    INVARIANT(result == 0);
    return true;
}

int stop_signal_wait(struct stop_signal *stop)
{
    int number;
    while (!stop_signal_wait_for(stop, -1, &number)) {
    }
    return number;
}
