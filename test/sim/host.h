/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - one replica's machine: what server/runtime and the operating system are to a real one.
 *
 * Mode memory: a crash takes the log and all volatile state. Modes async and sync: the real
 * write-ahead log on a simulated disk; the end of a process takes what was not handed to the disk,
 * the end of a machine what was not synced. The state file is the real one, on the same disk, in
 * every mode. */
#ifndef VR_SIM_HOST_H
#define VR_SIM_HOST_H

#include "common/wire/reassembler.h"
#include "common/wire/sender.h"
#include "server/app/kv.h"
#include "server/executor/executor.h"
#include "server/storage/checkpoint_reader.h"
#include "server/storage/checkpoint_receiver.h"
#include "server/storage/checkpoint_writer.h"
#include "server/storage/log_queue.h"
#include "server/storage/state_file.h"
#include "server/vr/vr.h"
#include "test/sim/memory.h"
#include "test/sim/network.h"
#include "test/support/accounts.h"
#include "test/support/checkers.h"
#include "test/support/sim_disk.h"

struct sim;

enum {
    SIM_INBOX_MAX = 1024,     /* datagrams that wait in one socket */
    SIM_STATE_WRITES = 16,    /* state-file writes under way */
    SIM_LOG_WRITES = 4096,    /* log writes under way */
    SIM_READY_MAX = 64,       /* completions to be stepped before the next flush */
    SIM_FLUSHES_MAX = 1024,   /* vr_flush() calls of one drain, at most */
    SIM_LOOKUPS_MAX = 256,    /* look-ups that wait for the executor */
    SIM_READS_MAX = 256,      /* reads that wait for the executor */
    SIM_EXECUTE_MAX = 64,     /* entries of one executor turn */
    SIM_CHECKPOINTS_MAX = 16, /* kept at once */
    SIM_PIECES_MAX = 32,      /* of a checkpoint, that wait for the disk */
};

/* The application of one replica, with a tap between executor and application (I3). */
struct sim_application_tap {
    struct app app; /* what the executor sees */
    struct app inner;
    struct kv *kv; /* one of the two */
    struct accounts accounts;
};

/* A read beside the log, behind what was handed over before it. */
struct sim_read {
    struct vr_output output;
    uint64_t after_op;
    uint8_t operation[READ_SIZE_MAX];
};

struct sim_inbox {
    uint32_t datagrams[SIM_INBOX_MAX];   /* a ring */
    uint64_t received_ns[SIM_INBOX_MAX]; /* by the own clock; 0: while paused */
    uint32_t head;
    uint32_t count;
};

/* Taking a checkpoint: what the next event does of it. */
enum sim_taking {
    SIM_TAKING_NOTHING,
    SIM_TAKING_CONTENT,
    SIM_TAKING_FINISH,
    SIM_TAKING_NAME, /* in the state file */
    SIM_TAKING_TELL, /* the core */
};

/* The same of installing one. */
enum sim_installing {
    SIM_INSTALLING_NOTHING,
    SIM_INSTALLING_FINISH,
    SIM_INSTALLING_NAME,
    SIM_INSTALLING_RESTART, /* the log */
    SIM_INSTALLING_LOAD,
};

/* A chunk that came, or a piece of the list, on its way into the file. */
struct sim_piece {
    struct checkpoint_id id;
    bool list;
    uint64_t index;
    uint32_t size;
    uint8_t *bytes;
};

struct sim_host {
    struct sim *sim;
    uint32_t index;
    uint64_t life; /* rises with every crash and start */
    bool running;
    bool paused;
    uint64_t resume_ns;
    uint32_t crash_after; /* outputs to carry out until it crashes; 0: not armed */
    bool crash_at_write;  /* armed by the next write of the state file */
    bool crash_machine;   /* what is armed takes the machine, not the process alone */
    bool disk_armed;      /* a call of the disk, soon, is its last or fails */
    bool lost;            /* its next start recovers, or this one still does (D6) */
    bool rotten;          /* its log was damaged, and is not whole again */
    bool refused;         /* it would not start from its log: the next start does without (D11) */
    uint64_t boot;        /* of the machine */
    bool replaced;        /* its data directory was lost and made anew: refused for ever (D10) */
    bool differ_armed;    /* its state is to differ from the next write on (K4) */
    bool differs;         /* it does: unlike what everybody else's is at the same op */
    bool suspect;         /* the same, until a start or a recovery has put an end to it */
    bool leaving;         /* it has found that out itself */

    /* The state file, and what is being written to it. */
    enum durability durability; /* of the last start; of the first one to come */
    struct durable_state disk;  /* what is known to be in it */
    struct state_file state_file;
    bool state_open;
    bool state_whole; /* all its copies were, after the last start that read it */
    bool log_void;    /* whatever is written to it says that the log does not count (D4) */
    struct {
        uint64_t number;
        struct vr_durable_state state;
    } state_writes[SIM_STATE_WRITES]; /* oldest first */
    uint32_t state_write_count;
    struct sim_durable reported; /* what the core was told is durable */
    struct {
        uint64_t generation;
        uint64_t op_number;
    } log_writes[SIM_LOG_WRITES]; /* by number, modulo */
    uint64_t log_write_number;
    uint64_t log_generation;
    uint64_t log_last_ns; /* completions of one generation come in order */
    uint64_t durable_op;  /* reported, and not cut since */
    uint64_t vote_heard;  /* the latest view that others voted for since the start (V2) */
    struct vr_event ready[SIM_READY_MAX];
    uint32_t ready_count;

    /* The log on the disk. */
    struct sim_disk *platter;
    struct file_ops ops;
    bool log_open; /* wal and queue are */
    struct wal wal;
    struct wal_found found;
    struct vr_log log; /* as the start found it */
    struct log_queue queue;
    struct log_queue_half *half; /* being written or synced */
    struct wal_head promised;    /* D5: how far it had a log, by its own word, when it ended */
    bool log_write_scheduled;
    bool log_sync_scheduled; /* async */

    /* The clock: local = offset + rate / 1000 * virtual time. */
    uint64_t clock_offset_ns;
    uint64_t clock_rate;
    int64_t wall_offset_ns;
    uint64_t timer_at_ns; /* virtual time of the earliest timer event; UINT64_MAX: none */
    bool drain_scheduled;

    /* The core. */
    struct sim_memory memory;
    struct sim_memory log_memory;
    struct sim_memory staging_memory;
    struct replica *replica; /* NULL while down */
    struct vr_outputs outputs;
    struct vr_snapshot snapshot;
    struct sim_observed observed; /* chain: below */
    struct checksum *chain;
    size_t chain_capacity;
    uint64_t chain_op; /* chain holds checksums up to here */
    bool was_recovering;
    bool was_faulty;
    bool resumed; /* D5 */

    /* The executor. */
    struct sim_memory executor_memory;
    struct executor *executor;
    struct sim_application_tap application;
    struct vr_execution *executions; /* handed over, by op modulo EXECUTE_LAG_MAX */
    uint64_t execute_to;
    bool execute_scheduled;
    struct sim_request_key executing; /* session 0: a look-up, which must only read */
    struct vr_output lookups[SIM_LOOKUPS_MAX];
    uint32_t lookup_count;
    struct sim_read reads[SIM_READS_MAX]; /* oldest first */
    uint32_t read_count;

    /* Checkpoints. */
    struct checkpoint_id base; /* this start begins from it (K3); op 0: from none */
    bool base_lost;            /* the state file named one, and none can be read */
    bool checkpoint_rotten;    /* the newest one was damaged, and none was named since */
    struct checkpoint_id kept[SIM_CHECKPOINTS_MAX]; /* durable, and named: newest first */
    uint32_t kept_count;
    enum sim_taking taking;
    uint64_t taking_number;     /* rises with each that is begun: what an event belongs to */
    struct checkpoint_id taken; /* but size and root, until it is finished */
    bool taken_differs;         /* K4: of a state that does */
    struct checkpoint_writer writer;
    bool writing;
    enum sim_installing installing;
    struct checkpoint_id installed;
    struct checkpoint_receiver receiver;
    bool receiving;
    struct sim_piece pieces[SIM_PIECES_MAX]; /* oldest first */
    uint32_t piece_count;
    struct checkpoint_reader reader; /* of what is served */
    bool reading;
    uint64_t drop_through;           /* ops that the log may lack on the disk, */
    uint64_t drop_below;             /* and checkpoints that may be missing */
    uint64_t drop_but[REPLICAS_MAX]; /* but these, which somebody pulls */
    uint32_t drop_but_count;

    /* The sockets. */
    struct sim_inbox inboxes[2]; /* [enum sim_lane] */
    struct sim_memory sender_memory[2];
    struct sim_memory reassembler_memory[2];
    struct wire_sender *senders[2];
    struct wire_reassembler *reassemblers[2];
    uint8_t token_secret[WIRE_TOKEN_SECRET_SIZE];
};

/* A fresh data directory, for a new run. */
void sim_host_reset(struct sim_host *host, struct sim *sim, uint32_t index);
void sim_host_free(struct sim_host *host);

/* In this mode (D11). */
void sim_host_start(struct sim_host *host, enum durability durability);

/* While it is down: an empty data directory in the place of its own, as `init` makes one. */
void sim_host_lose_disk(struct sim_host *host);

/* How a process ends. */
enum sim_end {
    SIM_END_KILLED,
    SIM_END_POWER, /* and its machine with it */
    SIM_END_CLEAN, /* SIGTERM: it says Goodbye first (V1) */
};

/* At once. */
void sim_host_crash(struct sim_host *host, enum sim_end end);

/* True if an end of this kind makes it forget what it acked. */
bool sim_host_would_forget(const struct sim_host *host, enum sim_end end);

/* Arms a call of its disk, soon: the process or the machine ends in the midst of it, or it fails
 * (D4), as `status`, a negative errno, says; 0: the former. */
void sim_host_arm_disk(struct sim_host *host, struct prng *prng, enum sim_end end, int status);
void sim_host_disarm_disk(struct sim_host *host);

/* While it is down: damages its log or its state file (host_rot.c). False if there is nothing that
 * may be damaged. */
bool sim_host_rot(struct sim_host *host, struct prng *prng);

/* The next start that reads cannot, at some place. */
void sim_host_arm_read(struct sim_host *host, struct prng *prng);

/* While it is down, and its state file says that it has diverged (K4): may it be rebuilt? */
bool sim_host_may_rebuild(const struct sim_host *host);

/* K4: nobody is in service with another state than a quorum of others has told it of. */
void sim_hosts_judge_differences(struct sim *sim);

/* Down, about to be, recovering or a stranger: it has no memory of what it acked. */
bool sim_host_forgot(const struct sim_host *host);

/* Events of the schedule. */
void sim_host_deliver(struct sim_host *host, uint64_t datagram);
void sim_host_event(struct sim_host *host, const struct sim_event *event);
void sim_host_pause(struct sim_host *host, uint64_t until_ns);
void sim_host_resume(struct sim_host *host);

/* Adds what the replica counted to the run's counts; at every end of a process. */
void sim_host_count(struct sim_host *host);

#endif
