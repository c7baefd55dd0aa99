#include "repo/pack.h"
#include "base/crc32c.h"
#include "base/fs.h"

#include "scribe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY_UNIT 1024 /* sealed directories tell their length only so finely */

struct pack_writer {
    const struct keys *keys;
    struct pack_scribe *scribe;
    struct scribed file;
    char *path;
    uint8_t *window;
    size_t filled;
    uint64_t size; /* bytes so far, those in the window included */
    struct sha256 *hash;
    uint8_t head[PACK_BODY];
    enum chunk_class class;
    struct chunk_key keys_used[255];
    uint32_t key_count, chunk_count;
    struct buf records;
};

static enum object_type type_of(enum chunk_class class)
{
    return class == CLASS_DATA ? OBJECT_DATA : OBJECT_META;
}

static int
flush(struct pack_writer *w, struct err *e)
{
    size_t n = w->filled;

    sha256_feed(w->hash, slice_of(w->window, n));
    w->filled = 0;
    return scribe_write(w->scribe, &w->file, &w->window, n, w->size - n, e);
}

static int
append(struct pack_writer *w, struct slice s, struct err *e)
{
    while (s.len > 0) {
        size_t room = SCRIBE_WINDOW - w->filled, n = room < s.len ? room : s.len;
        memcpy(w->window + w->filled, s.ptr, n);
        w->filled += n;
        w->size += n;
        s = slice_sub(s, n, s.len - n);
        if (w->filled == SCRIBE_WINDOW && flush(w, e) < 0)
            return -1;
    }
    return 0;
}

int
pack_begin(const struct keys *k, enum chunk_class class, const uint8_t session[ID_LEN],
           struct random *rnd, struct pack_scribe *scribe, char *path,
           struct pack_writer **out, struct err *e)
{
    struct header h = { .type = type_of(class), .group = k->group };
    AUTOBUF struct buf head = BUF(PACK_BODY);
    CLEANUP(pack_abort_p) struct pack_writer *w = mem_zalloc(sizeof *w);

    w->keys = k;
    w->class = class;
    w->scribe = scribe;
    w->path = path;
    w->records = BUF(PACK_DIRECTORY_MAX);
    w->window = scribe_window(scribe);
    w->hash = sha256_new();
    w->file = (struct scribed){ .direct = true, .path = path };
    w->file.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
    if (w->file.fd < 0 && errno == EINVAL) { /* a file system without O_DIRECT */
        w->file.direct = false;
        w->file.fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    }
    if (w->file.fd < 0)
        return err_sys(e, errno, "creating %s", path);
    memcpy(h.repo, k->repo_id, ID_LEN);
    memcpy(h.session, session, ID_LEN);
    header_put(&head, &h);
    random_bytes(rnd, w->head + HEADER_LEN, 16);
    memcpy(w->head, head.ptr, HEADER_LEN);
    if (append(w, slice_of(w->head, sizeof w->head), e) < 0)
        return -1;
    *out = TAKE(w);
    return 0;
}

/* The number of `key` in the key table, added when it is new. */
static uint8_t
key_number(struct pack_writer *w, const struct chunk_key *key)
{
    for (uint32_t i = 0; i < w->key_count; i++)
        if (memcmp(w->keys_used[i].sealed, key->sealed, sizeof key->sealed) == 0)
            return (uint8_t)i;
    assert(w->key_count < COUNT_OF(w->keys_used));
    w->keys_used[w->key_count] = *key;
    return (uint8_t)w->key_count++;
}

int
pack_add(struct pack_writer *w, struct chunk_record *rec, const struct chunk_key *key,
         struct slice sealed, struct err *e)
{
    assert(key->class == w->class && sealed.len == rec->stored);
    rec->offset = (uint32_t)w->size;
    rec->key = key_number(w, key);
    if (append(w, sealed, e) < 0)
        return -1;
    buf_put(&w->records, rec->id.bytes, 32);
    buf_put_u32(&w->records, rec->counter);
    buf_put_u32(&w->records, rec->offset);
    buf_put_u32(&w->records, rec->stored);
    buf_put_u32(&w->records, rec->raw);
    buf_put_u8(&w->records, rec->key);
    buf_put_u8(&w->records, rec->encoding);
    buf_put_u8(&w->records, rec->kind);
    buf_put_u8(&w->records, 0);
    w->chunk_count++;
    return 0;
}

uint64_t
pack_size(const struct pack_writer *w)
{
    return w->size;
}

unsigned
pack_count(const struct pack_writer *w)
{
    return w->chunk_count;
}

/* Padme (Nikitin et al., PETS 2019): lengths keep only the highest log2 log2
 * bits below their first, so they tell little and cost at most 12 %. */
static uint64_t
padme(uint64_t len)
{
    if (len < 2)
        return len;
    unsigned e = 63 - (unsigned)__builtin_clzll(len);
    unsigned s = e ? 32 - (unsigned)__builtin_clz(e) : 0;
    uint64_t mask = e > s ? ((uint64_t)1 << (e - s)) - 1 : 0;
    return (len + mask) & ~mask;
}

static int
append_zero(struct pack_writer *w, uint64_t len, struct err *e)
{
    static const uint8_t zero[4096];

    while (len > 0) {
        size_t n = len < sizeof zero ? (size_t)len : sizeof zero;
        if (append(w, slice_of(zero, n), e) < 0)
            return -1;
        len -= n;
    }
    return 0;
}

static void
put_directory(const struct pack_writer *w, struct buf *out)
{
    buf_put_u32(out, w->key_count);
    buf_put_u32(out, w->chunk_count);
    for (uint32_t i = 0; i < w->key_count; i++)
        chunk_key_put(out, &w->keys_used[i]);
    buf_put_slice(out, buf_slice(&w->records));
}

/* The key and associated data of a directory: bound to header and salt. */
static void
directory_secret(const struct keys *k, struct slice head, uint8_t key[KEY_LEN],
                 struct buf *aad)
{
    AUTOBUF struct buf info = BUF(64);

    buf_put_str(&info, "drtool-v1/directory");
    buf_put_slice(&info, slice_sub(head, HEADER_LEN, 16));
    crypto_expand32(key, &k->dir_prk, buf_slice(&info));
    buf_put_str(aad, "drtool-v1/directory");
    buf_put_slice(aad, head);
}

static int
append_directory(struct pack_writer *w, struct slice plain, struct err *e)
{
    static const uint8_t nonce[NONCE_LEN]; /* the key serves once */
    size_t padded = (plain.len + DIRECTORY_UNIT - 1) / DIRECTORY_UNIT * DIRECTORY_UNIT;
    AUTOBUF struct buf wide = BUF(padded), aad = BUF(256);
    AUTOBUF struct buf sealed = BUF(padded + NONCE_LEN + TAG_LEN), footer = BUF(64);
    uint8_t key[KEY_LEN];

    buf_put_slice(&wide, plain);
    buf_put_zero(&wide, padded - plain.len);
    directory_secret(w->keys, slice_of(w->head, sizeof w->head), key, &aad);
    crypto_lock(&sealed, key, nonce, buf_slice(&aad), buf_slice(&wide));
    crypto_wipe(key, sizeof key);
    buf_put(&footer, w->head + HEADER_LEN, 16);
    buf_put_u64(&footer, w->size);
    buf_put_u32(&footer, (uint32_t)sealed.len);
    buf_put_zero(&footer, 16);
    buf_put_u32(&footer, crc32c(buf_slice(&footer)));
    assert(footer.len == PACK_FOOTER);
    if (append(w, buf_slice(&sealed), e) < 0 || append(w, buf_slice(&footer), e) < 0)
        return -1;
    return w->filled ? flush(w, e) : 0;
}

int
pack_finish(struct pack_writer *w, bool pad, struct pack_done *out, struct err *e)
{
    CLEANUP(pack_abort_p) struct pack_writer *own = w;
    struct directory parsed;

    out->directory = BUF(PACK_DIRECTORY_MAX);
    put_directory(w, &out->directory);
    if (pad) {
        uint64_t want = padme(w->size < 16384 ? 16384 : w->size);
        if (append_zero(w, want - w->size, e) < 0)
            return -1;
    }
    if (append_directory(w, buf_slice(&out->directory), e) < 0)
        return -1;
    if (scribe_wait(w->scribe, &w->file, e) < 0)
        return -1;
    if (fdatasync(w->file.fd) < 0)
        return err_sys(e, errno, "writing %s to the disk", w->path);
    sha256_end(w->hash, out->name);
    out->size = w->size;
    int rc = directory_parse(buf_slice(&out->directory), out->size, &parsed, e);
    assert(rc == 0 && parsed.chunk_count == w->chunk_count);
    out->path = TAKE(w->path); /* so that the cleanup keeps the file */
    return rc;
}

void
pack_abort(struct pack_writer *w)
{
    struct err ignored = { 0 };

    if (!w)
        return;
    (void)!scribe_wait(w->scribe, &w->file, &ignored);
    scribe_give_back(w->scribe, w->window);
    if (w->file.fd >= 0)
        close(w->file.fd);
    if (w->path)
        unlink(w->path);
    mem_free(w->path);
    sha256_free(w->hash);
    buf_release(&w->records);
    mem_free(w);
}

void
directory_key(const struct directory *d, uint32_t i, struct chunk_key *out)
{
    bool ok = chunk_key_parse(slice_sub(d->keys, (size_t)i * CHUNK_KEY_LEN,
                                        CHUNK_KEY_LEN),
                              out);
    assert(ok); /* directory_parse() saw it */
}

void
directory_chunk(const struct directory *d, uint32_t i, struct chunk_record *out)
{
    struct reader r = reader_of(
        slice_sub(d->chunks, (size_t)i * CHUNK_RECORD_LEN, CHUNK_RECORD_LEN));

    read_copy(&r, out->id.bytes, 32);
    out->counter = read_u32(&r);
    out->offset = read_u32(&r);
    out->stored = read_u32(&r);
    out->raw = read_u32(&r);
    out->key = read_u8(&r);
    out->encoding = read_u8(&r);
    out->kind = read_u8(&r);
}

/* Each chunk begins where the one before it ended, and fits its fields. */
static bool
chunks_fit(const struct directory *d, uint64_t end)
{
    uint64_t at = PACK_BODY;

    for (uint32_t i = 0; i < d->chunk_count; i++) {
        struct chunk_record c;
        directory_chunk(d, i, &c);
        if (c.offset != at || c.stored < TAG_LEN || c.stored > CHUNK_STORED_MAX
            || c.raw > CHUNK_RAW_MAX || c.key >= d->key_count
            || c.encoding > ENCODING_ZSTD || !chunk_kind_known(c.kind)
            || c.kind == KIND_LOG)
            return false;
        at += c.stored;
    }
    return at <= end;
}

int
directory_parse(struct slice plain, uint64_t size, struct directory *d, struct err *e)
{
    struct reader r = reader_of(plain);
    struct chunk_key key;

    d->key_count = read_u32(&r);
    d->chunk_count = read_u32(&r);
    if (r.bad || d->key_count > 255 || d->chunk_count > PACK_CHUNKS_MAX
        || size < PACK_BODY + PACK_FOOTER || size > PACK_MAX)
        return err_set(e, ERR_CORRUPT, 0, "a pack directory is damaged");
    d->keys = read_slice(&r, (size_t)d->key_count * CHUNK_KEY_LEN);
    d->chunks = read_slice(&r, (size_t)d->chunk_count * CHUNK_RECORD_LEN);
    d->plain = slice_of(plain.ptr, plain.len - r.left);
    bool ok = !r.bad;
    for (uint32_t i = 0; ok && i < d->key_count; i++)
        ok = chunk_key_parse(slice_sub(d->keys, (size_t)i * CHUNK_KEY_LEN, CHUNK_KEY_LEN),
                             &key);
    if (!ok || !chunks_fit(d, size - PACK_FOOTER))
        return err_set(e, ERR_CORRUPT, 0, "a pack directory is damaged");
    return 0;
}

int
pack_tail(struct slice footer, uint64_t size, uint64_t *at, struct err *e)
{
    if (footer.len != PACK_FOOTER || size < PACK_BODY + PACK_FOOTER || size > PACK_MAX
        || get_u32(footer.ptr + 44) != crc32c(slice_of(footer.ptr, 44)))
        return err_set(e, ERR_CORRUPT, 0, "the end of a pack is damaged");
    *at = get_u64(footer.ptr + 16);
    uint32_t len = get_u32(footer.ptr + 24);
    if (*at < PACK_BODY || len > PACK_DIRECTORY_MAX || *at > size
        || *at + len + PACK_FOOTER != size)
        return err_set(e, ERR_CORRUPT, 0, "the end of a pack is damaged");
    return 0;
}

int
pack_open_directory(const struct keys *k, struct slice head, struct slice tail,
                    uint64_t size, struct buf *plain, struct directory *out,
                    struct err *e)
{
    AUTOBUF struct buf aad = BUF(256);
    uint8_t key[KEY_LEN];
    uint64_t at = 0;
    struct header h;
    size_t before = plain->len;

    if (head.len != PACK_BODY || tail.len < PACK_FOOTER)
        return err_set(e, ERR_CORRUPT, 0, "a pack is cut short");
    enum object_type type = head.ptr[8] == OBJECT_META ? OBJECT_META : OBJECT_DATA;
    struct slice footer = slice_sub(tail, tail.len - PACK_FOOTER, PACK_FOOTER);
    if (header_parse(head, type, k->repo_id, &h, e) < 0
        || pack_tail(footer, size, &at, e) < 0)
        return -1;
    if (at + tail.len != size || memcmp(footer.ptr, head.ptr + HEADER_LEN, 16) != 0)
        return err_set(e, ERR_CORRUPT, 0,
                       "the two ends of a pack do not belong together");
    directory_secret(k, head, key, &aad);
    int rc = crypto_unlock(plain, key, buf_slice(&aad),
                           slice_sub(tail, 0, tail.len - PACK_FOOTER), e);
    crypto_wipe(key, sizeof key);
    if (rc < 0)
        return -1;
    return directory_parse(slice_of(plain->ptr + before, plain->len - before), size, out,
                           e);
}
