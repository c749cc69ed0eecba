#include "test/sim/applications.h"

#include "common/base/invariant.h"
#include "test/sim/memory.h"
#include "test/support/accounts.h"

void sim_application_start(struct sim_application_tap *tap, const struct sim_options *options)
{
    struct accounts *accounts = sim_memory_room(&tap->memory, sizeof *accounts);
    accounts_init(accounts, options->key_count, SIM_ACCOUNTS_BALANCE);
    tap->inner = accounts_app(accounts);
}

void sim_application_stop(struct sim_application_tap *tap, const struct sim_options *options)
{
    (void)tap;
    (void)options;
}

const char *sim_application_check(const struct sim_application_tap *tap,
                                  const struct sim_options *options)
{
    (void)options;
    return accounts_check(tap->memory.bytes);
}

size_t sim_make_operation(const struct sim_options *options, struct prng *prng, uint64_t unique,
                          uint8_t *operation, bool *is_read)
{
    (void)unique;
    const size_t size = accounts_random(prng, options->key_count, operation);
    *is_read = operation[0] != ACCOUNTS_TRANSFER;
    return size;
}
