/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/disagreement.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/replica_list.h"

enum { SETTLED_S = 1 }; /* a replica that just started has not been heard by everybody */

static uint32_t bit(uint32_t i)
{
    return UINT32_C(1) << i;
}

static uint64_t hash_of(const struct survey *survey, uint32_t i)
{
    return configuration_hash(&survey->targets[i].report.configuration);
}

/* Whose configuration is the group's: the primary, else one of the largest set that agrees. */
static uint32_t find_reference(const struct survey *survey, uint32_t primary)
{
    if (primary != UINT32_MAX) {
        return primary;
    }
    uint32_t reference = UINT32_MAX;
    uint32_t most = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        uint32_t same = 0;
        for (uint32_t j = 0; j < survey->target_count && survey->targets[i].answered; j++) {
            same +=
                survey->targets[j].answered && hash_of(survey, i) == hash_of(survey, j) ? 1u : 0u;
        }
        if (same > most) {
            most = same;
            reference = i;
        }
    }
    return reference;
}

/* ---- who hears whom ---- */

/* Either direction: backups are silent to each other in normal operation, but not to the primary.
 */
static bool linked(const struct survey *survey, uint32_t i, uint32_t j)
{
    return (survey->targets[i].report.silent_mask & bit(j)) == 0 ||
           (survey->targets[j].report.silent_mask & bit(i)) == 0;
}

/* All that `part` can be reached from, itself included. */
static uint32_t grow(const struct survey *survey, uint32_t part, uint32_t candidates)
{
    uint32_t before = 0;
    while (part != before) {
        before = part;
        for (uint32_t i = 0; i < survey->target_count; i++) {
            for (uint32_t j = 0; j < survey->target_count; j++) {
                const bool joins =
                    (part & bit(i)) != 0 && (candidates & bit(j)) != 0 && linked(survey, i, j);
                part |= joins ? bit(j) : 0;
            }
        }
    }
    return part;
}

static void find_parts(const struct survey *survey, struct disagreement *disagreement)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        if (target->answered && target->report.uptime_s >= SETTLED_S) {
            left |= bit(i);
        }
    }
    left &= ~disagreement->other_configuration; /* refused: not heard for another reason */
    for (uint32_t i = 0; i < survey->target_count; i++) {
        if ((left & bit(i)) != 0) {
            const uint32_t part = grow(survey, bit(i), left);
            disagreement->parts[disagreement->part_count++] = part;
            left &= ~part;
        }
    }
}

void disagreement_find(const struct survey *survey, uint32_t primary,
                       struct disagreement *disagreement)
{
    memset(disagreement, 0, sizeof *disagreement);
    if (!survey->has_configuration) {
        return;
    }
    const uint32_t reference = find_reference(survey, primary);
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        if (target->answered && hash_of(survey, i) != hash_of(survey, reference)) {
            disagreement->other_configuration |= bit(i);
        } else if (!target->answered && target->refusal.reason == REFUSED_VERSION) {
            disagreement->other_version |= bit(i);
        }
    }
    find_parts(survey, disagreement);
}

uint32_t disagreement_part(const struct disagreement *disagreement, uint32_t i)
{
    for (uint32_t part = 0; part < disagreement->part_count; part++) {
        if ((disagreement->parts[part] & bit(i)) != 0) {
            return disagreement->parts[part];
        }
    }
    return 0;
}

/* ---- in words ---- */

void disagreement_say_split(const struct survey *survey, const struct disagreement *disagreement,
                            char *text, size_t size)
{
    const struct configuration *configuration = &survey->configuration;
    char list[REPLICA_LIST_MAX];
    char other[REPLICA_LIST_MAX];
    uint32_t largest = 0;
    for (uint32_t i = 0; i < disagreement->part_count; i++) {
        largest = replica_count(disagreement->parts[i]) > largest
                      ? replica_count(disagreement->parts[i])
                      : largest;
    }
    if (largest == 1) {
        (void)snprintf(text, size,
                       "no replica hears another: can their peer ports be reached through the "
                       "network?");
    } else if (disagreement->part_count == 2) {
        const bool first_is_small =
            replica_count(disagreement->parts[0]) <= replica_count(disagreement->parts[1]);
        const uint32_t small = disagreement->parts[first_is_small ? 0 : 1];
        const uint32_t rest = disagreement->parts[first_is_small ? 1 : 0];
        (void)snprintf(text, size, "the group is split: %s %s not hear %s",
                       replica_list(configuration, small, list),
                       replica_count(small) == 1 ? "does" : "do",
                       replica_list(configuration, rest, other));
    } else {
        (void)snprintf(text, size,
                       "the group is split into %" PRIu32 " parts that do not hear each other: ",
                       disagreement->part_count);
        for (uint32_t i = 0; i < disagreement->part_count; i++) {
            const size_t used = strlen(text);
            (void)snprintf(text + used, size - used, "%s%s", i > 0 ? " | " : "",
                           replica_list(configuration, disagreement->parts[i], list));
        }
    }
}

/* What it began with, and what the rest did. */
static void say_origin(const struct configuration *theirs, const struct configuration *ours,
                       char *text, size_t size)
{
    (void)snprintf(text, size, "%s",
                   !configuration_has_origin(theirs) ? "without the backup that the others are from"
                   : !configuration_has_origin(ours) ? "from a backup, and the others are from none"
                                                     : "from another backup");
}

/* What differs, in the words of the options of init. */
static void say_parameters(const struct configuration *theirs, const struct configuration *ours,
                           char *text, size_t size)
{
    const struct cluster_parameters *a = &theirs->parameters;
    const struct cluster_parameters *b = &ours->parameters;
    if (a->sessions_max != b->sessions_max) {
        (void)snprintf(text, size, "sessions_max %" PRIu32 ", not %" PRIu32, a->sessions_max,
                       b->sessions_max);
    } else if (a->operation_size_max != b->operation_size_max) {
        (void)snprintf(text, size, "operation_size_max %" PRIu32 ", not %" PRIu32,
                       a->operation_size_max, b->operation_size_max);
    } else if (a->reply_stored_max != b->reply_stored_max) {
        (void)snprintf(text, size, "reply_stored_max %" PRIu32 ", not %" PRIu32,
                       a->reply_stored_max, b->reply_stored_max);
    } else if (a->checkpoint_interval != b->checkpoint_interval) {
        (void)snprintf(text, size, "checkpoint_interval %" PRIu32 ", not %" PRIu32,
                       a->checkpoint_interval, b->checkpoint_interval);
    } else if (a->state_size_max != b->state_size_max) {
        (void)snprintf(text, size, "state_size_max %" PRIu64 ", not %" PRIu64, a->state_size_max,
                       b->state_size_max);
    } else if (!checksum_equal(theirs->origin, ours->origin)) {
        say_origin(theirs, ours, text, size);
    } else if (theirs->epoch != ours->epoch) {
        (void)snprintf(text, size, "epoch %" PRIu32 ", not %" PRIu32, theirs->epoch, ours->epoch);
    } else {
        (void)snprintf(text, size, "another --cluster list");
    }
}

void disagreement_say_configuration(const struct survey *survey, uint32_t primary, uint32_t i,
                                    char *text, size_t size)
{
    const uint32_t reference = find_reference(survey, primary);
    char what[128];
    say_parameters(&survey->targets[i].report.configuration,
                   &survey->targets[reference].report.configuration, what, sizeof what);
    (void)snprintf(text, size,
                   "replica %" PRIu32 " was initialised with other parameters than the rest (%s), "
                   "which refuses it",
                   survey->configuration.members[i].replica_id, what);
}

/* ---- warnings ---- */

enum { PROPERTY_MAX = STATUS_TEXT_MAX };

/* What is compared between replicas. `say` writes what target i has; false if it did not tell. */
struct property {
    const char *name; /* in the plural, or a flag's name */
    const char *counter;
    const char *unit;
    bool (*say)(const struct survey_report *report, const struct property *property,
                char text[PROPERTY_MAX]);
};

static bool say_version(const struct survey_report *report, const struct property *property,
                        char text[PROPERTY_MAX])
{
    (void)property;
    (void)snprintf(text, PROPERTY_MAX, "%s", report->version);
    return true;
}

static bool say_durability(const struct survey_report *report, const struct property *property,
                           char text[PROPERTY_MAX])
{
    (void)property;
    (void)snprintf(text, PROPERTY_MAX, "%s", durability_name(report->durability));
    return true;
}

static bool say_option(const struct survey_report *report, const struct property *property,
                       char text[PROPERTY_MAX])
{
    for (uint32_t i = 0; i < report->counter_count; i++) {
        if (strcmp(report->counters[i].name, property->counter) == 0) {
            (void)snprintf(text, PROPERTY_MAX, "%" PRIu64 "%s", report->counters[i].value,
                           property->unit);
            return true;
        }
    }
    return false;
}

static bool say_reads(const struct survey_report *report, const struct property *property,
                      char text[PROPERTY_MAX])
{
    for (uint32_t i = 0; i < report->counter_count; i++) {
        if (strcmp(report->counters[i].name, property->counter) == 0) {
            (void)snprintf(text, PROPERTY_MAX, "%s",
                           reads_mode_name((enum reads_mode)report->counters[i].value));
            return true;
        }
    }
    return false;
}

static const struct property properties[] = {
    {.name = "releases", .say = say_version},
    {.name = "durability", .say = say_durability},
    {"--heartbeat-ms", "option_heartbeat_ms", "", say_option},
    {"--view-change-ms", "option_view_change_ms", "", say_option},
    {"--reads", "option_reads", "", say_reads},
    {"--log-memory-max", "option_log_memory_mib", " MiB", say_option},
};
enum { PROPERTY_COUNT = sizeof properties / sizeof properties[0] };
_Static_assert((int)PROPERTY_COUNT < (int)WARNINGS_MAX, "each may be a warning, and one more");

/* "mixed releases: 0.1.0 (replicas 0 and 1), 0.2.0 (replica 2)"; false if they are all the same. */
static bool say_mixed(const struct survey *survey, const struct property *property, char *text,
                      size_t size)
{
    char said[PROXY_SEEDS_MAX][PROPERTY_MAX];
    uint32_t left = 0;
    uint32_t kinds = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        left |= target->answered && property->say(&target->report, property, said[i]) ? bit(i) : 0;
    }
    size_t used = (size_t)snprintf(text, size, "mixed %s: ", property->name);
    for (uint32_t i = 0; i < survey->target_count; i++) {
        uint32_t same = 0;
        for (uint32_t j = i; j < survey->target_count && (left & bit(i)) != 0; j++) {
            same |= (left & bit(j)) != 0 && strcmp(said[i], said[j]) == 0 ? bit(j) : 0;
        }
        if (same != 0 && used < size) {
            char list[REPLICA_LIST_MAX];
            const int length =
                snprintf(text + used, size - used, "%s%s (%s)", kinds > 0 ? ", " : "", said[i],
                         replica_list(&survey->configuration, same, list));
            used += length > 0 ? (size_t)length : 0;
            kinds++;
        }
        left &= ~same;
    }
    return kinds > 1;
}

uint32_t disagreement_warn(const struct survey *survey, const struct disagreement *disagreement,
                           char warnings[WARNINGS_MAX][WARNING_SIZE_MAX])
{
    uint32_t count = 0;
    if (!survey->has_configuration) {
        return 0;
    }
    for (size_t i = 0; i < PROPERTY_COUNT; i++) {
        count += say_mixed(survey, &properties[i], warnings[count], WARNING_SIZE_MAX) ? 1u : 0u;
    }
    if (disagreement->other_version != 0) {
        char list[REPLICA_LIST_MAX];
        (void)snprintf(warnings[count++], WARNING_SIZE_MAX,
                       "%s cannot be understood: protocol version %" PRIu64
                       ", this client's is %" PRIu64,
                       replica_list(&survey->configuration, disagreement->other_version, list),
                       survey->refusal.own, survey->refusal.yours);
    }
    return count;
}
