/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/inspect_checkpoints.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/storage/checkpoint_reader.h"

enum { ROOT_TEXT_SIZE = 33 };

static const char pull_file[] = "checkpoint.pull";

static const char *finding_name(enum checkpoint_finding finding)
{
    switch (finding) {
    case CHECKPOINT_WHOLE:
        return "whole";
    case CHECKPOINT_IS_DAMAGED:
        return "damaged";
    case CHECKPOINT_IS_MISSING:
        return "missing";
    default:
        return "unusable";
    }
}

static void root_text(const struct checkpoint_id *id, char text[ROOT_TEXT_SIZE])
{
    (void)snprintf(text, ROOT_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, id->root.high, id->root.low);
}

/* --- looking --- */

static void judge(struct inspected_checkpoint *checkpoint, int status,
                  const struct checkpoint_reader *reader)
{
    checkpoint->finding = status == -EBADMSG ? CHECKPOINT_IS_DAMAGED : CHECKPOINT_UNUSABLE;
    const char *why = status == -EBADMSG  ? reader->damage
                      : status == -EINVAL ? "it belongs to another cluster"
                      : status == -EPROTO ? "a newer version of vr-server wrote it"
                                          : strerror(-status);
    (void)snprintf(checkpoint->damage, sizeof checkpoint->damage, "%s", why);
}

/* All chunks; what is said is the first that is damaged, and how many are. */
static int look_through(struct inspected_checkpoint *checkpoint, struct checkpoint_reader *reader,
                        uint8_t *chunk)
{
    const uint64_t count = checkpoint_chunk_count(reader->id.size);
    uint64_t damaged = 0;
    struct storage_error unused;
    for (uint64_t i = 0; i < count; i++) {
        const int status = checkpoint_reader_chunk(reader, i, chunk, &unused);
        if (status < 0 && status != -EBADMSG) {
            return status;
        }
        if (status < 0 && damaged++ == 0) {
            judge(checkpoint, status, reader);
        }
    }
    if (damaged > 1) {
        const size_t used = strlen(checkpoint->damage);
        (void)snprintf(checkpoint->damage + used, sizeof checkpoint->damage - used,
                       ", and %" PRIu64 " more", damaged - 1);
    }
    return 0;
}

static int look_at(struct inspected_checkpoint *checkpoint, const struct file_ops *ops,
                   const char *directory, const struct durable_state *state, uint8_t *chunk,
                   struct storage_error *error)
{
    struct checkpoint_reader reader;
    int status = checkpoint_reader_open(&reader, ops, directory, state->configuration.cluster_id,
                                        checkpoint->op_number, error);
    checkpoint->id = reader.id;
    if (status == -ENOMEM) {
        return status;
    }
    if (status == 0 && checkpoint->named &&
        !checksum_equal(reader.id.root, state->checkpoint.checksum)) {
        checkpoint->finding = CHECKPOINT_IS_DAMAGED;
        (void)snprintf(checkpoint->damage, sizeof checkpoint->damage,
                       "it is another one than the state file names");
    } else if (status == 0) {
        status = look_through(checkpoint, &reader, chunk);
    }
    if (status != 0) {
        judge(checkpoint, status, &reader);
    }
    checkpoint_reader_close(&reader);
    return 0;
}

/* What only a name is left of goes where its op belongs. */
static void list_missing(struct inspected_checkpoints *found, uint64_t op_number)
{
    uint32_t place = 0;
    while (place < found->count && found->all[place].op_number > op_number) {
        place++;
    }
    if (op_number == 0 || (place < found->count && found->all[place].op_number == op_number)) {
        return;
    }
    memmove(found->all + place + 1, found->all + place,
            (found->count - place) * sizeof found->all[0]);
    found->all[place] = (struct inspected_checkpoint){
        .op_number = op_number,
        .finding = CHECKPOINT_IS_MISSING,
        .named = true,
        .believed = true,
        .damage = "the state file names it",
    };
    found->count++;
}

/* K3; and mode memory begins from none. */
static void choose_base(struct inspected_checkpoints *found, const struct durable_state *state)
{
    if (state->incarnation > 0 && state->durability == DURABILITY_MEMORY) {
        return;
    }
    for (uint32_t i = 0; i < found->count && found->base.op_number == 0; i++) {
        if (found->all[i].believed && found->all[i].finding == CHECKPOINT_WHOLE) {
            found->base = found->all[i].id;
        }
    }
}

static int look_at_all(struct inspected_checkpoints *found, const struct file_ops *ops,
                       const char *directory, const struct durable_state *state,
                       struct storage_error *error)
{
    uint64_t op_numbers[INSPECT_CHECKPOINTS_MAX];
    uint8_t *chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    if (chunk == NULL) {
        return storage_error_set(error, -ENOMEM, "there is no memory left to read checkpoints");
    }
    int status = checkpoint_list_ops(ops, directory, op_numbers, INSPECT_CHECKPOINTS_MAX,
                                     &found->count, error);
    for (uint32_t i = 0; status == 0 && i < found->count; i++) {
        found->all[i] = (struct inspected_checkpoint){
            .op_number = op_numbers[i],
            .named = op_numbers[i] == state->checkpoint.op,
            .believed = op_numbers[i] <= state->checkpoint.op,
        };
        status = look_at(&found->all[i], ops, directory, state, chunk, error);
    }
    free(chunk);
    return status;
}

int inspect_checkpoints(struct inspected_checkpoints *found, const struct file_ops *ops,
                        const char *directory, const struct durable_state *state,
                        struct storage_error *error)
{
    *found = (struct inspected_checkpoints){.count = 0};
    int status = look_at_all(found, ops, directory, state, error);
    if (status != 0) {
        return status;
    }
    list_missing(found, state->checkpoint.op);
    choose_base(found, state);
    for (uint32_t i = 0; i < found->count; i++) {
        found->damaged_count += found->all[i].finding == CHECKPOINT_WHOLE ? 0 : 1;
    }
    status = checkpoint_receiver_peek(ops, directory, state->configuration.cluster_id, &found->pull,
                                      error);
    found->pulling = status == 0;
    return status == -ENOENT ? 0 : status;
}

/* --- saying --- */

static void print_one(const struct inspected_checkpoint *checkpoint, FILE *out)
{
    char name[CHECKPOINT_NAME_SIZE];
    checkpoint_file_name(checkpoint->op_number, name);
    fprintf(out, "  %s  op %" PRIu64, name, checkpoint->op_number);
    if (checkpoint->id.op_number != 0) {
        char root[ROOT_TEXT_SIZE];
        root_text(&checkpoint->id, root);
        fprintf(out, ", %" PRIu64 " bytes, root %s", checkpoint->id.size, root);
    }
    fprintf(out, ", %s", finding_name(checkpoint->finding));
    if (checkpoint->damage[0] != '\0') {
        fprintf(out, ": %s", checkpoint->damage);
    }
    fprintf(out, "%s\n",
            checkpoint->believed ? "" : "; the state file does not name it, so a start removes it");
}

static void print_pull(const struct checkpoint_pull *pull, FILE *out)
{
    if (!pull->has_list) {
        fprintf(out, "  %s  the beginning of a transfer, which begins anew\n", pull_file);
        return;
    }
    char root[ROOT_TEXT_SIZE];
    root_text(&pull->id, root);
    fprintf(out,
            "  %s  a transfer of op %" PRIu64 ", %" PRIu64 " bytes, root %s: %" PRIu64
            " of %" PRIu64 " chunks are there, %" PRIu64 " %%\n",
            pull_file, pull->id.op_number, pull->id.size, root, pull->received_count,
            pull->chunk_count, pull->received_count * 100 / pull->chunk_count);
}

void inspect_checkpoints_print(const struct inspected_checkpoints *found, FILE *out)
{
    fprintf(out, "checkpoint files %" PRIu32 "\n", found->count);
    for (uint32_t i = 0; i < found->count; i++) {
        print_one(&found->all[i], out);
    }
    if (found->pulling) {
        print_pull(&found->pull, out);
    }
    if (found->base.op_number > 0) {
        fprintf(out, "checkpoint       of op %" PRIu64 ": a start begins from it\n",
                found->base.op_number);
    }
}

/* Size and root; null where they are not known. */
static json_t *size_json(const struct checkpoint_id *id)
{
    return id->op_number == 0 ? json_null() : json_integer((json_int_t)id->size);
}

static json_t *root_json(const struct checkpoint_id *id)
{
    char root[ROOT_TEXT_SIZE];
    root_text(id, root);
    return id->op_number == 0 ? json_null() : json_string(root);
}

json_t *inspect_checkpoints_json(const struct inspected_checkpoints *found)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < found->count; i++) {
        const struct inspected_checkpoint *checkpoint = &found->all[i];
        char name[CHECKPOINT_NAME_SIZE];
        checkpoint_file_name(checkpoint->op_number, name);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:I, s:o, s:o, s:b, s:s, s:o}", "file", name, "op",
                            (json_int_t)checkpoint->op_number, "size", size_json(&checkpoint->id),
                            "root", root_json(&checkpoint->id), "named", (int)checkpoint->named,
                            "verdict", finding_name(checkpoint->finding), "damage",
                            checkpoint->damage[0] == '\0' ? json_null()
                                                          : json_string(checkpoint->damage)));
    }
    return list;
}

json_t *inspect_transfer_json(const struct inspected_checkpoints *found)
{
    const struct checkpoint_pull *pull = &found->pull;
    if (!found->pulling) {
        return json_null();
    }
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:b, s:I, s:I}", "file", pull_file, "op",
        pull->id.op_number == 0 ? json_null() : json_integer((json_int_t)pull->id.op_number),
        "size", size_json(&pull->id), "root", root_json(&pull->id), "has_list", (int)pull->has_list,
        "chunks", (json_int_t)pull->chunk_count, "chunks_there", (json_int_t)pull->received_count);
}
