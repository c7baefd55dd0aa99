/* The signatures that Amazon published: of its test suite for version 4 and of
 * the S3 manual ("Authenticating Requests", examples). */
#include "net/sign_s3.h"

#include "base/text.h"
#include "crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct vector {
    const char *name;
    const char *method, *path;
    struct field query[4], fields[8];
    const char *body;
    const char *signature;
};

/* The suite: service "service", 20150830T123600Z, host and x-amz-date signed. */
static const struct vector suite[] = {
    { "get-vanilla",
      "GET",
      "/",
      { { 0 } },
      { { 0 } },
      "",
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    { "get-vanilla-query-order-key-case",
      "GET",
      "/",
      { { "Param2", "value2" }, { "Param1", "value1" } },
      { { 0 } },
      "",
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
    { "get-vanilla-query-unreserved",
      "GET",
      "/",
      { { "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
          "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" } },
      { { 0 } },
      "",
      "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
    { "get-vanilla-utf8-query",
      "GET",
      "/",
      { { "\xe1\x88\xb4", "bar" } },
      { { 0 } },
      "",
      "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
    { "get-utf8",
      "GET",
      "/%E1%88%B4",
      { { 0 } },
      { { 0 } },
      "",
      "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
    { "get-unreserved",
      "GET",
      "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
      { { 0 } },
      { { 0 } },
      "",
      "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
    { "get-header-key-duplicate",
      "GET",
      "/",
      { { 0 } },
      { { "My-Header1", "value2" },
        { "My-Header1", "value2" },
        { "My-Header1", "value1" } },
      "",
      "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
    { "get-header-value-trim",
      "GET",
      "/",
      { { 0 } },
      { { "My-Header1", " value1" }, { "My-Header2", " \"a   b   c\"" } },
      "",
      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
    { "post-vanilla",
      "POST",
      "/",
      { { 0 } },
      { { 0 } },
      "",
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    { "post-header-key-sort",
      "POST",
      "/",
      { { 0 } },
      { { "My-Header1", "value1" } },
      "",
      "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
    { "post-vanilla-query",
      "POST",
      "/",
      { { "Param1", "value1" } },
      { { 0 } },
      "",
      "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
    { "post-x-www-form-urlencoded",
      "POST",
      "/",
      { { 0 } },
      { { "Content-Type", "application/x-www-form-urlencoded" } },
      "Param1=value1",
      "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
};

/* Ends at the first empty name. */
static size_t
count(const struct field *fields)
{
    size_t n = 0;

    while (fields[n].name)
        n++;
    return n;
}

static void
check(const struct sign_s3 *key, const struct vector *v, const struct field *first,
      size_t first_count, const char *payload)
{
    AUTOBUF struct buf query = BUF(4096), out = BUF(4096);
    struct field fields[12];
    struct sign_s3 r = *key;
    size_t n = count(v->fields);

    memcpy(fields, first, first_count * sizeof *first);
    memcpy(fields + first_count, v->fields, n * sizeof *fields);
    url_query(&query, v->query, count(v->query));
    r.method = v->method;
    r.path = v->path;
    r.query = buf_cstr(&query);
    r.fields = fields;
    r.field_count = first_count + n;
    r.payload = payload;
    sign_s3(&r, &out);
    const char *signature = strstr(buf_cstr(&out), "Signature=");
    if (!signature || strcmp(signature + 10, v->signature) != 0)
        print_message("%s: %s\n", v->name, buf_cstr(&out));
    assert_non_null(signature);
    assert_string_equal(signature + 10, v->signature);
}

static void
hash_text(char out[65], const char *text)
{
    uint8_t digest[SHA256_LEN];

    sha256(slice_str(text), digest);
    text_hex(out, digest, sizeof digest);
}

static void
the_test_suite_of_version_4_is_signed_as_published(void **state)
{
    const struct sign_s3 key = { .access_key = "AKIDEXAMPLE",
                                 .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                 .region = "us-east-1", .service = "service",
                                 .time_s = 1440938160 };
    const struct field first[] = { { "Host", "example.amazonaws.com" },
                                   { "X-Amz-Date", "20150830T123600Z" } };
    char payload[65];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(suite); i++) {
        hash_text(payload, suite[i].body);
        check(&key, &suite[i], first, 2, payload);
    }
}

static const struct vector manual[] = {
    { "GET object", "GET", "/test.txt", { { 0 } }, { { "Range", "bytes=0-9" } }, "",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
    { "PUT object", "PUT", "/test%24file.text", { { 0 } },
      { { "Date", "Fri, 24 May 2013 00:00:00 GMT" },
        { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
      "Welcome to Amazon S3.",
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
    { "GET bucket lifecycle", "GET", "/", { { "lifecycle", "" } }, { { 0 } }, "",
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
    { "GET bucket (list objects)", "GET", "/", { { "prefix", "J" }, { "max-keys", "2" } },
      { { 0 } }, "", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static void
the_examples_of_the_s3_manual_are_signed_as_published(void **state)
{
    const struct sign_s3 key = { .access_key = "AKIAIOSFODNN7EXAMPLE",
                                 .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                 .region = "us-east-1", .service = "s3",
                                 .time_s = 1369353600 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(manual); i++) {
        char payload[65];
        hash_text(payload, manual[i].body);
        const struct field first[] = { { "Host", "examplebucket.s3.amazonaws.com" },
                                       { "x-amz-content-sha256", payload },
                                       { "x-amz-date", "20130524T000000Z" } };
        check(&key, &manual[i], first, 3, payload);
    }
}

/* Signing keys of other providers are longer than a block of SHA-256; what is
 * expected was computed with Python's hmac module. */
static void
a_secret_longer_than_a_block_is_hashed_first(void **state)
{
    const char *secret = "0123456789012345678901234567890123456789"
                         "0123456789012345678901234567890123456789";
    const struct sign_s3 key = { .access_key = "AKIDEXAMPLE", .secret_key = secret,
                                 .region = "us-east-1", .service = "service",
                                 .time_s = 1440938160 };
    const struct field first[] = { { "Host", "example.amazonaws.com" },
                                   { "X-Amz-Date", "20150830T123600Z" } };
    struct vector v = suite[0];

    (void)state;
    v.signature = "651ba0fede2548dd1a7e6bfb8b19e62f5c277214d52bb3112657207066c51b2b";
    check(&key, &v, first, 2, EMPTY);
}

static void
the_authorization_names_key_scope_and_fields(void **state)
{
    AUTOBUF struct buf out = BUF(4096);
    const struct field fields[] = { { "x-amz-date", "20130524T000000Z" },
                                    { "Host", "h" } };
    const struct sign_s3 r = { .access_key = "AK", .secret_key = "SK", .region = "eu",
                               .service = "s3", .time_s = 1369353600, .method = "GET",
                               .path = "/", .query = "", .fields = fields,
                               .field_count = 2, .payload = EMPTY };
    const char *want = "AWS4-HMAC-SHA256 Credential=AK/20130524/eu/s3/aws4_request,"
                       "SignedHeaders=host;x-amz-date,Signature=";

    (void)state;
    sign_s3(&r, &out);
    assert_memory_equal(buf_cstr(&out), want, strlen(want));
    assert_int_equal(out.len, strlen(want) + 64);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_test_suite_of_version_4_is_signed_as_published),
        cmocka_unit_test(the_examples_of_the_s3_manual_are_signed_as_published),
        cmocka_unit_test(a_secret_longer_than_a_block_is_hashed_first),
        cmocka_unit_test(the_authorization_names_key_scope_and_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
