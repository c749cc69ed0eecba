/* SPDX-License-Identifier: Apache-2.0 */
#include "server/executor/executor.h"

#include "common/base/invariant.h"
#include "common/base/mark.h"
#include "server/executor/executor_parts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert((int)VR_RESULT_SIZE_MAX == (int)RESULT_SIZE_MAX, "the public limits are the limits");
_Static_assert((int)VR_WRITE_RESULT_SIZE_MAX == (int)REPLY_STORED_MIN,
               "the public limits are the limits");

/* --- memory --- */

static size_t align16(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static uint32_t kept_max(const struct cluster_parameters *parameters)
{
    return parameters->reply_stored_max > READ_KEPT_MAX ? parameters->reply_stored_max
                                                        : READ_KEPT_MAX;
}

size_t executor_memory_size(const struct cluster_parameters *parameters)
{
    return align16(sizeof(struct executor)) +
           align16(client_table_memory_size(parameters->sessions_max, kept_max(parameters))) +
           RESULT_SIZE_MAX;
}

/* An application that lacks a function would end the replica when that is called: say so now. */
static void check_app(const struct app *app)
{
    INVARIANT(app->execute != NULL);
    INVARIANT(app->is_read != NULL);
    INVARIANT(app->digest != NULL);
    INVARIANT(app->state_size != NULL);
    INVARIANT(app->cut_begin != NULL);
    INVARIANT(app->cut != NULL);
    INVARIANT(app->cut_abandon != NULL);
    INVARIANT(app->load_begin != NULL);
    INVARIANT(app->load != NULL);
    INVARIANT(app->load_end != NULL);
}

struct executor *executor_init(void *memory, const struct executor_options *options)
{
    const struct cluster_parameters *parameters = &options->parameters;
    uint8_t *table_memory = (uint8_t *)memory + align16(sizeof(struct executor));
    struct executor *executor = memory;
    check_app(options->app);
    *executor = (struct executor){
        .parameters = *parameters,
        .app = options->app,
    };
    if (options->configuration != NULL) {
        executor->configuration_size =
            (uint32_t)configuration_encode(options->configuration, executor->configuration);
    }
    client_table_init(&executor->table, table_memory, parameters->sessions_max,
                      kept_max(parameters), options->hash_seed);
    executor->result = table_memory + align16(client_table_memory_size(parameters->sessions_max,
                                                                       kept_max(parameters)));
    return executor;
}

/* --- the application --- */

/* Runs the application at the executor's op; the result is in executor->result. */
static uint32_t app_execute(struct executor *executor, const uint8_t *operation, uint32_t size)
{
    const struct app *app = executor->app;
    const struct app_context context = {
        .op_number = executor->executed_op,
        .timestamp = executor->timestamp,
        .state_size_max = executor->parameters.state_size_max,
    };
    const size_t result_size =
        app->execute(app->state, &context, operation, size, executor->result);
    INVARIANT(result_size <= RESULT_SIZE_MAX);
    return (uint32_t)result_size;
}

static void reply_set_result(struct reply *reply, const uint8_t *result, uint32_t size)
{
    reply->status = REPLY_OK;
    reply->result = result;
    reply->result_size = size;
}

/* Executes a request for the first time, and keeps what a repetition of it will need (C3). */
static void execute_new(struct executor *executor, struct client_record *record,
                        const struct entry *entry, uint64_t checksum, struct reply *reply)
{
    const struct app *app = executor->app;
    const uint32_t size = app_execute(executor, entry->body, entry->body_size);
    reply_set_result(reply, executor->result, size);
    enum kept kept = KEPT_RESULT;
    const uint8_t *bytes = executor->result;
    uint32_t kept_size = size;
    if (size > executor->parameters.reply_stored_max) {
        INVARIANT(app->is_read(app->state, entry->body, entry->body_size)); /* app.h */
        const bool fits = entry->body_size <= READ_KEPT_MAX;
        VR_MARK(C3_result_is_too_large_to_keep);
        kept = fits ? KEPT_READ : KEPT_NOTHING;
        bytes = entry->body;
        kept_size = fits ? entry->body_size : 0;
    }
    client_table_executed(&executor->table, record, entry->request_number, checksum,
                          entry->op_number, kept, bytes, kept_size);
}

/* Executes a read, which has no place in the log, or once more. The application promised that it
 * changes nothing. */
static void execute_read(struct executor *executor, const uint8_t *operation, uint32_t size,
                         struct reply *reply)
{
    const struct app *app = executor->app;
    const struct checksum before = app->digest(app->state);
    const uint32_t result_size = app_execute(executor, operation, size);
    INVARIANT(checksum_equal(before, app->digest(app->state)));
    reply_set_result(reply, executor->result, result_size);
}

/* --- what was asked before --- */

/* What is asked for, be it an entry of the log or a look-up. */
struct asked {
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    uint64_t checksum;
};

enum verdict {
    VERDICT_NEW,     /* to be executed */
    VERDICT_REPEAT,  /* executed before: the record has what is to be said */
    VERDICT_ANSWERED /* refused: reply->status says why */
};

static enum verdict refuse(struct reply *reply, enum reply_status status)
{
    reply->status = status;
    return VERDICT_ANSWERED;
}

static enum verdict judge_operation(const struct client_record *record, const struct asked *asked,
                                    struct reply *reply)
{
    if (record == NULL || !client_id_equal(record->client_id, asked->client_id)) {
        VR_MARK(C4_session_is_unknown);
        return refuse(reply, REPLY_SESSION_EXPIRED);
    }
    if (asked->request_number > record->request_number) {
        return VERDICT_NEW;
    }
    if (asked->request_number < record->request_number) {
        VR_MARK(C2_request_is_superseded);
        return refuse(reply, REPLY_SUPERSEDED);
    }
    if (asked->checksum != record->operation_checksum) {
        return refuse(reply, REPLY_PAYLOAD_MISMATCH);
    }
    return VERDICT_REPEAT;
}

/* Says again what the record's last request was answered; false if that is not known any more. */
static bool repeat(struct executor *executor, const struct client_record *record,
                   struct reply *reply)
{
    const uint8_t *kept = client_table_kept(&executor->table, record);
    reply->op_number = record->last_op;
    switch ((enum kept)record->kept) {
    case KEPT_RESULT:
        VR_MARK(C3_stored_reply_is_said_again);
        reply_set_result(reply, kept, record->kept_size);
        return true;
    case KEPT_READ:
        VR_MARK(C3_read_is_executed_again);
        execute_read(executor, kept, record->kept_size, reply);
        return true;
    case KEPT_NOTHING:
        break;
    }
    return false;
}

static void reply_session(struct reply *reply, const struct client_record *record)
{
    reply->status = REPLY_OK;
    reply->session = record->session;
    reply->op_number = record->session; /* where the Register that counted stands */
}

/* --- entries --- */

static void execute_register(struct executor *executor, const struct entry *entry,
                             struct reply *reply)
{
    struct client_record *record = client_table_find_client(&executor->table, entry->client_id);
    if (record == NULL) {
        record = client_table_register(&executor->table, entry->client_id, entry->op_number);
    } else {
        VR_MARK(C1_repeated_register_gets_its_session);
    }
    reply_session(reply, record);
}

static void execute_unregister(struct executor *executor, const struct entry *entry,
                               struct reply *reply)
{
    struct client_record *record = client_table_find(&executor->table, entry->session);
    if (record == NULL || !client_id_equal(record->client_id, entry->client_id)) {
        reply->status = REPLY_SESSION_EXPIRED;
        return;
    }
    client_table_unregister(&executor->table, record);
    reply->status = REPLY_OK;
}

/* A large read of which nothing was kept: the entry brings it along once more. Two payloads of one
 * checksum can be made on purpose, so its being a read is judged, not assumed. */
static void repeat_from_entry(struct executor *executor, const struct entry *entry,
                              struct reply *reply)
{
    const struct app *app = executor->app;
    if (app->is_read(app->state, entry->body, entry->body_size)) {
        VR_MARK(C3_read_is_executed_again);
        execute_read(executor, entry->body, entry->body_size, reply);
    } else {
        reply->op_number = entry->op_number;
        reply->status = REPLY_PAYLOAD_MISMATCH;
    }
}

static void execute_operation(struct executor *executor, const struct entry *entry,
                              struct reply *reply)
{
    if (entry->body_size > executor->parameters.operation_size_max) {
        reply->status = REPLY_OPERATION_TOO_LARGE;
        return;
    }
    const struct asked asked = {
        .client_id = entry->client_id,
        .session = entry->session,
        .request_number = entry->request_number,
        .checksum = operation_checksum(entry->kind, entry->body, entry->body_size),
    };
    struct client_record *record = client_table_find(&executor->table, entry->session);
    switch (judge_operation(record, &asked, reply)) {
    case VERDICT_NEW:
        execute_new(executor, record, entry, asked.checksum, reply);
        return;
    case VERDICT_REPEAT:
        if (!repeat(executor, record, reply)) {
            repeat_from_entry(executor, entry, reply);
        }
        return;
    case VERDICT_ANSWERED:
        return;
    }
}

void executor_execute(struct executor *executor, const uint8_t *bytes, size_t size,
                      struct reply *reply)
{
    struct entry entry;
    const size_t entry_size = entry_decode(bytes, size, &entry);
    INVARIANT(executor->load.stage == LOAD_NONE);
    INVARIANT(entry_size == size);
    INVARIANT(entry_size != 0);
    INVARIANT(entry.op_number == executor->executed_op + 1);
    executor->executed_op = entry.op_number;
    executor->timestamp = entry.timestamp;
    *reply = (struct reply){
        .op_number = entry.op_number,
        .client_id = entry.client_id,
        .session = entry.session,
        .request_number = entry.request_number,
    };
    switch (entry.kind) {
    case ENTRY_OPERATION:
        execute_operation(executor, &entry, reply);
        return;
    case ENTRY_REGISTER:
        execute_register(executor, &entry, reply);
        return;
    case ENTRY_UNREGISTER:
        execute_unregister(executor, &entry, reply);
        return;
    }
}

/* --- look-ups --- */

/* A session above executed_op is one that is not known here yet; below, one that is gone for good.
 */
static bool lookup_gone(const struct executor *executor, uint64_t session, struct reply *reply)
{
    reply->status = REPLY_SESSION_EXPIRED;
    return session <= executor->executed_op;
}

bool executor_lookup(struct executor *executor, struct client_id client_id, uint64_t session,
                     uint64_t request_number, enum entry_kind kind, uint64_t operation_checksum,
                     struct reply *reply)
{
    const struct asked asked = {client_id, session, request_number, operation_checksum};
    *reply = (struct reply){
        .client_id = client_id, .session = session, .request_number = request_number};
    if (kind == ENTRY_REGISTER) {
        const struct client_record *opened = client_table_find_client(&executor->table, client_id);
        if (opened != NULL) {
            reply_session(reply, opened);
        }
        return opened != NULL;
    }
    const struct client_record *record = client_table_find(&executor->table, session);
    if (record == NULL || !client_id_equal(record->client_id, client_id)) {
        return lookup_gone(executor, session, reply);
    }
    if (kind == ENTRY_UNREGISTER) {
        return false; /* the session is open: this Unregister was not executed */
    }
    switch (judge_operation(record, &asked, reply)) {
    case VERDICT_NEW:
        return false;
    case VERDICT_REPEAT:
        return repeat(executor, record, reply);
    case VERDICT_ANSWERED:
        return true;
    }
    return false;
}

/* --- reads --- */

void executor_read(struct executor *executor, const uint8_t *operation, uint32_t size,
                   struct reply *reply)
{
    const struct app *app = executor->app;
    INVARIANT(executor->load.stage == LOAD_NONE);
    *reply = (struct reply){.op_number = executor->executed_op};
    if (!app->is_read(app->state, operation, size)) {
        reply->status = REPLY_NOT_A_READ;
        return;
    }
    execute_read(executor, operation, size, reply);
}

/* --- what is known --- */

uint64_t executor_executed_op(const struct executor *executor)
{
    return executor->executed_op;
}

uint64_t executor_timestamp(const struct executor *executor)
{
    return executor->timestamp;
}

bool executor_is_quick(const struct executor *executor)
{
    return executor->app->is_quick;
}

uint64_t executor_state_size(const struct executor *executor)
{
    return executor->app->state_size(executor->app->state);
}

uint64_t executor_session_count(const struct executor *executor)
{
    return executor->table.count;
}

uint64_t executor_evicted_count(const struct executor *executor)
{
    return executor->table.evicted_count;
}

struct checksum executor_digest(const struct executor *executor)
{
    const struct app *app = executor->app;
    const struct checksum app_digest = app->digest(app->state);
    const struct checksum table_digest = executor->table.digest;
    const uint64_t words[] = {
        table_digest.low,
        table_digest.high,
        app_digest.low,
        app_digest.high,
    };
    const XXH128_hash_t hash = XXH3_128bits(words, sizeof words);
    return (struct checksum){hash.low64, hash.high64};
}
