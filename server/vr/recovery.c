/* SPDX-License-Identifier: Apache-2.0 */
/* recovery.c - who may speak at all (identities, incarnations: D10, section 1), and the way back of
 * a replica whose log may have lost what it acked (VRR section 4.3; D6 to D9). */
#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/vr/replica.h"

/* ---- the envelope ---- */

static void refuse(struct replica *r, uint32_t peer_index, enum refused_reason reason, uint64_t own,
                   uint64_t yours)
{
    struct peer *peer = &r->peers[peer_index];
    if (peer->refused_sent_ns != 0 &&
        r->time.now_ns - peer->refused_sent_ns < r->options.view_change_ns) {
        return;
    }
    peer->refused_sent_ns = r->time.now_ns;
    const struct message m = {
        .type = MESSAGE_REFUSED,
        .refused = {.reason = reason, .own = own, .yours = yours},
    };
    send_to_peer(r, peer_index, &m);
}

/* D10: the first identity met under an index is bound to it, durably; until then nothing that it
 * says counts, so that a crash cannot make two identities count one after the other. */
static bool judge_identity(struct replica *r, const struct message *m, uint32_t peer)
{
    uint64_t *wanted = &r->wanted.identities[peer];
    if (*wanted == 0 && m->identity != 0) {
        *wanted = m->identity;
        state_changed(r);
    }
    if (m->identity == 0 || *wanted != m->identity) {
        VR_MARK(D10_another_identity_is_refused);
        refuse(r, peer, REFUSED_IDENTITY, *wanted, m->identity);
        return false;
    }
    return r->durable.identities[peer] == m->identity;
}

bool judge_envelope(struct replica *r, const struct message *m, uint32_t peer)
{
    if (peer >= r->member_count || peer == r->self) {
        drop(r, DROP_NOT_MEMBER);
        return false;
    }
    if (m->configuration_hash != r->configuration_hash) {
        refuse(r, peer, REFUSED_CONFIGURATION, r->configuration_hash, m->configuration_hash);
        drop(r, DROP_CONFIGURATION);
        return false;
    }
    if (!judge_identity(r, m, peer)) {
        drop(r, DROP_IDENTITY);
        return false;
    }
    struct peer *p = &r->peers[peer];
    if (m->incarnation < p->incarnation) {
        VR_MARK(S1_message_of_an_earlier_start);
        drop(r, DROP_INCARNATION);
        return false;
    }
    if (m->incarnation > p->incarnation) {
        /* A new process: what the old one promised for the moment is void. */
        p->incarnation = m->incarnation;
        p->vote_view = 0;
        p->do_view_change_present = false;
        p->acked_in_view = false;
        p->acked_op = 0;
        p->synced_op = 0;
        p->transfer_staged = 0;
        p->pulled_ns = 0;
        p->rtt_ns = 0;
    }
    /* One that pulls, or lets others pull, does not take part yet (D9). */
    if (m->type != MESSAGE_RECOVERY && m->type != MESSAGE_CATCHUP_REQUEST &&
        m->type != MESSAGE_CATCHUP_RESPONSE && m->type != MESSAGE_CHECKPOINT_REQUEST &&
        m->type != MESSAGE_CHECKPOINT_OFFER && m->type != MESSAGE_CHECKPOINT_CHUNK) {
        p->recovery_heard_ns = 0;
    }
    return true;
}

/* ---- recovering (D6, D7) ---- */

void recovery_begin(struct replica *r)
{
    r->status = STATUS_RECOVERING;
    /* Durable already: server/storage wrote it before the first message could leave. */
    INVARIANT(!r->wanted.log_valid);
    timeout_set(&r->timeouts, TIMEOUT_RECOVERY, r->time.now_ns);
}

void recovery_tick(struct replica *r)
{
    if (!timeout_due(&r->timeouts, TIMEOUT_RECOVERY, r->time.now_ns)) {
        return;
    }
    timeout_set(&r->timeouts, TIMEOUT_RECOVERY, r->time.now_ns + r->options.resend_ns);
    const struct message m = {
        .type = MESSAGE_RECOVERY,
        .recovery = {.nonce = r->options.nonce, .view_number = r->durable.view_number},
    };
    send_to_others(r, &m);
}

void on_recovery(struct replica *r, const struct message *m, uint32_t peer)
{
    r->peers[peer].recovery_heard_ns = r->received_ns;
    if (r->status == STATUS_RECOVERING) {
        drop(r, DROP_STATUS);
        return;
    }
    if (m->recovery.view_number > r->view_number) {
        VR_MARK(D8_recovery_moves);
        enter_view_change(r, m->recovery.view_number); /* D8 */
        return;
    }
    if (!r->acting_primary || r->later_view > r->view_number) {
        drop(r, DROP_NOT_PRIMARY); /* P1, V9 */
        return;
    }
    VR_MARK(D6_recovery_is_answered);
    const struct message answer = {
        .type = MESSAGE_RECOVERY_RESPONSE,
        .recovery_response =
            {
                .nonce = m->recovery.nonce,
                .view_number = r->view_number,
                .log = describe_whole_log(r),
            },
    };
    send_to_peer(r, peer, &answer);
}

void on_recovery_response(struct replica *r, const struct message *m, uint32_t peer)
{
    const struct recovery_response *response = &m->recovery_response;
    if (r->status != STATUS_RECOVERING) {
        drop(r, DROP_STATUS);
        return;
    }
    if (response->nonce != r->options.nonce) {
        VR_MARK(D6_answer_to_an_earlier_start);
        drop(r, DROP_NONCE);
        return;
    }
    if (peer != primary_of(r, response->view_number)) {
        drop(r, DROP_NOT_FROM_PRIMARY);
        return;
    }
    if (response->view_number < r->durable.view_number) {
        VR_MARK(D6_answer_of_a_view_before_its_own);
        drop(r, DROP_OLD_VIEW);
        return;
    }
    restore_abandon(r);
    /* The largest view of several; one answer of it is enough. */
    if (response->view_number < r->sync.entering) {
        drop(r, DROP_OLD_VIEW);
        return;
    }
    if (sync_running(r, response->view_number) || r->install.phase != INSTALL_NONE) {
        drop(r, DROP_DUPLICATE);
        return;
    }
    VR_MARK(D6_follows_an_acting_primary);
    sync_begin(r, &response->log, response->view_number, peer, others_mask(r));
}

/* ---- D9: too few remember ---- */

/* Members that lost their log and have not come back: those that ask for recovery. */
static uint32_t recovering_count(const struct replica *r)
{
    uint32_t count = r->status == STATUS_RECOVERING ? 1 : 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        count += r->peers[i].recovery_heard_ns != 0 ? 1u : 0u;
    }
    return count;
}

void watch_group(struct replica *r)
{
    const bool pulls =
        r->sync.active && r->time.now_ns - r->sync.progress_ns < 10 * r->options.view_change_ns;
    /* An acting primary gives them back what they lost. */
    const bool led = r->acting_primary || (r->status == STATUS_NORMAL && !r->suspecting);
    const bool lost = !led && recovering_count(r) > r->member_count - r->quorum && !pulls;
    if (!lost) {
        r->lost_since_ns = 0;
    } else if (r->lost_since_ns == 0) {
        VR_MARK(D9_too_few_remember);
        r->lost_since_ns = r->time.now_ns;
    }
}

/* While too few members are left that remember, no view can start; it is said once that has lasted,
 * as an acting primary that is still there would have answered by then. */
bool group_lost(const struct replica *r)
{
    return r->lost_since_ns != 0 &&
           r->time.now_ns - r->lost_since_ns >= 10 * r->options.view_change_ns;
}
