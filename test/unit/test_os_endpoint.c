/* SPDX-License-Identifier: Apache-2.0 */
/* common/os/endpoint: addresses as people write them and as sockets use them. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/endpoint.h"

static struct endpoint parsed(const char *text)
{
    struct endpoint endpoint;
    struct endpoint_error error = {.text = ""};
    ck_assert_msg(endpoint_parse(text, &endpoint, &error), "%s: %s", text, error.text);
    return endpoint;
}

START_TEST(hosts_and_ports)
{
    struct endpoint endpoint = parsed("127.0.0.1:8000");
    ck_assert_str_eq(endpoint.host, "127.0.0.1");
    ck_assert_uint_eq(endpoint.port, 8000);
    ck_assert_uint_eq(endpoint.peer_port, 8000 + PEER_PORT_OFFSET);

    endpoint = parsed("db-1.example.org:1:65535");
    ck_assert_str_eq(endpoint.host, "db-1.example.org");
    ck_assert_uint_eq(endpoint.port, 1);
    ck_assert_uint_eq(endpoint.peer_port, 65535);

    endpoint = parsed("[::1]:8000");
    ck_assert_str_eq(endpoint.host, "::1");
    ck_assert_uint_eq(endpoint.port, 8000);

    endpoint = parsed("[fe80::1%eth0]:8000:9000");
    ck_assert_str_eq(endpoint.host, "fe80::1%eth0");
    ck_assert_uint_eq(endpoint.peer_port, 9000);
}
END_TEST

static const char *const malformed[] = {
    "",         ":",          ":8000",      "host",
    "host:",    "host:0",     "host:65536", "host:99999999999999999999",
    "host:-1",  "host:+1",    "host: 1",    "host:1 ",
    "host:1x",  "host:65500", /* no room for the peers' port */
    "host:1:",  "host:1:0",   "host:1:2:3", "host:7:7",
    "::1:8000", "[::1:8000",  "[::1]8000",  "[]:8000",
    "h]ost:1",
};

START_TEST(malformed_endpoints_are_refused_with_a_reason)
{
    struct endpoint endpoint;
    struct endpoint_error error = {.text = ""};
    ck_assert_msg(!endpoint_parse(malformed[_i], &endpoint, &error), "%s", malformed[_i]);
    ck_assert_uint_gt(strlen(error.text), 10);
}
END_TEST

START_TEST(host_longer_than_a_name_can_be_is_refused)
{
    char text[HOST_SIZE_MAX + 8];
    struct endpoint endpoint;
    struct endpoint_error error;
    memset(text, 'a', HOST_SIZE_MAX - 1);
    strcpy(text + HOST_SIZE_MAX - 1, ":1");
    ck_assert(endpoint_parse(text, &endpoint, &error));
    memset(text, 'a', HOST_SIZE_MAX);
    strcpy(text + HOST_SIZE_MAX, ":1");
    ck_assert(!endpoint_parse(text, &endpoint, &error));
}
END_TEST

START_TEST(lists_keep_their_order)
{
    struct endpoint endpoints[3];
    struct endpoint_error error;
    size_t count;
    ck_assert(endpoint_list_parse("a:1,b:2:3,[::1]:4", endpoints, 3, &count, &error));
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(endpoints[1].host, "b");
    ck_assert_uint_eq(endpoints[1].peer_port, 3);
    ck_assert_str_eq(endpoints[2].host, "::1");
}
END_TEST

static const char *const bad_lists[] = {"",         ",",     "a:1,",       ",a:1",
                                        "a:1,,b:2", "a:1,b", "a:1,b:2,c:3"};

START_TEST(bad_lists_are_refused_with_a_reason)
{
    struct endpoint endpoints[2];
    struct endpoint_error error = {.text = ""};
    size_t count;
    ck_assert_msg(!endpoint_list_parse(bad_lists[_i], endpoints, 2, &count, &error), "%s",
                  bad_lists[_i]);
    ck_assert_uint_gt(strlen(error.text), 10);
}
END_TEST

START_TEST(numeric_hosts_resolve_without_a_name_server)
{
    struct net_address address;
    struct endpoint_error error;
    char text[NET_ADDRESS_TEXT_MAX];
    ck_assert(endpoint_resolve("127.0.0.1", 8000, &address, &error));
    ck_assert(net_address_is_ipv4(&address));
    ck_assert(net_address_is_loopback(&address));
    ck_assert_str_eq(net_address_text(&address, text), "127.0.0.1:8000");
    ck_assert_uint_eq(net_address_datagram_size(&address), DATAGRAM_SIZE_LOOPBACK);

    ck_assert(endpoint_resolve("::1", 1, &address, &error));
    ck_assert(!net_address_is_ipv4(&address));
    ck_assert(net_address_is_loopback(&address));
    ck_assert_str_eq(net_address_text(&address, text), "[::1]:1");

    ck_assert(endpoint_resolve("192.0.2.7", 1, &address, &error));
    ck_assert(!net_address_is_loopback(&address));
    ck_assert(!net_address_is_wildcard(&address));
    ck_assert_uint_eq(net_address_datagram_size(&address), DATAGRAM_SIZE_DEFAULT);

    ck_assert(endpoint_resolve("0.0.0.0", 1, &address, &error));
    ck_assert(net_address_is_wildcard(&address));
    ck_assert(endpoint_resolve("::", 1, &address, &error));
    ck_assert(net_address_is_wildcard(&address));
}
END_TEST

START_TEST(one_place_has_one_form)
{
    struct net_address plain;
    struct net_address mapped;
    struct endpoint_error error;
    ck_assert(endpoint_resolve("127.0.0.1", 5, &plain, &error));
    ck_assert(endpoint_resolve("::ffff:127.0.0.1", 5, &mapped, &error));
    ck_assert(net_address_equal(&plain, &mapped));
}
END_TEST

START_TEST(addresses_survive_the_way_through_a_socket)
{
    struct net_address address;
    struct net_address back;
    struct sockaddr_storage storage;
    struct endpoint_error error;
    ck_assert(endpoint_resolve("192.0.2.7", 77, &address, &error));
    ck_assert_uint_eq(net_address_to_sockaddr(&address, AF_INET, &storage),
                      sizeof(struct sockaddr_in));
    ck_assert(net_address_from_sockaddr(&storage, &back));
    ck_assert(net_address_equal(&address, &back));
    ck_assert_uint_eq(net_address_to_sockaddr(&address, AF_INET6, &storage),
                      sizeof(struct sockaddr_in6));
    ck_assert(net_address_from_sockaddr(&storage, &back));
    ck_assert(net_address_equal(&address, &back));

    ck_assert(endpoint_resolve("2001:db8::1", 77, &address, &error));
    ck_assert_uint_eq(net_address_to_sockaddr(&address, AF_INET, &storage), 0);

    memset(&storage, 0, sizeof storage);
    storage.ss_family = AF_UNIX;
    ck_assert(!net_address_from_sockaddr(&storage, &back));
}
END_TEST

static Suite *endpoint_suite(void)
{
    Suite *suite = suite_create("endpoint");
    TCase *all = tcase_create("all");
    tcase_add_test(all, hosts_and_ports);
    tcase_add_loop_test(all, malformed_endpoints_are_refused_with_a_reason, 0,
                        sizeof malformed / sizeof malformed[0]);
    tcase_add_test(all, host_longer_than_a_name_can_be_is_refused);
    tcase_add_test(all, lists_keep_their_order);
    tcase_add_loop_test(all, bad_lists_are_refused_with_a_reason, 0,
                        sizeof bad_lists / sizeof bad_lists[0]);
    tcase_add_test(all, numeric_hosts_resolve_without_a_name_server);
    tcase_add_test(all, one_place_has_one_form);
    tcase_add_test(all, addresses_survive_the_way_through_a_socket);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(endpoint_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
