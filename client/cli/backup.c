/* SPDX-License-Identifier: Apache-2.0 */
/* backup.c - asks who the group is (survey.h), then one replica after the other, the backups first,
 * until one has given all of its state (backup_pull.h).
 *
 * What was acknowledged to anybody before the command began is in the backup: the replica is asked
 * for a state behind the highest commit number that any replica told of. */
#include "client/cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/backup_pull.h"
#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/status.h"
#include "client/cli/suggest.h"
#include "client/cli/survey.h"
#include "client/cli/terminal.h"
#include "client/lib/cluster_list.h"
#include "common/os/clock.h"

enum {
    REPLICAS_TRIED_MAX = 3,
    PROGRESS_MS = 200,
    SILENCE_MS_MIN = 2000, /* a replica that is busy writing to its disk answers all the same */
};

static const char partial_suffix[] = ".partial";

/* What was asked for on the command line. */
struct backup_command {
    struct options options; /* the caller's, with --json taken after the command, too */
    const char *path;
    bool force;
    bool one; /* --replica */
    uint64_t replica_id;
};

/* The two files. */
struct backup_files {
    struct file_ops ops;
    char directory[STORAGE_PATH_MAX];
    char partial[STORAGE_PATH_MAX];
};

struct backup_job {
    const struct shell *shell;
    const struct backup_command *command;
    const struct survey *survey;
    struct backup_files files;
    uint64_t least_op;
    uint32_t tried_mask; /* by member index */
    uint32_t member;     /* that is asked now */
    struct checkpoint_id id;
    struct storage_error why;
    uint64_t shown_ns; /* progress; 0: there is none on the line */
};

/* --- files --- */

/* Two that write to one file would make none: whoever has it open has it alone. */
static int open_alone(void *disk, const char *path, bool create)
{
    const struct file_ops posix = file_ops_posix();
    const int file = posix.open(disk, path, create);
    if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) != 0) {
        const int status = errno == EWOULDBLOCK ? -EWOULDBLOCK : -errno;
        posix.close(disk, file);
        return status;
    }
    return file;
}

static int rename_to_new(void *disk, const char *from, const char *to)
{
    const struct file_ops posix = file_ops_posix();
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -errno;
    }
    /* A file system that cannot: what was looked at is the best there is. */
    return access(to, F_OK) == 0 ? -EEXIST : posix.rename(disk, from, to);
}

/* Returns 0 or an exit code, having said why. */
static int find_files(struct backup_job *job)
{
    struct backup_files *files = &job->files;
    const struct backup_command *command = job->command;
    struct stat about;
    const char *slash = strrchr(command->path, '/');
    const size_t directory_size = slash == NULL ? 0 : (size_t)(slash - command->path) + 1;
    if (strlen(command->path) + sizeof partial_suffix > STORAGE_PATH_MAX) {
        return report_error(job->shell, EXIT_USAGE, "usage",
                            "backup: the name of FILE is longer than %zu bytes",
                            STORAGE_PATH_MAX - sizeof partial_suffix);
    }
    (void)snprintf(files->partial, sizeof files->partial, "%s%s", command->path, partial_suffix);
    (void)snprintf(files->directory, sizeof files->directory, "%.*s",
                   directory_size > 0 ? (int)directory_size : 1,
                   directory_size > 0 ? command->path : ".");
    files->ops = file_ops_posix();
    files->ops.open = open_alone;
    if (!command->force) {
        files->ops.rename = rename_to_new;
    }
    const bool exists = lstat(command->path, &about) == 0;
    if (exists && (!command->force || !S_ISREG(about.st_mode))) {
        return report_error(
            job->shell, EXIT_DEFINITE_FAILURE, "exists", "%s exists already%s", command->path,
            S_ISREG(about.st_mode) ? ": name another file, or give --force to replace it"
                                   : ", and is no file that could be replaced: name another one");
    }
    return 0;
}

/* --- progress --- */

static void show_progress(void *context, const struct checkpoint_id *id, uint64_t done,
                          uint64_t size)
{
    struct backup_job *job = context;
    const uint64_t now_ns = clock_monotonic_ns();
    const uint32_t replica = job->survey->configuration.members[job->member].replica_id;
    if (now_ns - job->shown_ns < PROGRESS_MS * NANOSECONDS_PER_MILLISECOND) {
        return;
    }
    job->shown_ns = now_ns;
    if (size == 0) {
        (void)fprintf(stderr, "\r\033[Kreplica %" PRIu32 " makes a checkpoint ...", replica);
    } else {
        (void)fprintf(stderr,
                      "\r\033[Kop %" PRIu64 " from replica %" PRIu32 ": %.1f of %.1f MB, %u %%",
                      id->op_number, replica, (double)done / 1e6, (double)size / 1e6,
                      (unsigned)(done * 100 / size));
    }
    (void)fflush(stderr);
}

static void clear_progress(struct backup_job *job)
{
    if (job->shown_ns != 0) {
        job->shown_ns = 0;
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}

/* --- replicas --- */

static bool may_be_asked(const struct backup_job *job, uint32_t member)
{
    const struct survey_target *target = &job->survey->targets[member];
    if (!target->answered || (job->tried_mask & UINT32_C(1) << member) != 0) {
        return false;
    }
    if (job->command->one) {
        return job->survey->configuration.members[member].replica_id == job->command->replica_id;
    }
    return target->report.status == STATUS_NORMAL;
}

/* True if `a` is the better one to ask: a backup, then the one that is furthest. */
static bool is_better(const struct survey_report *a, const struct survey_report *b)
{
    if (a->acting_primary != b->acting_primary) {
        return b->acting_primary;
    }
    return a->executed_op > b->executed_op;
}

/* False: nobody is left. */
static bool choose(struct backup_job *job)
{
    bool found = false;
    for (uint32_t i = 0; i < job->survey->target_count; i++) {
        if (may_be_asked(job, i) &&
            (!found || is_better(&job->survey->targets[i].report,
                                 &job->survey->targets[job->member].report))) {
            job->member = i;
            found = true;
        }
    }
    return found;
}

static enum backup_end pull_from(struct backup_job *job)
{
    const struct options *options = &job->command->options;
    const uint32_t silence_ms =
        options->timeout_ms > SILENCE_MS_MIN ? options->timeout_ms : SILENCE_MS_MIN;
    const struct backup_target target = {
        .cluster_id = job->survey->cluster_id,
        .replica_id = job->survey->configuration.members[job->member].replica_id,
        .address = job->survey->targets[job->member].address,
        .least_op = job->least_op,
        .ops = &job->files.ops,
        .directory = job->files.directory,
        .partial = job->files.partial,
        .path = job->command->path,
        .datagram_size = options->datagram_size,
        .silence_ns = silence_ms * NANOSECONDS_PER_MILLISECOND,
        .progress = terminal_has_cursor(stderr) && !options->quiet ? show_progress : NULL,
        .context = job,
    };
    job->tried_mask |= UINT32_C(1) << job->member;
    const enum backup_end how = backup_pull(&target, &job->id, &job->why);
    clear_progress(job);
    return how;
}

static bool another_may_do(enum backup_end how)
{
    return how == BACKUP_SILENT || how == BACKUP_NOT_SERVED || how == BACKUP_NOT_WRITTEN ||
           how == BACKUP_CHANGED;
}

/* --- outcomes --- */

static int report_done(const struct backup_job *job)
{
    const struct backup_command *command = job->command;
    const uint32_t replica = job->survey->configuration.members[job->member].replica_id;
    const uint64_t bytes = checkpoint_file_size(job->id.size);
    char cluster[20];
    (void)snprintf(cluster, sizeof cluster, "%016" PRIx64, job->survey->cluster_id);
    if (command->options.json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "ok", json_true());
        json_set_u64(object, "op", job->id.op_number);
        json_set_u64(object, "bytes", bytes);
        json_set_text(object, "path", command->path);
        json_set_u64(object, "replica", replica);
        json_set_text(object, "cluster", cluster);
        json_print_line(object);
    } else if (!command->options.quiet) {
        (void)printf("%s: %" PRIu64 " bytes, everything up to op %" PRIu64
                     " of cluster %s, from replica %" PRIu32 "\n",
                     command->path, bytes, job->id.op_number, cluster, replica);
    }
    return EXIT_DONE;
}

static int report_end(const struct backup_job *job, enum backup_end how)
{
    const char *name = job->survey->targets[job->member].name;
    const uint32_t replica = job->survey->configuration.members[job->member].replica_id;
    static const char unchanged[] = "there is no backup";
    switch (how) {
    case BACKUP_DONE:
        return report_done(job);
    case BACKUP_CANCELLED:
        interrupt_end_line();
        return report_error(job->shell, EXIT_UNAVAILABLE, "cancelled", "cancelled; %s", unchanged);
    case BACKUP_SILENT:
        return report_error(job->shell, EXIT_UNAVAILABLE, "unavailable",
                            "replica %" PRIu32 " (%s) does not answer, does not get as far as the "
                            "group, or knows no backups: see vr-client status%s; %s",
                            replica, name,
                            job->command->one ? ", or have any give it, without --replica" : "",
                            unchanged);
    case BACKUP_REFUSED:
        return report_error(job->shell, EXIT_WRONG_GROUP, "wrong cluster",
                            "another cluster's replica is at %s now; %s", name, unchanged);
    case BACKUP_NOT_SERVED:
        return report_error(job->shell, EXIT_UNAVAILABLE, "unavailable",
                            "replica %" PRIu32 " (%s) is not in service: ask another one; %s",
                            replica, name, unchanged);
    case BACKUP_NOTHING:
        return job->command->one
                   ? report_error(job->shell, EXIT_DEFINITE_FAILURE, "empty",
                                  "replica %" PRIu32 " (%s) has executed nothing yet: if anything "
                                  "was written, ask again soon, or have any give it, without "
                                  "--replica; %s",
                                  replica, name, unchanged)
                   : report_error(
                         job->shell, EXIT_DEFINITE_FAILURE, "empty",
                         "nothing was ever written to this cluster: there is nothing to back up");
    case BACKUP_NOT_WRITTEN:
        return report_error(job->shell, EXIT_UNAVAILABLE, "unavailable",
                            "replica %" PRIu32 " (%s) cannot write a checkpoint to its disk; its "
                            "log says why; %s",
                            replica, name, unchanged);
    case BACKUP_CHANGED:
        return report_error(job->shell, EXIT_UNAVAILABLE, "unavailable",
                            "replica %" PRIu32 " (%s) had another checkpoint each time, %d times: "
                            "the transfer is too slow or was interrupted; try again; %s",
                            replica, name, BACKUP_OFFERS_MAX, unchanged);
    case BACKUP_IN_USE:
    case BACKUP_LOCAL:
        break;
    }
    return report_error(job->shell, EXIT_IO, "io", "%s; %s", job->why.text, unchanged);
}

static int report_nobody(const struct backup_job *job)
{
    const struct backup_command *command = job->command;
    if (!command->one) {
        return report_error(job->shell, EXIT_UNAVAILABLE, "unavailable",
                            "no replica is in service that could give a backup: see vr-client "
                            "status");
    }
    for (uint32_t i = 0; i < job->survey->target_count; i++) {
        if (job->survey->configuration.members[i].replica_id == command->replica_id) {
            return report_error(job->shell, EXIT_UNAVAILABLE, "unavailable",
                                "replica %" PRIu64 " (%s) does not answer: ask another one",
                                command->replica_id, job->survey->targets[i].name);
        }
    }
    return report_error(job->shell, EXIT_USAGE, "usage",
                        "backup: there is no replica %" PRIu64 " in this group",
                        command->replica_id);
}

/* --- options --- */

enum {
    OPTION_FORCE,
    OPTION_JSON,
    OPTION_REPLICA,
    OPTION_COUNT,
};

const char *const backup_options[] = {
    [OPTION_FORCE] = "--force",
    [OPTION_JSON] = "--json",
    [OPTION_REPLICA] = "--replica",
    [OPTION_COUNT] = NULL,
};

static int wrong(const struct shell *shell, const struct word *word, const char *what)
{
    return report_usage(shell, word->begin, word->end, "backup: %s; usage: backup %s", what,
                        "[--replica I] [--force] FILE");
}

static int wrong_option(const struct shell *shell, const struct word *word)
{
    char what[64] = "there is no such option";
    const char *meant = suggest_nearest((const char *)word->bytes, backup_options);
    if (meant != NULL) {
        (void)snprintf(what, sizeof what, "there is no such option; did you mean %s", meant);
    }
    return wrong(shell, word, what);
}

/* Returns 0 or an exit code, having said why. */
static int parse(const struct shell *shell, const struct words *words,
                 struct backup_command *command)
{
    for (size_t i = 1; i < words->count; i++) {
        const struct word *word = &words->items[i];
        const char *text = (const char *)word->bytes;
        if (!word->quoted && word_is(word, backup_options[OPTION_JSON])) {
            command->options.json = true;
        } else if (!word->quoted && word_is(word, backup_options[OPTION_FORCE])) {
            command->force = true;
        } else if (!word->quoted && word_is(word, backup_options[OPTION_REPLICA])) {
            i++;
            if (i == words->count || !option_number((const char *)words->items[i].bytes, 0,
                                                    UINT32_MAX - 1, &command->replica_id)) {
                return wrong(shell, word, "--replica needs the number of a replica");
            }
            command->one = true;
        } else if (!word->quoted && strncmp(text, "--", 2) == 0) {
            return wrong_option(shell, word);
        } else if (command->path != NULL) {
            return wrong(shell, word, "only one file can be written");
        } else if (word->size == 0 || strlen(text) != word->size || text[word->size - 1] == '/') {
            return wrong(shell, word, "that is no file's name");
        } else {
            command->path = text;
        }
    }
    return command->path != NULL
               ? 0
               : wrong(shell, &words->items[words->count - 1], "the file to write is missing");
}

/* --- the command --- */

static int work(struct backup_job *job)
{
    const struct survey *survey = job->survey;
    enum backup_end how = BACKUP_SILENT;
    uint32_t tried = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        if (survey->targets[i].answered &&
            survey->targets[i].report.commit_number > job->least_op) {
            job->least_op = survey->targets[i].report.commit_number;
        }
    }
    do {
        if (!choose(job)) {
            break;
        }
        how = pull_from(job);
        tried++;
    } while (another_may_do(how) && tried < REPLICAS_TRIED_MAX);
    if (tried == 0) {
        return report_nobody(job);
    }
    if (how != BACKUP_DONE && how != BACKUP_IN_USE) {
        (void)unlink(
            job->files.partial); /* mostly there; what cannot be removed is in nobody's way */
    }
    return report_end(job, how);
}

static int run(const struct shell *shell, const struct survey *survey,
               const struct backup_command *command)
{
    if (interrupt_seen()) {
        interrupt_end_line();
        return report_error(shell, EXIT_UNAVAILABLE, "cancelled", "cancelled; there is no backup");
    }
    if (survey_is_refused(survey)) {
        return status_report_refusal(shell, survey);
    }
    if (!survey->has_configuration) {
        return report_error(shell, EXIT_UNAVAILABLE, "unavailable",
                            "no replica answers, asked %s for %.1f s: see that they run and can be "
                            "reached; there is no backup",
                            command->options.cluster,
                            (double)survey->took_ns / (double)NANOSECONDS_PER_SECOND);
    }
    struct backup_job *job = must_calloc(1, sizeof *job);
    job->shell = shell;
    job->command = command;
    job->survey = survey;
    int code = find_files(job);
    code = code == 0 ? work(job) : code;
    free(job);
    return code;
}

int backup_run(struct shell *caller, const struct words *words)
{
    struct backup_command command = {.options = *caller->options};
    struct shell shell = *caller;
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    shell.options = &command.options;
    int code = parse(&shell, words, &command);
    if (code != 0) {
        return code;
    }
    int error = cluster_list_resolve(command.options.cluster, &list, message, sizeof message);
    if (error != 0) {
        return report_no_address(&shell, error, EXIT_UNAVAILABLE, message);
    }
    struct survey *survey = must_calloc(1, sizeof *survey);
    error = survey_run(survey, list.addresses, list.count, command.options.timeout_ms,
                       command.options.datagram_size);
    code = error == 0 ? run(&shell, survey, &command)
                      : report_error(&shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                                     strerror(-error));
    survey_free(survey);
    free(survey);
    return code;
}
