/* SPDX-License-Identifier: Apache-2.0 */
/* applications.h - the applications that a simulated group may run, one instance a replica. */
#ifndef VR_SIM_APPLICATIONS_H
#define VR_SIM_APPLICATIONS_H

#include "test/sim/host.h"
#include "test/sim/options.h"

enum {
    SIM_ACCOUNTS_BALANCE = 1000, /* opening balance of each account */
};

/* Sets tap->inner to a fresh application; what ran before was stopped. */
void sim_application_start(struct sim_application_tap *tap, const struct sim_options *options);
void sim_application_stop(struct sim_application_tap *tap);

/* What is wrong with an application's state by its own account, or NULL. */
const char *sim_application_check(const struct sim_application_tap *tap);

/* A random operation for the application, and whether it only reads. `unique` differs between
 * calls. Returns its size; `operation` has SIM_OPERATION_MAX room. */
enum { SIM_VALUE_MAX = 256 * 1024, SIM_OPERATION_MAX = 2 * SIM_VALUE_MAX };
size_t sim_make_operation(const struct sim_options *options, struct prng *prng, uint64_t unique,
                          uint8_t *operation, bool *is_read);

#endif
