/* SPDX-License-Identifier: Apache-2.0 */
/* reassembler.h - messages that came in parts, made whole again (M6).
 *
 * Parts come in any order and any number of times. A message that made no progress for a short
 * while is asked for by PartsMissing, again and again with growing pauses, until it is whole, too
 * old, or stuck.
 *
 * Memory is bounded, and so is what a stranger can do with it:
 *   - a source (address and incarnation) holds at most source_size bytes, counted by what its
 *     messages claim to be; a message beyond that is refused, its older ones go on;
 *   - memory fills by pages, as bytes arrive: a claim alone costs others nothing;
 *   - whoever makes progress is never evicted. When memory, messages or sources run out, the one
 *     that is stuck longest (no new part for stuck_ns) makes room; if none is, the newcomer is
 *     refused. A part counts as progress once, and there are only so many, so nobody can seem
 *     busy for ever: at lifetime_ns a message goes in any case.
 * A flood of invented addresses is not the reassembler's to judge: only parts from addresses that
 * are verified (a token was echoed, M3) or configured belong here. Peers and clients have one each.
 *
 * Threads:   one caller at a time.
 * Ownership: a part is copied; a whole message borrows from the caller's arena.
 * Memory:    what wire_reassembler_memory_size() says, given at init; touched as it fills. */
#ifndef VR_WIRE_REASSEMBLER_H
#define VR_WIRE_REASSEMBLER_H

#include "common/wire/wire.h"

struct wire_reassembler_options {
    size_t memory_size;    /* bytes of parts held, in all; >= MESSAGE_SIZE_MAX */
    size_t source_size;    /* bytes that the unfinished messages of one source may claim;
                              >= MESSAGE_SIZE_MAX */
    uint32_t messages_max; /* unfinished ones, in all */
    uint32_t sources_max;
    uint64_t quiet_ns;    /* without a new part: ask for what is missing; doubled each time */
    uint64_t stuck_ns;    /* without a new part: may make room for others */
    uint64_t timeout_ns;  /* without a new part: given up */
    uint64_t lifetime_ns; /* since its first part: given up */
};

void wire_reassembler_options_default(struct wire_reassembler_options *options);

struct wire_reassembler;

size_t wire_reassembler_memory_size(const struct wire_reassembler_options *options);

/* `memory` is aligned as malloc aligns. Options are asserted. */
struct wire_reassembler *wire_reassembler_init(void *memory,
                                               const struct wire_reassembler_options *options);

/* Takes a Part that wire_next() passed. Returns WIRE_OK with whole->type MESSAGE_NONE if more is to
 * come; WIRE_OK with a decoded and validated message, which borrows from the arena, if this was the
 * last that was missing; else the reason why the part, or the message it completed, was dropped. */
enum wire_drop wire_reassemble(struct wire_reassembler *reassembler, const struct message *part,
                               uint64_t now_ns, struct arena *arena, struct message *whole);

/* Sends a PartsMissing to *address. */
typedef void wire_ask(void *context, const struct net_address *address,
                      const struct message *message);

/* Asks for what is overdue, gives up what is too old. */
void wire_reassembler_tick(struct wire_reassembler *reassembler, uint64_t now_ns, wire_ask *ask,
                           void *context);

/* When the next tick is due; UINT64_MAX: nothing is unfinished. */
uint64_t wire_reassembler_deadline(const struct wire_reassembler *reassembler);

struct wire_reassembler_counters {
    uint64_t whole;      /* messages completed */
    uint64_t asked;      /* PartsMissing sent */
    uint64_t given_up;   /* by timeout or lifetime */
    uint64_t evicted;    /* stuck, and others needed the room */
    uint64_t unfinished; /* now */
    uint64_t bytes_held; /* now, in whole pages */
};
void wire_reassembler_counters(const struct wire_reassembler *reassembler,
                               struct wire_reassembler_counters *out);

#endif
