/*
 * bucket: a small S3 server at a distance, for measuring what speaks to it.
 *
 *     bucket PORT DIR [RTT-MS]
 *
 * Objects are the files DIR/BUCKET/KEY; a folder DIR/BUCKET is a bucket. It knows
 * puts (also in signed pieces), gets with ranges, heads, listings of the second
 * version and single deletes, which is what backup programs use, and believes every
 * signature: the programs are what is measured, so it takes next to no CPU for itself.
 * What a real server does with requests and errors is the gateways' part
 * (ceph-rgw.sh).
 *
 * An answer leaves RTT-MS after the request has come, and a new connection waits as
 * long, as its handshake would: what a caller sees at the end of a long line that
 * carries as much as he likes. TCP's slow start and loss are not played.
 *
 * GET /count answers "REQUESTS CONNECTIONS" so far, without itself and at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_LEN 1200
#define HEAD_MAX 16384
#define PAGE_MAX 1000

static const char *root;
static long rtt_ms;
static atomic_ullong requests, connections, files;

struct peer {
    int fd;
    size_t at, len; /* of `bytes`, what was read and not used */
    char bytes[1 << 18];
};

struct request {
    char text[HEAD_MAX]; /* the head; what follows points into it */
    const char *method, *range;
    char *path;
    char query[HEAD_MAX]; /* each parameter has a '&' before it */
    bool pieces, absent;  /* the body comes in signed pieces; If-None-Match */
    uint64_t length;
    char file[PATH_LEN];
};

static void
die(const char *what)
{
    fprintf(stderr, "bucket: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
wait_rtt(void)
{
    struct timespec t = { rtt_ms / 1000, rtt_ms % 1000 * 1000000 };

    while (rtt_ms > 0 && nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* At least one more byte; false at the end. */
static bool
more(struct peer *p)
{
    if (p->at == p->len)
        p->at = p->len = 0;
    if (p->len == sizeof p->bytes)
        return false;
    ssize_t n = read(p->fd, p->bytes + p->len, sizeof p->bytes - p->len);
    if (n > 0)
        p->len += (size_t)n;
    return n > 0;
}

/* A line without its end; false when there is none. */
static bool
get_line(struct peer *p, char *to, size_t max)
{
    for (size_t n = 0; n + 1 < max;) {
        if (p->at == p->len && !more(p))
            return false;
        char c = p->bytes[p->at++];
        if (c == '\n') {
            to[n] = 0;
            return true;
        }
        if (c != '\r')
            to[n++] = c;
    }
    return false;
}

static bool
send_all(int fd, const char *from, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, from, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        from += n;
        len -= (size_t)n;
    }
    return true;
}

static void
date_of(char to[40], time_t when)
{
    struct tm tm;

    strftime(to, 40, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
}

/* The head of an answer; `length` bytes are to follow. */
static bool
answer(struct peer *p, const char *status, uint64_t length, const char *fields)
{
    char head[1024], now[40];

    date_of(now, time(NULL));
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nDate: %s\r\nServer: bucket\r\nContent-Length: "
                     "%llu\r\n%s\r\n",
                     status, now, (unsigned long long)length, fields);
    return send_all(p->fd, head, (size_t)n);
}

static bool
answer_text(struct peer *p, const struct request *r, const char *status, const char *text)
{
    bool head = strcmp(r->method, "HEAD") == 0;
    size_t len = head ? 0 : strlen(text);

    return answer(p, status, len, len ? "Content-Type: application/xml\r\n" : "")
        && send_all(p->fd, text, len);
}

static bool
answer_error(struct peer *p, const struct request *r, const char *status,
             const char *code)
{
    char text[200];

    snprintf(text, sizeof text, "<Error><Code>%s</Code><Message></Message></Error>",
             code);
    return answer_text(p, r, status, text);
}

static void
decode(char *s)
{
    char *to = s;
    unsigned byte;

    for (; *s; s++)
        if (*s == '%' && sscanf(s + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            s += 2;
        } else {
            *to++ = *s;
        }
    *to = 0;
}

/* The decoded value of a parameter; "" when it is not there. */
static void
parameter(const struct request *r, const char *name, char to[PATH_LEN])
{
    char key[64];

    snprintf(key, sizeof key, "&%s=", name);
    const char *at = strstr(r->query, key);
    to[0] = 0;
    if (at)
        snprintf(to, PATH_LEN, "%.*s", (int)strcspn(at + strlen(key), "&"),
                 at + strlen(key));
    decode(to);
}

static void
take_field(struct request *r, char *line)
{
    char *value = strchr(line, ':');

    if (!value)
        return;
    *value++ = 0;
    while (*value == ' ')
        value++;
    if (strcasecmp(line, "content-length") == 0 && !r->pieces)
        r->length = strtoull(value, NULL, 10);
    else if (strcasecmp(line, "x-amz-decoded-content-length") == 0)
        r->length = strtoull(value, NULL, 10);
    else if (strcasecmp(line, "x-amz-content-sha256") == 0)
        r->pieces |= strncmp(value, "STREAMING-", 10) == 0;
    else if (strcasecmp(line, "range") == 0)
        r->range = value;
    else if (strcasecmp(line, "if-none-match") == 0)
        r->absent = true;
}

/* The request's first line, in its parts. */
static bool
take_line(struct request *r)
{
    char *space = strchr(r->text, ' ');
    char *end = space ? strchr(space + 1, ' ') : NULL;

    if (!end)
        return false;
    *space = *end = 0;
    r->method = r->text;
    r->path = space + 1;
    char *mark = r->path + strcspn(r->path, "?");
    snprintf(r->query, sizeof r->query, "&%s", *mark ? mark + 1 : "");
    *mark = 0;
    decode(r->path);
    snprintf(r->file, sizeof r->file, "%s%s", root, r->path);
    return r->path[0] == '/' && !strstr(r->path, "/../");
}

/* Reads a request up to its body. */
static bool
get_request(struct peer *p, struct request *r)
{
    *r = (struct request){ .range = "" };
    if (!get_line(p, r->text, HEAD_MAX))
        return false;
    size_t at = strlen(r->text) + 1;
    if (!take_line(r))
        return false;
    for (;;) {
        char *line = r->text + at;
        if (at >= HEAD_MAX || !get_line(p, line, HEAD_MAX - at))
            return false;
        if (!*line)
            return true;
        at += strlen(line) + 1;
        take_field(r, line);
    }
}

static bool
copy(struct peer *p, int to, uint64_t len)
{
    while (len > 0) {
        if (p->at == p->len && !more(p))
            return false;
        size_t n = p->len - p->at < len ? p->len - p->at : (size_t)len;
        if (to >= 0 && write(to, p->bytes + p->at, n) != (ssize_t)n)
            return false;
        p->at += n;
        len -= n;
    }
    return true;
}

/* "SIZE;chunk-signature=…", the bytes and a line's end, until a size is 0. */
static bool
copy_pieces(struct peer *p, int to)
{
    char line[512];
    uint64_t size;

    do {
        if (!get_line(p, line, sizeof line))
            return false;
        size = strtoull(line, NULL, 16);
        if (!copy(p, to, size) || !get_line(p, line, sizeof line))
            return false;
    } while (size > 0);
    return true;
}

static void
make_folders(char *path)
{
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
}

static bool
put(struct peer *p, struct request *r)
{
    char tmp[PATH_LEN];

    if (r->length == 0 && !strchr(r->path + 1, '/')) {
        mkdir(r->file, 0700);
        wait_rtt();
        return answer_text(p, r, "200 OK", "");
    }
    snprintf(tmp, sizeof tmp, "%s/.%llu", root, (unsigned long long)files++);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && (r->pieces ? copy_pieces(p, fd) : copy(p, fd, r->length));
    if (fd >= 0)
        close(fd);
    if (!good)
        return false;
    make_folders(r->file);
    bool stored = r->absent ? link(tmp, r->file) == 0 : rename(tmp, r->file) == 0;
    if (!stored || r->absent)
        unlink(tmp);
    wait_rtt();
    if (stored)
        return answer(p, "200 OK", 0, "ETag: \"0\"\r\n");
    return r->absent ? answer_error(p, r, "412 Precondition Failed", "PreconditionFailed")
                     : answer_error(p, r, "500 Internal Server Error", "InternalError");
}

/* The object, or a range of it. */
static bool
get(struct peer *p, const struct request *r)
{
    int fd = open(r->file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    unsigned long long from = 0, to = 0;
    char fields[300], when[40];

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return answer_error(p, r, "404 Not Found", "NoSuchKey");
    }
    uint64_t size = (uint64_t)st.st_size;
    int bounds = sscanf(r->range, "bytes=%llu-%llu", &from, &to);
    if (bounds >= 1 && from >= size) {
        close(fd);
        return answer_error(p, r, "416 Range Not Satisfiable", "InvalidRange");
    }
    if (bounds < 2 || to >= size)
        to = size - 1;
    date_of(when, st.st_mtim.tv_sec);
    int n = snprintf(fields, sizeof fields,
                     "ETag: \"0\"\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n"
                     "Content-Type: application/octet-stream\r\n",
                     when);
    if (bounds >= 1)
        snprintf(fields + n, sizeof fields - (size_t)n,
                 "Content-Range: bytes %llu-%llu/%llu\r\n", from, to,
                 (unsigned long long)size);
    uint64_t left = size == 0 ? 0 : to - from + 1;
    off_t at = (off_t)from;
    bool good = answer(p, bounds >= 1 ? "206 Partial Content" : "200 OK", left, fields);
    if (strcmp(r->method, "HEAD") == 0)
        left = 0;
    while (good && left > 0) {
        ssize_t sent = sendfile(p->fd, fd, &at, left);
        good = sent > 0;
        left -= good ? (uint64_t)sent : 0;
    }
    close(fd);
    return good;
}

struct keys {
    char **names;
    size_t count;
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All keys of a bucket that begin with `prefix` and lie behind `after`, in order. */
static void
find_keys(const struct request *r, const char *prefix, const char *after, struct keys *k)
{
    char *top[] = { (char *)(uintptr_t)r->file, NULL };
    FTS *tree = fts_open(top, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    size_t skip = strlen(r->file) + (r->file[strlen(r->file) - 1] != '/');

    for (FTSENT *f; tree && (f = fts_read(tree));) {
        const char *key = f->fts_path + skip;
        if (f->fts_info != FTS_F || strncmp(key, prefix, strlen(prefix)) != 0
            || strcmp(key, after) <= 0)
            continue;
        k->names = realloc(k->names, (k->count + 1) * sizeof *k->names);
        if (!k->names || !(k->names[k->count++] = strdup(key)))
            die("memory");
    }
    if (tree)
        fts_close(tree);
    if (k->count > 1)
        qsort(k->names, k->count, sizeof *k->names, by_name);
}

static void
tell_key(FILE *to, const struct request *r, const char *key)
{
    char path[2 * PATH_LEN];
    struct stat st;
    struct tm tm;
    char when[40];

    snprintf(path, sizeof path, "%s/%s", r->file, key);
    if (stat(path, &st) < 0)
        return;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S.000Z",
             gmtime_r(&st.st_mtim.tv_sec, &tm));
    fprintf(to,
            "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>&quot;0&quot;"
            "</ETag><Size>%lld</Size><StorageClass>STANDARD</StorageClass></Contents>",
            key, when, (long long)st.st_size);
}

static bool
list(struct peer *p, const struct request *r)
{
    char prefix[PATH_LEN], after[PATH_LEN], token[PATH_LEN];
    struct keys k = { 0 };
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    if (!to)
        die("memory");
    parameter(r, "prefix", prefix);
    parameter(r, "start-after", after);
    parameter(r, "continuation-token", token); /* the last key of the page before */
    find_keys(r, prefix, *token ? token : after, &k);
    bool cut = k.count > PAGE_MAX;
    fprintf(to, "<ListBucketResult><Prefix>%s</Prefix><MaxKeys>%d</MaxKeys>", prefix,
            PAGE_MAX);
    for (size_t i = 0; i < k.count && i < PAGE_MAX; i++)
        tell_key(to, r, k.names[i]);
    fprintf(to, "<IsTruncated>%s</IsTruncated>", cut ? "true" : "false");
    if (cut)
        fprintf(to, "<NextContinuationToken>%s</NextContinuationToken>",
                k.names[PAGE_MAX - 1]);
    fputs("</ListBucketResult>", to);
    fclose(to);
    for (size_t i = 0; i < k.count; i++)
        free(k.names[i]);
    free(k.names);
    bool good = answer_text(p, r, "200 OK", text);
    free(text);
    return good;
}

static bool
is_bucket(const struct request *r)
{
    const char *slash = strchr(r->path + 1, '/');

    return !slash || !slash[1];
}

static bool
serve(struct peer *p, struct request *r)
{
    char count[60];

    if (strcmp(r->path, "/count") == 0) {
        snprintf(count, sizeof count, "%llu %llu\n", (unsigned long long)requests,
                 (unsigned long long)connections - 1);
        connections--;
        return answer_text(p, r, "200 OK", count) && false;
    }
    requests++;
    if (strcmp(r->method, "PUT") == 0)
        return put(p, r);
    if (!copy(p, -1, r->length))
        return false;
    wait_rtt();
    if (strcmp(r->method, "DELETE") == 0) {
        unlink(r->file);
        return answer_text(p, r, "204 No Content", "");
    }
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
        return answer_error(p, r, "501 Not Implemented", "NotImplemented");
    if (!is_bucket(r))
        return get(p, r);
    if (access(r->file, F_OK) < 0)
        return answer_error(p, r, "404 Not Found", "NoSuchBucket");
    if (strcmp(r->method, "HEAD") == 0)
        return answer_text(p, r, "200 OK", "");
    return strstr(r->query, "&location")
             ? answer_text(p, r, "200 OK", "<LocationConstraint/>")
             : list(p, r);
}

static void *
talk(void *arg)
{
    struct peer *p = arg;
    struct request *r = malloc(sizeof *r);
    bool first = true;

    if (!r)
        die("memory");
    while (get_request(p, r)) {
        if (first && strcmp(r->path, "/count") != 0)
            wait_rtt(); /* the handshake */
        first = false;
        if (!serve(p, r))
            break;
    }
    close(p->fd);
    free(p);
    free(r);
    return NULL;
}

int
main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc < 3 || argc > 4) {
        fputs("usage: bucket PORT DIR [RTT-MS]\n", stderr);
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    root = argv[2];
    rtt_ms = argc > 3 ? atol(argv[3]) : 0;
    signal(SIGPIPE, SIG_IGN);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 128) < 0)
        die("listening");
    for (;;) {
        struct peer *p = calloc(1, sizeof *p);
        pthread_t t;
        if (!p)
            die("memory");
        p->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (p->fd < 0) {
            free(p);
            continue;
        }
        connections++;
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&t, NULL, talk, p) != 0)
            die("a thread");
        pthread_detach(t);
    }
}
