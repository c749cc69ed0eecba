/* SPDX-License-Identifier: Apache-2.0 */
/* bench_index.c - which ordered index for the key-value store?
 *
 *     gcc -O2 -I. test/bench/bench_index.c $(pkg-config --cflags --libs glib-2.0 libbsd) -lJudy
 *
 * Not part of the build: it needs libraries that the project then did not choose. For each
 * candidate it inserts KEYS random keys ("user:" and a number, as floods write them), then looks
 * up, scans and removes in random order, and prints nanoseconds per operation, the longest single
 * insertion (what a client would feel of a growth step) and bytes of memory per key. What was
 * chosen, and why, is in server/app/kv_index.h. */
#include <Judy.h>
#include <bsd/sys/tree.h>
#include <glib.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 1000000, KEY_SIZE = 32, PAGE = 100 };

static char (*keys)[KEY_SIZE];
static uint32_t *order;

/* CPU time of this thread, so that a step is not blamed for what else runs on the machine. Reading
 * it takes some 200 ns, which the insertions pay for being timed one by one. */
static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void shuffle(void)
{
    for (uint32_t i = KEYS - 1; i > 0; i--) {
        const uint32_t j = (uint32_t)((((uint64_t)random() << 31) ^ (uint64_t)random()) % (i + 1));
        const uint32_t k = order[i];
        order[i] = order[j];
        order[j] = k;
    }
}

struct candidate {
    const char *name;
    void (*insert)(char *key);
    void *(*find)(char *key);
    uint64_t (*scan)(char *from,
                     uint32_t count); /* returns a sum, so that nothing is optimised out */
    void (*remove)(char *key);
};

/* --- Judy --- */

static Pvoid_t judy;

static void judy_insert(char *key)
{
    Word_t *slot;
    JSLI(slot, judy, (const uint8_t *)key);
    *slot = (Word_t)key;
}

static void *judy_find(char *key)
{
    Word_t *slot;
    JSLG(slot, judy, (const uint8_t *)key);
    return slot == NULL ? NULL : (void *)*slot;
}

static uint64_t judy_scan(char *from, uint32_t count)
{
    uint8_t at[KEY_SIZE];
    uint64_t sum = 0;
    Word_t *slot;
    strcpy((char *)at, from);
    JSLF(slot, judy, at);
    while (slot != NULL && count-- > 0) {
        sum += *(const unsigned char *)*slot;
        JSLN(slot, judy, at);
    }
    return sum;
}

static void judy_remove(char *key)
{
    int status;
    JSLD(status, judy, (const uint8_t *)key);
    (void)status;
}

/* --- red-black tree, intrusive --- */

struct node {
    RB_ENTRY(node) entry;
    char *key;
};
static int node_compare(struct node *a, struct node *b)
{
    return memcmp(a->key, b->key, KEY_SIZE);
}
static RB_HEAD(tree, node) rb = RB_INITIALIZER(&rb);
RB_PROTOTYPE(tree, node, entry, node_compare)
RB_GENERATE(tree, node, entry, node_compare)

static void rb_insert(char *key)
{
    struct node *node = malloc(sizeof *node);
    node->key = key;
    RB_INSERT(tree, &rb, node);
}

static void *rb_find(char *key)
{
    struct node wanted = {.key = key};
    struct node *found = RB_FIND(tree, &rb, &wanted);
    return found == NULL ? NULL : found->key;
}

static uint64_t rb_scan(char *from, uint32_t count)
{
    struct node wanted = {.key = from};
    uint64_t sum = 0;
    struct node *node = RB_NFIND(tree, &rb, &wanted);
    while (node != NULL && count-- > 0) {
        sum += (unsigned char)node->key[0];
        node = RB_NEXT(tree, &rb, node);
    }
    return sum;
}

static void rb_remove(char *key)
{
    struct node wanted = {.key = key};
    struct node *node = RB_FIND(tree, &rb, &wanted);
    RB_REMOVE(tree, &rb, node);
    free(node);
}

/* --- GTree --- */

static GTree *gtree;

static gint gtree_compare(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, KEY_SIZE);
}

static void gtree_add(char *key)
{
    g_tree_insert(gtree, key, key);
}

static void *gtree_find(char *key)
{
    return g_tree_lookup(gtree, key);
}

static uint64_t gtree_scan(char *from, uint32_t count)
{
    uint64_t sum = 0;
    GTreeNode *node = g_tree_lower_bound(gtree, from);
    while (node != NULL && count-- > 0) {
        sum += *(const unsigned char *)g_tree_node_value(node);
        node = g_tree_node_next(node);
    }
    return sum;
}

static void gtree_remove(char *key)
{
    g_tree_remove(gtree, key);
}

/* --- the run --- */

static void report(const char *what, uint64_t begin, uint64_t count)
{
    printf("  %s %5.0f ns", what, (double)(now_ns() - begin) / (double)count);
}

static void run(const struct candidate *c)
{
    uint64_t longest = 0;
    uint64_t sum = 0;
    shuffle();
    const size_t memory = mallinfo2().uordblks;
    const uint64_t begin = now_ns();
    uint64_t last = begin;
    for (uint32_t i = 0; i < KEYS; i++) {
        c->insert(keys[order[i]]);
        const uint64_t at = now_ns();
        longest = at - last > longest ? at - last : longest;
        last = at;
    }
    printf("%-10s", c->name);
    report("insert", begin, KEYS);
    printf("  longest %6.0f us  %4.0f bytes/key", (double)longest / 1e3,
           (double)(mallinfo2().uordblks - memory) / KEYS);
    shuffle();
    uint64_t t = now_ns();
    for (uint32_t i = 0; i < KEYS; i++) {
        sum += (uintptr_t)c->find(keys[order[i]]);
    }
    report("find", t, KEYS);
    t = now_ns();
    for (uint32_t i = 0; i < KEYS / PAGE; i++) {
        sum += c->scan(keys[order[i]], PAGE);
    }
    report("scan", t, KEYS);
    shuffle();
    t = now_ns();
    for (uint32_t i = 0; i < KEYS; i++) {
        c->remove(keys[order[i]]);
    }
    report("remove", t, KEYS);
    t = now_ns();
    void *volatile block = malloc(64 * 1024); /* glibc tidies its lists of small free blocks here */
    free(block);
    printf("  tidy %6.0f us  (%x)\n", (double)(now_ns() - t) / 1e3, (unsigned)(sum & 15));
}

int main(void)
{
    static const struct candidate candidates[] = {
        {"Judy", judy_insert, judy_find, judy_scan, judy_remove},
        {"red-black", rb_insert, rb_find, rb_scan, rb_remove},
        {"GTree", gtree_add, gtree_find, gtree_scan, gtree_remove},
    };
    keys = calloc(KEYS, sizeof *keys);
    order = calloc(KEYS, sizeof *order);
    gtree = g_tree_new(gtree_compare);
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(keys[i], KEY_SIZE, "user:%u", i * 2654435761u);
        order[i] = i;
    }
    /* Each in a process of its own: what one freed would burden the allocator of the next. */
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        if (fork() == 0) {
            run(&candidates[i]);
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
    }
    return 0;
}
