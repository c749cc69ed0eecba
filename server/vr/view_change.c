/* SPDX-License-Identifier: Apache-2.0 */
/* view_change.c - suspicion, votes and view changes (VRR section 4.2; rules V1 to V12).
 *
 * Unlike VRR a StartViewChange is a vote and moves nobody (V2); a view is entered when a quorum
 * votes for it, or when a message comes that can only exist after a quorum did (V3). DoViewChange
 * and StartView carry a log descriptor, never a log; log_sync.c closes the difference. */
#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/quorum.h"
#include "server/vr/replica.h"

/* ---- suspicion (V1, V2) ---- */

/* T for the first try; after a failed view doubled, jittered, up to a cap. */
uint64_t view_change_timeout(struct replica *r)
{
    uint64_t timeout = r->options.view_change_ns;
    for (uint32_t i = 0; i < r->failed_views && timeout < r->options.view_change_max_ns; i++) {
        timeout *= 2;
    }
    if (timeout > r->options.view_change_max_ns) {
        timeout = r->options.view_change_max_ns;
    }
    if (r->failed_views == 0) {
        return timeout;
    }
    VR_MARK(V1_failed_view_gives_the_next_more_time);
    const uint64_t jittered = timeout - prng_below(&r->prng, timeout / 4);
    return jittered > r->options.view_change_ns ? jittered : r->options.view_change_ns;
}

void hear_primary(struct replica *r)
{
    VR_MARK_IF(r->suspecting, V2_vote_is_withdrawn);
    r->suspecting = false;
    timeout_stop(&r->timeouts, TIMEOUT_VOTE);
    r->stall_forgiven = false;
    r->lost_since_ns = 0;
    if (!r->acting_primary) {
        /* In view_change the view has all the time that failed views before it have won (V1). */
        timeout_set_at_least(&r->timeouts, TIMEOUT_SUSPECT,
                             r->received_ns + r->options.view_change_ns);
    }
}

bool vote_is_live(const struct replica *r, const struct peer *peer)
{
    return peer->vote_view != 0 && r->time.now_ns - peer->vote_ns < 3 * r->options.resend_ns;
}

/* V2: for what it votes while it suspects: for the view after the own one, or for the latest that
 * somebody else votes for. A vote for w says that view w - 1 was entered. Whoever slept while views
 * passed would otherwise have to go through each of them, and be waited for meanwhile. */
static uint64_t own_vote(const struct replica *r)
{
    uint64_t view_number = r->view_number + 1;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct peer *peer = &r->peers[i];
        if (vote_is_live(r, peer) && peer->vote_view > view_number) {
            view_number = peer->vote_view;
            VR_MARK(V2_votes_for_the_latest_that_is_wanted);
        }
    }
    return view_number;
}

/* V3: the quorum-th largest vote, one per replica, the own one if it suspects. */
static void count_votes(struct replica *r)
{
    uint64_t votes[REPLICAS_MAX];
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct peer *peer = &r->peers[i];
        votes[i] = vote_is_live(r, peer) ? peer->vote_view : 0;
    }
    votes[r->self] = r->suspecting ? own_vote(r) : 0;
    const uint64_t view_number = quorum_nth_largest(votes, r->member_count, r->quorum);
    if (view_number > r->view_number) {
        VR_MARK(V3_votes_move);
        enter_view_change(r, view_number);
    }
}

static void send_vote(struct replica *r)
{
    timeout_set(&r->timeouts, TIMEOUT_VOTE, r->time.now_ns + r->options.resend_ns);
    /* S1: a vote for view_number + 1 reveals view_number; one for more, what others revealed. */
    if (r->durable.view_number != r->view_number) {
        return;
    }
    const struct message m = {
        .type = MESSAGE_START_VIEW_CHANGE,
        .start_view_change = {.view_number = own_vote(r)},
    };
    send_to_others(r, &m);
}

/* V2: its own view, status and acks stay as they are. */
void suspect(struct replica *r)
{
    timeout_stop(&r->timeouts, TIMEOUT_SUSPECT);
    if (r->suspecting) {
        return;
    }
    r->suspecting = true;
    r->suspicions++;
    send_vote(r);
    count_votes(r);
}

void on_start_view_change(struct replica *r, const struct message *m, uint32_t peer_index)
{
    if (r->status == STATUS_RECOVERING) {
        drop(r, DROP_STATUS);
        return;
    }
    struct peer *peer = &r->peers[peer_index];
    const uint64_t view_number = m->start_view_change.view_number;
    note_later_view(r, view_number - 1); /* V9: the sender's own, or one that it was told of */
    if (r->acting_primary && view_number <= r->view_number + 1) {
        VR_MARK(V8_vote_is_answered);
        send_start_view(r, 1u << peer_index); /* V8: it evidently missed something */
    }
    if (view_number <= r->view_number) {
        drop(r, DROP_OLD_VIEW);
        return;
    }
    peer->vote_view = view_number;
    peer->vote_ns = r->time.now_ns; /* from when it is counted: it may have waited in a queue */
    count_votes(r);
}

/* ---- entering (V3) ---- */

/* What was said and meant in the view that ends counts no more. */
static void leave_view(struct replica *r)
{
    r->acting_primary = false;
    r->abdicated = false;
    in_flight_clear(&r->in_flight);
    stash_clear(&r->stash);
    VR_MARK_IF(r->sync.active, G7_sync_ends_with_its_view);
    sync_drop(r);
    VR_MARK_IF(r->install.phase == INSTALL_LOG, G6_log_install_is_interrupted);
    VR_MARK_IF(r->install.phase == INSTALL_STATE, G6_state_install_is_interrupted);
    r->install.phase = INSTALL_NONE;
    r->suspecting = false;
    r->hint_commit = 0;
    r->ack_owed = false;
    r->ack_round = 0;
    r->primary_synced_op = 0;
    r->view_extended_ns = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        r->peers[i].do_view_change_present = false;
        r->peers[i].unreachable = false;
    }
    timeouts_stop_all(&r->timeouts);
}

void enter_view_change(struct replica *r, uint64_t view_number)
{
    INVARIANT(view_number > r->view_number);
    INVARIANT(r->status != STATUS_RECOVERING);
    /* V1: a view failed that did not become normal, or did and committed nothing. */
    if (r->status == STATUS_VIEW_CHANGE || r->timeouts.at_ns[TIMEOUT_STABLE] != TIMEOUT_NEVER) {
        r->failed_views++;
    }
    leave_view(r);
    r->view_number = view_number;
    r->status = STATUS_VIEW_CHANGE;
    r->view_changes++;
    r->wanted.view_number = view_number;
    /* An install that was cut short claims nothing that is not on its way to the disk already. */
    r->wanted.last_normal_view =
        r->state_in_flight ? r->writing.last_normal_view : r->durable.last_normal_view;
    state_changed(r);
    timeout_set(&r->timeouts, TIMEOUT_SUSPECT, r->time.now_ns + view_change_timeout(r));
    timeout_set(&r->timeouts, TIMEOUT_DO_VIEW_CHANGE, r->time.now_ns);
}

void note_later_view(struct replica *r, uint64_t view_number)
{
    if (view_number > r->later_view && view_epoch(view_number) == view_epoch(r->view_number)) {
        r->later_view = view_number;
        VR_MARK_IF(r->acting_primary && view_number > r->view_number,
                   V9_primary_hears_of_a_later_view);
    }
}

/* ---- DoViewChange (V4) ---- */

static struct message do_view_change(const struct replica *r)
{
    struct message m = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change =
            {
                .view_number = r->view_number,
                .log = describe_log(r),
                .synced_op = r->sync.active ? r->staging.op_number : 0,
                .primary_identity = r->durable.identities[primary_of(r, r->view_number)],
                .base_op = r->log.base_op,
            },
    };
    if (r->had.op_number > 0) {
        VR_MARK(D5_lost_entries_are_claimed);
        /* D5: what was had is said, and how much of it is lost. */
        struct do_view_change *dvc = &m.do_view_change;
        dvc->log.op_number = r->had.op_number;
        dvc->log.head_checksum = r->had.checksum;
        dvc->faulty_from = r->held_op + 1;
        dvc->held_checksum = vr_log_checksum(&r->log, r->held_op);
        const uint64_t known =
            r->commit_known > r->commit_number ? r->commit_known : r->commit_number;
        if (known > r->held_op) {
            dvc->log.commit_number = known < r->had.op_number ? known : r->had.op_number;
            dvc->log.commit_checksum = (struct checksum){0}; /* lost with the entry */
        }
    }
    return m;
}

/* V4: one counts per replica, the one with the largest (last_normal_view, op_number). */
static void record(struct replica *r, uint32_t peer_index, const struct do_view_change *dvc)
{
    struct peer *peer = &r->peers[peer_index];
    const struct log_descriptor *log = &dvc->log;
    const struct log_descriptor *kept = &peer->do_view_change;
    if (peer->do_view_change_present &&
        (kept->last_normal_view > log->last_normal_view ||
         (kept->last_normal_view == log->last_normal_view && kept->op_number > log->op_number))) {
        VR_MARK(V4_smaller_do_view_change_does_not_count);
        return;
    }
    peer->do_view_change = *log;
    peer->held = dvc->faulty_from == 0
                     ? (struct vr_log_end){log->op_number, log->head_checksum}
                     : (struct vr_log_end){dvc->faulty_from - 1, dvc->held_checksum};
    peer->base_op = dvc->base_op;
    peer->do_view_change_present = true;
}

void send_do_view_change(struct replica *r)
{
    timeout_set(&r->timeouts, TIMEOUT_DO_VIEW_CHANGE, r->time.now_ns + r->options.resend_ns);
    if (r->durable.view_number != r->view_number) {
        VR_MARK(S1_do_view_change_waits_for_the_disk);
        return; /* S1: sent as soon as the state file says so */
    }
    const struct message m = do_view_change(r);
    send_to_others(r, &m);
    /* The own one counts through the same path (VC-10); the log is frozen, so it stays true. While
     * an install is under way its old word stands. */
    if (r->install.phase == INSTALL_NONE) {
        record(r, r->self, &m.do_view_change);
    }
    try_start_view(r);
}

/* How far a log is known to be committed, and is held (D5: the disk of who said so may have lost
 * the rest of it). */
static struct vr_log_end committed_and_held(const struct peer *peer)
{
    const struct log_descriptor *log = &peer->do_view_change;
    return log->commit_number <= peer->held.op_number
               ? (struct vr_log_end){log->commit_number, log->commit_checksum}
               : peer->held;
}

/* ---- V12: a primary that is far behind what it would have to adopt ---- */

/* Those whose DoViewChanges the choice is made from; 0: they are less than a quorum, or the own one
 * is missing. Any quorum's choice holds all that is committed, so a log that cannot be got hold of
 * is left out where a quorum remains (VC-15). */
static uint32_t choosers(const struct replica *r)
{
    uint32_t present = 0;
    uint32_t reachable = 0;
    uint32_t present_count = 0;
    uint32_t reachable_count = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->peers[i].do_view_change_present) {
            present |= 1u << i;
            present_count++;
            reachable |= r->peers[i].unreachable ? 0 : 1u << i;
            reachable_count += r->peers[i].unreachable ? 0 : 1u;
        }
    }
    if (!r->peers[r->self].do_view_change_present || present_count < r->quorum) {
        return 0;
    }
    VR_MARK_IF(reachable_count >= r->quorum && reachable != present,
               V6_log_out_of_reach_is_left_out);
    return reachable_count >= r->quorum ? reachable : present;
}

/* Index of the largest (last_normal_view, op_number), own first among equals; REPLICAS_MAX: there
 * are too few to choose from. */
static uint32_t best_log(const struct replica *r)
{
    const uint32_t mask = choosers(r);
    uint32_t best = r->self;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct log_descriptor *log = &r->peers[i].do_view_change;
        const struct log_descriptor *top = &r->peers[best].do_view_change;
        if ((mask & (1u << i)) != 0 &&
            (log->last_normal_view > top->last_normal_view ||
             (log->last_normal_view == top->last_normal_view && log->op_number > top->op_number))) {
            VR_MARK_IF(log->op_number < top->op_number, V6_shorter_log_of_a_later_view_wins);
            best = i;
        }
    }
    return mask != 0 ? best : REPLICAS_MAX;
}

/* At most how many entries of the best log this one lacks. Of another view's log no more is known
 * to be shared than what is committed, but where it ends in the same way; check_options() sees to
 * it that what is not yet does not look like a long way. */
static uint64_t entries_behind(const struct peer *peer, const struct log_descriptor *best)
{
    const struct log_descriptor *log = &peer->do_view_change;
    const bool same = log->op_number == best->op_number &&
                      checksum_equal(log->head_checksum, best->head_checksum);
    const uint64_t from = same || log->last_normal_view == best->last_normal_view
                              ? peer->held.op_number
                              : committed_and_held(peer).op_number;
    return best->op_number > from ? best->op_number - from : 0;
}

/* Lacks so much of the best log that it would take long, or entries that are gone from it: then it
 * needs a checkpoint. */
static bool is_far_behind(const struct replica *r, uint32_t peer, uint32_t best)
{
    const struct log_descriptor *top = &r->peers[best].do_view_change;
    const uint64_t behind = entries_behind(&r->peers[peer], top);
    return behind > r->options.view_sync_max ||
           (behind > 0 && top->op_number - behind < r->peers[best].base_op);
}

static void judge_primary(struct replica *r)
{
    const uint32_t primary = primary_of(r, r->view_number);
    const uint32_t best = best_log(r);
    if (best == REPLICAS_MAX || !r->peers[primary].do_view_change_present) {
        return;
    }
    if (!is_far_behind(r, primary, best)) {
        return;
    }
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (i != primary && r->peers[i].do_view_change_present &&
            r->options.configuration.members[i].role == MEMBER_ACTIVE &&
            !is_far_behind(r, i, best)) {
            VR_MARK(V12_primary_far_behind_is_passed_over);
            suspect(r);
            return;
        }
    }
}

/* Progress of primary(w)'s sync gives it time, up to a cap. */
static void credit_progress(struct replica *r, uint32_t peer, uint64_t synced_op)
{
    if (peer != primary_of(r, r->view_number) || synced_op <= r->primary_synced_op ||
        r->view_extended_ns >= r->options.view_change_max_ns) {
        return;
    }
    VR_MARK(V12_progress_gives_time);
    r->primary_synced_op = synced_op;
    r->view_extended_ns += r->options.resend_ns;
    r->suspecting = false;
    timeout_stop(&r->timeouts, TIMEOUT_VOTE);
    timeout_set(&r->timeouts, TIMEOUT_SUSPECT, r->time.now_ns + view_change_timeout(r));
}

void on_do_view_change(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct do_view_change *dvc = &m->do_view_change;
    if (r->status == STATUS_RECOVERING) {
        drop(r, DROP_STATUS); /* D6: no evidence raises its view */
        return;
    }
    if (dvc->view_number < r->view_number ||
        (dvc->view_number == r->view_number && r->status != STATUS_VIEW_CHANGE)) {
        if (r->acting_primary) {
            if (dvc->view_number == r->view_number) {
                note_progress(r, peer, dvc->synced_op);
            }
            VR_MARK(V8_do_view_change_is_answered);
            send_start_view(r, 1u << peer); /* V8 */
        }
        drop(r, DROP_OLD_VIEW);
        return;
    }
    if (dvc->view_number > r->view_number) {
        VR_MARK(V3_do_view_change_moves);
        enter_view_change(r, dvc->view_number);
    }
    if (primary_of(r, dvc->view_number) == r->self &&
        dvc->primary_identity != r->options.identity) {
        VR_MARK(D10_do_view_change_is_for_another_directory);
        /* D10: meant for another data directory, or for whoever it may be. */
        drop(r, DROP_IDENTITY);
        return;
    }
    record(r, peer, dvc);
    credit_progress(r, peer, dvc->synced_op);
    judge_primary(r);
    if (r->status == STATUS_VIEW_CHANGE && r->view_number == dvc->view_number) {
        try_start_view(r);
    }
}

/* ---- StartView (V6, V7, V8) ---- */

/* How much of the best log a chooser holds (D5: even the best one's own disk may have lost some of
 * it): its own, if it is of the same view; else what it knows to be committed. */
static struct vr_log_end holds_of_best(const struct replica *r, uint32_t best, uint32_t chooser)
{
    const struct peer *peer = &r->peers[chooser];
    const struct log_descriptor *log = &peer->do_view_change;
    if (log->last_normal_view == r->peers[best].do_view_change.last_normal_view) {
        return peer->held;
    }
    return committed_and_held(peer);
}

/* Who holds most of it. */
static uint32_t holder_of(const struct replica *r, uint32_t best)
{
    const uint32_t mask = choosers(r);
    uint32_t holder = best;
    for (uint32_t i = 0; i < r->member_count; i++) {
        if ((mask & (1u << i)) != 0 &&
            holds_of_best(r, best, i).op_number > holds_of_best(r, best, holder).op_number) {
            holder = i;
        }
    }
    return holder;
}

/* D5: no chooser holds this entry of the best log, though some had it. It was not committed if so
 * many surely never acked it that the rest is no quorum: those whose logs end before it, and, as
 * disks of at most f members rot, all but f of those that lost it: what they lost was being written
 * when their machines stopped. */
static bool surely_uncommitted(const struct replica *r, uint32_t best, uint64_t op_number)
{
    const uint32_t mask = choosers(r);
    const uint32_t rotten_max = configuration_faults_max(&r->options.configuration);
    uint32_t without = 0;
    uint32_t lost = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct log_descriptor *log = &r->peers[i].do_view_change;
        if ((mask & (1u << i)) == 0) {
            continue;
        }
        if (log->op_number < op_number) {
            without++;
        } else if (log->last_normal_view == r->peers[best].do_view_change.last_normal_view) {
            lost++;
        }
    }
    without += lost > rotten_max ? lost - rotten_max : 0;
    return without + r->quorum > r->member_count;
}

/* V6: the largest commit_number of all, whether anybody still holds that entry or not (D5). */
static uint64_t committed_of_all(const struct replica *r)
{
    uint64_t committed = r->commit_known;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const uint64_t said = r->peers[i].do_view_change.commit_number;
        if (r->peers[i].do_view_change_present && said > committed) {
            committed = said;
        }
    }
    return committed;
}

/* V6: the log of the largest (last_normal_view, op_number), the largest commit_number of all whose
 * entry somebody holds. False: it has to wait for more DoViewChanges, for entries of it are or may
 * be committed that none of those who spoke still holds (D5). */
static bool choose_log(const struct replica *r, uint32_t best, struct log_descriptor *chosen)
{
    const struct vr_log_end held = holds_of_best(r, best, holder_of(r, best));
    *chosen = r->peers[best].do_view_change;
    chosen->commit_number = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct vr_log_end committed = committed_and_held(&r->peers[i]);
        if (r->peers[i].do_view_change_present && committed.op_number >= chosen->commit_number) {
            chosen->commit_number = committed.op_number;
            chosen->commit_checksum = committed.checksum;
        }
    }
    VR_MARK_IF(chosen->commit_number > r->peers[best].do_view_change.commit_number,
               V6_commit_number_is_anothers);
    if (held.op_number >= chosen->op_number) {
        return true;
    }
    if (committed_of_all(r) > held.op_number || !surely_uncommitted(r, best, held.op_number + 1)) {
        VR_MARK(D5_lost_entries_are_waited_for);
        return false;
    }
    VR_MARK(D5_lost_entries_are_dropped);
    chosen->op_number = held.op_number;
    chosen->head_checksum = held.checksum;
    return true;
}

/* Who may serve it: the best one, those of the same last_normal_view, and who holds most of it
 * because it knows that it is committed (G2). */
static uint32_t sources_of(const struct replica *r, uint32_t best)
{
    const uint32_t holder = holder_of(r, best);
    uint32_t mask = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->peers[i].do_view_change_present &&
            (r->peers[i].do_view_change.last_normal_view ==
                 r->peers[best].do_view_change.last_normal_view ||
             i == holder)) {
            mask |= 1u << i;
        }
    }
    return mask;
}

void try_start_view(struct replica *r)
{
    if (r->status != STATUS_VIEW_CHANGE || primary_of(r, r->view_number) != r->self ||
        sync_running(r, r->view_number)) {
        return;
    }
    const uint32_t best = best_log(r);
    if (best == REPLICAS_MAX) {
        return;
    }
    struct log_descriptor chosen;
    if (!choose_log(r, best, &chosen)) {
        return;
    }
    if (committed_of_all(r) > chosen.op_number) {
        /* V6: cannot be, where all tell the truth. Starting this view would lose what somebody
         * says is committed. */
        drop(r, DROP_INVALID);
        return;
    }
    VR_MARK_IF(best != r->self, V6_winner_is_another);
    sync_begin(r, &chosen, r->view_number, holder_of(r, best), sources_of(r, best));
}

/* Keeps what is staged as long as the choice stays the same; there may be more sources by now. */
void choose_anew(struct replica *r)
{
    const uint32_t best = best_log(r);
    if (best == REPLICAS_MAX) {
        return;
    }
    struct log_descriptor chosen;
    if (choose_log(r, best, &chosen) &&
        chosen.last_normal_view == r->sync.target.last_normal_view &&
        checksum_equal(chosen.head_checksum, r->sync.target.head_checksum)) {
        r->sync.sources = sources_of(r, best) & others_mask(r);
        return;
    }
    VR_MARK(V6_chooses_anew);
    sync_drop(r);
    try_start_view(r);
}

void send_start_view(struct replica *r, uint32_t mask)
{
    INVARIANT(r->acting_primary);
    if (r->later_view > r->view_number) {
        return; /* V9 */
    }
    uint32_t allowed = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct peer *peer = &r->peers[i];
        if ((mask & (1u << i)) != 0 &&
            (peer->start_view_sent_ns == 0 ||
             r->time.now_ns - peer->start_view_sent_ns >= r->options.resend_ns / 2)) {
            peer->start_view_sent_ns = r->time.now_ns;
            allowed |= 1u << i;
        }
    }
    if (allowed != mask) {
        drop(r, DROP_RATE);
    }
    const struct message m = {
        .type = MESSAGE_START_VIEW,
        .start_view = {.view_number = r->view_number, .log = describe_whole_log(r)},
    };
    send_to_mask(r, allowed, &m);
}

void on_start_view(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct start_view *start = &m->start_view;
    if (peer != primary_of(r, start->view_number)) {
        drop(r, DROP_NOT_FROM_PRIMARY);
        return;
    }
    if (r->status == STATUS_RECOVERING) {
        /* D7: never an equal view; it may be an old duplicate. */
        if (start->view_number <= r->durable.view_number) {
            VR_MARK(D7_start_view_that_is_not_later_is_ignored);
            drop(r, DROP_OLD_VIEW);
            return;
        }
        VR_MARK(D7_follows_a_later_start_view);
        restore_abandon(r);
        if (start->view_number <= r->sync.entering || r->install.phase != INSTALL_NONE) {
            drop(r, DROP_OLD_VIEW);
            return;
        }
    } else if (start->view_number < r->view_number ||
               (start->view_number == r->view_number && r->status != STATUS_VIEW_CHANGE)) {
        VR_MARK_IF(start->view_number == r->view_number, V7_late_start_view_is_ignored);
        drop(r, DROP_OLD_VIEW); /* VC-7: in its own normal view it ignores StartView */
        return;
    } else if (start->view_number > r->view_number) {
        VR_MARK(V3_start_view_moves);
        enter_view_change(r, start->view_number);
    }
    if (sync_running(r, start->view_number)) {
        drop(r, DROP_DUPLICATE);
        return;
    }
    if (r->status == STATUS_VIEW_CHANGE) {
        hear_primary(r);
    }
    sync_begin(r, &start->log, start->view_number, peer, others_mask(r));
}

void ask_view(struct replica *r, uint32_t peer, uint64_t view_number)
{
    if (r->get_view_sent_ns != 0 &&
        r->time.now_ns - r->get_view_sent_ns < r->options.resend_ns / 2) {
        return;
    }
    r->get_view_sent_ns = r->time.now_ns;
    const struct message m = {
        .type = MESSAGE_GET_VIEW,
        .get_view = {.view_number = view_number},
    };
    send_to_peer(r, peer, &m);
}

void on_get_view(struct replica *r, const struct message *m, uint32_t peer)
{
    note_later_view(r, m->get_view.view_number);
    if (!r->acting_primary || m->get_view.view_number > r->view_number) {
        drop(r, DROP_NOT_PRIMARY);
        return;
    }
    VR_MARK(V8_get_view_is_answered);
    send_start_view(r, 1u << peer);
}

/* ---- time ---- */

void view_change_tick(struct replica *r)
{
    const uint64_t now = r->time.now_ns;
    if (r->status == STATUS_RECOVERING) {
        return;
    }
    if (r->status == STATUS_VIEW_CHANGE && timeout_due(&r->timeouts, TIMEOUT_DO_VIEW_CHANGE, now)) {
        send_do_view_change(r);
    }
    if (timeout_due(&r->timeouts, TIMEOUT_SUSPECT, now)) {
        suspect(r);
    }
    if (r->suspecting && timeout_due(&r->timeouts, TIMEOUT_VOTE, now)) {
        send_vote(r);
        count_votes(r);
    }
}
