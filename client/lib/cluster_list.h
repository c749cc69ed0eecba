/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_list.h - where to look for a group: host:port[:peerport],... where a port may be a range,
 * as in 127.0.0.1:8000-8004. */
#ifndef VR_CLIENT_CLUSTER_LIST_H
#define VR_CLIENT_CLUSTER_LIST_H

#include "client/proxy/proxy.h"

#define CLUSTER_LIST_DEFAULT "127.0.0.1:8000-8004"

struct cluster_list {
    uint32_t count;
    struct net_address addresses[PROXY_SEEDS_MAX];
};

/* Parses and resolves. Names that cannot be resolved are left out as long as one address is left.
 * On false, `message` says what is wrong. */
bool cluster_list_resolve(const char *text, struct cluster_list *list, char *message,
                          size_t message_size);

/* The same without looking names up: whether `text` is such a list. */
bool cluster_list_check(const char *text, char *message, size_t message_size);

#endif
