/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/status_text.h"
#include "client/cli/terminal.h"
#include "common/os/clock.h"

/* The lines as they are to be seen, malloc'ed; NULL if memory is short. */
static char *render(const struct screen *screen, const struct survey *survey,
                    const struct health_report *health)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    status_print(out, survey, health, terminal_alarm(stdout), terminal_plain(stdout));
    if (screen->in_place) {
        const time_t now = time(NULL);
        struct tm local;
        char clock[16] = "?";
        if (localtime_r(&now, &local) != NULL) {
            (void)strftime(clock, sizeof clock, "%H:%M:%S", &local);
        }
        (void)fprintf(out, "%s, every %.1f s; Ctrl-C ends\n", clock,
                      (double)screen->interval_ns / (double)NANOSECONDS_PER_SECOND);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Rows of the terminal that the text takes. */
static size_t count_rows(const char *text, size_t columns)
{
    size_t rows = 0;
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        const size_t width = terminal_width_shown(text, length);
        rows += width == 0 ? 1 : (width + columns - 1) / columns;
        text += length + (text[length] == '\n' ? 1 : 0);
    }
    return rows;
}

static void draw_in_place(struct screen *screen, const char *text)
{
    const size_t columns = terminal_columns(stdout);
    if (screen->shown_count > 0 && columns != screen->columns) {
        (void)fputs("\033[2J\033[H", stdout); /* what was shown has been wrapped anew */
    } else if (screen->rows > 0) {
        (void)printf("\033[%zuA\r\033[J", screen->rows);
    }
    (void)fputs(text, stdout);
    screen->columns = columns;
    screen->rows = count_rows(text, columns);
}

void screen_show(struct screen *screen, const struct survey *survey,
                 const struct health_report *health)
{
    char *text = render(screen, survey, health);
    if (text != NULL && screen->in_place) {
        draw_in_place(screen, text);
    } else if (text != NULL) {
        (void)printf("%s%s", screen->repeated && screen->shown_count > 0 ? "\n" : "", text);
    }
    (void)fflush(stdout); /* its errors are checked at exit */
    screen->shown_count++;
    free(text);
}

void screen_leave(const struct screen *screen)
{
    if (screen->in_place && screen->shown_count > 0) {
        (void)fputs("\r\033[K", stdout); /* the terminal's ^C */
        (void)fflush(stdout);
    }
}
