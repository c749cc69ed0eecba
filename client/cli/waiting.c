/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/waiting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/interrupt.h"
#include "client/cli/terminal.h"
#include "common/os/clock.h"

enum { ANSWERING_MS = 1000 }; /* from then on it matters who answers */

static double seconds(uint64_t ms)
{
    return (double)ms / 1000.0;
}

/* "primary 1 silent, asking all replicas (1.8 s)" */
static void say_silence(const struct vr_client_info *before, const struct vr_client_info *now,
                        char silence[WAITING_TEXT_MAX])
{
    char who[64] = "no primary known";
    if (before->primary_known) {
        (void)snprintf(who, sizeof who, "primary %" PRIu32 " silent", before->primary_id);
    }
    (void)snprintf(silence, WAITING_TEXT_MAX, "%s, asking all replicas (%.1f s)", who,
                   seconds(now->silent_ms));
}

/* ", 2 answer, 3 needed": whether it can end by itself. */
static void say_answering(const struct vr_client_info *now, char text[64])
{
    text[0] = '\0';
    if (now->silent_ms >= ANSWERING_MS && now->needed_count > 0) {
        (void)snprintf(text, 64, ", %" PRIu32 " answer%s, %" PRIu32 " needed", now->answering_count,
                       now->answering_count == 1 ? "s" : "", now->needed_count);
    }
}

void waiting_text(const struct vr_client_info *before, const struct vr_client_info *now,
                  uint64_t waited_ms, char silence[WAITING_TEXT_MAX], char text[WAITING_TEXT_MAX])
{
    if (now->silent_ms > 0) {
        char answering[64];
        say_silence(before, now, silence);
        say_answering(now, answering);
        (void)snprintf(text, WAITING_TEXT_MAX, "%.160s%s ...", silence, answering);
    } else if (now->busy_ms > 0) {
        (void)snprintf(text, WAITING_TEXT_MAX, "busy: %s (%.1f s) ...", now->busy_reason,
                       seconds(now->busy_ms));
    } else if (now->primary_known && silence[0] != '\0') {
        (void)snprintf(text, WAITING_TEXT_MAX, "%.160s ... view %" PRIu64 ", primary %" PRIu32,
                       silence, now->view, now->primary_id);
    } else if (now->primary_known) {
        (void)snprintf(text, WAITING_TEXT_MAX,
                       "primary %" PRIu32 " of view %" PRIu64 " has not answered yet (%.1f s) ...",
                       now->primary_id, now->view, seconds(waited_ms));
    } else {
        (void)snprintf(text, WAITING_TEXT_MAX, "no answer yet (%.1f s) ...", seconds(waited_ms));
    }
}

/* ---- the line ---- */

/* Over what stands there. */
static void write_in_place(const char *text)
{
    const size_t columns = terminal_columns(stderr);
    (void)fprintf(stderr, "\r%.*s\033[K", (int)(columns - 1), text);
    (void)fflush(stderr);
}

static void show(struct waiting *waiting, uint64_t waited_ms)
{
    struct vr_client_info now;
    char text[WAITING_TEXT_MAX];
    vr_client_info(waiting->client, &now);
    waiting_text(&waiting->before, &now, waited_ms, waiting->silence, text);
    if (waiting->in_place && strcmp(text, waiting->shown) != 0) {
        write_in_place(text);
        (void)snprintf(waiting->shown, sizeof waiting->shown, "%s", text);
    } else if (!waiting->in_place && !waiting->on_screen) {
        (void)fputs(text, stderr); /* once: what was written stays */
        (void)fflush(stderr);
    }
    waiting->on_screen = true;
}

/* The line says how it ended, and is left. */
static void finish(struct waiting *waiting, const struct vr_result *ended)
{
    struct vr_client_info now;
    vr_client_info(waiting->client, &now);
    if (ended->outcome == VR_OK && now.primary_known && waiting->in_place &&
        waiting->silence[0] != '\0') {
        char text[WAITING_TEXT_MAX];
        (void)snprintf(text, sizeof text, "%.160s ... view %" PRIu64 ", primary %" PRIu32,
                       waiting->silence, now.view, now.primary_id);
        write_in_place(text);
    } else if (ended->outcome == VR_OK && now.primary_known) {
        (void)fprintf(stderr, " view %" PRIu64 ", primary %" PRIu32, now.view, now.primary_id);
    }
    (void)fputc('\n', stderr);
    waiting->on_screen = false;
}

void waiting_begin(struct waiting *waiting)
{
    waiting->under_way = false;
    waiting->on_screen = false;
    if (waiting->client != NULL) {
        vr_client_info(waiting->client, &waiting->before);
    }
}

bool waiting_step(void *context, const struct vr_result *ended)
{
    struct waiting *waiting = context;
    if (ended != NULL) {
        if (waiting->on_screen) {
            finish(waiting, ended);
        } else if (waiting->shown_to_user && interrupt_seen()) {
            (void)fputc('\n', stderr); /* behind the terminal's ^C */
        }
        waiting->under_way = false;
        return true;
    }
    const uint64_t now_ns = clock_monotonic_ns();
    if (!waiting->under_way) {
        waiting->under_way = true;
        waiting->began_ns = now_ns - VR_WAITING_MS * NANOSECONDS_PER_MILLISECOND;
        waiting->silence[0] = '\0';
        waiting->shown[0] = '\0';
    }
    const uint64_t waited_ms = (now_ns - waiting->began_ns) / NANOSECONDS_PER_MILLISECOND;
    if (waiting->shown_to_user && waited_ms >= WAITING_QUIET_MS) {
        show(waiting, waited_ms);
    }
    return !interrupt_seen();
}
