/* SPDX-License-Identifier: Apache-2.0 */
/* A majority that has lost what it acknowledged, and a person who says what is to be kept: rule D9,
 * by scripted schedules and by drawn ones. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/restore_choose.h"
#include "server/vr/replica.h"
#include "test/support/core_fixture.h"

static struct core_fixture f;

static void begin(uint32_t count)
{
    core_free(&f);
    core_init(&f, count);
    f.defaults.durability = DURABILITY_ASYNC;
}

static void setup(void)
{
    core_init(&f, 3);
    f.defaults.durability = DURABILITY_ASYNC;
}

static void teardown(void)
{
    core_free(&f);
}

/* ---- what vr-client does ---- */

static struct restore_report ask(uint32_t node)
{
    const uint32_t before = f.to_client_count;
    core_inject(&f, node, node,
                (struct message){.type = MESSAGE_RESTORE_STATUS, .restore_status = {.nonce = 9}});
    ck_assert_uint_eq(f.to_client_count, before + 1);
    ck_assert_int_eq((int)f.to_client.type, MESSAGE_RESTORE_REPORT);
    ck_assert_uint_eq(f.to_client.restore_report.nonce, 9);
    ck_assert(message_validate(&f.to_client));
    return f.to_client.restore_report;
}

static enum restore_outcome tell(uint32_t node, const struct restore *restore)
{
    const struct message m = {.type = MESSAGE_RESTORE, .restore = *restore};
    ck_assert(message_validate(&m));
    core_inject(&f, node, node, m);
    ck_assert_int_eq((int)f.to_client.type, MESSAGE_RESTORE_REPORT);
    ck_assert(message_validate(&f.to_client));
    return f.to_client.restore_report.outcome;
}

/* The choice that is made from those in `mask`; recovery_nonce is each one's own. */
static struct restore choose(uint32_t mask, struct restore_report reports[REPLICAS_MAX])
{
    struct restore restore = {.nonce = 5};
    for (uint32_t i = 0; i < f.count; i++) {
        if ((mask & (1u << i)) == 0) {
            continue;
        }
        reports[i] = ask(i);
        const struct log_descriptor *log = &reports[i].log;
        if (reports[i].view_number >= restore.view_number) {
            restore.view_number = reports[i].view_number + 1;
        }
        if (log->last_normal_view > restore.last_normal_view) {
            restore.last_normal_view = log->last_normal_view;
        }
        if (log->commit_number > restore.log.commit_number) {
            restore.log.commit_number = log->commit_number;
            restore.log.commit_checksum = log->commit_checksum;
        }
    }
    const uint64_t commit_number = restore.log.commit_number;
    const struct checksum commit_checksum =
        commit_number == 0 ? core_descriptor(&f, 0).commit_checksum : restore.log.commit_checksum;
    const struct log_descriptor *best = NULL;
    for (uint32_t i = 0; i < f.count; i++) {
        const struct log_descriptor *log = &reports[i].log;
        if ((mask & (1u << i)) != 0 && log->op_number >= commit_number &&
            (best == NULL || log->last_normal_view > best->last_normal_view ||
             (log->last_normal_view == best->last_normal_view &&
              log->op_number > best->op_number))) {
            best = log;
            restore.source = i + 1;
        }
    }
    ck_assert_ptr_nonnull(best);
    restore.log = *best;
    restore.log.commit_number = commit_number;
    restore.log.commit_checksum =
        commit_number == 0 ? vr_log_checksum(&f.nodes[restore.source - 1].replica->log, 0)
                           : commit_checksum;
    return restore;
}

static void tell_all(uint32_t mask, struct restore restore,
                     const struct restore_report reports[REPLICAS_MAX])
{
    for (uint32_t i = 0; i < f.count; i++) {
        if ((mask & (1u << i)) != 0 && reports[i].recovery_nonce != 0) {
            restore.recovery_nonce = reports[i].recovery_nonce;
            (void)tell(i, &restore);
        }
    }
}

/* Entries that all hold, and then a power cut. */
static uint64_t form_and_lose_power(uint64_t entries)
{
    const uint32_t primary = core_form(&f);
    for (uint64_t i = 0; i < entries; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
    }
    core_run(&f, 50);
    for (uint32_t i = 0; i < f.count; i++) {
        ck_assert_uint_eq(core_see(&f, i)->commit_number, entries);
    }
    for (uint32_t i = 0; i < f.count; i++) {
        core_crash(&f, i);
    }
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    return f.nodes[primary].disk.view_number;
}

static void check_all_hold(uint64_t op_number)
{
    for (uint32_t i = 0; i < f.count; i++) {
        if (f.nodes[i].up) {
            ck_assert_uint_eq(core_see(&f, i)->op_number, op_number);
            ck_assert(
                checksum_equal(core_see(&f, i)->head_checksum, core_see(&f, 0)->head_checksum));
        }
    }
}

/* ---- the way back ---- */

/* Everybody lost something, each as much as its disk did: the longest log is kept, whole. */
START_TEST(the_longest_log_is_what_comes_back)
{
    const uint64_t view = form_and_lose_power(20);
    core_recover(&f, 0, 11, 9);
    core_recover(&f, 1, 17, 10);
    core_recover(&f, 2, 5, 0);
    core_run(&f, 5000);
    ck_assert(core_see(&f, 0)->group_lost);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX);

    struct restore_report reports[REPLICAS_MAX];
    const struct restore restore = choose(7, reports);
    ck_assert_uint_eq(restore.source, 2);
    ck_assert_uint_eq(restore.log.op_number, 17);
    ck_assert_uint_eq(restore.log.commit_number, 10);
    tell_all(7, restore, reports);
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(17);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(core_see(&f, i)->commit_number, 17);
        ck_assert_uint_gt(core_see(&f, i)->view_number, view);
        ck_assert(f.nodes[i].disk.log_valid);
        ck_assert(!core_see(&f, i)->group_lost);
    }
    core_request(&f, core_primary(&f), "y"); /* and it serves */
    core_settle(&f);
    check_all_hold(18);
}
END_TEST

/* One member is away for good, and one that remembers nothing more comes later. */
START_TEST(a_majority_is_enough)
{
    (void)form_and_lose_power(8);
    core_recover(&f, 0, 3, 0);
    core_recover(&f, 1, 6, 0);
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    const struct restore restore = choose(3, reports);
    tell_all(3, restore, reports);
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(6);
    core_recover(&f, 2, 7, 0); /* more than the group has by now: it gives that up */
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(6);
}
END_TEST

/* The one that remembers keeps all, and gives it to the others. */
START_TEST(who_remembers_all_refuses_and_is_the_source)
{
    (void)form_and_lose_power(8);
    core_resume(&f, 0, 8);
    core_recover(&f, 1, 2, 0);
    core_recover(&f, 2, 0, 0);
    core_run(&f, 3000);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX);
    struct restore_report reports[REPLICAS_MAX];
    struct restore restore = choose(7, reports);
    ck_assert_uint_eq(restore.source, 1);
    ck_assert_int_eq((int)tell(0, &restore), RESTORE_NOT_RECOVERING);
    tell_all(7, restore, reports);
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(8);
}
END_TEST

/* V6's order alone would take a log that is gone for the best: what is known to be committed goes
 * first. */
START_TEST(a_later_view_that_has_lost_its_log_is_no_best_log)
{
    (void)form_and_lose_power(10);
    f.nodes[2].disk.view_number += 2;
    f.nodes[2].disk.last_normal_view = f.nodes[2].disk.view_number;
    core_recover(&f, 0, 9, 4);
    core_recover(&f, 1, 6, 4);
    core_recover(&f, 2, 1, 0);
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    const struct restore restore = choose(7, reports);
    ck_assert_uint_eq(restore.source, 1);
    ck_assert_uint_eq(restore.last_normal_view, f.nodes[2].disk.last_normal_view);
    tell_all(7, restore, reports);
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(9);
}
END_TEST

/* ---- said again, late, by two, in the middle ---- */

START_TEST(said_again_it_changes_nothing)
{
    (void)form_and_lose_power(12);
    for (uint32_t i = 0; i < 3; i++) {
        core_recover(&f, i, 4 + 2 * i, 0);
    }
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    struct restore restore = choose(7, reports);
    restore.recovery_nonce = reports[0].recovery_nonce;
    ck_assert_int_eq((int)tell(0, &restore), RESTORE_STARTED);
    ck_assert_int_eq((int)tell(0, &restore), RESTORE_STARTED);
    tell_all(7, restore, reports);
    ck_assert(core_run_until_normal(&f, 5000));
    core_request(&f, core_primary(&f), "y");
    core_settle(&f);
    const uint64_t view = core_see(&f, 0)->view_number;
    ck_assert_int_eq((int)tell(0, &restore), RESTORE_DONE);
    tell_all(7, restore, reports);
    core_run(&f, 500);
    check_all_hold(9);
    ck_assert_uint_eq(core_see(&f, 0)->view_number, view);
}
END_TEST

/* Two people choose differently, each from whom they reach; the first has a group that serves. */
START_TEST(a_second_choice_loses_nothing_of_a_group_that_serves)
{
    (void)form_and_lose_power(12);
    core_recover(&f, 0, 7, 0);
    core_recover(&f, 1, 5, 0);
    core_recover(&f, 2, 11, 0);
    core_isolate(&f, 2);
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    struct restore_report others[REPLICAS_MAX];
    const struct restore first = choose(3, reports);
    struct restore second = choose(7, others);
    ck_assert_uint_eq(second.source, 3);
    second.view_number += 5; /* even above the view that serves */
    tell_all(3, first, reports);
    core_run(&f, 3000);
    const uint32_t primary = core_primary(&f);
    ck_assert_uint_lt(primary, 2);
    for (uint32_t i = 0; i < 5; i++) {
        core_request(&f, primary, "acknowledged");
        core_settle(&f);
    }
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 12);
    tell_all(7, second, others);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 20000));
    check_all_hold(12);
    ck_assert(core_holds(&f, 2, 8, "acknowledged"));
}
END_TEST

START_TEST(two_choices_at_once_end_in_one_log)
{
    for (uint32_t order = 0; order < 8; order++) {
        begin(3);
        (void)form_and_lose_power(12);
        core_recover(&f, 0, 7, 3);
        core_recover(&f, 1, 5, 2);
        core_recover(&f, 2, 11, 1);
        core_run(&f, 100);
        struct restore_report reports[REPLICAS_MAX];
        const struct restore first = choose(3, reports);
        const struct restore second = choose(7, reports);
        for (uint32_t i = 0; i < 3; i++) {
            struct restore one = (order & (1u << i)) != 0 ? first : second;
            struct restore other = (order & (1u << i)) != 0 ? second : first;
            one.recovery_nonce = other.recovery_nonce = reports[i].recovery_nonce;
            (void)tell(i, &one);
            (void)tell(i, &other);
        }
        if (!core_run_until_normal(&f, 5000)) {
            /* The longest log was given up by who held it, as it was told to: choose again. */
            tell_all(7, choose(7, reports), reports);
        }
        ck_assert(core_run_until_normal(&f, 20000));
        ck_assert_uint_ge(core_see(&f, 0)->op_number, 7);
        check_all_hold(core_see(&f, 0)->op_number);
    }
}
END_TEST

/* Killed with the log replaced and the state file not: it recovers again, and is told again. */
START_TEST(killed_in_the_middle)
{
    (void)form_and_lose_power(12);
    core_recover(&f, 0, 7, 0);
    core_recover(&f, 1, 11, 0);
    core_recover(&f, 2, 3, 0);
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    const struct restore restore = choose(7, reports);
    f.nodes[0].hold_state = true;
    tell_all(1, restore, reports);
    core_run(&f, 100);
    ck_assert_int_eq((int)core_see(&f, 0)->status, STATUS_RECOVERING);
    ck_assert(!f.nodes[0].disk.log_valid);
    core_crash(&f, 0);
    f.nodes[0].hold_state = false;
    core_recover(&f, 0, 11, 0);
    tell_all(6, restore, reports);
    ck_assert_int_eq((int)tell(0, &restore), RESTORE_CHANGED); /* another start */
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(11);
}
END_TEST

/* Nothing is acked, voted or said to be held before the state file is durable. */
START_TEST(it_takes_part_only_once_all_is_durable)
{
    (void)form_and_lose_power(5);
    for (uint32_t i = 0; i < 3; i++) {
        core_recover(&f, i, 4, 0);
    }
    core_run(&f, 100);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    f.nodes[0].hold_state = true;
    struct restore_report reports[REPLICAS_MAX];
    tell_all(1, choose(7, reports), reports);
    core_run(&f, 300);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_DO_VIEW_CHANGE, 0, CORE_ANY), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_START_VIEW_CHANGE, 0, CORE_ANY), 0);
    core_state_done(&f, 0);
    core_run(&f, 100);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_DO_VIEW_CHANGE, 0, CORE_ANY), 0);
}
END_TEST

/* A primary that still acts gives back all: it goes first, whatever was said. */
START_TEST(an_acting_primary_goes_first)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_run(&f, 50);
    const uint32_t a = (primary + 1) % 3;
    const uint32_t b = (primary + 2) % 3;
    core_crash(&f, a);
    core_crash(&f, b);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_isolate(&f, primary);
    core_recover(&f, a, 0, 0);
    core_recover(&f, b, 0, 0);
    core_run(&f, 3000);
    struct restore_report reports[REPLICAS_MAX];
    const struct restore restore = choose(1u << a | 1u << b, reports);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, CORE_ANY);
    f.nodes[a].hold_log = true;
    core_no_rules(&f);
    core_run(&f, 300);
    tell_all(1u << a | 1u << b, restore, reports);
    f.nodes[a].hold_log = false;
    core_log_done(&f, a);
    ck_assert(core_run_until_normal(&f, 5000));
    check_all_hold(1);
}
END_TEST

/* What this one knows to be committed is not in the log that was chosen: it stays as it is. */
START_TEST(a_log_that_lacks_what_is_committed_is_not_taken_over)
{
    (void)form_and_lose_power(10);
    core_recover(&f, 0, 9, 9);
    core_recover(&f, 1, 4, 0);
    core_recover(&f, 2, 3, 0);
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    struct restore restore = choose(6, reports); /* without the first */
    reports[0] = ask(0);
    restore.recovery_nonce = reports[0].recovery_nonce;
    core_inject(&f, 0, 0, (struct message){.type = MESSAGE_RESTORE, .restore = restore});
    ck_assert_uint_eq(core_see(&f, 0)->op_number, 9);
    ck_assert_uint_eq(core_see(&f, 0)->commit_number, 9);
}
END_TEST

START_TEST(what_cannot_be_meant_is_refused)
{
    (void)form_and_lose_power(4);
    for (uint32_t i = 0; i < 3; i++) {
        core_recover(&f, i, 3, 0);
    }
    core_run(&f, 100);
    struct restore_report reports[REPLICAS_MAX];
    struct restore restore = choose(7, reports);
    restore.recovery_nonce = reports[0].recovery_nonce;
    struct restore wrong = restore;
    wrong.recovery_nonce++;
    ck_assert_int_eq((int)tell(0, &wrong), RESTORE_CHANGED);
    wrong = restore;
    wrong.view_number = reports[0].view_number;
    wrong.last_normal_view = wrong.log.last_normal_view = VIEW_NONE;
    ck_assert_int_eq((int)tell(0, &wrong), RESTORE_CHANGED);
    wrong = restore;
    wrong.last_normal_view = wrong.log.last_normal_view = VIEW_NONE;
    ck_assert_int_eq((int)tell(0, &wrong), RESTORE_CHANGED);
    wrong = restore;
    wrong.view_number += VIEW_LEAP_MAX;
    ck_assert_int_eq((int)tell(0, &wrong), RESTORE_CHANGED);
    wrong = restore;
    wrong.source = 77;
    const uint32_t before = f.to_client_count;
    core_inject(&f, 0, 0, (struct message){.type = MESSAGE_RESTORE, .restore = wrong});
    ck_assert_uint_eq(f.to_client_count, before);
    ck_assert_int_eq((int)core_see(&f, 0)->status, STATUS_RECOVERING);
    ck_assert(!core_see(&f, 0)->restores);
}
END_TEST

/* ---- drawn ---- */

/* Powers cut, disks that lost their ends, members that are away, messages lost, repeated words,
 * replicas killed in the middle: it ends with one log, that of the best disk. */
START_TEST(drawn_schedules)
{
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i + 1);
    const uint32_t count = prng_chance(&prng, 1, 2) ? 3 : 5;
    begin(count);
    const uint64_t entries = prng_between(&prng, 1, 40);
    (void)form_and_lose_power(entries);
    const uint32_t away = prng_chance(&prng, 1, 3) ? (uint32_t)prng_below(&prng, count) : count;
    uint32_t mask = 0;
    uint64_t held_max = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t held = prng_between(&prng, 0, entries);
        if (i != away) {
            core_recover(&f, i, held, prng_below(&prng, held + 1));
            mask |= 1u << i;
            held_max = held > held_max ? held : held_max;
        }
    }
    core_run(&f, 50);
    for (uint32_t attempt = 0; attempt < 60 && core_primary(&f) == REPLICAS_MAX; attempt++) {
        core_no_rules(&f);
        if (prng_chance(&prng, 1, 2)) {
            const uint32_t from = (uint32_t)prng_below(&prng, count);
            core_drop(&f, MESSAGE_CATCHUP_RESPONSE, (int)from, CORE_ANY);
        }
        struct restore_report reports[REPLICAS_MAX];
        const struct restore restore = choose(mask, reports);
        ck_assert_uint_eq(restore.log.op_number, held_max);
        tell_all(prng_chance(&prng, 1, 2) ? mask : (uint32_t)prng_below(&prng, mask + 1) & mask,
                 restore, reports);
        core_run(&f, prng_between(&prng, 1, 2000));
        const uint32_t victim = (uint32_t)prng_below(&prng, count);
        if (f.nodes[victim].up && prng_chance(&prng, 1, 3) &&
            core_see(&f, victim)->status == STATUS_RECOVERING) {
            core_crash(&f, victim);
            core_recover(&f, victim, f.nodes[victim].kept.op_number, 0);
        }
    }
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 60000));
    const uint32_t primary = core_primary(&f);
    ck_assert_uint_eq(core_see(&f, primary)->op_number, held_max);
    core_request(&f, primary, "y");
    core_settle(&f);
    for (uint32_t i = 0; i < count; i++) {
        if (f.nodes[i].up) {
            ck_assert_uint_eq(core_see(&f, i)->op_number, held_max + 1);
            ck_assert(checksum_equal(core_see(&f, i)->head_checksum,
                                     core_see(&f, primary)->head_checksum));
        }
    }
}
END_TEST

/* ---- two people at once, message by message ---- */

enum person_step {
    PERSON_LOOKS,       /* what is there? */
    PERSON_AGREES,      /* and is it that still? */
    PERSON_TELLS,       /* to take it over */
    PERSON_WATCHES,     /* does it serve? */
    PERSON_SUCCEEDS,    /* it does */
    PERSON_SEES_OTHERS, /* left before anything was told: the group is not, or not all, lost */
    PERSON_MISSES_ONE,  /* likewise: somebody did not answer */
    PERSON_IS_REFUSED,
};

/* One vr-client, as restore.c does it: a round asks each replica in turn, and ends whether or not
 * all have answered. */
struct person {
    enum person_step step;
    uint32_t next; /* target that this round comes to */
    bool has_told;
    struct restore_choice choice;
    struct restore_target targets[REPLICAS_MAX];
    enum restore_outcome told[REPLICAS_MAX];
    uint64_t nonces[REPLICAS_MAX];
};

static void person_asks(struct person *p, uint32_t i, bool is_lost)
{
    struct restore_target *target = &p->targets[i];
    if (p->step != PERSON_TELLS) {
        target->answered = !is_lost;
        if (!is_lost) {
            target->report = ask(i);
        }
        return;
    }
    if (p->nonces[i] == 0 || p->told[i] == RESTORE_DONE) {
        return;
    }
    struct restore restore = p->choice.restore;
    restore.nonce = 1;
    restore.recovery_nonce = p->nonces[i];
    p->has_told = true;
    const enum restore_outcome outcome = tell(i, &restore);
    p->told[i] = is_lost ? p->told[i] : outcome; /* it was the answer that got lost */
}

static enum person_step person_left(const struct person *p)
{
    for (uint32_t i = 0; i < f.count; i++) {
        if (!p->targets[i].answered) {
            return PERSON_MISSES_ONE;
        }
    }
    return PERSON_SEES_OTHERS;
}

static bool is_over(const struct person *p)
{
    return p->step >= PERSON_SUCCEEDS;
}

static void person_concludes(struct person *p)
{
    uint32_t who;
    struct restore_choice now;
    if (p->step == PERSON_LOOKS || p->step == PERSON_AGREES) {
        const enum restore_verdict verdict = restore_choose(p->targets, f.count, &now, &who);
        const bool goes_on = verdict == RESTORE_POSSIBLE &&
                             (p->step == PERSON_LOOKS ||
                              memcmp(&now.restore, &p->choice.restore, sizeof now.restore) == 0);
        p->choice = now;
        p->step = !goes_on ? person_left(p) : (enum person_step)(p->step + 1);
        for (uint32_t i = 0; i < f.count; i++) {
            p->told[i] = RESTORE_TOLD;
            p->nonces[i] = p->targets[i].report.recovery_nonce;
        }
    } else if (p->step == PERSON_TELLS) {
        p->step = PERSON_WATCHES;
    } else if (restore_has_primary(p->targets, f.count)) {
        p->step = PERSON_SUCCEEDS;
    } else {
        for (uint32_t i = 0; i < f.count; i++) {
            p->targets[i].report.outcome = p->told[i];
        }
        p->step = restore_is_refused(p->targets, f.count) ? PERSON_IS_REFUSED : PERSON_TELLS;
    }
}

static void person_goes_on(struct person *p, bool is_lost)
{
    if (is_over(p)) {
        return;
    }
    if (p->next < f.count) {
        person_asks(p, p->next++, is_lost);
        return;
    }
    p->next = 0;
    person_concludes(p);
}

/* Disks take their time, each its own. */
static void write_something(struct prng *prng)
{
    const uint32_t i = (uint32_t)prng_below(prng, f.count);
    if (f.nodes[i].up && f.nodes[i].log_waits && prng_chance(prng, 1, 2)) {
        core_log_done(&f, i);
    } else if (f.nodes[i].up && f.nodes[i].state_waits) {
        core_state_done(&f, i);
    }
}

static void hold_disks(bool hold)
{
    for (uint32_t i = 0; i < f.count; i++) {
        f.nodes[i].hold_log = hold;
        f.nodes[i].hold_state = hold;
        if (!hold && f.nodes[i].log_waits) {
            core_log_done(&f, i);
        }
        if (!hold && f.nodes[i].state_waits) {
            core_state_done(&f, i);
        }
    }
}

static void person_begins(struct person *p)
{
    *p = (struct person){.step = PERSON_LOOKS};
    for (uint32_t i = 0; i < f.count; i++) {
        p->targets[i] = (struct restore_target){.replica_id = i + 1, .reachable = true};
    }
}

/* Whatever one has begun to tell comes to its end, by whomever: of two that meet neither is left
 * with a group that does not serve. Who leaves before has changed nothing. */
START_TEST(two_people_message_by_message)
{
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i + 1);
    begin(prng_chance(&prng, 2, 3) ? 3 : 5);
    const uint64_t entries = prng_between(&prng, 1, 30);
    (void)form_and_lose_power(entries);
    uint64_t held_max = 0;
    for (uint32_t i = 0; i < f.count; i++) {
        const uint64_t held = prng_between(&prng, 0, entries);
        core_recover(&f, i, held, prng_below(&prng, held + 1));
        held_max = held > held_max ? held : held_max;
    }
    core_run(&f, prng_between(&prng, 50, 3000));
    static struct person people[2];
    person_begins(&people[0]);
    person_begins(&people[1]);
    const bool loses = prng_chance(&prng, 1, 2);
    const uint64_t haste = prng_between(&prng, 1, 40); /* of people, beside all else */
    hold_disks(prng_chance(&prng, 2, 3));
    for (uint32_t n = 0; n < 20000 && !(is_over(&people[0]) && is_over(&people[1])); n++) {
        if (prng_below(&prng, 50) < haste) {
            person_goes_on(&people[prng_below(&prng, 2)], loses && prng_chance(&prng, 1, 10));
        } else if (prng_chance(&prng, 1, 3)) {
            write_something(&prng);
        } else {
            core_run(&f, prng_between(&prng, 1, 20));
        }
    }
    hold_disks(false);
    bool told = false;
    for (uint32_t k = 0; k < 2; k++) {
        const struct person *p = &people[k];
        told = told || p->has_told;
        ck_assert_int_ne((int)p->step, PERSON_IS_REFUSED);
        ck_assert(!p->has_told || p->step == PERSON_SUCCEEDS || !is_over(p));
    }
    /* Both left before: nothing was changed, and a third finds all that there was. */
    ck_assert(told || people[0].step == PERSON_MISSES_ONE);
    ck_assert(told || people[1].step == PERSON_MISSES_ONE);
    if (!told) {
        struct restore_report reports[REPLICAS_MAX];
        const struct restore restore = choose((1u << f.count) - 1, reports);
        tell_all((1u << f.count) - 1, restore, reports);
    }
    ck_assert(core_run_until_normal(&f, 60000));
    check_all_hold(held_max);
}
END_TEST

int main(void)
{
    enum { SCHEDULES = 300, MEETINGS = 400 };
    Suite *suite = suite_create("vr_restore");
    TCase *tests = tcase_create("restore");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_longest_log_is_what_comes_back);
    tcase_add_test(tests, a_majority_is_enough);
    tcase_add_test(tests, who_remembers_all_refuses_and_is_the_source);
    tcase_add_test(tests, a_later_view_that_has_lost_its_log_is_no_best_log);
    tcase_add_test(tests, said_again_it_changes_nothing);
    tcase_add_test(tests, a_second_choice_loses_nothing_of_a_group_that_serves);
    tcase_add_test(tests, two_choices_at_once_end_in_one_log);
    tcase_add_test(tests, killed_in_the_middle);
    tcase_add_test(tests, it_takes_part_only_once_all_is_durable);
    tcase_add_test(tests, an_acting_primary_goes_first);
    tcase_add_test(tests, a_log_that_lacks_what_is_committed_is_not_taken_over);
    tcase_add_test(tests, what_cannot_be_meant_is_refused);
    tcase_add_loop_test(tests, drawn_schedules, 0, SCHEDULES);
    tcase_add_loop_test(tests, two_people_message_by_message, 0, MEETINGS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
