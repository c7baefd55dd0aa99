/* Where an S3 target gets its keys and its place from, seen by a server. */
#include "storage/open.h"

#include "../support/server.h"

#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct server_step good = { 200, NULL, NULL, 0, 0 };
static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",   "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",   "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_PROFILE",         "AWS_REGION",
    "AWS_DEFAULT_REGION",  "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE",
    "OUR_ACCESS",          "OUR_SECRET",
};

static char file[64];
static char name[] = "web", url[] = "s3://shop/db";
static struct server *server;
static struct conf_target target;

static int
begin(void **state)
{
    static const char text[] =
        "# keys\n[default]\naws_access_key_id = AKDEFAULT\n"
        "aws_secret_access_key=SK\n\n[other]\r\n"
        "aws_access_key_id=AKOTHER\r\naws_secret_access_key = SK\r\n"
        "aws_session_token = TOKEN\r\n[half]\naws_access_key_id=AK\n";
    struct err e;

    (void)state;
    strcpy(file, "/tmp/drtool-keys-XXXXXX");
    close(mkstemp(file));
    if (fs_replace(file, slice_str(text), 0600, &e) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        unsetenv(variables[i]);
    server = server_start(&good, 1);
    target = (struct conf_target){ .name = name, .url = url };
    target.endpoint = mem_strdup(server_endpoint(server));
    setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    mem_free(target.endpoint);
    server_stop(server);
    return unlink(file);
}

/* Opens the target, puts an object and returns what the server read. */
static const char *
request(void)
{
    CLEANUP(storage_close_p) struct storage *s = NULL;
    struct body b = body_of(SLICE("x"));
    struct err e = { 0 };

    if (storage_open(&target, NULL, &s, &e) < 0 || storage_put(s, "a", &b, 0, &e) < 0)
        fail_msg("%s", err_text(&e));
    return server_head(server, server_requests(server) - 1);
}

static void
assert_denied(const char *words)
{
    struct storage *s = NULL;
    struct err e = { 0 };

    assert_int_equal(storage_open(&target, NULL, &s, &e), -1);
    assert_int_equal(e.kind, ERR_DENIED);
    assert_non_null(strstr(err_text(&e), words));
}

static void
the_default_profile_comes_last(void **state)
{
    (void)state;
    const char *head = request();
    assert_non_null(strstr(head, "Credential=AKDEFAULT/"));
    assert_non_null(strstr(head, "/us-east-1/s3/aws4_request"));
    assert_non_null(strstr(head, "PUT /shop/db/a HTTP/1.1"));
}

static void
the_environment_stands_before_the_file(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "SK", 1);
    setenv("AWS_SESSION_TOKEN", "SESSION", 1);
    setenv("AWS_REGION", "eu-7", 1);
    const char *head = request();
    assert_non_null(strstr(head, "Credential=AKENV/"));
    assert_non_null(strstr(head, "/eu-7/s3/aws4_request"));
    assert_non_null(strstr(head, "x-amz-security-token: SESSION\r\n"));
}

static void
the_configuration_stands_before_the_environment(void **state)
{
    char access[] = "OUR_ACCESS", secret[] = "OUR_SECRET", region[] = "ap-2";

    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "SK", 1);
    setenv("AWS_REGION", "eu-7", 1);
    setenv("OUR_ACCESS", "AKOURS", 1);
    setenv("OUR_SECRET", "SK", 1);
    target.region = region;
    target.credentials.access_key = (struct conf_secret){ SECRET_ENV, access, NULL };
    target.credentials.secret_key = (struct conf_secret){ SECRET_ENV, secret, NULL };
    const char *head = request();
    assert_non_null(strstr(head, "Credential=AKOURS/"));
    assert_non_null(strstr(head, "/ap-2/s3/aws4_request"));
    assert_null(strstr(head, "x-amz-security-token"));
}

static void
a_profile_that_is_named_stands_before_the_environment(void **state)
{
    char profile[] = "other";

    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "SK", 1);
    target.credentials.profile = profile;
    const char *head = request();
    assert_non_null(strstr(head, "Credential=AKOTHER/"));
    assert_non_null(strstr(head, "x-amz-security-token: TOKEN\r\n"));
}

static void
the_environment_may_name_the_endpoint(void **state)
{
    (void)state;
    setenv("AWS_ENDPOINT_URL", target.endpoint, 1);
    mem_free(TAKE(target.endpoint));
    assert_non_null(strstr(request(), "Credential=AKDEFAULT/"));
}

static void
missing_credentials_are_told_with_where_they_were_looked_for(void **state)
{
    char profile[] = "half";

    (void)state;
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/keys", 1);
    assert_denied("/nonexistent/keys");
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    setenv("HOME", "/nonexistent", 1);
    assert_denied("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor "
                  "/nonexistent/.aws/credentials");
    setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    target.credentials.profile = profile;
    assert_denied("profile half");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_default_profile_comes_last),
        TEST(the_environment_stands_before_the_file),
        TEST(the_configuration_stands_before_the_environment),
        TEST(a_profile_that_is_named_stands_before_the_environment),
        TEST(the_environment_may_name_the_endpoint),
        TEST(missing_credentials_are_told_with_where_they_were_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
