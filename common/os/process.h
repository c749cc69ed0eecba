/* process.h - what a program puts in order before it opens anything of its own. */
#ifndef VR_OS_PROCESS_H
#define VR_OS_PROCESS_H

/* Opens /dev/null in place of standard descriptors that the parent closed, so that no socket or
 * file becomes stdin, stdout or stderr; and makes writes to closed pipes, or beyond a file size
 * limit, errors instead of deadly signals. Called first in main(), before there are threads. */
void process_prepare(void);

#endif
