/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - a replica as a process: VR as a wrapper around any application.
 *
 *     vr_server_init()    once: makes the data directory (D10)
 *     vr_server_run()     runs the replica until SIGTERM or SIGINT, or until it cannot go on
 *
 * or, for a program that has a life of its own, vr_server_start() and vr_server_stop(). What a
 * replica logs goes to stderr, or where vr_server_log_start() says.
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
    LOG_MEMORY_MIN =
        32 * 1024 * 1024, /* of log_memory_max: blocks of 8 MiB that leave one by one */
};

/* What happened, why it matters, what to do: one line, NUL-terminated, cut if too long. */
struct vr_server_error {
    const char *id; /* "VR1301", which docs/errors.md explains; NULL: a wrong flag */
    char text[VR_SERVER_ERROR_MAX];
};

/* What init --from-backup found. */
struct vr_server_restored {
    uint64_t op_number;  /* the new cluster's log begins behind it */
    uint64_t cluster_id; /* of the old one */
    uint64_t state_size; /* bytes, accounted */
};

struct vr_server_init_options {
    const char *data_directory;
    const char *cluster; /* "host:port[:peerport],..." in order, the same for every replica */
    uint32_t replica_id; /* position in that list, from 0 */
    uint64_t cluster_id; /* random, the same for every replica; never 0 */
    struct cluster_parameters parameters; /* E0: the same for every replica */

    /* A backup to begin with, the same file for every replica; NULL: none, the state is empty. It
     * is loaded into the application, which then has that state; the others of a group need not
     * run. */
    const char *backup;
    const struct app *app;               /* with a backup only */
    struct vr_server_restored *restored; /* filled in; may be NULL */
};

/* Makes a replica of a new group. Asks the others first whether they know it: a lost data directory
 * is never silently made again (D10). */
enum vr_server_exit vr_server_init(const struct vr_server_init_options *options,
                                   struct vr_server_error *error);

struct vr_server_options {
    const char *data_directory;
    enum durability durability;
    enum reads_mode reads;   /* 0: READS_QUORUM */
    const char *listen;      /* "host:port[:peerport]" to bind to; NULL: as the cluster knows it */
    uint64_t heartbeat_ns;   /* 0: 20 ms */
    uint64_t view_change_ns; /* 0: 6 heartbeats */
    uint32_t datagram_size;  /* bytes; 0: as each route carries (M2) */
    size_t log_memory_max;   /* bytes; 0: LOG_MEMORY_MAX */
    uint32_t log_retain;     /* entries kept for laggards; 0: 100,000 */
    uint64_t transfer_rate;  /* bytes a second of checkpoints for laggards; 0: 50 MiB */
    bool insecure;           /* bind to more than loopback without keys (M3) */
    bool rebuild;            /* K4: forget log and state, recover from the others */

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

/* ---- the log: one of the process, whatever runs in it ---- */

enum vr_server_log_level {
    VR_SERVER_LOG_ERROR = 0, /* the replica cannot go on, or a person has to act */
    VR_SERVER_LOG_WARNING = 1,
    VR_SERVER_LOG_INFO = 2,
    VR_SERVER_LOG_DEBUG = 3,
};

enum vr_server_log_format {
    VR_SERVER_LOG_AUTO = 0, /* journald if stderr leads to the journal, else text */
    VR_SERVER_LOG_TEXT = 1,
    VR_SERVER_LOG_JSON = 2,     /* one object a line */
    VR_SERVER_LOG_JOURNALD = 3, /* "<4>protocol: ...": with sd-daemon's priority, without a time */
};

struct vr_server_log_options {
    const char *levels; /* "info", or by subsystem as in "warning,network=debug"; NULL: info */
    enum vr_server_log_format format;

    /* Takes each line instead of stderr: without its newline, NUL-terminated, borrowed for the
     * call. Called by the log's own thread, one line at a time; it may block, and then lines are
     * lost and counted, but must not call anything of this header. `level` is an enum
     * vr_server_log_level. NULL: stderr. */
    void (*write)(void *context, int level, const char *line, size_t size);
    void *context;
};

/* From here on lines are written by a thread of the log's own, so that a slow stderr does not make
 * the replica wait: do it before vr_server_start() or vr_server_run(). Without it what is logged at
 * info goes to stderr as text, at once. `options` may be NULL. VR_SERVER_USAGE: no such levels, no
 * such format, or it was called already. */
enum vr_server_exit vr_server_log_start(const struct vr_server_log_options *options,
                                        struct vr_server_error *error);

/* After the server has stopped: writes what is left, for a third of a second at most, and goes back
 * to what was before vr_server_log_start(). */
void vr_server_log_stop(void);

#ifdef __cplusplus
}
#endif

#endif
