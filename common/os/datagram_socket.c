/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/datagram_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"

enum {
    /* Room for what the kernel says beside a datagram: where it came to, and how many were lost. */
    CONTROL_SIZE = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t)),
    RECEIVE_BUFFERS_SIZE = DATAGRAM_BATCH_MAX * (DATAGRAM_SIZE_MAX + 1),
};

/* What recvmmsg() reads and writes, apart from the bytes. */
struct receive_state {
    struct mmsghdr headers[DATAGRAM_BATCH_MAX];
    struct iovec vectors[DATAGRAM_BATCH_MAX];
    struct sockaddr_storage addresses[DATAGRAM_BATCH_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[DATAGRAM_BATCH_MAX][CONTROL_SIZE];
    size_t used; /* headers that have to be prepared again */
};

static void count(atomic_uint_least64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Opening. */

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

/* As much as the kernel lets us have; what it gives is a matter of the machine's settings. */
static void raise_buffers(int fd)
{
    if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_SIZE) != 0) {
        (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER_SIZE);
    }
    if (set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_SIZE) != 0) {
        (void)set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_SIZE);
    }
}

static int configure(const struct datagram_socket *sock, uint32_t receive_timeout_ms)
{
    const struct timeval timeout = {
        .tv_sec = (time_t)(receive_timeout_ms / 1000),
        .tv_usec = (suseconds_t)(receive_timeout_ms % 1000 * 1000),
    };
    raise_buffers(sock->fd);
    if (setsockopt(sock->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
        return -errno;
    }
    int error = set_option(sock->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (error == 0 && sock->family == AF_INET6) {
        /* [::] takes IPv4 too. */
        error = set_option(sock->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (error == 0 && sock->wildcard) {
        error = sock->family == AF_INET ? set_option(sock->fd, IPPROTO_IP, IP_PKTINFO, 1)
                                        : set_option(sock->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    return error;
}

static int bind_to(struct datagram_socket *sock, const struct net_address *address)
{
    struct sockaddr_storage storage;
    const socklen_t size = net_address_to_sockaddr(address, sock->family, &storage);
    if (bind(sock->fd, (const struct sockaddr *)&storage, size) != 0) {
        return -errno;
    }
    socklen_t bound_size = sizeof storage;
    if (getsockname(sock->fd, (struct sockaddr *)&storage, &bound_size) != 0) {
        return -errno;
    }
    return net_address_from_sockaddr(&storage, &sock->bound) ? 0 : -EAFNOSUPPORT;
}

int datagram_socket_open(struct datagram_socket *sock, const struct net_address *address,
                         uint32_t receive_timeout_ms)
{
    INVARIANT(receive_timeout_ms > 0); /* or nobody could stop the receiver (TH-2) */
    memset(sock, 0, sizeof *sock);
    sock->family = net_address_is_ipv4(address) ? AF_INET : AF_INET6;
    sock->wildcard = net_address_is_wildcard(address);
    sock->receive_timeout_ms = receive_timeout_ms;
    sock->fd = socket(sock->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock->fd < 0) {
        return -errno;
    }
    int error = configure(sock, receive_timeout_ms);
    if (error == 0) {
        error = bind_to(sock, address);
    }
    if (error != 0) {
        (void)close(sock->fd); /* nothing was sent: nothing to lose */
    }
    return error;
}

int datagram_socket_connect(struct datagram_socket *sock, const struct net_address *address)
{
    struct sockaddr_storage storage;
    const socklen_t size = net_address_to_sockaddr(address, sock->family, &storage);
    if (size == 0) {
        return -EAFNOSUPPORT;
    }
    return connect(sock->fd, (const struct sockaddr *)&storage, size) == 0 ? 0 : -errno;
}

void datagram_socket_close(struct datagram_socket *sock)
{
    (void)close(sock->fd); /* what it held unsent is lost, as datagrams may be */
    sock->fd = -1;
}

/* Receiving. */

int datagram_receiver_init(struct datagram_receiver *receiver)
{
    *receiver = (struct datagram_receiver){
        .buffers = memory_reserve(RECEIVE_BUFFERS_SIZE),
        .state = calloc(1, sizeof(struct receive_state)),
    };
    if (receiver->buffers == NULL || receiver->state == NULL) {
        datagram_receiver_destroy(receiver);
        return -ENOMEM;
    }
    receiver->state->used = DATAGRAM_BATCH_MAX;
    return 0;
}

void datagram_receiver_destroy(struct datagram_receiver *receiver)
{
    memory_release(receiver->buffers, RECEIVE_BUFFERS_SIZE);
    free(receiver->state);
    receiver->buffers = NULL;
    receiver->state = NULL;
}

/* The kernel overwrites lengths: those of the last receive are set again before the next. */
static void prepare_headers(struct datagram_receiver *receiver)
{
    struct receive_state *state = receiver->state;
    for (size_t i = 0; i < state->used; i++) {
        state->vectors[i] = (struct iovec){
            .iov_base = receiver->buffers + i * (DATAGRAM_SIZE_MAX + 1),
            .iov_len = DATAGRAM_SIZE_MAX + 1,
        };
        state->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &state->addresses[i],
            .msg_namelen = sizeof state->addresses[i],
            .msg_iov = &state->vectors[i],
            .msg_iovlen = 1,
            .msg_control = state->controls[i],
            .msg_controllen = CONTROL_SIZE,
        };
    }
    state->used = 0;
}

/* UDP-11: the index, from 1, of an own address, so that net_address can name it; 0 where there is
 * no room: then the kernel chooses. Called by the one thread that receives. */
static uint16_t local_index(struct datagram_socket *sock, const uint8_t ip[16])
{
    const unsigned known = atomic_load_explicit(&sock->local_count, memory_order_relaxed);
    for (unsigned i = 0; i < known; i++) {
        if (memcmp(sock->locals[i], ip, sizeof sock->locals[i]) == 0) {
            return (uint16_t)(i + 1);
        }
    }
    if (known == LOCAL_ADDRESSES_MAX) {
        return 0;
    }
    memcpy(sock->locals[known], ip, sizeof sock->locals[known]);
    atomic_store_explicit(&sock->local_count, known + 1, memory_order_release);
    return (uint16_t)(known + 1);
}

static void read_control(struct datagram_socket *sock, struct msghdr *header,
                         struct net_address *address)
{
    for (struct cmsghdr *each = CMSG_FIRSTHDR(header); each != NULL;
         each = CMSG_NXTHDR(header, each)) {
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SO_RXQ_OVFL) {
            uint32_t overflowed; /* since the socket was opened */
            memcpy(&overflowed, CMSG_DATA(each), sizeof overflowed);
            atomic_store_explicit(&sock->counters.overflowed, overflowed, memory_order_relaxed);
        } else if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(each), sizeof info);
            const struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = info.ipi_spec_dst};
            struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
            memcpy(&storage, &own, sizeof own);
            struct net_address local;
            (void)net_address_from_sockaddr(&storage, &local); /* it is AF_INET */
            address->local = local_index(sock, local.ip);
        } else if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(each), sizeof info);
            address->local = local_index(sock, info.ipi6_addr.s6_addr);
        }
    }
}

/* Takes one datagram over into items[receiver->count]; false if it is to be dropped. */
static bool take(struct datagram_socket *sock, struct datagram_receiver *receiver, size_t index)
{
    struct mmsghdr *received = &receiver->state->headers[index];
    struct datagram *item = &receiver->items[receiver->count];
    if (!net_address_from_sockaddr(&receiver->state->addresses[index], &item->address)) {
        count(&sock->counters.receive_errors, 1);
        return false;
    }
    read_control(sock, &received->msg_hdr, &item->address);
    if ((received->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        count(&sock->counters.truncated, 1);
        return false;
    }
    item->bytes = receiver->state->vectors[index].iov_base;
    item->size = received->msg_len;
    return true;
}

/* The socket's own timeout is the kernel's business and free; a shorter one costs a call. An error
 * that waits counts as readable: the receive will fetch it. */
static bool wait_readable(const struct datagram_socket *sock, uint64_t timeout_ns)
{
    struct pollfd readable = {.fd = sock->fd, .events = POLLIN};
    const struct timespec timeout = clock_timespec(timeout_ns);
    return ppoll(&readable, 1, &timeout, NULL) == 1;
}

size_t datagram_receive(struct datagram_socket *sock, struct datagram_receiver *receiver,
                        uint64_t timeout_ns)
{
    receiver->count = 0;
    if (timeout_ns < sock->receive_timeout_ms * NANOSECONDS_PER_MILLISECOND &&
        !wait_readable(sock, timeout_ns)) {
        return 0;
    }
    prepare_headers(receiver);
    const int got =
        recvmmsg(sock->fd, receiver->state->headers, DATAGRAM_BATCH_MAX, MSG_WAITFORONE, NULL);
    if (got < 0) {
        receiver->state->used = 1; /* an error may have touched the first */
        if (errno != EAGAIN && errno != EINTR) {
            count(&sock->counters.receive_errors, 1);
        }
        return 0;
    }
    /* One more, for an error behind the last. */
    receiver->state->used = (size_t)got < DATAGRAM_BATCH_MAX ? (size_t)got + 1 : (size_t)got;
    uint64_t bytes = 0;
    for (size_t i = 0; i < (size_t)got; i++) {
        if (take(sock, receiver, i)) {
            bytes += receiver->items[receiver->count].size;
            receiver->count++;
        }
    }
    count(&sock->counters.receive_calls, 1);
    count(&sock->counters.received, receiver->count);
    count(&sock->counters.received_bytes, bytes);
    return receiver->count;
}

bool datagram_waiting(const struct datagram_socket *sock)
{
    return wait_readable(sock, 0);
}

/* Sending. */

/* What sendmmsg() reads, apart from the bytes. */
struct send_state {
    struct mmsghdr headers[DATAGRAM_BATCH_MAX];
    struct iovec vectors[DATAGRAM_BATCH_MAX];
    struct sockaddr_storage addresses[DATAGRAM_BATCH_MAX];
    _Alignas(struct cmsghdr)
        uint8_t controls[DATAGRAM_BATCH_MAX][CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* UDP-11: lets the answer leave from the address that the question came to. */
static void write_control(struct datagram_socket *sock, uint16_t local, uint8_t *control,
                          struct msghdr *header)
{
    if (local == 0 || local > atomic_load_explicit(&sock->local_count, memory_order_acquire)) {
        return;
    }
    const uint8_t *ip = sock->locals[local - 1];
    header->msg_control = control;
    if (sock->family == AF_INET) {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, ip + 12, sizeof info.ipi_spec_dst);
        header->msg_controllen = CMSG_SPACE(sizeof info);
        struct cmsghdr *first = CMSG_FIRSTHDR(header);
        *first = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        memcpy(CMSG_DATA(first), &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = 0};
        memcpy(&info.ipi6_addr, ip, sizeof info.ipi6_addr);
        header->msg_controllen = CMSG_SPACE(sizeof info);
        struct cmsghdr *first = CMSG_FIRSTHDR(header);
        *first = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info),
                                  .cmsg_level = IPPROTO_IPV6,
                                  .cmsg_type = IPV6_PKTINFO};
        memcpy(CMSG_DATA(first), &info, sizeof info);
    }
}

/* Fills in headers for as many items as one call takes; an address that this socket's family cannot
 * say is a loss. Returns how many headers there are. */
static size_t prepare_send(struct datagram_socket *sock, struct send_state *state,
                           const struct datagram_out *items, size_t items_count)
{
    size_t prepared = 0;
    for (size_t i = 0; i < items_count; i++) {
        const socklen_t address_size =
            net_address_to_sockaddr(&items[i].address, sock->family, &state->addresses[prepared]);
        if (address_size == 0) {
            count(&sock->counters.send_unreachable, 1);
            continue;
        }
        state->vectors[prepared] = (struct iovec){
            .iov_base = (void *)(uintptr_t)items[i].bytes, /* sendmmsg() only reads it */
            .iov_len = items[i].size,
        };
        struct msghdr *header = &state->headers[prepared].msg_hdr;
        *header = (struct msghdr){
            .msg_name = &state->addresses[prepared],
            .msg_namelen = address_size,
            .msg_iov = &state->vectors[prepared],
            .msg_iovlen = 1,
        };
        write_control(sock, items[i].address.local, state->controls[prepared], header);
        prepared++;
    }
    return prepared;
}

/* What became of a datagram that sendmmsg() did not take. True if the ones behind it would fare the
 * same, so that trying them is only work. */
static bool count_loss(struct datagram_counters *counters, int error, uint64_t behind)
{
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        count(&counters->send_full, 1 + behind);
        return true;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EPERM:
    case EACCES:
        count(&counters->send_unreachable, 1);
        return false;
    case EMSGSIZE:
        count(&counters->send_too_large, 1);
        return false;
    default:
        count(&counters->send_failed, 1);
        return false;
    }
}

static void send_prepared(struct datagram_socket *sock, struct send_state *state, size_t prepared)
{
    size_t done = 0;
    while (done < prepared) {
        const int sent = sendmmsg(sock->fd, state->headers + done, (unsigned)(prepared - done),
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
        count(&sock->counters.send_calls, 1);
        if (sent > 0) {
            uint64_t bytes = 0;
            for (size_t i = done; i < done + (size_t)sent; i++) {
                bytes += state->vectors[i].iov_len;
            }
            count(&sock->counters.sent, (uint64_t)sent);
            count(&sock->counters.sent_bytes, bytes);
            done += (size_t)sent;
        } else if (errno != EINTR) {
            if (count_loss(&sock->counters, errno, prepared - done - 1)) {
                return;
            }
            done++;
        }
    }
}

void datagram_send(struct datagram_socket *sock, const struct datagram_out *items,
                   size_t items_count)
{
    struct send_state state;
    for (size_t done = 0; done < items_count; done += DATAGRAM_BATCH_MAX) {
        const size_t left = items_count - done;
        const size_t batch = left < DATAGRAM_BATCH_MAX ? left : DATAGRAM_BATCH_MAX;
        send_prepared(sock, &state, prepare_send(sock, &state, items + done, batch));
    }
}

void datagram_wake(struct datagram_socket *sock)
{
    struct datagram_out empty = {.address = sock->bound, .bytes = NULL, .size = 0};
    if (sock->wildcard) {
        /* No place to send to: the loopback address of the family will find it. */
        uint8_t *ip = empty.address.ip;
        const bool ipv4 = net_address_is_ipv4(&empty.address);
        ip[ipv4 ? 12 : 15] = ipv4 ? IN_LOOPBACKNET : 1;
        ip[15] = 1;
    }
    datagram_send(sock, &empty, 1);
}
