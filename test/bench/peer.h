/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h - what the clients of other systems share: options, the clock, one line of JSON. Each
 * keeps a number of SETs outstanding in one process, a new one as soon as one is answered, as flood
 * does. */
#ifndef VR_BENCH_PEER_H
#define VR_BENCH_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cli/histogram.h"

enum { PEER_OUTSTANDING_MAX = 1024, PEER_KEYS = 1000, PEER_KEY_MAX = 32 };

struct peer {
    const char *servers; /* host:port[,...] */
    unsigned outstanding;
    unsigned value_size;
    double seconds;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint64_t errors;
    uint64_t drawn;
    char *value;
    struct histogram latency;
};

/* -c OUTSTANDING -v BYTES -s SECONDS SERVERS; ends the program if they are wrong. */
void peer_init(struct peer *peer, int argc, char **argv);

/* The clock starts: call it when connected. */
void peer_begin(struct peer *peer);
bool peer_is_over(const struct peer *peer, uint64_t now_ns);

uint64_t peer_now_ns(void);
void peer_next_key(struct peer *peer, char key[PEER_KEY_MAX]);
void peer_count(struct peer *peer, uint64_t begun_ns, uint64_t now_ns);
_Noreturn void peer_fail(const char *what, const char *why);

/* Prints the line; returns the exit code. */
int peer_finish(const struct peer *peer);

#endif
