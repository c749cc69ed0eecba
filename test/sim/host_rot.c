/* SPDX-License-Identifier: Apache-2.0 */
/* What befalls files that lie on a disk: bits and whole sectors of them change, sectors cannot be
 * read any more, they lose their end, they are gone.
 *
 * One thing is left alone, for nothing could tell it from a torn tail (D5): the header of the log's
 * last record, unless a clean stop or the header of its segment says that it was durable. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

enum { SEGMENTS_MAX = 4096, PATH_SIZE = sizeof HOST_DIRECTORY + 1 + WAL_NAME_SIZE };

/* ---- what is there ---- */

struct places {
    uint64_t count; /* of whole records */
    uint64_t chosen;
    struct place {
        uint64_t segment;
        uint64_t offset;
        uint32_t body_size;
        uint64_t sequence;
    } picked, last;
    uint64_t first_segment; /* files are numbered without a gap */
    uint64_t last_segment;
    bool tail_is_known; /* the last record is known to have been durable */
};

static void note_place(void *context, uint64_t segment, uint64_t offset, enum wal_verdict verdict,
                       const struct wal_record *record)
{
    struct places *places = context;
    if (verdict != WAL_VALID) {
        return;
    }
    places->count++;
    places->last = (struct place){segment, offset, record->body_size, record->sequence};
    if (places->count == places->chosen) {
        places->picked = places->last;
    }
}

static int note_segment(void *context, const char *name)
{
    struct places *places = context;
    const uint64_t number = wal_segment_number(name);
    if (number != 0) {
        places->first_segment = number < places->first_segment ? number : places->first_segment;
        places->last_segment = number > places->last_segment ? number : places->last_segment;
    }
    return 0;
}

static void segment_path(uint64_t segment, char path[PATH_SIZE])
{
    char name[WAL_NAME_SIZE];
    wal_segment_name(segment, name);
    (void)snprintf(path, PATH_SIZE, "%s/%s", HOST_DIRECTORY, name);
}

static bool tail_is_known(struct sim_host *host, const struct wal_owner *owner,
                          const struct places *places)
{
    char path[PATH_SIZE];
    size_t size;
    struct wal_segment_header header;
    segment_path(places->last_segment, path);
    const uint8_t *bytes = sim_disk_bytes(host->platter, path, &size);
    return host->disk.clean_shutdown || places->last.segment != places->last_segment ||
           (bytes != NULL && size >= WAL_SEGMENT_HEADER_SIZE &&
            wal_segment_header_decode(bytes, owner, places->last_segment, &header) == WAL_VALID &&
            header.synced_sequence >= places->last.sequence);
}

/* Only a log that is whole is damaged: of another one it is not known which records count. */
static bool find_places(struct sim_host *host, struct places *places)
{
    struct wal wal;
    struct wal_found found;
    struct storage_error error;
    const struct sim *sim = host->sim;
    struct wal_options options = {
        .directory = HOST_DIRECTORY,
        .owner = {sim->configuration.cluster_id,
                  sim->configuration.members[host->index].replica_id},
        .segment_size = sim->options.segment_size,
        .sector_size = SIM_DISK_SECTOR_SIZE,
        .visit = note_place,
        .context = places,
    };
    host_base_find(host, &options.base);
    places->count = 0;
    places->first_segment = UINT64_MAX;
    places->last_segment = 0;
    if (wal_read(&wal, &host->ops, &options, NULL, NULL, &found, &error) != 0) {
        return false;
    }
    wal_close(&wal);
    (void)host->ops.list(host->platter, HOST_DIRECTORY, note_segment, places);
    places->tail_is_known = tail_is_known(host, &options.owner, places);
    return found.condition == WAL_INTACT && !found.unfinished_replacement && places->count > 0;
}

/* ---- one place ---- */

/* Inverted, anything, or zeros. */
static void spoil(struct sim_host *host, struct prng *prng, const char *path, size_t offset,
                  size_t size, bool may_be_zeros)
{
    size_t file_size;
    uint8_t *bytes = sim_disk_bytes(host->platter, path, &file_size);
    const uint64_t kind = prng_below(prng, may_be_zeros ? 3 : 2);
    INVARIANT(bytes != NULL);
    for (size_t i = offset; i < offset + size && i < file_size; i++) {
        bytes[i] = kind == 0 ? (uint8_t)~bytes[i] : kind == 1 ? (uint8_t)prng_next(prng) : 0;
    }
    sim_disk_settle(host->platter, path);
}

/* A byte of some record. */
static bool rot_record(struct sim_host *host, struct prng *prng)
{
    struct places places = {.chosen = 0};
    char path[PATH_SIZE];
    if (!find_places(host, &places)) {
        return false;
    }
    places.chosen = prng_chance(prng, 1, 3) ? places.count : prng_between(prng, 1, places.count);
    (void)find_places(host, &places);
    const struct place *at = &places.picked;
    const bool is_last = places.chosen == places.count && !places.tail_is_known;
    if (is_last && at->body_size == 0) {
        return false;
    }
    const bool header = !is_last && prng_chance(prng, 1, 2);
    const uint64_t within = header || at->body_size == 0
                                ? prng_below(prng, WAL_RECORD_HEADER_SIZE)
                                : WAL_RECORD_HEADER_SIZE + prng_below(prng, at->body_size);
    segment_path(at->segment, path);
    sim_disk_rot(host->platter, path, at->offset + within, 1);
    trace_node(host->sim, host->index, "its log rots in segment %" PRIu64 " at %" PRIu64,
               at->segment, at->offset + within);
    return true;
}

static uint64_t pick_segment(struct prng *prng, const struct places *places)
{
    return prng_chance(prng, 1, 2)
               ? places->last_segment
               : prng_between(prng, places->first_segment, places->last_segment);
}

static bool is_protected(const struct places *places, uint64_t segment, uint64_t sector)
{
    const uint64_t header = places->last.offset;
    return segment == places->last.segment && !places->tail_is_known &&
           sector + SIM_DISK_SECTOR_SIZE > header && sector < header + WAL_RECORD_HEADER_SIZE;
}

/* A sector that cannot be read, which is known to be one: so any will do, those in which the log's
 * last record is and the next would be among them. */
static bool wear_sector(struct sim_host *host, struct prng *prng, const struct places *places,
                        uint64_t segment)
{
    char path[PATH_SIZE];
    size_t size;
    segment_path(segment, path);
    if (sim_disk_bytes(host->platter, path, &size) == NULL || size < SIM_DISK_SECTOR_SIZE) {
        return false;
    }
    const uint64_t end = places->last.offset + WAL_RECORD_HEADER_SIZE + places->last.body_size +
                         2 * SIM_DISK_SECTOR_SIZE;
    const uint64_t used = segment == places->last.segment && end < size ? end : size;
    const uint64_t from = segment == places->last.segment && prng_chance(prng, 1, 2)
                              ? places->last.offset / SIM_DISK_SECTOR_SIZE * SIM_DISK_SECTOR_SIZE
                              : 0;
    const uint64_t sector = from + prng_below(prng, used - from);
    sim_disk_wear(host->platter, path, sector, 1);
    host->sim->counts.sectors_worn++;
    trace_node(host->sim, host->index,
               "a sector of its log cannot be read in segment %" PRIu64 " at %" PRIu64, segment,
               sector / SIM_DISK_SECTOR_SIZE * SIM_DISK_SECTOR_SIZE);
    return true;
}

static bool rot_sector(struct sim_host *host, struct prng *prng, const struct places *places,
                       uint64_t segment, bool worn, bool alone)
{
    char path[PATH_SIZE];
    size_t size;
    segment_path(segment, path);
    if (sim_disk_bytes(host->platter, path, &size) == NULL || size < SIM_DISK_SECTOR_SIZE) {
        return false;
    }
    const uint64_t used =
        segment == places->last.segment ? places->last.offset + WAL_RECORD_HEADER_SIZE : size;
    const uint64_t sector =
        prng_chance(prng, 1, 2)
            ? 0
            : prng_below(prng, used / SIM_DISK_SECTOR_SIZE) * SIM_DISK_SECTOR_SIZE;
    if (is_protected(places, segment, sector)) {
        return false;
    }
    spoil(host, prng, path, sector, SIM_DISK_SECTOR_SIZE, !worn && (alone || sector == 0));
    host->sim->counts.sectors_rotted++;
    trace_node(host->sim, host->index,
               "a sector of its log rots in segment %" PRIu64 " at %" PRIu64, segment, sector);
    return true;
}

/* Whole sectors, those of a segment's header among them. Where one that turned into zeros lies
 * before one that cannot be read, nothing tells them from room that was never used; nor where the
 * header of the segment, which might, is hurt as well. */
static bool rot_sectors(struct sim_host *host, struct prng *prng)
{
    struct places places = {.chosen = 0};
    if (!find_places(host, &places)) {
        return false;
    }
    const uint64_t count = prng_between(prng, 1, 3);
    uint64_t worn = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t segment = pick_segment(prng, &places);
        worn += prng_chance(prng, 1, 3) && wear_sector(host, prng, &places, segment) ? 1 : 0;
    }
    bool any = worn > 0;
    for (uint64_t i = worn; i < count; i++) {
        any = rot_sector(host, prng, &places, pick_segment(prng, &places), worn > 0, count == 1) ||
              any;
    }
    return any;
}

/* ---- whole files ---- */

static bool lose_segment(struct sim_host *host, struct prng *prng)
{
    struct places places = {.chosen = 0};
    char path[PATH_SIZE];
    if (!find_places(host, &places)) {
        return false;
    }
    const uint64_t segment = pick_segment(prng, &places);
    size_t size;
    segment_path(segment, path);
    if (sim_disk_bytes(host->platter, path, &size) == NULL || size == 0) {
        return false;
    }
    const uint64_t kind = prng_below(prng, 3);
    if (kind == 0) {
        sim_disk_lose(host->platter, path);
        host->sim->counts.segments_lost++;
        trace_node(host->sim, host->index, "segment %" PRIu64 " of its log is gone", segment);
        return true;
    }
    const uint64_t left = kind == 1 ? 0 : prng_below(prng, size);
    sim_disk_cut(host->platter, path, left);
    host->sim->counts.segments_cut++;
    trace_node(host->sim, host->index, "segment %" PRIu64 " of its log is %" PRIu64 " bytes long",
               segment, left);
    return true;
}

/* Some block of the state file: one copy of four, so it has to be there all the same. Not another
 * one before a start has mended that, or a torn one. */
static void rot_state(struct sim_host *host, struct prng *prng)
{
    const uint64_t slot = prng_below(prng, STATE_SLOTS);
    host->state_whole = false;
    spoil(host, prng, HOST_DIRECTORY "/state", slot * STATE_SLOT_SIZE, STATE_SLOT_SIZE, true);
    host->sim->counts.state_rotted++;
    trace_node(host->sim, host->index, "copy %" PRIu64 " of its state file rots", slot);
}

/* One of the checkpoints that a start may begin from, the newest most often: it is damaged,
 * unreadable in a place, cut short or gone. Then the one before it does, or another replica's (K3).
 */
static bool rot_checkpoint(struct sim_host *host, struct prng *prng)
{
    uint64_t ops[SIM_CHECKPOINTS_MAX];
    uint32_t count = 0;
    size_t size;
    struct storage_error error;
    char path[sizeof HOST_DIRECTORY + 1 + CHECKPOINT_NAME_SIZE];
    char name[CHECKPOINT_NAME_SIZE];
    (void)checkpoint_list_ops(&host->ops, HOST_DIRECTORY, ops, SIM_CHECKPOINTS_MAX, &count, &error);
    if (count == 0) {
        return false;
    }
    const uint64_t op_number = ops[prng_chance(prng, 2, 3) ? 0 : prng_below(prng, count)];
    const uint64_t kind = prng_below(prng, 5);
    checkpoint_file_name(op_number, name);
    (void)snprintf(path, sizeof path, "%s/%s", HOST_DIRECTORY, name);
    if (op_number > host->disk.checkpoint.op ||
        sim_disk_bytes(host->platter, path, &size) == NULL || size == 0) {
        return false; /* nobody's */
    }
    const uint64_t at = prng_below(prng, size);
    if (kind == 0) {
        sim_disk_lose(host->platter, path);
    } else if (kind == 1) {
        sim_disk_cut(host->platter, path, at);
    } else if (kind == 2) {
        spoil(host, prng, path, at / SIM_DISK_SECTOR_SIZE * SIM_DISK_SECTOR_SIZE,
              SIM_DISK_SECTOR_SIZE, true);
    } else if (kind == 3) {
        sim_disk_wear(host->platter, path, at, 1);
        host->sim->counts.sectors_worn++;
    } else {
        sim_disk_rot(host->platter, path, at, 1);
    }
    host->checkpoint_rotten = host->checkpoint_rotten || op_number == host->disk.checkpoint.op;
    host->sim->counts.checkpoints_rotted++;
    trace_node(host->sim, host->index, "its checkpoint of op %" PRIu64 " rots at %" PRIu64,
               op_number, at);
    return true;
}

bool sim_host_rot(struct sim_host *host, struct prng *prng)
{
    const uint64_t kind = prng_below(prng, 4);
    if (prng_chance(prng, 1, 4) && host->state_whole) {
        rot_state(host, prng);
    }
    if (!host_on_disk(host)) {
        return false;
    }
    const bool checkpoint = prng_chance(prng, 1, 3) && rot_checkpoint(host, prng);
    const bool log = !checkpoint || prng_chance(prng, 1, 4);
    const bool rotten = !log        ? false
                        : kind == 0 ? lose_segment(host, prng)
                        : kind == 1 ? rot_sectors(host, prng)
                                    : rot_record(host, prng);
    host->rotten = host->rotten || rotten || checkpoint;
    host->sim->counts.rotted += rotten ? 1 : 0;
    return rotten || checkpoint;
}
