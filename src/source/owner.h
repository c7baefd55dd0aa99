/*
 * owner: names of users and groups from their numbers and back.
 *
 * A small cache, since asking the system may mean asking a directory server;
 * a tree has few owners. Calls may be made from several threads.
 */
#ifndef SOURCE_OWNER_H
#define SOURCE_OWNER_H

#include "source/entry.h"

struct owners;

enum owner_kind { OWNER_USER, OWNER_GROUP };

struct owners *owners_new(void);
void owners_free(struct owners *o);

/* Fills the names of the entry's user and group, empty when they have none. They lie in
 * the two buffers. */
void owner_describe(struct owners *o, struct entry *en, struct buf *user,
                    struct buf *group);

/* The number of `name` here, or `otherwise` when it is not known (or empty). */
uint32_t owner_id(struct owners *o, enum owner_kind kind, struct slice name,
                  uint32_t otherwise);

#endif
