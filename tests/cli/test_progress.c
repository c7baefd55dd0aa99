/* How far a run is: in a line for people and in objects for programs. */
#include "cli/progress.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "support/ground.h"

#include <fcntl.h>
#include <unistd.h>

static void
a_line_tells_rate_and_time_left(void **state)
{
    struct progress p = { .doing = "backing up",
                          .source = "web",
                          .counts = { 1 << 30, 4ull << 30, 1234 },
                          .elapsed_ms = 10500,
                          .rate = 1 << 20 };

    (void)state;
    assert_string_equal(progress_line(&p, 0),
                        "backing up web  1.0 GiB of 4.0 GiB  25%  1.0 MiB/s  ETA 51m13s"
                        "  1234 files  10.0s");
    assert_int_equal(strlen(progress_line(&p, 40)), 39);
    p = (struct progress){ .doing = "verifying", .counts = { .bytes_done = 1 << 30 } };
    assert_string_equal(progress_line(&p, 80), "verifying  1.0 GiB  0ms");
}

static void
check_object(const struct progress *p, const char *want)
{
    json_t *o = progress_json(p);
    char *text = json_dumps(o, JSON_COMPACT);

    assert_string_equal(text, want);
    free(text);
    json_decref(o);
}

/* Null would have to be asked for everywhere; a member that is not there is
 * noticed. */
static void
an_object_leaves_out_what_is_unknown(void **state)
{
    struct progress p = { .what = "backup",
                          .source = "web",
                          .counts = { 100, 400, 7 },
                          .elapsed_ms = 2900,
                          .rate = 50.7 };

    (void)state;
    check_object(&p, "{\"type\":\"progress\",\"what\":\"backup\",\"source\":\"web\","
                     "\"bytes_done\":100,\"bytes_total\":400,\"bytes_per_second\":50,"
                     "\"eta_seconds\":6,\"files_done\":7,\"elapsed_seconds\":2}");
    p.source = NULL;
    p.counts.bytes_total = 0;
    check_object(&p, "{\"type\":\"progress\",\"what\":\"backup\",\"bytes_done\":100,"
                     "\"bytes_per_second\":50,\"files_done\":7,\"elapsed_seconds\":2}");
}

/* More than was foretold, or at no rate: nobody knows when it ends. */
static void
no_end_is_foretold_without_a_reason(void **state)
{
    static const struct progress cases[] = {
        { .counts = { 500, 400, 0 }, .rate = 50 },
        { .counts = { 400, 400, 0 }, .rate = 50 },
        { .counts = { 0, 400, 0 }, .rate = 0 },
        { .counts = { 0, UINT64_MAX, 0 }, .rate = 1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *o = progress_json(&cases[i]);
        assert_null(json_object_get(o, "eta_seconds"));
        assert_non_null(json_object_get(o, "bytes_total"));
        json_decref(o);
        assert_null(strstr(progress_line(&cases[i], 0), "ETA"));
    }
}

/* What a run with two updates, the second lower, writes to stdout and stderr. */
static void
show_a_run(const struct app *app, const char *source, char text[2][512])
{
    int saved[2], files[2];

    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        saved[i] = dup(i + 1);
        files[i] = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        dup2(files[i], i + 1);
    }
    progress_begin(app, "backing up", source);
    progress_update(&(struct progress_counts){ 2048, 4096, 9 });
    progress_update(&(struct progress_counts){ 1024, 4096, 3 });
    progress_end();
    progress_update(&(struct progress_counts){ 9999, 9999, 99 }); /* says nothing */
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
        ssize_t n = pread(files[i], text[i], 511, 0);
        assert_true(n >= 0);
        text[i][n] = 0;
        close(files[i]);
    }
}

/* However short the run: whoever asked is told its end, once. */
static void
who_asks_is_told_the_end_where_they_look(void **state)
{
    struct app app = { .command = &cmd_backup };
    char text[2][512];
    json_error_t why;

    (void)state;
    show_a_run(&app, "web", text);
    assert_string_equal(text[0], "");
    assert_string_equal(text[1], "");
    app.json = true;
    show_a_run(&app, "web", text);
    assert_string_equal(text[0], "");
    assert_string_equal(text[1], "");

    app.progress = true;
    show_a_run(&app, "web", text);
    assert_string_equal(text[1], "");
    assert_ptr_equal(strchr(text[0], '\n'), text[0] + strlen(text[0]) - 1);
    json_t *o = json_loads(text[0], 0, &why);
    assert_string_equal(json_string_value(json_object_get(o, "what")), "backup");
    assert_int_equal(json_integer_value(json_object_get(o, "bytes_done")), 2048);
    assert_int_equal(json_integer_value(json_object_get(o, "files_done")), 9);
    json_decref(o);

    app.json = false;
    app.quiet = true; /* it was asked for */
    show_a_run(&app, NULL, text);
    assert_string_equal(text[0], "");
    assert_ptr_equal(strstr(text[1], "drtool: backing up  2.0 KiB of 4.0 KiB  50%"),
                     text[1]);
    assert_ptr_equal(strchr(text[1], '\n'), text[1] + strlen(text[1]) - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_tells_rate_and_time_left),
        cmocka_unit_test(an_object_leaves_out_what_is_unknown),
        cmocka_unit_test(no_end_is_foretold_without_a_reason),
        cmocka_unit_test(who_asks_is_told_the_end_where_they_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
