/* recover_point: the settings by which a restored server replays its log. */
#ifndef ENGINE_RECOVER_POINT_H
#define ENGINE_RECOVER_POINT_H

#include "engine/recover.h"

/* Entries of a snapshot that would tell the server otherwise, as patterns. */
#define RECOVER_SIGNALS "/standby.signal", "/recovery.signal"

/* Into the data folder, which is restored but for its control file. What an earlier
 * recovery left there goes. The files get mode 0600. */
MUST_USE int recover_write_point(const char *dir, const struct recover_point *p,
                                 struct err *e);

#endif
