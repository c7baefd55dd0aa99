/* What S3 servers answer at their worst. No wait here is longer than needed:
 * the limits are those of the test, not the usual ones. */
#include "storage/s3.h"

#include "../support/server.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "storage/wrap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ERROR(code) "<?xml version=\"1.0\"?><Error><Code>" code "</Code></Error>"
#define REFUSED(key, code) \
    "<Error><Key>" key "</Key><Code>" code "</Code></Error>"
#define LIST(inner)                                                              \
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" inner \
    "</ListBucketResult>"
#define KEY(key)                                                         \
    "<Contents><Key>" key "</Key><LastModified>2026-01-02T03:04:05.000Z" \
    "</LastModified><Size>7</Size></Contents>"

/* A server, and a storage whose bucket it plays. */
struct scene {
    struct server *server;
    struct storage *s;
};

static void
scene_end(struct scene *c)
{
    storage_close(c->s);
    server_stop(c->server);
}

static struct scene
scene_of(const struct server_step *steps, size_t count)
{
    struct scene c = { .server = server_start(steps, count) };
    struct s3_options o = { .bucket = "shop",
                            .endpoint = server_endpoint(c.server),
                            .region = "eu-1",
                            .access_key = "AK",
                            .secret_key = "SK",
                            .limits = {
                                .connect_ms = 2000, .stall_s = 1, .slack_ms = 5000 } };
    struct err e = { 0 };

    assert_int_equal(storage_s3(&o, &c.s, &e), 0);
    return c;
}

#define SCENE(...)                                                             \
    static const struct server_step steps_[] = { __VA_ARGS__ };                \
    CLEANUP(scene_end) struct scene c = scene_of(steps_, COUNT_OF(steps_))

static int
put(struct storage *s, const char *key, unsigned flags, struct err *e)
{
    struct body b = body_of(SLICE("0123456789"));

    return storage_put(s, key, &b, flags, e);
}

static int
get(struct storage *s, uint64_t offset, uint64_t len, struct buf *out, struct err *e)
{
    struct range r = { .key = "pack/1", .offset = offset, .len = len };

    return storage_get(s, &r, out, e);
}

/* The call failed with this kind, and its text says `words`. */
static void
assert_error(int rc, const struct err *e, enum err_kind kind, const char *words)
{
    assert_int_equal(rc, -1);
    if (e->kind != kind || !strstr(err_text(e), words))
        fail_msg("%s: %s (wanted %s: %s)", err_name(e->kind), err_text(e), err_name(kind),
                 words);
}

static void
each_error_code_has_its_kind_and_sentence(void **state)
{
    static const struct {
        struct server_step step;
        enum err_kind kind;
        const char *words;
    } cases[] = {
        { { 403, NULL, ERROR("AccessDenied"), 0, 0 },
          ERR_DENIED, "check the credentials" },
        { { 403, NULL, ERROR("InvalidAccessKeyId"), 0, 0 },
          ERR_DENIED, "s3://shop at http" },
        { { 403, NULL, ERROR("SignatureDoesNotMatch"), 0, 0 }, ERR_DENIED, "secret key" },
        { { 400, NULL, ERROR("ExpiredToken"), 0, 0 }, ERR_DENIED, "expired" },
        { { 401, NULL, NULL, 0, 0 }, ERR_DENIED, "check the credentials" },
        { { 403, NULL, "<html>proxy</html>", 0, 0 },
          ERR_DENIED, "check the credentials" },
        { { 404, NULL, ERROR("NoSuchKey"), 0, 0 }, ERR_NOT_FOUND, "pack/1 in s3://shop" },
        { { 404, NULL, ERROR("NoSuchBucket"), 0, 0 }, ERR_NO_TARGET, "create it, or" },
        { { 503, NULL, ERROR("SlowDown"), 0, 0 }, ERR_THROTTLED, "fewer requests" },
        { { 503, NULL, NULL, 0, 0 }, ERR_THROTTLED, "503" },
        { { 429, NULL, NULL, 0, 0 }, ERR_THROTTLED, "429" },
        { { 500, NULL, ERROR("InternalError"), 0, 0 }, ERR_UNAVAIL, "internal error" },
        { { 502, NULL, "<html>bad gateway", 0, 0 }, ERR_UNAVAIL, "502" },
        { { 400, NULL, ERROR("RequestTimeout"), 0, 0 }, ERR_UNAVAIL, "waited" },
        { { 408, NULL, NULL, 0, 0 }, ERR_UNAVAIL, "408" },
        { { 507, NULL, NULL, 0, 0 }, ERR_FULL, "no space" },
        { { 403, NULL, ERROR("QuotaExceeded"), 0, 0 }, ERR_FULL, "quota" },
        { { 400, NULL, ERROR("BadDigest"), 0, 0 }, ERR_CORRUPT, "announced" },
        { { 400, NULL, ERROR("InvalidArgument"), 0, 0 },
          ERR_UNSUPPORTED, "InvalidArgument" },
        { { 400, NULL, ERROR("Bad&#27;Thing"), 0, 0 }, ERR_UNSUPPORTED, "400" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(scene_end) struct scene c = scene_of(&cases[i].step, 1);
        AUTOBUF struct buf out = BUF(100);
        struct err e = { 0 };
        assert_error(get(c.s, 0, 0, &out, &e), &e, cases[i].kind, cases[i].words);
        e = (struct err){ 0 };
        assert_error(put(c.s, "pack/1", 0, &e), &e, cases[i].kind, cases[i].words);
    }
}

static void
a_wrong_region_is_told_with_the_right_one(void **state)
{
    static const struct server_step cases[] = {
        { 400, NULL,
          "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-7</Region>"
          "</Error>",
          0, 0 },
        { 301, "x-amz-bucket-region: us-7\r\nLocation: http://127.0.0.1:9/\r\n",
          ERROR("PermanentRedirect"), 0, 0 },
        { 307, "x-amz-bucket-region: us-7\r\n", NULL, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(scene_end) struct scene c = scene_of(&cases[i], 1);
        struct err e = { 0 };
        assert_error(put(c.s, "a", 0, &e), &e, ERR_NO_TARGET, "set `region: us-7`");
    }
}

/* A HEAD has no body that would tell; the difference of the clocks does. */
static void
a_refusal_with_clocks_apart_names_the_clock(void **state)
{
    SCENE({ 403, NULL, ERROR("AccessDenied"), 0, -3600 });
    struct object_info o;
    struct err e = { 0 };

    (void)state;
    assert_error(put(c.s, "a", 0, &e), &e, ERR_DENIED, "clock is 60 minutes off");
    e = (struct err){ 0 };
    assert_error(storage_head(c.s, "a", &o, &e), &e, ERR_DENIED,
                 "clock is 60 minutes off");
}

static int64_t slept_ms;

static void
note_sleep(int64_t ms)
{
    slept_ms += ms;
}

static void
a_throttling_server_is_given_the_time_it_asks_for(void **state)
{
    SCENE({ 503, "Retry-After: 7\r\n", ERROR("SlowDown"), 0, 0 },
          { 200, NULL, NULL, 0, 0 });
    struct retry_options o = { .tries = 5, .first_wait_ms = 200, .max_wait_ms = 20000,
                               .sleep_ms = note_sleep };
    struct err e = { 0 };

    (void)state;
    slept_ms = 0;
    c.s = storage_retry(c.s, &o);
    assert_int_equal(put(c.s, "a", 0, &e), 0);
    assert_true(slept_ms >= 7000 && slept_ms <= 20000);
    assert_int_equal(server_requests(c.server), 2);
}

static void
retry_after_may_be_a_date_but_not_for_ever(void **state)
{
    SCENE({ 503, "Retry-After: 86400\r\n", NULL, 0, 0 },
          { 503, "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n", NULL, 0, 0 },
          { 503, "Retry-After: soon\r\n", NULL, 0, 0 });
    static const int want[] = { 120, 120, 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct err e = { 0 };
        assert_error(put(c.s, "a", 0, &e), &e, ERR_THROTTLED, "");
        assert_int_equal(e.retry_after_s, want[i]);
    }
}

static void
a_broken_answer_is_unavailable_and_leaves_no_bytes(void **state)
{
    static const struct {
        struct server_step step;
        const char *words;
    } cases[] = {
        { { 200, NULL, "0123456789", SERVER_CUT, 0 }, "cut its answer short" },
        { { 200, NULL, NULL, SERVER_RESET, 0 }, "no answer from 127.0.0.1" },
        { { 200, NULL, NULL, SERVER_CLOSE, 0 }, "without an answer" },
        { { 200, NULL, NULL, SERVER_STALL, 0 }, "no answer from 127.0.0.1" },
        { { 200, NULL, "0123456789012345678901234567890123456789012345678901234567890",
            SERVER_DRIP, 0 }, "no answer from 127.0.0.1" },
        { { 204, NULL, NULL, 0, 0 }, "204" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(scene_end) struct scene c = scene_of(&cases[i].step, 1);
        AUTOBUF struct buf out = BUF(100);
        struct err e = { 0 };
        int64_t began_ms = clock_mono_ms();
        assert_error(get(c.s, 0, 0, &out, &e), &e, ERR_UNAVAIL, cases[i].words);
        assert_true(clock_mono_ms() - began_ms < 4000);
        assert_int_equal(out.len, 0);
    }
}

/* Faster than a stall, yet too slow to ever end. */
static void
a_request_has_a_deadline(void **state)
{
    static const struct server_step drip = { 200, NULL,
                                             "01234567890123456789012345678901234"
                                             "5678901234567890123456789",
                                             SERVER_DRIP, 0 };
    struct server *server = server_start(&drip, 1);
    CLEANUP(http_free_p) struct http *h = http_new(&(struct http_options){
        .limits = { .stall_rate = 1, .stall_s = 10, .slack_ms = 500 } });
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct http_request r = { .method = "GET", .url = server_endpoint(server), .fd = -1 };
    struct err e = { 0 };
    int64_t began_ms = clock_mono_ms();

    (void)state;
    assert_error(http_send(h, &r, &a, &e), &e, ERR_UNAVAIL, "no answer");
    assert_true(clock_mono_ms() - began_ms < 2000);
    server_stop(server);
}

/* Lengths come from outside: nothing is allocated for one that cannot be. */
static void
an_answer_with_an_absurd_length_is_damage(void **state)
{
    SCENE({ 200, "Content-Length: 9000000000000\r\n", "x", 0, 0 });
    AUTOBUF struct buf out = BUF(1000);
    struct err e = { 0 };

    (void)state;
    assert_error(get(c.s, 0, 0, &out, &e), &e, ERR_CORRUPT, "more than");
    assert_int_equal(out.cap, 0);
}

/* They may cost a try, when they are found on the kept connection. */
static void
bytes_behind_an_answer_do_not_reach_the_next(void **state)
{
    SCENE({ 200, NULL, "first", SERVER_OVERLONG, 0 }, { 200, NULL, "second", 0, 0 });
    struct retry_options o = { .tries = 2, .first_wait_ms = 1, .max_wait_ms = 1,
                               .sleep_ms = note_sleep };
    AUTOBUF struct buf out = BUF(100);
    struct err e = { 0 };

    (void)state;
    c.s = storage_retry(c.s, &o);
    assert_int_equal(get(c.s, 0, 0, &out, &e), 0);
    assert_int_equal(get(c.s, 0, 0, &out, &e), 0);
    assert_string_equal(buf_cstr(&out), "firstsecond");
}

static void
an_answer_in_chunks_is_read_to_its_end(void **state)
{
    SCENE({ 200, NULL, "0123456789", SERVER_CHUNKED, 0 });
    AUTOBUF struct buf out = BUF(100);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(get(c.s, 0, 0, &out, &e), 0);
    assert_string_equal(buf_cstr(&out), "0123456789");
}

static void
only_the_range_that_was_asked_for_is_taken(void **state)
{
    static const struct server_step cases[] = {
        { 200, NULL, "0123", 0, 0 },
        { 206, NULL, "0123", 0, 0 },
        { 206, "Content-Range: bytes 0-3/10\r\n", "0123", 0, 0 },
        { 206, "Content-Range: bytes 2-5/10\r\n", "012", 0, 0 },
        { 206, "Content-Range: bytes 2-4/5\r\n", "234", 0, 0 },
        { 206, "Content-Range: bytes 2-6/10\r\n", "23456", 0, 0 },
        { 206, "Content-Range: bytes */10\r\n", "2345", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(scene_end) struct scene c = scene_of(&cases[i], 1);
        AUTOBUF struct buf out = BUF(100);
        struct err e = { 0 };
        assert_error(get(c.s, 2, 4, &out, &e), &e, ERR_CORRUPT, "pack/1");
        assert_int_equal(out.len, 0);
    }
}

static void
a_put_is_signed_measured_and_checksummed(void **state)
{
    static const char *const wanted[] = {
        "PUT /shop/pack/1 HTTP/1.1\r\n",
        "\r\nContent-Length: 10\r\n",
        "\r\nx-amz-content-sha256: "
        "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882\r\n",
        "\r\nx-amz-checksum-sha256: hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=\r\n",
        "/eu-1/s3/aws4_request,SignedHeaders=host;x-amz-checksum-sha256;"
        "x-amz-content-sha256;x-amz-date,Signature=",
    };
    SCENE({ 200, NULL, NULL, 0, 0 });
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(c.s, "pack/1", 0, &e), 0);
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        assert_non_null(strstr(server_head(c.server, 0), wanted[i]));
    assert_null(strstr(server_head(c.server, 0), "Expect"));
    assert_null(strstr(server_head(c.server, 0), "Transfer-Encoding"));
    assert_int_equal(server_body_size(c.server, 0), 10);
}

static void
the_bucket_can_stand_in_the_host_name(void **state)
{
    static const struct server_step step = { 200, NULL, NULL, 0, 0 };
    struct server *server = server_start(&step, 1);
    AUTOFREE char *endpoint = mem_printf("http://localhost%s",
                                         strrchr(server_endpoint(server), ':'));
    AUTOFREE char *host = mem_printf("\r\nHost: shop.localhost%s\r\n",
                                     strrchr(server_endpoint(server), ':'));
    struct s3_options o = { .bucket = "shop", .prefix = "db", .endpoint = endpoint,
                            .region = "r", .access_key = "AK", .secret_key = "SK",
                            .session_token = "TOKEN", .style = STYLE_HOST };
    struct storage *s = NULL;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_s3(&o, &s, &e), 0);
    assert_int_equal(put(s, "pack/1", 0, &e), 0);
    assert_non_null(strstr(server_head(server, 0), "PUT /db/pack/1 HTTP/1.1\r\n"));
    assert_non_null(strstr(server_head(server, 0), host));
    assert_non_null(strstr(server_head(server, 0), "x-amz-date;x-amz-security-token,"));
    storage_close(s);
    server_stop(server);
}

static void
connections_are_kept(void **state)
{
    SCENE({ 200, NULL, "x", 0, 0 });
    AUTOBUF struct buf out = BUF(100);
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(c.s, 0, 0, &out, &e), 0);
        assert_int_equal(put(c.s, "a", 0, &e), 0);
    }
    assert_int_equal(server_connections(c.server), 1);
}

static void
if_absent_is_conditional_where_the_server_knows_it(void **state)
{
    SCENE({ 404, NULL, NULL, 0, 0 }, { 404, NULL, ERROR("NoSuchKey"), 0, 0 },
          { 200, NULL, NULL, 0, 0 }, { 404, NULL, NULL, 0, 0 },
          { 412, NULL, ERROR("PreconditionFailed"), 0, 0 }, { 404, NULL, NULL, 0, 0 },
          { 409, NULL, ERROR("ConditionalRequestConflict"), 0, 0 });
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(c.s, "a", PUT_IF_ABSENT, &e), 0);
    assert_non_null(strstr(server_head(c.server, 2), "\r\nIf-None-Match: *\r\n"));
    assert_error(put(c.s, "a", PUT_IF_ABSENT, &e), &e, ERR_EXISTS, "exists");
    assert_error(put(c.s, "a", PUT_IF_ABSENT, &e), &e, ERR_UNAVAIL, "busy");
}

static void
if_absent_looks_first_where_it_does_not(void **state)
{
    SCENE({ 404, NULL, NULL, 0, 0 }, { 404, NULL, ERROR("NoSuchKey"), 0, 0 },
          { 501, NULL, ERROR("NotImplemented"), 0, 0 }, { 200, NULL, NULL, 0, 0 },
          { 404, NULL, NULL, 0, 0 }, { 200, NULL, NULL, 0, 0 },
          { 200, NULL, NULL, 0, 0 });
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(c.s, "a", PUT_IF_ABSENT, &e), 0);
    assert_null(strstr(server_head(c.server, 3), "If-None-Match"));
    assert_int_equal(put(c.s, "b", PUT_IF_ABSENT, &e), 0);
    assert_null(strstr(server_head(c.server, 5), "If-None-Match")); /* remembered */
    assert_error(put(c.s, "c", PUT_IF_ABSENT, &e), &e, ERR_EXISTS, "exists");
}

/* "No such object" and "no such bucket" look alike until a body is asked for;
 * once the bucket was seen the question is not asked again. */
static void
a_404_to_head_is_looked_into_once(void **state)
{
    SCENE({ 404, NULL, NULL, 0, 0 }, { 404, NULL, ERROR("NoSuchBucket"), 0, 0 },
          { 404, NULL, NULL, 0, 0 }, { 404, NULL, ERROR("NoSuchKey"), 0, 0 },
          { 404, NULL, NULL, 0, 0 });
    struct object_info o;
    struct err e = { 0 };

    (void)state;
    assert_error(storage_head(c.s, "a", &o, &e), &e, ERR_NO_TARGET, "bucket shop");
    assert_error(storage_head(c.s, "a", &o, &e), &e, ERR_NOT_FOUND, "does not exist");
    assert_error(storage_head(c.s, "a", &o, &e), &e, ERR_NOT_FOUND, "does not exist");
    assert_int_equal(server_requests(c.server), 5);
}

static void
head_takes_a_checksum_of_the_whole_object_only(void **state)
{
    SCENE({ 200,
            "Content-Length: 10\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
            "x-amz-checksum-sha256: hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=\r\n",
            NULL, 0, 0 },
          { 200,
            "Content-Length: 10\r\n"
            "x-amz-checksum-sha256: hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=-3\r\n",
            NULL, 0, 0 },
          { 200, "Content-Length: 10\r\n", NULL, 0, 0 });
    struct body b = body_of(SLICE("0123456789"));
    struct object_info o;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_head(c.s, "a", &o, &e), 0);
    assert_true(o.attested);
    assert_memory_equal(o.sha256, b.sha256, sizeof o.sha256);
    assert_int_equal(o.size, 10);
    assert_int_equal(o.mtime_s, 1767323045);
    assert_non_null(strstr(server_head(c.server, 0), "x-amz-checksum-mode: ENABLED"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(storage_head(c.s, "a", &o, &e), 0);
        assert_false(o.attested);
    }
}

static int
note_key(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    buf_printf(arg, "%s %llu %lld\n", o->key, (unsigned long long)o->size,
               (long long)o->mtime_s);
    return 0;
}

static void
pages_are_joined_and_what_is_no_key_is_passed_over(void **state)
{
    SCENE({ 200, NULL,
            LIST("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                 "<NextContinuationToken>t/1+2=</NextContinuationToken>" KEY(
                     "Foreign%20Key") KEY("a") KEY("a%2Fb") KEY("a%2F.hidden") KEY("a%2F")
                     KEY("a%zz")),
            0, 0 },
          { 200, NULL, LIST("<IsTruncated>true</IsTruncated>" KEY("b")), 0, 0 },
          { 200, NULL, LIST(KEY("c")), 0, 0 });
    AUTOBUF struct buf out = BUF(1000);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_list(c.s, "", note_key, &out, &e), 0);
    assert_string_equal(buf_cstr(&out), "a 7 1767323045\na/b 7 1767323045\n"
                                        "b 7 1767323045\nc 7 1767323045\n");
    assert_non_null(strstr(server_head(c.server, 1), "continuation-token=t%2F1%2B2%3D&"));
    assert_non_null(strstr(server_head(c.server, 2), "start-after=b "));
}

static void
a_listing_that_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *body;
        enum err_kind kind;
        const char *words;
    } cases[] = {
        { LIST(KEY("b") KEY("a")), ERR_CORRUPT, "out of order" },
        { LIST(KEY("a") KEY("a")), ERR_CORRUPT, "out of order" },
        { LIST("<IsTruncated>true</IsTruncated>" KEY("a")), ERR_CORRUPT, "out of order" },
        { LIST("<IsTruncated>true</IsTruncated>"), ERR_CORRUPT, "without telling where" },
        { LIST("<Contents><Key>a</Key><Size>-1</Size></Contents>"), ERR_UNAVAIL,
          "is none" },
        { LIST("<Contents><Size>1</Size></Contents>"), ERR_UNAVAIL, "is none" },
        { "<ListBucketResult>" KEY("a"), ERR_UNAVAIL, "not the XML" },
        { "", ERR_UNAVAIL, "not XML" },
        { "<html><body>welcome to the hotel</body></html>", ERR_UNAVAIL, "is none" },
        { ERROR("InternalError"), ERR_UNAVAIL, "internal error" },
        { ERROR("SlowDown"), ERR_THROTTLED, "fewer" },
        { "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\">]>" LIST(KEY("&b;")), ERR_UNAVAIL,
          "document type" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct server_step step = { 200, NULL, cases[i].body, 0, 0 };
        CLEANUP(scene_end) struct scene c = scene_of(&step, 1);
        AUTOBUF struct buf out = BUF(1000);
        struct err e = { 0 };
        assert_error(storage_list(c.s, "", note_key, &out, &e), &e, cases[i].kind,
                     cases[i].words);
    }
}

/* A listing that fails on its second page goes on there, and tells no key
 * twice. */
static void
a_listing_goes_on_where_it_broke(void **state)
{
    SCENE({ 200, NULL, LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>t"
                            "</NextContinuationToken>" KEY("a") KEY("b")), 0, 0 },
          { 500, NULL, NULL, 0, 0 }, { 200, NULL, LIST(KEY("c")), 0, 0 });
    struct retry_options o = { .tries = 3, .first_wait_ms = 1, .max_wait_ms = 1,
                               .sleep_ms = note_sleep };
    AUTOBUF struct buf out = BUF(1000);
    struct err e = { 0 };

    (void)state;
    c.s = storage_retry(c.s, &o);
    assert_int_equal(storage_list(c.s, "", note_key, &out, &e), 0);
    assert_string_equal(buf_cstr(&out),
                        "a 7 1767323045\nb 7 1767323045\nc 7 1767323045\n");
    assert_non_null(strstr(server_head(c.server, 2), "start-after=b "));
}

static void
what_a_removal_of_many_tells_is_read(void **state)
{
    static const char *const keys[] = { "a", "b" };
    static const struct {
        const char *body;
        enum err_kind kind; /* ERR_NONE: a success */
        const char *words;
    } cases[] = {
        { "<DeleteResult/>", ERR_NONE, "" },
        { "<DeleteResult>" REFUSED("a", "NoSuchKey") "</DeleteResult>", ERR_NONE, "" },
        { "<DeleteResult>" REFUSED("a", "NoSuchKey") REFUSED("b", "AccessDenied")
          "</DeleteResult>", ERR_DENIED, "b in s3://shop" },
        { "<DeleteResult>" REFUSED("b", "InternalError") "</DeleteResult>", ERR_UNAVAIL,
          "internal error" },
        { ERROR("InternalError"), ERR_UNAVAIL, "internal error" },
        { ERROR("SlowDown"), ERR_THROTTLED, "fewer" },
        { "", ERR_UNAVAIL, "not XML" },
        { "<DeleteResult>", ERR_UNAVAIL, "not the XML" },
        { "<Other/>", ERR_UNAVAIL, "did not say" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct server_step step = { 200, NULL, cases[i].body, 0, 0 };
        CLEANUP(scene_end) struct scene c = scene_of(&step, 1);
        struct err e = { 0 };
        int rc = storage_remove(c.s, keys, 2, &e);
        assert_non_null(strstr(server_head(c.server, 0), "POST /shop/?delete= HTTP/1.1"));
        assert_non_null(strstr(server_head(c.server, 0), "\r\nContent-MD5: "));
        if (cases[i].kind)
            assert_error(rc, &e, cases[i].kind, cases[i].words);
        else
            assert_int_equal(rc, 0);
    }
}

static void
the_time_is_that_of_the_latest_answer(void **state)
{
    SCENE({ 200, NULL, LIST(""), 0, 1000 }, { 200, NULL, NULL, 0, 2000 });
    int64_t now_s, here_s = clock_now().s;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_now(c.s, &now_s, &e), 0);
    assert_in_range((uintmax_t)(now_s - here_s), 1000, 1030);
    assert_int_equal(put(c.s, "a", 0, &e), 0);
    assert_int_equal(storage_now(c.s, &now_s, &e), 0);
    assert_in_range((uintmax_t)(now_s - here_s), 2000, 2030);
    assert_int_equal(server_requests(c.server), 2);
}

/* The connection may break before the answer is read; a refusal must not be
 * taken for a success in any case. */
static void
an_answer_before_the_body_was_read_is_no_success(void **state)
{
    SCENE({ 403, NULL, ERROR("AccessDenied"), SERVER_EARLY, 0 });
    AUTOFREE uint8_t *data = mem_zalloc((size_t)8 << 20);
    struct body b = body_of(slice_of(data, (size_t)8 << 20));
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_put(c.s, "a", &b, 0, &e), -1);
    assert_true(e.kind == ERR_DENIED || e.kind == ERR_UNAVAIL);
}

static void
what_cannot_be_a_bucket_or_endpoint_is_refused_at_once(void **state)
{
    static const char *const bad[][2] = {
        { "", "http://h" },         { "a", "http://h" },      { "a/b", "http://h" },
        { "shop", "ftp://h" },      { "shop", "h:80" },       { "shop", "http://h/path" },
        { "shop", "http://u:p@h" }, { "shop", "http://h?x" }, { "..a", "http://h" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct s3_options o = { .bucket = bad[i][0], .endpoint = bad[i][1], .region = "r",
                                .access_key = "AK", .secret_key = "SK" };
        struct storage *s = NULL;
        struct err e = { 0 };
        assert_int_equal(storage_s3(&o, &s, &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
        assert_null(s);
    }
}

static void
a_key_with_a_line_end_is_refused_without_telling_it(void **state)
{
    static const char *const bad[][3] = {
        { "AK\r", "SK", NULL }, { "AK", "SK EVIL", NULL }, { "AK", "SK", "T\nX: y" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct s3_options o = { .bucket = "shop", .endpoint = "http://h", .region = "r",
                                .access_key = bad[i][0], .secret_key = bad[i][1],
                                .session_token = bad[i][2] };
        struct storage *s = NULL;
        struct err e = { 0 };
        assert_error(storage_s3(&o, &s, &e), &e, ERR_DENIED, "control character");
        assert_null(strstr(e.text, "EVIL"));
    }
}

static void *
cancel_soon(void *arg)
{
    (void)arg;
    clock_sleep_ms(200);
    cancel_request();
    return NULL;
}

/* The last test: a cancelled process stays so. */
static void
a_signal_ends_a_request_that_hangs(void **state)
{
    SCENE({ 200, NULL, NULL, SERVER_STALL, 0 });
    AUTOBUF struct buf out = BUF(100);
    struct err e = { 0 };
    pthread_t thread;
    int64_t began_ms = clock_mono_ms();

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    int rc = get(c.s, 0, 0, &out, &e);
    pthread_join(thread, NULL);
    assert_error(rc, &e, ERR_CANCELLED, "stopped");
    assert_true(clock_mono_ms() - began_ms < 1900);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_code_has_its_kind_and_sentence),
        cmocka_unit_test(a_wrong_region_is_told_with_the_right_one),
        cmocka_unit_test(a_refusal_with_clocks_apart_names_the_clock),
        cmocka_unit_test(a_throttling_server_is_given_the_time_it_asks_for),
        cmocka_unit_test(retry_after_may_be_a_date_but_not_for_ever),
        cmocka_unit_test(a_broken_answer_is_unavailable_and_leaves_no_bytes),
        cmocka_unit_test(a_request_has_a_deadline),
        cmocka_unit_test(an_answer_with_an_absurd_length_is_damage),
        cmocka_unit_test(bytes_behind_an_answer_do_not_reach_the_next),
        cmocka_unit_test(an_answer_in_chunks_is_read_to_its_end),
        cmocka_unit_test(only_the_range_that_was_asked_for_is_taken),
        cmocka_unit_test(a_put_is_signed_measured_and_checksummed),
        cmocka_unit_test(the_bucket_can_stand_in_the_host_name),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(if_absent_is_conditional_where_the_server_knows_it),
        cmocka_unit_test(if_absent_looks_first_where_it_does_not),
        cmocka_unit_test(a_404_to_head_is_looked_into_once),
        cmocka_unit_test(head_takes_a_checksum_of_the_whole_object_only),
        cmocka_unit_test(pages_are_joined_and_what_is_no_key_is_passed_over),
        cmocka_unit_test(a_listing_that_cannot_be_is_refused),
        cmocka_unit_test(a_listing_goes_on_where_it_broke),
        cmocka_unit_test(what_a_removal_of_many_tells_is_read),
        cmocka_unit_test(the_time_is_that_of_the_latest_answer),
        cmocka_unit_test(an_answer_before_the_body_was_read_is_no_success),
        cmocka_unit_test(what_cannot_be_a_bucket_or_endpoint_is_refused_at_once),
        cmocka_unit_test(a_key_with_a_line_end_is_refused_without_telling_it),
        cmocka_unit_test(a_signal_ends_a_request_that_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
