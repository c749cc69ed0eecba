/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"

enum { STAMP_MAX = 96 }; /* "(run, session, key, n)" as text, with its NUL */

static size_t write_stamp(const struct workload *workload, uint64_t n, char stamp[STAMP_MAX])
{
    return (size_t)snprintf(stamp, STAMP_MAX,
                            "run=%016" PRIx64 " session=%" PRIu32 " key=%" PRIu32 " n=%" PRIu64 " ",
                            workload->run, workload->session, workload->key, n);
}

void workload_init(struct workload *workload, const struct flood_options *options, uint64_t run,
                   uint32_t session)
{
    memset(workload, 0, sizeof *workload);
    workload->options = options;
    workload->run = run;
    workload->session = session;
    /* Neighbouring sessions must not draw the same numbers. */
    prng_seed(&workload->prng, options->seed * UINT64_C(0x9e3779b97f4a7c15) + session);
    workload->key_count = options->key_count;
    workload->value_size = options->value_size;
    if (options->verify) {
        const uint32_t share = options->key_count / options->clients;
        workload->key_count = share > 0 ? share : 1;
        workload->keys = must_calloc(workload->key_count, sizeof(struct workload_key));
        workload->value_size =
            workload->value_size > STAMP_MAX ? workload->value_size : (uint32_t)STAMP_MAX;
    }
    if (options->distribution == FLOOD_ZIPF) {
        zipf_init(&workload->zipf, workload->key_count);
    }
    workload->value = must_calloc(workload->value_size, 1);
    memset(workload->value, '.', workload->value_size);
    workload->operation =
        must_calloc(WORKLOAD_KEY_MAX + workload->value_size + OPERATION_OVERHEAD_MAX, 1);
}

void workload_free(struct workload *workload)
{
    free(workload->keys);
    free(workload->value);
    free(workload->operation);
}

static size_t write_key(const struct workload *workload, char key[WORKLOAD_KEY_MAX])
{
    const int size = workload->options->verify
                         ? snprintf(key, WORKLOAD_KEY_MAX, "flood/verify/%" PRIu32 "/%" PRIu32,
                                    workload->session, workload->key)
                         : snprintf(key, WORKLOAD_KEY_MAX, "flood/%" PRIu32, workload->key);
    return (size_t)size;
}

static void encode(struct workload *workload)
{
    char key[WORKLOAD_KEY_MAX];
    struct kv_operation operation = {
        .kind = workload->is_read ? KV_GET : KV_SET,
        .key = {.bytes = (const uint8_t *)key, .size = write_key(workload, key)},
    };
    if (!workload->is_read) {
        operation.value = (struct kv_bytes){.bytes = workload->value, .size = workload->value_size};
    }
    workload->operation_size = kv_operation_encode(&operation, workload->operation);
}

static uint32_t draw_key(struct workload *workload)
{
    return workload->options->distribution == FLOOD_ZIPF
               ? zipf_draw(&workload->zipf, &workload->prng)
               : (uint32_t)prng_below(&workload->prng, workload->key_count);
}

void workload_next(struct workload *workload)
{
    workload->key = draw_key(workload);
    workload->is_read = prng_below(&workload->prng, 100) >= workload->options->mix_percent;
    if (!workload->is_read && workload->keys != NULL) {
        char stamp[STAMP_MAX];
        const size_t size = write_stamp(workload, ++workload->keys[workload->key].sent, stamp);
        memset(workload->value, '.', STAMP_MAX);
        memcpy(workload->value, stamp, size);
    }
    encode(workload);
}

bool workload_next_readback(struct workload *workload)
{
    while (workload->keys != NULL && workload->readback_next < workload->key_count) {
        workload->key = workload->readback_next++;
        if (workload->keys[workload->key].sent > 0) {
            workload->is_read = true;
            encode(workload);
            return true;
        }
    }
    return false;
}

/* ---- judging ---- */

/* True if the value is one that this session wrote to this key in this run; *n says which. */
static bool read_stamp(const struct workload *workload, const struct kv_bytes *value, uint64_t *n)
{
    char text[STAMP_MAX];
    const size_t size = value->size < sizeof text - 1 ? value->size : sizeof text - 1;
    if (size > 0) {
        memcpy(text, value->bytes, size);
    }
    text[size] = '\0';
    uint64_t run;
    uint32_t session;
    uint32_t key;
    return sscanf(text, "run=%" SCNx64 " session=%" SCNu32 " key=%" SCNu32 " n=%" SCNu64 " ", &run,
                  &session, &key, n) == 4 &&
           run == workload->run && session == workload->session && key == workload->key;
}

static enum workload_judgement violate(const struct workload *workload, const char *what,
                                       char violation[VIOLATION_MAX])
{
    const struct workload_key *key = &workload->keys[workload->key];
    char name[WORKLOAD_KEY_MAX];
    (void)write_key(workload, name);
    (void)snprintf(violation, VIOLATION_MAX,
                   "key %s: %s; last acknowledged or seen is n=%" PRIu64 ", last sent n=%" PRIu64,
                   name, what, key->floor, key->sent);
    return WORKLOAD_VIOLATION;
}

static enum workload_judgement judge_read(struct workload *workload, const struct kv_result *result,
                                          char violation[VIOLATION_MAX])
{
    struct workload_key *key = &workload->keys[workload->key];
    uint64_t n = 0;
    if (result->status == KV_NOT_FOUND) {
        return key->floor == 0 ? WORKLOAD_FINE : violate(workload, "it does not exist", violation);
    }
    if (!read_stamp(workload, &result->value, &n)) {
        /* Before this run's first write an earlier run's value may be there. */
        return key->floor == 0 ? WORKLOAD_FINE
                               : violate(workload, "the value is not this session's", violation);
    }
    if (n < key->floor || n > key->sent) {
        char what[64];
        (void)snprintf(what, sizeof what, "read n=%" PRIu64, n);
        return violate(workload, what, violation);
    }
    key->floor = n;
    return WORKLOAD_FINE;
}

/* What a Set answers, without a decoder: status OK and nothing else. */
static bool is_plain_ok(const uint8_t *result, size_t size)
{
    return size == 2 && result[0] == 0x08 && result[1] == KV_OK;
}

enum workload_judgement workload_judge(struct workload *workload, const uint8_t *result,
                                       size_t result_size, struct arena *arena,
                                       char violation[VIOLATION_MAX])
{
    struct kv_result decoded;
    arena_reset(arena);
    if (!workload->is_read) {
        const bool good =
            is_plain_ok(result, result_size) ||
            (kv_result_decode(result, result_size, arena, &decoded) && decoded.status == KV_OK);
        if (good && workload->keys != NULL) {
            workload->keys[workload->key].floor = workload->keys[workload->key].sent;
        }
        return good ? WORKLOAD_FINE : WORKLOAD_REFUSED;
    }
    if (workload->keys == NULL) {
        return WORKLOAD_FINE; /* decoding what nobody looks at would only cost time */
    }
    if (!kv_result_decode(result, result_size, arena, &decoded) ||
        (decoded.status != KV_OK && decoded.status != KV_NOT_FOUND)) {
        return WORKLOAD_REFUSED;
    }
    return judge_read(workload, &decoded, violation);
}
