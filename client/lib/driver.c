/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lib/driver.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"
#include "common/os/random.h"

/* ---- what the channel hands over ---- */

static bool heard_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    struct driver *driver = context;
    return proxy_heard_cluster(driver->proxy, address, cluster_id);
}

static uint64_t token_of(void *context, const struct net_address *address)
{
    const struct driver *driver = context;
    return proxy_token(driver->proxy, address);
}

/* Carries out what the proxy wants. A completion's result is borrowed from the message that brought
 * it, so this runs after every message. */
static void carry_out(struct driver *driver, uint64_t now_ns)
{
    struct proxy_output output;
    while (proxy_next_output(driver->proxy, &output)) {
        if (output.kind == PROXY_OUT_SEND) {
            /* Once the cluster is known, most messages are refused without its id (M7). */
            channel_set_cluster(&driver->channel, proxy_view(driver->proxy)->cluster_id);
            channel_send(&driver->channel, &output.send.address, output.send.token,
                         &output.send.message, now_ns);
            continue;
        }
        INVARIANT(driver->in_flight_count > 0);
        driver->in_flight_count--;
        const struct driver_done done = {
            .session = output.done.session,
            .outcome = output.done.outcome,
            .error = output.done.error,
            .view_number = output.done.view_number,
            .op_number = output.done.op_number,
            .commit_number = output.done.commit_number,
            .result = output.done.result,
            .result_size = output.done.result_size,
            .retries = output.done.retries,
        };
        driver->options.done(driver->options.context, &done);
    }
}

static void take_message(void *context, const struct message *message, uint64_t now_ns)
{
    struct driver *driver = context;
    proxy_receive(driver->proxy, message, now_ns);
    carry_out(driver, now_ns);
}

/* ---- opening and closing ---- */

int driver_open(struct driver *driver, const struct driver_options *options)
{
    INVARIANT(options->seed_count <= PROXY_SEEDS_MAX);
    memset(driver, 0, sizeof *driver);
    driver->options = *options;

    struct proxy_options proxy_options;
    proxy_options_default(&proxy_options);
    proxy_options.sessions_max = options->sessions_max;
    proxy_options.random_seed = random_nonzero_u64();
    proxy_options.seed_count = options->seed_count;
    memcpy(proxy_options.seeds, options->seeds, options->seed_count * sizeof options->seeds[0]);

    driver->proxy_size = proxy_memory_size(&proxy_options);
    void *memory = memory_reserve(driver->proxy_size);
    if (memory == NULL) {
        return -ENOMEM;
    }
    driver->proxy = proxy_init(memory, &proxy_options);

    const struct channel_handler handler = {
        .context = driver,
        .heard_cluster = heard_cluster,
        .message = take_message,
        .token = token_of,
    };
    const int error = channel_open(&driver->channel, &handler, options->seeds, options->seed_count,
                                   options->datagram_size);
    if (error != 0) {
        memory_release(memory, driver->proxy_size);
    }
    return error;
}

static void done_unreported(void *context, const struct driver_done *done)
{
    (void)context;
    (void)done;
}

void driver_close(struct driver *driver)
{
    const uint64_t now_ns = clock_monotonic_ns();
    driver->options.done = done_unreported;
    for (uint32_t i = 0; i < driver->options.sessions_max; i++) {
        if (proxy_is_open(driver->proxy, i)) {
            proxy_cancel(driver->proxy, i, now_ns);
        }
    }
    carry_out(driver, now_ns);
    for (uint32_t i = 0; i < driver->options.sessions_max; i++) {
        if (proxy_is_open(driver->proxy, i)) {
            driver_close_session(driver, i);
        }
    }
    driver_flush(driver, now_ns);
    channel_close(&driver->channel);
    memory_release(driver->proxy, driver->proxy_size);
}

/* ---- sessions and requests ---- */

uint32_t driver_open_session(struct driver *driver)
{
    struct client_id id;
    random_bytes(&id, sizeof id);
    return proxy_open(driver->proxy, id);
}

void driver_close_session(struct driver *driver, uint32_t session)
{
    proxy_close(driver->proxy, session, clock_monotonic_ns());
}

void driver_submit(struct driver *driver, uint32_t session, const uint8_t *operation, size_t size,
                   bool is_read, uint64_t deadline_ns, uint64_t now_ns)
{
    driver->in_flight_count++;
    proxy_submit(driver->proxy, session, operation, size, is_read, deadline_ns, now_ns);
}

void driver_submit_read(struct driver *driver, uint32_t session, const uint8_t *operation,
                        size_t size, const struct proxy_read *read, uint64_t deadline_ns,
                        uint64_t now_ns)
{
    driver->in_flight_count++;
    proxy_submit_read(driver->proxy, session, operation, size, read, deadline_ns, now_ns);
}

void driver_cancel(struct driver *driver, uint32_t session, uint64_t now_ns)
{
    proxy_cancel(driver->proxy, session, now_ns);
}

/* ---- running ---- */

/* A configuration came: finds out where its members are. Numeric addresses cost nothing; a name may
 * wait for a name server, once per configuration. */
static void place_members(struct driver *driver, uint64_t now_ns)
{
    const struct proxy_view *view = proxy_view(driver->proxy);
    if (view->configuration_count == driver->configuration_count) {
        return;
    }
    driver->configuration_count = view->configuration_count;
    struct net_address addresses[REPLICAS_MAX] = {0};
    for (uint32_t i = 0; i < view->configuration->member_count; i++) {
        const struct member *member = &view->configuration->members[i];
        struct endpoint_error ignored; /* an address that stays unknown is left out */
        if (!endpoint_resolve(member->host, member->port, &addresses[i], &ignored)) {
            addresses[i] = (struct net_address){0};
        }
    }
    proxy_set_member_addresses(driver->proxy, addresses, now_ns);
    carry_out(driver, now_ns);
}

void driver_flush(struct driver *driver, uint64_t now_ns)
{
    carry_out(driver, now_ns);
    channel_flush(&driver->channel);
}

uint64_t driver_wait_ns(const struct driver *driver, uint64_t now_ns)
{
    const uint64_t usual_ns = CHANNEL_WAIT_MS * NANOSECONDS_PER_MILLISECOND;
    const uint64_t deadline_ns = channel_deadline(&driver->channel);
    if (deadline_ns >= now_ns && deadline_ns - now_ns >= usual_ns) {
        return usual_ns;
    }
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

void driver_wait(struct driver *driver, uint64_t timeout_ns)
{
    (void)channel_receive(&driver->channel, timeout_ns);
}

uint64_t driver_deadline(const struct driver *driver)
{
    const uint64_t channel = channel_deadline(&driver->channel);
    const uint64_t proxy = proxy_deadline(driver->proxy);
    return channel < proxy ? channel : proxy;
}

void driver_step(struct driver *driver, uint64_t now_ns)
{
    channel_dispatch(&driver->channel, now_ns);
    place_members(driver, now_ns);
    if (proxy_deadline(driver->proxy) <= now_ns) {
        proxy_tick(driver->proxy, now_ns);
    }
    driver_flush(driver, now_ns);
}
