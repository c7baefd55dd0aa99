#include "sources.h"
#include "s3_keys.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct conf_source, field)

static const char *const match_words[] = { "size,mtime", "inode", NULL };

static const struct conf_key files_keys[] = {
    { .name = "paths", .type = CONF_PATHS, .at = AT(files.paths),
      .flags = CONF_REQUIRED | CONF_NO_HOME,
      .help = "Absolute paths of files and folders." },
    { .name = "exclude", .type = CONF_STRINGS, .at = AT(files.exclude),
      .help = "Patterns of what is left out, by the rules of gitignore." },
    { .name = "isolate", .type = CONF_STRINGS, .at = AT(files.isolate),
      .help = "Patterns of files that never share a chunk with others and are not "
              "compressed, because they hold secrets." },
    { .name = "blocks", .type = CONF_STRINGS, .at = AT(files.blocks),
      .help = "Patterns of further files that are updated in place, page by page, as "
              "databases and disk images are: they are cut at fixed positions." },
    { .name = "one-file-system", .type = CONF_BOOL, .at = AT(files.one_file_system),
      .help = "Do not go into other file systems. Default: false." },
    { .name = "match", .type = CONF_BOOL, .at = AT(files.match_inode),
      .words = match_words,
      .help = "How an unchanged file is known: by size, times and inode, or, where "
              "inodes change, by \"size,mtime\" (in quotes). Default: inode." },
    { .type = CONF_END },
};

static const struct conf_key command_keys[] = {
    { .name = "argv", .type = CONF_STRINGS, .at = AT(command.argv),
      .help = "The program and its arguments; its output is backed up if it exits 0." },
    { .name = "stages", .type = CONF_ARGVS, .at = AT(command.stages),
      .help = "Instead of argv: several commands, each a list, of which each reads what "
              "the one before prints. All must exit 0." },
    { .name = "as", .type = CONF_STRING, .at = AT(command.as),
      .help = "The name that the output gets in the snapshot. Default: stdout." },
    { .name = "min-size", .type = CONF_SIZE, .at = AT(command.min_bytes),
      .help = "Fewer bytes are an error. Default: 1, with allow-empty 0." },
    { .name = "end-mark", .type = CONF_STRING, .at = AT(command.end_mark),
      .help = "A text that the last 4 KiB of the output must have, as whole dumps do: "
              "without it there is no snapshot. Default: none is looked for." },
    { .type = CONF_END },
};

static const char *const method_words[] = { "physical", "logical", NULL };
static const char *const checkpoint_words[] = { "fast", "spread", NULL };

static const struct conf_key postgres_keys[] = {
    { .name = "dsn", .type = CONF_STRING, .at = AT(postgres.dsn),
      .help = "How libpq connects, as in service=shop or host=/run/postgresql "
              "user=backup. Default: its environment and its defaults." },
    { .name = "password", .type = CONF_SECRET, .at = AT(postgres.password),
      .help = "The password. Default: what libpq finds, as in ~/.pgpass." },
    { .name = "method", .type = CONF_BOOL, .at = AT(postgres.logical),
      .words = method_words,
      .help = "The whole server as it lies on its disk (physical), or dumps of its "
              "databases (logical). Default: physical." },
    { .name = "databases", .type = CONF_STRINGS, .at = AT(postgres.databases),
      .help = "With logical: the databases that are dumped. Default: all that let "
              "anybody connect and are no templates." },
    { .name = "count-rows", .type = CONF_BOOL, .at = AT(postgres.count_rows),
      .help = "With logical: count the rows of each table, as they are in the dump, for "
              "the facts of the snapshot. Default: false." },
    { .name = "checkpoint", .type = CONF_BOOL, .at = AT(postgres.spread),
      .words = checkpoint_words,
      .help = "With physical: whether the checkpoint that a backup begins with is made "
              "at once (fast) or over minutes (spread), which holds up others less. "
              "Default: fast." },
    { .name = "max-rate", .type = CONF_SIZE, .at = AT(postgres.max_rate),
      .min = (uint64_t)32 << 10, .max = (uint64_t)1 << 30,
      .help = "With physical: bytes a second that the server may send, 32KiB to 1GiB. "
              "Default: unlimited." },
    { .type = CONF_END },
};

static const struct conf_key sqlite_keys[] = {
    { .name = "path", .type = CONF_PATH, .at = AT(sqlite.path),
      .flags = CONF_REQUIRED | CONF_NO_HOME,
      .help = "Absolute path of the database." },
    { .name = "count-rows", .type = CONF_BOOL, .at = AT(sqlite.count_rows),
      .help = "Count the rows of each table, for the facts of the snapshot. "
              "Default: false." },
    { .type = CONF_END },
};

static const struct conf_key redis_keys[] = {
    { .name = "socket", .type = CONF_PATH, .at = AT(redis.socket),
      .help = "The server's socket. Default: it is reached by host and port." },
    { .name = "host", .type = CONF_STRING, .at = AT(redis.host),
      .help = "The server's host. Default: 127.0.0.1." },
    { .name = "port", .type = CONF_COUNT, .at = AT(redis.port), .min = 1, .max = 65535,
      .help = "Its port. Default: 6379." },
    { .name = "user", .type = CONF_STRING, .at = AT(redis.user),
      .help = "The user, where the server has several. Default: its default user." },
    { .name = "password", .type = CONF_SECRET, .at = AT(redis.password),
      .help = "The password. Default: none." },
    { .name = "client", .type = CONF_STRING, .at = AT(redis.client),
      .help = "The client program, redis-cli or valkey-cli, or its path; the check tool "
              "is looked for beside it. Default: redis-cli." },
    { .type = CONF_END },
};

static const struct conf_key mariadb_keys[] = {
    { .name = "socket", .type = CONF_PATH, .at = AT(mariadb.socket),
      .help = "The server's socket. Default: what the option files of MariaDB's tools "
              "say." },
    { .name = "host", .type = CONF_STRING, .at = AT(mariadb.host),
      .help = "The server's host, instead of a socket." },
    { .name = "port", .type = CONF_COUNT, .at = AT(mariadb.port), .min = 1,
      .max = 65535, .help = "Its port. Default: 3306." },
    { .name = "user", .type = CONF_STRING, .at = AT(mariadb.user),
      .help = "The user. Default: what the option files say, or who runs drtool." },
    { .name = "password", .type = CONF_SECRET, .at = AT(mariadb.password),
      .help = "The password. Default: what the option files say, as ~/.my.cnf, which is "
              "not read when there is one here." },
    { .name = "method", .type = CONF_BOOL, .at = AT(mariadb.logical),
      .words = method_words,
      .help = "Whether the server's files are copied, by mariadb-backup on the server's "
              "host (physical), or its rows as SQL, by mariadb-dump (logical). Default: "
              "physical." },
    { .name = "databases", .type = CONF_STRINGS, .at = AT(mariadb.databases),
      .help = "For a logical backup: the databases, each of which becomes a file of its "
              "own and is a moment of its own. Default: all, in one." },
    { .name = "defaults-file", .type = CONF_PATH, .at = AT(mariadb.defaults_file),
      .help = "The only option file that the tools read. Default: those they look for, "
              "as /etc/mysql/my.cnf." },
    { .type = CONF_END },
};

static const struct conf_key bucket_credential_keys[] = {
    CREDENTIAL_KEYS(AT(bucket.credentials)),
    { .type = CONF_END },
};

static const struct conf_key bucket_keys[] = {
    { .name = "url", .type = CONF_STRING, .at = AT(bucket.url), .flags = CONF_REQUIRED,
      .help = "s3://BUCKET[/PREFIX]. With a prefix only what is below it, and paths are "
              "relative to it." },
    { .name = "endpoint", .type = CONF_STRING, .at = AT(bucket.endpoint),
      .help = "http[s]://HOST[:PORT] of the server. Default: AWS for the region." },
    { .name = "region", .type = CONF_STRING, .at = AT(bucket.region),
      .help = "The region. Default: AWS_REGION, AWS_DEFAULT_REGION, or us-east-1." },
    { .name = "style", .type = CONF_ENUM, .at = AT(bucket.style), .words = conf_styles,
      .help = "Where the bucket's name goes, into the path or before the host. Default: "
              "auto." },
    { .name = "ca", .type = CONF_PATH, .at = AT(bucket.ca),
      .help = "File of CA certificates to trust. Default: the system's." },
    { .name = "credentials", .type = CONF_MAP, .keys = bucket_credential_keys,
      .help = "Who we are: a user who may list the bucket and get its objects. Default: "
              "the environment, then the shared credentials file." },
    { .name = "exclude", .type = CONF_STRINGS, .at = AT(bucket.exclude),
      .help = "Patterns of what is left out, by the rules of gitignore." },
    { .type = CONF_END },
};

const struct conf_key source_keys[] = {
    { .name = "name", .type = CONF_NAME, .at = AT(name), .flags = CONF_REQUIRED,
      .help = "What commands and snapshots call this source; unique." },
    { .name = "files", .type = CONF_MAP, .keys = files_keys,
      .help = "Back up files and folders." },
    { .name = "command", .type = CONF_MAP, .keys = command_keys,
      .help = "Back up what a command prints." },
    { .name = "postgres", .type = CONF_MAP, .keys = postgres_keys,
      .help = "Back up a PostgreSQL server: whole, over its replication protocol, from "
              "version 15, or as dumps." },
    { .name = "sqlite", .type = CONF_MAP, .keys = sqlite_keys,
      .help = "Back up a SQLite database, also while it is written to." },
    { .name = "redis", .type = CONF_MAP, .keys = redis_keys,
      .help = "Back up a Redis or Valkey server." },
    { .name = "mariadb", .type = CONF_MAP, .keys = mariadb_keys,
      .help = "Back up a MariaDB server by its own tools, which have to be of its "
              "version." },
    { .name = "bucket", .type = CONF_MAP, .keys = bucket_keys,
      .help = "Back up the objects of an S3 bucket." },
    { .name = "before", .type = CONF_STRINGS, .at = AT(before),
      .help = "A program and its arguments, run before the source is read, to make it "
              "hold still. Unless it exits with 0 there is no snapshot." },
    { .name = "after", .type = CONF_STRINGS, .at = AT(after),
      .help = "A program and its arguments, run when the source was read, and also when "
              "that, or before, failed or was interrupted." },
    { .name = "hook-timeout", .type = CONF_DURATION, .at = AT(hook_timeout_ms),
      .min = 1000, .max = (uint64_t)7 * 24 * 3600 * 1000,
      .help = "How long each of them may take. Default: 5m." },
    { .name = "allow-empty", .type = CONF_BOOL, .at = AT(allow_empty),
      .help = "A missing or empty source is no error. Default: false." },
    { .type = CONF_END },
};

const struct conf_source source_defaults = { .files.match_inode = true,
                                             .hook_timeout_ms = 5 * 60 * 1000 };

static const char *const kind_names[] = {
#define X(kind, name) [SOURCE_##kind] = name,
    SOURCE_KINDS(X)
#undef X
};

const char *
source_kind_name(const struct conf_source *s)
{
    if (s->kind == SOURCE_POSTGRES && s->postgres.logical)
        return "postgres-dump";
    return s->kind == SOURCE_MARIADB && s->mariadb.logical ? "mariadb-dump"
                                                           : kind_names[s->kind];
}

/* A source is of the kind whose key it has. `n` is its map. */
static int
find_kind(struct conf_source *s, const struct yaml_node *n, struct err *e)
{
    AUTOBUF struct buf all = BUF(1024);
    size_t found = 0;

    for (size_t i = 0; i < COUNT_OF(kind_names); i++) {
        const char *before = i == 0 ? "" : i + 1 < COUNT_OF(kind_names) ? ", " : " and ";
        buf_printf(&all, "%s%s", before, kind_names[i]);
        if (!yaml_node_get(n, kind_names[i]))
            continue;
        s->kind = (enum source_kind)i;
        found++;
    }
    return found == 1 ? 0
         : yaml_node_error(n, e, "the source %s must have exactly one of %s", s->name,
                           buf_cstr(&all));
}

static int
check_command(struct conf_source *s, const struct yaml_node *n, struct err *e)
{
    size_t stages = 0;

    if (!s->command.argv == !s->command.stages)
        return yaml_node_error(n, e, "a command must have exactly one of argv and "
                               "stages");
    while (s->command.stages && s->command.stages[stages])
        stages++;
    if (stages > STAGES_MAX)
        return yaml_node_error(yaml_node_get(n, "stages"), e,
                               "a command has at most %d stages", STAGES_MAX);
    if (!s->command.as)
        s->command.as = mem_strdup("stdout");
    if (strchr(s->command.as, '/'))
        return yaml_node_error(yaml_node_get(n, "as"), e,
                               "as must be a single name without /");
    return 0;
}

/* The configuration is kept in snapshots: no secret may stand in it. */
static int
check_dsn(const struct conf_source *s, const struct yaml_node *n, struct err *e)
{
    const char *dsn = s->postgres.dsn ? s->postgres.dsn : "";
    const char *user = strstr(dsn, "://");
    const char *at = user ? strchr(user + 3, '@') : NULL;

    if (strstr(dsn, "password") || (at && memchr(user + 3, ':', (size_t)(at - user) - 3)))
        return yaml_node_error(yaml_node_get(n, "dsn"), e,
                               "the dsn must not hold the password; write password: "
                               "{ file: PATH }, or let libpq find it");
    return 0;
}

/* Keys that say nothing to the method are mistakes. */
static int
check_postgres(const struct conf_source *s, const struct yaml_node *n, struct err *e)
{
    static const struct { const char *key; bool logical; } keys[] = {
        { "databases", true }, { "count-rows", true },
        { "checkpoint", false }, { "max-rate", false },
    };

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const struct yaml_node *key = yaml_node_get(n, keys[i].key);
        if (key && keys[i].logical != s->postgres.logical)
            return yaml_key_error(key, e, "%s is for `method: %s` only", keys[i].key,
                                  method_words[keys[i].logical]);
    }
    return check_dsn(s, n, e);
}

static int
check_redis(const struct conf_source *s, const struct yaml_node *n, struct err *e)
{
    if (s->redis.socket && (s->redis.host || s->redis.port))
        return yaml_node_error(n, e, "redis has a socket, or host and port, not both");
    return 0;
}

/* A database's name becomes that of a file. */
static int
check_mariadb(const struct conf_source *s, const struct yaml_node *n, struct err *e)
{
    char **all = s->mariadb.databases;

    if (s->mariadb.socket && (s->mariadb.host || s->mariadb.port))
        return yaml_node_error(n, e, "mariadb has a socket, or host and port, not both");
    if (s->mariadb.port && !s->mariadb.host)
        return yaml_node_error(yaml_node_get(n, "port"), e, "mariadb has a port, but no "
                               "host");
    if (all && !s->mariadb.logical)
        return yaml_node_error(yaml_node_get(n, "databases"), e, "databases are chosen "
                               "for method: logical only; physical takes the whole "
                               "server");
    for (size_t i = 0; all && all[i]; i++) {
        const struct yaml_node *at = &yaml_node_get(n, "databases")->items[i];
        if (!all[i][0] || strchr(all[i], '/') || all[i][0] == '-' || strlen(all[i]) > 192)
            return yaml_node_error(at, e, "%s is no name of a database", all[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(all[i], all[j]) == 0)
                return yaml_node_error(at, e, "the database %s is there twice", all[i]);
    }
    return 0;
}

/* Is the target in what the source takes? */
static bool
holds_target(const struct conf_source *s, const struct conf_target *t)
{
    size_t len = strlen(s->bucket.url);
    const char *ours = s->bucket.endpoint ? s->bucket.endpoint : "";
    const char *its = t->endpoint ? t->endpoint : "";

    while (s->bucket.url[len - 1] == '/')
        len--;
    return strcmp(ours, its) == 0 && strncmp(t->url, s->bucket.url, len) == 0
        && (t->url[len] == '/' || t->url[len] == 0);
}

static int
check_bucket(const struct conf *c, const struct conf_source *s, const struct yaml_node *n,
             struct err *e)
{
    const struct yaml_node *url = yaml_node_get(n, "url");

    if (strncmp(s->bucket.url, "s3://", 5) != 0)
        return yaml_node_error(url, e, "the url of a bucket must begin with s3://, not "
                               "\"%.60s\"", s->bucket.url);
    if (!s->bucket.url[5] || s->bucket.url[5] == '/')
        return yaml_node_error(url, e, "the bucket is missing, as in s3://BUCKET/PREFIX");
    for (size_t i = 0; i < c->target_count && !s->bucket.exclude; i++)
        if (holds_target(s, &c->targets[i]))
            return yaml_node_error(url, e, "the target %s lies in this bucket, and would "
                                   "be backed up into itself; leave it out by exclude",
                                   c->targets[i].name);
    return s3_keys_check(s->bucket.endpoint, &s->bucket.credentials, n, e);
}

int
sources_check(struct conf *c, const struct yaml_node *list, struct err *e)
{
    for (size_t i = 0; i < c->source_count; i++) {
        struct conf_source *s = &c->sources[i];
        const struct yaml_node *n = &list->items[i];

        if (conf_find_source(c, s->name) != s)
            return yaml_node_error(yaml_node_get(n, "name"), e,
                                   "there is another source named %s", s->name);
        if (find_kind(s, n, e) < 0)
            return -1;
        if (s->kind == SOURCE_REDIS
            && check_redis(s, yaml_node_get(n, "redis"), e) < 0)
            return -1;
        if (s->kind == SOURCE_MARIADB
            && check_mariadb(s, yaml_node_get(n, "mariadb"), e) < 0)
            return -1;
        if (s->kind == SOURCE_POSTGRES
            && check_postgres(s, yaml_node_get(n, "postgres"), e) < 0)
            return -1;
        if (s->kind == SOURCE_BUCKET
            && check_bucket(c, s, yaml_node_get(n, "bucket"), e) < 0)
            return -1;
        if (s->kind == SOURCE_COMMAND
            && check_command(s, yaml_node_get(n, "command"), e) < 0)
            return -1;
    }
    return 0;
}
