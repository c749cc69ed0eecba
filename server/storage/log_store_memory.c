/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/log_store.h"

static void memory_write(void *state, const struct log_write *write)
{
    const struct log_store_memory *memory = state;
    memory->client.durable(memory->client.context, write->generation, write->last_op);
}

struct log_store log_store_memory_init(struct log_store_memory *memory,
                                       const struct log_store_client *client)
{
    memory->client = *client;
    return (struct log_store){
        .state = memory,
        .durability = DURABILITY_MEMORY,
        .write = memory_write,
    };
}
