#include "base/fs.h"
#include "state/state.h"
#include "support/fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct chunk_id
id_of(uint64_t n)
{
    struct chunk_id id;

    fill_bytes(id.bytes, sizeof id.bytes, n);
    return id;
}

static struct chunk_key
key_of(unsigned n)
{
    struct chunk_key k = { .class = CLASS_DATA, .suite = SUITE_AES256_GCM, .epoch = n };

    fill_bytes(k.sealed, sizeof k.sealed, 1000 + n);
    return k;
}

/* Chunk `n` as a directory would have it, in its slot of the pack. */
static struct chunk_record
chunk_of(uint64_t n, uint32_t slot)
{
    return (struct chunk_record){ .id = id_of(n),
                                  .counter = (uint32_t)n,
                                  .offset = PACK_BODY + 100 * slot,
                                  .stored = 100,
                                  .raw = (uint32_t)(n % 1000) + 84,
                                  .encoding = n % 2,
                                  .kind = (uint8_t)(1 + n % 6) };
}

/* The plain directory of a pack with chunks [first, first + n). */
static void
directory_of(struct buf *out, uint64_t first, uint32_t n, unsigned session,
             struct directory *d)
{
    struct chunk_key key = key_of(session);
    struct err e = { 0 };

    buf_clear(out);
    buf_put_u32(out, 1);
    buf_put_u32(out, n);
    chunk_key_put(out, &key);
    for (uint32_t i = 0; i < n; i++) {
        struct chunk_record c = chunk_of(first + i, i);
        buf_put(out, c.id.bytes, 32);
        buf_put_u32(out, c.counter);
        buf_put_u32(out, c.offset);
        buf_put_u32(out, c.stored);
        buf_put_u32(out, c.raw);
        buf_put_u8(out, 0);
        buf_put_u8(out, c.encoding);
        buf_put_u8(out, c.kind);
        buf_put_u8(out, 0);
    }
    assert_ok(directory_parse(buf_slice(out), 1 << 20, d, &e), &e);
}

static uint32_t
add_pack(struct index *x, uint64_t first, uint32_t n, unsigned session)
{
    AUTOBUF struct buf plain = BUF(1 << 20);
    struct directory d;
    struct err e = { 0 };
    uint8_t name[32];
    uint32_t number = UINT32_MAX;

    directory_of(&plain, first, n, session, &d);
    fill_bytes(name, 32, first + 77 + ((uint64_t)session << 40));
    assert_ok(index_add(x, name, 1 << 20, &d, &number, &e), &e);
    return number;
}

static struct index *
open_index(const struct folder *f, bool write)
{
    AUTOFREE char *dir = folder_path(f, "index");
    struct index *x = NULL;
    struct err e = { 0 };

    assert_ok(index_open(dir, write, &x, &e), &e);
    return x;
}

static void
assert_found(struct index *x, uint64_t n, uint32_t pack, uint32_t slot)
{
    struct chunk_record c = chunk_of(n, slot);
    struct location at = { 0 };
    struct err e = { 0 };

    assert_int_equal(index_find(x, &c.id, NULL, NULL, &at, &e), 1);
    assert_int_equal(at.pack, pack);
    assert_int_equal(at.offset, c.offset);
    assert_int_equal(at.stored, c.stored);
    assert_int_equal(at.raw, c.raw);
    assert_int_equal(at.counter, c.counter);
    assert_int_equal(at.encoding, c.encoding);
    assert_int_equal(at.kind, c.kind);
}

static void
assert_unknown(struct index *x, uint64_t n)
{
    struct chunk_id id = id_of(n);
    struct location at;
    struct err e = { 0 };

    assert_int_equal(index_find(x, &id, NULL, NULL, &at, &e), 0);
}

static void
a_new_index_knows_nothing(void **state)
{
    FOLDER(f);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    uint8_t name[32];
    uint64_t size;
    struct err e = { 0 };

    (void)state;
    assert_unknown(x, 1);
    assert_int_equal(index_packs(x), 0);
    assert_int_equal(index_pack(x, 0, name, &size, &e), 0);
}

static void
the_chunks_of_a_pack_are_found(void **state)
{
    FOLDER(f);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    uint8_t name[32], want[32];
    uint64_t size = 0;
    struct err e = { 0 };

    (void)state;
    uint32_t a = add_pack(x, 0, 100, 1), b = add_pack(x, 1000, 50, 1);
    assert_int_equal(index_packs(x), 2);
    for (uint32_t i = 0; i < 100; i++)
        assert_found(x, i, a, i);
    for (uint32_t i = 0; i < 50; i++)
        assert_found(x, 1000 + i, b, i);
    assert_unknown(x, 100);
    fill_bytes(want, 32, 1000 + 77 + ((uint64_t)1 << 40));
    assert_int_equal(index_pack(x, b, name, &size, &e), 1);
    assert_memory_equal(name, want, 32);
    assert_int_equal(size, 1 << 20);
}

static void
a_known_pack_is_not_added_again(void **state)
{
    FOLDER(f);
    struct index *x = open_index(&f, true);
    struct err e = { 0 };

    (void)state;
    uint32_t a = add_pack(x, 0, 10, 1);
    uint32_t b = add_pack(x, 500, 10, 1);
    assert_int_equal(add_pack(x, 0, 10, 1), a);
    assert_ok(index_flush(x, &e), &e);
    assert_int_equal(add_pack(x, 500, 10, 1), b);
    assert_int_equal(index_packs(x), 2);
    index_close(x);
    x = open_index(&f, true);
    assert_int_equal(add_pack(x, 500, 10, 1), b);
    assert_int_equal(add_pack(x, 0, 10, 1), a);
    assert_int_equal(index_packs(x), 2);
    index_close(x);
}

static bool
is_not(void *arg, uint32_t pack)
{
    return pack != *(uint32_t *)arg;
}

/* Two packs hold the chunk; the one that is condemned must not be told. */
static void
a_pack_that_does_not_count_is_passed_over(void **state)
{
    FOLDER(f);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    struct chunk_id id = id_of(5);
    struct location at;
    struct err e = { 0 };

    (void)state;
    uint32_t a = add_pack(x, 0, 10, 1), b = add_pack(x, 0, 10, 2);
    assert_int_not_equal(a, b);
    for (int flushed = 0; flushed < 2; flushed++) {
        assert_int_equal(index_find(x, &id, is_not, &a, &at, &e), 1);
        assert_int_equal(at.pack, b);
        assert_int_equal(index_find(x, &id, is_not, &b, &at, &e), 1);
        assert_int_equal(at.pack, a);
        assert_ok(index_flush(x, &e), &e);
    }
    uint32_t c = add_pack(x, 100, 10, 3);
    struct chunk_id only = id_of(105);
    assert_int_equal(index_find(x, &only, is_not, &c, &at, &e), 0);
}

static void
what_was_flushed_is_there_after_reopening(void **state)
{
    FOLDER(f);
    struct index *x = open_index(&f, true);
    struct chunk_key key, want = key_of(3);
    struct location at;
    struct err e = { 0 };
    struct chunk_id id = id_of(2003);

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        add_pack(x, 1000 * i, 30, i + 1);
    assert_ok(index_flush(x, &e), &e);
    add_pack(x, 100000, 30, 50);
    index_close(x); /* as a kill would: without a flush */
    x = open_index(&f, true);
    assert_int_equal(index_packs(x), 20);
    for (unsigned i = 0; i < 20; i++)
        for (uint32_t k = 0; k < 30; k++)
            assert_found(x, 1000 * i + k, i, k);
    assert_unknown(x, 100000);
    assert_int_equal(index_find(x, &id, NULL, NULL, &at, &e), 1);
    assert_ok(index_key(x, at.key, &key, &e), &e);
    assert_int_equal(key.epoch, 3);
    assert_memory_equal(key.sealed, want.sealed, sizeof key.sealed);
    uint32_t again = add_pack(x, 100000, 30, 50);
    assert_int_equal(again, 20);
    assert_found(x, 100003, again, 3);
    index_close(x);
}

/* Sessions alternate: the key that a chunk is told to have must be its own. */
static void
every_chunk_keeps_its_session_key(void **state)
{
    FOLDER(f);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    struct err e = { 0 };

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        add_pack(x, 1000 * i, 3, 1 + i * 7 % 30);
    for (int flushed = 0; flushed < 2; flushed++) {
        for (unsigned i = 0; i < 200; i++) {
            struct chunk_id id = id_of(1000 * i + 1);
            struct location at;
            struct chunk_key key;
            assert_int_equal(index_find(x, &id, NULL, NULL, &at, &e), 1);
            assert_ok(index_key(x, at.key, &key, &e), &e);
            assert_int_equal(key.epoch, 1 + i * 7 % 30);
        }
        assert_ok(index_flush(x, &e), &e);
    }
    struct chunk_key none;
    assert_int_equal(index_key(x, 100000, &none, &e), -1);
}

static unsigned
count_runs(const struct folder *f)
{
    AUTOFREE char *command = mem_printf("exit $(ls %s/index | grep -c '^run-')", f->path);

    return (unsigned)WEXITSTATUS(system(command));
}

/* Over many flushes and merges nothing is lost, and the runs stay few. */
static void
hundreds_of_thousands_of_chunks_are_found(void **state)
{
    const uint32_t packs = TEST_SCALE(3000, 1000), chunks = 100;
    FOLDER(f);
    struct index *x = open_index(&f, true);
    struct chunk_key key = key_of(1);
    struct err e = { 0 };
    uint8_t name[32];

    (void)state;
    for (uint32_t p = 0; p < packs; p++) {
        uint32_t number = 0;
        assert_ok(index_pack_begin(x, &number, &e), &e);
        assert_int_equal(number, p);
        for (uint32_t i = 0; i < chunks; i++) {
            struct chunk_record c = chunk_of((uint64_t)p * chunks + i, i);
            assert_ok(index_add_chunk(x, number, &c, &key, &e), &e);
        }
        fill_bytes(name, 32, p);
        assert_ok(index_pack_end(x, number, name, 100000 + p, &e), &e);
        if (p % 211 == 0)
            assert_ok(index_flush(x, &e), &e);
    }
    assert_ok(index_flush(x, &e), &e);
    index_close(x);
    assert_in_range(count_runs(&f), 1, 12);
    x = open_index(&f, true);
    assert_int_equal(index_packs(x), packs);
    for (uint32_t p = 0; p < packs; p++) {
        for (uint32_t i = p % 3; i < chunks; i += 3)
            assert_found(x, (uint64_t)p * chunks + i, p, i);
        assert_unknown(x, 1000000000ull + p);
        uint64_t size = 0;
        uint8_t want[32];
        fill_bytes(want, 32, p);
        assert_int_equal(index_pack(x, p, name, &size, &e), 1);
        assert_int_equal(size, 100000 + p);
        assert_memory_equal(name, want, 32);
    }
    index_close(x);
}

/* A run that was killed while it filled a pack leaves its number behind. */
static void
a_pack_that_never_ended_has_no_name(void **state)
{
    FOLDER(f);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    struct chunk_record c = chunk_of(1, 0);
    struct chunk_key key = key_of(1);
    struct err e = { 0 };
    uint32_t number = 0;
    uint8_t name[32];
    uint64_t size;

    (void)state;
    assert_ok(index_pack_begin(x, &number, &e), &e);
    assert_ok(index_add_chunk(x, number, &c, &key, &e), &e);
    assert_int_equal(index_pack(x, number, name, &size, &e), 0);
    uint32_t good = add_pack(x, 1, 5, 1);
    assert_int_not_equal(good, number);
    assert_int_equal(index_pack(x, good, name, &size, &e), 1);
}

static void
segments_are_remembered_with_their_packs(void **state)
{
    static const uint32_t numbers[] = { 3, 1, 4 };
    FOLDER(f);
    struct index *x = open_index(&f, true);
    struct slice packs = slice_of(numbers, sizeof numbers);
    AUTOBUF struct buf got = BUF(100);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(index_segment_get(x, "index/1", &got, &e), 0);
    assert_ok(index_segment_add(x, "index/1", packs, &e), &e);
    assert_ok(index_segment_add(x, "index/2", slice_of(NULL, 0), &e), &e);
    assert_int_equal(index_segment_get(x, "index/1", &got, &e), 1);
    assert_true(slice_equal(buf_slice(&got), packs));
    assert_ok(index_flush(x, &e), &e);
    buf_clear(&got);
    assert_int_equal(index_segment_get(x, "index/1", &got, &e), 1);
    assert_true(slice_equal(buf_slice(&got), packs));
    assert_ok(index_segment_add(x, "index/3", packs, &e), &e);
    index_close(x);
    x = open_index(&f, true);
    buf_clear(&got);
    assert_int_equal(index_segment_get(x, "index/1", &got, &e), 1);
    assert_true(slice_equal(buf_slice(&got), packs));
    assert_int_equal(index_segment_get(x, "index/2", &got, &e), 1);
    assert_int_equal(index_segment_get(x, "index/3", &got, &e), 0);
    index_close(x);
}

static void
a_read_only_index_is_searched_but_not_changed(void **state)
{
    AUTOBUF struct buf plain = BUF(1 << 20);
    FOLDER(f);
    struct index *x = open_index(&f, true);
    struct directory d;
    struct err e = { 0 };
    uint8_t name[32] = { 1 };
    uint32_t number;

    (void)state;
    add_pack(x, 0, 50, 1);
    assert_ok(index_flush(x, &e), &e);
    index_close(x);
    x = open_index(&f, false);
    assert_found(x, 7, 0, 7);
    directory_of(&plain, 5000, 10, 1, &d);
    assert_int_equal(index_add(x, name, 1 << 20, &d, &number, &e), -1);
    e = (struct err){ 0 };
    assert_ok(index_flush(x, &e), &e);
    index_close(x);
    x = open_index(&f, true);
    assert_int_equal(index_packs(x), 1);
    assert_unknown(x, 5000);
    index_close(x);
}

/* Turns `len` bytes of a file of the index over, or ends it at `at`. */
static void
harm(const struct folder *f, const char *name, off_t at, size_t len)
{
    AUTOFREE char *path = folder_path(f, name);
    AUTOFREE uint8_t *bytes = mem_zalloc(len);
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0 && pread(fd, bytes, len, at) >= 0);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)~bytes[i];
    if (len > 0)
        assert_int_equal(pwrite(fd, bytes, len, at), len);
    else
        assert_int_equal(ftruncate(fd, at), 0);
}

/* An index of four packs with 400 chunks each, in one run. */
static struct index *
four_packs(const struct folder *f)
{
    struct index *x = open_index(f, true);
    struct err e = { 0 };

    for (unsigned i = 0; i < 4; i++)
        add_pack(x, 1000 * i, 400, i + 1);
    assert_ok(index_flush(x, &e), &e);
    return x;
}

/* An index that is damaged where opening looks must say so: it is then made
 * anew. Sizes: 4 packs of 44 bytes, 4 keys of 92, 16 blocks of 4,004 and their
 * fence of 128. */
static void
a_damaged_index_does_not_open(void **state)
{
    static const struct {
        const char *name;
        off_t at;
        size_t len;
    } harms[] = {
        { "index/packs", 60, 0 },      { "index/packs", 0, 1 },
        { "index/packs", 3 * 44, 44 }, { "index/keys", 91, 0 },
        { "index/keys", 3 * 92, 1 },   { "index/keys", 0, 368 },
        { "index/run-0", 64064, 1 },   { "index/run-0", 64191, 1 },
        { "index/run-0", 64191, 0 },   { "index/run-0", 64192, 10 },
        { "index/run-0", 0, 0 },
    };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(harms) + 2; i++) {
        FOLDER(f);
        AUTOFREE char *dir = folder_path(&f, "index");
        struct index *x = four_packs(&f);
        index_close(x);
        if (i < COUNT_OF(harms)) {
            harm(&f, harms[i].name, harms[i].at, harms[i].len);
        } else if (i == COUNT_OF(harms)) {
            AUTOFREE char *run = folder_path(&f, "index/run-0");
            assert_int_equal(unlink(run), 0);
        } else {
            folder_write(&f, "index/state.db", SLICE("this is no database at all, not"));
        }
        assert_int_equal(index_open(dir, true, &x, &e), -1);
        assert_true(i > COUNT_OF(harms) || index_error(&e));
        e = (struct err){ 0 };
    }
}

/* The description of the form without CRCs has another name: such a folder is
 * made anew, not read. */
static void
an_index_of_an_older_form_does_not_open(void **state)
{
    FOLDER(f);
    AUTOFREE char *dir = folder_path(&f, "index");
    struct index *x = NULL;
    struct state *s = NULL;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_ok(state_open(dir, true, &s, &e), &e);
    assert_ok(state_put(s, "index", SLICE("next run, packs, keys, runs"), &e), &e);
    state_close(s);
    assert_int_equal(index_open(dir, true, &x, &e), -1);
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
}

/* Every byte of a run counts: no look-up believes a damaged block, and none says
 * that the repository is damaged. */
static void
no_record_of_a_damaged_block_is_believed(void **state)
{
    struct location at;

    (void)state;
    for (off_t byte = 0; byte < 4004; byte += 77) {
        FOLDER(f);
        struct index *x = four_packs(&f);
        unsigned unknown = 0;
        harm(&f, "index/run-0", 5 * 4004 + byte, 1);
        for (uint64_t n = 0; n < 1600; n++) {
            struct chunk_record c = chunk_of(n / 400 * 1000 + n % 400, (uint32_t)n % 400);
            struct err e = { 0 };
            if (index_find(x, &c.id, NULL, NULL, &at, &e) == 1) {
                assert_int_equal(at.counter, c.counter);
                assert_int_equal(at.offset, c.offset);
                assert_int_equal(at.pack, n / 400);
            } else {
                assert_true(index_error(&e));
                assert_int_not_equal(err_status(e.kind), STATUS_DAMAGED);
                unknown++;
            }
        }
        assert_in_range(unknown, 100, 101); /* the block's, and its neighbour's last */
        index_close(x);
    }
}

/* One block's bytes are another's: both are whole, but in a wrong place. */
static void
a_block_does_not_stand_for_another(void **state)
{
    FOLDER(f);
    struct index *x = four_packs(&f);
    AUTOFREE char *path = folder_path(&f, "index/run-0");
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t block[4004];
    struct location at;
    unsigned unknown = 0;

    (void)state;
    assert_int_equal(pread(fd, block, sizeof block, 0), sizeof block);
    assert_int_equal(pwrite(fd, block, sizeof block, 4004), sizeof block);
    for (uint64_t n = 0; n < 400; n++) {
        struct chunk_id id = id_of(n);
        struct err e = { 0 };
        unknown += index_find(x, &id, NULL, NULL, &at, &e) < 0;
    }
    assert_in_range(unknown, 10, 60);
    index_close(x);
}

/* What a table told when it was opened is not believed later without a look. */
static void
a_table_damaged_in_use_is_no_damage_of_the_repository(void **state)
{
    FOLDER(f);
    AUTOFREE char *dir = folder_path(&f, "index");
    struct index *x = four_packs(&f);
    struct chunk_key key;
    struct location at;
    struct chunk_id known = id_of(5), unknown = id_of(77777);
    uint8_t name[32];
    uint64_t size;
    struct err e = { 0 };

    (void)state;
    harm(&f, "index/packs", 44, 5);
    harm(&f, "index/keys", 3 * 92 + 20, 5);
    assert_int_equal(index_pack(x, 0, name, &size, &e), 1);
    assert_int_equal(index_key(x, 3, &key, &e), -1);
    assert_true(index_error(&e));
    assert_int_equal(index_find(x, &unknown, NULL, NULL, &at, &e), 0);
    assert_int_equal(index_pack(x, 1, name, &size, &e), -1);
    assert_true(index_error(&e));
    assert_int_equal(index_find(x, &known, NULL, NULL, &at, &e), 1);
    e = (struct err){ 0 }; /* who was asked what counts may have said no for that */
    assert_int_equal(index_find(x, &unknown, NULL, NULL, &at, &e), -1);
    assert_true(index_error(&e));
    index_close(x);
    assert_int_equal(index_open(dir, true, &x, &e), -1);
}

struct bringing {
    unsigned packs, times;
};

/* Gives the index the directories of four_packs() again. */
static int
bring_back(void *arg, struct index_refill *fill, struct err *e)
{
    struct bringing *b = arg;

    b->times++;
    for (unsigned i = 0; i < b->packs; i++) {
        AUTOBUF struct buf plain = BUF(1 << 20);
        struct directory d;
        uint8_t name[32];
        directory_of(&plain, 1000 * i, 400, i + 1, &d);
        fill_bytes(name, 32, 1000 * i + 77 + ((uint64_t)(i + 1) << 40));
        if (index_refill_pack(fill, name, &d, e) < 0)
            return -1;
    }
    return 0;
}

static void
assert_all_found(struct index *x)
{
    struct err e = { 0 };

    for (unsigned i = 0; i < 4; i++)
        for (uint32_t k = 0; k < 400; k++) {
            struct chunk_id id = id_of(1000 * i + k);
            struct location at;
            struct chunk_key key;
            assert_found(x, 1000 * i + k, i, k);
            assert_int_equal(index_find(x, &id, NULL, NULL, &at, &e), 1);
            assert_ok(index_key(x, at.key, &key, &e), &e);
            assert_int_equal(key.epoch, i + 1);
        }
}

/* Others hold numbers while the runs are made anew: they stay what they were.
 * What is not flushed stays, too, and packs that are unknown are not taken. A
 * frozen index leaves the folder as it is, but for the mark. */
static void
damage_that_a_look_up_meets_is_mended(void **state)
{
    (void)state;
    for (int frozen = 0; frozen < 2; frozen++) {
        FOLDER(f);
        AUTOFREE char *dir = folder_path(&f, "index");
        AUTOFREE char *run = folder_path(&f, "index/run-0");
        struct index *x = four_packs(&f);
        struct bringing b = { .packs = 5 };
        struct err e = { 0 };
        if (frozen)
            index_freeze(x);
        else
            add_pack(x, 50000, 20, 9);
        index_on_damage(x, bring_back, &b);
        harm(&f, "index/run-0", 0, 16 * 4004);
        assert_all_found(x);
        assert_int_equal(b.times, 1);
        assert_unknown(x, 4000);
        assert_unknown(x, 123456);
        assert_int_equal(access(run, F_OK), frozen ? 0 : -1);
        if (!frozen) {
            assert_found(x, 50003, 4, 3);
            assert_ok(index_flush(x, &e), &e);
            assert_all_found(x);
            assert_found(x, 50003, 4, 3);
        }
        index_close(x);
        assert_int_equal(index_open(dir, true, &x, &e), -1);
        assert_true(index_error(&e));
    }
}

/* Merging reads what nobody looked up; it must not copy garbage. */
static void
damage_that_a_merge_meets_is_mended(void **state)
{
    (void)state;
    for (int helped = 0; helped < 2; helped++) {
        FOLDER(f);
        struct index *x = four_packs(&f);
        struct bringing b = { .packs = 4 };
        struct err e = { 0 };
        if (helped)
            index_on_damage(x, bring_back, &b);
        harm(&f, "index/run-0", 3 * 4004 + 100, 200);
        add_pack(x, 70000, 500, 7);
        if (helped) {
            assert_ok(index_flush(x, &e), &e);
            assert_int_equal(b.times, 1);
            assert_all_found(x);
        } else {
            assert_int_equal(index_flush(x, &e), -1);
            assert_true(index_error(&e));
        }
        index_close(x);
    }
}

static int
bring_nothing(void *arg, struct index_refill *fill, struct err *e)
{
    (void)arg;
    (void)fill;
    return err_set(e, ERR_UNAVAIL, 0, "no target answers");
}

static void
who_cannot_mend_says_why(void **state)
{
    FOLDER(f);
    struct index *x = four_packs(&f);
    struct chunk_id id = id_of(5);
    struct location at;
    struct err e = { 0 };

    (void)state;
    index_on_damage(x, bring_nothing, NULL);
    harm(&f, "index/run-0", 0, 16 * 4004);
    assert_int_equal(index_find(x, &id, NULL, NULL, &at, &e), -1);
    assert_int_equal(e.kind, ERR_UNAVAIL);
    index_close(x);
}

struct searching {
    struct index *index;
    atomic_bool stop;
    atomic_uint found;
};

static void *
search(void *arg)
{
    struct searching *s = arg;

    for (uint64_t n = 0; !atomic_load(&s->stop); n = (n + 1) % 1000) {
        struct chunk_id id = id_of(n);
        struct location at;
        struct err e = { 0 };
        int rc = index_find(s->index, &id, NULL, NULL, &at, &e);
        if (rc == 1 && at.counter == n)
            atomic_fetch_add(&s->found, 1);
        else
            return s; /* what was there before must always be found */
        if (n % 64 == 0)
            usleep(200);
    }
    return NULL;
}

static void
chunks_are_found_while_others_are_added(void **state)
{
    FOLDER(f);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    struct searching s = { .index = x };
    struct err e = { 0 };
    pthread_t threads[3];

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        add_pack(x, 100 * i, 100, 1);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, search, &s), 0);
    for (unsigned i = 0; i < TEST_SCALE(800, 200); i++) {
        add_pack(x, 100000 + 100 * i, 100, 2);
        if (i % 50 == 0)
            assert_ok(index_flush(x, &e), &e);
    }
    atomic_store(&s.stop, true);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(atomic_load(&s.found) > 0);
}

/* All chunks of `packs` packs of 10,000 are found; how many are not. */
static unsigned
missing(struct index *x, unsigned packs)
{
    unsigned n = 0;

    for (unsigned i = 0; i < packs; i++)
        for (unsigned k = 0; k < 10000; k++) {
            struct chunk_record c = chunk_of(100000 * i + k, k);
            struct location at;
            struct err e = { 0 };
            n += index_find(x, &c.id, NULL, NULL, &at, &e) != 1;
        }
    return n;
}

/* The seventh pack lies on both sides of a flush, and of a kill. */
static void
half_a_pack_on_the_disk_is_no_known_pack(void **state)
{
    CLEANUP(folder_remove) struct folder f;

    (void)state;
    folder_make(&f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct index *x = open_index(&f, true);
        for (unsigned i = 0; i < 7; i++)
            add_pack(x, 100000 * i, 10000, i);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    for (unsigned i = 0; i < 7; i++)
        add_pack(x, 100000 * i, 10000, i);
    assert_int_equal(missing(x, 7), 0);
}

/* The run of 2.4 MB does not fit onto the disk: what was not stored is not told as
 * stored, neither now nor to the next who opens it. */
static void
a_full_disk_makes_no_segment_known(void **state)
{
    CLEANUP(folder_remove) struct folder f;

    (void)state;
    folder_make(&f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct index *x = open_index(&f, true);
        struct rlimit small = { 1 << 20, 1 << 20 };
        struct err e = { 0 };
        signal(SIGXFSZ, SIG_IGN);
        for (unsigned i = 0; i < 6; i++) {
            AUTOFREE char *key = mem_printf("index/%u", i);
            add_pack(x, 100000 * i, 10000, i);
            if (index_segment_add(x, key, slice_of(&i, 4), &e) < 0)
                _exit(1);
        }
        if (setrlimit(RLIMIT_FSIZE, &small) < 0 || index_flush(x, &e) == 0)
            _exit(2);
        if (missing(x, 6) > 0 || index_flush(x, &e) < 0)
            _exit(3);
        index_close(x);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    CLEANUP(index_close_p) struct index *x = open_index(&f, true);
    AUTOBUF struct buf packs = BUF(100);
    struct err e = { 0 };
    assert_int_equal(index_segment_get(x, "index/0", &packs, &e), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_pack_on_the_disk_is_no_known_pack),
        cmocka_unit_test(a_full_disk_makes_no_segment_known),
        cmocka_unit_test(a_new_index_knows_nothing),
        cmocka_unit_test(the_chunks_of_a_pack_are_found),
        cmocka_unit_test(a_known_pack_is_not_added_again),
        cmocka_unit_test(a_pack_that_does_not_count_is_passed_over),
        cmocka_unit_test(what_was_flushed_is_there_after_reopening),
        cmocka_unit_test(every_chunk_keeps_its_session_key),
        cmocka_unit_test(hundreds_of_thousands_of_chunks_are_found),
        cmocka_unit_test(a_pack_that_never_ended_has_no_name),
        cmocka_unit_test(segments_are_remembered_with_their_packs),
        cmocka_unit_test(a_read_only_index_is_searched_but_not_changed),
        cmocka_unit_test(a_damaged_index_does_not_open),
        cmocka_unit_test(an_index_of_an_older_form_does_not_open),
        cmocka_unit_test(no_record_of_a_damaged_block_is_believed),
        cmocka_unit_test(a_block_does_not_stand_for_another),
        cmocka_unit_test(a_table_damaged_in_use_is_no_damage_of_the_repository),
        cmocka_unit_test(damage_that_a_look_up_meets_is_mended),
        cmocka_unit_test(damage_that_a_merge_meets_is_mended),
        cmocka_unit_test(who_cannot_mend_says_why),
        cmocka_unit_test(chunks_are_found_while_others_are_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
