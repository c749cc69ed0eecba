/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/restore_show.h"

#include <inttypes.h>
#include <string.h>

#include "client/cli/exit_code.h"

enum { NAMES_MAX = 16 * REPLICAS_MAX };

const char *restore_outcome_text(enum restore_outcome outcome)
{
    switch (outcome) {
    case RESTORE_TOLD:
        return "not told yet";
    case RESTORE_STARTED:
        return "takes the log over";
    case RESTORE_DONE:
        return "has taken the log over";
    case RESTORE_NOT_PERMITTED:
        return "does not permit it";
    case RESTORE_NOT_RECOVERING:
        return "remembers everything, and keeps it";
    case RESTORE_CHANGED:
        return "has started anew since it was asked";
    case RESTORE_CONFLICT:
        return "knows other entries to be committed, or has no room for that log";
    case RESTORE_RECOVERS:
        return "gets everything from an acting primary";
    case RESTORE_OTHER:
        return "is taking over a log that somebody else chose";
    }
    return "?";
}

/* "0, 2": the replica_ids of a mask of targets. */
static const char *names_of(const struct restore_asker *asker, uint32_t mask, char names[NAMES_MAX])
{
    size_t used = 0;
    names[0] = '\0';
    for (uint32_t i = 0; i < asker->count; i++) {
        if ((mask & (UINT32_C(1) << i)) != 0) {
            used += (size_t)snprintf(names + used, NAMES_MAX - used, "%s%" PRIu32,
                                     used == 0 ? "" : ", ", asker->targets[i].replica_id);
        }
    }
    return names;
}

/* ---- the table ---- */

static const char *state_text(const struct restore_target *target)
{
    if (!target->answered) {
        return target->without ? "without" : "no answer";
    }
    switch (target->report.status) {
    case STATUS_NORMAL:
        return "normal";
    case STATUS_VIEW_CHANGE:
        return "view change";
    case STATUS_RECOVERING:
        return "recovering";
    case STATUS_TRANSITIONING:
        break;
    }
    return "transitioning";
}

void restore_show_table(FILE *out, const struct restore_asker *asker, uint32_t best)
{
    int width = (int)strlen("address");
    for (uint32_t i = 0; i < asker->count; i++) {
        const int length = (int)strlen(asker->targets[i].name);
        width = length > width ? length : width;
    }
    (void)fprintf(out, "%3s %-*s  %-11s %10s %12s %12s  %-10s note\n", "id", width, "address",
                  "state", "log's view", "holds up to", "committed", "durability");
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct restore_target *target = &asker->targets[i];
        const struct log_descriptor *log = &target->report.log;
        (void)fprintf(out, "%2" PRIu32 "  %-*s  %-11s", target->replica_id, width, target->name,
                      state_text(target));
        if (target->answered) {
            (void)fprintf(out, " %10" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %-10s %s%s",
                          view_within_epoch(log->last_normal_view), log->op_number,
                          log->commit_number, durability_name(target->report.durability),
                          i == best ? "best" : "",
                          target->report.recovery_nonce == 0
                              ? (i == best ? ", has lost nothing" : "has lost nothing")
                              : "");
        }
        (void)fputc('\n', out);
    }
}

/* ---- what it means ---- */

static void show_losses(FILE *out, const struct restore_asker *asker,
                        const struct restore_choice *choice)
{
    const uint64_t kept = choice->restore.log.op_number;
    uint32_t longer = 0;
    uint32_t without = 0;
    char names[NAMES_MAX];
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct restore_target *target = &asker->targets[i];
        longer |= target->answered && target->report.log.op_number > kept ? UINT32_C(1) << i : 0;
        without |= target->answered ? 0 : UINT32_C(1) << i;
    }
    (void)fprintf(out,
                  "Lost for good is whatever the group acknowledged after op %" PRIu64
                  ", and nobody here can say how much that was: after a power cut in mode async "
                  "about the last 50 ms of writing; with damaged or missing logs it may be more.\n",
                  kept);
    if (longer != 0) {
        (void)fprintf(out,
                      "Given up, too: what replica %s holds after that op, of an earlier view.\n",
                      names_of(asker, longer, names));
    }
    if (without != 0) {
        (void)fprintf(out,
                      "Replica %s is taken for dead. What it alone holds is lost, even if it comes "
                      "back; if it knows of more than op %" PRIu64
                      " it takes part again only when it is started with --rebuild, which "
                      "forgets what it has.\n",
                      names_of(asker, without, names), kept);
    }
}

void restore_show_meaning(FILE *out, const struct restore_asker *asker,
                          const struct restore_choice *choice)
{
    const struct log_descriptor *log = &choice->restore.log;
    char names[NAMES_MAX];
    uint32_t lost = 0;
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct restore_target *target = &asker->targets[i];
        lost |= target->answered && target->report.recovery_nonce != 0 ? UINT32_C(1) << i : 0;
    }
    (void)fprintf(out,
                  "\nOf %" PRIu32 " replicas %" PRIu32
                  " have lost nothing, too few to know what the group had.\n"
                  "Kept is the log of replica %" PRIu32 ": ops 1 to %" PRIu64 " of view %" PRIu64
                  ", of which ops up to %" PRIu64 " are known to be committed.\n",
                  asker->count, choice->remember, choice->restore.source, log->op_number,
                  view_within_epoch(log->last_normal_view), log->commit_number);
    show_losses(out, asker, choice);
    (void)fprintf(out,
                  "Replica %s takes that log over; then the group serves again. This cannot be "
                  "undone: copy the data directories first if the lost part may be worth "
                  "something.\n",
                  names_of(asker, lost, names));
}

/* ---- why not ---- */

int restore_show_verdict(const struct shell *shell, const struct restore_asker *asker,
                         enum restore_verdict verdict, const struct restore_choice *choice,
                         uint32_t who)
{
    char names[NAMES_MAX];
    (void)names_of(asker, who, names);
    switch (verdict) {
    case RESTORE_POSSIBLE:
        break;
    case RESTORE_SILENT:
        return report_error(shell, EXIT_UNAVAILABLE, "unavailable",
                            "replica %s does not answer, and may hold more than those that do: "
                            "start it, or give --without I for each that is gone for good. Nothing "
                            "was changed",
                            names);
    case RESTORE_NOT_DEAD:
        return report_error(shell, EXIT_USAGE, "usage",
                            "replica %s answers: --without is for those that are gone for good. "
                            "Nothing was changed",
                            names);
    case RESTORE_HAS_PRIMARY:
        return report_error(shell, EXIT_DEFINITE_FAILURE, "not_lost",
                            "the group is not lost: replica %s acts as primary and gives the "
                            "others all that they lack. Nothing was changed",
                            names);
    case RESTORE_MAJORITY:
        return report_error(shell, EXIT_DEFINITE_FAILURE, "not_lost",
                            "the group is not lost: %" PRIu32 " of %" PRIu32
                            " replicas remember everything, which is enough; see vr-client status "
                            "for what it waits for. Nothing was changed",
                            choice->remember, asker->count);
    case RESTORE_NOBODY_LOST:
        return report_error(
            shell, EXIT_DEFINITE_FAILURE, "not_lost",
            "no replica that answers has lost anything: start more of them, %" PRIu32
            " are needed. Nothing was changed",
            choice->quorum);
    case RESTORE_TOO_FEW:
        return report_error(shell, EXIT_UNAVAILABLE, "unavailable",
                            "%" PRIu32 " of %" PRIu32
                            " replicas answer, and the group needs %" PRIu32
                            " to serve: start more of them. Nothing was changed",
                            choice->answered, asker->count, choice->quorum);
    case RESTORE_NOTHING_LEFT:
        return report_error(shell, EXIT_DEFINITE_FAILURE, "nothing_left",
                            "the group's mode is memory, and no replica that answers holds "
                            "anything: the data is gone. Destroy the group and initialise a new "
                            "one. Nothing was changed");
    case RESTORE_CONTRADICTION:
        return report_error(shell, EXIT_DEFINITE_FAILURE, "contradiction",
                            "no replica's log holds all that others know to be committed: leave "
                            "out, with --without, what is damaged worst, after stopping it. "
                            "Nothing was changed");
    }
    return EXIT_DONE;
}

void restore_show_json(const struct restore_asker *asker, const struct restore_choice *choice,
                       int code)
{
    json_t *object = json_object();
    json_t *replicas = json_array();
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct restore_target *target = &asker->targets[i];
        json_t *replica = json_object();
        json_set_u64(replica, "id", target->replica_id);
        json_set_text(replica, "address", target->name);
        json_set_text(replica, "state", state_text(target));
        if (target->answered) {
            json_set_u64(replica, "op", target->report.log.op_number);
            json_set_u64(replica, "commit", target->report.log.commit_number);
        }
        (void)json_array_append_new(replicas, replica);
    }
    (void)json_object_set_new(object, "ok", json_boolean(code == EXIT_DONE));
    json_set_u64(object, "source", choice->restore.source);
    json_set_u64(object, "kept_to", choice->restore.log.op_number);
    json_set_u64(object, "view", view_within_epoch(choice->restore.view_number));
    (void)json_object_set_new(object, "replicas", replicas);
    json_print_line(object);
}
