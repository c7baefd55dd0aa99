#include "repo/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* drtool-format(5) LOGS. */
enum tag {
    TAG_KIND = 1,
    TAG_SYSTEM = 2,
    TAG_FILE = 3,
    TAG_SIZE = 4,
    TAG_TIME = 5,
    TAG_CONTENT = 6,
    TAG_UNIT = 7,
    TAG_KEY = 8,
    TAG_PIECE = 9, /* repeated */
};

#define PIECE_LEN 48
#define PIECES_MAX (LOG_FILE_MAX / LOG_PIECE)
#define LOG_RECORD_MAX ((size_t)8 << 10)

void
log_key(char out[LOG_KEY_MAX + 1], const struct log_name *n)
{
    char hex[65];

    text_hex(hex, n->sha256, 32);
    snprintf(out, LOG_KEY_MAX + 1, "log/%s/%08x/%s-%s", n->stream, n->timeline, n->pos,
             hex);
}

bool
log_name(struct log_name *out, const char *key)
{
    char back[LOG_KEY_MAX + 1];
    size_t len = strlen(key), pos = 4 + 16 + 1 + 8 + 1;
    uint8_t stream[8], timeline[4];
    char digits[9];

    if (strncmp(key, "log/", 4) != 0 || len < pos + 1 + 1 + 64 || len > LOG_KEY_MAX)
        return false;
    *out = (struct log_name){ 0 };
    memcpy(out->stream, key + 4, 16);
    memcpy(digits, key + 4 + 16 + 1, 8);
    digits[8] = 0;
    memcpy(out->pos, key + pos, len - pos - 1 - 64);
    if (!text_unhex(stream, 8, out->stream) || !text_unhex(timeline, 4, digits)
        || !text_unhex(out->sha256, 32, key + len - 64))
        return false;
    for (const char *p = out->pos; *p; p++)
        if (!isdigit((unsigned char)*p) && !islower((unsigned char)*p) && *p != '.')
            return false;
    out->timeline = (uint32_t)timeline[0] << 24 | (uint32_t)timeline[1] << 16
                  | (uint32_t)timeline[2] << 8 | timeline[3];
    log_key(back, out);
    return strcmp(back, key) == 0;
}

void
log_stream(const struct keys *k, enum log_kind kind, const char *system, char out[17])
{
    uint8_t number = (uint8_t)kind, mac[SHA256_LEN];
    struct slice parts[] = { SLICE("log"), { &number, 1 }, slice_str(system) };

    hmac_sha256(&k->name_mac, parts, COUNT_OF(parts), mac);
    text_hex(out, mac, 8);
}

void
log_content(const struct keys *k, const uint8_t sha[32], uint8_t out[32])
{
    struct slice parts[] = { SLICE("log"), { sha, 32 } };

    hmac_sha256(&k->id_mac, parts, COUNT_OF(parts), out);
}

void
log_writer_init(struct log_writer *w, struct repo *r)
{
    *w = (struct log_writer){ .keys = r->keys,
                              .session = session_new(r->keys, &r->random),
                              .object = BUF(LOG_OBJECT_MAX),
                              .pieces = BUF(LOG_RECORD_MAX),
                              .hash = sha256_new() };
    chunk_tools_init(&w->tools, 1);
}

void
log_writer_release(struct log_writer *w)
{
    buf_release(&w->object);
    buf_release(&w->pieces);
    sha256_free(w->hash);
    session_free(w->session);
    chunk_tools_release(&w->tools);
}

void
log_begin(struct log_writer *w)
{
    struct header h = { .type = OBJECT_LOG, .group = w->keys->group };

    buf_clear(&w->object);
    buf_clear(&w->pieces);
    sha256_reset(w->hash);
    w->size = 0;
    memcpy(h.repo, w->keys->repo_id, ID_LEN);
    memcpy(h.session, w->session->id, ID_LEN);
    header_put(&w->object, &h);
}

void
log_add(struct log_writer *w, struct slice piece)
{
    struct chunk_record rec;
    struct chunk_id id;
    uint8_t p[PIECE_LEN] = { 0 };

    assert(piece.len > 0 && piece.len <= LOG_PIECE);
    assert(w->size + piece.len <= LOG_FILE_MAX);
    sha256_feed(w->hash, piece);
    w->size += piece.len;
    keys_chunk_id(w->keys, KIND_LOG, piece, &id);
    uint8_t *room = buf_room(&w->object, chunk_room(piece.len));
    chunk_seal(&w->tools, w->keys, w->session, KIND_LOG, &id, w->counter++, piece, false,
               room, &rec);
    w->object.len += rec.stored;
    memcpy(p, rec.id.bytes, 32);
    put_u32(p + 32, rec.counter);
    put_u32(p + 36, rec.stored);
    put_u32(p + 40, rec.raw);
    p[44] = rec.encoding;
    record_put(&w->pieces, TAG_PIECE, slice_of(p, sizeof p));
}

void
log_end(struct log_writer *w, struct repo *r, struct log_info *info)
{
    AUTOBUF struct buf rec = BUF(LOG_RECORD_MAX), key = BUF(CHUNK_KEY_LEN),
                       aad = BUF(256);
    uint8_t when[12], nonce[NONCE_LEN];

    sha256_end(w->hash, w->sha256);
    info->size = w->size;
    log_content(w->keys, w->sha256, info->content);
    chunk_key_put(&key, &w->session->key[CLASS_DATA]);
    put_u64(when, (uint64_t)info->time.s);
    put_u32(when + 8, (uint32_t)info->time.ns);
    record_put_u64(&rec, TAG_KIND, info->kind);
    record_put_str(&rec, TAG_SYSTEM, info->system);
    record_put_str(&rec, TAG_FILE, info->file);
    record_put_u64(&rec, TAG_SIZE, info->size);
    record_put(&rec, TAG_TIME, slice_of(when, sizeof when));
    record_put(&rec, TAG_CONTENT, slice_of(info->content, 32));
    record_put_u64(&rec, TAG_UNIT, info->unit);
    record_put(&rec, TAG_KEY, buf_slice(&key));
    buf_put_slice(&rec, buf_slice(&w->pieces));

    size_t at = w->object.len;
    signed_associated(&aad, OBJECT_LOG, buf_slice(&w->object));
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&w->object, w->keys->log_key, nonce, buf_slice(&aad), buf_slice(&rec));
    buf_put_u32(&w->object, (uint32_t)(w->object.len - at));
    signed_end(&w->object, OBJECT_LOG, r->host_id, r->host_seed);
}

static bool
take_text(struct slice rec, uint16_t tag, char *out, size_t room)
{
    struct slice v = record_get(rec, tag);

    if (v.len == 0 || v.len >= room || memchr(v.ptr, 0, v.len))
        return false;
    memcpy(out, v.ptr, v.len);
    out[v.len] = 0;
    return true;
}

static int
take_info(struct slice rec, struct log_info *out, struct err *e)
{
    uint8_t when[12];

    *out = (struct log_info){ .kind = (enum log_kind)record_u64(rec, TAG_KIND),
                              .size = record_u64(rec, TAG_SIZE),
                              .unit = record_u64(rec, TAG_UNIT) };
    if (!record_valid(rec) || !take_text(rec, TAG_SYSTEM, out->system, 33)
        || !take_text(rec, TAG_FILE, out->file, 65)
        || !record_copy(rec, TAG_TIME, when, sizeof when)
        || !record_copy(rec, TAG_CONTENT, out->content, 32) || out->size > LOG_FILE_MAX)
        return err_set(e, ERR_CORRUPT, 0, "the record of a log is malformed");
    if (out->kind != LOG_POSTGRES)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "the log is of a kind that this drtool "
                       "does not know");
    out->time = (struct clock_time){ (int64_t)get_u64(when), (int32_t)get_u32(when + 8) };
    return 0;
}

/* Unlocks the record that ends where signer and signature begin. *before: the bytes
 * from its begin to the end of the object. */
static int
open_record(const struct keys *k, struct slice head, struct slice tail, struct buf *rec,
            size_t *before, struct err *e)
{
    AUTOBUF struct buf aad = BUF(256);

    if (head.len < HEADER_LEN || tail.len < SIGNED_TAIL + 4)
        return err_set(e, ERR_CORRUPT, 0, "it is cut short");
    size_t end = tail.len - SIGNED_TAIL - 4;
    size_t len = get_u32(tail.ptr + end);
    if (len > end || len > LOG_RECORD_MAX + NONCE_LEN + TAG_LEN)
        return err_set(e, ERR_CORRUPT, 0, "its record has %zu bytes", len);
    signed_associated(&aad, OBJECT_LOG, head);
    *before = len + 4 + SIGNED_TAIL;
    return crypto_unlock(rec, k->log_key, buf_slice(&aad),
                         slice_sub(tail, end - len, len), e);
}

int
log_peek(const struct keys *k, struct slice head, struct slice tail, struct log_info *out,
         struct err *e)
{
    AUTOBUF struct buf rec = BUF(LOG_RECORD_MAX);
    struct header h;
    size_t before;

    return header_parse(head, OBJECT_LOG, k->repo_id, &h, e) < 0
                || open_record(k, head, tail, &rec, &before, e) < 0
             ? -1
             : take_info(buf_slice(&rec), out, e);
}

/* What the pieces are opened with. */
struct opening {
    const struct keys *keys;
    struct chunk_tools *tools;
    enum suite suite;
    struct hmac_key prk;
    struct sha256 *hash;
    uint64_t size;
    log_piece_fn *fn;
    void *arg;
};

static int
open_piece(struct opening *o, const struct chunk_record *rec, struct slice sealed,
           struct err *e)
{
    AUTOBUF struct buf plain = BUF(LOG_PIECE);
    uint8_t *room = buf_room(&plain, LOG_PIECE);

    if (chunk_open(o->tools, o->keys, o->suite, &o->prk, rec, sealed, room, e) < 0)
        return -1;
    struct slice piece = slice_of(room, rec->raw);
    sha256_feed(o->hash, piece);
    o->size += piece.len;
    return o->fn ? o->fn(o->arg, piece, e) : 0;
}

static int
open_pieces(struct opening *o, struct slice rec, struct slice sealed, struct err *e)
{
    struct reader r = reader_of(rec);
    struct slice v;
    uint16_t tag;
    size_t at = 0;

    while (record_next(&r, &tag, &v)) {
        if (tag != TAG_PIECE)
            continue;
        struct chunk_record c = { .kind = KIND_LOG };
        if (v.len != PIECE_LEN)
            return err_set(e, ERR_CORRUPT, 0, "the record of a log is malformed");
        memcpy(c.id.bytes, v.ptr, 32);
        c.counter = get_u32(v.ptr + 32);
        c.stored = get_u32(v.ptr + 36);
        c.raw = get_u32(v.ptr + 40);
        c.encoding = v.ptr[44];
        if (c.raw > LOG_PIECE || c.stored > sealed.len - at || c.stored < TAG_LEN)
            return err_set(e, ERR_CORRUPT, 0, "the lengths of a log do not fit");
        if (open_piece(o, &c, slice_sub(sealed, at, c.stored), e) < 0)
            return -1;
        at += c.stored;
    }
    return at == sealed.len ? 0
                            : err_set(e, ERR_CORRUPT, 0, "a log has bytes of no piece");
}

static int
check_whole(struct opening *o, const struct log_info *info, struct err *e)
{
    uint8_t sha[32], content[32];

    sha256_end(o->hash, sha);
    log_content(o->keys, sha, content);
    return o->size == info->size && memcmp(content, info->content, 32) == 0
             ? 0
             : err_set(e, ERR_CORRUPT, 0, "a log is not what its record says");
}

/* Signature and record. *sealed: the pieces; *before: see open_record(). */
static int
look(struct repo *r, struct slice object, struct buf *rec, struct slice *sealed,
     struct log_info *out, struct err *e)
{
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;
    size_t before;

    if (signed_open(object, OBJECT_LOG, r->keys->repo_id, repo_signer, r, &h, signer,
                    &body, e)
            < 0
        || open_record(r->keys, object, object, rec, &before, e) < 0
        || take_info(buf_slice(rec), out, e) < 0)
        return -1;
    if (before > body.len + SIGNED_TAIL)
        return err_set(e, ERR_CORRUPT, 0, "the record of a log is malformed");
    *sealed = slice_sub(body, 0, body.len + SIGNED_TAIL - before);
    return 0;
}

int
log_look(struct repo *r, struct slice object, struct log_info *out, struct err *e)
{
    AUTOBUF struct buf rec = BUF(LOG_RECORD_MAX);
    struct slice sealed;

    return look(r, object, &rec, &sealed, out, e);
}

int
log_open(struct repo *r, struct slice object, struct chunk_tools *t, struct log_info *out,
         log_piece_fn *fn, void *arg, struct err *e)
{
    AUTOBUF struct buf rec = BUF(LOG_RECORD_MAX);
    CLEANUP(sha256_free_p) struct sha256 *hash = sha256_new();
    struct opening o = {
        .keys = r->keys, .tools = t, .hash = hash, .fn = fn, .arg = arg
    };
    struct chunk_key key;
    struct slice sealed;

    if (look(r, object, &rec, &sealed, out, e) < 0)
        return -1;
    if (!chunk_key_parse(record_get(buf_slice(&rec), TAG_KEY), &key)
        || key.class != CLASS_DATA)
        return err_set(e, ERR_CORRUPT, 0, "the record of a log is malformed");
    if (chunk_key_open(r->keys, &key, &o.prk, e) < 0)
        return -1;
    o.suite = key.suite;
    int rc = open_pieces(&o, buf_slice(&rec), sealed, e);
    crypto_wipe(&o.prk, sizeof o.prk);
    return rc < 0 ? -1 : check_whole(&o, out, e);
}

static int
check_name(void *arg, struct slice object, struct err *e)
{
    return format_hash_fits(arg, object)
             ? 0
             : err_set(e, ERR_CORRUPT, 0, "its bytes do not fit its name");
}

int
log_get(struct repo *r, const char *key, struct buf *out, struct err *e)
{
    AUTOFREE char *name = mem_strdup(key);
    struct range range = { .key = key };

    return fleet_get(r->fleet, NULL, &range, check_name, name, out, e);
}

int
log_check(struct repo *r, const char *key, struct slice object, struct chunk_tools *t,
          struct log_info *out, struct err *e)
{
    AUTOFREE char *name = mem_strdup(key);

    if (check_name(name, object, e) < 0)
        return -1;
    return keys_can_open(r->keys, CLASS_DATA) ? log_open(r, object, t, out, NULL, NULL, e)
                                              : log_look(r, object, out, e);
}
