/* A bucket as entries and bytes, played by a server that answers by a script: what real
 * ones do rarely. */
#include "../support/server.h"

#include "source/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PIECE ((size_t)8 << 20) /* what one request asks for */
#define PAGE(more, inner)                                                           \
    {                                                                               \
        .status = 200, .body = "<ListBucketResult><EncodingType>url</EncodingType>" \
                               "<IsTruncated>" more "</IsTruncated>" inner          \
                               "</ListBucketResult>"                                \
    }
#define LAST(inner) PAGE("false", inner)
#define OBJECT(key, size)                                                \
    "<Contents><Key>" key "</Key><LastModified>2026-01-02T03:04:05.678Z" \
    "</LastModified><ETag>&quot;e1&quot;</ETag><Size>" size "</Size></Contents>"
#define REFUSED "<Error><Code>AccessDenied</Code></Error>"
#define GONE "<Error><Code>NoSuchKey</Code></Error>"
#define TIME "Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n"

struct scene {
    struct server *server;
    struct conf_source conf;
    struct source *source;
    struct buf said; /* of issues: "KIND PATH\n" */
    struct entry en;
    struct err e;
};

static void
note_issue(void *arg, enum source_issue kind, struct slice path, const char *why)
{
    struct scene *c = arg;

    assert_true(why[0]);
    buf_printf(&c->said, "%d %.*s\n", (int)kind, (int)path.len, (const char *)path.ptr);
}

static int
scene_open(struct scene *c, const struct server_step *steps, size_t count,
           const char *const *exclude)
{
    static char name[] = "media", url[] = "s3://shop/up", access[] = "OUR_ACCESS",
                secret[] = "OUR_SECRET";
    struct source_options o = { .tmp_dir = "/tmp", .issue = note_issue, .arg = c };

    setenv(access, "AK", 1);
    setenv(secret, "SK", 1);
    *c = (struct scene){ .server = server_start(steps, count), .said = BUF(4096) };
    c->conf = (struct conf_source){ .name = name, .kind = SOURCE_BUCKET };
    c->conf.bucket.url = url;
    c->conf.bucket.endpoint = mem_strdup(server_endpoint(c->server));
    c->conf.bucket.credentials.access_key = (struct conf_secret){ SECRET_ENV, access,
                                                                  NULL };
    c->conf.bucket.credentials.secret_key = (struct conf_secret){ SECRET_ENV, secret,
                                                                  NULL };
    c->conf.bucket.exclude = (char **)(uintptr_t)exclude;
    return source_open(&c->conf, &o, &c->source, &c->e);
}

static void
scene_end(struct scene *c)
{
    source_close(c->source);
    server_stop(c->server);
    mem_free(c->conf.bucket.endpoint);
    buf_release(&c->said);
}

#define SCENE(...)                                       \
    const struct server_step steps_[] = { __VA_ARGS__ }; \
    CLEANUP(scene_end) struct scene c;                   \
    assert_int_equal(scene_open(&c, steps_, COUNT_OF(steps_), NULL), 0)

/* All that is left, as "PATH PATH/ …", folders with a slash. */
static const char *
rest(struct scene *c, struct buf *out)
{
    int rc;

    while ((rc = source_next(c->source, &c->en, &c->e)) == 1)
        buf_printf(out, "%s%.*s%s", out->len ? " " : "", (int)c->en.path.len,
                   (const char *)c->en.path.ptr, c->en.type == ENTRY_DIR ? "/" : "");
    assert_int_equal(rc, 0);
    return buf_cstr(out);
}

/* Reads the entry given last, as backup does: once more when it has changed. 1 and the
 * bytes; 0 and -1 of the source. */
static int
read_all(struct scene *c, struct buf *out)
{
    bool changed = true;
    uint64_t hole;
    size_t got;

    for (int tries = 0; tries < 2 && changed; tries++) {
        buf_clear(out);
        int rc = source_read_begin(c->source, &c->en, &c->e);
        if (rc <= 0)
            return rc;
        do {
            if (source_read(c->source, buf_room(out, 1 << 20), 1 << 20, &got, &hole,
                            &c->e)
                < 0)
                return -1;
            out->len += got;
        } while (got > 0);
        assert_int_equal(source_read_end(c->source, &changed, &c->e), 0);
    }
    assert_false(changed);
    return 1;
}

/* That "a" stands beside a folder shows only on the next page. */
static void
an_object_beside_its_folder_gets_another_name(void **state)
{
    SCENE(PAGE("true",
               OBJECT("up/a", "1")
                   OBJECT("up/a%21",
                          "1") "<NextContinuationToken>t</NextContinuationToken>"),
          LAST(OBJECT("up/a/b", "1") OBJECT("up/a/c/", "0") OBJECT("up/a/c/d", "1")
                   OBJECT("up/a0", "1")));
    AUTOBUF struct buf out = BUF(4096);

    (void)state;
    assert_string_equal(rest(&c, &out), "a! a% a/ a/b a/c/ a/c/d a0");
    assert_non_null(strstr(server_head(c.server, 1), "continuation-token=t"));
    assert_string_equal(facts_get(source_facts(c.source), "objects"), "5");
}

static void
a_folder_comes_once_whatever_stands_between(void **state)
{
    SCENE(LAST(OBJECT("up/", "0") OBJECT("up/d-/x", "1") OBJECT("up/d/x", "1")
                   OBJECT("up/d/y/z", "1") OBJECT("up/d0", "1") OBJECT("up/e/", "5")
                       OBJECT("up/e/f", "1")));
    AUTOBUF struct buf out = BUF(4096);

    (void)state;
    assert_string_equal(rest(&c, &out), "d-/ d-/x d/ d/x d/y/ d/y/z d0 e/ e/% e/f");
}

static void
an_entry_has_the_objects_time_and_etag(void **state)
{
    SCENE(LAST(OBJECT("up/a", "7") OBJECT("up/f/", "0") OBJECT("up/g/h", "7")));
    struct entry first;

    (void)state;
    assert_int_equal(source_next(c.source, &first, &c.e), 1);
    assert_int_equal(first.size, 7);
    assert_int_equal(first.mtime_s, 1767323045);
    assert_int_equal(first.mtime_ns, 0); /* the answer to a get has whole seconds */
    assert_int_equal(first.ctime_s, first.mtime_s);
    assert_true(first.ino != 0);
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1); /* a marker has a time */
    assert_int_equal(c.en.mtime_s, 1767323045);
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    assert_int_equal(c.en.type, ENTRY_DIR); /* what is only in keys has none */
    assert_int_equal(c.en.mtime_s, 0);
}

static void
what_is_excluded_makes_no_folder(void **state)
{
    static const char *const exclude[] = { "*.tmp", "/skip/", NULL };
    const struct server_step steps[] = { LAST(
        OBJECT("up/a.tmp", "1") OBJECT("up/only/x.tmp", "1") OBJECT("up/skip/", "0")
            OBJECT("up/skip/b", "1") OBJECT("up/stay/b", "1")) };
    AUTOBUF struct buf out = BUF(4096);
    CLEANUP(scene_end) struct scene c;

    (void)state;
    assert_int_equal(scene_open(&c, steps, COUNT_OF(steps), exclude), 0);
    assert_string_equal(rest(&c, &out), "stay/ stay/b");
}

static void
a_key_that_cannot_be_asked_for_is_told(void **state)
{
    SCENE(LAST(OBJECT("up/nul%00x", "1") OBJECT("up/ok", "1")));
    AUTOBUF struct buf out = BUF(4096);

    (void)state;
    assert_string_equal(rest(&c, &out), "ok");
    assert_int_equal(atoi(buf_cstr(&c.said)), SOURCE_UNREADABLE);
    assert_non_null(strstr(buf_cstr(&c.said), "up/nul%00x"));
}

static void
a_listing_out_of_order_ends_the_run(void **state)
{
    SCENE(LAST(OBJECT("up/b", "1") OBJECT("up/a", "1")));
    int rc;

    (void)state;
    while ((rc = source_next(c.source, &c.en, &c.e)) == 1)
        continue;
    assert_int_equal(rc, -1);
    assert_int_equal(c.e.kind, ERR_SOURCE);
    assert_non_null(strstr(err_text(&c.e), "out of order"));
}

static void
metadata_comes_with_the_content(void **state)
{
    SCENE(LAST(OBJECT("up/a", "4")),
          { .status = 206,
            .body = "text",
            .fields = "ETag: \"e1\"\r\n" TIME "Content-Range: bytes 0-3/4\r\n"
                      "Content-Type: text/plain\r\nx-amz-meta-Zone: z\r\n"
                      "x-amz-meta-by: anna\r\n" });
    AUTOBUF struct buf out = BUF(4 << 20), want = BUF(4096);

    (void)state;
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    assert_int_equal(read_all(&c, &out), 1);
    assert_string_equal(buf_cstr(&out), "text");
    entry_xattr_put(&want, SLICE("user.s3.content-type"), SLICE("text/plain"));
    entry_xattr_put(&want, SLICE("user.s3.meta.by"), SLICE("anna"));
    entry_xattr_put(&want, SLICE("user.s3.meta.zone"), SLICE("z"));
    assert_true(slice_equal(c.en.xattrs, buf_slice(&want)));
    assert_int_equal(server_requests(c.server), 2);
}

/* Overwritten behind the listing: content, size, time and ETag are all the new one's. */
static void
an_entry_is_what_was_read(void **state)
{
    SCENE(LAST(OBJECT("up/a", "4")),
          { .status = 206,
            .body = "longer",
            .fields = "ETag: \"e2\"\r\nContent-Range: bytes 0-5/6\r\n"
                      "Last-Modified: Fri, 02 Jan 2026 03:05:00 GMT\r\n" });
    AUTOBUF struct buf out = BUF(4 << 20);

    (void)state;
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    uint64_t listed = c.en.ino;
    assert_int_equal(read_all(&c, &out), 1);
    assert_string_equal(buf_cstr(&out), "longer");
    assert_int_equal(c.en.size, 6);
    assert_int_equal(c.en.mtime_s, 1767323100);
    assert_int_equal(c.en.ctime_s, 1767323100);
    assert_true(c.en.ino != listed);
}

/* A range of nothing is none, for which servers answer 416. */
static void
an_object_may_have_become_empty(void **state)
{
    SCENE(LAST(OBJECT("up/a", "4")), { .status = 416 },
          { .status = 200, .fields = "ETag: \"e2\"\r\n" TIME });
    AUTOBUF struct buf out = BUF(4 << 20);

    (void)state;
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    assert_int_equal(read_all(&c, &out), 1);
    assert_int_equal(out.len, 0);
    assert_int_equal(c.en.size, 0);
    assert_null(strstr(server_head(c.server, 2), "Range:"));
}

static char *
bytes(size_t len, char c)
{
    char *text = mem_alloc(len + 1);

    memset(text, c, len);
    text[len] = 0;
    return text;
}

#define FIRST_OF(etag, letters)                                \
    {                                                          \
        .status = 206, .body = letters,                        \
        .fields = "ETag: \"" etag "\"\r\n" TIME                \
                  "Content-Range: bytes 0-8388607/8388612\r\n" \
    }
#define SECOND_OF(etag, letters)                                     \
    {                                                                \
        .status = 206, .body = letters,                              \
        .fields = "ETag: \"" etag "\"\r\n"                           \
                  "Content-Range: bytes 8388608-8388611/8388612\r\n" \
    }
#define CHANGED                                                                 \
    {                                                                           \
        .status = 412, .body = "<Error><Code>PreconditionFailed</Code></Error>" \
    }
#define LARGE LAST(OBJECT("up/a", "8388612"))

static void
a_piece_that_breaks_off_is_asked_for_again(void **state)
{
    AUTOFREE char *x = bytes(PIECE, 'x');
    SCENE(LARGE, FIRST_OF("e1", x), { .status = 206, .body = "yy", .how = SERVER_RESET },
          SECOND_OF("e1", "yyyy"));
    AUTOBUF struct buf out = BUF(32 << 20);

    (void)state;
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    assert_int_equal(read_all(&c, &out), 1);
    assert_int_equal(out.len, PIECE + 4);
    assert_memory_equal(out.ptr + PIECE - 1, "xyyyy", 5);
    assert_non_null(strstr(server_head(c.server, 3), "Range: bytes=8388608-"));
    assert_non_null(strstr(server_head(c.server, 3), "If-Match: \"e1\""));
    assert_null(strstr(server_head(c.server, 1), "If-Match"));
    assert_int_equal(server_requests(c.server), 4);
}

/* The condition may not be known to the server: the ETag of its answer tells as well. */
static void
pieces_of_two_versions_never_come_together(void **state)
{
    AUTOFREE char *x = bytes(PIECE, 'x'), *z = bytes(PIECE, 'z');
    const struct server_step seconds[] = { CHANGED,
                                           SECOND_OF("e2", "zzzz"),
                                           { .status = 404, .body = GONE } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(seconds); i++) {
        SCENE(LARGE, FIRST_OF("e1", x), seconds[i], FIRST_OF("e2", z),
              SECOND_OF("e2", "zzzz"));
        AUTOBUF struct buf out = BUF(32 << 20);
        assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
        assert_int_equal(read_all(&c, &out), 1);
        assert_int_equal(out.len, PIECE + 4);
        assert_null(memchr(out.ptr, 'x', out.len));
        assert_int_equal(c.said.len, 0);
    }
}

static void
what_changes_twice_is_not_kept(void **state)
{
    AUTOFREE char *x = bytes(PIECE, 'x');
    SCENE(LARGE, FIRST_OF("e1", x), CHANGED, FIRST_OF("e2", x), CHANGED);
    AUTOBUF struct buf out = BUF(32 << 20);

    (void)state;
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    assert_int_equal(read_all(&c, &out), -1);
    assert_int_equal(c.e.kind, ERR_SOURCE);
    assert_non_null(strstr(err_text(&c.e), "overwritten twice"));
}

static void
another_range_than_asked_for_is_not_taken(void **state)
{
    static const char *const fields[] = {
        "ETag: \"e1\"\r\nContent-Range: bytes 1-4/5\r\n",
        "ETag: \"e1\"\r\nContent-Range: bytes 0-3/9\r\n",
        "ETag: \"e1\"\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        SCENE(LAST(OBJECT("up/a", "4")),
              { .status = 206, .body = "text", .fields = fields[i] });
        AUTOBUF struct buf out = BUF(4 << 20);
        assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
        assert_int_equal(read_all(&c, &out), 0);
        assert_int_equal(atoi(buf_cstr(&c.said)), SOURCE_UNREADABLE);
    }
}

static void
an_object_that_is_gone_has_vanished(void **state)
{
    SCENE(LAST(OBJECT("up/a", "4")), { .status = 404, .body = GONE });
    AUTOBUF struct buf out = BUF(4 << 20);

    (void)state;
    assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
    assert_int_equal(read_all(&c, &out), 0);
    assert_int_equal(atoi(buf_cstr(&c.said)), SOURCE_VANISHED);
}

/* One object that may not be read is left out; credentials that are refused end it. */
static void
a_refusal_is_the_objects_or_everybodys(void **state)
{
    const struct server_step after[] = { LAST(OBJECT("up/a", "4")),
                                         { .status = 403, .body = REFUSED } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(after); i++) {
        SCENE(LAST(OBJECT("up/a", "4")), { .status = 403, .body = REFUSED }, after[i]);
        AUTOBUF struct buf out = BUF(4 << 20);
        assert_int_equal(source_next(c.source, &c.en, &c.e), 1);
        assert_int_equal(read_all(&c, &out), i == 0 ? 0 : -1);
        assert_int_equal(c.e.kind, i == 0 ? ERR_NONE : ERR_DENIED);
        assert_int_equal(c.said.len > 0, i == 0);
    }
}

static void
what_keeps_a_bucket_from_being_listed_has_its_kind(void **state)
{
    static const struct {
        struct server_step step;
        enum err_kind kind;
    } cases[] = {
        { { .status = 403, .body = REFUSED }, ERR_DENIED },
        { { .status = 404, .body = "<Error><Code>NoSuchBucket</Code></Error>" },
          ERR_SOURCE },
        { { .status = 301, .fields = "x-amz-bucket-region: us-7\r\n" }, ERR_SOURCE },
        { { .status = 400, .body = "<Error><Code>InvalidArgument</Code></Error>" },
          ERR_SOURCE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(scene_end) struct scene c;
        assert_int_equal(scene_open(&c, &cases[i].step, 1, NULL), -1);
        assert_int_equal(c.e.kind, cases[i].kind);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_beside_its_folder_gets_another_name),
        cmocka_unit_test(a_folder_comes_once_whatever_stands_between),
        cmocka_unit_test(an_entry_has_the_objects_time_and_etag),
        cmocka_unit_test(what_is_excluded_makes_no_folder),
        cmocka_unit_test(a_key_that_cannot_be_asked_for_is_told),
        cmocka_unit_test(a_listing_out_of_order_ends_the_run),
        cmocka_unit_test(metadata_comes_with_the_content),
        cmocka_unit_test(an_entry_is_what_was_read),
        cmocka_unit_test(an_object_may_have_become_empty),
        cmocka_unit_test(a_piece_that_breaks_off_is_asked_for_again),
        cmocka_unit_test(pieces_of_two_versions_never_come_together),
        cmocka_unit_test(what_changes_twice_is_not_kept),
        cmocka_unit_test(another_range_than_asked_for_is_not_taken),
        cmocka_unit_test(an_object_that_is_gone_has_vanished),
        cmocka_unit_test(a_refusal_is_the_objects_or_everybodys),
        cmocka_unit_test(what_keeps_a_bucket_from_being_listed_has_its_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
