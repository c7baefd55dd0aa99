#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"

#include "tar_meta.h"
#include "tree_walk.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 65536   /* link groups remembered; more become files of their own */
#define REGIONS_MAX 16384 /* of a file with holes; with more it goes without them */

/* The first name of a link group in this archive. */
struct link {
    uint64_t group; /* 0: free */
    char *name;
};

struct tar {
    struct archive *archive;
    struct content *content;
    struct repo *repo;
    int fd;
    struct slice top;   /* with `strip`, the folder whose content it is */
    size_t strip;       /* bytes of a path that go */
    bool given_up;      /* nothing is written any more */
    struct err *error;  /* where write_out() tells its own */
    struct link *links; /* open addressing, twice LINKS_MAX */
    size_t link_count;
};

static la_ssize_t
write_out(struct archive *a, void *arg, const void *data, size_t len)
{
    struct tar *t = arg;

    (void)a;
    if (t->given_up)
        return -1;
    return fs_write_all(t->fd, slice_of(data, len), t->error) < 0 ? -1 : (la_ssize_t)len;
}

/* The error of write_out(), or libarchive's own. */
static int
failed(struct tar *t, struct err *e)
{
    if (e->kind == ERR_NONE) {
        const char *why = archive_error_string(t->archive);
        err_set(e, ERR_IO, archive_errno(t->archive), "making the archive: %s",
                why ? why : "no cause was told");
    }
    return -1;
}

static struct link *
link_of(struct tar *t, uint64_t group)
{
    size_t i = (size_t)(group * 0x9e3779b97f4a7c15u >> 32) % (2 * LINKS_MAX);

    if (!t->links)
        t->links = mem_zalloc(2 * LINKS_MAX * sizeof *t->links);
    while (t->links[i].group && t->links[i].group != group)
        i = (i + 1) % (2 * LINKS_MAX);
    return &t->links[i];
}

/* The name in this archive that `name` is a further one of; NULL: none. */
static const char *
first_name(struct tar *t, const struct entry *en, const char *name)
{
    if (!en->link_group || en->type == ENTRY_DIR)
        return NULL;
    struct link *l = link_of(t, en->link_group);
    if (l->group)
        return l->name;
    if (t->link_count < LINKS_MAX) {
        *l = (struct link){ en->link_group, mem_strdup(name) };
        t->link_count++;
    }
    return NULL;
}

/* The regions of a file that hold data. */
struct regions {
    struct archive_entry *entry;
    bool holes;
    unsigned count;
    uint64_t from, to; /* the region being gathered */
};

static void
end_region(struct regions *r)
{
    if (r->to > r->from && ++r->count <= REGIONS_MAX)
        archive_entry_sparse_add_entry(r->entry, (la_int64_t)r->from,
                                       (la_int64_t)(r->to - r->from));
}

static int
note_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct regions *r = arg;

    (void)e;
    if (chunk_id_is_hole(&x->id)) {
        r->holes = true;
        return 0;
    }
    if (at != r->to) {
        end_region(r);
        r->from = at;
    }
    r->to = at + x->len;
    return 0;
}

static int
put_regions(struct tar *t, struct archive_entry *ae, const struct entry *en,
            struct err *e)
{
    struct regions r = { .entry = ae };

    if (extent_each(en, repo_load_node, t->repo, note_extent, &r, e) < 0)
        return -1;
    end_region(&r);
    if (!r.holes || r.count > REGIONS_MAX)
        archive_entry_sparse_clear(ae);
    else if (r.count == 0)
        archive_entry_sparse_add_entry(ae, 0, 0); /* libarchive's sign for only a hole */
    return 0;
}

static int
write_data(void *arg, struct slice data, struct err *e)
{
    struct tar *t = arg;

    while (data.len > 0) {
        la_ssize_t n = archive_write_data(t->archive, data.ptr, data.len);
        if (n <= 0)
            return failed(t, e);
        data = slice_sub(data, (size_t)n, data.len - (size_t)n);
    }
    return 0;
}

static int
write_entry(struct tar *t, struct archive_entry *ae, const struct entry *en,
            struct err *e)
{
    struct slice rest = slice_sub(en->path, t->strip, en->path.len - t->strip);
    AUTOFREE char *name = tar_text(rest);
    const char *first = first_name(t, en, name);
    bool bytes = en->type == ENTRY_FILE && en->size > 0 && !first;
    struct content_sink to = { write_data, NULL, t }; /* zeros in holes are dropped */

    archive_entry_copy_pathname(ae, name);
    tar_meta(ae, en);
    if (first)
        archive_entry_copy_hardlink(ae, first);
    else
        archive_entry_set_size(ae, en->type == ENTRY_FILE ? (la_int64_t)en->size : 0);
    if (bytes && put_regions(t, ae, en, e) < 0)
        return -1;
    int rc = archive_write_header(t->archive, ae);
    if (rc < ARCHIVE_WARN)
        return failed(t, e);
    if (rc == ARCHIVE_WARN)
        log_info("/%s: %s", text_of_name(en->path), archive_error_string(t->archive));
    return bytes ? content_write(t->content, en, &to, e) : 0;
}

static int
put_entry(void *arg, const struct entry *en, struct err *e)
{
    struct tar *t = arg;

    if (t->strip && en->path.len <= t->top.len)
        return en->type == ENTRY_DIR
                 ? 0
                 : err_set(e, ERR_USAGE, 0, "/%s is no folder", text_of_name(en->path));
    struct archive_entry *ae = archive_entry_new();
    int rc = write_entry(t, ae, en, e);
    archive_entry_free(ae);
    return rc < 0 ? err_in(e, "/%s", text_of_name(en->path)) : 0;
}

/* Full pax, for the nanoseconds; attributes in the one form that both GNU tar
 * and libarchive read. */
static int
write_archive(struct tar *t, const struct snapshot *s, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, repo_load_node, t->repo);
    struct archive *a = t->archive;

    if (archive_write_set_format_pax(a) != ARCHIVE_OK
        || archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY")
               != ARCHIVE_OK
        || archive_write_set_bytes_per_block(a, 65536) != ARCHIVE_OK
        || archive_write_set_bytes_in_last_block(a, 10240) != ARCHIVE_OK
        || archive_write_open(a, t, NULL, write_out, NULL) != ARCHIVE_OK)
        return failed(t, e);
    if (tree_walk(m, t->top, true, put_entry, t, e) < 0)
        return -1;
    return archive_write_close(a) == ARCHIVE_OK ? 0 : failed(t, e);
}

int
tree_dump_tar(struct repo *r, const struct snapshot *s, struct slice path, bool content,
              int fd, struct err *e)
{
    /* Names in pax are UTF-8, or marked as bytes when they are not; libarchive
     * asks the locale what ours are. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    struct tar t = { .archive = archive_write_new(),
                     .content = content_new(r),
                     .repo = r,
                     .fd = fd,
                     .top = path,
                     .error = e,
                     .strip = content && path.len > 0 ? path.len + 1 : 0 };
    int rc = write_archive(&t, s, e);

    t.given_up = rc < 0; /* closing would write an end */
    archive_write_free(t.archive);
    content_free(t.content);
    for (size_t i = 0; t.links && i < (size_t)2 * LINKS_MAX; i++)
        mem_free(t.links[i].name);
    mem_free(t.links);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return rc;
}
