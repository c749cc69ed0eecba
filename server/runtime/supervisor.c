/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/supervisor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/os/service.h"

const char *supervisor_text(const struct health *health, const struct health_published *published,
                            char text[SUPERVISOR_TEXT_MAX])
{
    const struct vr_snapshot *now = &published->snapshot;
    char note[HEALTH_NOTE_MAX];
    const char *role = vr_status_name(now->status);
    const char *of = "in";
    if (now->status == STATUS_NORMAL) {
        role = now->acting_primary ? "primary" : "backup";
        of = "of";
    }
    (void)health_note(health, published, note);
    (void)snprintf(text, SUPERVISOR_TEXT_MAX, "STATUS=%s %s view %" PRIu64 "%s%s", role, of,
                   view_within_epoch(now->view_number), note[0] == '\0' ? "" : ": ", note);
    return text;
}

/* Says it once for each change. */
static void tell_state(struct health *health, char said[SUPERVISOR_TEXT_MAX])
{
    struct health_published published;
    char text[SUPERVISOR_TEXT_MAX];
    health_published(health, &published);
    if (published.published_ns != 0 &&
        strcmp(supervisor_text(health, &published, text), said) != 0) {
        service_notify(text);
        memcpy(said, text, SUPERVISOR_TEXT_MAX);
    }
}

int supervisor_serve(struct health *health, struct stop_signal *stop)
{
    char said[SUPERVISOR_TEXT_MAX] = "";
    int number = 0;
    service_notify("READY=1");
    if (service_is_supervised()) {
        do {
            tell_state(health, said);
        } while (!stop_signal_wait_for(stop, SUPERVISOR_STEP_MS, &number));
    } else {
        number = stop_signal_wait(stop);
    }
    service_notify("STOPPING=1");
    return number;
}
