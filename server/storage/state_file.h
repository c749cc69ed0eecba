/* SPDX-License-Identifier: Apache-2.0 */
/* state_file.h - what a replica must never forget, in every durability mode (PROTOCOL section 1).
 *
 * The data directory holds one file, `state`: four slots of STATE_SLOT_SIZE bytes. State number
 * `sequence` is written, twice, to the pair of slots sequence % 2, in place, in one write and one
 * sync; so a torn write can only hurt the pair that holds the older state, one damaged block never
 * takes the only copy of the newest, and no space is needed that init did not reserve (D4).
 * A slot is, little-endian:
 *
 *     0  magic           8 bytes
 *     8  format          u32      STATE_FORMAT
 *    12  slot            u32      which one this is: a misdirected write is seen (PITFALLS PS-5)
 *    16  sequence        u64      the newest valid one wins
 *    24  content_size    u32
 *    28  zero            u32
 *    32  checksum        128      XXH3-128 of the whole slot, this field zero
 *    48  content, then zeros
 *
 * Magic, format and checksum keep their places in all formats to come, so that a program can tell a
 * newer format from damage.
 *
 * Opening syncs the file, then writes the newest state once more, as the next one, and syncs that
 * before anything is believed: what was read may have come from the page cache only, after a sync
 * that failed or never ran. It goes into the older pair, one copy after the other, a damaged one
 * first: of the newest pair one copy may be on the disk and the other one in the page cache only,
 * and nobody can tell which.
 *
 * A copy that the disk cannot read (EIO, tried twice) counts as damaged while the other of its pair
 * is whole. A pair of which nothing can be read may hold the newest state: then nothing is opened.
 *
 * What this cannot see is an older copy of the whole directory put back: that is a lost disk (D10).
 *
 * Threads:   one caller at a time per state_file.
 * Errors:    0 or a negative errno, and then a text that says what to do. A failed write or sync is
 *            final: state_file_store() then refuses for ever (D4, PITFALLS PS-3). */
#ifndef VR_STORAGE_STATE_FILE_H
#define VR_STORAGE_STATE_FILE_H

#include "common/base/configuration.h"
#include "common/base/types.h"
#include "server/storage/file_ops.h"
#include "server/storage/storage_error.h"
#include "server/storage/storage_path.h"
#include "server/storage/wal.h"
#include "server/vr/vr.h"

enum {
    STATE_FORMAT = 2, /* 1, which ends before the log's part, is read too */
    STATE_SLOT_SIZE = 4096,
    STATE_SLOTS = 4,
    STATE_FILE_SIZE = STATE_SLOTS * STATE_SLOT_SIZE,
    STATE_SLOT_HEADER_SIZE = 48,
    STATE_CONTENT_FIXED_SIZE = 84,
    STATE_CONTENT_LOG_SIZE = 40,
    STATE_CONTENT_MAX = STATE_CONTENT_FIXED_SIZE + CONFIGURATION_ENCODED_MAX + REPLICAS_MAX * 8 +
                        STATE_CONTENT_LOG_SIZE,
    BOOT_ID_SIZE = 16,
};
_Static_assert(STATE_SLOT_HEADER_SIZE + STATE_CONTENT_MAX <= STATE_SLOT_SIZE,
               "the largest configuration fits a slot");

/* Everything durable but the log. */
struct durable_state {
    struct configuration configuration; /* names the cluster too */
    uint32_t replica_id;
    uint64_t identity;    /* random, drawn by init: this very data directory (D10); never 0 */
    uint64_t incarnation; /* starts so far */
    uint8_t boot_id[BOOT_ID_SIZE]; /* of the machine at the last start (D2); zero: never started */
    bool clean_shutdown;           /* D5 */
    bool diverged; /* N7, K4: what this replica has committed, or made of it, is not what the others
                      have: it never starts from that again */
    enum durability durability; /* mode of the last start; of a fresh directory: memory */
    struct {
        uint64_t op; /* 0: there is none */
        struct checksum checksum;
    } checkpoint;
    uint64_t log_segment;   /* the last segment of the log that may hold what was acknowledged: that
                               file is there, or the log is not whole; 0: not known */
    struct wal_end log_end; /* with clean_shutdown: where the log ended */
    struct vr_durable_state vr; /* view_number, last_normal_view, log_valid, identities */
};

/* What init writes (P1, D3, D5): view 0 of the epoch, normal in none, an empty log that is intact.
 * `configuration` is valid and has a member `replica_id` (asserted). */
void durable_state_init(struct durable_state *state, const struct configuration *configuration,
                        uint32_t replica_id, uint64_t identity);

/* Why a state makes no sense, in words, or NULL. */
const char *durable_state_reject(const struct durable_state *state);

/* True if the log on disk counts, as far as the state tells (D5): on a machine booted as `boot_id`,
 * all zero where that is not known. Asked before the log is read. */
bool durable_state_trusts_log(const struct durable_state *state,
                              const uint8_t boot_id[BOOT_ID_SIZE]);

/* True if what a FAULTY log lacks was being written, as far as can be told, when the process or the
 * machine stopped: it was never reported durable. Then the disk need not be at fault. */
bool durable_state_was_writing(const struct durable_state *state, const struct wal_found *found,
                               const uint8_t boot_id[BOOT_ID_SIZE]);

/* True if a log that is trusted, read to start from a checkpoint of op `base_op`, lacks what a
 * group of one has promised: all that it had on its disk is committed. */
bool durable_state_lost_log(const struct durable_state *state, const struct wal_found *found,
                            uint64_t base_op, const uint8_t boot_id[BOOT_ID_SIZE]);

/* What the state knows of the log's end goes into the options to read it with. */
void durable_state_expect(const struct durable_state *state, struct wal_options *options);

/* Changes *state as a start in mode `durability` on a machine booted as `boot_id` must, and returns
 * how the core begins: incarnation + 1, clean_shutdown used up, log_valid false where the log does
 * not count (D3, D6, D11). `log_counts`: durable_state_trusts_log() said so, and what was read
 * bears it out; of mode memory, which reads none, it is ignored. The result must be stored before
 * the first message leaves, and not before all else that can fail at a start (sockets, memory) has
 * succeeded: the first start's empty log is not used up in vain. */
enum vr_start durable_state_start(struct durable_state *state, enum durability durability,
                                  const uint8_t boot_id[BOOT_ID_SIZE], bool log_counts);

/* K4, --rebuild: forgets that it diverged, and all that it had: log and checkpoints do not count,
 * it recovers from the others (D6). */
void durable_state_rebuild(struct durable_state *state);

struct state_file {
    const struct file_ops *ops; /* outlives the state_file */
    int lock;
    int file;
    uint64_t sequence;         /* of the newest state written */
    uint64_t view_number;      /* of it, */
    uint64_t last_normal_view; /* neither ever goes back (S2) */
    uint32_t unreadable;       /* bit i: slot i could not be read when it was opened */
    int failed;                /* 0, or the errno of the write or sync that failed */
    char directory[STORAGE_PATH_MAX];
    uint8_t image[STATE_FILE_SIZE];
};

/* `init`: makes the directory, which must not exist, and the file in it, durably. */
int state_file_create(const struct file_ops *ops, const char *directory,
                      const struct durable_state *state, struct storage_error *error);

/* The same in two steps, for what must be there before the state says so: until the second one is
 * done the directory is none that a replica starts from. */
int state_file_create_directory(const struct file_ops *ops, const char *directory,
                                struct storage_error *error);
int state_file_create_state(const struct file_ops *ops, const char *directory,
                            const struct durable_state *state, struct storage_error *error);

/* Locks the directory and reads the newest valid state. */
int state_file_open(struct state_file *file, const struct file_ops *ops, const char *directory,
                    struct durable_state *state, struct storage_error *error);

/* Reads the newest valid state and changes nothing, not even a lock: somebody may be using the
 * directory. What it says is for people, not for a replica to start from. */
int state_file_peek(const struct file_ops *ops, const char *directory, struct durable_state *state,
                    struct storage_error *error);

/* Returns 0 once *state is durable. */
int state_file_store(struct state_file *file, const struct durable_state *state,
                     struct storage_error *error);

/* D6: what is found of the log does not count. Says so durably, in *state too, before wal_start()
 * makes it look whole: else a crash before the start is stored would let it count the next time. */
int state_file_void_log(struct state_file *file, struct durable_state *state,
                        struct storage_error *error);

void state_file_close(struct state_file *file);

#endif
