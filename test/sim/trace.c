#include "test/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>

#include "test/support/message_text.h"

static void print_time(const struct sim *sim)
{
    printf("%11.3f ", (double)sim->schedule.now_ns / 1e6);
}

/* Replicas are r0, r1 ...; clients c0, c1 ... */
static void print_name(const struct sim *sim, uint32_t node)
{
    const uint32_t replicas = sim->options.replica_count;
    if (node < replicas) {
        printf("r%" PRIu32, node);
    } else {
        printf("c%" PRIu32, node - replicas);
    }
}

void trace_print_send(const struct sim *sim, uint32_t from, uint32_t to,
                      const struct message *message)
{
    char text[MESSAGE_TEXT_MAX];
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
    print_time(sim);
    print_name(sim, node);
    printf(" <- ");
    print_name(sim, from);
    printf("   %s\n", message_text(message, text, sizeof text));
}

void trace_print_observed(const struct sim *sim, const struct sim_observed *before,
                          const struct sim_observed *after)
{
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
    print_time(sim);
    print_name(sim, node);
    printf("        ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}
