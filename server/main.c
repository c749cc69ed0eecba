/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vr-server: one replica of the key-value store.
 *
 *     vr-server init  --data-dir DIR --replica I --cluster LIST --cluster-id HEX [parameters]
 *     vr-server init  --from-backup FILE --data-dir DIR --replica I --cluster LIST [parameters]
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

#include "common/base/error_id.h"
#include "common/base/limits.h"
#include "common/base/version.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/process.h"
#include "common/os/random.h"
#include "common/settings/near_miss.h"
#include "common/settings/settings.h"
#include "server/app/kv.h"
#include "server/runtime/inspect.h"
#include "server/runtime/restore_steps.h"
#include "server/runtime/server.h"

enum option_key {
    KEY_DATA_DIR = 256, /* no short options: what is scripted should be readable */
    KEY_REPLICA,
    KEY_CLUSTER,
    KEY_CLUSTER_ID,
    KEY_SESSIONS_MAX,
    KEY_OPERATION_SIZE_MAX,
    KEY_REPLY_STORED_MAX,
    KEY_CHECKPOINT_INTERVAL,
    KEY_STATE_SIZE_MAX,
    KEY_JSON,
    KEY_FROM_BACKUP,
};

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

/* vr-server init */

enum { PARAMETERS = 1 }; /* the group of options that are cluster parameters */

static const struct argp_option init_option_table[] = {
    {"data-dir", KEY_DATA_DIR, "DIR", 0, "Directory to make; it must not exist", 0},
    {"replica", KEY_REPLICA, "I", 0, "Which replica of the cluster this is, counted from 0", 0},
    {"cluster", KEY_CLUSTER, "LIST", 0,
     "All replicas in order, the same list for each: host:port[:peerport],... "
     "(the peers' port is port + 100 unless given)",
     0},
    {"cluster-id", KEY_CLUSTER_ID, "HEX", 0,
     "Names the cluster: 16 hexadecimal digits, random, the same for each replica", 0},
    {"from-backup", KEY_FROM_BACKUP, "FILE", 0,
     "Begin with what is in FILE, made by vr-client backup; always a new cluster: without "
     "--cluster-id its id is drawn, and what to run for the other replicas is printed",
     0},
    {NULL, 0, NULL, 0, "Cluster parameters, the same for each replica:", PARAMETERS},
    {"sessions-max", KEY_SESSIONS_MAX, "N", 0, "Sessions of clients kept at a time (16384)",
     PARAMETERS},
    {"operation-size-max", KEY_OPERATION_SIZE_MAX, "BYTES", 0,
     "Largest operation (1053696, the most there is)", PARAMETERS},
    {"reply-stored-max", KEY_REPLY_STORED_MAX, "BYTES", 0,
     "Largest result kept for repeated requests (1024, the most there is)", PARAMETERS},
    {"checkpoint-interval", KEY_CHECKPOINT_INTERVAL, "OPS", 0,
     "Operations from one checkpoint to the next (100000)", PARAMETERS},
    {"state-size-max", KEY_STATE_SIZE_MAX, "BYTES", 0,
     "What the state may grow to (4 GiB); writes that would go beyond it are refused", PARAMETERS},
    {0},
};

_Static_assert((int)SESSIONS_DEFAULT == 16384 && (int)OPERATION_SIZE_MAX == 1053696 &&
                   (int)REPLY_STORED_MAX == 1024 && CHECKPOINT_INTERVAL_DEFAULT == 100000 &&
                   STATE_SIZE_MAX_DEFAULT == UINT64_C(4) << 30,
               "the defaults that --help names");

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
    char parameters[256]; /* those that were given, for the other replicas */
};

/* Cluster parameters go to all replicas as they were given here; anything else is nothing. */
static void note_parameter(struct init_arguments *arguments, int key, const char *text)
{
    for (const struct argp_option *option = init_option_table;
         option->name != NULL || option->group != 0 || option->doc != NULL; option++) {
        const size_t used = strlen(arguments->parameters);
        if (option->group == PARAMETERS && option->name != NULL && option->key == key) {
            (void)snprintf(arguments->parameters + used, sizeof arguments->parameters - used,
                           " --%s %s", option->name, text);
        }
    }
}

/* A cluster that is restored has an id of its own, which nobody has to think of. */
static void complete_cluster_id(struct argp_state *state, struct vr_server_init_options *options)
{
    if (options->cluster_id == 0 && options->backup != NULL) {
        options->cluster_id = random_nonzero_u64();
    }
    if (options->cluster_id == 0) {
        argp_error(state,
                   "--cluster-id is missing: it keeps clusters apart, so every cluster has its "
                   "own. A fresh one, for all replicas of this cluster: --cluster-id %016" PRIx64,
                   random_nonzero_u64());
    }
}

static error_t parse_init(int key, char *text, struct argp_state *state)
{
    struct init_arguments *arguments = state->input;
    struct vr_server_init_options *options = &arguments->options;
    note_parameter(arguments, key, text);
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
    case KEY_FROM_BACKUP:
        options->backup = text;
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
            (uint32_t)number(state, "--reply-stored-max", text, REPLY_STORED_MIN, REPLY_STORED_MAX);
        return 0;
    case KEY_CHECKPOINT_INTERVAL:
        options->parameters.checkpoint_interval =
            (uint32_t)number(state, "--checkpoint-interval", text, 1, CHECKPOINT_INTERVAL_MAX);
        return 0;
    case KEY_STATE_SIZE_MAX:
        options->parameters.state_size_max =
            number(state, "--state-size-max", text, STATE_SIZE_MIN, STATE_SIZE_MAX);
        return 0;
    case ARGP_KEY_END:
        need(state, options->data_directory, "--data-dir");
        need(state, options->cluster, "--cluster");
        need(state, arguments->replica_given ? "" : NULL, "--replica");
        complete_cluster_id(state, options);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp init_argp = {
    .options = init_option_table,
    .parser = parse_init,
    .doc = "Makes the data directory of one replica of a new cluster, which begins empty, or with "
           "what a backup holds.",
};

/* vr-server start: the options are common/settings/setting_table.c's. */

_Static_assert((int)SETTING_LOG_MEMORY_MIN == (int)LOG_MEMORY_MIN, "what the table lets through");

static const struct settings_about start_about = {
    .program = SETTING_SERVER,
    .usage_exit = VR_SERVER_USAGE,
    .text =
        "Runs one replica in the foreground; its log goes to stderr. Prints \"ready\" when clients "
        "can reach it. SIGTERM or SIGINT stop it cleanly, a second one at once.\v"
        "All but --check, --rebuild and --print-config can also be given in the environment, as "
        "VR_DATA_DIR, "
        "VR_HEARTBEAT_MS and so on, and in the file that --config or VR_CONFIG names; a flag goes "
        "before the environment, that before the file. --print-config shows the outcome.",
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
    .doc = "Shows what is in a replica's data directory, and changes nothing: its state file, each "
           "checkpoint, the log's segments and entries, what is damaged and where. Exit code 74 if "
           "anything is.",
};

static struct vr_server_options start_options(const struct settings *settings)
{
    static const enum durability durabilities[] = {DURABILITY_MEMORY, DURABILITY_ASYNC,
                                                   DURABILITY_SYNC};  /* as the table's words */
    static const enum reads_mode reads[] = {READS_LOG, READS_QUORUM}; /* the same */
    return (struct vr_server_options){
        .data_directory = settings_text(settings, SETTING_DATA_DIR),
        .durability = durabilities[settings_number(settings, SETTING_DURABILITY)],
        .reads = reads[settings_number(settings, SETTING_READS)],
        .listen = settings_text(settings, SETTING_LISTEN),
        .heartbeat_ns =
            settings_number(settings, SETTING_HEARTBEAT_MS) * NANOSECONDS_PER_MILLISECOND,
        .view_change_ns =
            settings_number(settings, SETTING_VIEW_CHANGE_MS) * NANOSECONDS_PER_MILLISECOND,
        .datagram_size = (uint32_t)settings_number(settings, SETTING_DATAGRAM_SIZE),
        .log_memory_max = settings_number(settings, SETTING_LOG_MEMORY_MAX),
        .log_retain = (uint32_t)settings_number(settings, SETTING_LOG_RETAIN),
        .transfer_rate = settings_number(settings, SETTING_TRANSFER_RATE),
        .insecure = settings_number(settings, SETTING_INSECURE) != 0,
        .rebuild = settings_given(settings, SETTING_REBUILD),
    };
}

/* Commands. */

/* For people as any program says it; where programs read the log, as its last line. */
static int fail(enum vr_server_exit exit_code, const struct vr_server_error *error)
{
    if (error->id == NULL) {
        fprintf(stderr, "vr-server: %s\n", error->text);
    } else if (logger_format() == LOG_FORMAT_TEXT) {
        fprintf(stderr, "vr-server: %s [%s]\n", error->text, error->id);
    } else {
        log_problem(error_find(error->id), "%s", error->text);
    }
    return (int)exit_code;
}

static int fail_memory(void)
{
    const struct vr_server_error error = {error_entry(ERROR_MEMORY)->id, "there is no memory left"};
    return fail(VR_SERVER_INTERNAL, &error);
}

static int init_from_backup(struct init_arguments *arguments)
{
    struct vr_server_restored restored;
    struct vr_server_error error;
    struct kv *kv = kv_create();
    if (kv == NULL) {
        return fail_memory();
    }
    const struct app app = kv_app(kv);
    arguments->options.app = &app;
    arguments->options.restored = &restored;
    const enum vr_server_exit result = vr_server_init(&arguments->options, &error);
    kv_destroy(kv);
    if (result != VR_SERVER_OK) {
        return fail(result, &error);
    }
    restore_steps_print(stdout, &arguments->options, &restored, arguments->parameters);
    return 0;
}

static int run_init(int argc, char **argv)
{
    struct init_arguments arguments = {.options = {.parameters = cluster_parameters_default()}};
    struct vr_server_error error;
    if (near_miss_refuse(init_option_table, argc, argv)) {
        return VR_SERVER_USAGE;
    }
    (void)argp_parse(&init_argp, argc, argv, 0, NULL, &arguments); /* exits when it fails */
    if (arguments.options.backup != NULL) {
        return init_from_backup(&arguments);
    }
    const enum vr_server_exit result = vr_server_init(&arguments.options, &error);
    return result == VR_SERVER_OK ? 0 : fail(result, &error);
}

static int start_logger(const struct settings *settings)
{
    static const enum log_format formats[] = {LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON,
                                              LOG_FORMAT_JOURNALD}; /* as the table's words */
    struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    (void)log_levels_parse(settings_text(settings, SETTING_LOG_LEVEL), &levels); /* checked */
    if (settings_number(settings, SETTING_TRACE_MESSAGES) != 0) {
        levels.of[LOG_NETWORK] = LOG_LEVEL_DEBUG;
    }
    return logger_start(&levels, formats[settings_number(settings, SETTING_LOG_FORMAT)],
                        fileno(stderr));
}

static void log_warning(const char *text)
{
    log_problem(ERROR_VARIABLE_UNKNOWN, "%s", text);
}

static int serve(const struct settings *settings)
{
    const struct vr_server_options options = start_options(settings);
    struct vr_server_error error;
    process_check_stdout_at_exit(NULL, 0); /* whoever closed it does not wait for "ready" */
    struct kv *kv = kv_create();
    if (kv == NULL || start_logger(settings) != 0) {
        return fail_memory();
    }
    settings_each_warning(settings, log_warning);
    const struct app app = kv_app(kv);
    const enum vr_server_exit result = vr_server_run(&options, &app, &error);
    logger_stop();
    kv_destroy(kv);
    return result == VR_SERVER_OK ? 0 : fail(result, &error);
}

static int run_inspect(int argc, char **argv)
{
    struct inspect_arguments arguments = {NULL, false};
    struct vr_server_error error;
    if (near_miss_refuse(inspect_option_table, argc, argv)) {
        return VR_SERVER_USAGE;
    }
    (void)argp_parse(&inspect_argp, argc, argv, 0, NULL, &arguments); /* exits when it fails */
    const enum vr_server_exit result =
        vr_server_inspect(arguments.data_directory, arguments.json, stdout, &error);
    return result == VR_SERVER_OK ? 0 : fail(result, &error);
}

static bool will_serve(const struct settings *settings)
{
    return settings->problem_count == 0 && !settings_given(settings, SETTING_PRINT_CONFIG) &&
           !settings_given(settings, SETTING_CHECK) &&
           settings_text(settings, SETTING_DATA_DIR) != NULL;
}

static void print_warnings(const struct settings *settings)
{
    char suffix[ERROR_ID_MAX + 4];
    (void)snprintf(suffix, sizeof suffix, " [%s]", error_entry(ERROR_VARIABLE_UNKNOWN)->id);
    (void)settings_warn(settings, stderr, "vr-server: ", suffix);
}

/* What was asked for, once flags, environment and file have been read. */
static int act(const struct settings *settings)
{
    char suffix[ERROR_ID_MAX + 4];
    if (!will_serve(settings)) {
        print_warnings(settings); /* else it is for the log */
    }
    (void)snprintf(suffix, sizeof suffix, " [%s]", error_entry(ERROR_SETTING)->id);
    if (settings_complain(settings, stderr, "vr-server: ", suffix)) {
        return VR_SERVER_CONFIGURATION;
    }
    if (settings_given(settings, SETTING_PRINT_CONFIG)) {
        settings_print(settings, stdout);
        return 0;
    }
    if (settings_text(settings, SETTING_DATA_DIR) == NULL) {
        fputs("vr-server start: --data-dir is missing\n"
              "Try `vr-server start --help' or `vr-server start --usage' for more information.\n",
              stderr);
        return VR_SERVER_USAGE;
    }
    if (settings_given(settings, SETTING_CHECK)) {
        const struct vr_server_options options = start_options(settings);
        struct vr_server_error error;
        const enum vr_server_exit result = vr_server_check(&options, &error);
        return result == VR_SERVER_OK ? 0 : fail(result, &error);
    }
    return serve(settings);
}

static int run_start(int argc, char **argv)
{
    struct settings settings;
    (void)settings_read(&settings, &start_about, argc, argv); /* exits when a flag is wrong */
    const int result = act(&settings);
    settings_free(&settings);
    return result;
}

static const char usage[] =
    "Usage: vr-server init  --data-dir DIR --replica I --cluster LIST "
    "--cluster-id HEX [PARAMETERS]\n"
    "       vr-server init  --from-backup FILE --data-dir DIR --replica I --cluster LIST "
    "[PARAMETERS]\n"
    "       vr-server start --data-dir DIR [OPTIONS]\n"
    "       vr-server inspect --data-dir DIR [--json]\n"
    "       vr-server --version | --help\n"
    "`vr-server init --help`, `vr-server start --help` and so on list the options.\n";

static void refuse_command(const char *command)
{
    static const char *const commands[] = {"init", "start", "inspect", "--version", "--help", NULL};
    const char *meant = setting_did_you_mean(command, commands);
    if (command[0] == '\0') {
        fprintf(stderr, "vr-server: a command is missing\n%s", usage);
    } else if (meant != NULL) {
        fprintf(stderr, "vr-server: \"%s\" is no command; did you mean %s?\n%s", command, meant,
                usage);
    } else {
        fprintf(stderr, "vr-server: \"%s\" is no command\n%s", command, usage);
    }
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (!process_open_standard()) {
        return VR_SERVER_INTERNAL;
    }
    process_ignore_signals();
    process_check_stdout_at_exit("vr-server", VR_SERVER_IO);
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
    refuse_command(command);
    return VR_SERVER_USAGE;
}
