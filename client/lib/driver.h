/* SPDX-License-Identifier: Apache-2.0 */
/* driver.h - a proxy with a socket: one thread's worth of client. The library runs one behind a
 * lock; the benchmark runs one in each of its threads, without any.
 *
 *     driver_submit() ...          as many sessions as one likes
 *     loop: driver_wait(); driver_step()
 *
 * driver_step() handles what arrived and what is due, calls `done` for every request that ended,
 * and then sends everything that came of it: requests that `done` submits share their datagrams and
 * their system call.
 *
 * Threads: one caller at a time, but driver_wait() may overlap with driver_submit(). */
#ifndef VR_CLIENT_DRIVER_H
#define VR_CLIENT_DRIVER_H

#include "client/lib/channel.h"
#include "client/proxy/proxy.h"

/* How a request ended; `result` is borrowed for the call. */
struct driver_done {
    uint32_t session;
    enum proxy_outcome outcome;
    enum proxy_error error;
    uint64_t view_number;
    uint64_t op_number;
    uint64_t commit_number;
    const uint8_t *result;
    size_t result_size;
    uint32_t retries;
};

struct driver_options {
    const struct net_address *seeds;
    uint32_t seed_count; /* <= PROXY_SEEDS_MAX */
    uint32_t sessions_max;
    uint32_t datagram_size; /* as channel_open() takes it */

    /* Called by driver_step() and driver_submit_now(). May submit, open and close sessions. */
    void (*done)(void *context, const struct driver_done *done);
    void *context;
};

struct driver {
    struct channel channel;
    struct proxy *proxy;
    size_t proxy_size;
    struct driver_options options;
    uint32_t in_flight_count;
    uint32_t configuration_count; /* of proxy_view(), when addresses were last found out */
};

/* Returns 0 or a negative errno, with nothing to close. */
int driver_open(struct driver *driver, const struct driver_options *options);

/* Requests in flight end without being reported; sessions are unregistered, best effort. */
void driver_close(struct driver *driver);

/* A session with a random name; UINT32_MAX if there are sessions_max. */
uint32_t driver_open_session(struct driver *driver);
void driver_close_session(struct driver *driver, uint32_t session);

/* The operation is borrowed until it is done. Nothing is sent before the next driver_step() or
 * driver_flush(). */
void driver_submit(struct driver *driver, uint32_t session, const uint8_t *operation, size_t size,
                   bool is_read, uint64_t deadline_ns, uint64_t now_ns);
/* The same of a read beside the log (proxy_submit_read()). */
void driver_submit_read(struct driver *driver, uint32_t session, const uint8_t *operation,
                        size_t size, const struct proxy_read *read, uint64_t deadline_ns,
                        uint64_t now_ns);
void driver_cancel(struct driver *driver, uint32_t session, uint64_t now_ns);

/* Reports what is done already (a request that is too large, for one) and sends what waits. */
void driver_flush(struct driver *driver, uint64_t now_ns);

/* How long to wait while requests are in flight: CHANNEL_WAIT_MS, which is precise enough for
 * retries and costs nothing beyond the receive, unless parts of a large message wait to be sent. */
uint64_t driver_wait_ns(const struct driver *driver, uint64_t now_ns);

/* Waits for datagrams, at most timeout_ns and CHANNEL_WAIT_MS. */
void driver_wait(struct driver *driver, uint64_t timeout_ns);

/* When driver_step() has something to do though nothing came; UINT64_MAX: never. */
uint64_t driver_deadline(const struct driver *driver);

void driver_step(struct driver *driver, uint64_t now_ns);

#endif
