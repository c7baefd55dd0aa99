/*
 * synth: puts index segments on a repository's first target until they name CHUNKS
 * chunks more, and says how many packs and segments that took.
 *
 *     synth CONFIG CHUNKS
 *
 * CONFIG is that of an initialized repository whose first target is a folder. The
 * segments are real: directories as a packer leaves them, of the size that a backup
 * publishes, each pack vouched for and each segment sealed and signed by this host, whose
 * state knows them as a backup leaves it. The local index does not know them yet. Not
 * real is what they name: chunk ids are random and no source has these chunks, and of a
 * pack there is only a file of its name and length that is one hole. So everything
 * works that asks whether a chunk or a pack is there, and nothing that reads one.
 */
#include "../../src/repo/impl.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 160 chunks of 256 KiB, each compressed to 200 KiB, fill a pack as large as they are. */
#define CHUNK_RAW (256u << 10)
#define CHUNK_STORED (200u << 10)
#define PACK_CHUNKS 160
#define SEGMENT_PACKS 256
#define SEGMENT_ROOM ((size_t)16 << 20)

struct synth {
    struct repo *repo;
    struct session *session;
    const char *folder; /* the target's */
    uint32_t counter;
    unsigned long packs, segments;
};

static void
put_directory(struct synth *s, unsigned chunks, struct buf *out)
{
    buf_put_u32(out, 1);
    buf_put_u32(out, chunks);
    chunk_key_put(out, &s->session->key[CLASS_DATA]);
    for (unsigned i = 0; i < chunks; i++) {
        uint8_t id[32];
        random_bytes(NULL, id, sizeof id);
        buf_put(out, id, sizeof id);
        buf_put_u32(out, s->counter++);
        buf_put_u32(out, PACK_BODY + i * CHUNK_STORED);
        buf_put_u32(out, CHUNK_STORED);
        buf_put_u32(out, CHUNK_RAW);
        buf_put_u8(out, 0); /* the number of its key */
        buf_put_u8(out, ENCODING_ZSTD);
        buf_put_u8(out, KIND_FILE);
        buf_put_u8(out, 0);
    }
}

/* A hole under the pack's name. */
static int
put_hole(const struct synth *s, const uint8_t name[32], uint64_t size, struct err *e)
{
    char key[PACK_KEY_LEN + 1];

    pack_key(key, name);
    AUTOFREE char *path = fs_join(s->folder, key);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return err_sys(e, errno, "making %s", path);
    return 0;
}

static int
put_pack(struct synth *s, unsigned chunks, struct buf *plain, struct err *e)
{
    AUTOBUF struct buf directory = BUF(PACK_DIRECTORY_MAX);
    uint64_t size = PACK_BODY + (uint64_t)chunks * CHUNK_STORED + PACK_FOOTER;
    uint8_t name[32];

    random_bytes(NULL, name, sizeof name);
    put_directory(s, chunks, &directory);
    segment_put_pack(s->repo, plain, name, size, buf_slice(&directory));
    s->packs++;
    if (pending_keep(s->repo, name, size, buf_slice(&directory), e) < 0
        || state_pending_published(s->repo->state, slice_of(name, 32), e) < 0)
        return -1;
    return put_hole(s, name, size, e);
}

/* The packs of one segment. */
static int
put_packs(struct synth *s, uint64_t *chunks, struct buf *plain, struct err *e)
{
    for (unsigned i = 0; i<SEGMENT_PACKS && * chunks> 0; i++) {
        unsigned n = *chunks < PACK_CHUNKS ? (unsigned)*chunks : PACK_CHUNKS;
        if (put_pack(s, n, plain, e) < 0)
            return -1;
        *chunks -= n;
    }
    return 0;
}

/* The object of a segment and its name, as repo_publish_index() makes them. */
static int
put_segment(struct synth *s, struct slice plain, struct err *e)
{
    struct repo *r = s->repo;
    struct header h = { .type = OBJECT_INDEX, .group = r->keys->group };
    AUTOBUF struct buf object = BUF(2 * SEGMENT_ROOM), aad = BUF(256);
    uint8_t nonce[NONCE_LEN];
    char hex[65];

    memcpy(h.repo, r->keys->repo_id, ID_LEN);
    header_put(&object, &h);
    signed_associated(&aad, OBJECT_INDEX, buf_slice(&object));
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&object, r->keys->index_key, nonce, buf_slice(&aad), plain);
    signed_end(&object, OBJECT_INDEX, r->host_id, r->host_seed);
    struct body body = body_of(buf_slice(&object));
    text_hex(hex, body.sha256, sizeof body.sha256);
    AUTOFREE char *key = mem_printf("index/%08llx-%s",
                                    (unsigned long long)clock_now().s / 3600, hex);
    s->segments++;
    return storage_put(fleet_target(r->fleet, 0)->store, key, &body, 0, e);
}

static int
make(struct synth *s, uint64_t chunks, struct err *e)
{
    AUTOBUF struct buf plain = BUF(2 * SEGMENT_ROOM);

    for (unsigned i = 0; i < 256; i++) {
        AUTOFREE char *dir = mem_printf("%s/pack/%02x", s->folder, i);
        if (fs_mkdirs(dir, 0700, e) < 0)
            return -1;
    }
    while (chunks > 0) {
        buf_clear(&plain);
        if (state_begin(s->repo->state, e) < 0)
            return -1;
        int rc = put_packs(s, &chunks, &plain, e);
        if (rc < 0)
            state_abort(s->repo->state);
        if (rc < 0 || state_commit(s->repo->state, e) < 0
            || put_segment(s, buf_slice(&plain), e) < 0)
            return -1;
    }
    return 0;
}

static int
run(const char *config, uint64_t chunks, struct err *e)
{
    struct conf *conf = NULL;
    struct repo_options o = { .write = true };
    struct synth s = { 0 };

    if (conf_load(config, &conf, e) < 0)
        return -1;
    o.conf = conf;
    int rc = -1;
    if (strncmp(conf->targets[0].url, "file://", 7) != 0)
        err_set(e, ERR_USAGE, 0, "the first target is no folder");
    else
        rc = repo_open(&o, &s.repo, e);
    if (rc == 0) {
        s.folder = conf->targets[0].url + 7;
        s.session = session_new(s.repo->keys, NULL);
        rc = make(&s, chunks, e);
        session_free(s.session);
    }
    repo_close(s.repo);
    conf_free(conf);
    if (rc == 0)
        printf("%lu packs in %lu segments\n", s.packs, s.segments);
    return rc;
}

int
main(int argc, char **argv)
{
    struct err e = { 0 };
    uint64_t chunks;

    if (argc != 3 || !text_uint(argv[2], UINT32_MAX, &chunks)) {
        fputs("usage: synth CONFIG CHUNKS\n", stderr);
        return 2;
    }
    crypto_init();
    if (run(argv[1], chunks, &e) < 0) {
        fprintf(stderr, "synth: %s\n", err_text(&e));
        return 1;
    }
    return 0;
}
