/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/outbox.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"

static void emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct outbox *outbox = context;
    struct datagram_out items[DATAGRAM_BATCH_MAX];
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += datagrams[i].size;
    }
    if (outbox->limited && total > outbox->limit) {
        outbox->over_limit += count;
        return;
    }
    for (size_t done = 0; done < count;) {
        size_t batch = 0;
        for (; batch < DATAGRAM_BATCH_MAX && done < count; batch++, done++) {
            items[batch] = (struct datagram_out){
                .address = datagrams[done].address,
                .bytes = datagrams[done].bytes,
                .size = datagrams[done].size,
            };
        }
        datagram_send(outbox->sock, items, batch);
    }
    if (outbox->limited) {
        outbox->limit -= total;
    }
}

int outbox_init(struct outbox *outbox, struct datagram_socket *sock, enum outbox_number number,
                const struct outbox_identity *identity, uint32_t datagram_size)
{
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.cluster_id = identity->cluster_id;
    options.sender = identity->replica_id;
    options.incarnation = identity->incarnation;
    options.identity = identity->identity;
    options.configuration_hash = identity->configuration_hash;
    options.number = (uint32_t)number;
    options.datagram_size = datagram_size != 0 ? datagram_size : DATAGRAM_SIZE_DEFAULT;
    options.datagram_size_max = datagram_size != 0 ? datagram_size : DATAGRAM_SIZE_LOOPBACK;
    options.emit = emit;
    options.emit_context = outbox;

    *outbox = (struct outbox){.sock = sock, .datagram_size = datagram_size};
    outbox->memory_size = wire_sender_memory_size(&options);
    outbox->memory = memory_reserve(outbox->memory_size);
    if (outbox->memory == NULL) {
        return -ENOMEM;
    }
    outbox->sender = wire_sender_init(outbox->memory, &options);
    return 0;
}

void outbox_destroy(struct outbox *outbox)
{
    memory_release(outbox->memory, outbox->memory_size);
    outbox->memory = NULL;
}

uint32_t outbox_datagram_size(const struct outbox *outbox, const struct net_address *address)
{
    return outbox->datagram_size != 0 ? outbox->datagram_size : net_address_datagram_size(address);
}

static struct wire_destination destination(const struct outbox *outbox,
                                           const struct net_address *address)
{
    return (struct wire_destination){
        .address = *address,
        .budget = outbox_datagram_size(outbox, address),
    };
}

void outbox_send(struct outbox *outbox, const struct net_address *address,
                 const struct message *message, uint64_t now_ns)
{
    const struct wire_destination to = destination(outbox, address);
    wire_send(outbox->sender, &to, message, now_ns);
}

void outbox_send_many(struct outbox *outbox, const struct net_address *addresses, size_t count,
                      const struct message *message, uint64_t now_ns)
{
    INVARIANT(count <= WIRE_DESTINATIONS_MAX);
    struct wire_destination to[WIRE_DESTINATIONS_MAX];
    for (size_t i = 0; i < count; i++) {
        to[i] = destination(outbox, &addresses[i]);
    }
    wire_send_many(outbox->sender, to, count, message, now_ns);
}

void outbox_flush(struct outbox *outbox)
{
    wire_flush(outbox->sender);
}

bool outbox_answer_within(struct outbox *outbox, const struct net_address *address,
                          const struct message *message, size_t limit, uint64_t now_ns)
{
    const uint64_t over_before = outbox->over_limit;
    outbox->limited = true;
    outbox->limit = limit;
    outbox_send(outbox, address, message, now_ns);
    outbox_flush(outbox);
    outbox->limited = false;
    return outbox->over_limit == over_before;
}
