/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lib/cluster_list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/endpoint.h"

/* Where the port of "host:port[:peerport]" begins: behind the colon that follows the host. */
static const char *find_port(const char *item)
{
    const char *from = item;
    if (*item == '[') {
        from = strchr(item, ']');
        if (from == NULL) {
            return NULL;
        }
    }
    const char *colon = strchr(from, ':');
    return colon != NULL ? colon + 1 : NULL;
}

/* Splits "8000-8004" behind the host; false if the port is no range. */
static bool find_range(const char *item, unsigned long *first, unsigned long *last)
{
    const char *port = find_port(item);
    if (port == NULL || !isdigit((unsigned char)*port)) {
        return false;
    }
    char *end;
    *first = strtoul(port, &end, 10);
    if (*end != '-' || !isdigit((unsigned char)end[1])) {
        return false;
    }
    *last = strtoul(end + 1, &end, 10);
    return *end == '\0';
}

/* `list` is NULL when nothing is to be looked up. */
static bool add_endpoint(const char *text, struct cluster_list *list, struct endpoint_error *error)
{
    struct endpoint endpoint;
    if (!endpoint_parse(text, &endpoint, error)) {
        return false;
    }
    if (list == NULL) {
        return true;
    }
    if (list->count == PROXY_SEEDS_MAX) {
        (void)snprintf(error->text, sizeof error->text, "more than %d addresses", PROXY_SEEDS_MAX);
        return false;
    }
    struct net_address address;
    if (endpoint_resolve(endpoint.host, endpoint.port, &address, error)) {
        list->addresses[list->count++] = address;
    }
    return true; /* a name that is not known now: others may be */
}

static bool add_item(const char *item, struct cluster_list *list, struct endpoint_error *error)
{
    unsigned long first;
    unsigned long last;
    if (!find_range(item, &first, &last)) {
        return add_endpoint(item, list, error);
    }
    if (first == 0 || last > UINT16_MAX || last < first) {
        (void)snprintf(error->text, sizeof error->text, "%s: not a range of ports", item);
        return false;
    }
    for (unsigned long port = first; port <= last; port++) {
        char text[ENDPOINT_TEXT_MAX];
        const int host = (int)(find_port(item) - item);
        if (host >= HOST_SIZE_MAX + 4) {
            (void)snprintf(error->text, sizeof error->text, "%s: the host is too long", item);
            return false;
        }
        (void)snprintf(text, sizeof text, "%.*s%lu", host, item, port);
        if (!add_endpoint(text, list, error)) {
            return false;
        }
    }
    return true;
}

static bool add_all(const char *text, struct cluster_list *list, struct endpoint_error *error)
{
    char *copy = strdup(text);
    bool good = copy != NULL;
    char *rest = copy;
    char *item;
    while (good && (item = strsep(&rest, ",")) != NULL) {
        good = add_item(item, list, error);
    }
    free(copy);
    return good;
}

static void explain(const char *text, const struct endpoint_error *error, char *message,
                    size_t message_size)
{
    (void)snprintf(
        message, message_size,
        "\"%s\" is no list of addresses: %s; write host:port,... as in " CLUSTER_LIST_DEFAULT, text,
        error->text);
}

bool cluster_list_resolve(const char *text, struct cluster_list *list, char *message,
                          size_t message_size)
{
    struct endpoint_error error = {.text = "it is empty"};
    memset(list, 0, sizeof *list);
    if (add_all(text, list, &error) && list->count > 0) {
        return true;
    }
    explain(text, &error, message, message_size);
    return false;
}

bool cluster_list_check(const char *text, char *message, size_t message_size)
{
    struct endpoint_error error = {.text = "it is empty"};
    if (add_all(text, NULL, &error)) {
        return true;
    }
    explain(text, &error, message, message_size);
    return false;
}
