/* SPDX-License-Identifier: Apache-2.0 */
/* server_logging.c - the log, as programs see it that run a replica of their own. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/os/logger.h"
#include "server/runtime/server_error.h"

_Static_assert((int)VR_SERVER_LOG_ERROR == (int)LOG_LEVEL_ERROR &&
                   (int)VR_SERVER_LOG_WARNING == (int)LOG_LEVEL_WARNING &&
                   (int)VR_SERVER_LOG_INFO == (int)LOG_LEVEL_INFO &&
                   (int)VR_SERVER_LOG_DEBUG == (int)LOG_LEVEL_DEBUG,
               "levels have the same numbers inside and outside");
_Static_assert((int)VR_SERVER_LOG_AUTO == (int)LOG_FORMAT_AUTO &&
                   (int)VR_SERVER_LOG_TEXT == (int)LOG_FORMAT_TEXT &&
                   (int)VR_SERVER_LOG_JSON == (int)LOG_FORMAT_JSON &&
                   (int)VR_SERVER_LOG_JOURNALD == (int)LOG_FORMAT_JOURNALD,
               "formats have the same numbers inside and outside");

static int start(const struct vr_server_log_options *options, const struct log_levels *levels)
{
    const struct log_sink sink = {.write = options->write, .context = options->context};
    const enum log_format format = (enum log_format)options->format;
    if (options->write == NULL) {
        return logger_start(levels, format, STDERR_FILENO);
    }
    return logger_start_sink(levels, format, &sink);
}

enum vr_server_exit vr_server_log_start(const struct vr_server_log_options *options,
                                        struct vr_server_error *error)
{
    const struct vr_server_log_options wanted =
        options != NULL ? *options : (struct vr_server_log_options){.levels = NULL};
    struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    if (wanted.levels != NULL && !log_levels_parse(wanted.levels, &levels)) {
        return server_error_set(error, VR_SERVER_USAGE, ERROR_NONE,
                                "\"%s\" is no level of the log: error, warning, info or debug, for "
                                "all or as SUBSYSTEM=LEVEL, with commas between",
                                wanted.levels);
    }
    if ((unsigned)wanted.format > VR_SERVER_LOG_JOURNALD) {
        return server_error_set(error, VR_SERVER_USAGE, ERROR_NONE, "%d is no format of the log",
                                (int)wanted.format);
    }
    const int status = start(&wanted, &levels);
    if (status == -EBUSY) {
        return server_error_set(error, VR_SERVER_USAGE, ERROR_NONE,
                                "the log is started already: a process has one, whatever runs in "
                                "it");
    }
    if (status != 0) {
        return server_error_set(
            error, VR_SERVER_INTERNAL, status == -ENOMEM ? ERROR_MEMORY : ERROR_THREADS,
            "cannot start the log: %s: raise the limit of memory or threads", strerror(-status));
    }
    return VR_SERVER_OK;
}

void vr_server_log_stop(void)
{
    logger_stop();
}
