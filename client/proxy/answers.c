/* SPDX-License-Identifier: Apache-2.0 */
/* What replicas answer, and what it means: who is primary (C6), and what became of a request. */
#include "client/proxy/requests.h"
#include "common/base/mark.h"

/* ---- who is primary ---- */

/* The primary is another one, or only known now: whoever is in flight asks it at once. A primary
 * that is only known now was perhaps asked already, when everybody was. */
static void follow_primary(struct proxy *proxy, enum group_news news, uint64_t now_ns)
{
    const uint32_t primary = group_primary(&proxy->group);
    if (news == GROUP_SAME || primary == TARGET_NONE) {
        return;
    }
    uint32_t index = proxy->table.lists[LIST_WAITING].first;
    const uint32_t last = proxy->table.lists[LIST_WAITING].last;
    while (index != SESSION_NONE) {
        struct session *session = session_at(proxy, index);
        const uint32_t next = index == last ? SESSION_NONE : session->next;
        if (is_stale_read(session)) {
            /* It asks whom it likes. */
        } else if (news == GROUP_CHANGED || (session->tried_mask & (1u << primary)) == 0) {
            session->retries++;
            VR_MARK(C6_request_follows_the_primary);
            session->rtt_valid = false;
            request_send_first(proxy, session, now_ns);
        }
        index = next;
    }
}

/* `primary` as in group_learn_view(). */
static void learn_view(struct proxy *proxy, uint64_t view_number, uint32_t primary, uint64_t now_ns)
{
    const enum group_news news = group_learn_view(&proxy->group, view_number, primary, now_ns);
    if (news == GROUP_CHANGED) {
        request_group_answers(proxy, now_ns);
    }
    follow_primary(proxy, news, now_ns);
    if (news != GROUP_SAME && proxy->in_flight_count > 0) {
        proxy_ask_status_if_wanted(proxy, now_ns);
    }
}

void proxy_set_member_addresses(struct proxy *proxy, const struct net_address *addresses,
                                uint64_t now_ns)
{
    const uint32_t before = group_primary(&proxy->group);
    uint32_t became[PROXY_SEEDS_MAX];
    if (!group_place_members(&proxy->group, addresses, became)) {
        return;
    }
    /* Targets changed places: so do the sets of them that sessions hold. */
    for (uint32_t i = 0; i < proxy->table.capacity; i++) {
        struct session *session = session_at(proxy, i);
        uint32_t send = 0;
        uint32_t tried = 0;
        for (uint32_t bit = 0; bit < PROXY_SEEDS_MAX; bit++) {
            if (became[bit] != TARGET_NONE) {
                send |= (session->send_mask >> bit & 1u) << became[bit];
                tried |= (session->tried_mask >> bit & 1u) << became[bit];
            }
        }
        session->tried_mask = tried;
        session->send_mask = send;
        if (session->list == LIST_SEND && send == 0) {
            session->send_mask = request_first_choice(proxy);
        }
    }
    proxy->status_mask = 0;
    const uint32_t primary = group_primary(&proxy->group);
    if (before == TARGET_NONE || became[before] != primary) {
        follow_primary(proxy, GROUP_PLACED, now_ns);
    }
}

/* ---- answers ---- */

/* True if the reply is to what this session has in flight. Late duplicates of older replies, and
 * replies to a session number that was found expired, are not (CT-2). */
static bool answers_request(const struct session *session, const struct reply *reply)
{
    if (session->state == SESSION_REGISTERING) {
        return reply->request_number == 0 && reply->status == REPLY_OK &&
               reply->session > session->expired_number;
    }
    if (session->state == SESSION_READING) {
        return reply->session == 0 && reply->request_number == session->read_number;
    }
    return session->state == SESSION_REQUESTING && reply->session == session->number &&
           reply->request_number == session->request_number;
}

static void on_registered(struct proxy *proxy, struct session *session, const struct reply *reply,
                          uint64_t now_ns)
{
    session->number = reply->session;
    request_begin(proxy, session, now_ns);
}

/* C4: evicted. That this copy met an unknown session says nothing of the others, and there may be
 * others even if it was sent once: the network makes copies, too. One that came earlier may have
 * been executed before the eviction, its reply lost. */
static void on_session_expired(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    session->expired_number = session->number;
    session->number = 0;
    if (request_outcome_unanswered(session) == PROXY_UNKNOWN) {
        VR_MARK(C4_evicted_request_has_an_unknown_outcome);
        request_complete(proxy, session, PROXY_UNKNOWN, PROXY_ERROR_SESSION_EXPIRED);
        return;
    }
    session->retries++;
    request_begin(proxy, session, now_ns);
}

static void on_executed(struct proxy *proxy, struct session *session, const struct reply *reply)
{
    request_complete(proxy, session, PROXY_OK, PROXY_ERROR_NONE);
    session->result = reply->result;
    session->result_size = reply->result_size;
    session->op_number = reply->op_number;
    session->commit_number = reply->commit_number;
    session->view_number = reply->view_number;
}

/* R1: this primary wants no reads beside the log; the same operation goes there. */
static void on_read_by_log(struct proxy *proxy, struct session *session, const struct reply *reply,
                           uint64_t now_ns)
{
    proxy->log_reads_view = reply->view_number;
    session->read_mode = (enum read_mode)0;
    session->retries++;
    request_begin(proxy, session, now_ns);
}

static void settle(struct proxy *proxy, struct session *session, const struct reply *reply,
                   uint64_t now_ns)
{
    switch (reply->status) {
    case REPLY_OK:
        if (session->state == SESSION_REGISTERING) {
            on_registered(proxy, session, reply, now_ns);
        } else {
            on_executed(proxy, session, reply);
        }
        return;
    case REPLY_SESSION_EXPIRED:
        on_session_expired(proxy, session, now_ns);
        return;
    case REPLY_PAYLOAD_MISMATCH: /* this number is another payload's, so this one never was executed
                                  */
        request_complete(proxy, session, PROXY_FAILED, PROXY_ERROR_PAYLOAD_MISMATCH);
        return;
    case REPLY_SUPERSEDED: /* somebody else uses this session (CT-7) */
        request_complete(proxy, session, request_outcome_unanswered(session),
                         PROXY_ERROR_PAYLOAD_MISMATCH);
        return;
    case REPLY_OPERATION_TOO_LARGE:
        request_complete(proxy, session, PROXY_FAILED, PROXY_ERROR_TOO_LARGE);
        return;
    case REPLY_READ_BY_LOG:
        if (session->state == SESSION_READING) {
            on_read_by_log(proxy, session, reply, now_ns);
        }
        return;
    case REPLY_NOT_A_READ:
        request_complete(proxy, session, PROXY_FAILED, PROXY_ERROR_NOT_A_READ);
        return;
    }
}

/* Who answered, and in which view: before the session goes on, so that it goes on there. */
static void learn_from_reply(struct proxy *proxy, const struct session *session, uint32_t target,
                             const struct reply *reply, uint64_t now_ns)
{
    struct group *group = &proxy->group;
    if (reply->view_number < group->view.view_number && session->attempts > 1 &&
        group->view_learned_ns < session->submitted_ns) {
        group_correct_view(group, reply->view_number, target, now_ns);
    } else {
        learn_view(proxy, reply->view_number, target, now_ns);
    }
}

/* R4: whoever it was may be far behind, and need not be primary. */
static void on_stale_reply(struct proxy *proxy, struct session *session, const struct reply *reply,
                           uint64_t now_ns)
{
    session_move(&proxy->table, index_of(proxy, session), LIST_NONE);
    learn_view(proxy, reply->view_number, TARGET_NONE, now_ns);
    settle(proxy, session, reply, now_ns);
}

static void on_reply(struct proxy *proxy, const struct message *message, uint32_t target,
                     uint64_t now_ns)
{
    const struct reply *reply = &message->reply;
    const uint32_t index = session_find(&proxy->table, reply->client_id);
    if (index == SESSION_NONE || !answers_request(session_at(proxy, index), reply)) {
        return;
    }
    struct session *session = session_at(proxy, index);
    if (is_stale_read(session)) {
        on_stale_reply(proxy, session, reply, now_ns);
        return;
    }
    proxy->group.view.busy_since_ns = 0;
    request_measure_rtt(proxy, session, now_ns);
    /* Answered: it must not be sent again with the others when the view is learned. */
    session_move(&proxy->table, index, LIST_NONE);
    if (proxy->probe == index) {
        proxy->probe = SESSION_NONE;
    }
    learn_from_reply(proxy, session, target, reply, now_ns);
    settle(proxy, session, reply, now_ns);
    request_group_answers(proxy, now_ns);
}

/* True if NotPrimary or Busy speaks of what the session has in flight. */
static bool is_about_request(const struct session *session, uint64_t number,
                             uint64_t request_number)
{
    if (session->state == SESSION_REGISTERING) {
        return number == 0 && request_number == 0;
    }
    if (session->state == SESSION_READING) {
        return number == 0 && request_number == session->read_number;
    }
    return session->state == SESSION_REQUESTING && number == session->number &&
           request_number == session->request_number;
}

static void on_not_primary(struct proxy *proxy, const struct message *message, uint32_t target,
                           uint64_t now_ns)
{
    const struct not_primary *answer = &message->not_primary;
    const uint32_t index = session_find(&proxy->table, answer->client_id);
    if (index == SESSION_NONE) {
        return; /* not to us: the name proves that one of our requests was received */
    }
    if (target != TARGET_NONE) {
        proxy->group.view.targets[target].status = answer->status;
    }
    const bool from_primary = target != TARGET_NONE && target == group_primary(&proxy->group);
    learn_view(proxy, answer->last_normal_view, TARGET_NONE, now_ns);
    struct session *session = session_at(proxy, index);
    /* Whom we took for the primary is not: ask everybody now, once; later the timer does. */
    const bool misled = (from_primary && target == group_primary(&proxy->group)) ||
                        is_stale_read(session); /* which a recovering replica does not answer */
    if (misled && session->attempts == 1 && session->list == LIST_WAITING &&
        is_about_request(session, answer->session, answer->request_number)) {
        request_retry(proxy, session, now_ns);
    }
}

/* It goes on by its timer, to the primary alone; a stale read to whomever comes next. */
static void back_off(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    session->last_was_busy = true;
    session->rtt_valid = false;
    session->backing_off = true;
    session->send_mask = 0;
    session_move(&proxy->table, index_of(proxy, session), LIST_WAITING);
    session->interval_ns =
        request_next_interval(proxy, session->interval_ns, now_ns - session->submitted_ns);
    request_set_timer(proxy, session,
                      add_saturating(now_ns, request_jittered(proxy, session->interval_ns)));
}

static void on_busy(struct proxy *proxy, const struct message *message, uint32_t target,
                    uint64_t now_ns)
{
    const struct busy *busy = &message->busy;
    const uint32_t index = session_find(&proxy->table, busy->client_id);
    if (index == SESSION_NONE) {
        return;
    }
    struct session *session = session_at(proxy, index);
    if (!is_about_request(session, busy->session, busy->request_number) ||
        session->list == LIST_PARKED || session->list == LIST_HELD) {
        return;
    }
    proxy->group.view.busy_reason = busy->reason;
    if (is_stale_read(session)) {
        back_off(proxy, session, now_ns);
        return;
    }
    if (proxy->group.view.busy_since_ns == 0) {
        proxy->group.view.busy_since_ns = now_ns;
    }
    session_move(&proxy->table, index,
                 LIST_NONE); /* the others follow a new view; this one waits */
    learn_view(proxy, busy->view_number, target, now_ns);
    back_off(proxy, session, now_ns);
    request_group_answers(proxy, now_ns);
}

/* M3: this replica answers at length once its token is echoed. Whatever was sent to it with another
 * token is sent again, at once and without touching the timers. */
static void on_challenge(struct proxy *proxy, const struct message *message, uint32_t target,
                         uint64_t now_ns)
{
    struct group *group = &proxy->group;
    if (target == TARGET_NONE || message->challenge.token == 0 ||
        message->challenge.token == group->tokens[target]) {
        return;
    }
    const bool too_soon = group->tokens[target] != 0 &&
                          now_ns - group->challenged_ns[target] < proxy->options.retry_first_ns;
    group->tokens[target] = message->challenge.token;
    group->challenged_ns[target] = now_ns;
    if (too_soon) {
        return; /* forged ones must not make this client a source of traffic */
    }
    if (proxy->status_due_ns != UINT64_MAX) {
        proxy->status_mask |= 1u << target & group_everybody(group);
    }
    uint32_t index = proxy->table.lists[LIST_WAITING].first;
    while (index != SESSION_NONE) {
        struct session *session = session_at(proxy, index);
        index = session->next;
        if ((session->tried_mask & (1u << target)) != 0) {
            session->send_mask = 1u << target;
            session_move(&proxy->table, index_of(proxy, session), LIST_SEND);
        }
    }
}

static void on_refused(struct proxy *proxy, const struct message *message, uint32_t target)
{
    const bool unheard = seeds_is_unheard(proxy, &message->address);
    if (target == TARGET_NONE && !unheard) {
        return;
    }
    proxy->group.view.refusal = message->refused;
    proxy->group.view.refused_by = message->address;
    const bool list =
        message->refused.reason == REFUSED_CLUSTER || message->refused.reason == REFUSED_PEERS_PORT;
    const bool version = message->refused.reason == REFUSED_VERSION;
    if (list && unheard) {
        seeds_found_wrong(proxy);
    } else if ((list || version) && proxy->group.view.configuration == NULL) {
        /* One replica of a group that is known to be the right one may be wrong; others go on. */
        request_give_up_all(proxy, request_refusal_error(&proxy->group.view));
    }
}

static void on_status(struct proxy *proxy, const struct message *message, uint32_t target,
                      uint64_t now_ns)
{
    const struct status_report *report = message->status;
    if (report->nonce != proxy->status_nonce ||
        !proxy_heard_cluster(proxy, &message->address, report->cluster_id)) {
        return;
    }
    if (target != TARGET_NONE) {
        proxy->group.view.targets[target].status = report->status;
    }
    if (report->configuration != NULL &&
        report->configuration->cluster_id == proxy->group.view.cluster_id) {
        follow_primary(proxy, group_learn_configuration(&proxy->group, report->configuration),
                       now_ns);
    }
    learn_view(proxy, report->last_normal_view, TARGET_NONE, now_ns);
    if (!group_wants_configuration(&proxy->group)) {
        proxy->status_due_ns = UINT64_MAX;
        proxy->status_mask = 0;
    }
}

bool proxy_heard_cluster(struct proxy *proxy, const struct net_address *address,
                         uint64_t cluster_id)
{
    struct proxy_view *view = &proxy->group.view;
    if (cluster_id == 0 || cluster_id == view->cluster_id) {
        return true;
    }
    if (view->cluster_id == 0) {
        view->cluster_id = cluster_id;
        return true;
    }
    view->refusal =
        (struct refused){.reason = REFUSED_CLUSTER, .own = cluster_id, .yours = view->cluster_id};
    view->refused_by = *address;
    if (seeds_is_unheard(proxy, address)) {
        seeds_found_wrong(proxy);
    } else if (view->configuration == NULL) {
        request_give_up_all(proxy, request_refusal_error(view));
    }
    return false;
}

void proxy_receive(struct proxy *proxy, const struct message *message, uint64_t now_ns)
{
    const uint32_t target = group_find(&proxy->group, message);
    if (target != TARGET_NONE) {
        group_heard(&proxy->group, target, message->from, now_ns);
    }
    if (message->type != MESSAGE_REFUSED) {
        seeds_heard(proxy, &message->address, now_ns);
    }
    switch (message->type) {
    case MESSAGE_REPLY:
        on_reply(proxy, message, target, now_ns);
        return;
    case MESSAGE_NOT_PRIMARY:
        on_not_primary(proxy, message, target, now_ns);
        return;
    case MESSAGE_BUSY:
        on_busy(proxy, message, target, now_ns);
        return;
    case MESSAGE_CHALLENGE:
        on_challenge(proxy, message, target, now_ns);
        return;
    case MESSAGE_REFUSED:
        on_refused(proxy, message, target);
        return;
    case MESSAGE_STATUS:
        on_status(proxy, message, target, now_ns);
        return;
    default:
        return; /* nothing that a client is told */
    }
}
