/*
 * impl: what the files of this driver share.
 */
#ifndef STORAGE_DIR_IMPL_H
#define STORAGE_DIR_IMPL_H

#include "storage/driver.h"

#include <pthread.h>

#define SYNCED_MAX 1024 /* folders remembered; a power of two */

struct dir {
    struct storage base; /* first: a struct dir is a struct storage */
    char *root;
    pthread_mutex_t lock;
    char *synced[SYNCED_MAX]; /* folders known to survive a loss of power */
};

/* A file under a hidden name; it vanishes unless it was renamed. */
struct temp {
    int root;
    int fd; /* -1: none */
    char name[STORAGE_KEY_MAX + 32];
};

struct dir *dir_of(struct storage *s);

/* An errno of the folder's file system, as a storage tells it: what is no
 * matter of rights or space means that the place did not answer. */
int dir_failed(const struct dir *d, int cause, const char *what, const char *key,
               struct err *e);
MUST_USE int dir_open_root(const struct dir *d, int *out, struct err *e);

/* The length of the part of `key` before its last '/'; 0: none. */
size_t dir_parent_len(const char *key);
MUST_USE int dir_sync_folder(const struct dir *d, int root, const char *folder,
                             struct err *e);

/* A new hidden file beside `key`; makes the folders on the way. */
MUST_USE int temp_open(const struct dir *d, const char *key, struct temp *t,
                       struct err *e);
void temp_abort(struct temp *t);

int dir_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
            struct err *e);

#endif
