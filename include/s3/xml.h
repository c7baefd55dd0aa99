/* xml: the answers of an S3 server, leaf by leaf. */
#ifndef S3_XML_H
#define S3_XML_H

#include "base/buf.h"

/* Told at the end of each element: its path without namespaces, such as
 * "ListBucketResult/Contents/Key", and its text ("" if it has children). */
typedef void xml_leaf_fn(void *arg, const char *path, const char *text);

#define XML_TEXT_MAX ((size_t)8192) /* bytes of one text */
#define XML_PATH_MAX 256

/* ERR_UNAVAIL when it is not well-formed, nested too deeply, or declares a
 * document type (no S3 answer does, and entities could blow it up). */
MUST_USE int xml_read(struct slice text, xml_leaf_fn *fn, void *arg, struct err *e);

/* Appends `text` with the five special characters escaped. */
void xml_escape(struct buf *out, const char *text);

#endif
