/*
 * Each request borrows an idle easy handle, whose connection is then reused:
 * there are as many as requests ran at the same time. A body from a file goes
 * through libcurl's own send buffer, never as a whole through memory.
 */
#include "net/http.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "patience.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SMALL 65536 /* bytes */
#define SMALL_STALL_S 15
#define WINDOW 131072L /* bytes of libcurl's buffers, one each way */

struct http {
    char *ca;
    struct http_limits limits;
    pthread_mutex_t lock;
    CURL **idle;
    size_t count, cap;
};

/* One request on its way. A callback that fails fills `e` and sets `failed`. */
struct transfer {
    const struct http_request *request;
    struct http_answer *answer;
    CURL *curl;
    uint64_t sent;  /* of the body, as far as it was not begun anew */
    uint64_t moved; /* both ways */
    struct patience patience; /* used with a pace */
    struct err *e;
    bool failed;
};

static void
start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http *
http_new(const struct http_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct http *h = mem_zalloc(sizeof *h);
    struct http_limits *l = &h->limits;

    pthread_once(&once, start_curl);
    h->ca = mem_strdup(o->ca);
    *l = o->limits;
    l->connect_ms = l->connect_ms ? l->connect_ms : 15000;
    l->stall_s = l->stall_s ? l->stall_s : 30;
    l->stall_rate = l->stall_rate ? l->stall_rate : 1024;
    l->slack_ms = l->slack_ms ? l->slack_ms : 60000;
    l->min_rate = l->min_rate ? l->min_rate : 65536;
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void
http_free(struct http *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->count; i++)
        curl_easy_cleanup(h->idle[i]);
    mem_free(h->idle);
    mem_free(h->ca);
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

static CURL *
borrow(struct http *h)
{
    CURL *c = NULL;

    pthread_mutex_lock(&h->lock);
    if (h->count > 0)
        c = h->idle[--h->count];
    pthread_mutex_unlock(&h->lock);
    return c ? c : curl_easy_init();
}

static void
give_back(struct http *h, CURL *c)
{
    curl_easy_reset(c); /* keeps its connections */
    pthread_mutex_lock(&h->lock);
    h->idle = mem_grow(h->idle, &h->cap, h->count + 1, sizeof(CURL *));
    h->idle[h->count++] = c;
    pthread_mutex_unlock(&h->lock);
}

static bool
has_pace(const struct http_request *r)
{
    return r->feed_pace || r->take_pace;
}

/* The turn to move up to `*n` bytes. */
static int
await_turn(struct transfer *t, struct pace *p, size_t *n)
{
    int64_t from_ms = clock_mono_ms();
    int rc = pace_take(p, *n, t->request->stop, n, t->e);

    t->patience.waited_ms += clock_mono_ms() - from_ms;
    t->failed |= rc < 0;
    return rc;
}

static size_t
feed_body(char *to, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    const struct http_request *r = t->request;
    uint64_t left = r->size - t->sent;
    size_t n = size * count < left ? size * count : (size_t)left;

    if (await_turn(t, r->feed_pace, &n) < 0)
        return CURL_READFUNC_ABORT;
    if (r->fd < 0 && n > 0)
        memcpy(to, r->data.ptr + t->sent, n);
    while (r->fd >= 0 && n > 0) {
        ssize_t got = pread(r->fd, to, n, (off_t)t->sent);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got < 0)
                err_sys(t->e, errno, "reading the file to be sent");
            else
                err_set(t->e, ERR_CORRUPT, 0, "the file to be sent ends too early");
            t->failed = true;
            return CURL_READFUNC_ABORT;
        }
        n = (size_t)got;
        break;
    }
    t->sent += n;
    t->moved += n;
    return n;
}

/* libcurl begins anew when a kept connection turns out to be dead. */
static int
rewind_body(void *arg, curl_off_t at, int origin)
{
    struct transfer *t = arg;

    if (origin != SEEK_SET || at < 0 || (uint64_t)at > t->request->size)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (uint64_t)at;
    return CURL_SEEKFUNC_OK;
}

static void
keep_field(struct http_answer *a, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name = colon ? (size_t)(colon - line) : 0;

    if (name == 0 || a->fields.max - a->fields.len < len + 2)
        return;
    for (size_t i = 0; i < name; i++)
        buf_put_u8(&a->fields, (uint8_t)tolower((unsigned char)line[i]));
    buf_put_u8(&a->fields, 0);
    const char *from = colon + 1, *to = line + len;
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    buf_put(&a->fields, from, (size_t)(to - from));
    buf_put_u8(&a->fields, 0);
}

static size_t
take_field(char *line, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count;

    if (len >= 5 && strncasecmp(line, "HTTP/", 5) == 0)
        buf_clear(&t->answer->fields); /* a second answer follows a "100 Continue" */
    else if (!memchr(line, 0, len))
        keep_field(t->answer, line, len);
    return len;
}

static int
status_of(CURL *c)
{
    long status = 0;

    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* Takes the room for the whole body at once, if it was announced. */
static int
make_room(struct transfer *t)
{
    struct buf *out = t->request->out;
    size_t room = out->max - out->len;
    curl_off_t length = -1;

    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0 && (uint64_t)length > room) {
        t->failed = true;
        return err_set(t->e, ERR_CORRUPT, 0,
                       "the answer has %lld bytes, more than the %zu "
                       "it may have",
                       (long long)length, room);
    }
    if (length > 0)
        buf_room(out, (size_t)length);
    return 0;
}

/* Bytes that came are kept at the pace they should have come: who does not read
 * on makes the sender wait. */
static int
keep_body(struct transfer *t, const char *from, size_t len)
{
    for (size_t n; len > 0; from += n, len -= n) {
        n = len;
        if (await_turn(t, t->request->take_pace, &n) < 0)
            return -1;
        buf_put(t->request->out, from, n);
    }
    return 0;
}

static size_t
take_body(char *from, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count;
    int status = status_of(t->curl);
    struct buf *out = t->request->out;

    bool first = t->answer->received == 0;
    t->answer->received += len;
    t->moved += len;
    if (status < 200 || status > 299) {
        struct buf *error = &t->answer->error;
        size_t room = error->max - error->len;
        buf_put(error, from, len < room ? len : room);
        return len;
    }
    if (!out)
        return len;
    if (first && make_room(t) < 0)
        return 0;
    if (len > out->max - out->len) {
        err_set(t->e, ERR_CORRUPT, status, "the answer is longer than it may be");
        t->failed = true;
        return 0;
    }
    return keep_body(t, from, len) < 0 ? 0 : len;
}

/* The host and port of a URL, for messages. */
static struct slice
host_of(const char *url)
{
    const char *at = strstr(url, "://");

    at = at ? at + 3 : url;
    return slice_of(at, strcspn(at, "/?"));
}

/* What a request that still runs is asked about once a second or more often. */
static int
look_for_cancel(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct transfer *t = arg;
    const struct http_request *r = t->request;
    struct slice host = host_of(r->url);
    const char *why = NULL;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    if (r->stop && atomic_load(r->stop)) {
        err_set(t->e, ERR_CANCELLED, 0, "no longer wanted");
        t->failed = true;
    } else if (has_pace(r)) {
        why = patience_lost(&t->patience, clock_mono_ms(), t->moved);
    }
    if (why) {
        err_set(t->e, ERR_UNAVAIL, ETIMEDOUT, "no answer from %.*s in time: %s",
                (int)host.len, (const char *)host.ptr, why);
        t->failed = true;
    }
    return t->failed || cancel_requested();
}

static bool
is_loopback(const char *url)
{
    const char *host = (const char *)host_of(url).ptr;

    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0
           || strncmp(host, "[::1]", 5) == 0;
}

static void
set_limits(CURL *c, const struct http_limits *l, struct transfer *t)
{
    const struct http_request *r = t->request;
    uint64_t bytes = r->size + r->expected;
    long deadline_ms = l->slack_ms + (long)(bytes * 1000 / l->min_rate);
    /* what is small comes soon, or the server is frozen */
    long stall_s = bytes < SMALL && l->stall_s > SMALL_STALL_S ? SMALL_STALL_S
                                                               : l->stall_s;

    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, l->connect_ms);
    t->patience = (struct patience){
        .deadline_ms = deadline_ms, .stall_ms = stall_s * 1000L,
        .stall_bytes = (uint64_t)(l->stall_rate * stall_s), .began_ms = clock_mono_ms()
    };
    if (!has_pace(r)) {
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, deadline_ms);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, l->stall_rate);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, stall_s);
    }
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, WINDOW);
    curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, WINDOW);
}

static void
set_place(CURL *c, const struct http *h, const struct http_request *r)
{
    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L); /* as it was signed */
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "drtool");
    /* without a folder of certificates libcurl keeps the parsed file */
    curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    if (h->ca)
        curl_easy_setopt(c, CURLOPT_CAINFO, h->ca);
    if (is_loopback(r->url))
        curl_easy_setopt(c, CURLOPT_PROXY, "");
}

static void
set_transfer(CURL *c, struct transfer *t)
{
    const struct http_request *r = t->request;
    bool sends = strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0;

    curl_easy_setopt(c, CURLOPT_NOBODY, strcmp(r->method, "HEAD") == 0 ? 1L : 0L);
    if (sends) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->size);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, feed_body);
        curl_easy_setopt(c, CURLOPT_READDATA, t);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, rewind_body);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
    }
    if (strcmp(r->method, "HEAD") != 0)
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_field);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look_for_cancel);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

static struct curl_slist *
make_fields(const struct http_request *r)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 */

    assert(r->field_count <= HTTP_FIELDS_MAX);
    list = curl_slist_append(list, "Accept:");
    for (size_t i = 0; i < r->field_count; i++) {
        AUTOFREE char *line = mem_printf("%s: %s", r->fields[i].name, r->fields[i].value);
        list = curl_slist_append(list, line);
    }
    return list;
}

/* Why no answer came, in a sentence that names the host. */
static int
explain(CURLcode code, const char *detail, const struct http *h,
        const struct http_request *r, struct err *e)
{
    struct slice host = host_of(r->url);
    int len = (int)host.len;
    const char *name = (const char *)host.ptr;
    const char *why = detail[0] ? detail : curl_easy_strerror(code);

    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(e, ERR_CANCELLED, 0, "stopped by a signal");
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(e, ERR_USAGE, 0, "the certificates in %s cannot be used: %s",
                       h->ca ? h->ca : "the system's file", why);
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(e, ERR_UNAVAIL, 0,
                       "the certificate of %.*s is not trusted (%s); "
                       "for one of your own name its issuer with `ca:`",
                       len, name, why);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(e, ERR_UNAVAIL, 0,
                       "the name of %.*s cannot be resolved; check the "
                       "endpoint and the DNS",
                       len, name);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_UNAVAIL, ETIMEDOUT, "no answer from %.*s in time: %s", len,
                       name, why);
    case CURLE_PARTIAL_FILE:
        return err_set(e, ERR_UNAVAIL, 0, "%.*s cut its answer short", len, name);
    case CURLE_GOT_NOTHING:
        return err_set(e, ERR_UNAVAIL, 0, "%.*s closed the connection without an answer",
                       len, name);
    default:
        return err_set(e, ERR_UNAVAIL, 0, "no answer from %.*s: %s", len, name, why);
    }
}

static void
note_answer(struct http_answer *a, CURL *c)
{
    const char *length = http_field(a, "content-length");
    uint64_t value;

    a->status = status_of(c);
    a->length = length && text_uint(length, INT64_MAX, &value) ? (int64_t)value : -1;
}

int
http_send(struct http *h, const struct http_request *r, struct http_answer *out,
          struct err *e)
{
    struct transfer t = { .request = r, .answer = out, .e = e };
    char detail[CURL_ERROR_SIZE] = "";
    CURL *c = borrow(h);

    if (!c)
        return err_set(e, ERR_IO, 0, "libcurl cannot make a handle");
    struct curl_slist *fields = make_fields(r);
    t.curl = c;
    set_limits(c, &h->limits, &t);
    set_place(c, h, r);
    set_transfer(c, &t);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(c);
    note_answer(out, c);
    curl_slist_free_all(fields);
    give_back(h, c);
    if (t.failed)
        return -1;
    return code == CURLE_OK ? 0 : explain(code, detail, h, r, e);
}

void
http_answer_release(struct http_answer *a)
{
    buf_release(&a->fields);
    buf_release(&a->error);
}

const char *
http_field(const struct http_answer *a, const char *name)
{
    const char *p = (const char *)a->fields.ptr;
    const char *end = p + a->fields.len;

    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

int64_t
http_date(const char *text)
{
    return text ? (int64_t)curl_getdate(text, NULL) : -1;
}
