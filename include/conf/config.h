/*
 * config: drtool.yaml as typed structs.
 *
 * Filled by conf_load() from one table of keys per struct (config.c), from
 * which drtool.yaml(5) is made as well. Strict: an unknown key, a wrong type
 * or a value out of range is ERR_USAGE with file, line, column and the nearest
 * known key. Nothing below cli and conf reads configuration or environment.
 * Paths are absolute or begin with ~/ (those of a source: absolute only), and
 * come out absolute. All strings are owned by the struct conf.
 */
#ifndef CONF_CONFIG_H
#define CONF_CONFIG_H

#include "base/pace.h"
#include "conf/schema.h"

/* At most so many bytes a second between two times of day; the whole day when
 * both are the same. */
struct conf_limit {
    uint64_t upload, download; /* bytes/s; 0: unlimited */
    unsigned from_min, to_min; /* since midnight, local time */
};

enum conf_style { STYLE_AUTO, STYLE_PATH, STYLE_HOST };

/* Who we are to an S3 server. */
struct conf_credentials {
    char *profile; /* of the shared credentials file; NULL: AWS_PROFILE or default */
    char *file;    /* NULL: AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials */
    struct conf_secret access_key, secret_key, session_token;
};

struct conf_target {
    char *name;
    char *url;      /* file:///path, s3://bucket[/prefix] */
    char *endpoint; /* s3: http[s]://host[:port]; NULL: AWS's for the region */
    char *region;   /* s3; NULL: AWS_REGION, AWS_DEFAULT_REGION or us-east-1 */
    char *site;     /* NULL: the target is its own site */
    char *ca;       /* file of CA certificates; NULL: the system's */
    enum conf_style style;
    struct conf_credentials credentials;
    struct conf_limit *limits; /* the first whose hours hold the time counts */
    size_t limit_count;
    unsigned read_cost; /* of a GiB, in any unit */
};

#define STAGES_MAX 8 /* commands in a row */

/* X(kind, its key in a source's map) */
#define SOURCE_KINDS(X)   \
    X(FILES, "files")     \
    X(COMMAND, "command") \
    X(POSTGRES, "postgres") \
    X(SQLITE, "sqlite") \
    X(REDIS, "redis") \
    X(MARIADB, "mariadb") \
    X(BUCKET, "bucket")

enum source_kind {
#define X(kind, name) SOURCE_##kind,
    SOURCE_KINDS(X)
#undef X
};

struct conf_source {
    char *name;
    enum source_kind kind;
    bool allow_empty;      /* an empty or missing source is not an error */
    char **before, **after; /* programs run around its reading; NULL: none */
    int64_t hook_timeout_ms; /* of each */
    struct {
        char **paths;      /* NULL-terminated, absolute */
        char **exclude;    /* gitignore's rules; may be NULL */
        char **isolate;    /* patterns of files that get chunks of their own */
        char **blocks;     /* patterns of files that are updated in place; may be NULL */
        bool one_file_system;
        bool match_inode;  /* `match: inode`, the default; or `match: "size,mtime"` */
    } files;
    struct {
        char **argv;        /* one program, or */
        char ***stages;     /* several, each reading what the one before prints */
        char *as;           /* the entry's name; default "stdout" */
        uint64_t min_bytes; /* fewer is an error; 0: 1, unless allow_empty */
        char *end_mark;     /* must stand in the last 4 KiB; may be NULL */
    } command;
    struct {
        char *dsn;       /* libpq's; NULL: its defaults */
        struct conf_secret password;
        bool logical;    /* dumps of databases; else the whole server, as it lies there */
        bool spread;     /* physical: the checkpoint before; else it is fast */
        uint64_t max_rate; /* physical: bytes/s; 0: unlimited */
        char **databases; /* logical; NULL: all */
        bool count_rows; /* logical: of each table, for the snapshot's facts */
    } postgres;
    struct {
        char *path;
        bool count_rows; /* of each table, for the snapshot's facts */
    } sqlite;
    struct {
        char *socket;    /* or */
        char *host;      /* NULL: 127.0.0.1 */
        unsigned port;   /* 0: 6379 */
        char *user;      /* may be NULL */
        struct conf_secret password;
        char *client;    /* NULL: redis-cli */
    } redis;
    struct {
        char *socket;    /* or */
        char *host;      /* or neither: what the tools' option files say */
        unsigned port;   /* 0: likewise */
        char *user;      /* NULL: likewise */
        struct conf_secret password;
        bool logical;    /* a dump; else the files */
        char **databases; /* of a dump; NULL: all */
        char *defaults_file; /* the only option file; may be NULL */
    } mariadb;
    struct {
        char *url;       /* s3://bucket[/prefix] */
        char *endpoint, *region, *ca; /* as of a target */
        enum conf_style style;
        struct conf_credentials credentials;
        char **exclude;  /* gitignore's rules; may be NULL */
    } bucket;
};

/* What a snapshot calls the kind of the source: its key, and "postgres-dump" or
 * "mariadb-dump" for dumps, which are restored as the files that they are. */
const char *source_kind_name(const struct conf_source *s);

#define COMPRESSION_AUTO 0

enum read_order { ORDER_LISTED, ORDER_FASTEST, ORDER_CHEAPEST };

struct conf {
    char *path;       /* the file it came from */
    struct buf text;  /* its bytes, without secrets, to be kept in snapshots */
    char *repository;
    struct {
        char *file;                      /* key file; NULL with no passphrase: ask */
        struct conf_secret passphrase;   /* or this */
    } key;
    char *state;      /* folder of local state, cache and spool */
    struct conf_target *targets;
    size_t target_count;
    struct {
        unsigned quorum;   /* 0: the default for the number of targets */
        bool distinct_sites; /* default true for three targets on two sites */
        enum read_order order;
        uint64_t spool_max; /* bytes; default 20 GiB */
    } fleet;
    struct {
        bool ack_spool;     /* `ack: spool`; else the quorum has to hold a file */
        uint64_t spool_max; /* bytes; default 20 GiB */
    } wal;
    int compression;      /* level of zstd, 1 to 12; COMPRESSION_AUTO */
    struct conf_source *sources;
    size_t source_count;
};

/* The keys of a configuration, for the manual. */
extern const struct conf_key conf_keys[];

/* Reads `path`; when NULL, $DRTOOL_CONFIG or the first that exists of
 * ~/.config/drtool/drtool.yaml and /etc/drtool/drtool.yaml. */
MUST_USE int conf_load(const char *path, struct conf **out, struct err *e);

/* The same from memory, as from a snapshot; `path` is what messages call it. */
MUST_USE int conf_parse(const char *path, struct slice text, struct conf **out,
                        struct err *e);
void conf_free(struct conf *c);
DEFINE_CLEANUP(struct conf, conf_free)

/* Other rates, in bytes/s, for all targets at all hours; 0: as it is. ERR_USAGE when one
 * is too high. */
MUST_USE int conf_limit(struct conf *c, uint64_t upload, uint64_t download,
                        struct err *e);

const struct conf_source *conf_find_source(const struct conf *c, const char *name);
const struct conf_target *conf_find_target(const struct conf *c, const char *name);

#endif
