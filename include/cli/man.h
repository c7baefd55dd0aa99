/*
 * man: manual pages in mdoc, made from the tables and man/NAME.prose.
 *
 * The prose holds what no table knows: text of DESCRIPTION, then sections of
 * its own. It is mdoc already. CAVEATS, BUGS and SECURITY CONSIDERATIONS go to
 * the end, the others behind the options. A page without prose is whole too.
 */
#ifndef CLI_MAN_H
#define CLI_MAN_H

#include "base/buf.h"
#include "cli/options.h"

#define MAN_MAX ((size_t)1 << 20) /* bytes of a page: the maximum of `out` */

/* The file names of all generated pages, one a line: "drtool-backup.1". */
void man_list(const struct command *const *table, struct buf *out);

/* The page of that file name, with prose from the folder `prose_dir`. */
MUST_USE int man_page(const struct command *const *table, const char *page,
                      const char *prose_dir, struct buf *out, struct err *e);

#endif
