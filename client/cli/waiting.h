/* SPDX-License-Identifier: Apache-2.0 */
/* waiting.h - what a command waits for, told while it waits: nothing for the first moment, then a
 * line on stderr, updated in place until the answer is there.
 *
 *     primary 1 silent, asking all replicas (0.8 s) ... view 12, primary 2
 *
 * Threads: main's; waiting_step() is called by the library within a call of main's. */
#ifndef VR_CLI_WAITING_H
#define VR_CLI_WAITING_H

#include "client/lib/vr/client.h"

enum {
    WAITING_QUIET_MS = 300, /* a wait shorter than that is none */
    WAITING_TEXT_MAX = 256,
};

/* All zero: nothing is told, but Ctrl-C still cancels. */
struct waiting {
    struct vr_client *client; /* NULL: not open yet */
    bool shown_to_user;       /* stderr is a terminal, and words are wanted */
    bool in_place;            /* and it can go back to the line's begin */
    /* Of the wait under way. */
    bool under_way;
    uint64_t began_ns;
    struct vr_client_info before;   /* what the command began with */
    bool on_screen;                 /* the cursor stands behind the line */
    char silence[WAITING_TEXT_MAX]; /* the latest words about a silent primary */
    char shown[WAITING_TEXT_MAX];   /* what stands on the screen */
};

/* A command begins: what is known of the group now is what it is compared with. */
void waiting_begin(struct waiting *waiting);

/* The library's vr_waiting: shows the line, cancels after Ctrl-C. `context` is a struct waiting. */
bool waiting_step(void *context, const struct vr_result *ended);

/* What is waited for, in words: pure. `silence` is as in the struct; may be "". */
void waiting_text(const struct vr_client_info *before, const struct vr_client_info *now,
                  uint64_t waited_ms, char silence[WAITING_TEXT_MAX], char text[WAITING_TEXT_MAX]);

#endif
