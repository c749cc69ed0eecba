/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/restore_steps.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/os/endpoint.h"

enum { PATH_SIZE = 4096, QUOTED_SIZE = 4 * PATH_SIZE + 3 };

void restore_steps_quote(char *quoted, size_t size, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:,+@%=[]";
    if (text[0] != '\0' && strspn(text, plain) == strlen(text)) {
        (void)snprintf(quoted, size, "%s", text);
        return;
    }
    size_t used = 0;
    quoted[used++] = '\'';
    for (; *text != '\0' && used + 6 < size; text++) {
        if (*text == '\'') {
            memcpy(quoted + used, "'\\''", 4);
            used += 4;
        } else {
            quoted[used++] = *text;
        }
    }
    quoted[used++] = '\'';
    quoted[used] = '\0';
}

void restore_steps_directory(char *text, size_t size, const char *directory, uint32_t own,
                             uint32_t other)
{
    size_t end = strlen(directory);
    while (end > 1 && directory[end - 1] == '/') {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && directory[begin - 1] >= '0' && directory[begin - 1] <= '9') {
        begin--;
    }
    char number[16];
    const int number_size = snprintf(number, sizeof number, "%" PRIu32, own);
    if (end - begin == (size_t)number_size && memcmp(directory + begin, number, end - begin) == 0) {
        (void)snprintf(text, size, "%.*s%" PRIu32, (int)begin, directory, other);
    } else {
        (void)snprintf(text, size, "%s", directory);
    }
}

static void print_init(FILE *out, const struct vr_server_init_options *options, uint32_t replica_id,
                       const char *parameters)
{
    char directory[PATH_SIZE];
    char words[3][QUOTED_SIZE];
    restore_steps_directory(directory, sizeof directory, options->data_directory,
                            options->replica_id, replica_id);
    restore_steps_quote(words[0], QUOTED_SIZE, options->backup);
    restore_steps_quote(words[1], QUOTED_SIZE, directory);
    restore_steps_quote(words[2], QUOTED_SIZE, options->cluster);
    fprintf(out,
            "  vr-server init --from-backup %s --data-dir %s --replica %" PRIu32
            " --cluster %s --cluster-id %016" PRIx64 "%s\n",
            words[0], words[1], replica_id, words[2], options->cluster_id, parameters);
}

static void print_inits(FILE *out, const struct vr_server_init_options *options,
                        const struct endpoint *endpoints, size_t count, const char *parameters)
{
    fprintf(out,
            "\nAll replicas begin with this very file. Copy it to the machine of each other one, "
            "with sha256sum before and after, and run there:\n");
    for (uint32_t i = 0; i < count; i++) {
        if (i != options->replica_id) {
            fprintf(out, "\nreplica %" PRIu32 ", at %s:\n", i, endpoints[i].host);
            print_init(out, options, i, parameters);
        }
    }
    fprintf(out, "\nOnce all %zu are initialised, start each of them:\n", count);
}

void restore_steps_print(FILE *out, const struct vr_server_init_options *options,
                         const struct vr_server_restored *restored, const char *parameters)
{
    struct endpoint endpoints[REPLICAS_MAX];
    struct endpoint_error why;
    char directory[QUOTED_SIZE];
    size_t count;
    if (!endpoint_list_parse(options->cluster, endpoints, REPLICAS_MAX, &count, &why)) {
        return; /* cannot be: init has read it */
    }
    fprintf(out,
            "replica %" PRIu32 " of the new cluster %016" PRIx64
            " is initialised: it has what cluster %016" PRIx64 " had at op %" PRIu64 ", %" PRIu64
            " bytes of state\n",
            options->replica_id, options->cluster_id, restored->cluster_id, restored->op_number,
            restored->state_size);
    if (count > 1) {
        print_inits(out, options, endpoints, count, parameters);
    } else {
        fputs("\nStart it:\n", out);
    }
    restore_steps_quote(directory, QUOTED_SIZE, options->data_directory);
    fprintf(out, "  vr-server start --data-dir %s --durability async%s\n", directory,
            count > 1 ? "        (here; elsewhere its own directory)" : "");
    fputs("or with --durability sync; for the first start not with memory, which would begin "
          "without the backup.\n",
          out);
}
