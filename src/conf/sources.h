/*
 * sources: the keys of a configuration's sources, and what the keys cannot say.
 */
#ifndef CONF_SOURCES_H
#define CONF_SOURCES_H

#include "conf/config.h"

extern const struct conf_key source_keys[]; /* of a struct conf_source */
extern const struct conf_source source_defaults;

/* `list` is the configuration's node. ERR_USAGE with its line for what does not go
 * together; finds the kind of each and fills defaults that depend on other keys. */
MUST_USE int sources_check(struct conf *c, const struct yaml_node *list, struct err *e);

#endif
