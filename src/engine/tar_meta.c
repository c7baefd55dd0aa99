#include "tar_meta.h"

#include <archive_entry.h>
#include <string.h>

#define ACL_VERSION 2 /* of the kernel's attributes */

char *
tar_text(struct slice s)
{
    return mem_printf("%.*s", (int)s.len, s.len ? (const char *)s.ptr : "");
}

static int
permissions_of(unsigned bits)
{
    return (bits & 4 ? ARCHIVE_ENTRY_ACL_READ : 0)
         | (bits & 2 ? ARCHIVE_ENTRY_ACL_WRITE : 0)
         | (bits & 1 ? ARCHIVE_ENTRY_ACL_EXECUTE : 0);
}

/* The kernel's ACL attribute: version u32, then tag u16, permissions u16, id u32.
 * One that is something else goes as the bytes it is: false. */
static bool
put_acl(struct archive_entry *ae, struct slice value, int type)
{
    static const struct {
        unsigned tag;
        int to;
        bool named;
    } tags[] = {
        { 1, ARCHIVE_ENTRY_ACL_USER_OBJ, false },  { 2, ARCHIVE_ENTRY_ACL_USER, true },
        { 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ, false }, { 8, ARCHIVE_ENTRY_ACL_GROUP, true },
        { 16, ARCHIVE_ENTRY_ACL_MASK, false },     { 32, ARCHIVE_ENTRY_ACL_OTHER, false }
    };
    struct reader r = reader_of(value);

    if (value.len % 8 != 4 || read_u32(&r) != ACL_VERSION)
        return false;
    while (r.left > 0) {
        unsigned tag = read_u16(&r), bits = read_u16(&r);
        uint32_t id = read_u32(&r);
        for (size_t i = 0; i < COUNT_OF(tags); i++)
            if (tags[i].tag == tag)
                archive_entry_acl_add_entry(ae, type, permissions_of(bits), tags[i].to,
                                            tags[i].named ? (int)id : -1, NULL);
    }
    return true;
}

static void
put_xattrs(struct archive_entry *ae, struct slice xattrs)
{
    struct reader r = reader_of(xattrs);
    struct slice name, value;

    while (entry_xattr_next(&r, &name, &value)) {
        AUTOFREE char *text = tar_text(name);
        if (strcmp(text, "system.posix_acl_access") == 0
            && put_acl(ae, value, ARCHIVE_ENTRY_ACL_TYPE_ACCESS))
            continue;
        if (strcmp(text, "system.posix_acl_default") == 0
            && put_acl(ae, value, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT))
            continue;
        archive_entry_xattr_add_entry(ae, text, value.len ? (const void *)value.ptr : "",
                                      value.len);
    }
}

void
tar_meta(struct archive_entry *ae, const struct entry *en)
{
    AUTOFREE char *user = tar_text(en->user), *group = NULL;

    group = tar_text(en->group);
    archive_entry_set_mode(ae, entry_st_mode(en));
    archive_entry_set_uid(ae, en->uid);
    archive_entry_set_gid(ae, en->gid);
    if (*user)
        archive_entry_copy_uname(ae, user);
    if (*group)
        archive_entry_copy_gname(ae, group);
    archive_entry_set_mtime(ae, (time_t)en->mtime_s, (long)en->mtime_ns);
    if (en->type == ENTRY_LINK) {
        AUTOFREE char *target = tar_text(en->target);
        archive_entry_copy_symlink(ae, target);
    }
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        archive_entry_set_rdev(ae, (dev_t)en->rdev);
    put_xattrs(ae, en->xattrs); /* behind the mode, which an ACL refines */
}
