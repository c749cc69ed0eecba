#include "common/os/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

void process_prepare(void)
{
    /* open() takes the lowest descriptor that is free; the loop ends with the first above stderr.
     */
    int descriptor;
    do {
        descriptor = open("/dev/null", O_RDWR);
    } while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor > STDERR_FILENO) {
        (void)close(descriptor);
    }
    (void)signal(SIGPIPE, SIG_IGN); /* neither can fail: both signals exist and may be ignored */
    (void)signal(SIGXFSZ, SIG_IGN);
}
