/* SPDX-License-Identifier: Apache-2.0 */
/* exit_code.h - what programs that call vr-client rely on. */
#ifndef VR_CLI_EXIT_CODE_H
#define VR_CLI_EXIT_CODE_H

enum exit_code {
    EXIT_DONE = 0,
    EXIT_DEFINITE_FAILURE = 1, /* key not found, cas mismatch, a value that is too large */
    EXIT_USAGE = 2,
    EXIT_DEGRADED = 3,    /* status only */
    EXIT_UNAVAILABLE = 4, /* and surely not executed */
    EXIT_UNKNOWN = 5,     /* may have been executed; of status: nobody answers */
    EXIT_NOT_PERMITTED = 6,
    EXIT_WRONG_GROUP = 7, /* another cluster or version */
    EXIT_INTERNAL = 70,
    EXIT_IO = 74,
    EXIT_CONFIGURATION = 78,
};

#endif
