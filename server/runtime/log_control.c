/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/log_control.h"

#include <stdatomic.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/logger.h"

enum { REFUSAL_SILENCE_S = 60 };

/* Whatever the levels are, so that the new ones cannot hide it. A request that comes again, because
 * its answer was lost, changes nothing and is not logged again. */
static void say_change(const char *before, const char *now, const struct net_address *asker)
{
    char address[NET_ADDRESS_TEXT_MAX];
    if (strcmp(before, now) != 0) {
        logger_announce(LOG_ADMIN, "log levels are %s now and were %s: changed by %s", now, before,
                        net_address_text(asker, address));
    }
}

/* Once a minute: whoever is refused must not fill the log instead. */
static void say_refusal(const struct net_address *asker)
{
    static atomic_uint_least64_t silent_until_ns;
    char address[NET_ADDRESS_TEXT_MAX];
    const uint64_t now_ns = clock_monotonic_ns();
    if (now_ns < atomic_load(&silent_until_ns)) {
        return;
    }
    atomic_store(&silent_until_ns, now_ns + REFUSAL_SILENCE_S * NANOSECONDS_PER_SECOND);
    log_problem(ERROR_NOT_PERMITTED,
                "%s asked to change log levels and was refused: it is another machine, and nothing "
                "proves who that is. Ask from this machine",
                net_address_text(asker, address));
}

enum log_level_outcome log_control(const char *wanted, const struct net_address *asker,
                                   bool permitted, char now[LOG_LEVELS_TEXT_MAX])
{
    char before[LOG_LEVELS_TEXT_MAX];
    struct log_levels levels;
    logger_levels(&levels);
    (void)log_levels_text(&levels, before);
    (void)log_levels_text(&levels, now);
    if (wanted[0] == '\0') {
        return LOG_LEVELS_TOLD;
    }
    if (!permitted) {
        say_refusal(asker);
        return LOG_LEVELS_NOT_PERMITTED;
    }
    if (!logger_change_levels(wanted, &levels)) {
        return LOG_LEVELS_UNKNOWN;
    }
    say_change(before, log_levels_text(&levels, now), asker);
    return LOG_LEVELS_CHANGED;
}
