/* profile: how a file's content is cut, by its name and the source's rules. */
#ifndef ENGINE_PROFILE_H
#define ENGINE_PROFILE_H

#include "codec/cut.h"
#include "source/source.h"

/* Does the file get chunks of its own, which are not compressed, because it holds
 * secrets? */
bool profile_isolates(const struct conf_source *s, struct slice path);

/* How a file that is too large for a bundle is cut; `traits` are the source's. */
const struct cut_profile *profile_cut(const struct conf_source *s, unsigned traits,
                                      struct slice path);

#endif
