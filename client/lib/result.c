/* SPDX-License-Identifier: Apache-2.0 */
/* How a request's end becomes a struct vr_result. */
#include <stdlib.h>
#include <string.h>

#include "client/lib/session.h"

const char *vr_error_name(enum vr_error error)
{
    switch (error) {
    case VR_ERROR_NONE:
        return "none";
    case VR_ERROR_UNAVAILABLE:
        return "unavailable";
    case VR_ERROR_BUSY:
        return "busy";
    case VR_ERROR_SESSION_EXPIRED:
        return "session_expired";
    case VR_ERROR_SESSION_MISUSED:
        return "session_misused";
    case VR_ERROR_TOO_LARGE:
        return "too_large";
    case VR_ERROR_WRONG_CLUSTER:
        return "wrong_cluster";
    case VR_ERROR_WRONG_VERSION:
        return "wrong_version";
    case VR_ERROR_WRONG_PORT:
        return "wrong_port";
    case VR_ERROR_CANCELLED:
        return "cancelled";
    case VR_ERROR_NO_MEMORY:
        return "no_memory";
    case VR_ERROR_NOT_FOUND:
        return "not_found";
    case VR_ERROR_MISMATCH:
        return "mismatch";
    case VR_ERROR_NOT_A_NUMBER:
        return "not_a_number";
    case VR_ERROR_OVERFLOW:
        return "overflow";
    case VR_ERROR_REFUSED:
        return "refused";
    case VR_ERROR_BAD_RESULT:
        return "bad_result";
    case VR_ERROR_STORE_FULL:
        return "store_full";
    }
    return "?";
}

void vr_result_free(struct vr_result *result)
{
    free(result->data);
    result->data = NULL;
    result->size = 0;
}

static enum vr_error error_of(enum proxy_error error)
{
    switch (error) {
    case PROXY_ERROR_NONE:
        return VR_ERROR_NONE;
    case PROXY_ERROR_TIMEOUT:
        return VR_ERROR_UNAVAILABLE;
    case PROXY_ERROR_BUSY:
        return VR_ERROR_BUSY;
    case PROXY_ERROR_SESSION_EXPIRED:
        return VR_ERROR_SESSION_EXPIRED;
    case PROXY_ERROR_PAYLOAD_MISMATCH:
        return VR_ERROR_SESSION_MISUSED;
    case PROXY_ERROR_TOO_LARGE:
        return VR_ERROR_TOO_LARGE;
    case PROXY_ERROR_WRONG_CLUSTER:
        return VR_ERROR_WRONG_CLUSTER;
    case PROXY_ERROR_WRONG_VERSION:
        return VR_ERROR_WRONG_VERSION;
    case PROXY_ERROR_WRONG_PORT:
        return VR_ERROR_WRONG_PORT;
    case PROXY_ERROR_NOT_A_READ:
        return VR_ERROR_REFUSED;
    case PROXY_ERROR_CANCELLED:
        return VR_ERROR_CANCELLED;
    }
    return VR_ERROR_NONE;
}

static enum vr_outcome outcome_of(enum proxy_outcome outcome)
{
    switch (outcome) {
    case PROXY_OK:
        return VR_OK;
    case PROXY_FAILED:
        return VR_FAILED;
    case PROXY_UNKNOWN:
        break;
    }
    return VR_UNKNOWN;
}

enum vr_outcome result_fail(struct vr_result *result, enum vr_error error, const char *message)
{
    memset(result, 0, sizeof *result);
    result->outcome = VR_FAILED;
    result->error = error;
    (void)snprintf(result->message, sizeof result->message, "%s", message);
    return VR_FAILED;
}

/* Keeps the application's bytes. They are lost if memory is short, though the operation was
 * executed: that, too, is an outcome that is not known. */
static void keep_data(struct vr_result *result, const struct driver_done *done)
{
    if (done->outcome != PROXY_OK || done->result_size == 0) {
        return;
    }
    result->data = malloc(done->result_size);
    if (result->data == NULL) {
        result->outcome = VR_UNKNOWN;
        result->error = VR_ERROR_NO_MEMORY;
        (void)snprintf(result->message, sizeof result->message,
                       "executed, but there is no memory for its result");
        return;
    }
    memcpy(result->data, done->result, done->result_size);
    result->size = done->result_size;
}

void result_fill(struct vr_result *result, const struct driver_done *done,
                 const struct proxy_view *view, const struct explain_request *request)
{
    memset(result, 0, sizeof *result);
    result->outcome = outcome_of(done->outcome);
    result->error = error_of(done->error);
    result->epoch = view_epoch(done->view_number);
    result->view = view_within_epoch(done->view_number);
    result->op_number = done->op_number;
    result->commit_number = done->commit_number;
    result->retries = done->retries;
    keep_data(result, done);
    if (done->error != PROXY_ERROR_NONE) {
        explain_failure(view, request, result->message, sizeof result->message);
    }
}
