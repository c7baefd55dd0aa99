/*
 * The bytes of the format for fixed keys and inputs, compared with the text
 * files in tests/vectors/ (see README.md there). A difference means that
 * targets written before would be read wrongly, or drtool-format(5) is wrong.
 * With DRTOOL_WRITE_VECTORS in the environment the files are written instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/fs.h"
#include "base/text.h"
#include "codec/record.h"
#include "repo/manifest.h"
#include "repo/log.h"
#include "repo/pack.h"
#include "repo/snapshot.h"

#include "../../src/repo/bundle.h"
#include "../../src/repo/entry_format.h"
#include "../../src/repo/impl.h"
#include "../../src/repo/signed.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One file of vectors: lines `name = hex`, and comments. */

#define FILE_MAX ((size_t)4 << 20)
#define VALUE_MAX ((size_t)1 << 20)

struct vectors {
    const char *path;
    bool write;
    struct buf old; /* with a newline before its first line */
    struct buf fresh;
    size_t count;
};

static void
vectors_open(struct vectors *v, const char *path)
{
    struct err e = { 0 };

    *v = (struct vectors){ .path = path, .write = getenv("DRTOOL_WRITE_VECTORS") != NULL,
                           .old = BUF(FILE_MAX), .fresh = BUF(FILE_MAX) };
    buf_put_u8(&v->old, '\n');
    if (fs_read(path, FILE_MAX - 2, &v->old, &e) < 0 && !v->write)
        fail_msg("%s", err_text(&e));
    buf_put_str(&v->fresh, "# Made by tests/repo/test_vectors.c; see README.md.\n");
}

/* The hex digits of a name, or NULL. */
static char *
stored(struct vectors *v, const char *name)
{
    AUTOFREE char *line = mem_printf("\n%s = ", name);
    const char *at = strstr(buf_cstr(&v->old), line);

    if (!at)
        return NULL;
    at += strlen(line);
    return mem_printf("%.*s", (int)strcspn(at, "\n"), at);
}

static void
note(struct vectors *v, const char *text)
{
    buf_printf(&v->fresh, "\n# %s\n", text);
}

static void
put(struct vectors *v, const char *name, struct slice value)
{
    AUTOFREE char *hex = mem_alloc(2 * value.len + 1);

    text_hex(hex, value.ptr, value.len);
    buf_printf(&v->fresh, "%s = %s\n", name, hex);
    v->count++;
}

/* These bytes are what the file says. */
static void
check(struct vectors *v, const char *name, struct slice value)
{
    AUTOFREE char *want = stored(v, name);
    AUTOFREE char *have = mem_alloc(2 * value.len + 1);

    text_hex(have, value.ptr, value.len);
    put(v, name, value);
    if (v->write)
        return;
    if (!want)
        fail_msg("%s has no %s", v->path, name);
    if (strcmp(want, have) != 0)
        fail_msg("%s: %s is not what it was; it is now\n%s", v->path, name, have);
}

/* Bytes that contain chance: made once, then those of the file. */
static void
sample(struct vectors *v, const char *name, struct buf *value)
{
    AUTOFREE char *hex = stored(v, name);

    if (!hex && !v->write)
        fail_msg("%s has no %s", v->path, name);
    if (hex) {
        size_t len = strlen(hex) / 2;
        buf_clear(value);
        assert_true(text_unhex(buf_room(value, len), len, hex));
        value->len = len;
    }
    put(v, name, buf_slice(value));
}

static void
vectors_close(struct vectors *v)
{
    struct err e = { 0 };
    size_t lines = 0;

    for (size_t i = 0; i + 1 < v->old.len; i++)
        lines += v->old.ptr[i] == '\n' && !strchr("#\n", v->old.ptr[i + 1]);
    if (v->write && fs_replace(v->path, buf_slice(&v->fresh), 0644, &e) < 0)
        fail_msg("%s", err_text(&e));
    if (!v->write)
        assert_int_equal(lines, v->count); /* none that nobody checks any more */
    buf_release(&v->old);
    buf_release(&v->fresh);
}

/* first, first + 1, ... */
static void
fill(void *out, uint8_t first, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(first + i);
}

static void
fill_pair(struct box_pair *p, uint8_t first)
{
    fill(p->sec, first, KEY_LEN);
    assert_int_equal(crypto_scalarmult_base(p->pub, p->sec), 0);
}

/* The keys that all vectors use; README.md repeats them. */
static struct keys *
fixed_keys(enum role role)
{
    AUTOBUF struct buf bundle = BUF(BUNDLE_MAX);
    struct keys *raw = keys_new(), *k = keys_new();
    struct err e = { 0 };

    raw->role = ROLE_ADMIN;
    fill(raw->repo_id, 0x10, ID_LEN);
    fill(raw->root_seed, 0x20, SEED_LEN);
    fill(raw->maintain_seed, 0x30, SEED_LEN);
    fill(raw->k_id, 0x40, KEY_LEN);
    fill(raw->k_cut, 0x50, KEY_LEN);
    fill(raw->k_dir, 0x60, KEY_LEN);
    sign_public(raw->root_pub, raw->root_seed);
    sign_public(raw->maintain_pub, raw->maintain_seed);
    raw->has_root = raw->has_maintain = true;
    raw->epochs[0].number = 1;
    fill_pair(&raw->epochs[0].pair[CLASS_DATA], 0x70);
    fill_pair(&raw->epochs[0].pair[CLASS_META], 0x80);
    raw->epochs[0].can_open[CLASS_DATA] = raw->epochs[0].can_open[CLASS_META] = true;
    raw->epoch_count = 1;
    bundle_put(&bundle, raw, role);
    assert_int_equal(bundle_parse(buf_slice(&bundle), k, &e), 0);
    keys_free(raw);
    return k;
}

#define HOST_ID 0xa0
#define HOST_SEED 0xb0
#define SALT 0xc0
#define NONCE 0xd0

/* Integers, records, the header. */

static void
integers_records_and_the_header(void **state)
{
    static const uint64_t numbers[] = { 0, 1, 127, 128, 300, 16383, 16384,
                                        (uint64_t)1 << 32, UINT64_MAX };
    AUTOBUF struct buf b = BUF(1024);
    struct header h = { .type = OBJECT_SNAP, .group = 0x0201 };
    struct vectors v;
    char name[64];

    (void)state;
    vectors_open(&v, "tests/vectors/basics.txt");
    note(&v, "var: the name ends in the number");
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        buf_clear(&b);
        buf_put_var(&b, numbers[i]);
        snprintf(name, sizeof name, "var.%llu", (unsigned long long)numbers[i]);
        check(&v, name, buf_slice(&b));
        struct reader r = reader_of(buf_slice(&b));
        assert_true(read_var(&r) == numbers[i] && r.left == 0);
    }

    note(&v, "CRC-32C of the nine digits, as u32");
    buf_clear(&b);
    buf_put_u32(&b, crc32c(SLICE("123456789")));
    check(&v, "crc32c.123456789", buf_slice(&b));

    note(&v, "tag 1: the number 300; tag 2: text; tag 513: a record with an empty tag 3");
    buf_clear(&b);
    record_put_u64(&b, 1, 300);
    record_put_str(&b, 2, "text");
    size_t at = record_begin(&b, 513);
    record_put(&b, 3, slice_of(NULL, 0));
    record_end(&b, at);
    check(&v, "record", buf_slice(&b));
    assert_true(record_valid(buf_slice(&b)));

    note(&v, "type S, group 0x0201, repository 10 11 .., session 90 91 ..");
    buf_clear(&b);
    fill(h.repo, 0x10, ID_LEN);
    fill(h.session, 0x90, ID_LEN);
    header_put(&b, &h);
    check(&v, "header", buf_slice(&b));
    vectors_close(&v);
}

/* Derived keys and primitives. */

static void
check_derived(struct vectors *v, const uint8_t key[KEY_LEN], const char *context,
              uint64_t count)
{
    uint8_t out[KEY_LEN];
    char name[64];

    for (uint64_t i = 1; i <= count; i++) {
        crypto_derive(out, key, context, i);
        snprintf(name, sizeof name, "derive.%s.%llu", context, (unsigned long long)i);
        check(v, name, slice_of(out, sizeof out));
    }
}

static void
check_primitives(struct vectors *v, const struct keys *k)
{
    AUTOBUF struct buf b = BUF(1024);
    uint8_t out[64], salt[ARGON_SALT_LEN], nonce[NONCE_LEN], seed[SEED_LEN], prk[32];
    struct hmac_key extract;
    struct err e = { 0 };

    fill(salt, SALT, sizeof salt);
    fill(nonce, NONCE, sizeof nonce);
    fill(seed, HOST_SEED, sizeof seed);

    note(v, "HKDF-Expand of K_id, info \"info\", 80 bytes");
    crypto_expand(buf_room(&b, 80), 80, k->k_id, SLICE("info"));
    check(v, "expand", slice_of(b.ptr, 80));

    note(v, "64 bytes of the passphrase \"correct horse\", salt c0 c1 .., 2 passes,\n"
            "# 64 KiB");
    assert_int_equal(crypto_stretch(out, SLICE("correct horse"), salt, 2, 64, &e), 0);
    check(v, "stretch.argon2id", slice_of(out, sizeof out));

    note(v, "64 bytes of the key file of slots.txt, the same salt");
    uint8_t secret[KEY_FILE_SECRET];
    fill(secret, 0xe0, sizeof secret);
    struct slice part = slice_of(secret, sizeof secret);
    hmac_key(&extract, slice_of(salt, sizeof salt));
    hmac_sha256(&extract, &part, 1, prk);
    crypto_expand(out, 64, prk, SLICE("drtool-v1/slot"));
    check(v, "stretch.hkdf", slice_of(out, sizeof out));

    note(v, "LOCK under K_id, nonce d0 d1 .., data \"data\", plain \"plain\"");
    crypto_lock(&b, k->k_id, nonce, SLICE("data"), SLICE("plain"));
    check(v, "lock", buf_slice(&b));

    note(v, "SIGN with the seed b0 b1 .., label \"drtool-v1/done\", data \"data\"");
    sign_make(out, seed, "drtool-v1/done", SLICE("data"));
    check(v, "sign", slice_of(out, sizeof out));
    sign_public(prk, seed);
    check(v, "sign.public", slice_of(prk, sizeof prk));
    assert_int_equal(sign_check(out, prk, "drtool-v1/done", SLICE("data"), &e), 0);

    note(v, "BOX to the data public key of epoch 1, plain \"plain\", seed b0 b1 ..");
    const struct box_pair *pair = &k->epochs[0].pair[CLASS_DATA];
    buf_clear(&b);
    box_seal(buf_room(&b, 5 + BOX_LEN), pair->pub, seed, SLICE("plain"));
    b.len = 5 + BOX_LEN;
    check(v, "box", buf_slice(&b));
    assert_int_equal(box_open(out, pair, buf_slice(&b), &e), 0);
    assert_memory_equal(out, "plain", 5);

    note(v, "SIPHASH under K_manifest of \"path\", as u64");
    put_u64(out, crypto_short_hash(k->manifest_cut, SLICE("path")));
    check(v, "siphash", slice_of(out, 8));
}

static void
keys_and_what_is_derived_from_them(void **state)
{
    struct vectors v;
    uint8_t hash[32];

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_ADMIN);
    vectors_open(&v, "tests/vectors/keys.txt");
    note(&v, "public keys of the fixed private ones");
    check(&v, "root.public", slice_of(k->root_pub, KEY_LEN));
    check(&v, "maintenance.public", slice_of(k->maintain_pub, KEY_LEN));
    check(&v, "epoch.data.public", slice_of(k->epochs[0].pair[CLASS_DATA].pub, KEY_LEN));
    check(&v, "epoch.meta.public", slice_of(k->epochs[0].pair[CLASS_META].pub, KEY_LEN));

    note(&v, "KDF of K_dir and K_cut: context and number");
    check_derived(&v, k->k_dir, "drt-dir_", 7);
    check_derived(&v, k->k_cut, "drt-cut_", 3);
    note(&v, "the gear table: its first 64 bytes, the SHA-256 of all 2048");
    check(&v, "gear.begin", slice_of(k->gear, 64));
    sha256(slice_of(k->gear, sizeof k->gear), hash);
    check(&v, "gear.sha256", slice_of(hash, sizeof hash));
    check_primitives(&v, k);
    vectors_close(&v);
}

static void
ids_and_names(void **state)
{
    static const char *const kinds[] = { "snap", "done", "gone", "pin" };
    uint8_t content_id[CONTENT_ID_LEN], host[ID_LEN], hash[32], content[32];
    struct log_name log = { .timeline = 2, .pos = "000000000000000a.partial" };
    char log_text[LOG_KEY_MAX + 1];
    struct chain_name n = { .seq = 42 };
    char tag[17], key[PACK_KEY_LEN + 1], chain[CHAIN_KEY_LEN + 1], name[64];
    struct chunk_id id;
    struct vectors v;

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_READER);
    vectors_open(&v, "tests/vectors/names.txt");
    note(&v, "ids of \"hello\", as a chunk of each kind, and as the content of a file");
    for (uint8_t kind = KIND_FILE; kind <= KIND_LOG; kind++) {
        keys_chunk_id(k, kind, SLICE("hello"), &id);
        snprintf(name, sizeof name, "chunk.id.%u", kind);
        check(&v, name, slice_of(id.bytes, sizeof id.bytes));
    }
    keys_content_id(k, SLICE("hello"), content_id);
    check(&v, "content.id", slice_of(content_id, sizeof content_id));

    note(&v, "the tag of the host a0 a1 .., in ASCII");
    fill(host, HOST_ID, sizeof host);
    keys_host_tag(k, host, tag);
    check(&v, "host.tag", slice_str(tag));

    note(&v, "names with that tag, sequence number 42, SHA-256 00 01 .., in ASCII");
    fill(hash, 0, sizeof hash);
    pack_key(key, hash);
    check(&v, "key.pack", slice_str(key));
    memcpy(n.host, tag, sizeof n.host);
    memcpy(n.sha256, hash, sizeof hash);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        memcpy(n.kind, kinds[i], strlen(kinds[i]) + 1);
        chain_key(chain, &n);
        snprintf(name, sizeof name, "key.%s", kinds[i]);
        check(&v, name, slice_str(chain));
    }

    note(&v, "the stream of the PostgreSQL system 7000000000000000001, in ASCII; the\n"
             "# content of a log of SHA-256 00 01 ..; a name in that stream, in ASCII");
    log_stream(k, LOG_POSTGRES, "7000000000000000001", log.stream);
    check(&v, "log.stream", slice_str(log.stream));
    log_content(k, hash, content);
    check(&v, "log.content", slice_of(content, sizeof content));
    memcpy(log.sha256, hash, 32);
    log_key(log_text, &log);
    check(&v, "key.log", slice_str(log_text));
    vectors_close(&v);
}

/* Bundles, slots, key files, recovery codes. */

static void
check_slot(struct vectors *v, const struct keys *k, const char *name, enum slot_kind kind,
           struct slice secret)
{
    AUTOBUF struct buf slot = BUF(SLOT_MAX);
    struct keys *opened = NULL;
    char key[22];
    struct err e = { 0 };

    assert_int_equal(slot_make(k, ROLE_READER, kind, secret, &slot, key, &e), 0);
    sample(v, name, &slot);
    assert_int_equal(slot_open(buf_slice(&slot), kind, secret, &opened, &e), 1);
    assert_int_equal(opened->role, ROLE_READER);
    assert_memory_equal(opened->index_key, k->index_key, KEY_LEN);
    assert_true(keys_can_open(opened, CLASS_DATA));
    keys_free(opened);
}

static void
bundles_slots_and_secrets(void **state)
{
    AUTOBUF struct buf b = BUF(BUNDLE_MAX);
    uint8_t file[KEY_FILE_SECRET], code[CODE_SECRET];
    char text[CODE_TEXT_LEN + 1];
    struct vectors v;

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_ADMIN);
    vectors_open(&v, "tests/vectors/slots.txt");
    note(&v, "bundles of the fixed keys for each role");
    for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++) {
        char name[64];
        buf_clear(&b);
        bundle_put(&b, k, r);
        snprintf(name, sizeof name, "bundle.%s", role_name(r));
        check(&v, name, buf_slice(&b));
    }

    note(&v, "the key file with the secret e0 e1 .., in ASCII");
    fill(file, 0xe0, sizeof file);
    buf_clear(&b);
    key_file_text(file, &b);
    check(&v, "key.file", buf_slice(&b));
    note(&v, "the recovery code with the secret f0 f1 .., in ASCII");
    fill(code, 0xf0, sizeof code);
    code_text(code, text);
    check(&v, "recovery.code", slice_str(text));

    note(&v, "slots with the bundle of role reader");
    check_slot(&v, k, "slot.file", SLOT_FILE, slice_of(file, sizeof file));
    check_slot(&v, k, "slot.code", SLOT_CODE, slice_of(code, sizeof code));
    vectors_close(&v);
}

/* Chunks and packs. */

/* Session keys 01 02 .. and 81 82 .., sealed with the seeds 02 03 .. and 82 83 .. */
static struct session *
fixed_session(const struct keys *k)
{
    struct session *s = crypto_alloc(sizeof *s);
    struct err e = { 0 };

    fill(s->id, 0x90, ID_LEN);
    for (int c = CLASS_DATA; c <= CLASS_META; c++) {
        uint8_t key[KEY_LEN], seed[KEY_LEN];
        struct hmac_key opened;
        fill(key, c == CLASS_DATA ? 0x01 : 0x81, sizeof key);
        fill(seed, c == CLASS_DATA ? 0x02 : 0x82, sizeof seed);
        s->key[c].class = (enum chunk_class)c;
        s->key[c].suite = SUITE_AES256_GCM;
        s->key[c].epoch = 1;
        hmac_key(&s->prk[c], slice_of(key, sizeof key));
        box_seal(s->key[c].sealed, k->epochs[0].pair[c].pub, seed,
                 slice_of(key, sizeof key));
        assert_int_equal(chunk_key_open(k, &s->key[c], &opened, &e), 0);
        assert_memory_equal(&opened, &s->prk[c], sizeof opened);
    }
    return s;
}

static const char lorem[] =
    "chunk chunk chunk chunk chunk chunk chunk chunk chunk chunk chunk chunk chunk ";

static void
put_record(struct buf *out, const struct chunk_record *r)
{
    buf_clear(out);
    buf_put(out, r->id.bytes, sizeof r->id.bytes);
    buf_put_u32(out, r->counter);
    buf_put_u32(out, r->offset);
    buf_put_u32(out, r->stored);
    buf_put_u32(out, r->raw);
    buf_put_u8(out, r->key);
    buf_put_u8(out, r->encoding);
    buf_put_u8(out, r->kind);
    buf_put_u8(out, 0);
}

static struct chunk_record
get_record(struct slice s)
{
    struct directory d = { .chunk_count = 1, .chunks = s };
    struct chunk_record r = { .counter = 0 };

    directory_chunk(&d, 0, &r);
    return r;
}

/* The chunk's key as the manual tells it; and that the seal was made with it. */
static void
check_chunk_key(struct vectors *v, struct chunk_tools *t, const char *name,
                enum suite suite, const struct chunk_record *rec, struct slice sealed)
{
    AUTOBUF struct buf info = BUF(256), aad = BUF(256), again = BUF(1024);
    uint8_t session[KEY_LEN], key[KEY_LEN];
    AUTOFREE char *info_name = mem_printf("%s.info", name);
    AUTOFREE char *key_name = mem_printf("%s.key", name);

    buf_put_str(&info, "drtool-v1/chunk");
    buf_put_u8(&info, CLASS_DATA);
    buf_put_u8(&info, (uint8_t)suite);
    buf_put(&info, rec->id.bytes, 32);
    buf_put_u32(&info, rec->counter);
    buf_put_u8(&info, rec->encoding);
    buf_put_u32(&info, rec->raw);
    buf_put_u32(&info, rec->stored);
    check(v, info_name, buf_slice(&info));
    fill(session, 0x01, sizeof session);
    crypto_expand(key, sizeof key, session, buf_slice(&info));
    check(v, key_name, slice_of(key, sizeof key));
    fill(buf_room(&aad, ID_LEN), 0x10, ID_LEN);
    aad.len = ID_LEN;
    buf_put_u8(&aad, CLASS_DATA);
    buf_put_u8(&aad, KIND_FILE);
    buf_put(&aad, rec->id.bytes, 32);
    aead_seal(t->aead, suite, key, buf_slice(&aad), slice_str(lorem),
              buf_room(&again, sizeof lorem + TAG_LEN));
    again.len = sizeof lorem - 1 + TAG_LEN;
    assert_true(slice_equal(buf_slice(&again), sealed));
}

static void
check_raw_chunk(struct vectors *v, const struct keys *k, struct session *s,
                struct chunk_tools *t, enum suite suite, const char *name)
{
    AUTOBUF struct buf sealed = BUF(4096), b = BUF(4096);
    AUTOFREE char *record_name = mem_printf("%s.record", name);
    struct chunk_record rec;
    struct chunk_id id;
    struct err e = { 0 };

    keys_chunk_id(k, KIND_FILE, slice_str(lorem), &id);
    s->key[CLASS_DATA].suite = suite;
    chunk_seal(t, k, s, KIND_FILE, &id, 7, slice_str(lorem), true,
               buf_room(&sealed, chunk_room(sizeof lorem)), &rec);
    sealed.len = rec.stored;
    chunk_key_put(&b, &s->key[CLASS_DATA]);
    AUTOFREE char *entry_name = mem_printf("%s.table", name);
    check(v, entry_name, buf_slice(&b));
    put_record(&b, &rec);
    check(v, record_name, buf_slice(&b));
    check_chunk_key(v, t, name, suite, &rec, buf_slice(&sealed));
    check(v, name, buf_slice(&sealed));
    uint8_t *out = buf_room(&b, sizeof lorem);
    assert_int_equal(chunk_open(t, k, suite, &s->prk[CLASS_DATA], &rec,
                                buf_slice(&sealed), out, &e), 0);
    assert_memory_equal(out, lorem, sizeof lorem - 1);
}

static void
chunks_are_sealed_and_opened(void **state)
{
    AUTOBUF struct buf sealed = BUF(4096), b = BUF(4096);
    struct chunk_tools t;
    struct chunk_record rec;
    struct chunk_id id;
    struct vectors v;
    struct err e = { 0 };

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_READER);
    chunk_tools_init(&t, 1);
    vectors_open(&v, "tests/vectors/chunks.txt");
    CLEANUP(session_free_p) struct session *s = fixed_session(k);
    note(&v, "session keys 01 02 .. (data) and 81 82 .. (metadata), sealed for epoch 1");
    check(&v, "session.data", slice_of(s->key[CLASS_DATA].sealed, SEALED_KEY_LEN));
    check(&v, "session.meta", slice_of(s->key[CLASS_META].sealed, SEALED_KEY_LEN));
    note(&v, "a chunk of kind 1, counter 7, encoding 0, under either suite: its entry\n"
             "# in the key table, record (offset 0), info, key, and stored bytes");
    check(&v, "chunk.plain", slice_str(lorem));
    check_raw_chunk(&v, k, s, &t, SUITE_AES256_GCM, "chunk.gcm");
    check_raw_chunk(&v, k, s, &t, SUITE_CHACHA20_POLY1305, "chunk.chacha");

    note(&v, "the same with encoding 1 and AES-256-GCM; zstd may pack it differently");
    keys_chunk_id(k, KIND_FILE, slice_str(lorem), &id);
    s->key[CLASS_DATA].suite = SUITE_AES256_GCM;
    chunk_seal(&t, k, s, KIND_FILE, &id, 8, slice_str(lorem), false,
               buf_room(&sealed, chunk_room(sizeof lorem)), &rec);
    sealed.len = rec.stored;
    put_record(&b, &rec);
    sample(&v, "chunk.zstd.record", &b);
    sample(&v, "chunk.zstd", &sealed);
    rec = get_record(buf_slice(&b));
    assert_int_equal(rec.encoding, ENCODING_ZSTD);
    uint8_t *out = buf_room(&b, sizeof lorem);
    assert_int_equal(chunk_open(&t, k, SUITE_AES256_GCM, &s->prk[CLASS_DATA], &rec,
                                buf_slice(&sealed), out, &e), 0);
    assert_memory_equal(out, lorem, sizeof lorem - 1);
    vectors_close(&v);
    chunk_tools_release(&t);
}

/* A pack of the data class with two chunks, read back into `bytes`. */
static void
make_pack(const struct keys *k, const struct session *s, bool pad, struct pack_done *done,
          struct buf *bytes)
{
    static const char *const texts[] = { "the first chunk", "the second chunk" };
    AUTOBUF struct buf sealed = BUF(4096);
    struct pack_writer *w = NULL;
    struct random rnd = { .seed = 1 };
    char dir[] = "/tmp/drtool-vectors-XXXXXX";
    struct chunk_tools t;
    struct err e = { 0 };

    assert_non_null(mkdtemp(dir));
    chunk_tools_init(&t, 1);
    assert_int_equal(pack_begin(k, CLASS_DATA, s->id, &rnd, NULL,
                                fs_join(dir, "pack"), &w, &e),
                     0);
    for (uint32_t i = 0; i < COUNT_OF(texts); i++) {
        struct chunk_record rec;
        struct chunk_id id;
        enum chunk_kind kind = i ? KIND_BUNDLE : KIND_FILE;
        buf_clear(&sealed);
        keys_chunk_id(k, (uint8_t)kind, slice_str(texts[i]), &id);
        chunk_seal(&t, k, s, kind, &id, i, slice_str(texts[i]), true,
                   buf_room(&sealed, 4096), &rec);
        sealed.len = rec.stored;
        assert_int_equal(pack_add(w, &rec, &s->key[CLASS_DATA], buf_slice(&sealed), &e),
                         0);
    }
    assert_int_equal(pack_finish(w, pad, done, &e), 0);
    assert_int_equal(fs_read(done->path, bytes->max, bytes, &e), 0);
    assert_int_equal(unlink(done->path), 0);
    assert_int_equal(rmdir(dir), 0);
    mem_free(done->path);
    chunk_tools_release(&t);
}

static void
check_tail(const struct keys *k, struct slice pack, const struct pack_done *done)
{
    AUTOBUF struct buf plain = BUF(PACK_DIRECTORY_MAX);
    struct slice footer = slice_sub(pack, pack.len - PACK_FOOTER, PACK_FOOTER);
    struct directory d;
    uint8_t name[32];
    uint64_t at = 0;
    struct err e = { 0 };

    sha256(pack, name);
    assert_memory_equal(name, done->name, 32);
    assert_int_equal(done->size, pack.len);
    assert_int_equal(pack_tail(footer, pack.len, &at, &e), 0);
    struct slice tail = slice_sub(pack, at, pack.len - at);
    assert_int_equal(pack_open_directory(k, slice_sub(pack, 0, PACK_BODY), tail, pack.len,
                                         &plain, &d, &e), 0);
    assert_true(slice_equal(d.plain, buf_slice(&done->directory)));
}

static void
packs_whole_and_padded(void **state)
{
    AUTOBUF struct buf pack = BUF(65536), padded = BUF(65536);
    struct pack_done done = { 0 };
    struct vectors v;

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_READER);
    vectors_open(&v, "tests/vectors/packs.txt");
    CLEANUP(session_free_p) struct session *s = fixed_session(k);
    note(&v, "session keys as in chunks.txt, session id 90 91 .., suite 1:\n"
             "# a pack of \"the first chunk\" (kind 1), \"the second chunk\" (kind 2)");
    make_pack(k, s, false, &done, &pack);
    check_tail(k, buf_slice(&pack), &done);
    check(&v, "pack", buf_slice(&pack));
    check(&v, "pack.name", slice_of(done.name, 32));
    check(&v, "pack.directory", buf_slice(&done.directory));
    buf_release(&done.directory);

    note(&v, "the same, padded: its footer and name");
    make_pack(k, s, true, &done, &padded);
    check_tail(k, buf_slice(&padded), &done);
    check(&v, "padded.footer",
          slice_sub(buf_slice(&padded), padded.len - PACK_FOOTER, PACK_FOOTER));
    check(&v, "padded.name", slice_of(done.name, 32));
    buf_release(&done.directory);
    vectors_close(&v);
}

/* Entries and trees. */

#define NODES_MAX 64

/* Chunks of metadata, in the order stored. */
struct nodes {
    const struct keys *keys;
    size_t count;
    struct {
        struct chunk_id id;
        enum chunk_kind kind;
        struct buf plain;
    } at[NODES_MAX];
};

static int
store_node(void *arg, enum chunk_kind kind, struct slice plain, struct chunk_id *id,
           struct err *e)
{
    struct nodes *n = arg;

    (void)e;
    assert_true(n->count < NODES_MAX);
    keys_chunk_id(n->keys, (uint8_t)kind, plain, id);
    n->at[n->count].id = *id;
    n->at[n->count].kind = kind;
    n->at[n->count].plain = BUF(VALUE_MAX);
    buf_put_slice(&n->at[n->count++].plain, plain);
    return 0;
}

static int
load_node(void *arg, enum chunk_kind kind, const struct chunk_id *id, struct buf *out,
          struct err *e)
{
    struct nodes *n = arg;

    for (size_t i = 0; i < n->count; i++)
        if (n->at[i].kind == kind && chunk_id_equal(&n->at[i].id, id)) {
            buf_put_slice(out, buf_slice(&n->at[i].plain));
            return 0;
        }
    return err_set(e, ERR_NOT_FOUND, 0, "no such node");
}

static void
nodes_release(struct nodes *n)
{
    for (size_t i = 0; i < n->count; i++)
        buf_release(&n->at[i].plain);
    n->count = 0;
}

/* The node stored last, which is the root. */
static struct slice
last_node(const struct nodes *n)
{
    return buf_slice(&n->at[n->count - 1].plain);
}

static struct entry
common(const char *path, enum entry_type type)
{
    return (struct entry){ .path = slice_str(path),
                           .type = type,
                           .mode = 0640,
                           .uid = 1000,
                           .gid = 100,
                           .user = SLICE("alice"),
                           .group = SLICE("users"),
                           .mtime_s = 1700000000,
                           .mtime_ns = 123456789,
                           .ctime_s = -1,
                           .ctime_ns = 5,
                           .ino = 300 };
}

static struct extent
extent_of(uint8_t first, uint32_t offset, uint64_t len)
{
    struct extent x = { .offset = offset, .len = len };

    if (first)
        fill(x.id.bytes, first, sizeof x.id.bytes);
    return x;
}

#define ENTRIES 11

/* One of each, in order; `big` are attributes over XATTRS_INLINE. */
static void
fixed_entries(struct entry out[ENTRIES], struct slice small, struct slice big)
{
    static const char *const paths[ENTRIES] = {
        "a",         "a/bundled", "a/bundled-too", "a/device", "a/empty", "a/fifo",
        "a/in tree", "a/link",    "a/sparse",      "a-file",   "b\xff",
    };

    for (size_t i = 0; i < ENTRIES; i++)
        out[i] = common(paths[i], ENTRY_FILE);
    out[0].type = ENTRY_DIR;
    out[0].mode = 01755;
    out[0].flags = ENTRY_ABOVE;
    for (size_t i = 1; i <= 2; i++) {
        out[i].size = 1000 * i;
        out[i].link_group = i == 2 ? UINT64_MAX : 0;
        out[i].extent_count = 1;
        out[i].extents[0] = extent_of(0x33, i == 2 ? 1000 : 0, 1000 * i);
        fill(out[i].content_id, (uint8_t)(0xc0 + i), CONTENT_ID_LEN);
    }
    out[3].type = ENTRY_BLOCK;
    out[3].rdev = 0x12345;
    out[5].type = ENTRY_FIFO;
    out[6].size = (uint64_t)5 << 40;
    out[6].tree = true;
    out[6].extent_count = 1;
    out[6].extents[0] = extent_of(0x55, 0, out[6].size);
    out[7].type = ENTRY_LINK;
    out[7].mode = 0777;
    out[7].target = SLICE("../b");
    out[8].size = 70000 + ((uint64_t)1 << 33);
    out[8].flags = ENTRY_CHANGED;
    out[8].extent_count = 3;
    out[8].extents[0] = extent_of(0x44, 0, 65536);
    out[8].extents[1] = extent_of(0, 0, (uint64_t)1 << 33);
    out[8].extents[2] = extent_of(0x45, 0, 4464);
    out[9].xattrs = small;
    out[10].xattrs = big;
}

static void
read_back(struct nodes *n, const struct manifest_root *root, const struct entry *want,
          size_t count)
{
    CLEANUP(manifest_reader_free_p) struct manifest_reader *r =
        manifest_reader_new(root, load_node, n);
    struct entry have;
    struct err e = { 0 };

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(manifest_next(r, &have, &e), 1);
        assert_true(slice_equal(have.path, want[i].path));
        assert_true(slice_equal(have.xattrs, want[i].xattrs));
        assert_true(slice_equal(have.target, want[i].target));
        assert_true(have.type == want[i].type && have.size == want[i].size
                    && have.rdev == want[i].rdev && have.ctime_s == want[i].ctime_s
                    && have.link_group == want[i].link_group
                    && have.tree == want[i].tree);
        assert_int_equal(have.extent_count, want[i].extent_count);
        for (size_t x = 0; x < have.extent_count; x++)
            assert_true(chunk_id_equal(&have.extents[x].id, &want[i].extents[x].id)
                        && have.extents[x].offset == want[i].extents[x].offset
                        && have.extents[x].len == want[i].extents[x].len);
    }
    assert_int_equal(manifest_next(r, &have, &e), 0);
}

static void
write_manifest(struct nodes *n, const struct entry *entries, size_t count,
               struct manifest_root *root)
{
    CLEANUP(manifest_writer_free_p) struct manifest_writer *w =
        manifest_writer_new(n->keys, store_node, n);
    struct err e = { 0 };

    for (size_t i = 0; i < count; i++)
        assert_int_equal(manifest_add(w, &entries[i], &e), 0);
    assert_int_equal(manifest_finish(w, root, &e), 0);
}

static void
check_inner_node(struct vectors *v, struct nodes *n)
{
    enum { MANY = 2000 };
    AUTOFREE struct entry *many = mem_zalloc(MANY * sizeof *many);
    AUTOFREE char *paths = mem_alloc(MANY * 16);
    struct manifest_root root;

    for (size_t i = 0; i < MANY; i++) {
        snprintf(paths + 16 * i, 16, "f%04zu", i);
        many[i] = common(paths + 16 * i, ENTRY_FILE);
        many[i].size = 1;
        many[i].extent_count = 1;
        many[i].extents[0] = extent_of(0x66, (uint32_t)i, 1);
    }
    write_manifest(n, many, MANY, &root);
    assert_int_equal(root.level, 1);
    assert_true(n->count > 2 && root.entries == MANY && root.bytes == MANY);
    check(v, "manifest.inner", last_node(n));
    read_back(n, &root, many, MANY);
    nodes_release(n);
}

static void
entries_and_the_manifest(void **state)
{
    struct nodes n = { .count = 0 };
    AUTOBUF struct buf small = BUF(1024), big = BUF(65536), b = BUF(65536);
    uint8_t value[5000];
    struct entry entries[ENTRIES];
    struct chunk_id xattrs;
    struct manifest_root root;
    struct vectors v;
    char name[64];

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_READER);
    n.keys = k;
    fill(value, 0, sizeof value);
    entry_xattr_put(&small, SLICE("user.a"), SLICE("one"));
    entry_xattr_put(&small, SLICE("user.b"), SLICE(""));
    entry_xattr_put(&big, SLICE("user.big"), slice_of(value, sizeof value));
    fixed_entries(entries, buf_slice(&small), buf_slice(&big));
    keys_chunk_id(k, KIND_XATTRS, buf_slice(&big), &xattrs);

    vectors_open(&v, "tests/vectors/manifest.txt");
    note(&v, "attributes user.a = \"one\" and user.b empty");
    check(&v, "xattrs", buf_slice(&small));
    note(&v, "the entries of the leaf below, each as if alone in one, without its path");
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry_context c = { .last = { { 0 } } };
        buf_clear(&b);
        entry_put(&b, &c, &entries[i], i == ENTRIES - 1 ? &xattrs : NULL);
        snprintf(name, sizeof name, "entry.%02zu", i);
        check(&v, name, buf_slice(&b));
    }
    note(&v, "a leaf; the attributes of its last entry are a chunk of kind 5");
    write_manifest(&n, entries, ENTRIES, &root);
    assert_int_equal(root.level, 0);
    check(&v, "manifest.leaf", last_node(&n));
    check(&v, "manifest.leaf.id", slice_of(root.id.bytes, sizeof root.id.bytes));
    read_back(&n, &root, entries, ENTRIES);
    nodes_release(&n);
    note(&v, "the root, of level 1, of 2000 files f0000 .. f1999 of 1 byte");
    check_inner_node(&v, &n);
    note(&v, "no entries at all");
    write_manifest(&n, NULL, 0, &root);
    check(&v, "manifest.empty", last_node(&n));
    nodes_release(&n);
    vectors_close(&v);
}

struct sum {
    size_t count;
    uint64_t len;
};

static int
add_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct sum *s = arg;

    (void)e;
    assert_true(at == s->len);
    s->count++;
    s->len += x->len;
    return 0;
}

/* A tree of `count` extents; every seventh is a hole. Its root is last. */
static void
write_extents(struct nodes *n, size_t count)
{
    CLEANUP(extent_writer_free_p) struct extent_writer *w =
        extent_writer_new(store_node, n);
    struct entry en = { .type = ENTRY_FILE, .tree = true, .extent_count = 1 };
    struct sum sum = { 0 };
    struct err e = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct extent x = extent_of(i % 7 == 6 ? 0 : 0x77, (uint32_t)i, 4096 + i);
        if (i % 7 == 6)
            x.offset = 0;
        assert_int_equal(extent_add(w, &x, &e), 0);
        en.size += x.len;
    }
    assert_int_equal(extent_finish(w, &en.extents[0].id, &e), 0);
    en.extents[0].len = en.size;
    assert_int_equal(extent_each(&en, load_node, n, add_extent, &sum, &e), 0);
    assert_true(sum.count == count && sum.len == en.size);
}

static void
extent_trees(void **state)
{
    struct nodes n = { .count = 0 };
    struct vectors v;

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_READER);
    n.keys = k;
    vectors_open(&v, "tests/vectors/extents.txt");
    note(&v, "9 extents: number i of 4096 + i bytes at i of the chunk 77 78 ..; 6 is\n"
             "# a hole");
    write_extents(&n, 9);
    assert_int_equal(n.count, 1);
    check(&v, "extents.leaf", last_node(&n));
    nodes_release(&n);
    note(&v, "the root of 3000 such extents, every seventh a hole, and its id");
    write_extents(&n, 3000);
    assert_true(n.count > 2);
    check(&v, "extents.inner", last_node(&n));
    check(&v, "extents.inner.id", slice_of(n.at[n.count - 1].id.bytes, 32));
    nodes_release(&n);
    vectors_close(&v);
}

/* Signed objects. */

static bool
who(void *arg, const uint8_t signer[ID_LEN], uint8_t pub[KEY_LEN])
{
    uint8_t id[ID_LEN], seed[SEED_LEN];

    (void)arg;
    fill(id, HOST_ID, sizeof id);
    fill(seed, HOST_SEED, sizeof seed);
    sign_public(pub, seed);
    return memcmp(id, signer, ID_LEN) == 0;
}

static void
check_snapshot(const struct keys *k, struct slice object)
{
    struct snapshot s = { .seq = 0 };
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;
    struct err e = { 0 };

    assert_int_equal(signed_open(object, OBJECT_SNAP, k->repo_id, who, NULL, &h, signer,
                                 &body, &e), 0);
    assert_int_equal(snapshot_parse(k, slice_sub(object, 0, HEADER_LEN), body, &s, &e),
                     0);
    assert_string_equal(s.source, "home");
    assert_string_equal(s.host, "alpha");
    assert_string_equal(s.tags[1], "two");
    assert_true(s.seq == 42 && s.root.level == 1 && s.root.entries == 2000
                && s.started.s == 1700000000 && s.started.ns == 7
                && s.ended.s == 1700000060
                && s.flags == 0 && s.issues == 1 && s.added == 4096 && s.tag_count == 2);
    snapshot_release(&s);
}

static int
feed(void *arg, struct slice plain, struct err *e)
{
    (void)e;
    sha256_feed(arg, plain);
    return 0;
}

static void
check_log(struct vectors *v, struct keys *k)
{
    struct host host = { .name = "alpha" };
    uint8_t seed[SEED_LEN], want[32], have[32];
    struct repo r = { .keys = k, .hosts = &host, .host_count = 1, .host_seed = seed };
    struct log_info info = { .kind = LOG_POSTGRES, .system = "7000000000000000001",
                             .file = "00000002000000000000000A.partial",
                             .unit = LOG_PIECE, .time = { 1700000000, 7 } };
    CLEANUP(sha256_free_p) struct sha256 *hash = sha256_new();
    AUTOFREE uint8_t *zeros = mem_zalloc(LOG_PIECE);
    struct log_info out;
    struct log_writer w;
    struct err e = { 0 };

    fill(seed, HOST_SEED, sizeof seed);
    fill(host.id, HOST_ID, ID_LEN);
    fill(r.host_id, HOST_ID, ID_LEN);
    sign_public(host.pub, seed);
    log_writer_init(&w, &r);
    log_begin(&w);
    log_add(&w, slice_of(zeros, LOG_PIECE));
    log_add(&w, SLICE("log"));
    log_end(&w, &r, &info);
    sample(v, "log", &w.object);
    assert_int_equal(log_open(&r, buf_slice(&w.object), &w.tools, &out, feed, hash,
                              &e), 0);
    sha256_end(hash, have);
    sha256_reset(hash);
    sha256_feed(hash, slice_of(zeros, LOG_PIECE));
    sha256_feed(hash, SLICE("log"));
    sha256_end(hash, want);
    assert_memory_equal(have, want, 32);
    assert_string_equal(out.file, info.file);
    assert_string_equal(out.system, info.system);
    assert_memory_equal(out.content, info.content, 32);
    assert_true(out.size == LOG_PIECE + 3 && out.unit == LOG_PIECE
                && out.time.s == 1700000000 && out.time.ns == 7);
    log_writer_release(&w);
}

static void
snapshots_and_commit_records(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    struct header h = { .type = OBJECT_DONE };
    struct snapshot s = { .seq = 42, .source = mem_strdup("home"),
                          .kind = mem_strdup("files"), .host = mem_strdup("alpha"),
                          .identity = mem_strdup("ef53-1"),
                          .version = mem_strdup("0.1.0"),
                          .started = { 1700000000, 7 }, .ended = { 1700000060, 8 },
                          .root = { .level = 1, .entries = 2000, .bytes = 2000 },
                          .issues = 1, .added = 4096,
                          .tags = { mem_strdup("one"), mem_strdup("two") },
                          .tag_count = 2, .config = BUF(64) };
    char snap[] = "snap/0011223344556677/0000000042-"
                  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    uint8_t seed[SEED_LEN], host[ID_LEN], target[ID_LEN];
    struct vectors v;

    (void)state;
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_READER);
    fill(seed, HOST_SEED, sizeof seed);
    fill(host, HOST_ID, sizeof host);
    fill(target, 0x66, sizeof target);
    memcpy(s.host_id, host, ID_LEN);
    fill(s.root.id.bytes, 0x99, 32);
    fill(s.conf_head, 0xaa, 32);
    buf_put_str(&s.config, "sources: {}\n");

    vectors_open(&v, "tests/vectors/objects.txt");
    CLEANUP(session_free_p) struct session *session = fixed_session(k);
    note(&v, "session keys as in chunks.txt, session id 90 91 ..:\n"
             "# a snapshot of the host a0 a1 .., number 42, signed with b0 b1 ..");
    snapshot_format(k, session, &s, seed, &object);
    sample(&v, "snapshot", &object);
    check_snapshot(k, buf_slice(&object));
    snapshot_release(&s);

    note(&v, "done/ of the target 66 67 .. for that name, at 1700000000, by that host");
    check(&v, "done.snapshot", slice_str(snap));
    buf_clear(&object);
    memcpy(h.repo, k->repo_id, ID_LEN);
    header_put(&object, &h);
    record_put(&object, 1, slice_of(target, sizeof target));
    record_put_str(&object, 2, snap);
    record_put_u64(&object, 3, 1700000000);
    signed_end(&object, OBJECT_DONE, host, seed);
    check(&v, "done", buf_slice(&object));

    note(&v, "by that host: the file 00000002000000000000000A.partial of the system\n"
             "# 7000000000000000001, segments of 1 MiB, at 1700000000.000000007: 1 MiB\n"
             "# of zeros, then \"log\"");
    check_log(&v, k);
    vectors_close(&v);
}

/* The host a0 a1 .., behind one record and beside another. */
static void
put_conf_record(struct buf *rec)
{
    uint8_t seed[SEED_LEN], id[ID_LEN], pub[KEY_LEN], hash[32];

    fill(seed, HOST_SEED, sizeof seed);
    fill(id, HOST_ID, sizeof id);
    sign_public(pub, seed);
    record_put_u64(rec, 1, 2);
    fill(hash, 0xe0, sizeof hash);
    record_put(rec, 2, slice_of(hash, sizeof hash));
    record_put_u64(rec, 3, 1700000000);
    size_t at = record_begin(rec, 4);
    record_put(rec, 1, slice_of(id, sizeof id));
    record_put(rec, 2, slice_of(pub, sizeof pub));
    record_put_str(rec, 3, "alpha");
    record_end(rec, at);
    fill(hash, 0x0e, sizeof hash);
    record_put(rec, 6, slice_of(hash, sizeof hash));
}

static void
configuration_records(void **state)
{
    AUTOBUF struct buf rec = BUF(1000), object = BUF(CONF_OBJECT_MAX);
    CLEANUP(keys_free_p) struct keys *k = fixed_keys(ROLE_ADMIN);
    struct repo r = { .keys = k };
    uint8_t nonce[NONCE_LEN];
    struct err e = { 0 };
    struct vectors v;

    (void)state;
    fill(nonce, NONCE, sizeof nonce);
    put_conf_record(&rec);
    vectors_open(&v, "tests/vectors/conf.txt");
    note(&v, "number 2 behind e0 e1 .., at 1700000000: the host a0 a1 .., \"alpha\"; "
             "also seen\n# 0e 0f .. (tag 6)");
    check(&v, "conf.record", buf_slice(&rec));
    note(&v, "the object, locked with the nonce d0 d1 ..");
    conf_seal(k, nonce, buf_slice(&rec), &object);
    check(&v, "conf", buf_slice(&object));
    assert_int_equal(conf_take(&r, buf_slice(&object), &e), 1);
    assert_int_equal(conf_take(&r, buf_slice(&object), &e), 0);
    assert_int_equal(r.record_count, 1);
    conf_release(&r);
    vectors_close(&v);
}

static int
begin(void **state)
{
    (void)state;
    crypto_init();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_records_and_the_header),
        cmocka_unit_test(keys_and_what_is_derived_from_them),
        cmocka_unit_test(ids_and_names),
        cmocka_unit_test(bundles_slots_and_secrets),
        cmocka_unit_test(chunks_are_sealed_and_opened),
        cmocka_unit_test(packs_whole_and_padded),
        cmocka_unit_test(entries_and_the_manifest),
        cmocka_unit_test(extent_trees),
        cmocka_unit_test(snapshots_and_commit_records),
        cmocka_unit_test(configuration_records),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
