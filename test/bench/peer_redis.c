/* SPDX-License-Identifier: Apache-2.0 */
/* peer_redis.c - SETs to Redis, each with a WAIT for one replica (-w): as many connections as
 * requests are outstanding, for WAIT blocks its connection. Without -w SETs alone. */
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "test/bench/peer.h"

struct connection {
    redisContext *redis;
    uint64_t begun_ns;
    unsigned answers; /* that are still to come */
};

static struct peer peer;
static bool waits;

static void begin(struct connection *connection)
{
    char key[PEER_KEY_MAX];
    peer_next_key(&peer, key);
    connection->begun_ns = peer_now_ns();
    redisAppendCommand(connection->redis, "SET %s %b", key, peer.value, (size_t)peer.value_size);
    connection->answers = 1;
    if (waits) {
        redisAppendCommand(connection->redis, "WAIT 1 0");
        connection->answers++;
    }
    for (int done = 0; done == 0;) {
        if (redisBufferWrite(connection->redis, &done) != REDIS_OK) {
            peer_fail("redis", connection->redis->errstr);
        }
    }
}

static void receive(struct connection *connection)
{
    if (redisBufferRead(connection->redis) != REDIS_OK) {
        peer_fail("redis", connection->redis->errstr);
    }
    for (void *reply = NULL; connection->answers > 0; reply = NULL) {
        if (redisGetReplyFromReader(connection->redis, &reply) != REDIS_OK) {
            peer_fail("redis", connection->redis->errstr);
        }
        if (reply == NULL) {
            return;
        }
        const redisReply *answer = reply;
        peer.errors += answer->type == REDIS_REPLY_ERROR ||
                               (answer->type == REDIS_REPLY_INTEGER && answer->integer < 1)
                           ? 1
                           : 0;
        freeReplyObject(reply);
        connection->answers--;
    }
    peer_count(&peer, connection->begun_ns, peer_now_ns());
    begin(connection);
}

int main(int argc, char **argv)
{
    static struct connection connections[PEER_OUTSTANDING_MAX];
    static struct pollfd polled[PEER_OUTSTANDING_MAX];
    if (argc > 1 && strcmp(argv[1], "-w") == 0) {
        waits = true;
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    peer_init(&peer, argc, argv);
    char host[256] = {0};
    const char *colon = strrchr(peer.servers, ':');
    if (colon == NULL || (size_t)(colon - peer.servers) >= sizeof host) {
        peer_fail(peer.servers, "not host:port");
    }
    memcpy(host, peer.servers, (size_t)(colon - peer.servers));
    for (unsigned i = 0; i < peer.outstanding; i++) {
        connections[i].redis = redisConnect(host, atoi(colon + 1));
        if (connections[i].redis == NULL || connections[i].redis->err != 0) {
            peer_fail("redis", "cannot connect");
        }
        polled[i] = (struct pollfd){.fd = connections[i].redis->fd, .events = POLLIN};
    }
    peer_begin(&peer);
    for (unsigned i = 0; i < peer.outstanding; i++) {
        begin(&connections[i]);
    }
    while (!peer_is_over(&peer, peer_now_ns())) {
        const int ready = poll(polled, peer.outstanding, 100);
        for (unsigned i = 0; i < peer.outstanding && ready > 0; i++) {
            if (polled[i].revents != 0) {
                receive(&connections[i]);
            }
        }
    }
    return peer_finish(&peer);
}
