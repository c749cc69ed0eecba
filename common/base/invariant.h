/* SPDX-License-Identifier: Apache-2.0 */
/* invariant.h - what we promise ourselves, checked in every build, NDEBUG or not.
 *
 * An INVARIANT guards facts that only our own code can break. Whatever comes from the network, a
 * disk or a user is validated instead: dropped and counted, or answered with an error. */
#ifndef VR_BASE_INVARIANT_H
#define VR_BASE_INVARIANT_H

#define INVARIANT(condition) \
    ((condition) ? (void)0 : invariant_failed(#condition, __FILE__, __LINE__, __func__))

/* Prints where and what, then aborts. It lives in the edges (common/os), so that pure code needs no
 * stdio; the simulator brings its own, which prints the seed as well. */
_Noreturn void invariant_failed(const char *condition, const char *file, int line,
                                const char *function);

#endif
