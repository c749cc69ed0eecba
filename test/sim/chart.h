/* SPDX-License-Identifier: Apache-2.0 */
/* chart.h - a run as a sequence chart: who was told what, in the order in which it was acted on.
 *
 * While sim.chart is set, the lines of trace.h go here instead of to stdout. What is drawn are
 * messages as they are stepped, with what they changed, datagrams that were lost, and what happens
 * to a node by itself. Memory grows with the run, up to SIM_CHART_LINES_MAX lines; the first are
 * kept. */
#ifndef VR_SIM_CHART_H
#define VR_SIM_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SIM_CHART_LINES_MAX = 2000, SIM_CHART_TEXT_MAX = 256 };

enum sim_chart_kind {
    SIM_CHART_MESSAGE,
    SIM_CHART_LOST,
    SIM_CHART_NOTE, /* of node `to` alone */
};

struct sim_chart_line {
    uint64_t at_ns;
    enum sim_chart_kind kind;
    uint32_t from;
    uint32_t to;
    char text[SIM_CHART_TEXT_MAX];
};

struct sim_chart {
    uint32_t replica_count; /* nodes: these first, then clients */
    uint32_t node_count;
    struct sim_chart_line *lines;
    size_t count;
    size_t capacity;
    size_t left_out; /* for want of room */
};

/* *chart is zero at first. */
void sim_chart_reset(struct sim_chart *chart, uint32_t replica_count, uint32_t client_count);
void sim_chart_free(struct sim_chart *chart);

void sim_chart_add(struct sim_chart *chart, const struct sim_chart_line *line);

/* What the message that was drawn last, at this moment to this node, has changed; a note of its own
 * if it was none. */
void sim_chart_changed(struct sim_chart *chart, uint64_t at_ns, uint32_t node, const char *text);

size_t sim_chart_message_count(const struct sim_chart *chart);

/* `verdict` comes last: what must not be, and is. */
void sim_chart_print(const struct sim_chart *chart, const char *verdict, FILE *out);
void sim_chart_print_mermaid(const struct sim_chart *chart, const char *verdict, FILE *out);

#endif
