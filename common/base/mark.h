/* SPDX-License-Identifier: Apache-2.0 */
/* mark.h - coverage marks: branches of the protocol, by rule, that random simulation must reach.
 *
 * A VR_MARK stands where a rule of docs/protocol.md parts from the common path. The simulator is
 * linked with objects that count them (-DVR_MARKS) and prints the counts; a batch of CI's size that
 * misses one fails and names it, for then a rule goes untested whatever passes. Every other build,
 * programs and libraries that are released included, has no trace of them: tools/marks.sh looks.
 *
 * To add one: a line here, and VR_MARK(V6_winner_is_another) where it happens. */
#ifndef VR_BASE_MARK_H
#define VR_BASE_MARK_H

/* X(rule, what, sentence) each. */
#define VR_MARK_LIST(X) \
    X(C1, repeated_register_gets_its_session, \
      "a Register that is executed again opens no second session") \
    X(C2, request_is_superseded, "the session has gone on to a later request") \
    X(C3, read_is_executed_again, "a large read is repeated by executing it once more") \
    X(C3, result_is_too_large_to_keep, "a read's result is not kept for repetitions") \
    X(C3, stored_reply_is_said_again, "a repeated request gets the reply of the first time") \
    X(C4, evicted_request_has_an_unknown_outcome, \
      "a client learns that its session went while it had a request out") \
    X(C4, oldest_session_is_evicted, "one session more than there is room for") \
    X(C4, session_is_unknown, "a request or look-up of a session that is gone") \
    X(C5, one_asks_and_the_others_wait, "sessions of one process wait for the one that probes") \
    X(C5, silence_proves_nothing, "a deadline passes over a write that was sent") \
    X(C6, request_follows_the_primary, "a request in flight goes to the primary of a later view") \
    X(D5, lost_entries_are_claimed, "a DoViewChange says what a damaged log had") \
    X(D5, lost_entries_are_dropped, "nobody holds them, and they cannot have been committed") \
    X(D5, lost_entries_are_waited_for, "they may be committed, and none who spoke holds them") \
    X(D5, resumes_in_its_view, "a start with a whole log goes on as a backup") \
    X(D5, starts_with_lost_entries, "a start finds that the end of its log is damaged") \
    X(D6, answer_to_an_earlier_start, "the nonce of a RecoveryResponse is another one") \
    X(D6, follows_an_acting_primary, "a recovering replica syncs to what an acting primary says") \
    X(D6, offer_of_a_later_view_is_not_followed, "no evidence raises a recovering replica's view") \
    X(D6, recovery_is_answered, "an acting primary tells its log to who lost it") \
    X(D7, follows_a_later_start_view, "a StartView ends a recovery") \
    X(D7, start_view_that_is_not_later_is_ignored, \
      "a recovering replica takes it for an old duplicate") \
    X(D8, recovery_moves, "who recovers was in a later view") \
    X(D9, too_few_remember, "a majority recovers at once") \
    X(D10, another_identity_is_refused, "a new data directory speaks under a known index") \
    X(D10, do_view_change_is_for_another_directory, "its sender has not met this primary") \
    X(G1, answer_holds_less_than_was_asked_for, "a range is fitted to what a datagram holds") \
    X(G1, start_is_guessed, "logs of one view are taken for prefixes of each other") \
    X(G1, starts_from_the_targets_commit_number, "the target's commit number is in the own log") \
    X(G2, serves_what_is_committed_in_another_view, \
      "a source of another view gives what it knows to be committed") \
    X(G2, source_does_not_hold_it, "an answer without entries: another source is asked") \
    X(G3, answer_waits_for_those_before, "answers come out of order") \
    X(G4, checkpoint_asked_for_is_gone, "a source has dropped it meanwhile") \
    X(G4, checkpoint_is_offered, "entries that are asked for are gone from the log") \
    X(G4, install_waits_for_the_view, \
      "a view_number at least as large as the source's is not durable yet") \
    X(G4, installs_in_its_own_view, "a backup that fell behind takes a checkpoint") \
    X(G4, installs_on_the_way_into_a_view, "a replica takes a checkpoint in a view change") \
    X(G4, prepare_meets_an_install, "a Prepare comes while the log is about to go") \
    X(G4, recovering_replica_installs, "a recovery takes a checkpoint") \
    X(G4, transfer_is_resumed, "a later sync goes on with what an earlier one began") \
    X(G4, sync_meets_an_install, "a view's log cannot be pulled while a checkpoint goes in") \
    X(G5, prepares_close_the_gap, "what a sync was to bring has come otherwise") \
    X(G5, silent_source_is_left, "nothing came for a while, another source is asked") \
    X(G6, gap_is_closed_already, "an answer brings nothing new") \
    X(G6, late_target_is_met, "all of a view's log is known to be committed already") \
    X(G6, log_is_cut, "a suffix is replaced on the way into a view") \
    X(G6, log_install_is_interrupted, "the next view change comes while the log is written") \
    X(G6, own_view_is_appended_to, "a sync in the own view only appends") \
    X(G6, state_install_is_interrupted, \
      "the next view change comes while the state file is written") \
    X(G7, late_answer_is_dropped, "an answer to a sync that is over") \
    X(G7, sync_ends_with_its_view, "a view change drops a sync and what it staged") \
    X(K2, checkpoint_that_is_pulled_is_kept, "more than the last two, for who pulls it") \
    X(N1, request_meets_another_than_the_primary, "a client is told where to go") \
    X(N2, filter_is_rebuilt_from_the_log, "a view starts with entries that were not executed") \
    X(N2, older_request_is_dropped, "its session has sent a later one") \
    X(N2, request_is_in_flight_already, "a request is sent again before it is executed") \
    X(N2, request_is_logged_again, "the look-up did not help") \
    X(N2, request_is_looked_up, "a request is sent again after it was executed") \
    X(N3, pipeline_is_full, "entries wait for those before them") \
    X(N3, queue_is_full, "a request meets more than may wait") \
    X(N4, ack_names_less_than_the_head, "an ack says what is durable while more is appended") \
    X(N4, prepare_leaves_a_gap, "what lies before a Prepare has not come") \
    X(N4, repeated_prepare_is_acked_again, "all of it is there") \
    X(N4, stash_is_full, "a Prepare is dropped that comes too early") \
    X(N4, stashed_prepare_is_used, "what lies before it has come") \
    X(N5, ack_of_an_older_view, "a PrepareOk is late by a view") \
    X(N5, ack_of_what_the_log_does_not_hold, "its op is below or beyond the primary's log") \
    X(N7, commit_number_is_beyond_the_own_log, "more is committed than this backup holds") \
    X(N9, execution_trails_at_the_bound, "no more is handed to the executor") \
    X(N9, primary_waits_for_the_executor, "a primary says Busy") \
    X(N10, prepare_is_sent_again, "a backup has not acked it in time") \
    X(N10, what_is_not_acked_is_gone, "it lies before the log, so a checkpoint goes") \
    X(P1, restarted_primary_leads_no_more, "a primary comes back as a backup of its own view") \
    X(R1, read_is_sent_through_the_log, "this primary wants no reads beside it") \
    X(R2, late_read_is_not_answered, "no round confirmed it in time") \
    X(R2, primary_without_a_quorum_takes_no_read, "a read meets one that fell silent") \
    X(R2, read_ends_with_its_view, "its view was over before a round confirmed it") \
    X(R2, read_waits_for_the_views_start, "what earlier views committed is not known yet") \
    X(R2, round_is_shared, "several reads wait for one") \
    X(R4, op_does_not_come, "a replica says that it is behind what a read wants to see") \
    X(R4, read_meets_an_install, "the state is about to be another one") \
    X(S1, do_view_change_waits_for_the_disk, "the new view_number is not durable yet") \
    X(S1, message_of_an_earlier_start, "a datagram outlives the process that sent it") \
    X(S4, state_changes_while_it_is_written, \
      "a second write of the state file waits for the first") \
    X(S4, write_of_an_older_log, "a write ends whose entries were cut meanwhile") \
    X(V1, failed_view_gives_the_next_more_time, "the timeout is doubled") \
    X(V1, goodbye_is_suspicion, "a primary stops and says so") \
    X(V1, primary_without_a_quorum_falls_silent, "no quorum answers it") \
    X(V1, primary_without_a_quorum_takes_no_request, "a request meets one that fell silent") \
    X(V1, progress_counts_as_an_answer, "a backup that pulls the log keeps its primary") \
    X(V1, silent_primary_is_heard_again, "acks come after all") \
    X(V1, stall_is_forgiven, "this process stood still, which is nobody's fault") \
    X(V2, vote_is_withdrawn, "a suspected primary is heard") \
    X(V2, votes_for_the_latest_that_is_wanted, "others vote for a later view than the next") \
    X(V3, do_view_change_moves, "a DoViewChange of a later view") \
    X(V3, start_view_moves, "a StartView of a later view") \
    X(V3, votes_move, "a quorum votes") \
    X(V4, smaller_do_view_change_does_not_count, "one that is late says less than is known") \
    X(V6, chooses_anew, "the best log cannot be got, another one is taken") \
    X(V6, commit_number_is_anothers, "the winner does not know the most") \
    X(V6, log_out_of_reach_is_left_out, "a quorum remains without it") \
    X(V6, shorter_log_of_a_later_view_wins, "the longest log does not") \
    X(V6, view_starts_with_uncommitted_entries, "they commit by acks of this view") \
    X(V6, winner_is_another, "the primary pulls the log that it starts with") \
    X(V7, late_start_view_is_ignored, "a replica is normal in that view already") \
    X(V7, prepare_waits_for_the_view, "a backup that is on its way stashes it") \
    X(V8, asks_for_a_later_view, "a message of the primary of a later view") \
    X(V8, asks_for_its_own_view, "it missed the StartView") \
    X(V8, do_view_change_is_answered, "with the StartView that its sender missed") \
    X(V8, get_view_is_answered, "with a StartView") \
    X(V8, vote_is_answered, "with the StartView of the view that the voter wants to leave") \
    X(V9, primary_hears_of_a_later_view, "it stops serving at once") \
    X(V12, primary_far_behind_is_passed_over, "another one needs less of the best log") \
    X(V12, progress_gives_time, "the others wait while a primary syncs")

/* The same, of what takes thousands of seeds: counted and printed, and not asked of a batch.
 * Whoever makes the generator meet one moves it up. */
#define VR_MARK_RARE_LIST(X) \
    X(G4, offer_is_a_start, "the own log goes through the offered checkpoint") \
    X(G4, transfer_is_given_up_for_another, \
      "nobody has the checkpoint any more that was begun with") \
    X(D6, answer_of_a_view_before_its_own, "an older acting primary answers a recovery") \
    X(G2, too_many_questions_wait, "a CatchupRequest is dropped") \
    X(G3, answer_is_too_large_to_wait, "from there on one range after the other") \
    X(G4, chunks_are_there_from_before, "storage finds them from an earlier run") \
    X(G4, chunks_wait_for_the_rate, "a transfer is not faster than it may be") \
    X(G4, own_disk_is_left_in_peace, "after a failure of the own disk a transfer pauses") \
    X(G4, own_disk_loses_a_chunk, "what was staged is not there any more") \
    X(G4, view_of_an_offer_is_adopted, "a CheckpointOffer comes from a later view") \
    X(G4, log_has_come_past_it, "Prepares that were late brought more than the checkpoint") \
    X(G4, transfer_is_overtaken, "what it brings is known to be committed already") \
    X(G6, superseded_view_is_ignored, "a target below the commit number that does not match") \
    X(K1, checkpoint_before_its_interval, \
      "the log behind the last one takes a quarter of the memory") \
    X(K2, laggards_wait_in_vain, "memory is scarce, and the log goes although somebody lacks it") \
    X(K3, checkpoint_is_unreadable, "one is damaged when it is served") \
    X(N3, log_is_full, "a primary has no room for a request") \
    X(N9, backup_has_no_room, "Prepares are dropped until execution has made some") \
    X(R2, read_outlives_its_view, "it was confirmed before, and its op comes later") \
    X(V11, log_larger_than_the_memory, "a replica stays out until it is given more")

#ifdef VR_MARKS

#include <stdint.h>

enum vr_mark {
#define VR_MARK_NAME(rule, what, sentence) MARK_##rule##_##what,
    VR_MARK_LIST(VR_MARK_NAME) VR_MARK_RARE_LIST(VR_MARK_NAME)
#undef VR_MARK_NAME
        VR_MARK_COUNT
};

/* Those that a batch is asked for come first. */
enum {
#define VR_MARK_ONE(rule, what, sentence) +1
    VR_MARK_WANTED_COUNT = 0 VR_MARK_LIST(VR_MARK_ONE)
#undef VR_MARK_ONE
};

/* How often each was met; whoever links objects that count defines it. */
extern uint64_t vr_marks[VR_MARK_COUNT];

#define VR_MARK(name) ((void)vr_marks[MARK_##name]++)
#define VR_MARK_IF(condition, name) ((condition) ? VR_MARK(name) : (void)0)

#else

#define VR_MARK(name) ((void)0)
#define VR_MARK_IF(condition, name) ((void)0) /* the condition is not evaluated */

#endif

#endif
