/*
 * placing: what the files of `place` share.
 *
 * parents.c finds the folder of an entry, place_dir.c makes folders,
 * place_meta.c sets metadata, place_links.c keeps hard links, place.c has the
 * rest.
 *
 * Locks: `lock` guards the cache of folders, the links folder and the mounts;
 * it is held over no more than making that folder.
 */
#ifndef SOURCE_FILES_PLACING_H
#define SOURCE_FILES_PLACING_H

#include "../owner.h"

#include "source/place.h"

#include <pthread.h>
#include <stdatomic.h>

#define PARENTS_KEPT 32 /* open folders */
#define MOUNTS_MAX 64   /* other file systems below the destination */
#define PART_MAX 4096   /* bytes of one name with its NUL */
#define HIDDEN_MAX 32   /* bytes of a hidden name with its NUL */

/* An open folder, O_PATH. Closed when nobody uses it any more. */
struct parent {
    int fd;
    char *path;
    size_t len;
    bool fresh;    /* we have made it: nothing was there before */
    unsigned refs; /* the cache has one */
    uint64_t used;
};

struct place {
    int dir;
    struct place_options o;
    bool root;
    dev_t dev;
    struct owners *owners;
    atomic_bool stepwise; /* there is no openat2() */
    atomic_bool inherits; /* a folder that was there hands its ACL to new entries */

    pthread_mutex_t lock;
    struct parent *top;
    struct parent *cache[PARENTS_KEPT];
    uint64_t clock;
    int links; /* -1: no folder of links */
    char links_name[HIDDEN_MAX];
    int mounts[MOUNTS_MAX];
    dev_t mount_devs[MOUNTS_MAX];
    size_t mount_count;
};

/* Where an entry goes: a name in an open folder. */
struct spot {
    struct place *place; /* NULL: none */
    struct parent *parent;
    int dir;
    char name[PART_MAX];
};

/* ERR_CORRUPT for a path that is none, ERR_NOT_FOUND when the folder is not
 * there, ERR_EXISTS when something else is in its place. */
MUST_USE int spot_open(struct place *p, struct slice path, struct spot *out,
                       struct err *e);
void spot_release(struct spot *s);
#define SPOT_NONE ((struct spot){ .place = NULL })

/* Puts a folder just opened, or made, into the cache; takes `fd` (O_PATH). */
void parents_add(struct place *p, struct slice path, int fd, bool fresh);
void parents_release(struct place *p);

/* Metadata goes to `fd`, or with fd -1 to `name` in `dir`, following no link. */
struct meta_at {
    int fd;
    int dir;
    const char *name;
};

/* Owner, mode, xattrs, times in the order in which none undoes another. With
 * `prune`, attributes that the entry does not have are removed. */
MUST_USE int meta_set(struct place *p, const struct meta_at *at, const struct entry *en,
                      bool prune, struct err *e);
/* Removes the ACLs that a new entry got from its folder. */
void meta_disinherit(const struct meta_at *at);
/* True for what a person without rights, or a simpler file system, cannot do. */
bool meta_tolerable(int cause);
void place_issue(struct place *p, struct slice path, const char *what, int cause);

/* Takes note when the folder `fd` hands an ACL to what is made in it. */
void place_note_inheritance(struct place *p, int fd);
void place_hidden_name(const char *name, char out[HIDDEN_MAX]);
/* Gives the hidden entry its final name; removes it when that fails. */
MUST_USE int place_rename(const struct spot *s, const char *hidden, struct slice path,
                          struct err *e);
/* "PATH is a folder" and such, as ERR_EXISTS. */
int place_in_the_way(struct err *e, struct slice path, const char *what);

#endif
