/*
 * place: puts entries back below one folder, and nothing outside it.
 *
 * Everything is done relative to a descriptor of the folder, part by part
 * with O_NOFOLLOW (openat2 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS where the
 * kernel has it), so that neither a path nor a link planted meanwhile leads
 * out. Files get their bytes under a hidden name beside their final one
 * (".drtool-" and 16 hex digits) and appear only by place_publish().
 * Calls for different paths may be made from several threads at once; the
 * parent folder of an entry must have been placed before.
 *
 * What a person without root cannot set (owner, devices, trusted xattrs) is
 * reported through `issue` and is no error.
 */
#ifndef SOURCE_PLACE_H
#define SOURCE_PLACE_H

#include "source/entry.h"

struct place;

enum owner_mode {
    OWNER_AUTO,    /* root: by name where it exists here, else by number; others: skip */
    OWNER_NUMERIC, /* by number */
    OWNER_SKIP,    /* leave it to the process */
};

typedef void place_issue_fn(void *arg, struct slice path, const char *what,
                            const char *why);

struct place_options {
    enum owner_mode owner;
    place_issue_fn *issue; /* any thread */
    void *arg;
};

/* Makes `dir` when it is missing. */
MUST_USE int place_open(const char *dir, const struct place_options *o,
                        struct place **out, struct err *e);
void place_close(struct place *p);
DEFINE_CLEANUP(struct place, place_close)

/* 1 and st when something lies at `path` that lay there before us, 0 when not, -1. In
 * a folder that we have made nobody is asked. */
MUST_USE int place_stat(struct place *p, struct slice path, struct stat *st,
                        struct err *e);

/* Opens what lies at `path` for reading (for --delta); a file only. */
MUST_USE int place_open_existing(struct place *p, struct slice path, int *fd,
                                 struct err *e);

/* A folder, open for us (0700) until place_dir_finish(). One that exists is
 * used; anything else in the way is ERR_EXISTS. To finish with an empty path
 * means the destination itself. */
MUST_USE int place_dir(struct place *p, const struct entry *en, struct err *e);
MUST_USE int place_dir_finish(struct place *p, const struct entry *en, struct err *e);

/* A file under its hidden name: `hidden` (at least 32 bytes) gets the name,
 * *fd is open for reading and writing; with `sized` it has the entry's size (a hole),
 * which one that gets all its bytes at once does not need. */
MUST_USE int place_file_begin(struct place *p, const struct entry *en, bool sized,
                              char *hidden, int *fd, struct err *e);
/* Sets owner, mode, xattrs and times through the descriptor and closes it. */
MUST_USE int place_file_finish(struct place *p, const struct entry *en, int fd,
                               struct err *e);
/* Gives the hidden file its final name, replacing a file or link there. With
 * `keep` an existing one stays and the hidden one is removed. */
MUST_USE int place_publish(struct place *p, struct slice path, const char *hidden,
                           bool keep, struct err *e);
/* Removes the hidden file. */
void place_discard(struct place *p, struct slice path, const char *hidden);

/* Symbolic links, fifos and devices with all their metadata: made under a
 * hidden name, then renamed. */
MUST_USE int place_special(struct place *p, const struct entry *en, struct err *e);

/* Hard links. After the first name of a link group is published,
 * place_link_note() remembers it (as a link in a hidden folder below the
 * destination, so that memory does not grow); place_link() makes a further
 * name: 1 done, 0 when the group is not known yet. place_links_end() removes
 * the hidden folder. */
MUST_USE int place_link_note(struct place *p, uint64_t group, struct slice path,
                             struct err *e);
MUST_USE int place_link(struct place *p, uint64_t group, struct slice path,
                        struct err *e);
MUST_USE int place_links_end(struct place *p, struct err *e);

/* Everything written so far is on the disk (syncfs). */
MUST_USE int place_sync(struct place *p, struct err *e);

/* Free bytes and inodes for us below the folder. */
MUST_USE int place_space(struct place *p, uint64_t *bytes, uint64_t *inodes,
                         struct err *e);

#endif
