#include "base/random.h"
#include "base/text.h"
#include "repo/keys.h"

#include "bundle.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* A slot: header 64 | kind 1 | role 1 | zero 2 | passes 4 | memory 4 | zero 4 |
 * salt 16 | commitment 32 | locked bundle. All before the bundle is its
 * associated data. */
#define SALT_AT (HEADER_LEN + 16)
#define COMMIT_AT (SALT_AT + ARGON_SALT_LEN)
#define LOCKED_AT (COMMIT_AT + 32)

const char *
slot_kind_name(enum slot_kind k)
{
    return k == SLOT_PASSPHRASE ? "passphrase"
         : k == SLOT_FILE       ? "key file"
         : k == SLOT_CODE       ? "recovery code"
                                : "unknown";
}

/* Key-encryption key and commitment, 32 bytes each. */
static int
stretch(uint8_t out[64], enum slot_kind kind, struct slice secret,
        const uint8_t salt[ARGON_SALT_LEN], uint32_t passes, uint32_t memory_kib,
        struct err *e)
{
    struct hmac_key extract;
    uint8_t prk[KEY_LEN];

    if (kind == SLOT_PASSPHRASE)
        return crypto_stretch(out, secret, salt, passes, memory_kib, e);
    hmac_key(&extract, slice_of(salt, ARGON_SALT_LEN)); /* HKDF-Extract */
    hmac_sha256(&extract, &secret, 1, prk);
    crypto_expand(out, 64, prk, SLICE("drtool-v1/slot"));
    crypto_wipe(prk, sizeof prk);
    return 0;
}

static void
put_associated(struct buf *out, struct slice object)
{
    buf_put_str(out, format_label(OBJECT_SLOT));
    buf_put_slice(out, slice_sub(object, 0, LOCKED_AT));
}

int
slot_make(const struct keys *k, enum role role, enum slot_kind kind, struct slice secret,
          struct buf *out, char key[22], struct err *e)
{
    struct header h = { .type = OBJECT_SLOT, .group = k->group };
    AUTOBUF struct buf aad = BUF(LOCKED_AT + 64);
    uint8_t salt[ARGON_SALT_LEN], nonce[NONCE_LEN], name[8], wrap[64];
    uint32_t passes = 0, memory_kib = 0;

    random_bytes(NULL, salt, sizeof salt);
    random_bytes(NULL, nonce, sizeof nonce);
    random_bytes(NULL, name, sizeof name);
    if (kind == SLOT_PASSPHRASE)
        crypto_stretch_cost(&passes, &memory_kib);
    if (stretch(wrap, kind, secret, salt, passes, memory_kib, e) < 0)
        return -1;
    memcpy(h.repo, k->repo_id, ID_LEN);
    header_put(out, &h);
    buf_put_u8(out, (uint8_t)kind);
    buf_put_u8(out, (uint8_t)role);
    buf_put_u16(out, 0);
    buf_put_u32(out, passes);
    buf_put_u32(out, memory_kib);
    buf_put_u32(out, 0);
    buf_put(out, salt, sizeof salt);
    buf_put(out, wrap + 32, 32);
    assert(out->len == LOCKED_AT);
    put_associated(&aad, buf_slice(out));
    struct buf bundle = BUF(BUNDLE_MAX);
    buf_room(&bundle, BUNDLE_MAX); /* at once: growing would leave copies behind */
    bundle_put(&bundle, k, role);
    crypto_lock(out, wrap, nonce, buf_slice(&aad), buf_slice(&bundle));
    crypto_wipe(bundle.ptr, bundle.len);
    crypto_wipe(wrap, sizeof wrap);
    buf_release(&bundle);
    memcpy(key, "keys/", 5);
    text_hex(key + 5, name, sizeof name);
    return 0;
}

int
slot_info(struct slice object, struct slot_info *out, struct err *e)
{
    struct header h;

    if (header_parse(object, OBJECT_SLOT, NULL, &h, e) < 0)
        return -1;
    if (object.len <= LOCKED_AT || object.len > SLOT_MAX)
        return err_set(e, ERR_CORRUPT, 0, "a key slot has a wrong length");
    out->kind = (enum slot_kind)object.ptr[HEADER_LEN];
    out->role = (enum role)object.ptr[HEADER_LEN + 1];
    memcpy(out->repo_id, h.repo, ID_LEN);
    return 0;
}

int
slot_open(struct slice object, enum slot_kind kind, struct slice secret,
          struct keys **out, struct err *e)
{
    AUTOBUF struct buf aad = BUF(LOCKED_AT + 64);
    struct slot_info info;
    uint8_t wrap[64];

    if (slot_info(object, &info, e) < 0)
        return -1;
    if (info.kind != kind)
        return 0;
    if (stretch(wrap, kind, secret, object.ptr + SALT_AT,
                get_u32(object.ptr + HEADER_LEN + 4),
                get_u32(object.ptr + HEADER_LEN + 8), e)
        < 0)
        return -1;
    if (!crypto_equal(wrap + 32, object.ptr + COMMIT_AT, 32)) {
        crypto_wipe(wrap, sizeof wrap);
        return 0;
    }
    put_associated(&aad, object);
    struct buf bundle = BUF(SLOT_MAX);
    buf_room(&bundle, BUNDLE_MAX);
    struct keys *k = keys_new();
    int rc = crypto_unlock(&bundle, wrap, buf_slice(&aad),
                           slice_sub(object, LOCKED_AT, object.len - LOCKED_AT), e);
    if (rc == 0)
        rc = bundle_parse(buf_slice(&bundle), k, e);
    if (rc == 0 && memcmp(k->repo_id, info.repo_id, ID_LEN) != 0)
        rc = err_set(e, ERR_FORGED, 0, "a key slot belongs to another repository");
    if (bundle.ptr)
        crypto_wipe(bundle.ptr, bundle.len);
    crypto_wipe(wrap, sizeof wrap);
    buf_release(&bundle);
    if (rc < 0) {
        keys_free(k);
        return -1;
    }
    *out = k;
    return 1;
}

static const char key_file_prefix[] = "drtool-key-v1:";

void
key_file_text(const uint8_t secret[KEY_FILE_SECRET], struct buf *out)
{
    char hex[2 * KEY_FILE_SECRET + 1];

    text_hex(hex, secret, KEY_FILE_SECRET);
    buf_put_str(out, key_file_prefix);
    buf_put_str(out, hex);
    buf_put_u8(out, '\n');
    crypto_wipe(hex, sizeof hex);
}

int
key_file_parse(struct slice text, uint8_t secret[KEY_FILE_SECRET], struct err *e)
{
    size_t prefix = sizeof key_file_prefix - 1;
    char hex[2 * KEY_FILE_SECRET + 1];

    while (text.len > 0 && isspace(text.ptr[text.len - 1]))
        text.len--;
    if (text.len != prefix + sizeof hex - 1
        || memcmp(text.ptr, key_file_prefix, prefix) != 0)
        return err_set(e, ERR_USAGE, 0, "this is not a drtool key file");
    memcpy(hex, text.ptr + prefix, sizeof hex - 1);
    hex[sizeof hex - 1] = 0;
    bool ok = text_unhex(secret, KEY_FILE_SECRET, hex);
    crypto_wipe(hex, sizeof hex);
    return ok ? 0 : err_set(e, ERR_USAGE, 0, "this is not a drtool key file");
}

/* Crockford's base32. */
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Secret and 20 check bits (of its SHA-256) as 36 values of 5 bits. */
static void
code_values(const uint8_t secret[CODE_SECRET], uint8_t out[36])
{
    uint8_t bytes[CODE_SECRET + 3], sum[SHA256_LEN];
    unsigned bits = 0, n = 0, o = 0;

    sha256(slice_of(secret, CODE_SECRET), sum);
    memcpy(bytes, secret, CODE_SECRET);
    memcpy(bytes + CODE_SECRET, sum, 3);
    for (size_t i = 0; i < sizeof bytes && o < 36; i++) {
        bits = bits << 8 | bytes[i];
        n += 8;
        while (n >= 5 && o < 36) {
            n -= 5;
            out[o++] = bits >> n & 31;
        }
    }
    crypto_wipe(bytes, sizeof bytes);
}

void
code_text(const uint8_t secret[CODE_SECRET], char out[CODE_TEXT_LEN + 1])
{
    uint8_t values[36];
    size_t o = 0;

    code_values(secret, values);
    for (size_t i = 0; i < sizeof values; i++) {
        if (i > 0 && i % 4 == 0)
            out[o++] = '-';
        out[o++] = alphabet[values[i]];
    }
    out[o] = 0;
    crypto_wipe(values, sizeof values);
}

static int
value_of(char c)
{
    c = (char)toupper((unsigned char)c);
    c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
    const char *p = c ? strchr(alphabet, c) : NULL;
    return p ? (int)(p - alphabet) : -1;
}

int
code_parse(const char *text, uint8_t secret[CODE_SECRET], struct err *e)
{
    uint8_t values[36], again[36];
    unsigned bits = 0, n = 0, o = 0, count = 0;

    for (; *text; text++) {
        if (*text == '-' || isspace((unsigned char)*text))
            continue;
        int v = value_of(*text);
        if (v < 0 || count == sizeof values)
            return err_set(e, ERR_USAGE, 0,
                           "this is not a recovery code: it has nine "
                           "groups of four letters and digits");
        values[count++] = (uint8_t)v;
    }
    for (unsigned i = 0; i < 32; i++) {
        bits = bits << 5 | values[i < count ? i : 0];
        n += 5;
        if (n >= 8) {
            n -= 8;
            secret[o++] = (uint8_t)(bits >> n);
        }
    }
    code_values(secret, again);
    if (count != sizeof values || memcmp(values, again, sizeof values) != 0)
        return err_set(e, ERR_USAGE, 0,
                       "the recovery code is mistyped: its check "
                       "characters do not fit");
    return 0;
}
