/*
 * proxy: a line between two TCP ports of 127.0.0.1 that is long, narrow, and
 * breaks when it is told to.
 *
 *     proxy PORT TARGET-PORT CONTROL [RTT-MS [BYTES-PER-S]]
 *
 * Bytes that come to PORT arrive at TARGET-PORT, and the answers at who asked,
 * RTT-MS / 2 later; a new connection takes one round trip before its first byte
 * leaves, as the handshake would. All connections together carry BYTES-PER-S in
 * each direction; 0, or nothing: as much as there is. TCP's slow start and loss
 * are not played.
 *
 * CONTROL is a FIFO, made when it is not there; each line written to it is one of
 *
 *     cut         resets all connections; new ones are welcome
 *     refuse      resets all connections and lets none in
 *     stall       accepts connections and moves nothing
 *     mend        as at the start; what was stalled goes on
 *     line MS N   another round trip time and rate
 *     count FILE  FILE becomes "UP DOWN CONNECTIONS", counted from the start:
 *                 bytes to the target and back, connections that were let in
 *
 * One thread, epoll with edges. Bytes are taken from a socket when the rate allows
 * it and kept in pieces with the moment at which they are due.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE_MAX 65536
#define QUEUED_MAX (8 << 20)   /* bytes under way in one direction of a connection */
#define SOCKET_BUFFER 262144   /* small, so that a sender notices how narrow it is */
#define TICK_US 5000           /* tokens are spent in shares of so much time */
#define BURST_US (4 * TICK_US) /* and saved up for no longer */
#define EVENTS_MAX 64
#define ROUNDS_MAX 16 /* before events and commands are looked at again */

struct piece {
    struct piece *next;
    int64_t due_us;
    size_t at, len; /* len 0: the end of the stream */
    char bytes[];
};

/* One direction of a connection; `way` 0 leads to the target. */
struct flow {
    bool readable, writable, ended, shut;
    struct piece *first, *last;
    size_t queued;
};

struct end {
    struct link *link;
    int fd, way; /* what is read from it goes this way */
};

struct link {
    struct link *next;
    struct end ends[2]; /* who asked, and the target */
    struct flow flows[2];
    int64_t open_us; /* before this no byte leaves who asked */
    bool dead;
};

struct proxy {
    int epoll, listener, control;
    uint16_t port, target_port;
    bool stalled;
    int64_t rtt_us, rate; /* rate in bytes a second; 0: no limit */
    int64_t tokens[2], filled_us;
    int64_t moved[2], let_in;
    struct link *links;
    char line[300]; /* a command that is not whole yet */
    size_t line_len;
};

static void
die(const char *what)
{
    fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static struct sockaddr_in
loopback(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void
watch(struct proxy *p, int fd, uint32_t events, void *what)
{
    struct epoll_event ev = { .events = events, .data.ptr = what };

    if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
}

static int
new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, size = SOCKET_BUFFER;

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* accept() inherits it */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void
listen_again(struct proxy *p)
{
    struct sockaddr_in at = loopback(p->port);

    if (p->listener >= 0)
        return;
    p->listener = new_socket();
    if (bind(p->listener, (struct sockaddr *)&at, sizeof at) < 0
        || listen(p->listener, 128) < 0)
        die("listening");
    watch(p, p->listener, EPOLLIN, &p->listener);
}

/* Freed later, by bury(): events of this round may still name it. */
static void
end_link(struct link *l)
{
    for (int i = 0; i < 2 && !l->dead; i++)
        close(l->ends[i].fd);
    l->dead = true;
}

/* Both ends see a reset, not an orderly end. */
static void
kill_link(struct link *l)
{
    struct linger at_once = { 1, 0 };

    for (int i = 0; i < 2 && !l->dead; i++)
        setsockopt(l->ends[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    end_link(l);
}

static void
bury(struct proxy *p)
{
    for (struct link **at = &p->links; *at;) {
        struct link *l = *at;
        if (!l->dead) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        for (int way = 0; way < 2; way++)
            for (struct piece *i = l->flows[way].first, *next; i; i = next) {
                next = i->next;
                free(i);
            }
        free(l);
    }
}

static void
let_in(struct proxy *p)
{
    struct sockaddr_in to = loopback(p->target_port);
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        die("calloc");
    int target = new_socket(), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->ends[0] = (struct end){ l, fd, 0 };
    l->ends[1] = (struct end){ l, target, 1 };
    l->open_us = now_us() + p->rtt_us;
    l->next = p->links;
    p->links = l;
    p->let_in++;
    if (connect(target, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        kill_link(l);
        return;
    }
    for (int i = 0; i < 2; i++)
        watch(p, l->ends[i].fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &l->ends[i]);
}

static void
append(struct flow *f, struct piece *i)
{
    *(f->first ? &f->last->next : &f->first) = i;
    f->last = i;
    f->queued += i->len;
}

/* Takes what has come from the flow's beginning, if there are tokens for it. */
static void
take(struct proxy *p, struct link *l, int way, int64_t now)
{
    struct flow *f = &l->flows[way];

    if (!f->readable || f->ended || f->queued >= QUEUED_MAX
        || (p->rate > 0 && p->tokens[way] <= 0))
        return;
    size_t max = p->rate > 0 && p->tokens[way] < PIECE_MAX ? (size_t)p->tokens[way]
                                                           : PIECE_MAX;
    struct piece *i = malloc(sizeof *i + max);
    if (!i)
        die("malloc");
    ssize_t n = read(l->ends[way].fd, i->bytes, max);
    if (n < 0) {
        free(i);
        f->readable = false;
        if (errno != EAGAIN)
            kill_link(l);
        return;
    }
    f->ended = n == 0;
    p->tokens[way] -= n;
    p->moved[way] += n;
    int64_t leaves = way == 0 && l->open_us > now ? l->open_us : now;
    i->next = NULL;
    i->due_us = leaves + p->rtt_us / 2;
    i->at = 0;
    i->len = (size_t)n;
    append(f, i);
}

/* Hands out what is due. */
static void
give(struct link *l, int way, int64_t now)
{
    struct flow *f = &l->flows[way];
    int fd = l->ends[1 - way].fd;

    while (f->first && f->first->due_us <= now && f->writable && !l->dead) {
        struct piece *i = f->first;
        if (i->len > i->at) {
            ssize_t n = send(fd, i->bytes + i->at, i->len - i->at, MSG_NOSIGNAL);
            if (n < 0) {
                f->writable = false;
                if (errno != EAGAIN)
                    kill_link(l);
                return;
            }
            i->at += (size_t)n;
            f->queued -= (size_t)n;
        }
        if (i->at < i->len)
            continue;
        if (i->len == 0) {
            shutdown(fd, SHUT_WR);
            f->shut = true;
        }
        f->first = i->next;
        free(i);
    }
    if (l->flows[0].shut && l->flows[1].shut)
        end_link(l);
}

static void
fill(struct proxy *p, int64_t now)
{
    int64_t passed = now - p->filled_us;

    if (p->rate <= 0 || passed < TICK_US)
        return;
    int64_t most = p->rate * BURST_US / 1000000;
    for (int way = 0; way < 2; way++) {
        p->tokens[way] += p->rate * (passed < BURST_US ? passed : BURST_US) / 1000000;
        if (p->tokens[way] > most)
            p->tokens[way] = most;
    }
    p->filled_us = now;
}

/* Moves what can be moved; a piece a connection at a time, so that they share. */
static void
pump(struct proxy *p)
{
    int64_t now = now_us();

    fill(p, now);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        int64_t before = p->moved[0] + p->moved[1];
        for (struct link *l = p->links; l; l = l->next)
            for (int way = 0; way < 2; way++) {
                if (!l->dead)
                    take(p, l, way, now);
                if (!l->dead)
                    give(l, way, now);
            }
        if (p->moved[0] + p->moved[1] == before)
            break;
    }
    /* the first in the list must not always be the first to be served */
    if (p->links && p->links->next) {
        struct link *first = p->links, *last = first;
        while (last->next)
            last = last->next;
        p->links = first->next;
        first->next = NULL;
        last->next = first;
    }
}

/* Milliseconds until something is due or there will be tokens; -1: never. */
static int
patience(const struct proxy *p)
{
    int64_t now = now_us(), at = INT64_MAX;

    for (const struct link *l = p->links; l && !p->stalled; l = l->next)
        for (int way = 0; way < 2; way++) {
            const struct flow *f = &l->flows[way];
            if (f->first && f->writable && f->first->due_us < at)
                at = f->first->due_us;
            bool poor = p->rate > 0 && p->tokens[way] <= 0;
            int64_t next = poor ? p->filled_us + TICK_US : now;
            if (f->readable && !f->ended && f->queued < QUEUED_MAX && next < at)
                at = next;
        }
    if (at == INT64_MAX)
        return -1;
    return at <= now ? 0 : (int)((at - now + 999) / 1000);
}

static void
cut(struct proxy *p)
{
    for (struct link *l = p->links; l; l = l->next)
        kill_link(l);
}

static void
count(const struct proxy *p, const char *path)
{
    char beside[320];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *f = fopen(beside, "w");

    if (!f)
        die(path);
    fprintf(f, "%lld %lld %lld\n", (long long)p->moved[0], (long long)p->moved[1],
            (long long)p->let_in);
    if (fclose(f) != 0 || rename(beside, path) < 0)
        die(path);
}

static void
obey(struct proxy *p, const char *line)
{
    long long ms, rate;
    bool refuse = strcmp(line, "refuse") == 0;

    if (refuse && p->listener >= 0) {
        close(p->listener);
        p->listener = -1;
    }
    if (refuse || strcmp(line, "cut") == 0)
        cut(p);
    else if (strcmp(line, "stall") == 0)
        p->stalled = true;
    else if (strcmp(line, "mend") == 0) {
        p->stalled = false;
        listen_again(p);
    } else if (sscanf(line, "line %lld %lld", &ms, &rate) == 2) {
        p->rtt_us = ms * 1000;
        p->rate = rate;
        p->tokens[0] = p->tokens[1] = 0;
        p->filled_us = now_us();
    } else if (strncmp(line, "count ", 6) == 0)
        count(p, line + 6);
    else
        fprintf(stderr, "proxy: what is \"%s\"?\n", line);
}

static void
listen_to_control(struct proxy *p)
{
    char c;

    while (read(p->control, &c, 1) == 1) {
        if (c != '\n' && p->line_len + 1 < sizeof p->line) {
            p->line[p->line_len++] = c;
            continue;
        }
        p->line[p->line_len] = 0;
        p->line_len = 0;
        obey(p, p->line);
    }
}

static void
note(struct proxy *p, const struct epoll_event *ev)
{
    if (ev->data.ptr == &p->listener) {
        if (p->listener >= 0)
            let_in(p);
        return;
    }
    if (ev->data.ptr == &p->control) {
        listen_to_control(p);
        return;
    }
    struct end *x = ev->data.ptr;
    if (x->link->dead)
        return;
    if (ev->events & EPOLLERR) {
        kill_link(x->link);
        return;
    }
    if (ev->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
        x->link->flows[x->way].readable = true;
    if (ev->events & EPOLLOUT)
        x->link->flows[1 - x->way].writable = true;
}

static void
run(struct proxy *p)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int n = epoll_wait(p->epoll, events, EVENTS_MAX, patience(p));
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            note(p, &events[i]);
        if (!p->stalled)
            pump(p);
        bury(p);
    }
}

static int64_t
number(const char *text, int64_t most)
{
    char *end;
    long long n = strtoll(text, &end, 10);

    if (*text == 0 || *end != 0 || n < 0 || n > most) {
        errno = EINVAL;
        die(text);
    }
    return n;
}

int
main(int argc, char **argv)
{
    struct proxy p = { .listener = -1 };

    if (argc < 4 || argc > 6) {
        fputs("usage: proxy PORT TARGET-PORT CONTROL [RTT-MS [BYTES-PER-S]]\n", stderr);
        return 2;
    }
    p.port = (uint16_t)number(argv[1], 65535);
    p.target_port = (uint16_t)number(argv[2], 65535);
    p.rtt_us = argc > 4 ? number(argv[4], 100000) * 1000 : 0;
    p.rate = argc > 5 ? number(argv[5], INT64_C(1) << 40) : 0;
    p.filled_us = now_us();
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p.epoll < 0)
        die("epoll");
    if (mkfifo(argv[3], 0600) < 0 && errno != EEXIST)
        die(argv[3]);
    /* open for writing too, so that it never ends when a writer goes */
    p.control = open(argv[3], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (p.control < 0)
        die(argv[3]);
    watch(&p, p.control, EPOLLIN, &p.control);
    listen_again(&p);
    run(&p);
}
