/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood_plot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- running gnuplot ---- */

/* Returns its exit code, or a negative errno. Descriptors: -1 for none. */
static int run_gnuplot(char *const arguments[], int input, int output, bool quiet)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return -error;
    }
    error = input >= 0 ? posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
                       : posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                                          O_RDONLY, 0);
    if (error == 0) {
        error = output >= 0 ? posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
                            : posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                                               O_WRONLY, 0);
    }
    if (error == 0 && quiet) {
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid;
    if (error == 0) {
        error = posix_spawnp(&pid, "gnuplot", &actions, NULL, arguments, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return -error;
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EPROTO;
}

bool flood_plot_possible(void)
{
    char *const arguments[] = {"gnuplot", "--version", NULL};
    return run_gnuplot(arguments, -1, -1, true) == 0;
}

/* ---- what it is told ---- */

static void write_data(FILE *script, const struct flood_rows *rows)
{
    (void)fputs("$rows << END\n", script);
    for (size_t i = 0; i < rows->count; i++) {
        const struct flood_row *row = &rows->rows[i];
        (void)fprintf(script, "%.3f %.1f ", row->at_s, (double)row->ops / row->seconds);
        if (row->ops > 0) {
            (void)fprintf(script, "%" PRIu64 " %" PRIu64 "\n", row->p50_us, row->p99_us);
        } else {
            (void)fputs("NaN NaN\n", script); /* a gap in the line, as there was none */
        }
    }
    (void)fputs("END\n", script);
}

static void write_view_changes(FILE *script, const struct flood_rows *rows)
{
    for (size_t i = 0; i < rows->view_change_count; i++) {
        const struct flood_view_change *change = &rows->view_changes[i];
        (void)fprintf(script,
                      "set arrow from first %.3f, graph 0 to first %.3f, graph 1 nohead "
                      "dashtype 2 linecolor rgb '#c00000'\n"
                      "set label 'view %" PRIu64
                      "' at first %.3f, graph 0.96 offset 0.5,0 textcolor rgb '#c00000'\n",
                      change->at_s, change->at_s, change->view, change->at_s);
    }
}

void flood_plot_write_script(FILE *script, const struct flood_rows *rows,
                             const struct flood_options *options)
{
    const double end_s = rows->count > 0 ? rows->rows[rows->count - 1].at_s : 1;
    write_data(script, rows);
    (void)fputs("set terminal pngcairo size 1200,800\nset datafile missing 'NaN'\nset grid\nset "
                "lmargin 12\n",
                script);
    (void)fprintf(script, "set xrange [0:%.3f]\n", end_s);
    write_view_changes(script, rows);
    (void)fputs("set multiplot layout 2,1 title \"", script);
    (void)fprintf(script,
                  "flood: %" PRIu32 " clients, %" PRIu32 " %% writes, values of %" PRIu32 " bytes",
                  options->clients, options->mix_percent, options->value_size);
    if (options->rate > 0) {
        (void)fprintf(script, ", %" PRIu64 " ops/s offered", options->rate);
    }
    (void)fputs(
        "\"\nset ylabel 'operations a second'\nset yrange [0:*]\nset format y '%.0f'\n"
        "plot $rows using 1:2 with linespoints pointtype 7 pointsize 0.5 title 'throughput'\n"
        "set ylabel 'latency in microseconds'\nset xlabel 'seconds'\nset logscale y\n"
        "set yrange [*:*]\n"
        "plot $rows using 1:3 with linespoints pointtype 7 pointsize 0.5 title 'p50', "
        "$rows using 1:4 with linespoints pointtype 7 pointsize 0.5 title 'p99'\n"
        "unset multiplot\n",
        script);
}

int flood_plot_draw(int png, const struct flood_rows *rows, const struct flood_options *options)
{
    FILE *script = tmpfile();
    if (script == NULL) {
        return -errno;
    }
    flood_plot_write_script(script, rows, options);
    int code = fflush(script) == 0 && !ferror(script) ? 0 : -EIO;
    if (code == 0) {
        rewind(script);
        char *const arguments[] = {"gnuplot", NULL};
        code = run_gnuplot(arguments, fileno(script), png, false);
    }
    (void)fclose(script);
    return code > 0 ? -EPROTO : code;
}
