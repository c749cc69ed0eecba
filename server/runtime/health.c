/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/thread.h"

void health_init(struct health *health, const struct configuration *configuration, uint32_t self,
                 uint64_t log_memory_max, uint64_t heartbeat_ns)
{
    memset(health, 0, sizeof *health);
    health->configuration = *configuration;
    health->self = self;
    health->log_memory_max = log_memory_max;
    health->heartbeat_ns = heartbeat_ns;
    mutex_init(&health->mutex);
}

void health_destroy(struct health *health)
{
    mutex_destroy(&health->mutex);
}

/* Every line begins with who speaks, and where it stands. */
static struct log_position position(const struct health *health)
{
    return (struct log_position){
        .replica_id = health->configuration.members[health->self].replica_id,
        .view = view_within_epoch(health->view_number),
        .op = health->op_number,
        .commit = health->commit_number,
    };
}

__attribute__((format(printf, 2, 3))) static void say(const struct health *health,
                                                      const char *format, ...)
{
    const struct log_position at = position(health);
    char text[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    logger_write(LOG_LEVEL_INFO, LOG_PROTOCOL, &at, "%s", text);
}

__attribute__((format(printf, 3, 4))) static void
complain(const struct health *health, enum error_id id, const char *format, ...)
{
    const struct log_position at = position(health);
    char text[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    logger_problem(id, &at, "%s", text);
}

static uint32_t primary_id(const struct health *health, uint64_t view_number)
{
    return health->configuration.members[configuration_primary(&health->configuration, view_number)]
        .replica_id;
}

static void say_status(const struct health *health, const struct vr_snapshot *now)
{
    const uint64_t view = view_within_epoch(now->view_number);
    switch (now->status) {
    case STATUS_NORMAL:
        if (now->acting_primary) {
            say(health, "primary of view %" PRIu64, view);
        } else {
            say(health, "backup in view %" PRIu64 ", its primary is replica %" PRIu32, view,
                primary_id(health, now->view_number));
        }
        break;
    case STATUS_VIEW_CHANGE:
        say(health, "view change to view %" PRIu64 ", its primary would be replica %" PRIu32, view,
            primary_id(health, now->view_number));
        break;
    case STATUS_RECOVERING:
        say(health,
            "recovering: this replica may have lost what it acknowledged; waiting for a primary to "
            "get the log from");
        break;
    case STATUS_TRANSITIONING:
        say(health, "between two configurations");
        break;
    }
}

static uint32_t recovering_count(const struct vr_snapshot *now, uint32_t self)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < now->member_count; i++) {
        const bool recovering =
            i == self ? now->status == STATUS_RECOVERING : now->members[i].recovering;
        count += recovering ? 1 : 0;
    }
    return count;
}

static void say_group_lost(const struct health *health, const struct vr_snapshot *now,
                           char text[HEALTH_NOTE_MAX])
{
    (void)snprintf(
        text, HEALTH_NOTE_MAX,
        "%" PRIu32 " of %" PRIu32
        " replicas have lost their memory: too few remember for the group to know what it had. "
        "vr-client unsafe-restore shows what is left, and makes the group serve that; in mode "
        "memory, where nothing may be, initialise a new group, from a backup if any",
        recovering_count(now, health->self), now->member_count);
}

static void say_sync(struct health *health, const struct vr_snapshot *now, uint64_t now_ns)
{
    const struct health_said *said = &health->said;
    const bool runs = now->sync_target != 0;
    const bool ran = said->sync_target != 0;
    if (runs && (!ran || now->sync_from != said->sync_from)) {
        health->sync_started_ns = now_ns; /* one may follow another without a pause */
    }
    if (runs && !ran && now->sync_target - now->sync_from >= HEALTH_SYNC_ENTRIES_MIN) {
        say(health, "catching up from op %" PRIu64 " to %" PRIu64, now->sync_from,
            now->sync_target);
    } else if (!runs && ran && said->sync_target - said->sync_from >= HEALTH_SYNC_ENTRIES_MIN) {
        say(health, "catching up ended after %.1f s",
            (double)(now_ns - health->sync_started_ns) / (double)NANOSECONDS_PER_SECOND);
    }
}

/* Its end is said where it is loaded, and where it is given up for another one. */
static void say_transfer(struct health *health, const struct vr_snapshot *now, uint64_t now_ns)
{
    if (now->transfer_op == 0 || now->transfer_op == health->said.transfer_op) {
        return;
    }
    health->transfer_started_ns = now_ns;
    health->transfer_first = now->transfer_staged;
    say(health,
        "pulls the checkpoint of op %" PRIu64 " from the others: their logs do not reach back to "
        "this one's end any more",
        now->transfer_op);
}

/* V1: from when this replica votes for the next view to when it no longer does. A view that begins
 * after all, or a later one, is said by itself: say_status(). */
static void say_suspicion(const struct health *health, const struct vr_snapshot *now)
{
    const struct health_said *said = &health->said;
    const uint64_t view = view_within_epoch(now->view_number);
    if (now->suspecting && !said->suspecting) {
        if (now->acting_primary) {
            complain(health, ERROR_NO_QUORUM,
                     "hears from no quorum: serves nothing in view %" PRIu64
                     " and votes for the next. See which replicas run and can be reached: "
                     "vr-client status",
                     view);
        } else if (now->status == STATUS_VIEW_CHANGE) {
            say(health, "view %" PRIu64 " has not begun in time: votes for the next", view);
        } else {
            say(health, "suspects the primary of view %" PRIu64 " and votes for the next", view);
        }
    } else if (!now->suspecting && said->suspecting && now->view_number == said->view_number &&
               now->status == STATUS_NORMAL && said->status == STATUS_NORMAL) {
        say(health,
            now->acting_primary ? "hears from a quorum in view %" PRIu64 " again"
                                : "suspects the primary of view %" PRIu64 " no more",
            view);
    }
}

static void say_conditions(const struct health *health, const struct vr_snapshot *now)
{
    const struct health_said *said = &health->said;
    if (now->log_full && !said->log_full) {
        complain(health, ERROR_LOG_FULL,
                 "the log in memory is full (%" PRIu64
                 " MiB): requests are refused as busy from now on, reads too, but for those that "
                 "still fit. The next checkpoint makes room; if none is taken, look for VR1218 "
                 "above, else raise --log-memory-max on every replica",
                 health->log_memory_max / (1024 * 1024));
    } else if (!now->log_full && said->log_full) {
        say(health, "the log has room again");
    }
    if (now->restores && !said->restores) {
        say(health,
            "unsafe-restore: takes over the log of replica %" PRIu32 ", up to op %" PRIu64
            ", as it was told to",
            now->restores_from, now->restores_to);
    }
    if (now->group_lost && !said->group_lost) {
        char text[HEALTH_NOTE_MAX];
        say_group_lost(health, now, text);
        complain(health, ERROR_GROUP_LOST, "%s", text);
    } else if (!now->group_lost && said->group_lost) {
        say(health, "enough replicas remember the group's data again");
    }
}

/* TM-3: a primary does something every heartbeat. One that did not was not running, and cannot tell
 * who was silent meanwhile. */
static void say_stall(struct health *health, uint64_t now_ns)
{
    const uint64_t quiet_ns = health->observed_ns == 0 ? 0 : now_ns - health->observed_ns;
    if (health->said.acting_primary && health->configuration.member_count > 1 &&
        quiet_ns > HEALTH_STALL_NS + 2 * health->heartbeat_ns) {
        health->resumed_ns = now_ns;
        complain(
            health, ERROR_STALLED,
            "did not run for %.1f s: it was stopped, or its machine was suspended or overloaded. "
            "The others may have gone on without it; see what else that machine does",
            (double)quiet_ns / (double)NANOSECONDS_PER_SECOND);
    }
    health->observed_ns = now_ns;
}

static bool is_silent(const struct health *health, uint64_t heard_ns, uint64_t now_ns)
{
    const uint64_t since_ns = heard_ns > health->resumed_ns ? heard_ns : health->resumed_ns;
    return heard_ns != 0 && since_ns < now_ns && now_ns - since_ns > HEALTH_SILENT_NS;
}

/* Only an acting primary hears from everybody; what others miss says nothing. */
static void say_silent(struct health *health, const struct vr_snapshot *now, uint64_t now_ns)
{
    uint32_t silent_mask = 0;
    for (uint32_t i = 0; i < now->member_count && now->acting_primary; i++) {
        const uint32_t bit = UINT32_C(1) << i;
        const bool silent =
            i != health->self && is_silent(health, now->members[i].heard_ns, now_ns);
        silent_mask |= silent ? bit : 0;
        if (silent && (health->silent_mask & bit) == 0) {
            complain(health, ERROR_REPLICA_SILENT,
                     "replica %" PRIu32 " is silent: while it is, fewer others may fail. See that "
                     "it runs and can be reached",
                     now->members[i].replica_id);
        } else if (!silent && (health->silent_mask & bit) != 0) {
            say(health, "replica %" PRIu32 " is heard again", now->members[i].replica_id);
        }
    }
    health->silent_mask = silent_mask;
}

/* Whoever is heard after its last refusal is refused no more. */
static void say_accepted(struct health *health, const struct vr_snapshot *now)
{
    for (uint32_t i = 0; i < now->member_count; i++) {
        if (health->refused_peers[i] != 0 && now->members[i].heard_ns > health->refused_ns[i]) {
            health->refused_peers[i] = 0;
            say(health, "replica %" PRIu32 " is accepted again", now->members[i].replica_id);
        }
    }
}

/* Whoever refuses may be heard all the same, so that here quiet counts, too. */
static void say_accepted_by(struct health *health, const struct vr_snapshot *now)
{
    const uint64_t quiet_ns =
        HEALTH_UNREFUSED_NS + HEALTH_UNREFUSED_HEARTBEATS * health->heartbeat_ns;
    for (uint32_t i = 0; i < now->member_count; i++) {
        const uint64_t heard_ns = now->members[i].heard_ns;
        if (health->refused_by[i] != 0 && heard_ns > health->refused_by_ns[i] + quiet_ns) {
            health->refused_by[i] = 0;
            say(health,
                "replica %" PRIu32 " is heard and has not refused this replica for %" PRIu64 " s",
                now->members[i].replica_id,
                (heard_ns - health->refused_by_ns[i]) / NANOSECONDS_PER_SECOND);
        }
    }
}

void health_tell(struct health *health, const struct vr_snapshot *now, uint64_t now_ns)
{
    const struct health_said *said = &health->said;
    health->view_number = now->view_number;
    health->op_number = now->op_number;
    health->commit_number = now->commit_number;
    /* The view that a recovering replica learns of says nothing yet. */
    const bool new_view = now->view_number != said->view_number && now->status != STATUS_RECOVERING;
    const bool moved = !said->anything || now->status != said->status || new_view ||
                       now->acting_primary != said->acting_primary;
    if (moved) {
        say_status(health, now);
    }
    say_stall(health, now_ns);
    say_sync(health, now, now_ns);
    say_transfer(health, now, now_ns);
    say_suspicion(health, now);
    say_conditions(health, now);
    say_silent(health, now, now_ns);
    say_accepted(health, now);
    say_accepted_by(health, now);
    health->said = (struct health_said){
        .anything = true,
        .view_number = now->view_number,
        .status = now->status,
        .acting_primary = now->acting_primary,
        .suspecting = now->suspecting,
        .log_full = now->log_full,
        .group_lost = now->group_lost,
        .restores = now->restores,
        .sync_from = now->sync_from,
        .sync_target = now->sync_target,
        /* A sync that is begun anew goes on with the same transfer. */
        .transfer_op = now->transfer_op != 0 ? now->transfer_op : said->transfer_op,
    };
}

void health_observe(struct health *health, const struct replica *replica,
                    const struct health_senders *senders, uint64_t now_ns)
{
    struct vr_snapshot snapshot;
    vr_snapshot(replica, &snapshot);
    health_tell(health, &snapshot, now_ns);
    mutex_lock(&health->mutex);
    health->published.published_ns = now_ns;
    health->published.sync_started_ns = health->sync_started_ns;
    health->published.transfer_started_ns = health->transfer_started_ns;
    health->published.transfer_first = health->transfer_first;
    health->published.snapshot = snapshot;
    health->published.senders = *senders;
    mutex_unlock(&health->mutex);
}

void health_diverged(struct health *health, uint64_t op_number, struct checksum own,
                     struct checksum theirs, uint32_t peer, bool state)
{
    if (state) {
        complain(
            health, ERROR_DIVERGED,
            "DIVERGED: the state behind op %" PRIu64 " has the digest %016" PRIx64 "%016" PRIx64
            " here and %016" PRIx64 "%016" PRIx64 " at a majority (said by replica %" PRIu32
            "), though all executed the same log. This replica leaves service and stops. Check "
            "its memory and disk, keep its data directory for whoever looks into it, and report "
            "this",
            op_number, own.high, own.low, theirs.high, theirs.low, peer);
        return;
    }
    complain(health, ERROR_DIVERGED,
             "DIVERGED: the entry at op %" PRIu64 " is %016" PRIx64 "%016" PRIx64
             " here and %016" PRIx64 "%016" PRIx64 " at replica %" PRIu32
             ", and both are committed. This replica leaves service and stops. Keep its data "
             "directory for whoever looks into it, and report this",
             op_number, own.high, own.low, theirs.high, theirs.low, peer);
}

static const char *refusal_text(enum refused_reason reason)
{
    switch (reason) {
    case REFUSED_CLUSTER:
        return "it belongs to another cluster: correct the addresses of one of the two";
    case REFUSED_VERSION:
        return "it speaks another protocol version: run the same release on all replicas";
    case REFUSED_CONFIGURATION:
        return "its configuration differs: every replica must be initialised with the same "
               "--cluster list, the same cluster parameters and, if any, from the same backup "
               "file; vr-client status says which replica differs, and in what";
    case REFUSED_IDENTITY:
        return "it has another data directory than the replica the group knows: a lost data "
               "directory is not made again with init, for it may have promised what it has "
               "forgotten; "
               "put the old directory back, or make a new group of this one's backup: vr-client "
               "backup, then vr-server init --from-backup";
    case REFUSED_PEERS_PORT:
        return "it was taken for a client";
    }
    return "for an unknown reason";
}

static void say_refused(struct health *health, uint32_t *said_reasons, enum error_id id,
                        uint32_t replica_id, const struct refused *refused)
{
    const uint32_t bit = UINT32_C(1) << ((uint32_t)refused->reason & 31);
    if ((*said_reasons & bit) != 0) {
        return;
    }
    *said_reasons |= bit;
    complain(health, id, "replica %" PRIu32 " %s: %s (here %016" PRIx64 ", there %016" PRIx64 ")",
             replica_id, id == ERROR_REPLICA_REFUSED ? "is refused" : "refuses this replica",
             refusal_text(refused->reason), refused->own, refused->yours);
}

void health_refused_peers(struct health *health, uint32_t member_mask,
                          const struct refused *refused)
{
    for (uint32_t i = 0; i < health->configuration.member_count; i++) {
        if ((member_mask & (UINT32_C(1) << i)) != 0) {
            health->refused_ns[i] = clock_monotonic_ns();
            say_refused(health, &health->refused_peers[i], ERROR_REPLICA_REFUSED,
                        health->configuration.members[i].replica_id, refused);
        }
    }
}

void health_refused_by(struct health *health, uint32_t replica_id, const struct refused *refused)
{
    const uint32_t index = configuration_index(&health->configuration, replica_id);
    if (index == REPLICAS_MAX) {
        return;
    }
    /* What is "own" to the one who refuses is "there" to us. */
    const struct refused turned = {
        .reason = refused->reason,
        .own = refused->yours,
        .yours = refused->own,
    };
    health->refused_by_ns[index] = clock_monotonic_ns();
    say_refused(health, &health->refused_by[index], ERROR_REFUSED_BY_REPLICA, replica_id, &turned);
}

void health_published(struct health *health, struct health_published *out)
{
    mutex_lock(&health->mutex);
    *out = health->published;
    mutex_unlock(&health->mutex);
}

static void note_sync(const struct health_published *published, char note[HEALTH_NOTE_MAX])
{
    const struct vr_snapshot *now = &published->snapshot;
    const uint64_t done = now->sync_op - now->sync_from;
    const uint64_t all = now->sync_target - now->sync_from;
    const uint64_t took_ns = published->published_ns - published->sync_started_ns;
    const unsigned percent = all == 0 ? 100 : (unsigned)(done * 100 / all);
    if (done == 0) {
        (void)snprintf(note, HEALTH_NOTE_MAX, "catch-up %u %%", percent);
    } else {
        const double left_s =
            (double)took_ns / (double)NANOSECONDS_PER_SECOND * (double)(all - done) / (double)done;
        (void)snprintf(note, HEALTH_NOTE_MAX, "catch-up %u %%, about %.0f s left", percent,
                       left_s < 1 ? 1 : left_s); /* none is left once it has ended */
    }
}

/* G4: "checkpoint 63 %, about 4 s left". */
static void note_transfer(const struct health_published *published, char note[HEALTH_NOTE_MAX])
{
    const struct vr_snapshot *now = &published->snapshot;
    const uint64_t all = now->transfer_chunks;
    const uint64_t done = now->transfer_staged < all ? now->transfer_staged : all;
    const uint64_t came =
        done - (published->transfer_first <= done ? published->transfer_first : 0);
    const unsigned percent = all == 0 ? 0 : (unsigned)(done * 100 / all);
    const uint64_t took_ns = published->published_ns - published->transfer_started_ns;
    if (done == all) {
        (void)snprintf(note, HEALTH_NOTE_MAX, "checkpoint 100 %%, being loaded");
    } else if (came == 0) {
        (void)snprintf(note, HEALTH_NOTE_MAX, "checkpoint %u %%", percent);
    } else {
        const double left_s =
            (double)took_ns / (double)NANOSECONDS_PER_SECOND * (double)(all - done) / (double)came;
        (void)snprintf(note, HEALTH_NOTE_MAX, "checkpoint %u %%, about %.0f s left", percent,
                       left_s < 1 ? 1 : left_s);
    }
}

const char *health_note(const struct health *health, const struct health_published *published,
                        char note[HEALTH_NOTE_MAX])
{
    const struct vr_snapshot *now = &published->snapshot;
    note[0] = '\0';
    if (now->diverged) {
        (void)snprintf(note, HEALTH_NOTE_MAX,
                       "DIVERGED from the group and left service: see its log");
    } else if (now->group_lost) {
        say_group_lost(health, now, note);
    } else if (now->lost_to != 0) {
        (void)snprintf(note, HEALTH_NOTE_MAX,
                       "its disk has lost ops %" PRIu64 " to %" PRIu64 "; waits for the others'",
                       now->lost_from, now->lost_to);
    } else if (now->log_full && now->status != STATUS_NORMAL) {
        (void)snprintf(note, HEALTH_NOTE_MAX,
                       "the group's log does not fit: give this replica a larger "
                       "--log-memory-max");
    } else if (now->log_full) {
        (void)snprintf(note, HEALTH_NOTE_MAX, "the log in memory is full: requests are refused");
    } else if (now->transfer_op != 0) {
        note_transfer(published, note);
    } else if (now->sync_target != 0) {
        note_sync(published, note);
    } else if (now->status == STATUS_RECOVERING) {
        (void)snprintf(note, HEALTH_NOTE_MAX, "waiting for a primary to get the log from");
    } else if (now->suspecting) {
        (void)snprintf(note, HEALTH_NOTE_MAX, "%s",
                       now->acting_primary ? "hears from no quorum: serves nothing until it does"
                       : now->status == STATUS_VIEW_CHANGE ? "its view has not begun in time"
                                                           : "suspects the primary");
    }
    return note;
}
