/*
 * lab: a repository on three targets, a source, and what goes wrong: what the tests
 * of whole runs share.
 */
#ifndef TESTS_SUPPORT_LAB_H
#define TESTS_SUPPORT_LAB_H

#include "engine/backup.h"
#include "engine/sync.h"
#include "engine/verify.h"
#include "support/fixture.h"

#define TARGETS 3
#define DAY 86400 /* seconds */
#define BIG ((size_t)400 << 10)

struct lab {
    struct site site;
    struct conf bare; /* of a machine with no state */
    char *src;
    char *paths[2];
    char *argv[4];
    struct conf_source source;
    struct fault_plan plans[TARGETS];
    struct storage *faults[TARGETS]; /* while the repository is open */
    unsigned calls[TARGETS], hits;   /* as of lab_count() */
    struct hook hook;
    size_t hooked;             /* the target that has it; TARGETS: none */
    atomic_uint condemnations; /* marks that the hook still puts */
    const char *condemn_at;    /* behind the put of a key that begins so */
    struct backup_result result;
    uint64_t told; /* bytes done, as the last tick told */
    struct err e;
};

void lab_init(struct lab *l);   /* fills the source */
void lab_attach(struct lab *l); /* to a site that is there */
void lab_release(struct lab *l);

#define LAB(name)                         \
    CLEANUP(lab_release) struct lab name; \
    lab_init(&name)

/* Opens the repository for writing and starts the lanes; site_close() ends it. */
void lab_open(struct lab *l);
int lab_try(struct lab *l); /* the same, where it may fail: -1 and l->e */
/* How many calls were made to each target, and how many of all were broken. */
void lab_count(struct lab *l);
/* Target `i` becomes a new disk and a target again, which lacks all that sync copies;
 * leaves the repository open. */
void lab_new_disk(struct lab *l, size_t i);
/* Another repository, for reading. With `fresh` as on a machine that has nothing but
 * the key; one such at a time. */
struct repo *lab_reader(struct lab *l, bool fresh);
/* Only opens it; where it may fail: -1 and l->e. */
int lab_try_reader(struct lab *l, bool fresh, struct repo **out);

/* Small files for a bundle, a big one, one with a hole, a link, a folder. */
void fill_source(struct lab *l);
void change_source(struct lab *l, unsigned round);

int back_up_open(struct lab *l, unsigned threads); /* after lab_open() */
int back_up(struct lab *l, unsigned threads); /* a whole run, as the command makes it */
void back_up_well(struct lab *l);
void sync_well(struct lab *l);
void no_faults(struct lab *l);
/* Looks from another machine at what the targets hold, and changes nothing. */
void lab_look(struct lab *l, unsigned level, struct verify_result *res);
/* Every target, read whole, holds every snapshot whole. */
void verify_well(struct lab *l, unsigned snapshots);
void lab_on_damage(void *arg, const struct verify_damage *d); /* prints it */
/* What lies below the folder "restored" is the source; with `some` all of it that has
 * its final name is, and it may be less. */
void restored_well(struct lab *l, bool some);
/* The newest snapshot, all of it, into a folder that is removed before. */
void restore_into(struct lab *l, const char *to, bool fresh);
/* The newest snapshot, restored, is the source. */
void restore_well(struct lab *l, bool fresh);

/* A storage_list_fn; arg is a buf that gets the keys of packs, with their NULs. */
int lab_take_key(void *arg, const struct object_info *o, struct err *e);
/* The names of target i's packs of data, or of those of metadata. */
void packs_of(struct lab *l, size_t i, bool data, struct buf *names);
/* Names all packs of data that target `i` has in a mark of maintenance there;
 * the names go to `names` (may be NULL). The repository is open. */
void condemn(struct lab *l, size_t i, struct buf *names);
void remove_packs(struct lab *l, size_t i, struct slice names);
bool has_pack(struct lab *l, size_t i, const uint8_t name[32]);

/* On how many snapshots can target `i` be relied? */
unsigned complete_on(struct lab *l, size_t i);
void sync_open(struct lab *l, struct sync_result *res); /* after lab_open() */
void sync_once(struct lab *l, struct sync_result *res);
/* How many snapshots wait to be complete on a target? The repository is open. */
size_t rows_of(struct lab *l, const char *target);

void remove_objects(struct lab *l, size_t i, const char *folder);
/* Calls fn for each file below a folder. */
void each_file(const char *path, void (*fn)(const char *path, int64_t arg), int64_t arg);
void garble(const char *path, int64_t unused); /* for each_file() */
void age_objects(struct lab *l, size_t i, const char *folder, int64_t seconds);
/* Deletes all packs of data, or of metadata, from all targets but the last `left`. */
void lose_packs(struct lab *l, size_t left, bool data, struct buf *names);

#endif
