/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"

void mutex_init(pthread_mutex_t *mutex)
{
    const int error = pthread_mutex_init(mutex, NULL);
    INVARIANT(error == 0);
}

void mutex_destroy(pthread_mutex_t *mutex)
{
    const int error = pthread_mutex_destroy(mutex);
    INVARIANT(error == 0);
}

void mutex_lock(pthread_mutex_t *mutex)
{
    const int error = pthread_mutex_lock(mutex);
    INVARIANT(error == 0);
}

bool mutex_try_lock(pthread_mutex_t *mutex)
{
    const int error = pthread_mutex_trylock(mutex);
    if (error == EBUSY) {
        return false;
    }
    INVARIANT(error == 0);
    return true;
}

void mutex_unlock(pthread_mutex_t *mutex)
{
    const int error = pthread_mutex_unlock(mutex);
    INVARIANT(error == 0);
}

void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    INVARIANT(error == 0);
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    INVARIANT(error == 0);
    error = pthread_cond_init(condition, &attributes);
    INVARIANT(error == 0);
    error = pthread_condattr_destroy(&attributes);
    INVARIANT(error == 0);
}

void condition_destroy(pthread_cond_t *condition)
{
    const int error = pthread_cond_destroy(condition);
    INVARIANT(error == 0);
}

void condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    const int error = pthread_cond_wait(condition, mutex);
    INVARIANT(error == 0);
}

bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    const struct timespec deadline = clock_timespec(deadline_ns);
    const int error = pthread_cond_timedwait(condition, mutex, &deadline);
    if (error == ETIMEDOUT) {
        return false;
    }
    INVARIANT(error == 0);
    return true;
}

void condition_signal(pthread_cond_t *condition)
{
    const int error = pthread_cond_signal(condition);
    INVARIANT(error == 0);
}

void condition_broadcast(pthread_cond_t *condition)
{
    const int error = pthread_cond_broadcast(condition);
    INVARIANT(error == 0);
}

void semaphore_init(sem_t *semaphore)
{
    const int error = sem_init(semaphore, 0, 0);
    INVARIANT(error == 0);
}

void semaphore_destroy(sem_t *semaphore)
{
    const int error = sem_destroy(semaphore);
    INVARIANT(error == 0);
}

void semaphore_post(sem_t *semaphore)
{
    const int error = sem_post(semaphore);
    INVARIANT(error == 0 || errno == EOVERFLOW);
}

bool semaphore_wait_until(sem_t *semaphore, uint64_t deadline_ns)
{
    const struct timespec deadline = clock_timespec(deadline_ns);
    while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) != 0) {
        INVARIANT(errno == EINTR || errno == ETIMEDOUT);
        if (errno == ETIMEDOUT) {
            return false;
        }
    }
    return true;
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    /* A thread inherits the mask of the one that creates it: blocked here, and as it was behind. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* cannot fail */
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    INVARIANT(error == 0);
    const int created = pthread_create(thread, NULL, run, argument);
    error = pthread_sigmask(SIG_SETMASK, &before, NULL);
    INVARIANT(error == 0);
    if (created != 0) {
        return -created;
    }
    (void)pthread_setname_np(*thread,
                             name); /* for people with top and gdb; nothing depends on it */
    return 0;
}

void thread_join(pthread_t thread)
{
    const int error = pthread_join(thread, NULL);
    INVARIANT(error == 0);
}
