/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/caret.h"
#include "client/cli/exit_code.h"
#include "client/cli/terminal.h"

int report_exit_code(const struct vr_result *result)
{
    if (result->outcome == VR_OK) {
        return EXIT_DONE;
    }
    if (result->outcome == VR_UNKNOWN) {
        return EXIT_UNKNOWN;
    }
    switch (result->error) {
    case VR_ERROR_UNAVAILABLE:
    case VR_ERROR_BUSY:
    case VR_ERROR_SESSION_EXPIRED:
    case VR_ERROR_CANCELLED:
        return EXIT_UNAVAILABLE;
    case VR_ERROR_WRONG_CLUSTER:
    case VR_ERROR_WRONG_VERSION:
    case VR_ERROR_WRONG_PORT:
        return EXIT_WRONG_GROUP;
    case VR_ERROR_SESSION_MISUSED:
    case VR_ERROR_NO_MEMORY:
    case VR_ERROR_BAD_RESULT:
        return EXIT_INTERNAL;
    default:
        return EXIT_DEFINITE_FAILURE;
    }
}

json_t *report_json_ok(const struct vr_result *result)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "ok", json_true());
    json_set_u64(object, "op", result->op_number);
    json_set_u64(object, "view", result->view);
    if (result->commit_number != 0) {
        json_set_u64(object, "commit", result->commit_number);
    }
    return object;
}

int report_ok(const struct shell *shell, const struct vr_result *result)
{
    if (shell->options->json) {
        json_print_line(report_json_ok(result));
    } else if (shell->source != SOURCE_ARGUMENTS && !shell->options->quiet) {
        (void)puts("ok"); /* errors of stdout are checked at exit */
    }
    return EXIT_DONE;
}

int report_value(const struct shell *shell, const struct vr_result *result)
{
    if (shell->options->json) {
        json_t *object = report_json_ok(result);
        json_set_bytes(object, "value", result->data, result->size);
        json_print_line(object);
    } else if (shell->source == SOURCE_ARGUMENTS) {
        (void)fwrite(result->data, 1, result->size, stdout);
        (void)putchar('\n');
    } else {
        char *text = word_escape(result->data, result->size);
        (void)puts(text);
        free(text);
    }
    return EXIT_DONE;
}

int report_number(const struct shell *shell, const struct vr_result *result)
{
    if (shell->options->json) {
        json_t *object = report_json_ok(result);
        (void)json_object_set_new(object, "value", json_integer(result->number));
        json_print_line(object);
    } else {
        (void)printf("%lld\n", (long long)result->number);
    }
    return EXIT_DONE;
}

/* One line; what the user typed may be in it, and must not steer the terminal. */
static void put_message(const char *message)
{
    for (; *message != '\0'; message++) {
        const unsigned char byte = (unsigned char)*message;
        (void)fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, stderr);
    }
}

static void print_failure(const struct shell *shell, const char *outcome, const char *error,
                          const char *message)
{
    if (shell->options->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "ok", json_false());
        json_set_text(object, "outcome", outcome);
        json_set_text(object, "error", error);
        json_set_text(object, "message", message);
        json_print_line(object);
    } else if (!shell->options->quiet) {
        (void)fflush(stdout); /* in order, where both go to one place */
        (void)fputs(terminal_alarm(stderr), stderr);
        if (shell->source == SOURCE_PIPE && shell->line_number > 0) {
            (void)fprintf(stderr, "vr-client: line %zu: ", shell->line_number);
        } else if (shell->source != SOURCE_TERMINAL) {
            (void)fputs("vr-client: ", stderr);
        }
        put_message(message);
        (void)fprintf(stderr, "%s\n", terminal_plain(stderr));
    }
}

int report_failure(const struct shell *shell, const struct vr_result *result)
{
    print_failure(shell, result->outcome == VR_UNKNOWN ? "unknown" : "failed",
                  vr_error_name(result->error), result->message);
    return report_exit_code(result);
}

int report_error(const struct shell *shell, int code, const char *error, const char *format, ...)
{
    char message[VR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    print_failure(shell, "failed", error, message);
    return code;
}

int report_no_address(const struct shell *shell, int error, int unavailable, const char *message)
{
    switch (error) {
    case -EINVAL:
        return report_error(shell, EXIT_USAGE, "usage", "%s", message);
    case -EADDRNOTAVAIL:
        return report_error(shell, unavailable, "unavailable", "%s", message);
    default:
        return report_error(shell, EXIT_INTERNAL, "internal", "%s", message);
    }
}

static void point_at(const struct shell *shell, size_t begin, size_t end)
{
    const struct caret_line where = {
        .line = shell->line,
        .size = shell->line_size,
        .prompt_width = shell->prompt_width,
        .columns = terminal_columns(stderr),
    };
    char *text = caret_text(&where, begin, end);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s%s%s", terminal_alarm(stderr), text, terminal_plain(stderr));
    free(text);
}

int report_usage(const struct shell *shell, size_t begin, size_t end, const char *format, ...)
{
    char message[VR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (shell->source == SOURCE_TERMINAL && shell->line != NULL && !shell->options->json &&
        !shell->options->quiet) {
        point_at(shell, begin, end);
    }
    print_failure(shell, "failed", "usage", message);
    return EXIT_USAGE;
}
