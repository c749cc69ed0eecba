/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - bounded FIFO of fixed-size items, shared between threads.
 *
 * Threads:   any number of producers and consumers. `mutex` guards every field below it and is held
 *            only while items are copied: never across I/O, never together with another lock.
 * Ownership: items are copied by value. After a push that returned QUEUE_OK the queue owns what the
 *            item points to; after a pop the caller does.
 * Memory:    one allocation in queue_init(), none afterwards. */
#ifndef VR_OS_QUEUE_H
#define VR_OS_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_WAIT_FOREVER UINT64_MAX

enum queue_status {
    QUEUE_OK,
    QUEUE_FULL,   /* push: nothing was copied, the caller still owns the item */
    QUEUE_EMPTY,  /* pop: timeout_ns passed with nothing to take */
    QUEUE_CLOSED, /* push: closed; pop: closed and drained */
};

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    unsigned char *slots; /* capacity * item_size bytes */
    size_t item_size;     /* bytes */
    size_t capacity;      /* items */
    size_t head;          /* index of the oldest item; head < capacity */
    size_t count;         /* items waiting; count <= capacity */
    size_t waiting;       /* consumers asleep in a pop */
    bool closed;
    bool nudged;         /* a queue_wait() is to return, whatever there is */
    uint64_t full_count; /* pushes refused */
};

/* Returns 0, or a negative errno with *queue untouched. */
int queue_init(struct queue *queue, size_t capacity, size_t item_size);

/* Nobody may be using the queue any more. Items left in it are forgotten. */
void queue_destroy(struct queue *queue);

/* Never blocks: a full queue is back-pressure, and a receiver may drop as UDP would. */
enum queue_status queue_push(struct queue *queue, const void *item);

/* All of `count` items or none of them. */
enum queue_status queue_push_many(struct queue *queue, const void *items, size_t count);

/* The same, but wakes nobody: whoever pushed takes the items himself, or calls queue_nudge(). */
enum queue_status queue_push_quietly(struct queue *queue, const void *items, size_t count);

/* Lets a queue_wait() return: one that sleeps, or else the next one. */
void queue_nudge(struct queue *queue);

/* Takes nothing: QUEUE_OK if there is something or it was nudged. */
enum queue_status queue_wait(struct queue *queue, uint64_t timeout_ns);

/* Takes what there is at once, at most items_max and none from the first on that is not wanted. */
size_t queue_pop_while(struct queue *queue, void *items, size_t items_max,
                       bool (*wanted)(const void *item));

/* Takes one item, waiting for at most timeout_ns (0: not at all). */
enum queue_status queue_pop(struct queue *queue, void *item, uint64_t timeout_ns);

/* Takes between 1 and items_max items, waiting for the first only. */
enum queue_status queue_pop_many(struct queue *queue, void *items, size_t items_max, size_t *taken,
                                 uint64_t timeout_ns);

/* Lets consumers drain what is there, and wakes those that sleep. */
void queue_close(struct queue *queue);

size_t queue_count(struct queue *queue);
uint64_t queue_full_count(struct queue *queue);

#endif
