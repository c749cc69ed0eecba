/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.h - addresses as people write them, and as sockets use them.
 *
 *     127.0.0.1:8000    example.org:8000    [::1]:8000    host:8000:9000 (with a port for peers)
 *
 * Threads: safe anywhere. endpoint_resolve() may wait for a name server, so it is called at start
 *          only, never by a thread that the protocol needs (TH-6). */
#ifndef VR_OS_ENDPOINT_H
#define VR_OS_ENDPOINT_H

#include "common/base/configuration.h"
#include "common/base/limits.h"
#include "common/base/types.h"

#include <sys/socket.h>

enum {
    PEER_PORT_OFFSET = 100, /* peers talk on `port` + 100 unless told otherwise (M5) */
    ENDPOINT_TEXT_MAX = HOST_SIZE_MAX + 16, /* "[host]:port:peerport", with its NUL */
    ENDPOINT_ERROR_MAX = 512,
};

struct endpoint {
    char host[HOST_SIZE_MAX]; /* name or numeric address, without brackets */
    uint16_t port;
    uint16_t peer_port;
};

/* What went wrong, for a person: one line, NUL-terminated, cut if too long. */
struct endpoint_error {
    char text[ENDPOINT_ERROR_MAX];
};

/* False, with *error filled in, unless all of `text` is one endpoint. */
bool endpoint_parse(const char *text, struct endpoint *endpoint, struct endpoint_error *error);

/* A comma-separated list, in order: at least one, at most `capacity`. */
bool endpoint_list_parse(const char *list, struct endpoint *endpoints, size_t capacity,
                         size_t *count, struct endpoint_error *error);

/* The first address of host, numeric or by name, with `port`. */
bool endpoint_resolve(const char *host, uint16_t port, struct net_address *address,
                      struct endpoint_error *error);

/* "127.0.0.1:8000" or "[::1]:8000"; the buffer it returns is `text`. */
enum { NET_ADDRESS_TEXT_MAX = 80 };
const char *net_address_text(const struct net_address *address, char text[NET_ADDRESS_TEXT_MAX]);

bool net_address_is_ipv4(const struct net_address *address);
bool net_address_is_loopback(const struct net_address *address);
bool net_address_is_wildcard(const struct net_address *address);

/* The two forms of an address. Returns the size of what was written, 0 if `address` cannot be said
 * in `family` (AF_INET: IPv4 only; AF_INET6: anything). */
socklen_t net_address_to_sockaddr(const struct net_address *address, sa_family_t family,
                                  struct sockaddr_storage *out);
/* False for anything but the internet. */
bool net_address_from_sockaddr(const struct sockaddr_storage *from, struct net_address *address);

/* M2: bytes of one datagram on the way to `address`: what a loopback device carries whole, else
 * what every route does. */
uint32_t net_address_datagram_size(const struct net_address *address);

#endif
