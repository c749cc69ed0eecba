/* SPDX-License-Identifier: Apache-2.0 */
/* peer_etcd.c - etcd's Put by gRPC, as its clients speak it: HTTP/2 (libnghttp2) on a connection to
 * each member, a stream for each request. The two messages are so small that they are made by hand.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/peer.h"

enum { CONNECTIONS_MAX = 9, BODY_OVERHEAD = 64 };

struct connection {
    int fd;
    nghttp2_session *session;
};

/* One request at a time. */
struct slot {
    struct connection *connection;
    uint64_t begun_ns;
    uint8_t *body;
    size_t size;
    size_t sent;
    bool good; /* grpc-status 0 came */
};

static struct peer peer;
static struct slot slots[PEER_OUTSTANDING_MAX];

static size_t put_varint(uint8_t *to, size_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) {
        to[size++] = (uint8_t)(value | 0x80);
    }
    to[size++] = (uint8_t)value;
    return size;
}

static size_t put_bytes(uint8_t *to, uint8_t tag, const char *bytes, size_t size)
{
    to[0] = tag;
    const size_t head = 1 + put_varint(to + 1, size);
    memcpy(to + head, bytes, size);
    return head + size;
}

/* gRPC's prefix (not compressed, four bytes of length), then PutRequest{key = 1, value = 2}. */
static void make_body(struct slot *slot)
{
    char key[PEER_KEY_MAX];
    peer_next_key(&peer, key);
    size_t size = put_bytes(slot->body + 5, 0x0a, key, strlen(key));
    size += put_bytes(slot->body + 5 + size, 0x12, peer.value, peer.value_size);
    const uint32_t length = htonl((uint32_t)size);
    slot->body[0] = 0;
    memcpy(slot->body + 1, &length, sizeof length);
    slot->size = size + 5;
    slot->sent = 0;
    slot->good = false;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)stream;
    (void)context;
    struct slot *slot = source->ptr;
    const size_t left = slot->size - slot->sent;
    const size_t size = left < room ? left : room;
    memcpy(to, slot->body + slot->sent, size);
    slot->sent += size;
    if (slot->sent == slot->size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)size;
}

#define HEADER(name, value) \
    { \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, \
            sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE \
    }

static void begin(struct slot *slot)
{
    static const nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", "/etcdserverpb.KV/Put"),
        HEADER(":authority", "127.0.0.1"),
        HEADER("content-type", "application/grpc"),
        HEADER("te", "trailers"),
    };
    make_body(slot);
    slot->begun_ns = peer_now_ns();
    const nghttp2_data_provider body = {.source.ptr = slot, .read_callback = read_body};
    if (nghttp2_submit_request(slot->connection->session, NULL, headers,
                               sizeof headers / sizeof headers[0], &body, slot) < 0) {
        peer_fail("etcd", "no more streams on a connection");
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    (void)flags;
    (void)context;
    struct slot *slot = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (slot != NULL && name_size == 11 && memcmp(name, "grpc-status", 11) == 0) {
        slot->good = value_size == 1 && value[0] == '0';
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    (void)context;
    struct slot *slot = nghttp2_session_get_stream_user_data(session, stream);
    if (slot == NULL) {
        return 0;
    }
    const uint64_t now_ns = peer_now_ns();
    if (error == 0 && slot->good) {
        peer_count(&peer, slot->begun_ns, now_ns);
    } else {
        peer.errors++;
    }
    begin(slot);
    return 0;
}

static void open_connection(struct connection *connection, const char *server)
{
    char host[64] = {0};
    const char *colon = strrchr(server, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (colon == NULL || (size_t)(colon - server) >= sizeof host) {
        peer_fail(server, "not address:port");
    }
    memcpy(host, server, (size_t)(colon - server));
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    const int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        fcntl(connection->fd, F_SETFL, O_NONBLOCK) < 0) {
        peer_fail(server, strerror(errno));
    }
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        peer_fail("etcd", "no memory");
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    if (nghttp2_session_client_new(&connection->session, callbacks, NULL) != 0 ||
        nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, NULL, 0) != 0) {
        peer_fail("etcd", "no memory");
    }
    nghttp2_session_callbacks_del(callbacks);
}

/* All that the session has to say; what the socket does not take is waited for. */
static void flush(struct connection *connection)
{
    static uint8_t buffer[256 * 1024];
    for (;;) {
        size_t size = 0;
        const uint8_t *bytes;
        ssize_t made;
        while (size < sizeof buffer / 2 &&
               (made = nghttp2_session_mem_send(connection->session, &bytes)) > 0) {
            if ((size_t)made > sizeof buffer - size) {
                peer_fail("etcd", "a frame that is too large");
            }
            memcpy(buffer + size, bytes, (size_t)made);
            size += (size_t)made;
        }
        if (size == 0) {
            return;
        }
        for (size_t sent = 0; sent < size;) {
            const ssize_t n = send(connection->fd, buffer + sent, size - sent, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN) {
                struct pollfd writable = {.fd = connection->fd, .events = POLLOUT};
                (void)poll(&writable, 1, 100);
            } else if (n < 0) {
                peer_fail("etcd", strerror(errno));
            } else {
                sent += (size_t)n;
            }
        }
    }
}

static void receive(struct connection *connection)
{
    static uint8_t buffer[256 * 1024];
    const ssize_t size = recv(connection->fd, buffer, sizeof buffer, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN)) {
        peer_fail("etcd", size == 0 ? "closed" : strerror(errno));
    }
    if (size > 0 && nghttp2_session_mem_recv(connection->session, buffer, (size_t)size) < 0) {
        peer_fail("etcd", "not HTTP/2");
    }
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    static struct pollfd polled[CONNECTIONS_MAX];
    peer_init(&peer, argc, argv);
    unsigned count = 0;
    char *servers = strdup(peer.servers);
    for (char *server = strtok(servers, ","); server != NULL && count < CONNECTIONS_MAX;
         server = strtok(NULL, ",")) {
        open_connection(&connections[count], server);
        polled[count] = (struct pollfd){.fd = connections[count].fd, .events = POLLIN};
        count++;
    }
    free(servers);
    peer_begin(&peer);
    for (unsigned i = 0; i < peer.outstanding; i++) {
        slots[i].connection = &connections[i % count];
        slots[i].body = malloc(peer.value_size + PEER_KEY_MAX + BODY_OVERHEAD);
        if (slots[i].body == NULL) {
            peer_fail("etcd", "no memory");
        }
        begin(&slots[i]);
    }
    while (!peer_is_over(&peer, peer_now_ns())) {
        for (unsigned i = 0; i < count; i++) {
            flush(&connections[i]);
        }
        const int ready = poll(polled, count, 100);
        for (unsigned i = 0; i < count && ready > 0; i++) {
            if (polled[i].revents != 0) {
                receive(&connections[i]);
            }
        }
    }
    return peer_finish(&peer);
}
