/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parsing. */

__attribute__((format(printf, 2, 3))) static bool refuse(struct endpoint_error *error,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

/* Reads a decimal port at *at and moves behind it. No sign, no space, 1 to 65535. */
static bool parse_port(const char **at, uint16_t *port)
{
    uint32_t value = 0;
    const char *digit = *at;
    while (*digit >= '0' && *digit <= '9' && value <= UINT16_MAX) {
        value = value * 10 + (uint32_t)(*digit - '0');
        digit++;
    }
    if (digit == *at || value == 0 || value > UINT16_MAX) {
        return false;
    }
    *at = digit;
    *port = (uint16_t)value;
    return true;
}

/* Copies the host at the start of `text`, up to its port, and returns what follows, or NULL. */
static const char *parse_host(const char *text, char host[HOST_SIZE_MAX])
{
    const bool bracketed = text[0] == '[';
    const char *start = bracketed ? text + 1 : text;
    const size_t size = strcspn(start, bracketed ? "]" : ":[]");
    const char *end = start + size;
    if (size == 0 || size >= HOST_SIZE_MAX || (bracketed && *end != ']')) {
        return NULL;
    }
    memcpy(host, start, size);
    host[size] = '\0';
    return bracketed ? end + 1 : end;
}

bool endpoint_parse(const char *text, struct endpoint *endpoint, struct endpoint_error *error)
{
    *endpoint = (struct endpoint){.port = 0};
    const char *at = parse_host(text, endpoint->host);
    if (at == NULL || *at != ':') {
        return refuse(
            error,
            "\"%s\" is no address: write host:port or host:port:peerport, an IPv6 address "
            "in brackets, as in [::1]:8000",
            text);
    }
    at++;
    if (!parse_port(&at, &endpoint->port)) {
        return refuse(error, "\"%s\" has no valid port: ports are numbers from 1 to 65535", text);
    }
    if (*at == '\0') {
        if (endpoint->port > UINT16_MAX - PEER_PORT_OFFSET) {
            return refuse(
                error,
                "\"%s\" leaves no room for the peer port, which is port + %d unless it is "
                "given: write host:port:peerport",
                text, PEER_PORT_OFFSET);
        }
        endpoint->peer_port = (uint16_t)(endpoint->port + PEER_PORT_OFFSET);
        return true;
    }
    if (*at == ':') {
        at++;
        if (!parse_port(&at, &endpoint->peer_port) || *at != '\0') {
            return refuse(error, "\"%s\" has no valid peer port: ports are numbers from 1 to 65535",
                          text);
        }
        if (endpoint->peer_port == endpoint->port) {
            return refuse(error, "\"%s\" names one port for clients and peers: they need one each",
                          text);
        }
        return true;
    }
    return refuse(error, "\"%s\" goes on behind its port: write host:port or host:port:peerport",
                  text);
}

bool endpoint_list_parse(const char *list, struct endpoint *endpoints, size_t capacity,
                         size_t *count, struct endpoint_error *error)
{
    char one[ENDPOINT_TEXT_MAX];
    const char *at = list;
    *count = 0;
    for (;;) {
        const size_t size = strcspn(at, ",");
        if (size == 0) {
            return refuse(error, "\"%s\" has an empty place: write host:port,host:port,...", list);
        }
        if (size >= sizeof one) {
            return refuse(error, "an address in \"%.64s...\" is longer than %zu characters", list,
                          sizeof one - 1);
        }
        if (*count == capacity) {
            return refuse(error, "\"%.256s\" has more than %zu addresses", list, capacity);
        }
        memcpy(one, at, size);
        one[size] = '\0';
        if (!endpoint_parse(one, &endpoints[*count], error)) {
            return false;
        }
        (*count)++;
        if (at[size] == '\0') {
            return true;
        }
        at += size + 1;
    }
}

/* Sockets' forms. */

static const uint8_t ipv4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void set_ipv4(struct net_address *address, const struct in_addr *ip)
{
    memcpy(address->ip, ipv4_prefix, sizeof ipv4_prefix);
    memcpy(address->ip + sizeof ipv4_prefix, ip, sizeof *ip);
}

bool net_address_is_ipv4(const struct net_address *address)
{
    return memcmp(address->ip, ipv4_prefix, sizeof ipv4_prefix) == 0;
}

bool net_address_is_loopback(const struct net_address *address)
{
    static const uint8_t ipv6_loopback[16] = {[15] = 1};
    if (net_address_is_ipv4(address)) {
        return address->ip[sizeof ipv4_prefix] == IN_LOOPBACKNET;
    }
    return memcmp(address->ip, ipv6_loopback, sizeof ipv6_loopback) == 0;
}

bool net_address_is_wildcard(const struct net_address *address)
{
    static const uint8_t zeros[16];
    const size_t start = net_address_is_ipv4(address) ? sizeof ipv4_prefix : 0;
    return memcmp(address->ip + start, zeros, sizeof zeros - start) == 0;
}

socklen_t net_address_to_sockaddr(const struct net_address *address, sa_family_t family,
                                  struct sockaddr_storage *out)
{
    if (family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        if (!net_address_is_ipv4(address)) {
            return 0;
        }
        memcpy(&v4.sin_addr, address->ip + sizeof ipv4_prefix, sizeof v4.sin_addr);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(address->port),
        .sin6_scope_id = address->scope_id,
    };
    memcpy(&v6.sin6_addr, address->ip, sizeof v6.sin6_addr);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}

bool net_address_from_sockaddr(const struct sockaddr_storage *from, struct net_address *address)
{
    *address = (struct net_address){.port = 0};
    if (from->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        set_ipv4(address, &v4.sin_addr);
        address->port = ntohs(v4.sin_port);
        return true;
    }
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        memcpy(address->ip, &v6.sin6_addr, sizeof address->ip);
        address->port = ntohs(v6.sin6_port);
        address->scope_id = v6.sin6_scope_id;
        return true;
    }
    return false;
}

bool endpoint_resolve(const char *host, uint16_t port, struct net_address *address,
                      struct endpoint_error *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    const int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0) {
        return refuse(error, "cannot find the address of \"%s\": %s", host, gai_strerror(result));
    }
    bool resolved = false;
    for (const struct addrinfo *each = found; each != NULL && !resolved; each = each->ai_next) {
        struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
        memcpy(&storage, each->ai_addr, each->ai_addrlen);
        resolved = net_address_from_sockaddr(&storage, address);
    }
    freeaddrinfo(found);
    address->port = port;
    return resolved || refuse(error, "\"%s\" has no internet address", host);
}

const char *net_address_text(const struct net_address *address, char text[NET_ADDRESS_TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (net_address_is_ipv4(address)) {
        (void)inet_ntop(AF_INET, address->ip + sizeof ipv4_prefix, ip, sizeof ip);
        (void)snprintf(text, NET_ADDRESS_TEXT_MAX, "%s:%u", ip, (unsigned)address->port);
    } else {
        (void)inet_ntop(AF_INET6, address->ip, ip, sizeof ip);
        (void)snprintf(text, NET_ADDRESS_TEXT_MAX, "[%s]:%u", ip, (unsigned)address->port);
    }
    return text;
}

uint32_t net_address_datagram_size(const struct net_address *address)
{
    return net_address_is_loopback(address) ? DATAGRAM_SIZE_LOOPBACK : DATAGRAM_SIZE_DEFAULT;
}
