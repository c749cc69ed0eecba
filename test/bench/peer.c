/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bench/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const uint64_t SECOND_NS = UINT64_C(1000000000);

uint64_t peer_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

_Noreturn void peer_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(74);
}

void peer_init(struct peer *peer, int argc, char **argv)
{
    memset(peer, 0, sizeof *peer);
    peer->outstanding = 1;
    peer->value_size = 100;
    peer->seconds = 1;
    for (int option; (option = getopt(argc, argv, "c:v:s:")) != -1;) {
        switch (option) {
        case 'c':
            peer->outstanding = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'v':
            peer->value_size = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            peer->seconds = strtod(optarg, NULL);
            break;
        default:
            exit(2);
        }
    }
    if (optind + 1 != argc || peer->outstanding == 0 || peer->outstanding > PEER_OUTSTANDING_MAX ||
        peer->value_size == 0 || peer->value_size > 1024 * 1024 || !(peer->seconds > 0)) {
        fprintf(stderr, "usage: -c OUTSTANDING -v BYTES -s SECONDS HOST:PORT[,...]\n");
        exit(2);
    }
    peer->servers = argv[optind];
    peer->value = malloc(peer->value_size);
    if (peer->value == NULL) {
        peer_fail("value", "no memory");
    }
    memset(peer->value, 'v', peer->value_size);
}

void peer_begin(struct peer *peer)
{
    peer->begin_ns = peer_now_ns();
    peer->end_ns = peer->begin_ns + (uint64_t)(peer->seconds * (double)SECOND_NS);
}

bool peer_is_over(const struct peer *peer, uint64_t now_ns)
{
    return now_ns >= peer->end_ns;
}

void peer_next_key(struct peer *peer, char key[PEER_KEY_MAX])
{
    /* 16 bytes; all keys come up alike, far from each other. */
    const uint64_t number = peer->drawn++ * UINT64_C(7919) % PEER_KEYS;
    snprintf(key, PEER_KEY_MAX, "bench/%010" PRIu64, number);
}

void peer_count(struct peer *peer, uint64_t begun_ns, uint64_t now_ns)
{
    if (now_ns <= peer->end_ns) {
        histogram_record(&peer->latency, now_ns - begun_ns);
    }
}

int peer_finish(const struct peer *peer)
{
    printf("{\"ops\":%" PRIu64 ",\"ops_per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"errors\":%" PRIu64 "}\n",
           peer->latency.count, (double)peer->latency.count / peer->seconds,
           (double)histogram_percentile(&peer->latency, 50000) / 1e3,
           (double)histogram_percentile(&peer->latency, 99000) / 1e3, peer->errors);
    return peer->errors == 0 ? 0 : 1;
}
