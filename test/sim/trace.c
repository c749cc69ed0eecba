/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>

#include "test/support/message_text.h"

static void print_time(const struct sim *sim)
{
    printf("%11.3f ", (double)sim->schedule.now_ns / 1e6);
}

static void print_name(const struct sim *sim, uint32_t node)
{
    const uint32_t replicas = sim->options.replica_count;
    if (node < replicas) {
        printf("r%" PRIu32, node);
    } else {
        printf("c%" PRIu32, node - replicas);
    }
}

/* ---- into a chart ---- */

static void chart_add(const struct sim *sim, enum sim_chart_kind kind, uint32_t from, uint32_t to,
                      const char *text)
{
    struct sim_chart_line line = {
        .at_ns = sim->schedule.now_ns, .kind = kind, .from = from, .to = to};
    (void)snprintf(line.text, sizeof line.text, "%s", text);
    sim_chart_add(sim->chart, &line);
}

static void chart_lost(const struct sim *sim, uint32_t from, uint32_t to, const char *why,
                       uint64_t types)
{
    char text[SIM_CHART_TEXT_MAX];
    size_t at = (size_t)snprintf(text, sizeof text, "%s:", why);
    for (uint32_t type = 1; type <= MESSAGE_TYPE_MAX && at < sizeof text; type++) {
        if ((types >> type & 1) != 0) {
            at += (size_t)snprintf(text + at, sizeof text - at, " %s",
                                   message_type_name((enum message_type)type));
        }
    }
    chart_add(sim, SIM_CHART_LOST, from, to, text);
}

/* What a reader asks of a replica: its view, and how far its log is known to go. */
static void chart_observed(const struct sim *sim, const struct sim_observed *before,
                           const struct sim_observed *after)
{
    char text[SIM_CHART_TEXT_MAX];
    const bool moved = after->status != before->status ||
                       after->view_number != before->view_number ||
                       after->acting_primary != before->acting_primary;
    if (!moved && after->op_number == before->op_number &&
        after->commit_number == before->commit_number) {
        return;
    }
    const char *status = after->acting_primary ? "primary" : vr_status_name(after->status);
    (void)snprintf(text, sizeof text, "%s%s%" PRIu64 " op %" PRIu64 " k %" PRIu64,
                   moved ? status : "", moved ? " of view " : "view ",
                   view_within_epoch(after->view_number), after->op_number, after->commit_number);
    sim_chart_changed(sim->chart, sim->schedule.now_ns, after->replica, text);
}

/* ---- to stdout ---- */

void trace_print_send(const struct sim *sim, uint32_t from, uint32_t to,
                      const struct message *message)
{
    char text[MESSAGE_TEXT_MAX];
    if (sim->chart != NULL) {
        return; /* it is drawn when it is received */
    }
    print_time(sim);
    print_name(sim, from);
    printf(" -> ");
    print_name(sim, to);
    printf("   %s\n", message_text(message, text, sizeof text));
}

void trace_print_receive(const struct sim *sim, uint32_t node, uint32_t from,
                         const struct message *message)
{
    char text[MESSAGE_TEXT_MAX];
    if (sim->chart != NULL) {
        chart_add(sim, SIM_CHART_MESSAGE, from, node, message_text(message, text, sizeof text));
        return;
    }
    print_time(sim);
    print_name(sim, node);
    printf(" <- ");
    print_name(sim, from);
    printf("   %s\n", message_text(message, text, sizeof text));
}

void trace_print_drops(const struct sim *sim, uint32_t node, const uint64_t *before,
                       const uint64_t *after)
{
    for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++) {
        if (after[reason] != before[reason] && sim->chart != NULL) {
            char text[SIM_CHART_TEXT_MAX];
            (void)snprintf(text, sizeof text, "dropped: %s",
                           drop_reason_name((enum drop_reason)reason));
            sim_chart_changed(sim->chart, sim->schedule.now_ns, node, text);
        } else if (after[reason] != before[reason]) {
            print_time(sim);
            print_name(sim, node);
            printf("         dropped: %s\n", drop_reason_name((enum drop_reason)reason));
        }
    }
}

void trace_print_lost(const struct sim *sim, uint32_t from, uint32_t to, const char *why,
                      uint64_t types)
{
    if (sim->chart != NULL) {
        chart_lost(sim, from, to, why, types);
        return;
    }
    print_time(sim);
    print_name(sim, from);
    printf(" -> ");
    print_name(sim, to);
    printf("   %s:", why);
    for (uint32_t type = 1; type <= MESSAGE_TYPE_MAX; type++) {
        if ((types >> type & 1) != 0) {
            printf(" %s", message_type_name((enum message_type)type));
        }
    }
    printf("\n");
}

void trace_print_observed(const struct sim *sim, const struct sim_observed *before,
                          const struct sim_observed *after)
{
    if (sim->chart != NULL) {
        chart_observed(sim, before, after);
        return;
    }
    print_time(sim);
    print_name(sim, after->replica);
    printf("        [%s%s v=%" PRIu64 " lnv=%" PRIu64 " op=%" PRIu64 " k=%" PRIu64 " x=%" PRIu64
           "]%s\n",
           vr_status_name(after->status), after->acting_primary ? ", primary" : "",
           view_within_epoch(after->view_number), view_within_epoch(after->last_normal_view),
           after->op_number, after->commit_number, after->executed_op,
           after->status != before->status || after->view_number != before->view_number ? " *"
                                                                                        : "");
}

void trace_print_node(const struct sim *sim, uint32_t node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (sim->chart != NULL) {
        char text[SIM_CHART_TEXT_MAX];
        (void)vsnprintf(text, sizeof text, format, arguments);
        chart_add(sim, SIM_CHART_NOTE, node, node, text);
        va_end(arguments);
        return;
    }
    print_time(sim);
    print_name(sim, node);
    printf("        ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}
