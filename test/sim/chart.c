/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/chart.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

enum { LANE_WIDTH = 8, NAME_MAX_SIZE = 8 };

void sim_chart_reset(struct sim_chart *chart, uint32_t replica_count, uint32_t client_count)
{
    chart->replica_count = replica_count;
    chart->node_count = replica_count + client_count;
    chart->count = 0;
    chart->left_out = 0;
}

void sim_chart_free(struct sim_chart *chart)
{
    free(chart->lines);
    *chart = (struct sim_chart){0};
}

void sim_chart_add(struct sim_chart *chart, const struct sim_chart_line *line)
{
    if (chart->count == SIM_CHART_LINES_MAX) {
        chart->left_out++;
        return;
    }
    if (chart->count == chart->capacity) {
        chart->capacity = 2 * chart->capacity + 64;
        chart->lines = realloc(chart->lines, chart->capacity * sizeof *chart->lines);
        INVARIANT(chart->lines != NULL);
    }
    chart->lines[chart->count++] = *line;
}

void sim_chart_changed(struct sim_chart *chart, uint64_t at_ns, uint32_t node, const char *text)
{
    struct sim_chart_line *last = chart->count > 0 ? &chart->lines[chart->count - 1] : NULL;
    if (last != NULL && last->to == node && last->at_ns == at_ns && last->kind != SIM_CHART_LOST) {
        const size_t length = strlen(last->text);
        (void)snprintf(last->text + length, sizeof last->text - length, "  => %s", text);
        return;
    }
    struct sim_chart_line line = {.at_ns = at_ns, .kind = SIM_CHART_NOTE, .from = node, .to = node};
    (void)snprintf(line.text, sizeof line.text, "%s", text);
    sim_chart_add(chart, &line);
}

size_t sim_chart_message_count(const struct sim_chart *chart)
{
    size_t count = 0;
    for (size_t i = 0; i < chart->count; i++) {
        count += chart->lines[i].kind == SIM_CHART_MESSAGE ? 1 : 0;
    }
    return count;
}

static const char *name_of(const struct sim_chart *chart, uint32_t node, char *name)
{
    const bool replica = node < chart->replica_count;
    (void)snprintf(name, NAME_MAX_SIZE, "%c%" PRIu32, replica ? 'r' : 'c',
                   (replica ? node : node - chart->replica_count) % 1000);
    return name;
}

/* ---- text: a lane for each node ---- */

static void draw_arrow(char *lanes, const struct sim_chart_line *line)
{
    const size_t from = (size_t)line->from * LANE_WIDTH;
    const size_t to = (size_t)line->to * LANE_WIDTH;
    const size_t low = from < to ? from : to;
    const size_t high = from < to ? to : from;
    if (line->kind == SIM_CHART_NOTE || from == to) {
        lanes[to] = '*';
        return;
    }
    memset(lanes + low + 1, line->kind == SIM_CHART_LOST ? '.' : '-', high - low - 1);
    if (line->kind == SIM_CHART_LOST) {
        lanes[(low + high) / 2] = 'x';
    } else {
        lanes[from < to ? high - 1 : low + 1] = from < to ? '>' : '<';
    }
}

void sim_chart_print(const struct sim_chart *chart, const char *verdict, FILE *out)
{
    char name[NAME_MAX_SIZE];
    fprintf(out, "%11s  ", "ms");
    for (uint32_t node = 0; node < chart->node_count; node++) {
        fprintf(out, "%-*s", (int)LANE_WIDTH, name_of(chart, node, name));
    }
    fprintf(out, "\n");
    for (size_t i = 0; i < chart->count; i++) {
        const struct sim_chart_line *line = &chart->lines[i];
        char lanes[LANE_WIDTH * 64 + 1];
        INVARIANT(chart->node_count <= 64);
        memset(lanes, ' ', sizeof lanes);
        lanes[(size_t)chart->node_count * LANE_WIDTH] = '\0';
        for (uint32_t node = 0; node < chart->node_count; node++) {
            lanes[(size_t)node * LANE_WIDTH] = '|';
        }
        draw_arrow(lanes, line);
        fprintf(out, "%11.3f  %s%s\n", (double)line->at_ns / 1e6, lanes, line->text);
    }
    if (chart->left_out > 0) {
        fprintf(out, "%11s  ... and %zu lines more\n", "", chart->left_out);
    }
    fprintf(out, "%11s  %s\n", "", verdict);
}

/* ---- Mermaid ---- */

/* What ends a statement or begins an escape there. */
static void print_escaped(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == ';' || *text == '#') {
            fprintf(out, "#%d;", *text);
        } else if (*text == '\n') {
            fputc(' ', out);
        } else {
            fputc(*text, out);
        }
    }
    fputc('\n', out);
}

void sim_chart_print_mermaid(const struct sim_chart *chart, const char *verdict, FILE *out)
{
    char from[NAME_MAX_SIZE];
    char to[NAME_MAX_SIZE];
    fprintf(out, "```mermaid\nsequenceDiagram\n");
    for (uint32_t node = 0; node < chart->node_count; node++) {
        fprintf(out, "    participant %s\n", name_of(chart, node, from));
    }
    for (size_t i = 0; i < chart->count; i++) {
        const struct sim_chart_line *line = &chart->lines[i];
        (void)name_of(chart, line->from, from);
        (void)name_of(chart, line->to, to);
        if (line->kind == SIM_CHART_NOTE) {
            fprintf(out, "    Note over %s: ", to);
        } else {
            fprintf(out, "    %s%s%s: ", from, line->kind == SIM_CHART_LOST ? "-x" : "->>", to);
        }
        print_escaped(line->text, out);
    }
    fprintf(out, "    Note over %s,%s: ", name_of(chart, 0, from),
            name_of(chart, chart->node_count - 1, to));
    print_escaped(verdict, out);
    fprintf(out, "```\n");
}
