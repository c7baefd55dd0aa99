/*
 * xattr: extended attributes of what lies at a descriptor or below one.
 *
 * Kept are user.*, trusted.*, POSIX ACLs and security.* but for the labels
 * that the running system gives by itself (SELinux, IMA, EVM).
 */
#ifndef SOURCE_XATTR_H
#define SOURCE_XATTR_H

#include "base/buf.h"

#define XATTR_AT_MAX 4400 /* bytes of a path made by xattr_at() */
#define XATTR_ROOM 65536  /* the kernel's limit for one value and for all names */

/* "/proc/self/fd/N/NAME": the l-calls on it do not follow a link at NAME and
 * need no open of what lies there. */
void xattr_at(char out[XATTR_AT_MAX], int dir, const char *name);

bool xattr_kept(const char *name);

struct xattr_reader {
    char *names;    /* room for XATTR_ROOM */
    uint8_t *value; /* the same */
};

void xattr_reader_init(struct xattr_reader *r);
void xattr_reader_release(struct xattr_reader *r);

/* Told of an attribute that was left out. */
typedef void xattr_issue_fn(void *arg, const char *name, int cause);

/* Appends the attributes at `path`, sorted by name, in the encoding of
 * entry_xattr_put(). One system call when there are none. Returns 0 or an
 * errno; E2BIG in `issue` is the limit of one entry. */
int xattr_read(struct xattr_reader *r, const char *path, bool follow, struct buf *out,
               xattr_issue_fn *issue, void *arg);

#endif
