/* SPDX-License-Identifier: Apache-2.0 */
/* setting_table.c - every option of vr-server start and vr-client. docs/vr.conf.example shows the
 * keys of a file; a test holds it against this table. */
#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/log_level.h"
#include "common/os/endpoint.h"
#include "common/settings/setting.h"

#define LOG_MEMORY_MAX_TEXT "2147483648"

const char *const setting_sections[] = {"replica", "timing", "network", "log", "client", NULL};

static const char *const durability_words[] = {"memory", "async", "sync", NULL};

static const char *const reads_words[] = {"log", "quorum", NULL};

static const char *const log_format_words[] = {"auto", "text", "json", "journald", NULL};

static bool accepts_endpoint(const char *text, char why[SETTING_WHY_MAX])
{
    struct endpoint endpoint;
    struct endpoint_error error;
    if (endpoint_parse(text, &endpoint, &error)) {
        return true;
    }
    (void)snprintf(why, SETTING_WHY_MAX, "must be an address: %s", error.text);
    return false;
}

static bool accepts_log_levels(const char *text, char why[SETTING_WHY_MAX])
{
    struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    if (log_levels_parse(text, &levels)) {
        return true;
    }
    size_t used = (size_t)snprintf(why, SETTING_WHY_MAX,
                                   "must be error, warning, info or debug, or that for a "
                                   "subsystem, as in info,network=debug; subsystems are ");
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        used += (size_t)snprintf(why + used, SETTING_WHY_MAX - used, "%s%s", i == 0 ? "" : ", ",
                                 log_subsystem_name((enum log_subsystem)i));
    }
    return false;
}

const struct setting setting_table[SETTING_COUNT] = {
    [SETTING_CONFIG] =
        {
            .name = "config",
            .program = SETTING_SERVER,
            .variable = "VR_CONFIG",
            .kind = SETTING_TEXT,
            .argument = "FILE",
            .example = "/etc/viewstamp/vr.conf",
            .help = "Read options from this INI file, too; flags and environment go before it",
        },
    [SETTING_PRINT_CONFIG] =
        {
            .name = "print-config",
            .program = SETTING_SERVER,
            .kind = SETTING_ACTION,
            .help = "Print every option, its value and where that came from, as a file that "
                    "--config reads; start nothing",
        },
    [SETTING_CHECK] =
        {
            .name = "check",
            .program = SETTING_SERVER,
            .kind = SETTING_ACTION,
            .help = "Check all options, the data directory and the addresses; start nothing",
        },
    [SETTING_REBUILD] =
        {
            .name = "rebuild",
            .program = SETTING_SERVER,
            .kind = SETTING_ACTION,
            .help = "Forget log and state of this replica, and fetch both from the others: the way "
                    "back for one that has diverged",
        },
    [SETTING_DATA_DIR] =
        {
            .name = "data-dir",
            .program = SETTING_SERVER,
            .section = "replica",
            .variable = "VR_DATA_DIR",
            .kind = SETTING_TEXT,
            .argument = "DIR",
            .meaning = "it has to be given",
            .example = "/var/lib/viewstamp/0",
            .help = "Made by vr-server init",
        },
    [SETTING_DURABILITY] =
        {
            .name = "durability",
            .program = SETTING_SERVER,
            .section = "replica",
            .variable = "VR_DURABILITY",
            .kind = SETTING_WORD,
            .argument = "MODE",
            .fallback = "async",
            .example = "sync",
            .words = durability_words,
            .help = "sync: each write waits for the disks; async: the disks follow within 50 ms; "
                    "memory: no log on disk, and a group survives as long as a majority keeps "
                    "running",
        },
    [SETTING_READS] =
        {
            .name = "reads",
            .program = SETTING_SERVER,
            .section = "replica",
            .variable = "VR_READS",
            .kind = SETTING_WORD,
            .argument = "MODE",
            .fallback = "quorum",
            .example = "quorum",
            .words = reads_words,
            .help = "log: reads go through the log as writes do; quorum: a primary answers them "
                    "once a majority confirmed that it is primary still; the same for all replicas "
                    "of a group",
        },
    [SETTING_LOG_MEMORY_MAX] =
        {
            .name = "log-memory-max",
            .program = SETTING_SERVER,
            .section = "replica",
            .variable = "VR_LOG_MEMORY_MAX",
            .kind = SETTING_NUMBER,
            .argument = "BYTES",
            .fallback = LOG_MEMORY_MAX_TEXT,
            .meaning = "2 GiB",
            .example = "1073741824",
            .least = SETTING_LOG_MEMORY_MIN,
            .most = LOG_MEMORY_MAX,
            .help = "Memory of the log (2 GiB); the same for all replicas of a group",
        },
    [SETTING_LOG_RETAIN] =
        {
            .name = "log-retain",
            .program = SETTING_SERVER,
            .section = "replica",
            .variable = "VR_LOG_RETAIN",
            .kind = SETTING_NUMBER,
            .argument = "OPS",
            .fallback = "100000",
            .example = "1000000",
            .least = 1,
            .most = LOG_RETAIN_MAX,
            .help =
                "Operations kept in the log for replicas that lag, beyond what checkpoints need "
                "(100000); who lags more fetches a checkpoint",
        },
    [SETTING_TRANSFER_RATE] =
        {
            .name = "transfer-rate",
            .program = SETTING_SERVER,
            .section = "replica",
            .variable = "VR_TRANSFER_RATE",
            .kind = SETTING_NUMBER,
            .argument = "BYTES",
            .fallback = "52428800",
            .meaning = "50 MiB a second",
            .example = "10485760",
            .least = TRANSFER_RATE_MIN,
            .most = TRANSFER_RATE_MAX,
            .help = "Bytes a second of checkpoints sent to replicas that lag (50 MiB)",
        },
    [SETTING_HEARTBEAT_MS] =
        {
            .name = "heartbeat-ms",
            .program = SETTING_SERVER,
            .section = "timing",
            .variable = "VR_HEARTBEAT_MS",
            .kind = SETTING_NUMBER,
            .argument = "N",
            .fallback = "20",
            .example = "20",
            .least = 1,
            .most = SETTING_DURATION_MS_MAX,
            .help = "An idle primary shows itself this often (20)",
        },
    [SETTING_VIEW_CHANGE_MS] =
        {
            .name = "view-change-ms",
            .program = SETTING_SERVER,
            .section = "timing",
            .variable = "VR_VIEW_CHANGE_MS",
            .kind = SETTING_NUMBER,
            .argument = "N",
            .fallback = "auto",
            .meaning = "6 heartbeats",
            .example = "120",
            .least = 1,
            .most = SETTING_DURATION_MS_MAX,
            .automatic = true,
            .help = "A primary silent this long is suspected (6 heartbeats)",
        },
    [SETTING_LISTEN] =
        {
            .name = "listen",
            .program = SETTING_SERVER,
            .section = "network",
            .variable = "VR_LISTEN",
            .kind = SETTING_TEXT,
            .argument = "ADDRESS",
            .meaning = "the address in the cluster's list",
            .example = "127.0.0.1:8000",
            .accepts = accepts_endpoint,
            .help = "host:port[:peerport] to bind to, if not the one in the cluster's list",
        },
    [SETTING_DATAGRAM_SIZE] =
        {
            .name = "datagram-size",
            .program = SETTING_SERVER,
            .section = "network",
            .variable = "VR_DATAGRAM_SIZE",
            .kind = SETTING_NUMBER,
            .argument = "BYTES",
            .fallback = "auto",
            .meaning = "1400, and more on loopback",
            .example = "1400",
            .least = DATAGRAM_SIZE_MIN,
            .most = DATAGRAM_SIZE_MAX,
            .automatic = true,
            .help = "Largest datagram sent (1400; more on loopback)",
        },
    [SETTING_INSECURE] =
        {
            .name = "insecure",
            .program = SETTING_SERVER,
            .section = "network",
            .variable = "VR_INSECURE",
            .kind = SETTING_SWITCH,
            .fallback = "no",
            .example = "no",
            .help = "Bind to addresses that other machines can reach, without keys",
        },
    [SETTING_LOG_LEVEL] =
        {
            .name = "log-level",
            .program = SETTING_SERVER,
            .section = "log",
            .variable = "VR_LOG_LEVEL",
            .kind = SETTING_TEXT,
            .argument = "LEVELS",
            .fallback = "info",
            .example = "info,network=debug",
            .accepts = accepts_log_levels,
            .help =
                "error, warning, info or debug, for all or a subsystem: info,network=debug (info)",
        },
    [SETTING_LOG_FORMAT] =
        {
            .name = "log-format",
            .program = SETTING_SERVER,
            .section = "log",
            .variable = "VR_LOG_FORMAT",
            .kind = SETTING_WORD,
            .argument = "FORMAT",
            .fallback = "auto",
            .meaning = "journald if stderr leads to the journal, else text",
            .example = "json",
            .words = log_format_words,
            .help = "text, json (an object a line), journald, or auto: journald if stderr leads "
                    "to the journal, else text (auto)",
        },
    [SETTING_TRACE_MESSAGES] =
        {
            .name = "trace-messages",
            .program = SETTING_SERVER,
            .section = "log",
            .variable = "VR_TRACE_MESSAGES",
            .kind = SETTING_SWITCH,
            .fallback = "no",
            .example = "no",
            .help = "A log line for each message: short for --log-level network=debug",
        },
    [SETTING_CLIENT_CONFIG] =
        {
            .name = "config",
            .program = SETTING_CLIENT,
            .variable = "VR_CONFIG",
            .kind = SETTING_TEXT,
            .argument = "FILE",
            .example = "/etc/viewstamp/vr.conf",
            .help = "Read options from section [client] of this INI file, too; flags and "
                    "environment go before it",
        },
    [SETTING_CLIENT_PRINT_CONFIG] =
        {
            .name = "print-config",
            .program = SETTING_CLIENT,
            .kind = SETTING_ACTION,
            .help = "Print every option, its value and where that came from; do nothing else",
        },
    [SETTING_CLUSTER] =
        {
            .name = "cluster",
            .letter = 'c',
            .program = SETTING_CLIENT,
            .section = "client",
            .variable = "VR_CLUSTER",
            .kind = SETTING_TEXT,
            .argument = "LIST",
            .fallback = "127.0.0.1:8000-8004",
            .example = "127.0.0.1:8000-8004",
            .help = "Where to find the group: host:port,...; default: $VR_CLUSTER, else "
                    "127.0.0.1:8000-8004",
        },
    [SETTING_TIMEOUT] =
        {
            .name = "timeout",
            .letter = 't',
            .program = SETTING_CLIENT,
            .section = "client",
            .variable = "VR_TIMEOUT",
            .kind = SETTING_NUMBER,
            .argument = "MS",
            .fallback = "5000",
            .example = "5000",
            .least = 1,
            .most = SETTING_TIMEOUT_MS_MAX,
            .help = "How long a command may take, in milliseconds (5000)",
        },
    [SETTING_CLIENT_DATAGRAM_SIZE] =
        {
            .name = "datagram-size",
            .program = SETTING_CLIENT,
            .section = "client",
            .variable = "VR_DATAGRAM_SIZE",
            .kind = SETTING_NUMBER,
            .argument = "BYTES",
            .fallback = "auto",
            .meaning = "what the route carries",
            .example = "1400",
            .least = DATAGRAM_SIZE_MIN,
            .most = DATAGRAM_SIZE_LOOPBACK,
            .automatic = true,
            .help = "Largest datagram to send, 512 to 61440; default: what the route carries",
        },
    /* What a script reads, or whether it goes on, must not depend on somebody's environment: these
     * are flags only. */
    [SETTING_JSON] =
        {
            .name = "json",
            .letter = 'j',
            .program = SETTING_CLIENT,
            .kind = SETTING_SWITCH,
            .fallback = "no",
            .example = "no",
            .help = "One JSON object a line",
        },
    [SETTING_QUIET] =
        {
            .name = "quiet",
            .letter = 'q',
            .program = SETTING_CLIENT,
            .kind = SETTING_SWITCH,
            .fallback = "no",
            .example = "no",
            .help = "No ok and no messages: the exit code tells",
        },
    [SETTING_KEEP_GOING] =
        {
            .name = "keep-going",
            .letter = 'k',
            .program = SETTING_CLIENT,
            .kind = SETTING_SWITCH,
            .fallback = "no",
            .example = "no",
            .help = "Commands from a pipe: go on after one that failed",
        },
};
