#include "server.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 16384
#define REQUESTS_MAX 256
#define CONNECTIONS_MAX 256

struct request {
    char *head;
    uint64_t body_size;
};

struct server {
    int fd;
    char endpoint[64];
    const struct server_step *steps;
    size_t count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stop;
    struct request requests[REQUESTS_MAX];
    unsigned request_count;
    pthread_t workers[CONNECTIONS_MAX];
    int open[CONNECTIONS_MAX];
    unsigned connection_count;
};

struct connection {
    struct server *server;
    int fd;
};

static bool
send_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads up to the empty line, one byte at a time: what follows is the body's. */
static bool
read_head(int fd, char *head)
{
    size_t len = 0;

    while (len < HEAD_MAX - 1) {
        if (recv(fd, head + len, 1, 0) != 1)
            return false;
        head[++len] = 0;
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static uint64_t
body_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");

    return at ? strtoull(at + 17, NULL, 10) : 0;
}

static uint64_t
drop_body(int fd, uint64_t len)
{
    char piece[65536];
    uint64_t got = 0;

    while (got < len) {
        size_t want = len - got < sizeof piece ? (size_t)(len - got) : sizeof piece;
        ssize_t n = recv(fd, piece, want, 0);
        if (n <= 0)
            break;
        got += (uint64_t)n;
    }
    return got;
}

/* Writes the request down and returns the step that answers it. */
static const struct server_step *
note(struct server *s, const char *head, uint64_t body_size)
{
    pthread_mutex_lock(&s->lock);
    assert(s->request_count < REQUESTS_MAX);
    size_t at = s->request_count < s->count ? s->request_count : s->count - 1;
    s->requests[s->request_count++] = (struct request){ mem_strdup(head), body_size };
    pthread_mutex_unlock(&s->lock);
    return &s->steps[at];
}

static void
wait_for_stop(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->stop)
        pthread_cond_wait(&s->stopped, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void
reset(int fd)
{
    struct linger now = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static bool
drip(int fd, const char *body)
{
    for (; *body; body++) {
        if (!send_all(fd, body, 1))
            return false;
        usleep(50000);
    }
    return true;
}

static bool
send_body(int fd, const struct server_step *step, const char *body, size_t len)
{
    char filler[1000];
    char line[32];

    switch (step->how) {
    case SERVER_CUT:
        send_all(fd, body, len / 2);
        return false;
    case SERVER_DRIP:
        return drip(fd, body);
    case SERVER_OVERLONG:
        memset(filler, 'x', sizeof filler);
        return send_all(fd, body, len) && send_all(fd, filler, sizeof filler) && false;
    case SERVER_CHUNKED:
        snprintf(line, sizeof line, "%zx\r\n", len);
        return send_all(fd, line, strlen(line)) && send_all(fd, body, len)
               && send_all(fd, "\r\n0\r\n\r\n", 7);
    case SERVER_EARLY:
        send_all(fd, body, len);
        return false;
    default:
        return send_all(fd, body, len);
    }
}

/* True: the connection is kept. */
static bool
answer(struct server *s, int fd, const struct server_step *step, bool is_head)
{
    char head[4096], date[64], length[64] = "Transfer-Encoding: chunked\r\n";
    const char *body = step->body && !is_head ? step->body : "";
    time_t t = time(NULL) + (time_t)step->date_off_s;
    struct tm tm;

    if (step->how == SERVER_STALL)
        wait_for_stop(s);
    if (step->how == SERVER_RESET)
        reset(fd);
    if (step->how == SERVER_STALL || step->how == SERVER_RESET
        || step->how == SERVER_CLOSE)
        return false;
    gmtime_r(&t, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    bool given = step->fields && strcasestr(step->fields, "Content-Length:");
    if (given)
        length[0] = 0;
    else if (step->how != SERVER_CHUNKED)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    snprintf(head, sizeof head, "HTTP/1.1 %d Scripted\r\nDate: %s\r\n%s%s\r\n",
             step->status, date, length, step->fields ? step->fields : "");
    return send_all(fd, head, strlen(head)) && send_body(fd, step, body, strlen(body));
}

static void *
serve(void *arg)
{
    struct connection *c = arg;
    struct server *s = c->server;
    char head[HEAD_MAX];

    while (read_head(c->fd, head)) {
        uint64_t len = body_length(head);
        pthread_mutex_lock(&s->lock);
        size_t at = s->request_count < s->count ? s->request_count : s->count - 1;
        bool early = s->steps[at].how == SERVER_EARLY;
        pthread_mutex_unlock(&s->lock);
        const struct server_step *step = note(s, head, early ? 0 : drop_body(c->fd, len));
        if (!answer(s, c->fd, step, strncmp(head, "HEAD ", 5) == 0))
            break;
    }
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->connection_count; i++)
        if (s->open[i] == c->fd)
            s->open[i] = -1;
    close(c->fd);
    pthread_mutex_unlock(&s->lock);
    mem_free(c);
    return NULL;
}

static void *
take_connections(void *arg)
{
    struct server *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        pthread_mutex_lock(&s->lock);
        bool stop = s->stop || fd < 0 || s->connection_count == CONNECTIONS_MAX;
        if (!stop) {
            struct connection *c = mem_alloc(sizeof *c);
            *c = (struct connection){ s, fd };
            s->open[s->connection_count] = fd;
            int rc = pthread_create(&s->workers[s->connection_count++], NULL, serve, c);
            assert(rc == 0);
        }
        pthread_mutex_unlock(&s->lock);
        if (!stop)
            continue;
        if (fd >= 0)
            close(fd);
        return NULL;
    }
}

struct server *
server_start(const struct server_step *steps, size_t count)
{
    struct server *s = mem_zalloc(sizeof *s);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int rc;

    assert(count > 0);
    s->steps = steps;
    s->count = count;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->stopped, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rc = bind(s->fd, (struct sockaddr *)&at, sizeof at);
    rc = rc ? rc : listen(s->fd, 64);
    rc = rc ? rc : getsockname(s->fd, (struct sockaddr *)&at, &len);
    rc = rc ? rc : pthread_create(&s->thread, NULL, take_connections, s);
    assert(rc == 0);
    snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%u", ntohs(at.sin_port));
    return s;
}

void
server_stop(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->stopped);
    shutdown(s->fd, SHUT_RDWR);
    for (unsigned i = 0; i < s->connection_count; i++)
        if (s->open[i] >= 0)
            shutdown(s->open[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->connection_count; i++)
        pthread_join(s->workers[i], NULL);
    for (unsigned i = 0; i < s->request_count; i++)
        mem_free(s->requests[i].head);
    close(s->fd);
    pthread_cond_destroy(&s->stopped);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

const char *
server_endpoint(const struct server *s)
{
    return s->endpoint;
}

unsigned
server_requests(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->request_count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned
server_connections(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->connection_count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

const char *
server_head(struct server *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    const char *head = n < s->request_count ? s->requests[n].head : "";
    pthread_mutex_unlock(&s->lock);
    return head;
}

uint64_t
server_body_size(struct server *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    uint64_t size = n < s->request_count ? s->requests[n].body_size : 0;
    pthread_mutex_unlock(&s->lock);
    return size;
}
