/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vr-server: one replica of the key-value store.
 *
 *     vr-server init  --data-dir DIR --replica I --cluster LIST --cluster-id HEX [parameters]
 *     vr-server start --data-dir DIR [options]
 *     vr-server inspect --data-dir DIR [--json]
 *
 * Only reads the command line; server/runtime does the rest. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/version.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/process.h"
#include "common/os/random.h"
#include "server/app/kv.h"
#include "server/runtime/inspect.h"
#include "server/runtime/server.h"

enum option_key {
    KEY_DATA_DIR = 256, /* no short options: what is scripted should be readable */
    KEY_REPLICA,
    KEY_CLUSTER,
    KEY_CLUSTER_ID,
    KEY_SESSIONS_MAX,
    KEY_OPERATION_SIZE_MAX,
    KEY_REPLY_STORED_MAX,
    KEY_DURABILITY,
    KEY_LISTEN,
    KEY_HEARTBEAT_MS,
    KEY_VIEW_CHANGE_MS,
    KEY_DATAGRAM_SIZE,
    KEY_LOG_LEVEL,
    KEY_LOG_MEMORY_MAX,
    KEY_TRACE_MESSAGES,
    KEY_INSECURE,
    KEY_JSON,
};

#define DURATION_MS_MAX (UINT64_C(3600) * 1000)

/* Numbers: decimal, all of the text, within bounds; else a usage error that names them. */
static uint64_t number(const struct argp_state *state, const char *name, const char *text,
                       uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9' ||
        value < least || value > most) {
        argp_error(state, "%s must be a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"", name,
                   least, most, text);
    }
    return value;
}

static uint64_t milliseconds(const struct argp_state *state, const char *name, const char *text)
{
    return number(state, name, text, 1, DURATION_MS_MAX) * NANOSECONDS_PER_MILLISECOND;
}

/* vr-server init */

static const struct argp_option init_option_table[] = {
    {"data-dir", KEY_DATA_DIR, "DIR", 0, "Directory to make; it must not exist", 0},
    {"replica", KEY_REPLICA, "I", 0, "Which replica of the cluster this is, counted from 0", 0},
    {"cluster", KEY_CLUSTER, "LIST", 0,
     "All replicas in order, the same list for each: host:port[:peerport],... "
     "(the peers' port is port + 100 unless given)",
     0},
    {"cluster-id", KEY_CLUSTER_ID, "HEX", 0,
     "Names the cluster: 16 hexadecimal digits, random, the same for each replica", 0},
    {NULL, 0, NULL, 0, "Cluster parameters, the same for each replica:", 1},
    {"sessions-max", KEY_SESSIONS_MAX, "N", 0, "Sessions of clients kept at a time", 1},
    {"operation-size-max", KEY_OPERATION_SIZE_MAX, "BYTES", 0, "Largest operation", 1},
    {"reply-stored-max", KEY_REPLY_STORED_MAX, "BYTES", 0,
     "Largest result kept for repeated requests", 1},
    {0},
};

/* "7f3a91c2..." with up to 16 digits, not 0. */
static bool parse_cluster_id(const char *text, uint64_t *cluster_id)
{
    char *end;
    if (strlen(text) > 16 || strspn(text, "0123456789abcdefABCDEF") != strlen(text)) {
        return false;
    }
    *cluster_id = strtoull(text, &end, 16);
    return end != text && *cluster_id != 0;
}

static void need(const struct argp_state *state, const char *value, const char *name)
{
    if (value == NULL) {
        argp_error(state, "%s is missing", name);
    }
}

struct init_arguments {
    struct vr_server_init_options options;
    bool replica_given;
};

static error_t parse_init(int key, char *text, struct argp_state *state)
{
    struct init_arguments *arguments = state->input;
    struct vr_server_init_options *options = &arguments->options;
    switch (key) {
    case KEY_DATA_DIR:
        options->data_directory = text;
        return 0;
    case KEY_REPLICA:
        options->replica_id = (uint32_t)number(state, "--replica", text, 0, REPLICAS_MAX - 1);
        arguments->replica_given = true;
        return 0;
    case KEY_CLUSTER:
        options->cluster = text;
        return 0;
    case KEY_CLUSTER_ID:
        if (!parse_cluster_id(text, &options->cluster_id)) {
            argp_error(state,
                       "--cluster-id must be 1 to 16 hexadecimal digits and not 0, not \"%s\"",
                       text);
        }
        return 0;
    case KEY_SESSIONS_MAX:
        options->parameters.sessions_max =
            (uint32_t)number(state, "--sessions-max", text, 1, SESSIONS_MAX);
        return 0;
    case KEY_OPERATION_SIZE_MAX:
        options->parameters.operation_size_max =
            (uint32_t)number(state, "--operation-size-max", text, 1, OPERATION_SIZE_MAX);
        return 0;
    case KEY_REPLY_STORED_MAX:
        options->parameters.reply_stored_max =
            (uint32_t)number(state, "--reply-stored-max", text, 1, REPLY_STORED_MAX);
        return 0;
    case ARGP_KEY_END:
        need(state, options->data_directory, "--data-dir");
        need(state, options->cluster, "--cluster");
        need(state, arguments->replica_given ? "" : NULL, "--replica");
        if (options->cluster_id == 0) {
            argp_error(
                state,
                "--cluster-id is missing: it keeps clusters apart, so every cluster has its "
                "own. A fresh one, for all replicas of this cluster: --cluster-id %016" PRIx64,
                random_nonzero_u64());
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp init_argp = {
    .options = init_option_table,
    .parser = parse_init,
    .doc = "Makes the data directory of one replica of a new cluster.",
};

/* vr-server start */

static const struct argp_option start_option_table[] = {
    {"data-dir", KEY_DATA_DIR, "DIR", 0, "Made by vr-server init", 0},
    {"durability", KEY_DURABILITY, "MODE", 0,
     "sync: each write waits for the disks; async: the disks follow within 50 ms; memory: no log on "
     "disk, and a group survives as long as a majority keeps running (async)",
     0},
    {"listen", KEY_LISTEN, "ADDRESS", 0,
     "host:port[:peerport] to bind to, if not the one in the cluster's list", 0},
    {"heartbeat-ms", KEY_HEARTBEAT_MS, "N", 0, "An idle primary shows itself this often (20)", 0},
    {"view-change-ms", KEY_VIEW_CHANGE_MS, "N", 0,
     "A primary silent this long is suspected (6 heartbeats)", 0},
    {"datagram-size", KEY_DATAGRAM_SIZE, "BYTES", 0,
     "Largest datagram sent (1400; more on loopback)", 0},
    {"log-memory-max", KEY_LOG_MEMORY_MAX, "BYTES", 0, "Memory of the log (2 GiB)", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "error, warning, info or debug (info)", 0},
    {"trace-messages", KEY_TRACE_MESSAGES, NULL, 0, "A log line for each message", 0},
    {"insecure", KEY_INSECURE, NULL, 0,
     "Bind to addresses that other machines can reach, without keys", 0},
    {0},
};

struct start_arguments {
    struct vr_server_options options;
    enum log_level log_level;
};

static enum durability parse_durability(const struct argp_state *state, const char *text)
{
    if (strcmp(text, "sync") == 0) {
        return DURABILITY_SYNC;
    }
    if (strcmp(text, "async") == 0) {
        return DURABILITY_ASYNC;
    }
    if (strcmp(text, "memory") != 0) {
        argp_error(state, "--durability must be memory, async or sync, not \"%s\"", text);
    }
    return DURABILITY_MEMORY;
}

static error_t parse_start(int key, char *text, struct argp_state *state)
{
    struct start_arguments *arguments = state->input;
    struct vr_server_options *options = &arguments->options;
    switch (key) {
    case KEY_DATA_DIR:
        options->data_directory = text;
        return 0;
    case KEY_DURABILITY:
        options->durability = parse_durability(state, text);
        return 0;
    case KEY_LISTEN:
        options->listen = text;
        return 0;
    case KEY_HEARTBEAT_MS:
        options->heartbeat_ns = milliseconds(state, "--heartbeat-ms", text);
        return 0;
    case KEY_VIEW_CHANGE_MS:
        options->view_change_ns = milliseconds(state, "--view-change-ms", text);
        return 0;
    case KEY_DATAGRAM_SIZE:
        options->datagram_size =
            (uint32_t)number(state, "--datagram-size", text, DATAGRAM_SIZE_MIN, DATAGRAM_SIZE_MAX);
        return 0;
    case KEY_LOG_MEMORY_MAX:
        options->log_memory_max =
            number(state, "--log-memory-max", text, LOG_MEMORY_MIN, LOG_MEMORY_MAX);
        return 0;
    case KEY_LOG_LEVEL:
        if (!log_level_parse(text, &arguments->log_level)) {
            argp_error(state, "--log-level must be error, warning, info or debug, not \"%s\"",
                       text);
        }
        return 0;
    case KEY_TRACE_MESSAGES:
        options->trace_messages = true;
        return 0;
    case KEY_INSECURE:
        options->insecure = true;
        return 0;
    case ARGP_KEY_END:
        need(state, options->data_directory, "--data-dir");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp start_argp = {
    .options = start_option_table,
    .parser = parse_start,
    .doc =
        "Runs one replica in the foreground; its log goes to stderr. Prints \"ready\" when clients "
        "can reach it. SIGTERM or SIGINT stop it cleanly, a second one at once.",
};

/* vr-server inspect */

static const struct argp_option inspect_option_table[] = {
    {"data-dir", KEY_DATA_DIR, "DIR", 0, "Made by vr-server init; no server may run from it", 0},
    {"json", KEY_JSON, NULL, 0, "One JSON object", 0},
    {0},
};

struct inspect_arguments {
    const char *data_directory;
    bool json;
};

static error_t parse_inspect(int key, char *text, struct argp_state *state)
{
    struct inspect_arguments *arguments = state->input;
    switch (key) {
    case KEY_DATA_DIR:
        arguments->data_directory = text;
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case ARGP_KEY_END:
        need(state, arguments->data_directory, "--data-dir");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp inspect_argp = {
    .options = inspect_option_table,
    .parser = parse_inspect,
    .doc = "Shows what is in a replica's data directory, and changes nothing: its state file, the "
           "log's segments and entries, the first damage found. Exit code 74 if there is any.",
};

/* Commands. */

static int fail(enum vr_server_exit exit_code, const struct vr_server_error *error)
{
    fprintf(stderr, "vr-server: %s\n", error->text);
    return (int)exit_code;
}

static int run_init(int argc, char **argv)
{
    struct init_arguments arguments = {.options = {.parameters = cluster_parameters_default()}};
    struct vr_server_error error;
    (void)argp_parse(&init_argp, argc, argv, 0, NULL, &arguments); /* exits when it fails */
    const enum vr_server_exit result = vr_server_init(&arguments.options, &error);
    return result == VR_SERVER_OK ? 0 : fail(result, &error);
}

static int run_start(int argc, char **argv)
{
    struct start_arguments arguments = {
        .options = {.durability = DURABILITY_ASYNC},
        .log_level = LOG_LEVEL_INFO,
    };
    struct vr_server_error error;
    (void)argp_parse(&start_argp, argc, argv, 0, NULL, &arguments); /* exits when it fails */
    struct app app;
    struct kv *kv = kv_create();
    if (kv == NULL || logger_start(arguments.log_level, fileno(stderr)) != 0) {
        (void)snprintf(error.text, sizeof error.text, "there is no memory left");
        return fail(VR_SERVER_INTERNAL, &error);
    }
    app = kv_app(kv);
    const enum vr_server_exit result = vr_server_run(&arguments.options, &app, &error);
    logger_stop();
    kv_destroy(kv);
    return result == VR_SERVER_OK ? 0 : fail(result, &error);
}

static int run_inspect(int argc, char **argv)
{
    struct inspect_arguments arguments = {NULL, false};
    struct vr_server_error error;
    (void)argp_parse(&inspect_argp, argc, argv, 0, NULL, &arguments); /* exits when it fails */
    const enum vr_server_exit result =
        vr_server_inspect(arguments.data_directory, arguments.json, stdout, &error);
    return result == VR_SERVER_OK ? 0 : fail(result, &error);
}

static const char usage[] =
    "Usage: vr-server init  --data-dir DIR --replica I --cluster LIST "
    "--cluster-id HEX [PARAMETERS]\n"
    "       vr-server start --data-dir DIR [OPTIONS]\n"
    "       vr-server inspect --data-dir DIR [--json]\n"
    "       vr-server --version | --help\n"
    "`vr-server init --help`, `vr-server start --help` and so on list the options.\n";

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (!process_open_standard()) {
        return VR_SERVER_INTERNAL;
    }
    process_ignore_signals();
    argp_err_exit_status = VR_SERVER_USAGE;
    if (strcmp(command, "--version") == 0) {
        puts("vr-server " VERSION_TEXT);
        return 0;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    /* argp names the program in its messages: it should say which command was meant. */
    char name[] = "vr-server inspect";
    if (strcmp(command, "init") == 0) {
        (void)snprintf(name, sizeof name, "vr-server init");
        argv[1] = name;
        return run_init(argc - 1, argv + 1);
    }
    if (strcmp(command, "start") == 0) {
        (void)snprintf(name, sizeof name, "vr-server start");
        argv[1] = name;
        return run_start(argc - 1, argv + 1);
    }
    if (strcmp(command, "inspect") == 0) {
        argv[1] = name;
        return run_inspect(argc - 1, argv + 1);
    }
    fprintf(stderr, "vr-server: %s%s%s\n%s", command[0] == '\0' ? "a command is missing" : "\"",
            command, command[0] == '\0' ? "" : "\" is no command", usage);
    return VR_SERVER_USAGE;
}
