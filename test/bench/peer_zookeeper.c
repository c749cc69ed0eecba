/* SPDX-License-Identifier: Apache-2.0 */
/* peer_zookeeper.c - sets of ZooKeeper's nodes by its own C client, asynchronously, in one session.
 */
#define THREADED
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include "test/bench/peer.h"

static struct peer peer;
static zhandle_t *zookeeper;
static sem_t connected;
static uint64_t begun_ns[PEER_OUTSTANDING_MAX];

static void watch(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)path;
    (void)context;
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE) {
        sem_post(&connected);
    }
}

static void begin(unsigned slot);

static void next_path(char path[PEER_KEY_MAX + 1])
{
    path[0] = '/';
    peer_next_key(&peer, path + 1);
    path[6] = '-'; /* a node's children are another thing than keys */
}

/* On the library's one thread, as all completions. */
static void done(int code, const struct Stat *stat, const void *context)
{
    (void)stat;
    const uint64_t now_ns = peer_now_ns();
    const unsigned slot = (unsigned)(uintptr_t)context;
    if (code == ZOK) {
        peer_count(&peer, begun_ns[slot], now_ns);
    } else if (code != ZCLOSING) {
        peer.errors++;
    }
    if (code == ZOK && !peer_is_over(&peer, now_ns)) {
        begin(slot);
    }
}

static void begin(unsigned slot)
{
    char path[PEER_KEY_MAX + 1];
    next_path(path);
    begun_ns[slot] = peer_now_ns();
    if (zoo_aset(zookeeper, path, peer.value, (int)peer.value_size, -1, done,
                 (void *)(uintptr_t)slot) != ZOK) {
        peer.errors++;
    }
}

/* A set needs a node that is there. Those of an earlier run are; finding that out for each would be
 * in what is measured. */
static void make_nodes(void)
{
    char path[PEER_KEY_MAX + 1];
    peer.drawn = PEER_KEYS - 1;
    next_path(path);
    const bool made = zoo_exists(zookeeper, path, 0, NULL) == ZOK;
    peer.drawn = 0;
    for (unsigned i = 0; i < PEER_KEYS && !made; i++) {
        next_path(path);
        const int code = zoo_create(zookeeper, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
        if (code != ZOK && code != ZNODEEXISTS) {
            peer_fail("zookeeper", zerror(code));
        }
    }
}

int main(int argc, char **argv)
{
    peer_init(&peer, argc, argv);
    sem_init(&connected, 0, 0);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zookeeper = zookeeper_init(peer.servers, watch, 10000, NULL, NULL, 0);
    if (zookeeper == NULL) {
        peer_fail("zookeeper", "no handle");
    }
    sem_wait(&connected);
    make_nodes();
    peer_begin(&peer);
    for (unsigned i = 0; i < peer.outstanding; i++) {
        begin(i);
    }
    while (!peer_is_over(&peer, peer_now_ns())) {
        usleep(10000);
    }
    usleep(200000); /* for what is in flight */
    const int code = peer_finish(&peer);
    fflush(stdout);
    _exit(code); /* closing waits for a thread that may be in the middle of something */
}
