/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - what happened, one line each, to stdout while sim.trace is set:
 *
 *     time ms   who -> whom   message and key fields
 *     time ms   who <- whom   the same, as it is stepped; behind it why the core dropped it
 *     time ms   who -> whom   lost: a datagram with these message types, and why
 *     time ms   who           status, view, op and commit number after a change; * marks a new
 * status or view
 *
 * Replicas are r0, r1 ...; clients c0, c1 ... */
#ifndef VR_SIM_TRACE_H
#define VR_SIM_TRACE_H

#include "test/sim/sim.h"

void trace_print_send(const struct sim *sim, uint32_t from, uint32_t to,
                      const struct message *message);
void trace_print_receive(const struct sim *sim, uint32_t node, uint32_t from,
                         const struct message *message);
void trace_print_drops(const struct sim *sim, uint32_t node, const uint64_t *before,
                       const uint64_t *after);
void trace_print_lost(const struct sim *sim, uint32_t from, uint32_t to, const char *why,
                      uint64_t types);
void trace_print_observed(const struct sim *sim, const struct sim_observed *before,
                          const struct sim_observed *after);
__attribute__((format(printf, 3, 4))) void trace_print_node(const struct sim *sim, uint32_t node,
                                                            const char *format, ...);

/* Costs nothing while tracing is off. */
#define trace_send(sim, from, to, message) \
    ((sim)->trace ? trace_print_send(sim, from, to, message) : (void)0)
#define trace_receive(sim, node, from, message) \
    ((sim)->trace ? trace_print_receive(sim, node, from, message) : (void)0)
#define trace_drops(sim, node, before, after) \
    ((sim)->trace ? trace_print_drops(sim, node, before, after) : (void)0)
#define trace_lost(sim, from, to, why, types) \
    ((sim)->trace ? trace_print_lost(sim, from, to, why, types) : (void)0)
#define trace_observed(sim, before, after) \
    ((sim)->trace ? trace_print_observed(sim, before, after) : (void)0)
#define trace_node(sim, node, ...) \
    ((sim)->trace ? trace_print_node(sim, node, __VA_ARGS__) : (void)0)

#endif
