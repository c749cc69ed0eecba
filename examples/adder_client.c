/* SPDX-License-Identifier: Apache-2.0 */
/* adder_client.c - calls the application of adder_server.c.
 *
 *     cc -o adder_client adder_client.c $(pkg-config --cflags --libs vrclient)
 *     ./adder_client CLUSTER [NUMBER]     adds NUMBER, or only reads; prints the sum */
#include <stdio.h>
#include <string.h>
#include <vr/client.h>

int main(int argc, char **argv)
{
    struct vr_client *client;
    char message[VR_MESSAGE_MAX];
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: adder_client CLUSTER [NUMBER]\n");
        return 2;
    }
    if (vr_client_open(argv[1], NULL, &client, message) != 0) {
        fprintf(stderr, "adder_client: %s\n", message);
        return 2;
    }
    struct vr_session *session = vr_session_open(client);
    const char *operation = argc == 3 ? argv[2] : "";
    struct vr_result result = {0};
    int exit_code = 0;
    if (session == NULL || vr_call(session, operation, strlen(operation), argc == 3 ? 0 : VR_READ,
                                   VR_TIMEOUT_DEFAULT, &result) != VR_OK) {
        /* VR_UNKNOWN: it may have been added, or may yet be; a program must not add it again. */
        fprintf(stderr, "adder_client: %s\n", result.message);
        exit_code = result.outcome == VR_UNKNOWN ? 5 : 4;
    } else {
        printf("%.*s\n", (int)result.size, (const char *)result.data);
    }
    vr_result_free(&result);
    vr_client_close(client);
    return exit_code;
}
