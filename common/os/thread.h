/* SPDX-License-Identifier: Apache-2.0 */
/* thread.h - pthreads with the choices made once: errors are ours, condition variables run on the
 * monotonic clock, threads have names and take no signals (main waits for those).
 *
 * What pthreads report here (a mutex that is not one, a wait without its lock) only our own bugs
 * can cause, so it is asserted; creating a thread can fail for want of memory and says so. */
#ifndef VR_OS_THREAD_H
#define VR_OS_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

void mutex_init(pthread_mutex_t *mutex);
void mutex_destroy(pthread_mutex_t *mutex);
void mutex_lock(pthread_mutex_t *mutex);
bool mutex_try_lock(pthread_mutex_t *mutex);
void mutex_unlock(pthread_mutex_t *mutex);

/* Waits run on CLOCK_MONOTONIC, so that no jump of the wall clock hangs or spins them (TM-2). */
void condition_init(pthread_cond_t *condition);
void condition_destroy(pthread_cond_t *condition);
void condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* False once clock_monotonic_ns() reached deadline_ns. Wakes for nothing at times: the caller holds
 * its predicate in a loop (TH-1). */
bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ns);
void condition_signal(pthread_cond_t *condition);
void condition_broadcast(pthread_cond_t *condition);

/* A semaphore that begins at 0. */
void semaphore_init(sem_t *semaphore);
void semaphore_destroy(sem_t *semaphore);

/* Does nothing if INT_MAX posts wait already. */
void semaphore_post(sem_t *semaphore);

/* False once clock_monotonic_ns() reached deadline_ns and nobody had posted. */
bool semaphore_wait_until(sem_t *semaphore, uint64_t deadline_ns);

/* Starts `run(argument)` with every signal blocked. `name` has at most 15 characters. Returns 0 or
 * a negative errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);
void thread_join(pthread_t thread);

#endif
