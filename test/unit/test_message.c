/* SPDX-License-Identifier: Apache-2.0 */
/* message_validate(): every field at its bound passes, one past it does not (UDP-9's last line of
 * defence). Random valid messages pass whatever their type. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/message.h"
#include "common/base/trace_event.h"
#include "test/support/random_message.h"

#define VIEW_FIRST view_make(EPOCH_FIRST, 0)
#define VIEW_OF_NO_EPOCH (view_make(EPOCH_FIRST, 0) - 1)

static bool valid(const struct message *message)
{
    return message_validate(message);
}

/* Draws messages of a type that pass, for a test to spoil one field each. */
static struct random_message *drawn(enum message_type type)
{
    static struct random_message random;
    static struct prng prng = {{1, 2, 3, 4}};
    random_message(&prng, type, 4096, &random);
    ck_assert_msg(valid(&random.message), "%s", message_type_name(type));
    return &random;
}

START_TEST(random_messages_are_valid)
{
    struct prng prng;
    prng_seed(&prng, 1);
    struct random_message *random = malloc(sizeof *random);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < RANDOM_MESSAGE_TYPES; i++) {
            random_message(&prng, random_message_types[i], 4096, random);
            ck_assert_msg(valid(&random->message), "%s, round %d",
                          message_type_name(random_message_types[i]), round);
            ck_assert(message_equal(&random->message, &random->message));
        }
    }
    free(random);
}
END_TEST

START_TEST(unknown_types_are_not_valid)
{
    for (unsigned type = 0; type < 300; type++) {
        bool known = false;
        for (size_t i = 0; i < RANDOM_MESSAGE_TYPES; i++) {
            known = known || random_message_types[i] == type;
        }
        const char *name = message_type_name((enum message_type)type);
        ck_assert_int_eq(strcmp(name, "?") != 0, known || type == MESSAGE_NONE);
        if (!known) {
            const struct message message = {.type = (enum message_type)type};
            ck_assert(!valid(&message));
        }
    }
}
END_TEST

/* What only replicas say to replicas is for the peer port alone (M5). */
START_TEST(replicas_alone_say_what_the_protocol_says)
{
    for (size_t i = 0; i < RANDOM_MESSAGE_TYPES; i++) {
        const enum message_type type = random_message_types[i];
        ck_assert_int_eq(message_is_from_replica(type), type >= 20 && type < 60);
        struct message *m = &drawn(type)->message;
        m->from = REPLICA_NONE;
        const bool anybody = type == MESSAGE_REQUEST || type == MESSAGE_STATUS_REQUEST ||
                             type == MESSAGE_TRACE_REQUEST || type == MESSAGE_LOG_LEVEL_REQUEST ||
                             type == MESSAGE_RESTORE_STATUS || type == MESSAGE_RESTORE ||
                             type == MESSAGE_BACKUP_REQUEST || type == MESSAGE_READ ||
                             type == MESSAGE_PART || type == MESSAGE_PARTS_MISSING;
        ck_assert_msg(valid(m) == anybody, "%s", message_type_name(type));
    }
}
END_TEST

START_TEST(read_bounds)
{
    struct message *m = &drawn(MESSAGE_READ)->message;
    static const uint8_t bytes[READ_SIZE_MAX + 1];
    const struct read get = {
        .client_id = {1, 0},
        .nonce = 1,
        .mode = READ_STALE,
        .operation_size = 3,
        .operation = bytes,
    };
    m->read = get;
    ck_assert(valid(m));
    m->read.client_id = (struct client_id){0, 0};
    ck_assert(!valid(m));
    m->read = get;
    m->read.nonce = 0;
    ck_assert(!valid(m));
    m->read = get;
    m->read.operation_size = 0;
    ck_assert(!valid(m));
    m->read.operation_size = READ_SIZE_MAX;
    ck_assert(valid(m));
    m->read.operation_size = READ_SIZE_MAX + 1;
    ck_assert(!valid(m));
    m->read = get;
    for (int mode = 0; mode < 5; mode++) {
        m->read.mode = (enum read_mode)mode;
        ck_assert(valid(m) == (mode == READ_LINEARIZABLE || mode == READ_STALE));
    }
}
END_TEST

START_TEST(request_bounds)
{
    struct message *m = &drawn(MESSAGE_REQUEST)->message;
    const struct request operation = {
        .client_id = {1, 0},
        .session = 1,
        .request_number = 1,
        .kind = ENTRY_OPERATION,
        .operation_size = 3,
        .operation = (const uint8_t *)"abc",
    };
    m->request = operation;
    ck_assert(valid(m));
    m->request.client_id = (struct client_id){0, 0};
    ck_assert(!valid(m));
    m->request.client_id = (struct client_id){0, 1};
    ck_assert(valid(m));
    m->request = operation;
    m->request.session = 0;
    ck_assert(!valid(m));
    m->request = operation;
    m->request.request_number = 0;
    ck_assert(!valid(m));
    m->request = operation;
    m->request.operation = NULL;
    ck_assert(!valid(m));
    m->request.operation_size = 0;
    ck_assert(valid(m));

    static uint8_t large[OPERATION_SIZE_MAX + 1];
    m->request.operation = large;
    m->request.operation_size = OPERATION_SIZE_MAX;
    ck_assert(valid(m));
    m->request.operation_size = OPERATION_SIZE_MAX + 1;
    ck_assert(!valid(m));

    for (int kind = -1; kind <= 4; kind++) {
        m->request = operation;
        m->request.operation_size = 0;
        m->request.kind = (enum entry_kind)kind;
        m->request.session = kind == ENTRY_REGISTER ? 0 : 1;
        m->request.request_number = kind == ENTRY_OPERATION ? 1 : 0;
        ck_assert_int_eq(valid(m), kind >= ENTRY_OPERATION && kind <= ENTRY_UNREGISTER);
        if (kind == ENTRY_REGISTER || kind == ENTRY_UNREGISTER) {
            m->request.operation_size = 1;
            ck_assert(!valid(m));
            m->request.operation_size = 0;
            m->request.request_number = 1;
            ck_assert(!valid(m));
            m->request.request_number = 0;
            m->request.session ^= 1;
            ck_assert(!valid(m));
        }
    }
}
END_TEST

START_TEST(status_request_bounds)
{
    struct message *m = &drawn(MESSAGE_STATUS_REQUEST)->message;
    m->status_request.padding_size = STATUS_PADDING_MAX;
    ck_assert(valid(m));
    m->status_request.padding_size++;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(log_level_bounds)
{
    struct message *m = &drawn(MESSAGE_LOG_LEVEL_REQUEST)->message;
    char text[STATUS_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    text[STATUS_TEXT_MAX - 1] = '\0';
    m->log_level_request.levels = text;
    ck_assert(valid(m));
    text[STATUS_TEXT_MAX - 1] = 'x';
    text[STATUS_TEXT_MAX] = '\0';
    ck_assert(!valid(m));
    m->log_level_request.levels = "";
    ck_assert(valid(m));
    m->log_level_request.levels = "info\n";
    ck_assert(!valid(m));
    m->log_level_request.levels = NULL;
    ck_assert(!valid(m));

    m = &drawn(MESSAGE_LOG_LEVEL_REPORT)->message;
    m->log_level_report.levels = "";
    ck_assert(!valid(m));
    m->log_level_report.levels = "info";
    ck_assert(valid(m));
    m->log_level_report.outcome = (enum log_level_outcome)0;
    ck_assert(!valid(m));
    m->log_level_report.outcome = (enum log_level_outcome)(LOG_LEVELS_UNKNOWN + 1);
    ck_assert(!valid(m));
    m->log_level_report.outcome = LOG_LEVELS_TOLD;
    m->log_level_report.replica_id = REPLICA_NONE;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(trace_request_bounds)
{
    struct message *m = &drawn(MESSAGE_TRACE_REQUEST)->message;
    m->trace_request.events_max = TRACE_EVENTS_MAX;
    m->trace_request.lane = TRACE_LANE_COUNT - 1;
    ck_assert(valid(m));
    m->trace_request.events_max++;
    ck_assert(!valid(m));
    m->trace_request.events_max = 0;
    m->trace_request.lane++;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(trace_report_bounds)
{
    static uint8_t bytes[(TRACE_EVENTS_MAX + 1) * TRACE_EVENT_SIZE];
    const struct trace_event event = {.kind = TRACE_STATE, .type = TRACE_BACKUP};
    for (size_t i = 0; i <= TRACE_EVENTS_MAX; i++) {
        memcpy(bytes + i * TRACE_EVENT_SIZE, &event, TRACE_EVENT_SIZE);
    }
    struct message *m = &drawn(MESSAGE_TRACE_REPORT)->message;
    const struct trace_report report = {
        .view_number = view_make(EPOCH_FIRST, 0),
        .status = STATUS_NORMAL,
        .oldest_event = 10,
        .first_event = 20,
        .next_event = 1000,
        .event_count = TRACE_EVENTS_MAX,
        .events = bytes,
    };
    m->trace_report = report;
    ck_assert(valid(m));
    m->trace_report.event_count++;
    ck_assert(!valid(m));
    m->trace_report = report;
    m->trace_report.first_event = 9; /* gone already */
    ck_assert(!valid(m));
    m->trace_report.first_event = 1000 - TRACE_EVENTS_MAX;
    ck_assert(valid(m));
    m->trace_report.first_event++; /* the last one is not there yet */
    ck_assert(!valid(m));
    m->trace_report = report;
    m->trace_report.events = NULL;
    ck_assert(!valid(m));
    m->trace_report = report;
    bytes[5 * TRACE_EVENT_SIZE + offsetof(struct trace_event, type)] = TRACE_STATE_MAX + 1;
    ck_assert(!valid(m));
}
END_TEST

/* One field of a small message: what lies in [low, high] passes, what lies beside it does not. */
#define CHECK_RANGE(type_, field_, c_type_, low_, high_) \
    do { \
        struct message *m_ = &drawn(type_)->message; \
        m_->field_ = (c_type_)(low_); \
        ck_assert(valid(m_)); \
        m_->field_ = (c_type_)(high_); \
        ck_assert(valid(m_)); \
        m_->field_ = (c_type_)((low_)-1); \
        ck_assert(!valid(m_)); \
        m_->field_ = (c_type_)((high_) + 1); \
        ck_assert(!valid(m_)); \
    } while (0)

/* A view without an epoch (E1) is none. */
#define CHECK_VIEW(type_, field_) \
    do { \
        struct message *m_ = &drawn(type_)->message; \
        m_->field_ = VIEW_FIRST; \
        ck_assert(valid(m_)); \
        m_->field_ = UINT64_MAX; \
        ck_assert(valid(m_)); \
        m_->field_ = VIEW_OF_NO_EPOCH; \
        ck_assert(!valid(m_)); \
        m_->field_ = VIEW_NONE; \
        ck_assert(!valid(m_)); \
    } while (0)

#define CHECK_VIEW_OR_NONE(type_, field_) \
    do { \
        struct message *m_ = &drawn(type_)->message; \
        m_->field_ = VIEW_FIRST; \
        ck_assert(valid(m_)); \
        m_->field_ = VIEW_NONE; \
        ck_assert(valid(m_)); \
        m_->field_ = VIEW_OF_NO_EPOCH; \
        ck_assert(!valid(m_)); \
    } while (0)

#define CHECK_CLIENT_ID(type_, field_) \
    do { \
        struct message *m_ = &drawn(type_)->message; \
        m_->field_ = (struct client_id){0, 0}; \
        ck_assert(!valid(m_)); \
    } while (0)

START_TEST(answers_to_clients_bounds)
{
    CHECK_VIEW(MESSAGE_REPLY, reply.view_number);
    CHECK_CLIENT_ID(MESSAGE_REPLY, reply.client_id);
    CHECK_RANGE(MESSAGE_REPLY, reply.status, enum reply_status, REPLY_OK, REPLY_NOT_A_READ);
    static uint8_t large[RESULT_SIZE_MAX + 1];
    struct message *m = &drawn(MESSAGE_REPLY)->message;
    m->reply.result = large;
    m->reply.result_size = RESULT_SIZE_MAX;
    ck_assert(valid(m));
    m->reply.result_size++;
    ck_assert(!valid(m));
    m->reply.result = NULL;
    m->reply.result_size = 1;
    ck_assert(!valid(m));

    CHECK_CLIENT_ID(MESSAGE_NOT_PRIMARY, not_primary.client_id);
    CHECK_VIEW_OR_NONE(MESSAGE_NOT_PRIMARY, not_primary.last_normal_view);
    CHECK_RANGE(MESSAGE_NOT_PRIMARY, not_primary.status, enum vr_status, STATUS_NORMAL,
                STATUS_TRANSITIONING);

    CHECK_CLIENT_ID(MESSAGE_BUSY, busy.client_id);
    CHECK_VIEW(MESSAGE_BUSY, busy.view_number);
    CHECK_RANGE(MESSAGE_BUSY, busy.reason, enum busy_reason, BUSY_QUEUE_FULL, BUSY_BEHIND);

    CHECK_RANGE(MESSAGE_REFUSED, refused.reason, enum refused_reason, REFUSED_CLUSTER,
                REFUSED_PEERS_PORT);

    m = &drawn(MESSAGE_CHALLENGE)->message;
    m->challenge.token = 0;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(status_bounds)
{
    struct random_message *random = drawn(MESSAGE_STATUS);
    struct message *m = &random->message;
    struct status_report *s = &random->report;
    s->view_number = s->last_normal_view = view_make(3, 7);
    s->op_number = s->commit_number = 5;
    ck_assert(valid(m));
    s->commit_number = 6;
    ck_assert(!valid(m));
    s->commit_number = 0;
    s->last_normal_view++;
    ck_assert(!valid(m));
    s->last_normal_view = VIEW_NONE;
    ck_assert(valid(m));
    s->last_normal_view = VIEW_OF_NO_EPOCH;
    ck_assert(!valid(m));
    s->last_normal_view = VIEW_NONE;
    s->view_number = VIEW_OF_NO_EPOCH;
    ck_assert(!valid(m));
    s->view_number = VIEW_FIRST;
    s->cluster_id = 0;
    ck_assert(!valid(m));
    s->cluster_id = 1;
    s->replica_id = REPLICA_NONE;
    ck_assert(!valid(m));
    s->replica_id = 0;

    s->status = (enum vr_status)0;
    ck_assert(!valid(m));
    s->status = (enum vr_status)(STATUS_TRANSITIONING + 1);
    ck_assert(!valid(m));
    s->status = STATUS_NORMAL;
    s->durability = (enum durability)0;
    ck_assert(!valid(m));
    s->durability = (enum durability)(DURABILITY_SYNC + 1);
    ck_assert(!valid(m));
    s->durability = DURABILITY_ASYNC;
    ck_assert(valid(m));

    const uint32_t beyond = 1u << random->configuration.member_count;
    uint32_t *const masks[] = {&s->silent_mask, &s->bound_mask, &s->suspect_mask};
    for (size_t i = 0; i < 3; i++) {
        *masks[i] = beyond - 1;
        ck_assert(valid(m));
        *masks[i] = beyond;
        ck_assert(!valid(m));
        *masks[i] = 0;
    }

    s->configuration = NULL;
    ck_assert(!valid(m));
    s->configuration = &random->configuration;
    random->configuration.member_count = 0;
    ck_assert(!valid(m));
    random->configuration.member_count = 1;
    s->counter_count = 0;
    s->counters = NULL;
    ck_assert(valid(m));
    m->status = NULL;
    ck_assert(!valid(m));
}
END_TEST

/* What a replica says of itself ends up on terminals. */
START_TEST(status_texts_are_printable_and_bounded)
{
    struct random_message *random = drawn(MESSAGE_STATUS);
    struct message *m = &random->message;
    struct status_report *s = &random->report;
    char text[STATUS_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    text[STATUS_TEXT_MAX] = '\0';
    const char **const texts[] = {&s->version, &s->note, &random->counters[0].name};
    s->counter_count = 1;
    random->counters[0].name = "commits";
    ck_assert(valid(m));
    for (size_t i = 0; i < 3; i++) {
        const char *before = *texts[i];
        *texts[i] = text; /* one too long */
        ck_assert(!valid(m));
        *texts[i] = text + 1;
        ck_assert(valid(m));
        *texts[i] = NULL;
        ck_assert(!valid(m));
        *texts[i] = "red \x1b[31m";
        ck_assert(!valid(m));
        *texts[i] = "two\nlines";
        ck_assert(!valid(m));
        *texts[i] = "delete \x7f";
        ck_assert(!valid(m));
        *texts[i] = "caf\xc3\xa9";
        ck_assert(valid(m));
        *texts[i] = "";
        ck_assert_int_eq(valid(m), i < 2); /* a counter has a name */
        *texts[i] = before;
    }
    s->counter_count = STATUS_COUNTERS_MAX + 1;
    ck_assert(!valid(m));
    s->counter_count = 1;
    s->counters = NULL;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(small_replica_messages_bounds)
{
    CHECK_VIEW(MESSAGE_PREPARE_OK, prepare_ok.view_number);
    CHECK_VIEW(MESSAGE_COMMIT, commit.view_number);
    CHECK_VIEW(MESSAGE_GOODBYE, goodbye.view_number);
    CHECK_VIEW(MESSAGE_START_VIEW_CHANGE, start_view_change.view_number);
    CHECK_VIEW(MESSAGE_GET_VIEW, get_view.view_number);
    CHECK_VIEW(MESSAGE_RECOVERY, recovery.view_number);

    struct message *m = &drawn(MESSAGE_COMMIT)->message;
    m->commit.op_number = 7;
    m->commit.commit_number = 7;
    ck_assert(valid(m));
    m->commit.commit_number = 8;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(log_descriptor_bounds)
{
    struct message *m = &drawn(MESSAGE_DO_VIEW_CHANGE)->message;
    m->do_view_change.view_number = view_make(EPOCH_FIRST, 5);
    m->do_view_change.log.op_number = 3;
    m->do_view_change.log.commit_number = 3;
    m->do_view_change.log.last_normal_view = view_make(EPOCH_FIRST, 4);
    m->do_view_change.faulty_from = 0;
    m->do_view_change.base_op = 3;
    ck_assert(valid(m));
    m->do_view_change.base_op = 4;
    ck_assert(!valid(m));
    m->do_view_change.base_op = 0;
    ck_assert(valid(m));
    m->do_view_change.log.commit_number = 4;
    ck_assert(!valid(m));
    m->do_view_change.log.commit_number = 0;
    m->do_view_change.faulty_from = 3;
    ck_assert(valid(m));
    m->do_view_change.faulty_from = 4;
    ck_assert(!valid(m));
    m->do_view_change.faulty_from = 2;
    m->do_view_change.log.commit_number = 2; /* D5: a checksum that was lost is not named */
    m->do_view_change.log.commit_checksum = (struct checksum){.low = 1};
    ck_assert(!valid(m));
    m->do_view_change.log.commit_checksum = (struct checksum){0};
    ck_assert(valid(m));
    m->do_view_change.log.commit_number = 0;
    m->do_view_change.faulty_from = 0;
    m->do_view_change.log.last_normal_view = VIEW_NONE; /* P1: never was normal */
    ck_assert(valid(m));
    m->do_view_change.log.last_normal_view = VIEW_OF_NO_EPOCH;
    ck_assert(!valid(m));
    m->do_view_change.log.last_normal_view = view_make(EPOCH_FIRST, 5); /* S2 */
    ck_assert(!valid(m));
    m->do_view_change.log.last_normal_view = VIEW_NONE;
    m->do_view_change.view_number = VIEW_OF_NO_EPOCH;
    ck_assert(!valid(m));

    m = &drawn(MESSAGE_START_VIEW)->message;
    m->start_view.log.last_normal_view = m->start_view.view_number = VIEW_FIRST;
    ck_assert(valid(m));
    m->start_view.log.last_normal_view++;
    ck_assert(!valid(m));
    m->start_view.log.last_normal_view = m->start_view.view_number = VIEW_NONE;
    ck_assert(!valid(m));
    m->start_view.log.last_normal_view = m->start_view.view_number = VIEW_FIRST;
    m->start_view.log.op_number = 1;
    m->start_view.log.commit_number = 2;
    ck_assert(!valid(m));

    m = &drawn(MESSAGE_RECOVERY_RESPONSE)->message;
    m->recovery_response.log.last_normal_view = m->recovery_response.view_number = VIEW_FIRST;
    ck_assert(valid(m));
    m->recovery_response.log.last_normal_view++;
    ck_assert(!valid(m));
    m->recovery_response.log.last_normal_view = m->recovery_response.view_number = VIEW_NONE;
    ck_assert(!valid(m));
    m->recovery_response.log.last_normal_view = m->recovery_response.view_number = VIEW_FIRST;
    m->recovery_response.log.op_number = 1;
    m->recovery_response.log.commit_number = 2;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(catchup_request_bounds)
{
    CHECK_VIEW_OR_NONE(MESSAGE_CATCHUP_REQUEST, catchup_request.last_normal_view);
    struct message *m = &drawn(MESSAGE_CATCHUP_REQUEST)->message;
    m->catchup_request.from_op = m->catchup_request.to_op = 1;
    m->catchup_request.synced_op = 0;
    ck_assert(valid(m));
    m->catchup_request.synced_op = 1;
    ck_assert(!valid(m));
    m->catchup_request.synced_op = 0;
    m->catchup_request.from_op = 0;
    ck_assert(!valid(m));
    m->catchup_request.from_op = 2;
    ck_assert(!valid(m));
    m->catchup_request.to_op = 1 + SYNC_ENTRIES_MAX;
    ck_assert(valid(m));
    m->catchup_request.to_op++;
    ck_assert(!valid(m));
    m->catchup_request.from_op = m->catchup_request.to_op = UINT64_MAX;
    ck_assert(valid(m));
}
END_TEST

START_TEST(checkpoint_bounds)
{
    CHECK_VIEW_OR_NONE(MESSAGE_CHECKPOINT_REQUEST, checkpoint_request.last_normal_view);
    struct message *m = &drawn(MESSAGE_CHECKPOINT_OFFER)->message;
    struct checkpoint_offer *offer = &m->checkpoint_offer;
    ck_assert(valid(m));
    offer->view_number = view_make(EPOCH_FIRST, 3);
    offer->id.view_number = offer->view_number + 1; /* committed in a view unknown to the sender */
    ck_assert(!valid(m));
    offer->id.view_number = offer->view_number;
    ck_assert(valid(m));
    offer->id.op_number = 0;
    ck_assert(!valid(m));
    offer->id.op_number = 1;
    offer->id.size = 0;
    ck_assert(!valid(m));
    offer->id.size = CHECKPOINT_SIZE_MAX + 1;
    ck_assert(!valid(m));
    m = &drawn(MESSAGE_CHECKPOINT_REQUEST)->message;
    m->checkpoint_request.count = 0;
    ck_assert(!valid(m));
    m->checkpoint_request.count = CHUNK_WINDOW_MAX;
    ck_assert(valid(m));
    m->checkpoint_request.count++;
    ck_assert(!valid(m));
    m->checkpoint_request.count = 1;
    m->checkpoint_request.first = CHECKPOINT_CHUNKS_MAX;
    ck_assert(!valid(m));
    m = &drawn(MESSAGE_CHECKPOINT_CHUNK)->message;
    m->checkpoint_chunk.index = CHECKPOINT_CHUNKS_MAX;
    ck_assert(!valid(m));
    m->checkpoint_chunk.index = 0;
    ck_assert(valid(m));
    m->checkpoint_chunk.size = 0;
    ck_assert(!valid(m));
    m->checkpoint_chunk.size = CHECKPOINT_CHUNK_SIZE + 1;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(backup_bounds)
{
    struct message *m = &drawn(MESSAGE_BACKUP_REQUEST)->message;
    struct backup_request *request = &m->backup_request;
    *request = (struct backup_request){.nonce = 1, .least_op = UINT64_MAX}; /* asks for an offer */
    ck_assert(valid(m));
    request->count = 1; /* of what? */
    ck_assert(!valid(m));
    request->root = (struct checksum){0, 1};
    ck_assert(valid(m));
    request->count = CHUNK_WINDOW_MAX + 1;
    ck_assert(!valid(m));
    request->count = 0;
    ck_assert(!valid(m));
    request->count = 1;
    request->first = CHECKPOINT_CHUNKS_MAX;
    ck_assert(!valid(m));

    m = &drawn(MESSAGE_BACKUP_OFFER)->message;
    struct backup_offer *offer = &m->backup_offer;
    *offer = (struct backup_offer){.outcome = BACKUP_TAKING};
    ck_assert(valid(m));
    offer->id.op_number = 1; /* there is none yet */
    ck_assert(!valid(m));
    offer->outcome = BACKUP_READY;
    offer->id = (struct checkpoint_id){
        .op_number = 1, .view_number = view_make(EPOCH_FIRST, 0), .size = 1, .root = {1, 0}};
    ck_assert(valid(m));
    offer->id.size = CHECKPOINT_SIZE_MAX + 1;
    ck_assert(!valid(m));
    offer->id.size = 1;
    offer->id.root = (struct checksum){0, 0}; /* that asks for an offer */
    ck_assert(!valid(m));
    offer->outcome = (enum backup_outcome)(BACKUP_FAILED + 1);
    ck_assert(!valid(m));
}
END_TEST

/* ---- Entries, in Prepare and CatchupResponse ------------------------------------------------ */

enum { BODY_SIZE = 5, THREE_SIZE = 3 * (ENTRY_HEADER_SIZE + BODY_SIZE) };

static struct entry entry_at(uint64_t op_number)
{
    return (struct entry){
        .op_number = op_number,
        .view_number = VIEW_FIRST,
        .timestamp = 1000 + op_number,
        .client_id = {1, 2},
        .session = 1,
        .request_number = op_number,
        .kind = ENTRY_OPERATION,
        .body_size = BODY_SIZE,
        .body = (const uint8_t *)"hello",
    };
}

static struct message prepare_of(const struct entry entries[3], uint8_t bytes[THREE_SIZE])
{
    uint32_t size = 0;
    for (int i = 0; i < 3; i++) {
        size += (uint32_t)entry_encode(&entries[i], bytes + size);
    }
    return (struct message){
        .type = MESSAGE_PREPARE,
        .prepare = {.view_number = VIEW_FIRST + 1,
                    .first_op = entries[0].op_number,
                    .entry_count = 3,
                    .entries_size = size,
                    .entries = bytes},
    };
}

START_TEST(prepare_bounds)
{
    uint8_t bytes[THREE_SIZE];
    const struct entry entries[3] = {entry_at(1), entry_at(2), entry_at(3)};
    const struct message good = prepare_of(entries, bytes);
    ck_assert(valid(&good));

    struct message m = good;
    m.prepare.view_number = VIEW_OF_NO_EPOCH;
    ck_assert(!valid(&m));
    m = good;
    m.prepare.commit_number = UINT64_MAX; /* sent again later: any number is fine */
    ck_assert(valid(&m));
    for (uint32_t count = 0; count < 6; count++) {
        m = good;
        m.prepare.entry_count = count;
        ck_assert_int_eq(valid(&m), count == 3);
    }
    m = good;
    m.prepare.entry_count = UINT32_MAX;
    ck_assert(!valid(&m));
    for (uint32_t size = 0; size < THREE_SIZE; size++) {
        m = good;
        m.prepare.entries_size = size;
        ck_assert(!valid(&m));
    }
    m = good;
    m.prepare.entries = NULL;
    ck_assert(!valid(&m));
    m = good;
    m.prepare.first_op = 2; /* not the entries' */
    ck_assert(!valid(&m));
}
END_TEST

START_TEST(ops_of_entries_start_at_one_and_run_on)
{
    uint8_t bytes[THREE_SIZE];
    struct message m =
        prepare_of((const struct entry[3]){entry_at(0), entry_at(1), entry_at(2)}, bytes);
    ck_assert(!valid(&m));
    m = prepare_of((const struct entry[3]){entry_at(1), entry_at(2), entry_at(4)}, bytes);
    ck_assert(!valid(&m));
    m = prepare_of((const struct entry[3]){entry_at(1), entry_at(1), entry_at(2)}, bytes);
    ck_assert(!valid(&m));
    const uint64_t last = UINT64_MAX - 3;
    struct entry entries[3] = {entry_at(last), entry_at(last + 1), entry_at(last + 2)};
    for (int i = 0; i < 3; i++) {
        entries[i].timestamp = (uint64_t)i;
    }
    m = prepare_of(entries, bytes);
    ck_assert(valid(&m));
    for (int i = 0; i < 3; i++) {
        entries[i].op_number += 2; /* the last one wraps to 0 */
    }
    m = prepare_of(entries, bytes);
    ck_assert(!valid(&m));
}
END_TEST

START_TEST(timestamps_rise_and_views_do_not_fall)
{
    uint8_t bytes[THREE_SIZE];
    struct entry entries[3] = {entry_at(1), entry_at(2), entry_at(3)};
    entries[2].timestamp = entries[1].timestamp;
    struct message m = prepare_of(entries, bytes);
    ck_assert(!valid(&m));
    entries[2].timestamp++;
    m = prepare_of(entries, bytes);
    ck_assert(valid(&m));

    entries[1].view_number = entries[2].view_number = VIEW_FIRST + 1; /* the Prepare's own */
    m = prepare_of(entries, bytes);
    ck_assert(valid(&m));
    entries[2].view_number = VIEW_FIRST;
    m = prepare_of(entries, bytes);
    ck_assert(!valid(&m));
    entries[2].view_number = VIEW_FIRST + 2; /* later than the Prepare's */
    m = prepare_of(entries, bytes);
    ck_assert(!valid(&m));
    entries[2].view_number = VIEW_FIRST + 1;
    entries[0].view_number = VIEW_OF_NO_EPOCH;
    m = prepare_of(entries, bytes);
    ck_assert(!valid(&m));
}
END_TEST

/* The largest entry there is fits; entries together have that bound, too. */
START_TEST(largest_entry_is_valid)
{
    static const uint8_t body[OPERATION_SIZE_MAX];
    uint8_t *bytes = malloc(ENTRY_SIZE_MAX + ENTRY_HEADER_SIZE);
    struct entry entry = entry_at(1);
    entry.body_size = OPERATION_SIZE_MAX;
    entry.body = body;
    ck_assert_uint_eq(entry_encode(&entry, bytes), ENTRY_SIZE_MAX);
    struct message m = {
        .type = MESSAGE_PREPARE,
        .prepare = {.view_number = VIEW_FIRST,
                    .first_op = 1,
                    .entry_count = 1,
                    .entries_size = ENTRY_SIZE_MAX,
                    .entries = bytes},
    };
    ck_assert(valid(&m));

    struct entry second = entry_at(2);
    second.body_size = 0;
    (void)entry_encode(&second, bytes + ENTRY_SIZE_MAX);
    m.prepare.entry_count = 2;
    m.prepare.entries_size = ENTRY_SIZE_MAX + ENTRY_HEADER_SIZE;
    ck_assert(!valid(&m));
    free(bytes);
}
END_TEST

START_TEST(catchup_response_bounds)
{
    CHECK_VIEW_OR_NONE(MESSAGE_CATCHUP_RESPONSE, catchup_response.last_normal_view);
    uint8_t *bytes = malloc((SYNC_ENTRIES_MAX + 1) * ENTRY_HEADER_SIZE);
    uint32_t size = 0;
    for (uint32_t i = 0; i <= SYNC_ENTRIES_MAX; i++) {
        struct entry entry = entry_at(1 + i);
        entry.body_size = 0;
        size += (uint32_t)entry_encode(&entry, bytes + size);
    }
    struct message m = {
        .type = MESSAGE_CATCHUP_RESPONSE,
        .catchup_response = {.last_normal_view = VIEW_NONE,
                             .first_op = 1,
                             .entry_count = SYNC_ENTRIES_MAX,
                             .entries_size = size - ENTRY_HEADER_SIZE,
                             .entries = bytes},
    };
    ck_assert(valid(&m));
    m.catchup_response.entry_count++;
    m.catchup_response.entries_size = size;
    ck_assert(!valid(&m));

    m.catchup_response.entry_count = 0; /* "I do not hold first_op" */
    ck_assert(!valid(&m));
    m.catchup_response.entries_size = 0;
    m.catchup_response.entries = NULL;
    ck_assert(valid(&m));
    m.catchup_response.first_op = 0;
    ck_assert(!valid(&m));
    free(bytes);
}
END_TEST

START_TEST(part_bounds)
{
    static uint8_t data[DATAGRAM_SIZE_MAX];
    const struct part two = {
        .id = 1,
        .type = MESSAGE_REQUEST,
        .total_size = PART_SIZE_MIN + 1,
        .part_size = PART_SIZE_MIN,
        .index = 0,
        .data_size = PART_SIZE_MIN,
        .data = data,
    };
    struct message m = {.type = MESSAGE_PART, .part = two};
    ck_assert(valid(&m));
    m.part.index = 1;
    ck_assert(!valid(&m));
    m.part.data_size = 1;
    ck_assert(valid(&m));
    m.part.data_size = 2;
    ck_assert(!valid(&m));
    m.part.data_size = 0;
    ck_assert(!valid(&m));
    m.part.index = 2; /* there are two parts: 0 and 1 */
    m.part.data_size = 0;
    ck_assert(!valid(&m));
    m.part.data_size = PART_SIZE_MIN;
    ck_assert(!valid(&m));
    m.part.index = UINT32_MAX;
    ck_assert(!valid(&m));

    m.part = two;
    m.part.part_size--;
    m.part.data_size--;
    ck_assert(!valid(&m));
    m.part = two;
    m.part.total_size = PART_SIZE_MIN; /* would be one part */
    ck_assert(!valid(&m));
    m.part = two;
    m.part.total_size = 0;
    ck_assert(!valid(&m));
    m.part = two;
    m.part.part_size = UINT32_MAX;
    ck_assert(!valid(&m));
    m.part = two;
    m.part.total_size = MESSAGE_SIZE_MAX;
    ck_assert(valid(&m));
    m.part.total_size++;
    ck_assert(!valid(&m));
    m.part = two;
    m.part.data = NULL;
    ck_assert(!valid(&m));
    /* Parts of parts could go on for ever. */
    const uint32_t refused[] = {MESSAGE_NONE, MESSAGE_PART, MESSAGE_PARTS_MISSING, UINT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        m.part = two;
        m.part.type = refused[i];
        ck_assert(!valid(&m));
    }
}
END_TEST

START_TEST(parts_missing_bounds)
{
    struct message *m = &drawn(MESSAGE_PARTS_MISSING)->message;
    m->parts_missing.bitmap_size = PARTS_BITMAP_MAX;
    ck_assert(valid(m));
    m->parts_missing.bitmap_size = PARTS_BITMAP_MAX + 1;
    ck_assert(!valid(m));
    m->parts_missing.bitmap_size = 0;
    ck_assert(!valid(m));
    m->parts_missing.bitmap_size = 1;
    m->parts_missing.bitmap = NULL;
    ck_assert(!valid(m));
}
END_TEST

START_TEST(names_say_something)
{
    for (int reason = BUSY_QUEUE_FULL; reason <= BUSY_BEHIND; reason++) {
        ck_assert_str_ne(busy_reason_name((enum busy_reason)reason), "?");
    }
    ck_assert_str_eq(busy_reason_name((enum busy_reason)0), "?");
    ck_assert_str_eq(busy_reason_name((enum busy_reason)(BUSY_BEHIND + 1)), "?");
    ck_assert_str_eq(message_type_name(MESSAGE_DO_VIEW_CHANGE), "DoViewChange");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tests = tcase_create("validate");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, random_messages_are_valid);
    tcase_add_test(tests, unknown_types_are_not_valid);
    tcase_add_test(tests, replicas_alone_say_what_the_protocol_says);
    tcase_add_test(tests, request_bounds);
    tcase_add_test(tests, read_bounds);
    tcase_add_test(tests, status_request_bounds);
    tcase_add_test(tests, log_level_bounds);
    tcase_add_test(tests, trace_request_bounds);
    tcase_add_test(tests, trace_report_bounds);
    tcase_add_test(tests, answers_to_clients_bounds);
    tcase_add_test(tests, status_bounds);
    tcase_add_test(tests, status_texts_are_printable_and_bounded);
    tcase_add_test(tests, small_replica_messages_bounds);
    tcase_add_test(tests, log_descriptor_bounds);
    tcase_add_test(tests, catchup_request_bounds);
    tcase_add_test(tests, checkpoint_bounds);
    tcase_add_test(tests, backup_bounds);
    tcase_add_test(tests, prepare_bounds);
    tcase_add_test(tests, ops_of_entries_start_at_one_and_run_on);
    tcase_add_test(tests, timestamps_rise_and_views_do_not_fall);
    tcase_add_test(tests, largest_entry_is_valid);
    tcase_add_test(tests, catchup_response_bounds);
    tcase_add_test(tests, part_bounds);
    tcase_add_test(tests, parts_missing_bounds);
    tcase_add_test(tests, names_say_something);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
