/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { COLUMNS_DEFAULT = 80 };

bool terminal_has_cursor(FILE *stream)
{
    const char *name = getenv("TERM");
    return isatty(fileno(stream)) == 1 && name != NULL && name[0] != '\0' &&
           strcmp(name, "dumb") != 0;
}

bool terminal_has_color(FILE *stream)
{
    const char *unwanted = getenv("NO_COLOR");
    return terminal_has_cursor(stream) && (unwanted == NULL || unwanted[0] == '\0');
}

size_t terminal_columns(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return COLUMNS_DEFAULT;
}

size_t terminal_width(const char *text, size_t size)
{
    size_t width = 0;
    mbstate_t state = {0};
    for (size_t at = 0; at < size;) {
        wchar_t character;
        const size_t length = mbrtowc(&character, text + at, size - at, &state);
        if (length == 0 || length > size - at) {
            memset(&state, 0, sizeof state);
            width++;
            at++;
            continue;
        }
        const int columns = wcwidth(character);
        width += columns > 0 ? (size_t)columns : 0;
        at += length;
    }
    return width;
}

size_t terminal_width_shown(const char *text, size_t size)
{
    size_t width = 0;
    for (size_t at = 0; at < size;) {
        const char *escape = memchr(text + at, '\033', size - at);
        const size_t plain = escape != NULL ? (size_t)(escape - text) - at : size - at;
        width += terminal_width(text + at, plain);
        at += plain;
        while (escape != NULL && at < size && text[at++] != 'm') {
        }
    }
    return width;
}

const char *terminal_alarm(FILE *stream)
{
    return terminal_has_color(stream) ? "\033[31m" : "";
}

const char *terminal_plain(FILE *stream)
{
    return terminal_has_color(stream) ? "\033[0m" : "";
}
