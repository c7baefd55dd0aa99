#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/tree.h"

#include "tree_content.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 65536 /* link groups remembered; more become files of their own */

struct tar {
    struct repo *repo;
    struct archive *archive;
    int fd;
    struct err *error; /* of writing, which libarchive cannot carry */
    struct link {
        uint64_t group; /* 0: free */
        char *path;
    } * links; /* open addressing */
    size_t link_count;
};

static la_ssize_t
write_out(struct archive *a, void *arg, const void *data, size_t len)
{
    struct tar *t = arg;

    (void)a;
    return fs_write_all(t->fd, slice_of(data, len), t->error) < 0 ? -1 : (la_ssize_t)len;
}

static int
failed(struct tar *t, struct err *e)
{
    if (e->kind == ERR_NONE)
        err_set(e, ERR_IO, archive_errno(t->archive), "writing the archive: %s",
                archive_error_string(t->archive));
    return -1;
}

/* The kernel's ACL attribute: version u32, then tag u16, permissions u16, id u32. */
static void
put_acl(struct archive_entry *ae, struct slice value, int type)
{
    static const struct {
        unsigned tag;
        int to;
    } tags[] = { { 1, ARCHIVE_ENTRY_ACL_USER_OBJ },  { 2, ARCHIVE_ENTRY_ACL_USER },
                 { 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ }, { 8, ARCHIVE_ENTRY_ACL_GROUP },
                 { 16, ARCHIVE_ENTRY_ACL_MASK },     { 32, ARCHIVE_ENTRY_ACL_OTHER } };
    struct reader r = reader_of(value);

    read_u32(&r);
    while (!r.bad && r.left > 0) {
        unsigned tag = read_u16(&r), perm = read_u16(&r);
        uint32_t id = read_u32(&r);
        int permset = (perm & 4 ? ARCHIVE_ENTRY_ACL_READ : 0)
                    | (perm & 2 ? ARCHIVE_ENTRY_ACL_WRITE : 0)
                    | (perm & 1 ? ARCHIVE_ENTRY_ACL_EXECUTE : 0);
        for (size_t i = 0; i < COUNT_OF(tags) && !r.bad; i++)
            if (tags[i].tag == tag)
                archive_entry_acl_add_entry(ae, type, permset, tags[i].to,
                                            tag == 2 || tag == 8 ? (int)id : -1, NULL);
    }
}

static void
put_xattrs(struct archive_entry *ae, struct slice xattrs)
{
    struct reader r = reader_of(xattrs);
    struct slice name, value;

    while (entry_xattr_next(&r, &name, &value)) {
        AUTOFREE char *text = mem_printf("%.*s", (int)name.len, (const char *)name.ptr);
        if (strcmp(text, "system.posix_acl_access") == 0)
            put_acl(ae, value, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
        else if (strcmp(text, "system.posix_acl_default") == 0)
            put_acl(ae, value, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
        else
            archive_entry_xattr_add_entry(ae, text, value.ptr, value.len);
    }
}

static char *
text_of(struct slice s)
{
    return mem_printf("%.*s", (int)s.len, (const char *)s.ptr);
}

/* The first name of a link group in this archive; NULL: this is it. */
static const char *
first_name(struct tar *t, const struct entry *en)
{
    size_t i = (size_t)(en->link_group * 0x9e3779b97f4a7c15u >> 32) % (2 * LINKS_MAX);

    if (!en->link_group)
        return NULL;
    if (!t->links)
        t->links = mem_zalloc(2 * LINKS_MAX * sizeof *t->links);
    while (t->links[i].group && t->links[i].group != en->link_group)
        i = (i + 1) % (2 * LINKS_MAX);
    if (t->links[i].group)
        return t->links[i].path;
    if (t->link_count < LINKS_MAX) {
        t->links[i] = (struct link){ en->link_group, text_of(en->path) };
        t->link_count++;
    }
    return NULL;
}

/* The data regions of a file with holes. */
struct regions {
    struct archive_entry *entry; /* NULL: only look for holes */
    bool holes;
    uint64_t from, to; /* the region being gathered */
};

static int
note_region(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct regions *r = arg;

    (void)e;
    if (chunk_id_is_hole(&x->id)) {
        r->holes = true;
        return 0;
    }
    if (at != r->to) {
        if (r->entry && r->to > r->from)
            archive_entry_sparse_add_entry(r->entry, (la_int64_t)r->from,
                                           (la_int64_t)(r->to - r->from));
        r->from = at;
    }
    r->to = at + x->len;
    return 0;
}

static int
put_regions(struct tar *t, struct archive_entry *ae, const struct entry *en,
            struct err *e)
{
    struct regions look = { .entry = NULL }, put = { .entry = ae };

    if (extent_each(en, repo_load_node, t->repo, note_region, &look, e) < 0)
        return -1;
    if (!look.holes)
        return 0;
    if (extent_each(en, repo_load_node, t->repo, note_region, &put, e) < 0)
        return -1;
    archive_entry_sparse_add_entry(ae, (la_int64_t)put.from,
                                   (la_int64_t)(put.to - put.from));
    return 0;
}

static int
fill(struct tar *t, struct archive_entry *ae, const struct entry *en, struct err *e)
{
    AUTOFREE char *path = text_of(en->path);
    AUTOFREE char *user = text_of(en->user), *group = NULL;
    AUTOFREE char *target = text_of(en->target);
    const char *first = en->type == ENTRY_DIR ? NULL : first_name(t, en);

    group = text_of(en->group);
    archive_entry_copy_pathname(ae, path);
    archive_entry_set_mode(ae, entry_st_mode(en));
    archive_entry_set_uid(ae, en->uid);
    archive_entry_set_gid(ae, en->gid);
    if (*user)
        archive_entry_copy_uname(ae, user);
    if (*group)
        archive_entry_copy_gname(ae, group);
    archive_entry_set_mtime(ae, (time_t)en->mtime_s, (long)en->mtime_ns);
    if (en->type == ENTRY_LINK)
        archive_entry_copy_symlink(ae, target);
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        archive_entry_set_rdev(ae, (dev_t)en->rdev);
    put_xattrs(ae, en->xattrs);
    if (first) {
        archive_entry_copy_hardlink(ae, first);
        return 0;
    }
    archive_entry_set_size(ae, en->type == ENTRY_FILE ? (la_int64_t)en->size : 0);
    if (en->type != ENTRY_FILE || en->size == 0)
        return 0;
    return put_regions(t, ae, en, e);
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
put_entry(void *arg, const struct entry *en, struct err *e)
{
    struct tar *t = arg;
    struct archive_entry *ae = archive_entry_new();

    t->error = e;
    int rc = fill(t, ae, en, e);
    if (rc == 0 && archive_write_header(t->archive, ae) < ARCHIVE_WARN)
        rc = failed(t, e);
    if (rc == 0 && en->type == ENTRY_FILE && !archive_entry_hardlink(ae))
        rc = content_write(t->repo, en, write_data, t, e);
    archive_entry_free(ae);
    return rc < 0 ? err_in(e, "/%s", text_of_name(en->path)) : 0;
}

int
tree_dump_tar(struct repo *r, const struct snapshot *s, struct slice path, int fd,
              struct err *e)
{
    struct tar t = { .repo = r, .fd = fd, .error = e, .archive = archive_write_new() };
    int rc = 0;

    archive_write_set_format_pax_restricted(t.archive);
    archive_write_set_bytes_in_last_block(t.archive, 1);
    if (archive_write_open(t.archive, &t, NULL, write_out, NULL) != ARCHIVE_OK)
        rc = failed(&t, e);
    if (rc == 0)
        rc = tree_list(r, s, path, true, put_entry, &t, e);
    if (rc == 0 && archive_write_close(t.archive) != ARCHIVE_OK)
        rc = failed(&t, e);
    archive_write_free(t.archive);
    for (size_t i = 0; t.links && i < 2 * LINKS_MAX; i++)
        mem_free(t.links[i].path);
    mem_free(t.links);
    return rc;
}
