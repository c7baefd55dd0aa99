#include "net/sign_s3.h"

#include "base/text.h"
#include "crypto/hash.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CANONICAL_MAX ((size_t)65536) /* bytes */

void
sign_s3_time(char out[SIGN_S3_TIME_LEN], int64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, SIGN_S3_TIME_LEN, "%Y%m%dT%H%M%SZ", &tm);
}

static void
mac(struct slice key, struct slice text, uint8_t out[SHA256_LEN])
{
    uint8_t hashed[SHA256_LEN];
    struct hmac_key k;

    if (key.len > 64) { /* RFC 2104 §2: a key longer than a block is hashed */
        sha256(key, hashed);
        key = slice_of(hashed, sizeof hashed);
    }
    hmac_key(&k, key);
    hmac_sha256(&k, &text, 1, out);
    explicit_bzero(&k, sizeof k);
    explicit_bzero(hashed, sizeof hashed);
}

/* The key for one day, region and service. */
static void
derive(const struct sign_s3 *r, const char *day, uint8_t key[SHA256_LEN])
{
    AUTOFREE char *secret = mem_printf("AWS4%s", r->secret_key);

    mac(slice_str(secret), slice_of(day, 8), key);
    explicit_bzero(secret, strlen(secret));
    mac(slice_of(key, SHA256_LEN), slice_str(r->region), key);
    mac(slice_of(key, SHA256_LEN), slice_str(r->service), key);
    mac(slice_of(key, SHA256_LEN), SLICE("aws4_request"), key);
}

static void
put_lower(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_put_u8(out, (uint8_t)tolower((unsigned char)*text));
}

/* Without blanks at its ends, runs of them as one. */
static void
put_trimmed(struct buf *out, const char *text)
{
    size_t before = out->len;

    for (; *text; text++) {
        if (*text != ' ')
            buf_put_u8(out, (uint8_t)*text);
        else if (out->len > before && out->ptr[out->len - 1] != ' ')
            buf_put_u8(out, ' ');
    }
    if (out->len > before && out->ptr[out->len - 1] == ' ')
        out->len--;
}

/* By name without regard to case; equal names keep their order. */
static void
sort(struct field *out, const struct field *fields, size_t count)
{
    assert(count <= URL_FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        while (at > 0 && strcasecmp(out[at - 1].name, fields[i].name) > 0) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = fields[i];
    }
}

/* Appends the fields to `text` and their names to `names`; values of equal
 * names are joined by commas. */
static void
put_fields(struct buf *text, struct buf *names, const struct sign_s3 *r)
{
    struct field sorted[URL_FIELDS_MAX];

    sort(sorted, r->fields, r->field_count);
    for (size_t i = 0; i < r->field_count; i++) {
        bool more = i > 0 && strcasecmp(sorted[i - 1].name, sorted[i].name) == 0;
        if (more) {
            text->len--; /* the line goes on */
            buf_put_u8(text, ',');
        }
        if (!more) {
            put_lower(text, sorted[i].name);
            buf_put_u8(text, ':');
            if (i > 0)
                buf_put_u8(names, ';');
            put_lower(names, sorted[i].name);
        }
        put_trimmed(text, sorted[i].value);
        buf_put_u8(text, '\n');
    }
}

void
sign_s3(const struct sign_s3 *r, struct buf *out)
{
    AUTOBUF struct buf text = BUF(CANONICAL_MAX), names = BUF(CANONICAL_MAX);
    char when[SIGN_S3_TIME_LEN], hex[2 * SHA256_LEN + 1];
    uint8_t key[SHA256_LEN], digest[SHA256_LEN];

    sign_s3_time(when, r->time_s);
    buf_printf(&text, "%s\n%s\n%s\n", r->method, r->path, r->query);
    put_fields(&text, &names, r);
    buf_printf(&text, "\n%s\n%s", buf_cstr(&names), r->payload);
    sha256(buf_slice(&text), digest);
    text_hex(hex, digest, sizeof digest);

    buf_clear(&text);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", when, when,
               r->region, r->service, hex);
    derive(r, when, key);
    mac(slice_of(key, sizeof key), buf_slice(&text), digest);
    explicit_bzero(key, sizeof key);
    text_hex(hex, digest, sizeof digest);
    buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,"
                    "SignedHeaders=%s,Signature=%s",
               r->access_key, when, r->region, r->service, buf_cstr(&names), hex);
}
