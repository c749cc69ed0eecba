/* SPDX-License-Identifier: Apache-2.0 */
/* restore.c - a majority has lost what it may have acknowledged, and a person decides (D9).
 *
 * A recovering replica tells what it still holds; told to, it takes over the log that was chosen
 * and enters a view change above all that anybody was in. What it then says of itself is no more
 * than the truth: last_normal_view becomes the largest that any member reported, not the new view,
 * so that the logs of a group that went on meanwhile, in whatever view, still win (V6). Whoever
 * remembers refuses. So whatever is sent here, how often, late, or by how many at once, a quorum
 * that lives loses nothing by it. */
#include "common/base/invariant.h"
#include "server/vr/replica.h"

bool restoring(const struct replica *r)
{
    return r->status == STATUS_RECOVERING && r->restore.view_number != VIEW_NONE &&
           sync_running(r, r->restore.view_number);
}

/* Until the log is being replaced: then it is too late, and the view change finds that primary. */
void restore_abandon(struct replica *r)
{
    if (restoring(r) && r->install.phase == INSTALL_NONE) {
        sync_drop(r);
        r->restore.view_number = VIEW_NONE;
    }
}

static bool same_choice(const struct restore *a, const struct restore *b)
{
    return a->view_number == b->view_number && a->last_normal_view == b->last_normal_view &&
           a->log.op_number == b->log.op_number &&
           checksum_equal(a->log.head_checksum, b->log.head_checksum);
}

/* Has it come forward lately? As watch_group() judges it. */
static bool sync_moves(const struct replica *r)
{
    return r->sync.active && r->time.now_ns - r->sync.progress_ns < 10 * r->options.view_change_ns;
}

/* What has changed since it was asked what it holds: it has started anew, or was in a later view.
 */
static bool is_outdated(const struct replica *r, const struct restore *wanted)
{
    return wanted->recovery_nonce != r->options.nonce ||
           wanted->view_number <= r->durable.view_number ||
           wanted->last_normal_view < r->durable.last_normal_view ||
           view_epoch(wanted->view_number + 1) != r->options.configuration.epoch ||
           wanted->view_number - r->view_number > VIEW_LEAP_MAX;
}

/* RESTORE_TOLD: nothing speaks against taking it up. */
static enum restore_outcome judge_restore(const struct replica *r, const struct restore *wanted)
{
    const bool same = same_choice(wanted, &r->restore);
    if (r->status != STATUS_RECOVERING) {
        return r->durable.view_number >= wanted->view_number ? RESTORE_DONE
                                                             : RESTORE_NOT_RECOVERING;
    }
    if (restoring(r) && same) {
        return RESTORE_STARTED;
    }
    if (r->install.phase != INSTALL_NONE || r->transfer.installing) {
        return restoring(r) ? RESTORE_OTHER : RESTORE_RECOVERS;
    }
    if (is_outdated(r, wanted)) {
        return RESTORE_CHANGED;
    }
    if (sync_moves(r)) {
        return restoring(r) ? RESTORE_OTHER : RESTORE_RECOVERS;
    }
    return same ? RESTORE_CONFLICT : RESTORE_TOLD; /* the same ended where it could not go on */
}

static void report(struct replica *r, const struct message *m, uint64_t nonce,
                   enum restore_outcome outcome)
{
    if (!take_answer(r)) {
        return;
    }
    const struct message answer = {
        .type = MESSAGE_RESTORE_REPORT,
        .restore_report =
            {
                .nonce = nonce,
                .replica_id = r->options.replica_id,
                .outcome = outcome,
                .status = r->status,
                .acting_primary = r->acting_primary,
                .recovery_nonce = r->status == STATUS_RECOVERING ? r->options.nonce : 0,
                .view_number = r->durable.view_number,
                .log = describe_log(r),
                .synced_op = r->sync.active ? r->staging.op_number : 0,
                .durability = r->options.durability,
            },
    };
    send_to_client(r, &m->address, &answer);
}

void on_restore_status(struct replica *r, const struct message *m)
{
    report(r, m, m->restore_status.nonce, RESTORE_TOLD);
}

void on_restore(struct replica *r, const struct message *m)
{
    const struct restore *wanted = &m->restore;
    const uint32_t source = configuration_index(&r->options.configuration, wanted->source);
    if (source >= r->member_count) {
        drop(r, DROP_INVALID);
        return;
    }
    enum restore_outcome outcome = judge_restore(r, wanted);
    if (outcome == RESTORE_TOLD) {
        sync_drop(r);
        r->restore = *wanted;
        sync_begin(r, &wanted->log, wanted->view_number, source, others_mask(r));
        outcome = restoring(r) ? RESTORE_STARTED : RESTORE_CONFLICT;
    }
    report(r, m, wanted->nonce, outcome);
}

/* The log is whole, and log_valid again: it takes part from here on, in the view change that it was
 * told to enter. */
void restore_installed(struct replica *r)
{
    INVARIANT(r->status == STATUS_RECOVERING);
    INVARIANT(r->durable.last_normal_view < r->view_number);
    r->status = STATUS_VIEW_CHANGE;
    r->view_changes++;
    r->lost_since_ns = 0;
    timeouts_stop_all(&r->timeouts);
    timeout_set(&r->timeouts, TIMEOUT_SUSPECT, r->time.now_ns + view_change_timeout(r));
    timeout_set(&r->timeouts, TIMEOUT_DO_VIEW_CHANGE, r->time.now_ns);
}
