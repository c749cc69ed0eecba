/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv_load.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"

void kv_load_init(struct kv_load *load)
{
    *load = (struct kv_load){.begun = false};
}

void kv_load_clear(struct kv_load *load)
{
    free(load->record);
    kv_load_init(load);
}

void kv_load_begin(struct kv_load *load)
{
    kv_load_clear(load);
    load->begun = true;
    load->head_size = KV_CUT_HEADER_SIZE;
}

static void expect_pair(struct kv_load *load)
{
    load->head_size = KV_CUT_PAIR_SIZE;
    load->filled = 0;
}

/* The header is whole, or the front of a pair. */
static bool take_head(struct kv_load *load)
{
    if (load->head_size == KV_CUT_HEADER_SIZE) {
        load->left = bytes_get_u64(load->head + 4);
        expect_pair(load);
        return bytes_get_u32(load->head) == KV_CUT_FORMAT;
    }
    const uint32_t key_size = bytes_get_u16(load->head);
    const uint32_t value_size = bytes_get_u32(load->head + 2);
    if (key_size == 0 || key_size > KEY_SIZE_MAX || value_size > VALUE_SIZE_MAX) {
        return false;
    }
    load->record = kv_record_allocate(key_size, value_size);
    return true;
}

/* A record is whole. */
static bool take_record(struct kv_load *load, struct kv_store *store)
{
    struct kv_record *record = load->record;
    const struct kv_bytes last = {load->last, load->last_size};
    if (kv_bytes_compare(kv_record_key(record), last) <= 0) {
        return false;
    }
    memcpy(load->last, record->bytes, record->key_size);
    load->last_size = record->key_size;
    kv_record_seal(record);
    kv_store_put(store, record);
    load->record = NULL;
    load->left--;
    expect_pair(load);
    return true;
}

/* Copies what the head, or else the record, still lacks; returns how much that was. */
static size_t fill(struct kv_load *load, const uint8_t *bytes, size_t size)
{
    const bool in_head = load->filled < load->head_size;
    const size_t wanted =
        in_head ? load->head_size : load->head_size + (size_t)kv_record_size(load->record);
    uint8_t *to = in_head ? load->head + load->filled
                          : load->record->bytes + (load->filled - load->head_size);
    const size_t left = wanted - load->filled;
    const size_t taken = left < size ? left : size;
    memcpy(to, bytes, taken);
    load->filled += taken;
    return taken;
}

static bool step(struct kv_load *load, struct kv_store *store, const uint8_t **at, size_t *left)
{
    if (load->head_size == KV_CUT_PAIR_SIZE && load->left == 0) {
        return false; /* behind the last pair nothing may come */
    }
    const size_t taken = fill(load, *at, *left);
    *at += taken;
    *left -= taken;
    if (load->record == NULL) {
        return load->filled < load->head_size || take_head(load);
    }
    return load->filled < load->head_size + kv_record_size(load->record) ||
           take_record(load, store);
}

bool kv_load_bytes(struct kv_load *load, struct kv_store *store, const uint8_t *bytes, size_t size)
{
    while (size > 0 && load->begun && !load->failed) {
        load->failed = !step(load, store, &bytes, &size);
    }
    return load->begun && !load->failed;
}

bool kv_load_end(struct kv_load *load)
{
    const bool complete = load->begun && !load->failed && load->head_size == KV_CUT_PAIR_SIZE &&
                          load->filled == 0 && load->left == 0;
    kv_load_clear(load);
    return complete;
}
