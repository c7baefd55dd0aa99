/*
 * key: the path under which an object stands in a snapshot.
 *
 * A key may be any bytes but NUL, a path may not. The key's parts become the path's, and
 * what cannot stand there is written so that it can be read back:
 *
 *   %XX  a byte: '%' itself, and the dots of a part that is "." or ".."
 *   %-   at the end of a folder's name: the part was too long, and goes on in the next
 *   %    at the end of a name: nothing. It makes a name of an empty part, and another
 *        one of an object beside which there is a folder of the same name
 *
 * Pure functions. No two keys have the same path.
 */
#ifndef SOURCE_BUCKET_KEY_H
#define SOURCE_BUCKET_KEY_H

#include "base/buf.h"

#define KEY_MAX 1024      /* bytes, as S3 has it */
#define KEY_PATH_MAX 4096 /* bytes that its path can have */

struct key_path {
    const char *key;
    size_t len;
    size_t at; /* so many bytes of the key make up the path so far */
    struct buf path;
};

#define KEY_PATH ((struct key_path){ .path = BUF(KEY_PATH_MAX) })

/* `len` is at most KEY_MAX; the key is borrowed until the next begin. */
void key_path_begin(struct key_path *p, const char *key, size_t len);
void key_path_release(struct key_path *p);

/* True, and `path` is the next of the folders that the key is below; it depends on the
 * first `at` bytes of the key alone. */
bool key_path_folder(struct key_path *p);

/* When there are no more: appends the name of the object, `beside` a folder or not. */
void key_path_name(struct key_path *p, bool beside);

/* "a/b/": it names a folder, and what it holds, if anything, is the folder's. */
bool key_is_folder(const char *key, size_t len);

#endif
