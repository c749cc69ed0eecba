/* SPDX-License-Identifier: Apache-2.0 */
/* common/os/datagram_socket: batches, and what UDP does to those who trust it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/datagram_socket.h"
#include "common/os/endpoint.h"

enum {
    TIMEOUT_MS = 50,
    ATTEMPTS_MAX = 200, /* of TIMEOUT_MS each: how long a test waits before it fails */
};

static struct net_address address_of(const char *host, uint16_t port)
{
    struct net_address address;
    struct endpoint_error error;
    ck_assert(endpoint_resolve(host, port, &address, &error));
    return address;
}

static void open_on(struct datagram_socket *sock, const char *host)
{
    const struct net_address address = address_of(host, 0);
    ck_assert_int_eq(datagram_socket_open(sock, &address, TIMEOUT_MS), 0);
    ck_assert_uint_ne(sock->bound.port, 0);
}

static void send_bytes(struct datagram_socket *sock, const struct net_address *to,
                       const void *bytes, size_t size)
{
    const struct datagram_out out = {.address = *to, .bytes = bytes, .size = size};
    datagram_send(sock, &out, 1);
}

/* Receives until something comes. */
static size_t receive(struct datagram_socket *sock, struct datagram_receiver *receiver)
{
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        const size_t count = datagram_receive(sock, receiver, UINT64_MAX);
        if (count > 0) {
            return count;
        }
    }
    ck_abort_msg("nothing came");
    return 0;
}

static struct datagram_socket a;
static struct datagram_socket b;
static struct datagram_receiver receiver;

static void open_two(void)
{
    open_on(&a, "127.0.0.1");
    open_on(&b, "127.0.0.1");
    ck_assert_int_eq(datagram_receiver_init(&receiver), 0);
}

static void close_two(void)
{
    datagram_receiver_destroy(&receiver);
    datagram_socket_close(&b);
    datagram_socket_close(&a);
}

START_TEST(many_datagrams_in_few_calls)
{
    enum { COUNT = 3 * DATAGRAM_BATCH_MAX / 2 };
    static uint8_t bytes[COUNT];
    static struct datagram_out out[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        bytes[i] = (uint8_t)i;
        out[i] = (struct datagram_out){.address = b.bound, .bytes = &bytes[i], .size = 1};
    }
    datagram_send(&a, out, COUNT);
    ck_assert_uint_eq(atomic_load(&a.counters.sent), COUNT);
    ck_assert_uint_eq(atomic_load(&a.counters.send_calls), 2);
    size_t next = 0;
    while (next < COUNT) {
        const size_t count = receive(&b, &receiver);
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_eq(receiver.items[i].size, 1);
            ck_assert_uint_eq(receiver.items[i].bytes[0], next);
            ck_assert(net_address_equal(&receiver.items[i].address, &a.bound));
            next++;
        }
    }
    ck_assert_uint_eq(atomic_load(&b.counters.received), COUNT);
}
END_TEST

START_TEST(largest_datagram_arrives_whole)
{
    static uint8_t bytes[DATAGRAM_SIZE_MAX];
    memset(bytes, 7, sizeof bytes);
    send_bytes(&a, &b.bound, bytes, sizeof bytes);
    ck_assert_uint_eq(receive(&b, &receiver), 1);
    ck_assert_uint_eq(receiver.items[0].size, sizeof bytes);
    ck_assert_mem_eq(receiver.items[0].bytes, bytes, sizeof bytes);
}
END_TEST

/* PITFALLS UDP-3: a datagram of no bytes is a datagram, and no end of anything. */
START_TEST(empty_datagram_is_legal)
{
    send_bytes(&a, &b.bound, "", 0);
    send_bytes(&a, &b.bound, "x", 1);
    size_t sizes[2];
    size_t got = 0;
    while (got < 2) {
        const size_t count = receive(&b, &receiver);
        for (size_t i = 0; i < count; i++) {
            sizes[got++] = receiver.items[i].size;
        }
    }
    ck_assert_uint_eq(sizes[0], 0);
    ck_assert_uint_eq(sizes[1], 1);
}
END_TEST

/* PITFALLS UDP-3: what is longer than any datagram of ours is dropped and counted. IPv6 allows 20
 * bytes more than IPv4. */
START_TEST(truncated_datagram_is_dropped)
{
    static uint8_t bytes[DATAGRAM_SIZE_MAX + 20];
    struct datagram_socket from;
    struct datagram_socket to;
    const struct net_address loopback = address_of("::1", 0);
    if (datagram_socket_open(&from, &loopback, TIMEOUT_MS) != 0) {
        return; /* a machine without IPv6 cannot send one */
    }
    open_on(&to, "::1");
    send_bytes(&from, &to.bound, bytes, sizeof bytes);
    send_bytes(&from, &to.bound, "x", 1);
    ck_assert_uint_eq(atomic_load(&from.counters.sent), 2);
    ck_assert_uint_eq(receive(&to, &receiver), 1);
    ck_assert_uint_eq(receiver.items[0].size, 1);
    ck_assert_uint_eq(atomic_load(&to.counters.truncated), 1);
    datagram_socket_close(&to);
    datagram_socket_close(&from);
}
END_TEST

/* PITFALLS TH-2: a receive ends by itself, so that whoever receives can be told to stop. */
START_TEST(receive_ends_without_a_datagram)
{
    const uint64_t before_ns = clock_monotonic_ns();
    ck_assert_uint_eq(datagram_receive(&b, &receiver, UINT64_MAX), 0);
    ck_assert_uint_ge(clock_monotonic_ns() - before_ns,
                      (TIMEOUT_MS - 5) * NANOSECONDS_PER_MILLISECOND);
    ck_assert_uint_eq(datagram_receive(&b, &receiver, 0), 0);
    ck_assert(!datagram_waiting(&b));
    send_bytes(&a, &b.bound, "x", 1);
    ck_assert(datagram_waiting(&b));
    ck_assert_uint_eq(datagram_receive(&b, &receiver, 0), 1);
}
END_TEST

/* PITFALLS UDP-4: that nobody listens is a loss, at once or later, and stops nothing. */
START_TEST(nobody_listening_is_a_loss)
{
    struct datagram_socket gone;
    open_on(&gone, "127.0.0.1");
    const struct net_address nowhere = gone.bound;
    datagram_socket_close(&gone);
    for (int i = 0; i < 10; i++) {
        send_bytes(&a, &nowhere, "x", 1);
        send_bytes(&a, &b.bound, "y", 1);
    }
    size_t got = 0;
    while (got < 10) {
        got += receive(&b, &receiver);
    }
    ck_assert_uint_eq(datagram_receive(&a, &receiver, 0), 0);
}
END_TEST

START_TEST(connected_socket_learns_that_nobody_listens)
{
    struct datagram_socket gone;
    open_on(&gone, "127.0.0.1");
    const struct net_address nowhere = gone.bound;
    datagram_socket_close(&gone);
    ck_assert_int_eq(datagram_socket_connect(&a, &nowhere), 0);
    send_bytes(&a, &nowhere, "x", 1);
    for (int i = 0; i < ATTEMPTS_MAX && atomic_load(&a.counters.receive_errors) == 0; i++) {
        (void)datagram_receive(&a, &receiver, UINT64_MAX);
    }
    ck_assert_uint_eq(atomic_load(&a.counters.receive_errors), 1);
}
END_TEST

/* PITFALLS UDP-4: the datagrams around one that cannot be sent are sent all the same. */
START_TEST(datagram_that_cannot_be_sent_stops_no_other)
{
    static uint8_t too_large[DATAGRAM_SIZE_MAX + 1];
    const struct net_address other_family = address_of("::1", 9);
    const struct net_address no_port = address_of("127.0.0.1", 0);
    const struct datagram_out out[] = {
        {.address = b.bound, .bytes = (const uint8_t *)"1", .size = 1},
        {.address = b.bound, .bytes = too_large, .size = sizeof too_large},
        {.address = other_family, .bytes = (const uint8_t *)"x", .size = 1},
        {.address = no_port, .bytes = (const uint8_t *)"x", .size = 1},
        {.address = b.bound, .bytes = (const uint8_t *)"2", .size = 1},
    };
    datagram_send(&a, out, sizeof out / sizeof out[0]);
    ck_assert_uint_eq(atomic_load(&a.counters.send_too_large), 1);
    ck_assert_uint_eq(atomic_load(&a.counters.send_unreachable), 1);
    ck_assert_uint_eq(atomic_load(&a.counters.send_failed), 1);
    ck_assert_uint_eq(atomic_load(&a.counters.sent), 2);
    char got[3] = "";
    size_t count = 0;
    while (count < 2) {
        const size_t more = receive(&b, &receiver);
        for (size_t i = 0; i < more; i++) {
            got[count++] = (char)receiver.items[i].bytes[0];
        }
    }
    ck_assert_str_eq(got, "12");
}
END_TEST

/* PITFALLS UDP-4, TH-6: sending more than the machine holds never blocks; what is lost is counted,
 * here or where it was to arrive. */
START_TEST(flood_neither_blocks_nor_fails)
{
    enum { COUNT = 2000 };
    static uint8_t bytes[DATAGRAM_SIZE_LOOPBACK];
    for (int i = 0; i < COUNT; i++) {
        send_bytes(&a, &b.bound, bytes, sizeof bytes);
    }
    size_t got = 0;
    size_t count;
    while ((count = datagram_receive(&b, &receiver, 0)) > 0) {
        got += count;
    }
    const struct datagram_counters *sent = &a.counters;
    ck_assert_uint_eq(atomic_load(&sent->sent) + atomic_load(&sent->send_full), COUNT);
    ck_assert_uint_lt(got, COUNT);
    /* PITFALLS UDP-5: the next datagram tells how many were lost. */
    send_bytes(&a, &b.bound, "x", 1);
    (void)receive(&b, &receiver);
    ck_assert_uint_eq(atomic_load(&b.counters.overflowed), atomic_load(&sent->sent) - 1 - got);
}
END_TEST

/* PITFALLS UDP-11: bound to any address, it answers from the one that was asked. */
START_TEST(wildcard_socket_answers_from_where_it_was_asked)
{
    struct datagram_socket any;
    open_on(&any, "0.0.0.0");
    const struct net_address asked = address_of("127.0.0.2", any.bound.port);
    send_bytes(&a, &asked, "?", 1);
    ck_assert_uint_eq(receive(&any, &receiver), 1);
    struct net_address from = receiver.items[0].address;
    ck_assert_uint_ne(from.local, 0);
    send_bytes(&any, &from, "!", 1);
    ck_assert_uint_eq(receive(&a, &receiver), 1);
    ck_assert(net_address_equal(&receiver.items[0].address, &asked));
    /* A number that is none of ours is the kernel's choice, not a crash. */
    from.local = 999;
    send_bytes(&any, &from, "!", 1);
    ck_assert_uint_eq(receive(&a, &receiver), 1);
    datagram_socket_close(&any);
}
END_TEST

START_TEST(taken_port_is_an_error)
{
    struct datagram_socket again;
    ck_assert_int_lt(datagram_socket_open(&again, &a.bound, TIMEOUT_MS), 0);
}
END_TEST

static Suite *socket_suite(void)
{
    Suite *suite = suite_create("datagram_socket");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, open_two, close_two);
    tcase_add_test(all, many_datagrams_in_few_calls);
    tcase_add_test(all, largest_datagram_arrives_whole);
    tcase_add_test(all, empty_datagram_is_legal);
    tcase_add_test(all, truncated_datagram_is_dropped);
    tcase_add_test(all, receive_ends_without_a_datagram);
    tcase_add_test(all, nobody_listening_is_a_loss);
    tcase_add_test(all, connected_socket_learns_that_nobody_listens);
    tcase_add_test(all, datagram_that_cannot_be_sent_stops_no_other);
    tcase_add_test(all, flood_neither_blocks_nor_fails);
    tcase_add_test(all, wildcard_socket_answers_from_where_it_was_asked);
    tcase_add_test(all, taken_port_is_an_error);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(socket_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
