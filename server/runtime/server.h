/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - a replica as a process: VR as a wrapper around any application.
 *
 *     vr_server_init()    once: makes the data directory (D10)
 *     vr_server_run()     runs the replica until SIGTERM or SIGINT, or until it cannot go on
 *
 * or, for a program that has a life of its own, vr_server_start() and vr_server_stop().
 *
 * Threads:   start and stop from one thread. The application is called from one thread at a time,
 *            the server's own, between start and stop.
 * Ownership: options and the application are the caller's; the application must outlive the
 *            server. */
#ifndef VR_RUNTIME_SERVER_H
#define VR_RUNTIME_SERVER_H

#include "common/base/public.h"
#include "server/app/app.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a failed call returns: the process's exit code as well (sysexits' numbers). */
enum vr_server_exit {
    VR_SERVER_OK = 0,
    VR_SERVER_USAGE = 2,
    VR_SERVER_INTERNAL = 70,      /* no memory, no threads */
    VR_SERVER_IO = 74,            /* a disk or a socket said no */
    VR_SERVER_CONFIGURATION = 78, /* what a person wrote cannot be */
};

enum {
    VR_SERVER_ERROR_MAX = 1280,
    LOG_MEMORY_MIN = 8 * 1024 * 1024, /* of log_memory_max: a few of the largest entries */
};

/* What happened, why it matters, what to do: one line, NUL-terminated, cut if too long. */
struct vr_server_error {
    const char *id; /* "VR1301", which docs/errors.md explains; NULL: a wrong flag */
    char text[VR_SERVER_ERROR_MAX];
};

struct vr_server_init_options {
    const char *data_directory;
    const char *cluster; /* "host:port[:peerport],..." in order, the same for every replica */
    uint32_t replica_id; /* position in that list, from 0 */
    uint64_t cluster_id; /* random, the same for every replica; never 0 */
    struct cluster_parameters parameters; /* E0: the same for every replica */
};

/* Makes a replica of a new group. Asks the others first whether they know it: a lost data directory
 * is never silently made again (D10). */
enum vr_server_exit vr_server_init(const struct vr_server_init_options *options,
                                   struct vr_server_error *error);

struct vr_server_options {
    const char *data_directory;
    enum durability durability;
    const char *listen;      /* "host:port[:peerport]" to bind to; NULL: as the cluster knows it */
    uint64_t heartbeat_ns;   /* 0: 20 ms */
    uint64_t view_change_ns; /* 0: 6 heartbeats */
    uint32_t datagram_size;  /* bytes; 0: as each route carries (M2) */
    size_t log_memory_max;   /* bytes; 0: LOG_MEMORY_MAX */
    bool insecure;           /* bind to more than loopback without keys (M3) */

    /* Called once, from one of the server's threads, when the replica cannot go on (D4): the owner
     * then stops it. May be NULL. */
    void (*failed)(void *context);
    void *context;
};

struct vr_server;

/* Whether a start would get as far as its sockets: options, data directory, addresses. Changes
 * nothing, and may be asked while a replica runs from that directory. VR_SERVER_CONFIGURATION if
 * not. */
enum vr_server_exit vr_server_check(const struct vr_server_options *options,
                                    struct vr_server_error *error);

/* Binds, makes this start durable, and begins to take part. */
enum vr_server_exit vr_server_start(const struct vr_server_options *options, const struct app *app,
                                    struct vr_server **server, struct vr_server_error *error);

/* Where it can be reached by clients; valid until it is stopped. */
const struct net_address *vr_server_address(const struct vr_server *server);

/* Says goodbye, stops within a second, and frees it. VR_SERVER_IO if it had failed. */
enum vr_server_exit vr_server_stop(struct vr_server *server);

/* Starts, prints "ready" on stdout once clients and peers can reach it, and serves until it is told
 * to stop. `failed` and `context` of the options are its own. */
enum vr_server_exit vr_server_run(const struct vr_server_options *options, const struct app *app,
                                  struct vr_server_error *error);

#ifdef __cplusplus
}
#endif

#endif
