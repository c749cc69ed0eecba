/* SPDX-License-Identifier: Apache-2.0 */
/* common/os: signals, supervisors, clocks, random numbers and memory - the small doors to the
 * system. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/memory.h"
#include "common/os/random.h"
#include "common/os/service.h"
#include "common/os/stop_signal.h"
#include "common/os/thread.h"

/* A supervisor's socket. */
static int supervise(const char *name, size_t name_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    memcpy(address.sun_path, name, name_size);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_size)),
                     0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[64] = "";
    ck_assert_int_eq(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), (ssize_t)strlen(text));
    ck_assert_str_eq(got, text);
}

START_TEST(supervisor_with_a_file_is_told)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/vr-test-notify-%d", (int)getpid());
    const int fd = supervise(path, strlen(path) + 1);
    setenv("NOTIFY_SOCKET", path, 1);
    service_notify("READY=1");
    expect(fd, "READY=1");
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(supervisor_with_an_abstract_name_is_told)
{
    char name[64];
    snprintf(name, sizeof name, "@vr-test-notify-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    const size_t size = strlen(name);
    name[0] = '\0';
    const int fd = supervise(name, size);
    service_notify("STOPPING=1");
    expect(fd, "STOPPING=1");
    close(fd);
}
END_TEST

/* No supervisor, one that is gone, and names that cannot be: nothing happens. */
START_TEST(absent_supervisor_is_no_reason_not_to_serve)
{
    char too_long[256];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[0] = '/';
    too_long[sizeof too_long - 1] = '\0';
    unsetenv("NOTIFY_SOCKET");
    ck_assert(!service_is_supervised());
    service_notify("READY=1");
    setenv("NOTIFY_SOCKET", "", 1);
    service_notify("READY=1");
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    service_notify("READY=1");
    setenv("NOTIFY_SOCKET", too_long, 1);
    service_notify("READY=1");
}
END_TEST

START_TEST(boot_id_stays_the_same)
{
    uint8_t one[SERVICE_BOOT_ID_SIZE];
    uint8_t two[SERVICE_BOOT_ID_SIZE];
    ck_assert(service_boot_id(one));
    ck_assert(service_boot_id(two));
    ck_assert_mem_eq(one, two, sizeof one);
    static const uint8_t zero[SERVICE_BOOT_ID_SIZE];
    ck_assert_mem_ne(one, zero, sizeof one);
}
END_TEST

/* Signals, each in a process of its own. */

/* Runs in a child: waits for the end, then says with its exit code what ended it. */
static pid_t start_child(int *ready)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct stop_signal stop;
        (void)signal(SIGTERM, SIG_DFL); /* Check has a handler, which a new process would not */
        if (stop_signal_init(&stop) != 0 || write(fds[1], "", 1) != 1) {
            _exit(99);
        }
        const int number = stop_signal_wait(&stop);
        if (write(fds[1], "", 1) != 1) {
            _exit(98);
        }
        if (number == SIGINT) {
            clock_sleep_ns(60 * NANOSECONDS_PER_SECOND); /* busy stopping: a second one ends it */
        }
        _exit(number);
    }
    close(fds[1]);
    *ready = fds[0];
    return child;
}

static void await(int ready)
{
    char byte;
    ck_assert_int_eq(read(ready, &byte, 1), 1);
}

START_TEST(first_signal_ends_the_wait)
{
    int ready;
    int status;
    const pid_t child = start_child(&ready);
    await(ready);
    kill(child, SIGTERM);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), SIGTERM);
    close(ready);
}
END_TEST

START_TEST(second_signal_ends_the_process)
{
    int ready;
    int status;
    const pid_t child = start_child(&ready);
    await(ready);
    kill(child, SIGINT);
    await(ready);
    kill(child, SIGTERM);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
    close(ready);
}
END_TEST

START_TEST(wait_may_be_given_up)
{
    struct stop_signal stop;
    int number = -1;
    ck_assert_int_eq(stop_signal_init(&stop), 0);
    ck_assert(!stop_signal_wait_for(&stop, 1, &number));
    stop_signal_tell(&stop);
    ck_assert(stop_signal_wait_for(&stop, 0, &number));
    ck_assert_int_eq(number, 0);
    stop_signal_destroy(&stop);
}
END_TEST

static void *tell(void *argument)
{
    stop_signal_tell(argument);
    return NULL;
}

START_TEST(own_threads_can_end_the_wait)
{
    struct stop_signal stop;
    pthread_t thread;
    ck_assert_int_eq(stop_signal_init(&stop), 0);
    ck_assert_int_eq(thread_start(&thread, "teller", tell, &stop), 0);
    ck_assert_int_eq(stop_signal_wait(&stop), 0);
    thread_join(thread);
    stop_signal_destroy(&stop);
}
END_TEST

/* The rest. */

START_TEST(clocks_go_forward)
{
    const uint64_t monotonic_ns = clock_monotonic_ns();
    const uint64_t boot_ns = clock_boot_ns();
    clock_sleep_ns(2 * NANOSECONDS_PER_MILLISECOND);
    ck_assert_uint_ge(clock_monotonic_ns() - monotonic_ns, 2 * NANOSECONDS_PER_MILLISECOND);
    ck_assert_uint_ge(clock_boot_ns() - boot_ns, 2 * NANOSECONDS_PER_MILLISECOND);
    ck_assert_uint_gt(clock_wall_ns(), UINT64_C(1700000000) * NANOSECONDS_PER_SECOND);
}
END_TEST

/* PITFALLS TM-2: a wait on a condition ends by the monotonic clock. */
START_TEST(condition_wait_ends_at_its_deadline)
{
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    mutex_init(&mutex);
    condition_init(&condition);
    mutex_lock(&mutex);
    const uint64_t deadline_ns = clock_monotonic_ns() + 10 * NANOSECONDS_PER_MILLISECOND;
    while (condition_wait_until(&condition, &mutex, deadline_ns)) {
    }
    ck_assert_uint_ge(clock_monotonic_ns(), deadline_ns);
    mutex_unlock(&mutex);
    condition_destroy(&condition);
    mutex_destroy(&mutex);
}
END_TEST

START_TEST(random_numbers_differ)
{
    const uint64_t one = random_nonzero_u64();
    const uint64_t two = random_nonzero_u64();
    ck_assert_uint_ne(one, 0);
    ck_assert_uint_ne(one, two);
}
END_TEST

START_TEST(reserved_memory_is_zero_and_costs_nothing)
{
    const size_t size = (size_t)1 << 36; /* more than most machines have */
    uint8_t *region = memory_reserve(size);
    if (region == NULL) {
        return; /* a machine that promises no memory it does not have */
    }
    ck_assert_uint_eq(region[0], 0);
    ck_assert_uint_eq(region[size - 1], 0);
    region[size / 2] = 1;
    memory_release(region, size);
    memory_release(NULL, size);
}
END_TEST

static Suite *service_suite(void)
{
    Suite *suite = suite_create("service");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, supervisor_with_a_file_is_told);
    tcase_add_test(all, supervisor_with_an_abstract_name_is_told);
    tcase_add_test(all, absent_supervisor_is_no_reason_not_to_serve);
    tcase_add_test(all, boot_id_stays_the_same);
    tcase_add_test(all, first_signal_ends_the_wait);
    tcase_add_test(all, second_signal_ends_the_process);
    tcase_add_test(all, wait_may_be_given_up);
    tcase_add_test(all, own_threads_can_end_the_wait);
    tcase_add_test(all, clocks_go_forward);
    tcase_add_test(all, condition_wait_ends_at_its_deadline);
    tcase_add_test(all, random_numbers_differ);
    tcase_add_test(all, reserved_memory_is_zero_and_costs_nothing);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(service_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
