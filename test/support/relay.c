/* SPDX-License-Identifier: Apache-2.0 */
/* relay - a network between real replicas that loses, delays, repeats and cuts, one way if wanted.
 *
 * Every replica is configured with an address of the relay as every replica's peer address, and
 * really listens elsewhere:
 *
 *     replica i, at its real address R(i)  ->  S(j), the relay's socket at j's configured address
 *     the relay's socket S(i)              ->  R(j)
 *
 * A datagram that arrives on S(j) is for j; its source R(i) says who sent it; and it leaves from
 * S(i), which is where j believes i to be. So both see exactly the addresses of the configuration.
 * What comes from anybody else is dropped and counted.
 *
 *     relay [--seed N] CONFIGURED=REAL ...          ports on 127.0.0.1, in order of the replicas
 *
 * Orders come on stdin, one a line, each answered by a line, "ok" or "error: ...". FROM and TO are
 * replicas or `*`:
 *     loss FROM TO PERCENT      delay FROM TO MS [JITTER_MS]      duplicate FROM TO PERCENT
 *     rate FROM TO MBIT_PER_SECOND, with a queue of RATE_QUEUE_MS
 *     cut FROM TO               heal                              stats
 *     limit FROM TO BYTES       what is larger is lost; 0: nothing is
 *     corrupt FROM TO PERCENT   the datagram itself is damaged
 *     mutate FROM TO PERCENT    a damaged copy follows the datagram, from the same address
 *     forge FROM TO PERCENT     a copy, most of them damaged and all with a right checksum, comes
 *                               from an address that is no replica's
 * `heal` undoes all. It ends with its stdin, so a test that dies takes its relay along. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/prng.h"
#include "test/support/mutate.h"

enum {
    WAITING_MAX = 65536,                   /* datagrams under way */
    WAITING_BYTES_MAX = 256 * 1024 * 1024, /* and their bytes; more are lost, as in a real queue */
    RATE_QUEUE_MS = 100,                   /* a slow link holds that much, then loses */
    DRAIN_MAX = 64,                        /* datagrams of one socket before the next one's turn */
    SOCKET_BUFFER = 8 * 1024 * 1024,
    LINE_MAX_SIZE = 256,
    EXIT_USAGE = 2,
    EXIT_SYSTEM = 74,
};

/* One direction between two replicas. */
struct link {
    bool cut;
    uint32_t loss_ppm; /* of a million datagrams */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm;
    uint32_t mutate_ppm;
    uint32_t forge_ppm;
    size_t size_max;          /* 0: no limit */
    uint64_t bits_per_second; /* 0: no limit */
    uint64_t free_ns;         /* when what is on the line will have left it */
    uint64_t delay_ns;
    uint64_t jitter_ns; /* uniform, on top of delay_ns: reorders */
    uint64_t passed;
    uint64_t disturbed; /* lost, repeated or delayed */
};

struct place {
    int fd; /* bound to the configured address */
    struct sockaddr_in configured;
    struct sockaddr_in real;
};

struct waiting {
    uint64_t due_ns;
    uint64_t order; /* of arrival: equal due times keep it */
    uint32_t from;
    uint32_t to;
    size_t size;
    uint8_t *bytes; /* owned */
};

struct relay {
    uint32_t count;
    struct place places[REPLICAS_MAX];
    struct link links[REPLICAS_MAX][REPLICAS_MAX];
    int stranger_fd; /* bound to nothing that anybody configured */
    struct prng prng;
    uint64_t injected;  /* mutated and forged */
    uint64_t strangers; /* datagrams from no replica's real address */
    uint64_t overflows; /* datagrams beyond WAITING_* */
    uint64_t order;
    size_t waiting_count;
    size_t waiting_bytes;
    struct waiting heap[WAITING_MAX]; /* the earliest at 0 */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static bool happens(struct relay *relay, uint32_t ppm)
{
    return prng_chance(&relay->prng, ppm, 1000000);
}

/* --- datagrams under way: a binary heap ------------------------------------------------------- */

static bool earlier(const struct waiting *a, const struct waiting *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void swap_waiting(struct waiting *a, struct waiting *b)
{
    const struct waiting c = *a;
    *a = *b;
    *b = c;
}

static void heap_push(struct relay *relay, struct waiting item)
{
    size_t at = relay->waiting_count++;
    relay->waiting_bytes += item.size;
    relay->heap[at] = item;
    while (at > 0 && earlier(&relay->heap[at], &relay->heap[(at - 1) / 2])) {
        swap_waiting(&relay->heap[at], &relay->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct waiting heap_pop(struct relay *relay)
{
    const struct waiting top = relay->heap[0];
    relay->heap[0] = relay->heap[--relay->waiting_count];
    relay->waiting_bytes -= top.size;
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < relay->waiting_count && earlier(&relay->heap[child], &relay->heap[least])) {
                least = child;
            }
        }
        if (least == at) {
            return top;
        }
        swap_waiting(&relay->heap[at], &relay->heap[least]);
        at = least;
    }
}

/* --- forwarding ------------------------------------------------------------------------------- */

static void deliver(struct relay *relay, uint32_t from, uint32_t to, const uint8_t *bytes,
                    size_t size)
{
    /* What the kernel refuses (a full buffer, nobody there) is lost, as on any network. */
    (void)sendto(relay->places[from].fd, bytes, size, MSG_DONTWAIT,
                 (const struct sockaddr *)&relay->places[to].real, sizeof relay->places[to].real);
}

static void forward_once(struct relay *relay, uint32_t from, uint32_t to, const uint8_t *bytes,
                         size_t size)
{
    struct link *link = &relay->links[from][to];
    if (link->delay_ns == 0 && link->jitter_ns == 0 && link->bits_per_second == 0) {
        link->passed++;
        deliver(relay, from, to, bytes, size);
        return;
    }
    const uint64_t now = now_ns();
    uint64_t leaves_ns = now;
    if (link->bits_per_second > 0) {
        if (link->free_ns > now + RATE_QUEUE_MS * UINT64_C(1000000)) {
            link->disturbed++;
            return;
        }
        leaves_ns = (link->free_ns > now ? link->free_ns : now) +
                    size * 8 * UINT64_C(1000000000) / link->bits_per_second;
        link->free_ns = leaves_ns;
    }
    if (relay->waiting_count == WAITING_MAX || relay->waiting_bytes + size > WAITING_BYTES_MAX) {
        relay->overflows++;
        return;
    }
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        relay->overflows++;
        return;
    }
    memcpy(copy, bytes, size);
    link->passed++;
    link->disturbed++;
    const uint64_t jitter = prng_between(&relay->prng, 0, link->jitter_ns);
    heap_push(relay, (struct waiting){
                         .due_ns = leaves_ns + link->delay_ns + jitter,
                         .order = relay->order++,
                         .from = from,
                         .to = to,
                         .size = size,
                         .bytes = copy,
                     });
}

static void forward(struct relay *relay, uint32_t from, uint32_t to, const uint8_t *bytes,
                    size_t size)
{
    struct link *link = &relay->links[from][to];
    if (link->cut || (link->size_max > 0 && size > link->size_max) ||
        happens(relay, link->loss_ppm)) {
        link->disturbed++;
        return;
    }
    if (happens(relay, link->corrupt_ppm)) {
        static uint8_t damaged[DATAGRAM_SIZE_MAX];
        memcpy(damaged, bytes, size);
        size = mutate(damaged, size, sizeof damaged, &relay->prng);
        bytes = damaged;
        link->disturbed++;
    }
    forward_once(relay, from, to, bytes, size);
    if (happens(relay, link->duplicate_ppm)) {
        link->disturbed++;
        forward_once(relay, from, to, bytes, size);
    }
}

/* Sends what an attacker might make of a real datagram. It is not subject to the link's faults. */
static void inject(struct relay *relay, uint32_t from, uint32_t to, const uint8_t *bytes,
                   size_t size)
{
    static uint8_t copy[DATAGRAM_SIZE_MAX];
    const struct link *link = &relay->links[from][to];
    if (happens(relay, link->mutate_ppm)) {
        memcpy(copy, bytes, size);
        deliver(relay, from, to, copy, mutate(copy, size, sizeof copy, &relay->prng));
        relay->injected++;
    }
    if (happens(relay, link->forge_ppm)) {
        memcpy(copy, bytes, size);
        size_t forged_size = size;
        if (prng_chance(&relay->prng, 3, 4)) {
            forged_size = mutate(copy, size, sizeof copy, &relay->prng);
            mutate_repair_checksum(copy, forged_size);
        }
        (void)sendto(relay->stranger_fd, copy, forged_size, MSG_DONTWAIT,
                     (const struct sockaddr *)&relay->places[to].real,
                     sizeof relay->places[to].real);
        relay->injected++;
    }
}

static void receive_some(struct relay *relay, uint32_t to)
{
    static uint8_t bytes[DATAGRAM_SIZE_MAX];
    for (int i = 0; i < DRAIN_MAX; i++) {
        struct sockaddr_in source;
        socklen_t length = sizeof source;
        const ssize_t size = recvfrom(relay->places[to].fd, bytes, sizeof bytes, MSG_DONTWAIT,
                                      (struct sockaddr *)&source, &length);
        if (size < 0) {
            return; /* EAGAIN, or an ICMP answer to what a dead replica got */
        }
        uint32_t from = 0;
        while (from < relay->count && relay->places[from].real.sin_port != source.sin_port) {
            from++;
        }
        if (from == relay->count) {
            relay->strangers++;
            continue;
        }
        forward(relay, from, to, bytes, (size_t)size);
        inject(relay, from, to, bytes, (size_t)size);
    }
}

static void deliver_due(struct relay *relay)
{
    const uint64_t now = now_ns();
    while (relay->waiting_count > 0 && relay->heap[0].due_ns <= now) {
        const struct waiting item = heap_pop(relay);
        deliver(relay, item.from, item.to, item.bytes, item.size);
        free(item.bytes);
    }
}

/* --- orders ----------------------------------------------------------------------------------- */

/* A replica, or `*`: false if it is neither. */
static bool parse_replicas(const struct relay *relay, const char *word, uint32_t *first,
                           uint32_t *last)
{
    if (strcmp(word, "*") == 0) {
        *first = 0;
        *last = relay->count - 1;
        return true;
    }
    char *end;
    const unsigned long number = strtoul(word, &end, 10);
    if (*word == '\0' || *end != '\0' || number >= relay->count) {
        return false;
    }
    *first = *last = (uint32_t)number;
    return true;
}

static const char *set_links(struct relay *relay, const char *verb, const char *from,
                             const char *to, double value, double jitter)
{
    uint32_t from_first;
    uint32_t from_last;
    uint32_t to_first;
    uint32_t to_last;
    if (!parse_replicas(relay, from, &from_first, &from_last) ||
        !parse_replicas(relay, to, &to_first, &to_last)) {
        return "error: FROM and TO are replicas or *";
    }
    for (uint32_t i = from_first; i <= from_last; i++) {
        for (uint32_t j = to_first; j <= to_last; j++) {
            struct link *link = &relay->links[i][j];
            if (strcmp(verb, "loss") == 0) {
                link->loss_ppm = (uint32_t)(value * 1e4);
            } else if (strcmp(verb, "duplicate") == 0) {
                link->duplicate_ppm = (uint32_t)(value * 1e4);
            } else if (strcmp(verb, "rate") == 0) {
                link->bits_per_second = (uint64_t)(value * 1e6);
            } else if (strcmp(verb, "limit") == 0) {
                link->size_max = (size_t)value;
            } else if (strcmp(verb, "corrupt") == 0) {
                link->corrupt_ppm = (uint32_t)(value * 1e4);
            } else if (strcmp(verb, "mutate") == 0) {
                link->mutate_ppm = (uint32_t)(value * 1e4);
            } else if (strcmp(verb, "forge") == 0) {
                link->forge_ppm = (uint32_t)(value * 1e4);
            } else if (strcmp(verb, "delay") == 0) {
                link->delay_ns = (uint64_t)(value * 1e6);
                link->jitter_ns = (uint64_t)(jitter * 1e6);
            } else if (strcmp(verb, "cut") == 0) {
                link->cut = true;
            } else {
                return "error: unknown order";
            }
        }
    }
    return "ok";
}

static void heal(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->count; i++) {
        for (uint32_t j = 0; j < relay->count; j++) {
            struct link *link = &relay->links[i][j];
            *link = (struct link){.passed = link->passed, .disturbed = link->disturbed};
        }
    }
}

static void print_stats(const struct relay *relay)
{
    uint64_t passed = 0;
    uint64_t disturbed = 0;
    for (uint32_t i = 0; i < relay->count; i++) {
        for (uint32_t j = 0; j < relay->count; j++) {
            passed += relay->links[i][j].passed;
            disturbed += relay->links[i][j].disturbed;
        }
    }
    printf("ok passed=%" PRIu64 " disturbed=%" PRIu64 " strangers=%" PRIu64 " overflows=%" PRIu64
           " injected=%" PRIu64 "\n",
           passed, disturbed, relay->strangers, relay->overflows, relay->injected);
}

static void obey(struct relay *relay, const char *line)
{
    char verb[16] = "";
    char from[16] = "";
    char to[16] = "";
    double value = 0;
    double jitter = 0;
    const int words = sscanf(line, "%15s %15s %15s %lf %lf", verb, from, to, &value, &jitter);
    const bool has_value = strcmp(verb, "cut") != 0;
    if (words == 1 && strcmp(verb, "heal") == 0) {
        heal(relay);
        puts("ok");
    } else if (words == 1 && strcmp(verb, "stats") == 0) {
        print_stats(relay);
    } else if (words < (has_value ? 4 : 3) || !(value >= 0) || !(jitter >= 0)) {
        puts("error: unknown order");
    } else if (has_value && strcmp(verb, "delay") != 0 && strcmp(verb, "rate") != 0 &&
               strcmp(verb, "limit") != 0 && value > 100) {
        puts("error: more than 100 percent");
    } else {
        puts(set_links(relay, verb, from, to, value, jitter));
    }
    fflush(stdout);
}

/* Reads what is there and obeys every whole line. False at the end of stdin. */
static bool obey_stdin(struct relay *relay)
{
    static char line[LINE_MAX_SIZE];
    static size_t used;
    char byte;
    do {
        if (read(STDIN_FILENO, &byte, 1) != 1) {
            return false;
        }
        if (byte == '\n') {
            line[used] = '\0';
            used = 0;
            obey(relay, line);
        } else if (used + 1 < sizeof line) {
            line[used++] = byte;
        }
    } while (poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, 0) > 0);
    return true;
}

/* --- start ------------------------------------------------------------------------------------ */

static void open_place(struct place *place, const char *word)
{
    unsigned configured;
    unsigned real;
    if (sscanf(word, "%u=%u", &configured, &real) != 2 || configured - 1 >= 65535 ||
        real - 1 >= 65535) {
        fprintf(stderr, "relay: %s: expected CONFIGURED=REAL, two ports\n", word);
        exit(EXIT_USAGE);
    }
    place->configured = (struct sockaddr_in){.sin_family = AF_INET,
                                             .sin_port = htons((uint16_t)configured),
                                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    place->real = place->configured;
    place->real.sin_port = htons((uint16_t)real);
    place->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int size = SOCKET_BUFFER;
    if (place->fd < 0 ||
        bind(place->fd, (struct sockaddr *)&place->configured, sizeof place->configured) < 0) {
        fprintf(stderr, "relay: port %u: %s\n", configured, strerror(errno));
        exit(EXIT_SYSTEM);
    }
    (void)setsockopt(place->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(place->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void run(struct relay *relay)
{
    struct pollfd fds[REPLICAS_MAX + 1];
    for (uint32_t i = 0; i < relay->count; i++) {
        fds[i] = (struct pollfd){.fd = relay->places[i].fd, .events = POLLIN};
    }
    fds[relay->count] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        struct timespec wait = {0};
        struct timespec *timeout = NULL;
        if (relay->waiting_count > 0) {
            const uint64_t now = now_ns();
            const uint64_t due = relay->heap[0].due_ns;
            const uint64_t left = due > now ? due - now : 0;
            wait.tv_sec = (time_t)(left / UINT64_C(1000000000));
            wait.tv_nsec = (long)(left % UINT64_C(1000000000));
            timeout = &wait;
        }
        if (ppoll(fds, relay->count + 1, timeout, NULL) < 0 && errno != EINTR) {
            fprintf(stderr, "relay: poll: %s\n", strerror(errno));
            exit(EXIT_SYSTEM);
        }
        deliver_due(relay);
        for (uint32_t i = 0; i < relay->count; i++) {
            if (fds[i].revents != 0) {
                receive_some(relay, i);
            }
        }
        if (fds[relay->count].revents != 0 && !obey_stdin(relay)) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    static struct relay relay;
    uint64_t seed = 1;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
        seed = strtoull(argv[2], NULL, 10);
        first = 3;
    }
    if (argc - first < 1 || argc - first > REPLICAS_MAX) {
        fprintf(stderr, "usage: relay [--seed N] CONFIGURED=REAL ...\n");
        return EXIT_USAGE;
    }
    prng_seed(&relay.prng, seed);
    relay.stranger_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (relay.stranger_fd < 0) {
        fprintf(stderr, "relay: socket: %s\n", strerror(errno));
        return EXIT_SYSTEM;
    }
    for (int i = first; i < argc; i++) {
        open_place(&relay.places[relay.count++], argv[i]);
    }
    puts("ready");
    fflush(stdout);
    run(&relay);
    return 0;
}
