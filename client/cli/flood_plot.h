/* SPDX-License-Identifier: Apache-2.0 */
/* flood_plot.h - a picture of a flood: throughput above, p50 and p99 below, over time, with a line
 * where the view changed. gnuplot draws it; it is a program of its own, asked for by --plot alone.
 *
 * Threads: main's. */
#ifndef VR_CLI_FLOOD_PLOT_H
#define VR_CLI_FLOOD_PLOT_H

#include "client/cli/flood_rows.h"

/* True if gnuplot can be run. */
bool flood_plot_possible(void);

/* What gnuplot is told, with the data. */
void flood_plot_write_script(FILE *script, const struct flood_rows *rows,
                             const struct flood_options *options);

/* Draws to `png`, an open file. Returns 0, or a negative errno; -EPROTO: gnuplot failed, and has
 * said why on stderr. */
int flood_plot_draw(int png, const struct flood_rows *rows, const struct flood_options *options);

#endif
