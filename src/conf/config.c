#include "conf/config.h"
#include "home.h"
#include "s3_keys.h"
#include "sources.h"
#include "base/fs.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RATE_MIN 1024 /* bytes/s */

#define AT(field) offsetof(struct conf_limit, field)

static const struct conf_key limit_keys[] = {
    { .name = "upload", .type = CONF_SIZE, .at = AT(upload), .min = RATE_MIN,
      .max = PACE_RATE_MAX,
      .help = "Bytes a second to the target, as in 5MiB. Default: unlimited." },
    { .name = "download", .type = CONF_SIZE, .at = AT(download), .min = RATE_MIN,
      .max = PACE_RATE_MAX,
      .help = "Bytes a second from the target. Default: unlimited." },
    { .name = "from", .type = CONF_CLOCK, .at = AT(from_min),
      .help = "The local time of day at which the entry begins to count, as in 08:00. "
              "Default: it counts all day." },
    { .name = "to", .type = CONF_CLOCK, .at = AT(to_min),
      .help = "The local time of day at which it no longer counts; needed with from. "
              "When it is before from, that of the next day." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct conf_target, field)

static const struct conf_key credential_keys[] = {
    CREDENTIAL_KEYS(AT(credentials)),
    { .type = CONF_END },
};

static const struct conf_key target_keys[] = {
    { .name = "name", .type = CONF_NAME, .at = AT(name), .flags = CONF_REQUIRED,
      .help = "What commands and reports call this target; unique." },
    { .name = "url", .type = CONF_STRING, .at = AT(url), .flags = CONF_REQUIRED,
      .help = "Where it is: file:///FOLDER or s3://BUCKET[/PREFIX]." },
    { .name = "site", .type = CONF_NAME, .at = AT(site),
      .help = "What fails together with it. Default: the target is its own site." },
    { .name = "endpoint", .type = CONF_STRING, .at = AT(endpoint),
      .help = "S3: http[s]://HOST[:PORT] of the server. Default: AWS for the region." },
    { .name = "region", .type = CONF_STRING, .at = AT(region),
      .help = "S3: the region. Default: AWS_REGION, AWS_DEFAULT_REGION, or us-east-1." },
    { .name = "style", .type = CONF_ENUM, .at = AT(style), .words = conf_styles,
      .help = "S3: where the bucket's name goes, into the path or before the host. "
              "Default: auto." },
    { .name = "ca", .type = CONF_PATH, .at = AT(ca),
      .help = "File of CA certificates to trust. Default: the system's." },
    { .name = "credentials", .type = CONF_MAP, .keys = credential_keys,
      .help = "S3: who we are. Default: the environment, then the shared credentials "
              "file." },
    { .name = "read-cost", .type = CONF_COUNT, .at = AT(read_cost),
      .help = "What reading a GiB costs, in any unit: with `order: cheapest` the "
              "lowest is read first. Default: 0." },
    { .name = "limits", .type = CONF_MAPS, .at = AT(limits), .keys = limit_keys,
      .count_at = AT(limit_count), .size = sizeof(struct conf_limit),
      .help = "How many bytes a second may go to and from the target. The first entry "
              "whose hours hold the present time counts. Default: unlimited." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct conf, field)

static const char *const orders[] = { "listed", "fastest", "cheapest", NULL };
/* The index is zstd's level. */
static const char *const levels[] = { "auto", "1", "2", "3", "4", "5", "6", "7", "8", "9",
                                      "10", "11", "12", NULL };

static const struct conf_key key_keys[] = {
    { .name = "file", .type = CONF_PATH, .at = AT(key.file),
      .help = "Key file, made by init, for unattended use." },
    { .name = "passphrase", .type = CONF_SECRET, .at = AT(key.passphrase),
      .help = "Where the passphrase comes from, instead of a key file." },
    { .type = CONF_END },
};

static const struct conf_key fleet_keys[] = {
    { .name = "quorum", .type = CONF_COUNT, .at = AT(fleet.quorum), .min = 1,
      .help = "How many targets must hold a snapshot. Default: all of 1 or 2, else 2." },
    { .name = "distinct-sites", .type = CONF_BOOL, .at = AT(fleet.distinct_sites),
      .help = "The quorum must stand on at least two sites. Default: true with three or "
              "more targets on several sites and a quorum over 1." },
    { .name = "order", .type = CONF_ENUM, .at = AT(fleet.order), .words = orders,
      .help = "Which target is read first. Default: listed." },
    { .name = "spool-max", .type = CONF_SIZE, .at = AT(fleet.spool_max),
      .min = (uint64_t)256 << 20,
      .help = "What may wait on the local disk for slow targets. Default: 20 GiB." },
    { .type = CONF_END },
};

static const char *const acks[] = { "quorum", "spool", NULL };

static const struct conf_key wal_keys[] = {
    { .name = "ack", .type = CONF_BOOL, .at = AT(wal.ack_spool), .words = acks,
      .help = "When `wal push` tells the server that a file is safe: when the quorum "
              "holds it, or when it waits, synced, in the spool, which is lost with this "
              "host. Default: quorum." },
    { .name = "spool-max", .type = CONF_SIZE, .at = AT(wal.spool_max),
      .min = (uint64_t)256 << 20,
      .help = "What of the log may wait on the local disk for slow targets. Default: "
              "20 GiB." },
    { .type = CONF_END },
};

const struct conf_key conf_keys[] = {
    { .name = "repository", .type = CONF_NAME, .at = AT(repository),
      .flags = CONF_REQUIRED, .help = "The repository's name." },
    { .name = "key", .type = CONF_MAP, .keys = key_keys,
      .help = "How the repository is unlocked. Default: ask for the passphrase." },
    { .name = "state", .type = CONF_PATH, .at = AT(state),
      .help = "Folder of local state, cache and spool. Default: /var/lib/drtool for "
              "root, else ~/.local/state/drtool." },
    { .name = "targets", .type = CONF_MAPS, .at = AT(targets), .flags = CONF_REQUIRED,
      .keys = target_keys, .count_at = AT(target_count),
      .size = sizeof(struct conf_target), .help = "The places that keep copies." },
    { .name = "fleet", .type = CONF_MAP, .keys = fleet_keys,
      .help = "How the targets work together." },
    { .name = "wal", .type = CONF_MAP, .keys = wal_keys,
      .help = "How a PostgreSQL server's log is archived; see drtool-wal(1)." },
    { .name = "compression", .type = CONF_ENUM, .at = AT(compression), .words = levels,
      .help = "Level of zstd. With auto it is 1, and higher while every target is slower "
              "than the backup and the processor would wait. Default: 1." },
    { .name = "sources", .type = CONF_MAPS, .at = AT(sources), .keys = source_keys,
      .count_at = AT(source_count), .size = sizeof(struct conf_source),
      .defaults = &source_defaults, .help = "What is backed up." },
    { .type = CONF_END },
};

static bool
begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* Puts the home folder into "file://~/x"; `n` is the target's map. */
static int
check_url(struct conf_target *t, const struct yaml_node *n, struct err *e)
{
    const struct yaml_node *url = yaml_node_get(n, "url");

    if (begins(t->url, "file://~")) {
        AUTOFREE char *old = t->url;
        AUTOFREE char *path = home_expand(old + strlen("file://"));
        t->url = mem_printf("file://%s", path);
    }
    if (begins(t->url, "file://"))
        return t->url[7] == '/' ? 0
             : yaml_node_error(url, e, "the path of a file:// url must be absolute, as "
                               "in file:///mnt/nas/drtool");
    if (begins(t->url, "s3://"))
        return t->url[5] && t->url[5] != '/' ? 0
             : yaml_node_error(url, e, "the bucket is missing, as in s3://BUCKET/PREFIX");
    return yaml_node_error(url, e, "the url must begin with file:// or s3://, not "
                           "\"%.60s\"", t->url);
}

/* Keys that only an S3 target has, on one that is none. */
static int
check_s3_keys(const struct conf_target *t, const struct yaml_node *n, struct err *e)
{
    static const char *const only[] = { "endpoint", "region", "style", "ca",
                                        "credentials" };
    for (size_t i = 0; i < COUNT_OF(only) && !begins(t->url, "s3://"); i++)
        if (yaml_node_get(n, only[i]))
            return yaml_key_error(yaml_node_get(n, only[i]), e,
                                  "%s is for s3:// targets only", only[i]);
    return s3_keys_check(t->endpoint, &t->credentials, n, e);
}

/* `n` is the target's map. */
static int
check_limits(const struct conf_target *t, const struct yaml_node *n, struct err *e)
{
    const struct yaml_node *list = yaml_node_get(n, "limits");

    for (size_t i = 0; i < t->limit_count; i++) {
        const struct yaml_node *one = &list->items[i];
        const struct yaml_node *from = yaml_node_get(one, "from"),
                               *to = yaml_node_get(one, "to");
        if (!from != !to)
            return yaml_key_error(from ? from : to, e, "from and to go together");
        if (from && t->limits[i].from_min == t->limits[i].to_min)
            return yaml_node_error(to, e, "from and to are the same time; leave out both "
                                   "for the whole day");
        if (one->count == 0)
            return yaml_node_error(one, e, "this entry limits nothing");
        if (!from && i + 1 < t->limit_count)
            return yaml_node_error(one, e, "this entry has no hours, so none behind it "
                                   "would ever count; put it last");
    }
    return 0;
}

static int
check_targets(struct conf *c, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *list = yaml_node_get(root, "targets");

    if (c->target_count == 0)
        return yaml_node_error(list, e, "at least one target is needed");
    for (size_t i = 0; i < c->target_count; i++) {
        struct conf_target *t = &c->targets[i];
        const struct yaml_node *n = &list->items[i];
        if (conf_find_target(c, t->name) != t)
            return yaml_node_error(yaml_node_get(n, "name"), e,
                                   "there is another target named %s", t->name);
        if (check_url(t, n, e) < 0 || check_s3_keys(t, n, e) < 0
            || check_limits(t, n, e) < 0)
            return -1;
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->targets[j].url, t->url) == 0
                && strcmp(c->targets[j].endpoint ? c->targets[j].endpoint : "",
                          t->endpoint ? t->endpoint : "") == 0)
                return yaml_node_error(yaml_node_get(n, "url"), e,
                                       "this is the same place as target %s",
                                       c->targets[j].name);
    }
    return 0;
}

/* True if the targets do not all stand on one site. */
static bool
several_sites(const struct conf *c)
{
    for (size_t i = 1; i < c->target_count; i++)
        if (!c->targets[0].site || !c->targets[i].site
            || strcmp(c->targets[0].site, c->targets[i].site) != 0)
            return true;
    return false;
}

/* Not demanded by default where it could never be met. */
static int
check_sites(struct conf *c, const struct yaml_node *n, struct err *e)
{
    bool several = several_sites(c);

    if (!n)
        c->fleet.distinct_sites = c->target_count >= 3 && several && c->fleet.quorum != 1;
    else if (c->fleet.distinct_sites && !several)
        return yaml_node_error(n, e, "all targets are on one site; distinct-sites can "
                               "never be met");
    return 0;
}

/* What the tables cannot say, and defaults that depend on other keys. */
static int
check(struct conf *c, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *fleet = yaml_node_get(root, "fleet");

    if (check_targets(c, root, e) < 0
        || sources_check(c, yaml_node_get(root, "sources"), e) < 0)
        return -1;
    if (c->key.file && c->key.passphrase.from != SECRET_NONE)
        return yaml_node_error(yaml_node_get(root, "key"), e,
                               "key must have one of file and passphrase, not both");
    if (c->fleet.quorum > c->target_count)
        return yaml_node_error(yaml_node_get(fleet, "quorum"), e,
                               "a quorum of %u cannot be met: there are %zu targets",
                               c->fleet.quorum, c->target_count);
    if (check_sites(c, yaml_node_get(fleet, "distinct-sites"), e) < 0)
        return -1;
    if (!c->state)
        c->state = geteuid() == 0 ? mem_strdup("/var/lib/drtool")
                                  : home_expand("~/.local/state/drtool");
    return 0;
}

int
conf_parse(const char *path, struct slice text, struct conf **out, struct err *e)
{
    CLEANUP(conf_free_p) struct conf *c = mem_zalloc(sizeof *c);
    CLEANUP(yaml_doc_free_p) struct yaml_doc *doc = NULL;

    c->path = mem_strdup(path);
    c->text = BUF(YAML_SIZE_MAX);
    c->fleet.spool_max = (uint64_t)20 << 30;
    c->wal.spool_max = (uint64_t)20 << 30;
    c->compression = 1;
    if (yaml_doc_parse(path, text, &doc, e) < 0
        || schema_fill(conf_keys, yaml_doc_root(doc), c, e) < 0
        || check(c, yaml_doc_root(doc), e) < 0)
        return -1;
    buf_put_slice(&c->text, text);
    *out = TAKE(c);
    return 0;
}

/* The file to read when none was named, or NULL. */
static char *
find_file(void)
{
    const char *named = getenv("DRTOOL_CONFIG");
    const char *xdg = getenv("XDG_CONFIG_HOME");

    if (named && named[0])
        return mem_strdup(named);
    AUTOFREE char *base = xdg && xdg[0] == '/' ? mem_strdup(xdg)
                                               : home_expand("~/.config");
    AUTOFREE char *own = fs_join(base, "drtool/drtool.yaml");
    if (access(own, F_OK) == 0)
        return TAKE(own);
    const char *shared = "/etc/drtool/drtool.yaml";
    return access(shared, F_OK) == 0 ? mem_strdup(shared) : NULL;
}

int
conf_load(const char *path, struct conf **out, struct err *e)
{
    AUTOFREE char *found = path ? mem_strdup(path) : find_file();
    AUTOBUF struct buf text = BUF(YAML_SIZE_MAX);

    if (!found)
        return err_set(e, ERR_USAGE, 0, "no configuration: neither "
                       "~/.config/drtool/drtool.yaml nor /etc/drtool/drtool.yaml is "
                       "there; name one with -c FILE");
    if (fs_read(found, YAML_SIZE_MAX, &text, e) < 0) {
        if (e->kind == ERR_NOT_FOUND || e->kind == ERR_CORRUPT || e->kind == ERR_IO)
            e->kind = ERR_USAGE;
        return err_in(e, "reading the configuration");
    }
    return conf_parse(found, buf_slice(&text), out, e);
}

void
conf_free(struct conf *c)
{
    if (!c)
        return;
    schema_release(conf_keys, c);
    buf_release(&c->text);
    mem_free(c->path);
    mem_free(c);
}

int
conf_limit(struct conf *c, uint64_t upload, uint64_t download, struct err *e)
{
    uint64_t least = upload && (upload < download || !download) ? upload : download;

    if (upload > PACE_RATE_MAX || download > PACE_RATE_MAX)
        return err_set(e, ERR_USAGE, 0, "a limit is at most 1TiB a second");
    if (least > 0 && least < RATE_MIN)
        return err_set(e, ERR_USAGE, 0, "a limit is at least 1KiB a second");
    for (size_t i = 0; i < c->target_count && least > 0; i++) {
        struct conf_target *t = &c->targets[i];
        t->limits = mem_resize(t->limits, (t->limit_count + 1) * sizeof *t->limits);
        t->limits[t->limit_count++] = (struct conf_limit){ 0 }; /* the other hours */
        for (size_t k = 0; k < t->limit_count; k++) {
            t->limits[k].upload = upload ? upload : t->limits[k].upload;
            t->limits[k].download = download ? download : t->limits[k].download;
        }
    }
    return 0;
}

const struct conf_source *
conf_find_source(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (strcmp(c->sources[i].name, name) == 0)
            return &c->sources[i];
    return NULL;
}

const struct conf_target *
conf_find_target(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->target_count; i++)
        if (strcmp(c->targets[i].name, name) == 0)
            return &c->targets[i];
    return NULL;
}
