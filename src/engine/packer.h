/* packer: the stage that takes everything in order: packs and manifest. */
#ifndef ENGINE_PACKER_H
#define ENGINE_PACKER_H

#include "pipeline.h"

struct packer;

/* `threaded`: packs are written by a thread of their own. */
MUST_USE int packer_new(const struct pipeline_options *o, bool threaded,
                        struct packer **out, struct err *e);
void packer_free(struct packer *p);
/* Does not keep the item; takes its list of entries. */
MUST_USE int packer_take(struct packer *p, struct item *it, struct err *e);
void packer_use_pack(struct packer *p, uint32_t pack); /* any thread */
MUST_USE int packer_finish(struct packer *p, struct manifest_root *root,
                           struct buf *packs, struct err *e);

#endif
