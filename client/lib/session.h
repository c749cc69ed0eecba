/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - what a session of the library is; within client/lib only. */
#ifndef VR_CLIENT_SESSION_H
#define VR_CLIENT_SESSION_H

#include <pthread.h>
#include <stdio.h>

#include "client/lib/driver.h"
#include "client/lib/explain.h"
#include "client/lib/vr/client.h"

enum vr_session_state {
    SESSION_READY,     /* a request may be submitted */
    SESSION_IN_FLIGHT, /* the operation is borrowed by the driver */
    SESSION_ENDED,     /* the result was not taken yet */
};

/* Guarded by the client's mutex, but for client and index, which never change. */
struct vr_session {
    struct vr_client *client;
    uint32_t index; /* the driver's */
    enum vr_session_state state;
    uint8_t *operation; /* kept for the session's life, as large as the largest so far */
    size_t operation_capacity;
    size_t operation_size;
    uint64_t submitted_ns;
    vr_callback *callback; /* NULL: somebody waits or polls */
    void *context;
    struct vr_result result;
    void *kv_memory; /* KV_ARENA_SIZE bytes, reserved by the first key-value result */
    struct vr_session *next_ended;
    pthread_cond_t ended;
};

/* Fills in the result of a request that ended; copies the application's bytes. */
void result_fill(struct vr_result *result, const struct driver_done *done,
                 const struct proxy_view *view, const struct explain_request *request);

/* Fills in a result that failed before anything was sent. Returns VR_FAILED. */
enum vr_outcome result_fail(struct vr_result *result, enum vr_error error, const char *message);

#endif
