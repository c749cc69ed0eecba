/* SPDX-License-Identifier: Apache-2.0 */
/* reassembler.c - tables of sources and of their unfinished messages, and pages that hold bytes.
 *
 * Every table has a fixed number of slots. A slot's number is its name in the lists, NONE is no
 * slot. Slots and pages that were never used are taken in order, so memory is touched as it fills.
 *
 * Two lists order the unfinished messages by their last progress, newest first: one per source, one
 * of all. The last of a list is the one that is stuck longest, found without a search however many
 * there are. */
#include "common/wire/reassembler.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/wire/codec.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NONE UINT32_MAX

enum {
    PAGE_SIZE = 8192,
    MESSAGE_PAGES_MAX = (MESSAGE_SIZE_MAX + PAGE_SIZE - 1) / PAGE_SIZE,
    FINISHED_MAX = 32, /* ids a source remembers, so that late duplicates start nothing */
    REGION_ALIGNMENT = 64,
};

struct link {
    uint32_t newer;
    uint32_t older;
};

struct list {
    uint32_t newest;
    uint32_t oldest;
};

/* A message of which parts are missing. */
struct unfinished {
    struct link of_all; /* also links the free slots, by `older` */
    struct link of_source;
    uint32_t source;
    uint32_t type;
    uint32_t total_size;
    uint32_t part_size;
    uint32_t part_count;
    uint32_t received_count; /* < part_count */
    uint64_t id;
    uint64_t whole_checksum;
    uint64_t first_ns;
    uint64_t progress_ns;              /* when the last new part came */
    uint64_t ask_ns;                   /* when to ask for the rest */
    uint64_t pause_ns;                 /* between that question and the next */
    uint32_t pages[MESSAGE_PAGES_MAX]; /* NONE until bytes of it came */
    uint8_t received[PARTS_BITMAP_MAX];
};

struct source {
    struct net_address address;
    uint64_t incarnation;
    uint64_t claimed; /* sum of its unfinished messages' total_size; <= source_size */
    struct list messages;
    uint32_t same_hash; /* next in the bucket */
    struct link idle;   /* among the sources without messages; also links the free slots */
    uint64_t finished[FINISHED_MAX]; /* ring */
    uint32_t finished_next;
    uint32_t finished_count;
};

struct wire_reassembler {
    struct wire_reassembler_options options;
    struct wire_reassembler_counters counters;

    struct unfinished *messages; /* messages_max */
    uint32_t messages_used;      /* slots ever used */
    uint32_t messages_free;      /* list of those that are free again */
    struct list all;

    struct source *sources; /* sources_max */
    uint32_t sources_used;  /* none goes back: an idle one is taken over */
    struct list idle;       /* sources without messages, the last to be taken over first */
    uint32_t *buckets;      /* of sources, by hash */
    uint32_t bucket_mask;

    uint8_t *pages;
    uint32_t *page_next; /* list of free pages */
    uint32_t page_count;
    uint32_t pages_used; /* ever */
    uint32_t page_free;
    uint32_t pages_held;

    uint8_t *whole;  /* MESSAGE_SIZE_MAX: a message's pages, gathered */
    uint64_t due_ns; /* no message is due before */
};

void wire_reassembler_options_default(struct wire_reassembler_options *options)
{
    *options = (struct wire_reassembler_options){
        .memory_size = 64 * 1024 * 1024,
        .source_size = 16 * 1024 * 1024,
        .messages_max = 4096,
        .sources_max = 1024,
        .quiet_ns = UINT64_C(5000000),
        .stuck_ns = UINT64_C(50000000),
        .timeout_ns = UINT64_C(500000000),
        .lifetime_ns = UINT64_C(10000000000),
    };
}

/* ---- Memory --------------------------------------------------------------------------------- */

static uint32_t page_count_of(size_t size)
{
    return (uint32_t)((size + PAGE_SIZE - 1) / PAGE_SIZE);
}

static uint32_t bucket_count(uint32_t sources_max)
{
    uint32_t count = 1;
    while (count < sources_max) {
        count *= 2;
    }
    return count;
}

/* Cuts `memory` into the regions, or only measures them where it is NULL. */
static size_t lay_out(const struct wire_reassembler_options *options, uint8_t *memory,
                      struct wire_reassembler *r)
{
    const size_t page_count = page_count_of(options->memory_size);
    const size_t sizes[] = {
        sizeof *r,
        options->messages_max * sizeof *r->messages,
        options->sources_max * sizeof *r->sources,
        bucket_count(options->sources_max) * sizeof *r->buckets,
        page_count * sizeof *r->page_next,
        page_count * PAGE_SIZE,
        MESSAGE_SIZE_MAX,
    };
    enum { REGIONS = sizeof sizes / sizeof sizes[0] };
    uint8_t *regions[REGIONS];
    size_t used = 0;
    for (size_t i = 0; i < REGIONS; i++) {
        regions[i] = memory != NULL ? memory + used : NULL;
        used += (sizes[i] + REGION_ALIGNMENT - 1) / REGION_ALIGNMENT * REGION_ALIGNMENT;
    }
    if (r != NULL) {
        r->messages = (struct unfinished *)(void *)regions[1];
        r->sources = (struct source *)(void *)regions[2];
        r->buckets = (uint32_t *)(void *)regions[3];
        r->page_next = (uint32_t *)(void *)regions[4];
        r->pages = regions[5];
        r->whole = regions[6];
    }
    return used;
}

size_t wire_reassembler_memory_size(const struct wire_reassembler_options *options)
{
    return lay_out(options, NULL, NULL);
}

struct wire_reassembler *wire_reassembler_init(void *memory,
                                               const struct wire_reassembler_options *options)
{
    INVARIANT(options->memory_size >= MESSAGE_SIZE_MAX);
    INVARIANT(options->memory_size / PAGE_SIZE < NONE - 1);
    INVARIANT(options->source_size >= MESSAGE_SIZE_MAX);
    INVARIANT(options->messages_max >= 1 && options->messages_max < NONE);
    INVARIANT(options->sources_max >= 1 && options->sources_max <= UINT32_MAX / 2);
    INVARIANT(options->quiet_ns >= 1);
    struct wire_reassembler *r = memory;
    *r = (struct wire_reassembler){
        .options = *options,
        .messages_free = NONE,
        .all = {NONE, NONE},
        .idle = {NONE, NONE},
        .page_count = page_count_of(options->memory_size),
        .page_free = NONE,
        .bucket_mask = bucket_count(options->sources_max) - 1,
        .due_ns = UINT64_MAX,
    };
    (void)lay_out(options, memory, r);
    for (uint32_t i = 0; i <= r->bucket_mask; i++) {
        r->buckets[i] = NONE;
    }
    return r;
}

void wire_reassembler_counters(const struct wire_reassembler *r,
                               struct wire_reassembler_counters *out)
{
    *out = r->counters;
    out->bytes_held = (uint64_t)r->pages_held * PAGE_SIZE;
}

/* ---- Lists, which differ only in where their links are -------------------------------------- */

enum list_kind {
    LIST_OF_ALL,
    LIST_OF_SOURCE,
    LIST_OF_IDLE,
};

static struct link *link_of(struct wire_reassembler *r, enum list_kind kind, uint32_t slot)
{
    switch (kind) {
    case LIST_OF_ALL:
        return &r->messages[slot].of_all;
    case LIST_OF_SOURCE:
        return &r->messages[slot].of_source;
    case LIST_OF_IDLE:
        break;
    }
    return &r->sources[slot].idle;
}

static void list_push(struct wire_reassembler *r, enum list_kind kind, struct list *list,
                      uint32_t slot)
{
    *link_of(r, kind, slot) = (struct link){.newer = NONE, .older = list->newest};
    if (list->newest != NONE) {
        link_of(r, kind, list->newest)->newer = slot;
    } else {
        list->oldest = slot;
    }
    list->newest = slot;
}

static void list_remove(struct wire_reassembler *r, enum list_kind kind, struct list *list,
                        uint32_t slot)
{
    const struct link link = *link_of(r, kind, slot);
    if (link.newer != NONE) {
        link_of(r, kind, link.newer)->older = link.older;
    } else {
        list->newest = link.older;
    }
    if (link.older != NONE) {
        link_of(r, kind, link.older)->newer = link.newer;
    } else {
        list->oldest = link.newer;
    }
}

/* ---- Pages ---------------------------------------------------------------------------------- */

static uint32_t take_page(struct wire_reassembler *r)
{
    uint32_t page = r->page_free;
    if (page != NONE) {
        r->page_free = r->page_next[page];
    } else if (r->pages_used < r->page_count) {
        page = r->pages_used++;
    } else {
        return NONE;
    }
    r->pages_held++;
    return page;
}

static void give_back_page(struct wire_reassembler *r, uint32_t page)
{
    r->page_next[page] = r->page_free;
    r->page_free = page;
    r->pages_held--;
}

/* ---- Unfinished messages -------------------------------------------------------------------- */

static void drop_message(struct wire_reassembler *r, uint32_t slot)
{
    struct unfinished *m = &r->messages[slot];
    struct source *source = &r->sources[m->source];
    for (uint32_t i = 0; i < page_count_of(m->total_size); i++) {
        if (m->pages[i] != NONE) {
            give_back_page(r, m->pages[i]);
        }
    }
    list_remove(r, LIST_OF_ALL, &r->all, slot);
    list_remove(r, LIST_OF_SOURCE, &source->messages, slot);
    INVARIANT(source->claimed >= m->total_size);
    source->claimed -= m->total_size;
    if (source->messages.newest == NONE) {
        list_push(r, LIST_OF_IDLE, &r->idle, m->source);
    }
    m->of_all.older = r->messages_free;
    r->messages_free = slot;
    r->counters.unfinished--;
}

/* Drops the message of a list that is stuck longest; `spared`, of the list of all, is passed over.
 * False if none is stuck. */
static bool evict_stuck(struct wire_reassembler *r, const struct list *list, uint32_t spared,
                        uint64_t now_ns)
{
    uint32_t slot = list->oldest;
    if (slot != NONE && slot == spared) {
        slot = r->messages[slot].of_all.newer;
    }
    if (slot == NONE || r->messages[slot].progress_ns + r->options.stuck_ns > now_ns) {
        return false;
    }
    drop_message(r, slot);
    r->counters.evicted++;
    return true;
}

static uint32_t take_message_slot(struct wire_reassembler *r)
{
    const uint32_t slot = r->messages_free;
    if (slot != NONE) {
        r->messages_free = r->messages[slot].of_all.older;
        return slot;
    }
    return r->messages_used < r->options.messages_max ? r->messages_used++ : NONE;
}

/* A part of it came: it is the newest in both lists, and nobody asks for a while. */
static void note_progress(struct wire_reassembler *r, uint32_t slot, uint64_t now_ns)
{
    struct unfinished *m = &r->messages[slot];
    struct list *of_source = &r->sources[m->source].messages;
    if (r->all.newest != slot) {
        list_remove(r, LIST_OF_ALL, &r->all, slot);
        list_push(r, LIST_OF_ALL, &r->all, slot);
    }
    if (of_source->newest != slot) {
        list_remove(r, LIST_OF_SOURCE, of_source, slot);
        list_push(r, LIST_OF_SOURCE, of_source, slot);
    }
    m->progress_ns = now_ns;
    m->pause_ns = r->options.quiet_ns;
    m->ask_ns = now_ns + m->pause_ns;
    r->due_ns = m->ask_ns < r->due_ns ? m->ask_ns : r->due_ns;
}

static uint32_t find_message(const struct wire_reassembler *r, const struct source *source,
                             uint64_t id)
{
    uint32_t slot = source->messages.newest;
    while (slot != NONE && r->messages[slot].id != id) {
        slot = r->messages[slot].of_source.older;
    }
    return slot;
}

/* Makes room for a new message of the source, evicting what is stuck, and opens it; NONE if its
 * share or the slots are used up by messages that go on. The source stays idle if it fails. */
static uint32_t open_message(struct wire_reassembler *r, uint32_t source_slot,
                             const struct part *part, uint64_t now_ns)
{
    struct source *source = &r->sources[source_slot];
    while (source->claimed + part->total_size > r->options.source_size) {
        if (!evict_stuck(r, &source->messages, NONE, now_ns)) {
            return NONE;
        }
    }
    uint32_t slot = take_message_slot(r);
    if (slot == NONE && evict_stuck(r, &r->all, NONE, now_ns)) {
        slot = take_message_slot(r);
    }
    if (slot == NONE) {
        return NONE;
    }
    struct unfinished *m = &r->messages[slot];
    m->source = source_slot;
    m->type = part->type;
    m->total_size = part->total_size;
    m->part_size = part->part_size;
    m->part_count = (part->total_size + part->part_size - 1) / part->part_size;
    m->received_count = 0;
    m->id = part->id;
    m->whole_checksum = part->whole_checksum;
    m->first_ns = now_ns;
    for (uint32_t i = 0; i < page_count_of(m->total_size); i++) {
        m->pages[i] = NONE;
    }
    memset(m->received, 0, sizeof m->received);
    if (source->messages.newest == NONE) {
        list_remove(r, LIST_OF_IDLE, &r->idle, source_slot);
    }
    source->claimed += m->total_size;
    list_push(r, LIST_OF_ALL, &r->all, slot);
    list_push(r, LIST_OF_SOURCE, &source->messages, slot);
    r->counters.unfinished++;
    note_progress(r, slot, now_ns);
    return slot;
}

/* ---- Sources -------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct wire_reassembler *r, const struct net_address *address,
                           uint64_t incarnation)
{
    const uint64_t seed = incarnation ^ ((uint64_t)address->port << 32) ^ address->scope_id;
    const uint64_t hash = XXH3_64bits_withSeed(address->ip, sizeof address->ip, seed);
    return &r->buckets[hash & r->bucket_mask];
}

static uint32_t find_source(const struct wire_reassembler *r, const struct message *part)
{
    uint32_t slot = *bucket_of(r, &part->address, part->incarnation);
    while (slot != NONE && (r->sources[slot].incarnation != part->incarnation ||
                            !net_address_equal(&r->sources[slot].address, &part->address))) {
        slot = r->sources[slot].same_hash;
    }
    return slot;
}

static void forget_source(struct wire_reassembler *r, uint32_t slot)
{
    const struct source *source = &r->sources[slot];
    uint32_t *at = bucket_of(r, &source->address, source->incarnation);
    while (*at != slot) {
        at = &r->sources[*at].same_hash;
    }
    *at = source->same_hash;
    list_remove(r, LIST_OF_IDLE, &r->idle, slot);
}

/* A slot for a new source: a fresh one, or that of the source which is idle longest; where all have
 * messages, one that is stuck makes room. */
static uint32_t take_source_slot(struct wire_reassembler *r, uint64_t now_ns)
{
    if (r->sources_used < r->options.sources_max) {
        return r->sources_used++;
    }
    while (r->idle.oldest == NONE) {
        if (!evict_stuck(r, &r->all, NONE, now_ns)) {
            return NONE;
        }
    }
    const uint32_t slot = r->idle.oldest;
    forget_source(r, slot);
    return slot;
}

/* Adds the source of a part, idle. */
static uint32_t add_source(struct wire_reassembler *r, const struct message *part, uint64_t now_ns)
{
    const uint32_t slot = take_source_slot(r, now_ns);
    if (slot == NONE) {
        return NONE;
    }
    uint32_t *bucket = bucket_of(r, &part->address, part->incarnation);
    r->sources[slot] = (struct source){
        .address = part->address,
        .incarnation = part->incarnation,
        .messages = {NONE, NONE},
        .same_hash = *bucket,
    };
    *bucket = slot;
    list_push(r, LIST_OF_IDLE, &r->idle, slot);
    return slot;
}

static bool was_finished(const struct source *source, uint64_t id)
{
    for (uint32_t i = 0; i < source->finished_count; i++) {
        if (source->finished[i] == id) {
            return true;
        }
    }
    return false;
}

static void note_finished(struct source *source, uint64_t id)
{
    source->finished[source->finished_next] = id;
    source->finished_next = (source->finished_next + 1) % FINISHED_MAX;
    if (source->finished_count < FINISHED_MAX) {
        source->finished_count++;
    }
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static bool part_received(const struct unfinished *m, uint32_t index)
{
    return (m->received[index / 8] & (1u << (index % 8))) != 0;
}

/* Takes the pages that a part touches and that are not there yet. False, with some of them taken,
 * if memory is full of messages that go on. */
static bool take_pages(struct wire_reassembler *r, uint32_t slot, uint32_t start, uint32_t size,
                       uint64_t now_ns)
{
    struct unfinished *m = &r->messages[slot];
    for (uint32_t i = start / PAGE_SIZE; i <= (start + size - 1) / PAGE_SIZE; i++) {
        while (m->pages[i] == NONE) {
            m->pages[i] = take_page(r);
            if (m->pages[i] == NONE && !evict_stuck(r, &r->all, slot, now_ns)) {
                return false;
            }
        }
    }
    return true;
}

static void store(struct wire_reassembler *r, struct unfinished *m, const struct part *part)
{
    uint32_t at = part->index * m->part_size;
    uint32_t done = 0;
    while (done < part->data_size) {
        const uint32_t offset = at % PAGE_SIZE;
        const uint32_t room = PAGE_SIZE - offset;
        const uint32_t rest = part->data_size - done;
        const uint32_t size = rest < room ? rest : room;
        uint8_t *page = r->pages + (size_t)m->pages[at / PAGE_SIZE] * PAGE_SIZE;
        memcpy(page + offset, part->data + done, size);
        at += size;
        done += size;
    }
    m->received[part->index / 8] |= (uint8_t)(1u << (part->index % 8));
    m->received_count++;
}

static void gather(const struct wire_reassembler *r, const struct unfinished *m)
{
    for (uint32_t at = 0; at < m->total_size; at += PAGE_SIZE) {
        const uint32_t rest = m->total_size - at;
        memcpy(r->whole + at, r->pages + (size_t)m->pages[at / PAGE_SIZE] * PAGE_SIZE,
               rest < PAGE_SIZE ? rest : PAGE_SIZE);
    }
}

/* Every part is there: the message leaves the tables, whatever it turns out to be. */
static enum wire_drop finish(struct wire_reassembler *r, uint32_t slot, const struct message *part,
                             struct arena *arena, struct message *whole)
{
    const struct unfinished *m = &r->messages[slot];
    const uint32_t type = m->type;
    const uint32_t size = m->total_size;
    const uint64_t checksum = m->whole_checksum;
    struct source *source = &r->sources[m->source];
    gather(r, m);
    drop_message(r, slot);
    if (XXH3_64bits(r->whole, size) != checksum) {
        return WIRE_DROP_PART_CHECKSUM;
    }
    note_finished(source, part->part.id);
    r->counters.whole++;
    *whole = (struct message){
        .from = part->from,
        .incarnation = part->incarnation,
        .identity = part->identity,
        .configuration_hash = part->configuration_hash,
        .address = part->address,
    };
    return codec_decode(type, r->whole, size, arena, whole);
}

/* A message that could not be, whatever its parts hold. */
static enum wire_drop reject_claim(const struct part *part)
{
    const uint32_t size_max = codec_body_size_max(part->type);
    if (size_max == 0) {
        return WIRE_DROP_TYPE;
    }
    return part->total_size > size_max ? WIRE_DROP_BODY_SIZE : WIRE_OK;
}

static enum wire_drop reject_part(const struct unfinished *m, const struct part *part)
{
    if (m->type != part->type || m->total_size != part->total_size ||
        m->part_size != part->part_size || m->whole_checksum != part->whole_checksum) {
        return WIRE_DROP_PART_MISMATCH;
    }
    return part_received(m, part->index) ? WIRE_DROP_PART_REPEATED : WIRE_OK;
}

enum wire_drop wire_reassemble(struct wire_reassembler *r, const struct message *part,
                               uint64_t now_ns, struct arena *arena, struct message *whole)
{
    INVARIANT(part->type == MESSAGE_PART);
    whole->type = MESSAGE_NONE;
    const enum wire_drop claim = reject_claim(&part->part);
    if (claim != WIRE_OK) {
        return claim;
    }
    uint32_t source = find_source(r, part);
    if (source == NONE) {
        source = add_source(r, part, now_ns);
    }
    if (source == NONE) {
        return WIRE_DROP_PART_LIMIT;
    }
    if (was_finished(&r->sources[source], part->part.id)) {
        return WIRE_DROP_PART_REPEATED;
    }
    uint32_t slot = find_message(r, &r->sources[source], part->part.id);
    if (slot == NONE) {
        slot = open_message(r, source, &part->part, now_ns);
    }
    if (slot == NONE) {
        return WIRE_DROP_PART_LIMIT;
    }
    struct unfinished *m = &r->messages[slot];
    const enum wire_drop drop = reject_part(m, &part->part);
    if (drop != WIRE_OK) {
        return drop;
    }
    if (!take_pages(r, slot, part->part.index * m->part_size, part->part.data_size, now_ns)) {
        return WIRE_DROP_PART_LIMIT;
    }
    store(r, m, &part->part);
    if (m->received_count == m->part_count) {
        return finish(r, slot, part, arena, whole);
    }
    note_progress(r, slot, now_ns);
    return WIRE_OK;
}

/* ---- Time ----------------------------------------------------------------------------------- */

static void ask_for_missing(struct wire_reassembler *r, struct unfinished *m, uint64_t now_ns,
                            wire_ask *ask, void *context)
{
    uint8_t bitmap[PARTS_BITMAP_MAX];
    const uint32_t size = (m->part_count + 7) / 8;
    for (uint32_t i = 0; i < size; i++) {
        bitmap[i] = (uint8_t)~m->received[i];
    }
    if (m->part_count % 8 != 0) {
        bitmap[size - 1] &= (uint8_t)((1u << (m->part_count % 8)) - 1);
    }
    const struct message message = {
        .type = MESSAGE_PARTS_MISSING,
        .parts_missing = {.id = m->id, .bitmap_size = size, .bitmap = bitmap},
    };
    m->pause_ns *= 2;
    m->ask_ns = now_ns + m->pause_ns;
    r->counters.asked++;
    ask(context, &r->sources[m->source].address, &message);
}

static uint64_t end_of(const struct wire_reassembler *r, const struct unfinished *m)
{
    const uint64_t timeout = m->progress_ns + r->options.timeout_ns;
    const uint64_t lifetime = m->first_ns + r->options.lifetime_ns;
    return timeout < lifetime ? timeout : lifetime;
}

void wire_reassembler_tick(struct wire_reassembler *r, uint64_t now_ns, wire_ask *ask,
                           void *context)
{
    if (now_ns < r->due_ns) {
        return;
    }
    r->due_ns = UINT64_MAX;
    uint32_t older;
    for (uint32_t slot = r->all.newest; slot != NONE; slot = older) {
        struct unfinished *m = &r->messages[slot];
        older = m->of_all.older;
        const uint64_t end_ns = end_of(r, m);
        if (end_ns <= now_ns) {
            drop_message(r, slot);
            r->counters.given_up++;
            continue;
        }
        if (m->ask_ns <= now_ns) {
            ask_for_missing(r, m, now_ns, ask, context);
        }
        const uint64_t due_ns = m->ask_ns < end_ns ? m->ask_ns : end_ns;
        r->due_ns = due_ns < r->due_ns ? due_ns : r->due_ns;
    }
}

uint64_t wire_reassembler_deadline(const struct wire_reassembler *r)
{
    return r->due_ns;
}
