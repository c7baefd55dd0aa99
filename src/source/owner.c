#include "owner.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <string.h>

#define SLOTS 64
#define NAME_LENGTH_MAX 255
#define ANSWER_MAX ((size_t)1 << 20) /* a group with very many members */

struct slot {
    char *name; /* NULL: free, or no such number */
    uint32_t id;
    bool used, known;
};

struct owners {
    pthread_mutex_t lock;
    struct slot by_id[2][SLOTS];
    struct slot by_name[2][SLOTS];
};

struct owners *
owners_new(void)
{
    struct owners *o = mem_zalloc(sizeof *o);

    pthread_mutex_init(&o->lock, NULL);
    return o;
}

void
owners_free(struct owners *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        for (size_t kind = 0; kind < 2; kind++) {
            mem_free(o->by_id[kind][i].name);
            mem_free(o->by_name[kind][i].name);
        }
    pthread_mutex_destroy(&o->lock);
    mem_free(o);
}

/* One question to the system: by `name`, or by `*id` when it is NULL. */
static int
ask_once(enum owner_kind kind, const char *name, uint32_t *id, char *buf, size_t size,
         char **found)
{
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    int rc;

    *found = NULL;
    if (kind == OWNER_USER)
        rc = name ? getpwnam_r(name, &pw, buf, size, &user)
                  : getpwuid_r(*id, &pw, buf, size, &user);
    else
        rc = name ? getgrnam_r(name, &gr, buf, size, &group)
                  : getgrgid_r(*id, &gr, buf, size, &group);
    if (user) {
        *found = user->pw_name;
        *id = user->pw_uid;
    }
    if (group) {
        *found = group->gr_name;
        *id = group->gr_gid;
    }
    return rc;
}

/* Fills the slot; what the system cannot tell now counts as unknown. */
static void
ask(enum owner_kind kind, const char *name, struct slot *s)
{
    size_t size = 1024;
    AUTOFREE char *buf = mem_alloc(size);
    char *found;

    while (ask_once(kind, name, &s->id, buf, size, &found) == ERANGE
           && size < ANSWER_MAX) {
        size *= 4;
        buf = mem_resize(buf, size);
    }
    s->known = found != NULL;
    s->name = mem_strdup(name ? name : found);
    s->used = true;
}

/* Appends the name of `id`, or nothing when it has none. */
static void
put_name(struct owners *o, enum owner_kind kind, uint32_t id, struct buf *out)
{
    pthread_mutex_lock(&o->lock);
    struct slot *s = &o->by_id[kind][id % SLOTS];
    if (!s->used || s->id != id) {
        mem_free(s->name);
        *s = (struct slot){ .id = id };
        ask(kind, NULL, s);
    }
    if (s->known && strlen(s->name) <= NAME_LENGTH_MAX)
        buf_put_str(out, s->name);
    pthread_mutex_unlock(&o->lock);
}

void
owner_describe(struct owners *o, struct entry *en, struct buf *user, struct buf *group)
{
    buf_clear(user);
    buf_clear(group);
    put_name(o, OWNER_USER, en->uid, user);
    put_name(o, OWNER_GROUP, en->gid, group);
    en->user = buf_slice(user);
    en->group = buf_slice(group);
}

static size_t
slot_of(const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    return h % SLOTS;
}

uint32_t
owner_id(struct owners *o, enum owner_kind kind, struct slice name, uint32_t otherwise)
{
    char text[NAME_LENGTH_MAX + 1];

    if (name.len == 0 || name.len >= sizeof text || memchr(name.ptr, 0, name.len))
        return otherwise;
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    pthread_mutex_lock(&o->lock);
    struct slot *s = &o->by_name[kind][slot_of(text)];
    if (!s->used || strcmp(s->name, text) != 0) {
        mem_free(s->name);
        *s = (struct slot){ 0 };
        ask(kind, text, s);
    }
    uint32_t id = s->known ? s->id : otherwise;
    pthread_mutex_unlock(&o->lock);
    return id;
}
