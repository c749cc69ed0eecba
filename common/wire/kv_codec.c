/* SPDX-License-Identifier: Apache-2.0 */
/* kv_codec.c - what nearly all operations and results are, one key, one key and one value, a
 * status, goes straight (straight.h); anything else through protobuf-c, which gives the same bytes
 * and reads the same from them (test_kv_codec). */
#include "common/wire/kv_codec.h"

#include "common/base/invariant.h"
#include "common/wire/straight.h"
#include "proto/kv.pb-c.h"

const char *kv_status_text(enum kv_status status)
{
    switch (status) {
    case KV_OK:
        return "ok";
    case KV_NOT_FOUND:
        return "key not found";
    case KV_MISMATCH:
        return "the value is not the expected one";
    case KV_OVERFLOW:
        return "the sum does not fit 64 bits";
    case KV_NOT_A_NUMBER:
        return "the value is not a 64-bit decimal number";
    case KV_TOO_LARGE:
        return "a key, prefix or value is too large";
    case KV_MALFORMED:
        return "not an operation that the store knows";
    case KV_STORE_FULL:
        return "the store is full: this write would take it over the cluster's --state-size-max. "
               "Nothing was changed; deleting keys makes room";
    }
    return "?";
}

/* --- bounds --- */

/* What protobuf adds to keys and values: two nested messages, five fields, lengths and numbers. */
enum { KV_OPERATION_OVERHEAD_MAX = 64 };

enum kv_status kv_operation_check(const struct kv_operation *operation)
{
    if (operation->kind < KV_GET || operation->kind > KV_SCAN) {
        return KV_MALFORMED;
    }
    if (operation->key.size > KEY_SIZE_MAX || operation->after.size > KEY_SIZE_MAX ||
        operation->value.size > VALUE_SIZE_MAX || operation->expected.size > VALUE_SIZE_MAX) {
        return KV_TOO_LARGE;
    }
    if (operation->key.size == 0 && operation->kind != KV_SCAN) {
        return KV_MALFORMED;
    }
    /* A Cas carries two values; the log has room for one of the largest. */
    const size_t content = operation->key.size + operation->after.size + operation->value.size +
                           operation->expected.size;
    if (content <= OPERATION_SIZE_MAX - KV_OPERATION_OVERHEAD_MAX) {
        return KV_OK;
    }
    return kv_operation_size(operation) <= OPERATION_SIZE_MAX ? KV_OK : KV_TOO_LARGE;
}

bool kv_operation_is_read(const struct kv_operation *operation)
{
    return operation->kind == KV_GET || operation->kind == KV_SCAN;
}

/* --- to and from protobuf's structs --- */

static ProtobufCBinaryData to_binary(struct kv_bytes bytes)
{
    /* protobuf-c takes what it only reads as not const. */
    return (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.bytes};
}

static struct kv_bytes from_binary(ProtobufCBinaryData binary)
{
    return (struct kv_bytes){.bytes = binary.data, .size = binary.len};
}

static void *arena_alloc(void *data, size_t size)
{
    return arena_take(data, size);
}

static void arena_free(void *data, void *pointer)
{
    (void)data; /* an arena is given back as a whole */
    (void)pointer;
}

static const ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor,
                                      const uint8_t *bytes, size_t size, struct arena *arena)
{
    ProtobufCAllocator allocator = {arena_alloc, arena_free, arena};
    return protobuf_c_message_unpack(descriptor, &allocator, size, bytes);
}

/* --- operations --- */

/* The protobuf form of an operation; it points into itself and must not be moved. */
struct operation_form {
    Kv__Operation operation;
    union {
        Kv__Get get;
        Kv__Set set;
        Kv__Del del;
        Kv__Cas cas;
        Kv__Incr incr;
        Kv__Scan scan;
    } body;
};

static void form_cas(struct operation_form *form, const struct kv_operation *operation)
{
    form->body.cas = (Kv__Cas)KV__CAS__INIT;
    form->body.cas.key = to_binary(operation->key);
    form->body.cas.has_expected = !operation->expect_absent;
    form->body.cas.expected = to_binary(operation->expected);
    form->body.cas.value = to_binary(operation->value);
    form->operation.cas = &form->body.cas;
}

static void form_scan(struct operation_form *form, const struct kv_operation *operation)
{
    form->body.scan = (Kv__Scan)KV__SCAN__INIT;
    form->body.scan.prefix = to_binary(operation->key);
    form->body.scan.limit = operation->limit;
    form->body.scan.has_after = operation->has_after;
    form->body.scan.after = to_binary(operation->after);
    form->operation.scan = &form->body.scan;
}

static void form_operation(struct operation_form *form, const struct kv_operation *operation)
{
    form->operation = (Kv__Operation)KV__OPERATION__INIT;
    /* The kinds are numbered as the fields of the oneof. */
    form->operation.kind_case = (Kv__Operation__KindCase)operation->kind;
    switch (operation->kind) {
    case KV_GET:
        form->body.get = (Kv__Get)KV__GET__INIT;
        form->body.get.key = to_binary(operation->key);
        form->operation.get = &form->body.get;
        return;
    case KV_SET:
        form->body.set = (Kv__Set)KV__SET__INIT;
        form->body.set.key = to_binary(operation->key);
        form->body.set.value = to_binary(operation->value);
        form->operation.set = &form->body.set;
        return;
    case KV_DEL:
        form->body.del = (Kv__Del)KV__DEL__INIT;
        form->body.del.key = to_binary(operation->key);
        form->operation.del = &form->body.del;
        return;
    case KV_CAS:
        form_cas(form, operation);
        return;
    case KV_INCR:
        form->body.incr = (Kv__Incr)KV__INCR__INIT;
        form->body.incr.key = to_binary(operation->key);
        form->body.incr.by = operation->by;
        form->operation.incr = &form->body.incr;
        return;
    case KV_SCAN:
        form_scan(form, operation);
        return;
    }
    INVARIANT(false); /* kv_operation_check() knows the kinds */
}

_Static_assert((int)KV_GET == (int)KV__OPERATION__KIND_GET, "kinds are numbered alike");
_Static_assert((int)KV_SET == (int)KV__OPERATION__KIND_SET, "kinds are numbered alike");
_Static_assert((int)KV_DEL == (int)KV__OPERATION__KIND_DEL, "kinds are numbered alike");
_Static_assert((int)KV_CAS == (int)KV__OPERATION__KIND_CAS, "kinds are numbered alike");
_Static_assert((int)KV_INCR == (int)KV__OPERATION__KIND_INCR, "kinds are numbered alike");
_Static_assert((int)KV_SCAN == (int)KV__OPERATION__KIND_SCAN, "kinds are numbered alike");

/* Get, Set and Del: a key, and a value if it is a Set, in a message of the kind's number. */
static bool is_straight(enum kv_kind kind)
{
    return kind == KV_GET || kind == KV_SET || kind == KV_DEL;
}

static size_t straight_body_size(const struct kv_operation *operation)
{
    return straight_bytes_size(operation->key.size) +
           (operation->kind == KV_SET ? straight_bytes_size(operation->value.size) : 0);
}

static size_t straight_pack(const struct kv_operation *operation, uint8_t *bytes)
{
    uint8_t *at = bytes;
    *at++ = STRAIGHT_BYTES((unsigned)operation->kind);
    at = straight_put_number(at, straight_body_size(operation));
    at = straight_put_bytes(at, STRAIGHT_BYTES(1), operation->key.bytes, operation->key.size);
    if (operation->kind == KV_SET) {
        at = straight_put_bytes(at, STRAIGHT_BYTES(2), operation->value.bytes,
                                operation->value.size);
    }
    return (size_t)(at - bytes);
}

static struct kv_bytes straight_kv_bytes(struct straight *reader, uint8_t tag)
{
    uint32_t size;
    const uint8_t *bytes = straight_bytes(reader, tag, &size);
    return (struct kv_bytes){bytes, size};
}

static bool straight_unpack(const uint8_t *bytes, size_t size, struct kv_operation *operation)
{
    const enum kv_kind kind = size > 0 ? (enum kv_kind)(bytes[0] >> 3) : KV_SCAN;
    uint32_t body_size;
    if (!is_straight(kind)) {
        return false;
    }
    struct straight outer = {.at = bytes, .end = bytes + size};
    const uint8_t *body = straight_bytes(&outer, STRAIGHT_BYTES((unsigned)kind), &body_size);
    if (body == NULL || !straight_ended(&outer)) {
        return false;
    }
    struct straight inner = {.at = body, .end = body + body_size};
    *operation = (struct kv_operation){.kind = kind};
    operation->key = straight_kv_bytes(&inner, STRAIGHT_BYTES(1));
    if (kind == KV_SET) {
        operation->value = straight_kv_bytes(&inner, STRAIGHT_BYTES(2));
    }
    return straight_ended(&inner);
}

size_t kv_operation_size(const struct kv_operation *operation)
{
    if (is_straight(operation->kind)) {
        return straight_bytes_size(straight_body_size(operation));
    }
    struct operation_form form;
    form_operation(&form, operation);
    return protobuf_c_message_get_packed_size(&form.operation.base);
}

size_t kv_operation_encode(const struct kv_operation *operation, uint8_t *bytes)
{
    if (is_straight(operation->kind)) {
        return straight_pack(operation, bytes);
    }
    struct operation_form form;
    form_operation(&form, operation);
    return protobuf_c_message_pack(&form.operation.base, bytes);
}

static void read_cas(const Kv__Cas *cas, struct kv_operation *operation)
{
    operation->key = from_binary(cas->key);
    operation->value = from_binary(cas->value);
    operation->expect_absent = !cas->has_expected;
    if (cas->has_expected) {
        operation->expected = from_binary(cas->expected);
    }
}

static void read_scan(const Kv__Scan *scan, struct kv_operation *operation)
{
    operation->key = from_binary(scan->prefix);
    operation->limit = scan->limit;
    operation->has_after = scan->has_after;
    if (scan->has_after) {
        operation->after = from_binary(scan->after);
    }
}

bool kv_operation_decode(const uint8_t *bytes, size_t size, struct arena *arena,
                         struct kv_operation *operation)
{
    if (straight_unpack(bytes, size, operation)) {
        return true;
    }
    const Kv__Operation *form =
        (const Kv__Operation *)unpack(&kv__operation__descriptor, bytes, size, arena);
    if (form == NULL) {
        return false;
    }
    *operation = (struct kv_operation){.kind = (enum kv_kind)form->kind_case};
    switch (form->kind_case) {
    case KV__OPERATION__KIND_GET:
        operation->key = from_binary(form->get->key);
        return true;
    case KV__OPERATION__KIND_SET:
        operation->key = from_binary(form->set->key);
        operation->value = from_binary(form->set->value);
        return true;
    case KV__OPERATION__KIND_DEL:
        operation->key = from_binary(form->del->key);
        return true;
    case KV__OPERATION__KIND_CAS:
        read_cas(form->cas, operation);
        return true;
    case KV__OPERATION__KIND_INCR:
        operation->key = from_binary(form->incr->key);
        operation->by = form->incr->by;
        return true;
    case KV__OPERATION__KIND_SCAN:
        read_scan(form->scan, operation);
        return true;
    default:
        return false;
    }
}

/* --- results --- */

static bool form_pairs(Kv__Result *form, const struct kv_result *result, struct arena *arena)
{
    const size_t count = result->pair_count;
    Kv__Pair *pairs = arena_take(arena, count * sizeof *pairs);
    Kv__Pair **pointers = arena_take(arena, count * sizeof *pointers);
    if (pairs == NULL || pointers == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (Kv__Pair)KV__PAIR__INIT;
        pairs[i].key = to_binary(result->pairs[i].key);
        pairs[i].value = to_binary(result->pairs[i].value);
        pointers[i] = &pairs[i];
    }
    form->n_pairs = count;
    form->pairs = pointers;
    return true;
}

/* A status, and a value if there is one. */
static bool is_plain(const struct kv_result *result)
{
    return result->pair_count == 0 && result->number == 0 && !result->more;
}

static size_t pack_plain(const struct kv_result *result, uint8_t *bytes, size_t capacity)
{
    const bool has_value = result->value.bytes != NULL;
    const size_t size = straight_varint_size((uint64_t)result->status) +
                        (has_value ? straight_bytes_size(result->value.size) : 0);
    if (size > capacity) {
        return 0;
    }
    uint8_t *at = straight_put_varint(bytes, STRAIGHT_VARINT(1), (uint64_t)result->status);
    if (has_value) {
        (void)straight_put_bytes(at, STRAIGHT_BYTES(2), result->value.bytes, result->value.size);
    }
    return size;
}

/* Of a status alone, which is what most writes are answered. */
static bool unpack_plain(const uint8_t *bytes, size_t size, struct kv_result *result)
{
    struct straight reader = {.at = bytes, .end = bytes + size};
    const uint64_t status = straight_varint(&reader, STRAIGHT_VARINT(1), KV_STORE_FULL);
    *result = (struct kv_result){.status = (enum kv_status)status};
    return straight_ended(&reader) && status >= KV_OK;
}

size_t kv_result_encode(const struct kv_result *result, struct arena *arena, uint8_t *bytes,
                        size_t capacity)
{
    Kv__Result form = KV__RESULT__INIT;
    INVARIANT(result->pair_count <= KV_PAGE_PAIRS_MAX);
    if (is_plain(result)) {
        return pack_plain(result, bytes, capacity);
    }
    form.status = (Kv__Status)result->status;
    form.has_value = result->value.bytes != NULL;
    form.value = to_binary(result->value);
    form.has_number = result->number != 0;
    form.number = result->number;
    form.has_more = result->more;
    form.more = result->more;
    if (result->pair_count > 0 && !form_pairs(&form, result, arena)) {
        return 0;
    }
    if (protobuf_c_message_get_packed_size(&form.base) > capacity) {
        return 0;
    }
    return protobuf_c_message_pack(&form.base, bytes);
}

static bool read_pairs(const Kv__Result *form, struct arena *arena, struct kv_result *result)
{
    if (form->n_pairs > KV_PAGE_PAIRS_MAX) {
        return false;
    }
    struct kv_pair *pairs = arena_take(arena, form->n_pairs * sizeof *pairs);
    if (pairs == NULL) {
        return false;
    }
    for (size_t i = 0; i < form->n_pairs; i++) {
        pairs[i].key = from_binary(form->pairs[i]->key);
        pairs[i].value = from_binary(form->pairs[i]->value);
    }
    result->pair_count = (uint32_t)form->n_pairs;
    result->pairs = pairs;
    return true;
}

bool kv_result_decode(const uint8_t *bytes, size_t size, struct arena *arena,
                      struct kv_result *result)
{
    if (unpack_plain(bytes, size, result)) {
        return true;
    }
    const Kv__Result *form =
        (const Kv__Result *)unpack(&kv__result__descriptor, bytes, size, arena);
    if (form == NULL || (int)form->status < (int)KV_OK || (int)form->status > (int)KV_STORE_FULL) {
        return false;
    }
    *result = (struct kv_result){
        .status = (enum kv_status)form->status,
        .number = form->has_number ? form->number : 0,
        .more = form->has_more && form->more,
    };
    if (form->has_value) {
        result->value = from_binary(form->value);
    }
    return read_pairs(form, arena, result);
}
