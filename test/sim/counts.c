/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "test/sim/sim.h"

_Static_assert(sizeof(struct sim_counts) % sizeof(uint64_t) == 0, "counts are nothing but u64");

void sim_counts_add(struct sim_counts *total, const struct sim_counts *counts)
{
    uint64_t *to = (uint64_t *)total;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof *total / sizeof *to; i++) {
        to[i] += from[i];
    }
}

struct line {
    const char *name;
    uint64_t value;
};

static void print_lines(FILE *out, const char *title, const struct line *lines, size_t count)
{
    fprintf(out, "%-9s", title);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, " %s=%" PRIu64, lines[i].name, lines[i].value);
    }
    fprintf(out, "\n");
}

#define PRINT(out, title, ...) \
    print_lines(out, title, (const struct line[]){__VA_ARGS__}, \
                sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static void print_drops(const struct sim_counts *c, FILE *out)
{
    fprintf(out, "%-9s", "dropped");
    for (uint32_t i = 1; i < DROP_REASON_COUNT; i++) {
        if (c->dropped[i] > 0) {
            fprintf(out, " %s=%" PRIu64, drop_reason_name((enum drop_reason)i), c->dropped[i]);
        }
    }
    for (uint32_t i = 1; i < WIRE_DROP_COUNT; i++) {
        if (c->wire_dropped[i] > 0) {
            fprintf(out, " wire_%s=%" PRIu64, wire_drop_name((enum wire_drop)i),
                    c->wire_dropped[i]);
        }
    }
    fprintf(out, "\n");
}

void sim_counts_print(const struct sim_counts *c, FILE *out)
{
    PRINT(out, "clients", {"answered", c->operations}, {"unknown", c->unknown},
          {"failed", c->failed}, {"committed", c->committed}, {"busy", c->busy},
          {"lookups", c->lookups}, {"evictions", c->evictions}, {"crashes", c->client_crashes},
          {"seen", c->seen}, {"histories", c->histories}, {"undecided", c->undecided});
    PRINT(out, "reads", {"beside_the_log", c->reads}, {"told", c->reads_told},
          {"stale", c->reads_stale});
    PRINT(out, "replicas", {"crashes", c->crashes}, {"inside_a_step", c->crashes_inside},
          {"clean_stops", c->clean_stops}, {"recoveries", c->recoveries}, {"pauses", c->pauses},
          {"state_writes", c->state_writes}, {"writes_lost", c->writes_lost},
          {"wall_jumps", c->wall_jumps}, {"log_full", c->log_full}, {"groups_lost", c->groups_lost},
          {"groups_undecided", c->groups_undecided}, {"disks_lost", c->disks_lost});
    PRINT(out, "disks", {"machine_crashes", c->machine_crashes}, {"power_cuts", c->power_cuts},
          {"mass_kills", c->mass_kills}, {"failures", c->disk_failures},
          {"failed_starts", c->failed_starts}, {"writes", c->log_writes}, {"syncs", c->log_syncs},
          {"resumed", c->logs_resumed}, {"torn", c->logs_torn}, {"faulty", c->logs_faulty},
          {"broken", c->logs_broken}, {"repaired", c->logs_repaired},
          {"switches_unfinished", c->switches_unfinished}, {"rotted", c->rotted});
    PRINT(out, "damage", {"sectors", c->sectors_rotted}, {"unreadable", c->sectors_worn},
          {"segments_lost", c->segments_lost}, {"segments_cut", c->segments_cut},
          {"refused", c->logs_refused}, {"state_copies", c->state_rotted},
          {"reads_failed", c->read_failures}, {"all_full", c->disks_full},
          {"logs_full", c->logs_full}, {"mode_changes", c->mode_changes});
    PRINT(out, "checkpts", {"taken", c->checkpoints}, {"offered", c->checkpoints_offered},
          {"installed", c->checkpoints_installed}, {"chunks_sent", c->chunks_sent},
          {"logs_compacted", c->logs_compacted}, {"segments_dropped", c->segments_dropped},
          {"started_from", c->starts_from_checkpoint}, {"failed", c->checkpoint_failures},
          {"rotted", c->checkpoints_rotted}, {"unusable", c->checkpoints_unusable},
          {"resumed", c->transfers_resumed}, {"logs_detached", c->logs_detached});
    PRINT(out, "states", {"differed", c->differed}, {"left", c->diverged}, {"rebuilt", c->rebuilt},
          {"wrong_answers", c->wrong_answers}, {"loaded", c->differences_loaded},
          {"spread", c->differences_spread});
    PRINT(out, "views", {"started", c->views_started}, {"view_changes", c->view_changes},
          {"catchup_entries", c->catchup_entries}, {"catchup_served", c->catchup_served},
          {"prepares_resent", c->prepares_resent});
    PRINT(out, "network", {"sent", c->network.sent}, {"lost", c->network.lost},
          {"cut", c->network.cut}, {"duplicated", c->network.duplicated},
          {"replayed", c->network.replayed}, {"flipped", c->network.flipped},
          {"held", c->network.held}, {"too_large", c->network.too_large},
          {"inbox_full", c->inbox_full}, {"partitions", c->partitions}, {"holds", c->holds},
          {"black_holes", c->black_holes}, {"split", c->split_messages},
          {"parts_asked", c->parts_asked});
    print_drops(c, out);
}
