#include "support/fixture.h"
#include "base/crc32c.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A pack of some chunks, written to a file and read back. */
struct bench {
    struct folder folder;
    struct keys *keys;
    struct random random;
    struct session *session;
    struct pack_scribe *scribe; /* NULL, unless a test makes one */
    struct pack_done done;
    struct buf bytes;
};

static void
bench_init(struct bench *b)
{
    *b = (struct bench){ .random = { .seed = 9 }, .bytes = BUF(PACK_MAX) };
    crypto_init();
    folder_make(&b->folder);
    b->keys = keys_new();
    keys_generate(b->keys);
    b->session = session_new(b->keys, &b->random);
}

static void
bench_release(struct bench *b)
{
    pack_scribe_free(b->scribe);
    folder_remove(&b->folder);
    session_free(b->session);
    keys_free(b->keys);
    mem_free(b->done.path);
    buf_release(&b->done.directory);
    buf_release(&b->bytes);
}

#define BENCH(name)                           \
    CLEANUP(bench_release) struct bench name; \
    bench_init(&name)

/* A record as chunk_seal() would fill it, for `len` sealed bytes. */
static struct chunk_record
record(uint32_t number, size_t len)
{
    struct chunk_record r = { .counter = number,
                              .stored = (uint32_t)len,
                              .raw = (uint32_t)len,
                              .encoding = ENCODING_ZSTD,
                              .kind = KIND_FILE };

    fill_bytes(r.id.bytes, 32, number + 1);
    return r;
}

static void
write_pack(struct bench *b, const size_t *lengths, size_t n, bool pad)
{
    static uint8_t noise[3 << 20];
    CLEANUP(pack_abort_p) struct pack_writer *w = NULL;
    struct err e = { 0 };

    mem_free(b->done.path);
    buf_release(&b->done.directory);
    buf_clear(&b->bytes);
    assert_ok(pack_begin(b->keys, CLASS_DATA, b->session->id, &b->random, b->scribe,
                         mem_printf("%s/pack-%llu", b->folder.path,
                                    (unsigned long long)b->random.counter),
                         &w, &e),
              &e);
    for (size_t i = 0; i < n; i++) {
        struct chunk_record rec = record((uint32_t)i, lengths[i]);
        fill_bytes(noise, lengths[i], i + 1);
        assert_ok(pack_add(w, &rec, &b->session->key[CLASS_DATA],
                           slice_of(noise, lengths[i]), &e),
                  &e);
        assert_int_equal(pack_count(w), i + 1);
        assert_true(pack_size(w) == (uint64_t)rec.offset + rec.stored);
    }
    assert_ok(pack_finish(TAKE(w), pad, &b->done, &e), &e);
    assert_ok(fs_read(b->done.path, PACK_MAX, &b->bytes, &e), &e);
}

/* Opens the directory of a whole pack in memory, as readers do. */
static int
open_pack(void *arg, struct slice p, struct err *e)
{
    struct bench *b = arg;
    AUTOBUF struct buf plain = BUF(PACK_DIRECTORY_MAX + 4096);
    struct directory d;
    uint64_t at;

    if (p.len < PACK_BODY + PACK_FOOTER)
        return err_set(e, ERR_CORRUPT, 0, "short");
    if (pack_tail(slice_sub(p, p.len - PACK_FOOTER, PACK_FOOTER), p.len, &at, e) < 0)
        return -1;
    return pack_open_directory(b->keys, slice_sub(p, 0, PACK_BODY),
                               slice_sub(p, (size_t)at, p.len - (size_t)at), p.len,
                               &plain, &d, e);
}

static void
the_chunks_of_a_pack_lie_where_its_directory_says(void **state)
{
    static const size_t lengths[] = { 17, 4096, 1, 70000, (1 << 20) + 1, 16, 2 << 20 };
    AUTOBUF struct buf plain = BUF(PACK_DIRECTORY_MAX);
    struct err e = { 0 };
    struct directory d;
    uint8_t sha[32];
    uint64_t at;
    BENCH(b);

    (void)state;
    size_t sizes[COUNT_OF(lengths)];
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        sizes[i] = lengths[i] < TAG_LEN ? TAG_LEN : lengths[i];
    write_pack(&b, sizes, COUNT_OF(sizes), false);
    struct slice p = buf_slice(&b.bytes);
    assert_int_equal(p.len, b.done.size);
    sha256(p, sha);
    assert_memory_equal(sha, b.done.name, 32);
    assert_ok(pack_tail(slice_sub(p, p.len - PACK_FOOTER, PACK_FOOTER), p.len, &at, &e),
              &e);
    assert_ok(pack_open_directory(b.keys, slice_sub(p, 0, PACK_BODY),
                                  slice_sub(p, at, p.len - at), p.len, &plain, &d, &e),
              &e);
    assert_int_equal(d.chunk_count, COUNT_OF(sizes));
    assert_int_equal(d.key_count, 1);
    assert_true(slice_equal(d.plain, buf_slice(&b.done.directory)));
    for (uint32_t i = 0; i < d.chunk_count; i++) {
        AUTOFREE uint8_t *noise = mem_alloc(sizes[i]);
        struct chunk_record c, want = record(i, sizes[i]);
        struct chunk_key key;
        directory_chunk(&d, i, &c);
        directory_key(&d, c.key, &key);
        fill_bytes(noise, sizes[i], i + 1);
        assert_memory_equal(&c.id, &want.id, 32);
        assert_int_equal(c.counter, i);
        assert_int_equal(c.stored, sizes[i]);
        assert_int_equal(c.raw, want.raw);
        assert_int_equal(c.encoding, want.encoding);
        assert_int_equal(c.kind, KIND_FILE);
        assert_memory_equal(p.ptr + c.offset, noise, sizes[i]);
        assert_memory_equal(key.sealed, b.session->key[CLASS_DATA].sealed,
                            sizeof key.sealed);
    }
}

static void
an_empty_pack_is_a_pack(void **state)
{
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    write_pack(&b, NULL, 0, true);
    assert_ok(open_pack(&b, buf_slice(&b.bytes), &e), &e);
}

static void
many_small_chunks_fit_a_pack(void **state)
{
    size_t n = 20000;
    AUTOFREE size_t *lengths = mem_alloc(n * sizeof *lengths);
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    for (size_t i = 0; i < n; i++)
        lengths[i] = TAG_LEN + i % 7;
    write_pack(&b, lengths, n, true);
    assert_ok(open_pack(&b, buf_slice(&b.bytes), &e), &e);
}

/* The chunks are checked by their own seals; everything else is here. */
static void
a_damaged_pack_is_refused(void **state)
{
    static const size_t lengths[] = { 20 };
    AUTOBUF struct buf ends = BUF(1 << 20);
    struct err e;
    BENCH(b);

    (void)state;
    write_pack(&b, lengths, 1, false);
    struct slice p = buf_slice(&b.bytes);
    assert_int_equal(open_pack(&b, p, &e), 0);
    for (size_t i = 0; i < p.len; i++) {
        if (i >= PACK_BODY && i < PACK_BODY + 20)
            continue;
        for (int bit = 0; bit < 8; bit++) {
            e = (struct err){ 0 };
            b.bytes.ptr[i] ^= (uint8_t)(1 << bit);
            if (open_pack(&b, p, &e) == 0
                || (e.kind != ERR_CORRUPT && e.kind != ERR_FORGED))
                fail_msg("bit %d of byte %zu: %s", bit, i, err_text(&e));
            b.bytes.ptr[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t len = 0; len < p.len; len++) {
        AUTOFREE uint8_t *cut = mem_alloc(len + !len);
        memcpy(cut, p.ptr, len);
        assert_err(open_pack(&b, slice_of(cut, len), &e), &e, ERR_CORRUPT);
    }
}

/* Header and tail of two good packs do not make a good one. */
static void
the_ends_of_different_packs_do_not_fit(void **state)
{
    static const size_t lengths[] = { 100 };
    AUTOBUF struct buf mixed = BUF(1 << 20);
    struct err e;
    BENCH(b);

    (void)state;
    write_pack(&b, lengths, 1, false);
    buf_put(&mixed, b.bytes.ptr, PACK_BODY);
    write_pack(&b, lengths, 1, false);
    buf_put(&mixed, b.bytes.ptr + PACK_BODY, b.bytes.len - PACK_BODY);
    assert_err(open_pack(&b, buf_slice(&mixed), &e), &e, ERR_CORRUPT);
    /* nor with the salt of the footer made to fit */
    memcpy(mixed.ptr + mixed.len - PACK_FOOTER, mixed.ptr + HEADER_LEN, 16);
    put_u32(mixed.ptr + mixed.len - 4,
            crc32c(slice_of(mixed.ptr + mixed.len - PACK_FOOTER, PACK_FOOTER - 4)));
    assert_err(open_pack(&b, buf_slice(&mixed), &e), &e, ERR_CORRUPT);
}

/* A footer is not secret: anybody can make one with a fitting checksum. */
static void
a_footer_that_points_outside_is_refused(void **state)
{
    static const struct {
        uint64_t at;
        uint32_t len;
    } lies[] = { { 0, 100 },          { PACK_BODY - 1, 921 },
                 { UINT64_MAX, 1 },   { 900, 53 },
                 { 1000, 0 },         { UINT64_MAX - 47, 0 },
                 { 900, UINT32_MAX }, { PACK_BODY, 0 } };
    uint8_t footer[PACK_FOOTER] = { 0 };
    uint64_t at;
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        put_u64(footer + 16, lies[i].at);
        put_u32(footer + 24, lies[i].len);
        put_u32(footer + 44, crc32c(slice_of(footer, 44)));
        assert_err(pack_tail(slice_of(footer, PACK_FOOTER), 1000, &at, &e), &e,
                   ERR_CORRUPT);
    }
    put_u64(footer + 16, 900);
    put_u32(footer + 24, 52);
    put_u32(footer + 44, crc32c(slice_of(footer, 44)));
    assert_ok(pack_tail(slice_of(footer, PACK_FOOTER), 1000, &at, &e), &e);
    assert_int_equal(at, 900);
    assert_err(pack_tail(slice_of(footer, PACK_FOOTER - 1), 1000, &at, &e), &e,
               ERR_CORRUPT);
    assert_err(pack_tail(slice_of(footer, PACK_FOOTER), PACK_MAX + 1, &at, &e), &e,
               ERR_CORRUPT);
}

static void
a_pack_of_another_repository_does_not_open(void **state)
{
    static const size_t lengths[] = { 100 };
    struct err e;
    BENCH(b);

    (void)state;
    write_pack(&b, lengths, 1, false);
    b.keys->repo_id[3] ^= 4;
    assert_err(open_pack(&b, buf_slice(&b.bytes), &e), &e, ERR_FORGED);
}

static void
a_malformed_directory_is_refused(void **state)
{
    static const size_t lengths[] = { 100, 200, 300 };
    struct directory d;
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    write_pack(&b, lengths, 3, false);
    struct buf *plain = &b.done.directory;
    uint64_t size = b.done.size;
    assert_ok(directory_parse(buf_slice(plain), size, &d, &e), &e);
    for (size_t len = 0; len < plain->len; len++) {
        AUTOFREE uint8_t *cut = mem_alloc(len + !len);
        memcpy(cut, plain->ptr, len);
        assert_err(directory_parse(slice_of(cut, len), size, &d, &e), &e, ERR_CORRUPT);
    }
    uint8_t *first = plain->ptr + 8 + CHUNK_KEY_LEN, saved[CHUNK_RECORD_LEN];
    static const struct {
        size_t at;
        uint32_t value;
        bool byte;
    } lies[] = {
        { 36, PACK_BODY + 1, false }, /* offset */
        { 36, 0, false },
        { 40, TAG_LEN - 1, false }, /* stored */
        { 40, UINT32_MAX, false },
        { 40, CHUNK_STORED_MAX + 1, false },
        { 40, 101, false },               /* the next does not follow */
        { 44, CHUNK_RAW_MAX + 1, false }, /* raw */
        { 48, 1, true },                  /* key */
        { 49, 2, true },                  /* encoding */
        { 50, 0, true },                  /* kind */
        { 50, 7, true },
    };
    memcpy(saved, first, sizeof saved);
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        if (lies[i].byte)
            first[lies[i].at] = (uint8_t)lies[i].value;
        else
            put_u32(first + lies[i].at, lies[i].value);
        assert_err(directory_parse(buf_slice(plain), size, &d, &e), &e, ERR_CORRUPT);
        memcpy(first, saved, sizeof saved);
    }
    assert_err(directory_parse(buf_slice(plain), 600, &d, &e), &e, ERR_CORRUPT);
    put_u32(plain->ptr, UINT32_MAX);
    assert_err(directory_parse(buf_slice(plain), size, &d, &e), &e, ERR_CORRUPT);
    put_u32(plain->ptr, 1);
    put_u32(plain->ptr + 4, UINT32_MAX);
    assert_err(directory_parse(buf_slice(plain), size, &d, &e), &e, ERR_CORRUPT);
}

/* Lengths of files must not be read off the sizes of the last packs. */
static void
padded_packs_have_few_sizes(void **state)
{
    uint64_t sizes[64];
    size_t different = 0;
    BENCH(b);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t len = 20 + i * 200;
        bool known = false;
        write_pack(&b, &len, 1, true);
        assert_true(b.done.size >= 16384);
        for (size_t k = 0; k < different; k++)
            known |= sizes[k] == b.done.size;
        if (!known)
            sizes[different++] = b.done.size;
    }
    assert_int_equal(different, 1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t len = 100000 + i * 1000;
        write_pack(&b, &len, 1, true);
        assert_true(b.done.size < len + len / 8 + 4096);
    }
}

static void
an_aborted_pack_leaves_no_file(void **state)
{
    struct pack_writer *w = NULL;
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    AUTOFREE char *path = folder_path(&b.folder, "pack");
    assert_ok(pack_begin(b.keys, CLASS_META, b.session->id, &b.random, NULL,
                         mem_strdup(path), &w, &e),
              &e);
    assert_int_equal(access(path, F_OK), 0);
    pack_abort(w);
    assert_int_equal(access(path, F_OK), -1);
    assert_err(pack_begin(b.keys, CLASS_META, b.session->id, &b.random, NULL,
                          folder_path(&b.folder, "no/such/folder"), &w, &e),
               &e, ERR_NOT_FOUND);
}

/* Three packs at once, as a backup has them open, whose chunks go to each in turn. */
static void
packs_that_share_a_scribe_get_their_own_bytes(void **state)
{
    enum { PACKS = 3, CHUNKS = 60 };
    static uint8_t noise[500000];
    struct pack_writer *w[PACKS];
    uint32_t offset[CHUNKS];
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    b.scribe = pack_scribe_new();
    assert_non_null(b.scribe);
    for (size_t i = 0; i < PACKS; i++)
        assert_ok(pack_begin(b.keys, CLASS_DATA, b.session->id, &b.random, b.scribe,
                             mem_printf("%s/pack-%zu", b.folder.path, i), &w[i], &e),
                  &e);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        struct chunk_record rec = record(i, sizeof noise);
        fill_bytes(noise, sizeof noise, i);
        assert_ok(pack_add(w[i % PACKS], &rec, &b.session->key[CLASS_DATA],
                           slice_of(noise, sizeof noise), &e),
                  &e);
        offset[i] = rec.offset;
    }
    for (uint32_t i = 0; i < PACKS; i++) {
        uint8_t sha[32];
        mem_free(b.done.path);
        buf_release(&b.done.directory);
        buf_clear(&b.bytes);
        assert_ok(pack_finish(w[i], true, &b.done, &e), &e);
        assert_ok(fs_read(b.done.path, PACK_MAX, &b.bytes, &e), &e);
        sha256(buf_slice(&b.bytes), sha);
        assert_memory_equal(sha, b.done.name, 32);
        assert_ok(open_pack(&b, buf_slice(&b.bytes), &e), &e);
        for (uint32_t c = i; c < CHUNKS; c += PACKS) {
            fill_bytes(noise, sizeof noise, c);
            assert_memory_equal(b.bytes.ptr + offset[c], noise, sizeof noise);
        }
    }
}

/* The disk is full, say: somebody is told, and the file goes. */
static void
what_a_scribe_cannot_write_is_told(void **state)
{
    static uint8_t noise[1 << 20];
    struct pack_writer *w = NULL;
    struct rlimit old, low;
    struct err e = { 0 };
    int rc = 0;
    BENCH(b);

    (void)state;
    b.scribe = pack_scribe_new();
    AUTOFREE char *path = folder_path(&b.folder, "pack");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = (struct rlimit){ 3 << 20, old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_ok(pack_begin(b.keys, CLASS_DATA, b.session->id, &b.random, b.scribe,
                         mem_strdup(path), &w, &e),
              &e);
    for (uint32_t i = 0; i < 8 && rc == 0; i++) {
        struct chunk_record rec = record(i, sizeof noise);
        rc = pack_add(w, &rec, &b.session->key[CLASS_DATA], slice_of(noise, sizeof noise),
                      &e);
    }
    if (rc == 0)
        rc = pack_finish(TAKE(w), false, &b.done, &e);
    pack_abort(w);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err_text(&e), path));
    assert_int_equal(access(path, F_OK), -1);
}

/* Two sessions in one pack, as repacking makes them. */
static void
chunks_of_several_sessions_share_a_pack(void **state)
{
    struct pack_writer *w = NULL;
    struct directory d;
    struct err e = { 0 };
    BENCH(b);
    CLEANUP(session_free_p) struct session *other = session_new(b.keys, &b.random);

    (void)state;
    assert_ok(pack_begin(b.keys, CLASS_DATA, b.session->id, &b.random, NULL,
                         folder_path(&b.folder, "pack"), &w, &e),
              &e);
    for (uint32_t i = 0; i < 6; i++) {
        struct chunk_record rec = record(i, 32);
        const struct session *s = i % 2 ? other : b.session;
        assert_ok(pack_add(w, &rec, &s->key[CLASS_DATA], slice_of(s->key, 32), &e), &e);
        assert_int_equal(rec.key, i % 2);
    }
    assert_ok(pack_finish(w, false, &b.done, &e), &e);
    assert_ok(directory_parse(buf_slice(&b.done.directory), b.done.size, &d, &e), &e);
    assert_int_equal(d.key_count, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chunks_of_a_pack_lie_where_its_directory_says),
        cmocka_unit_test(an_empty_pack_is_a_pack),
        cmocka_unit_test(many_small_chunks_fit_a_pack),
        cmocka_unit_test(a_damaged_pack_is_refused),
        cmocka_unit_test(the_ends_of_different_packs_do_not_fit),
        cmocka_unit_test(a_footer_that_points_outside_is_refused),
        cmocka_unit_test(a_pack_of_another_repository_does_not_open),
        cmocka_unit_test(a_malformed_directory_is_refused),
        cmocka_unit_test(padded_packs_have_few_sizes),
        cmocka_unit_test(an_aborted_pack_leaves_no_file),
        cmocka_unit_test(packs_that_share_a_scribe_get_their_own_bytes),
        cmocka_unit_test(what_a_scribe_cannot_write_is_told),
        cmocka_unit_test(chunks_of_several_sessions_share_a_pack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
