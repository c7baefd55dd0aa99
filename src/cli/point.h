/*
 * point: the options that say to which moment a server is brought back.
 */
#ifndef CLI_POINT_H
#define CLI_POINT_H

#include "cli/app.h"
#include "engine/recover.h"

struct point_options {
    bool to_snapshot, to_latest, no_archive;
    const char *to_time, *to_lsn, *to_xid, *to_name, *timeline;
};

/* How many were given, 0 or 1, and then *p; ERR_USAGE. */
MUST_USE int point_take(const struct point_options *o, struct recover_point *p,
                        struct err *e);
/* How the server on this machine asks for its log: by this program, with this
 * configuration; freed by the caller. */
MUST_USE int point_command(const struct app *app, char **out, struct err *e);
void point_tell(struct app *app, const struct recover_point *p);

#endif
