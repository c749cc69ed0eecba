/* SPDX-License-Identifier: Apache-2.0 */
/* checkers.h - the invariants of PROTOCOL section 11, as functions over plain data.
 *
 * The simulator fills in what it observes of a replica after every step and asks. A checker returns
 * false and says in *report what it saw; test/unit/test_sim_checkers.c feeds each exactly its
 * fault.
 *
 * Ownership: the caller's arrays are borrowed for the call. Memory grows with the history and is
 * kept between runs. */
#ifndef VR_SUPPORT_CHECKERS_H
#define VR_SUPPORT_CHECKERS_H

#include "common/base/message.h"

struct sim_report {
    char text[1024];
};

/* One replica, as it is after a step. `chain[op]` is the checksum at op of the log that it holds,
 * for 0 (the start of the chain) to op_number. */
struct sim_observed {
    uint32_t replica; /* member index */
    uint64_t incarnation;
    enum vr_status status;
    bool acting_primary;
    uint64_t view_number;
    uint64_t last_normal_view;
    uint64_t op_number;
    uint64_t commit_number;
    uint64_t executed_op;
    struct checksum head_checksum;
    struct checksum commit_checksum;
    const struct checksum *chain;
};

/* ---- I1: one history of committed entries. ---- */

struct sim_history {
    struct checksum *checksums; /* [op]; [0] is the start of the chain */
    uint64_t *views;            /* [op]: in which view it was first seen committed */
    uint64_t committed;         /* the highest op that any replica ever committed */
    uint64_t acknowledged;      /* the highest op that any client was told of */
    size_t capacity;
};

void sim_history_reset(struct sim_history *history, struct checksum chain_start);
void sim_history_free(struct sim_history *history);

/* Compares ops above `from_op` up to the replica's commit_number with the history, and extends it.
 * What lies below was compared before; the checksum at commit_number covers it all the same. */
bool sim_check_agreement(struct sim_history *history, const struct sim_observed *observed,
                         uint64_t from_op, struct sim_report *report);

/* ---- I2 and I5: views. ---- */

/* How a view began: its primary, and the log that it began with. */
struct sim_view {
    uint64_t view_number;
    uint32_t replica;
    uint64_t incarnation;
    uint64_t start_op;
    struct checksum start_checksum;
    uint64_t known_from;    /* chain[0] below is the checksum at this op */
    struct checksum *chain; /* checksums at known_from..start_op */
};

struct sim_views {
    struct sim_view *views; /* in the order in which they began */
    size_t count;
    size_t capacity;
};

void sim_views_reset(struct sim_views *views);
void sim_views_free(struct sim_views *views);
const struct sim_view *sim_views_find(const struct sim_views *views, uint64_t view_number);

/* I5: an acting primary is normal, is the view's primary by V5, and the only one that view ever
 * had, in one run of its process. Records a view that begins here: *started says so. */
bool sim_check_acting_primary(struct sim_views *views, const struct sim_history *history,
                              const struct sim_observed *observed, uint32_t expected_primary,
                              bool *started, struct sim_report *report);

/* I2: a view that begins holds everything committed in earlier views. */
bool sim_check_view_start(const struct sim_history *history, const struct sim_observed *observed,
                          struct sim_report *report);

/* I2, the other way round: what is committed in an earlier view while a later one has begun lies in
 * the log that the later one began with. `op` was just committed in `view_number`. */
bool sim_check_late_commit(const struct sim_views *views, const struct sim_history *history,
                           uint64_t op, uint64_t view_number, struct sim_report *report);

/* I2: a client is told only of what some replica knows to be committed. */
bool sim_check_acknowledged(struct sim_history *history, uint64_t op_number,
                            struct sim_report *report);

/* ---- I3: at most once. ---- */

struct sim_request_key {
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
};

/* Which op executed a request: open addressing, grown when half full. */
struct sim_executions {
    struct sim_execution {
        struct sim_request_key key; /* session 0: empty */
        uint64_t op_number;         /* 0: never executed */
        bool forbidden;             /* its client was told that it never would be */
    } * slots;
    size_t capacity; /* a power of two */
    size_t count;
};

void sim_executions_reset(struct sim_executions *executions);
void sim_executions_free(struct sim_executions *executions);

/* The application executed `op_number`, which carries this request, on some replica. Every replica
 * executes a request at the same one op. */
bool sim_check_executed_once(struct sim_executions *executions, const struct sim_request_key *key,
                             uint64_t op_number, struct sim_report *report);

/* C5: a client was told that this request surely was not, and never will be, executed. */
bool sim_check_never_executed(struct sim_executions *executions, const struct sim_request_key *key,
                              struct sim_report *report);

/* ---- I4: linearizability of what goes through the log, with the log's order as witness. ---- */

struct sim_answer {
    uint64_t op_number;
    uint64_t acknowledged_before; /* the highest op anyone was told of when this was invoked */
    uint64_t result_hash;         /* of what the client got */
};

/* Real time: an operation that began after another was acknowledged comes behind it in the log; and
 * its answer is what the model yields at that op. */
/* Section 5: what was read beside the log shows all that was acknowledged, or asked for, before. */
bool sim_check_read(const struct sim_history *history, uint64_t op_number, uint64_t least_op,
                    struct sim_report *report);

bool sim_check_answer(const struct sim_answer *answer, uint64_t model_hash,
                      struct sim_report *report);

/* ---- I6: nothing goes backwards. ---- */

/* `before` is the same replica earlier in the same run of its process. */
bool sim_check_progress(const struct sim_observed *before, const struct sim_observed *after,
                        struct sim_report *report);

/* S2 within one state. */
bool sim_check_state(const struct sim_observed *observed, struct sim_report *report);

struct sim_durable {
    uint64_t view_number;
    uint64_t last_normal_view;
};

/* State files across restarts. */
bool sim_check_durable_progress(const struct sim_durable *before, const struct sim_durable *after,
                                struct sim_report *report);

/* S1, N4, V4: a message reveals no view that the state file was not reported to hold, and claims no
 * entry that is not as durable as the mode requires. A vote may be for the view after the own one,
 * or for what others voted for: `vote_heard` is the latest such view (V2; 0: none). */
bool sim_check_revealed(const struct message *message, const struct sim_durable *durable,
                        uint64_t durable_op, uint64_t vote_heard, struct sim_report *report);

/* ---- I7: logs within a view. ---- */

bool sim_check_prefix(const struct sim_observed *a, const struct sim_observed *b,
                      struct sim_report *report);

/* A replica that is normal in a view holds the log that the view began with. */
bool sim_check_holds_view_start(const struct sim_views *views, const struct sim_observed *observed,
                                struct sim_report *report);

/* ---- I8: state digests. ---- */

struct sim_digests {
    struct checksum *digests; /* [op] */
    bool *known;
    size_t capacity;
};

void sim_digests_reset(struct sim_digests *digests);
void sim_digests_free(struct sim_digests *digests);
bool sim_check_digest(struct sim_digests *digests, uint32_t replica, uint64_t op_number,
                      struct checksum digest, struct sim_report *report);

/* ---- I9: liveness, once faults stopped. ---- */

/* All of the core is normal in one view, with one commit_number, executed that far, and one of it
 * is the acting primary. */
bool sim_check_converged(const struct sim_observed *core, uint32_t count,
                         struct sim_report *report);

/* ---- I10: bounds. ---- */

struct sim_bound {
    const char *what;
    uint64_t value;
    uint64_t limit;
};

bool sim_check_bounds(uint32_t replica, const struct sim_bound *bounds, size_t count,
                      struct sim_report *report);

#endif
