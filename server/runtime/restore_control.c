/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/restore_control.h"

#include <stdatomic.h>

#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/logger.h"

enum { SILENCE_S = 60 };

static bool may_say(atomic_uint_least64_t *silent_until_ns)
{
    const uint64_t now_ns = clock_monotonic_ns();
    if (now_ns < atomic_load(silent_until_ns)) {
        return false;
    }
    atomic_store(silent_until_ns, now_ns + SILENCE_S * NANOSECONDS_PER_SECOND);
    return true;
}

bool restore_control(const struct net_address *asker, bool permitted)
{
    static atomic_uint_least64_t refusals_silent_until_ns;
    static atomic_uint_least64_t requests_silent_until_ns;
    char address[NET_ADDRESS_TEXT_MAX];
    if (permitted && may_say(&requests_silent_until_ns)) {
        logger_announce(LOG_ADMIN, "unsafe-restore asked for by %s",
                        net_address_text(asker, address));
    } else if (!permitted && may_say(&refusals_silent_until_ns)) {
        log_problem(ERROR_NOT_PERMITTED,
                    "%s asked for an unsafe-restore and was refused: it is another machine, and "
                    "nothing proves who that is. Ask from this machine",
                    net_address_text(asker, address));
    }
    return permitted;
}
