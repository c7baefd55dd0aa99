#include "conf/config.h"
#include "support/ground.h"

#include <unistd.h>

/* The example of the manual; every word of it must load. */
static const char shop[] =
    "repository: shop\n"
    "key: { file: /etc/drtool/shop.key }     # 0600, made by init\n"
    "state: /var/lib/drtool\n"
    "targets:\n"
    "  - { name: eu-west, url: \"s3://shop-dr-eu/drtool\", region: eu-west-1,"
    " site: aws-eu, credentials: { profile: dr } }\n"
    "  - { name: minio,   url: \"s3://backup\", endpoint: \"http://127.0.0.1:9000\","
    " site: lab, credentials: { access-key: { env: K }, secret-key: { env: S } } }\n"
    "  - { name: nas,     url: \"file:///mnt/nas/drtool\", site: office }\n"
    "fleet: { quorum: 2 }\n"
    "sources:\n"
    "  - { name: uploads, files: { paths: [/srv/shop/uploads], exclude: [\"*.tmp\"] } }\n"
    "  - { name: notes,   command: { argv: [/usr/bin/env], as: notes.txt } }\n";

static int
parse(const char *text, struct conf **out, struct err *e)
{
    return conf_parse("f.yaml", slice_str(text), out, e);
}

/* `base` with the first `from` in it replaced; a shorter way to one mistake. */
static char *
with(const char *base, const char *from, const char *to)
{
    const char *at = strstr(base, from);

    assert_non_null(at);
    return mem_printf("%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
}

static void
the_example_of_the_manual_loads(void **state)
{
    CLEANUP(conf_free_p) struct conf *c = NULL;
    struct err e = { 0 };

    (void)state;
    succeeds(parse(shop, &c, &e), &e);
    assert_string_equal(c->repository, "shop");
    assert_string_equal(c->key.file, "/etc/drtool/shop.key");
    assert_int_equal(c->target_count, 3);
    assert_string_equal(c->targets[0].credentials.profile, "dr");
    assert_int_equal(c->targets[1].credentials.access_key.from, SECRET_ENV);
    assert_string_equal(c->targets[1].credentials.access_key.value, "K");
    assert_int_equal(c->targets[1].style, STYLE_AUTO);
    assert_int_equal(c->fleet.quorum, 2);
    assert_true(c->fleet.distinct_sites);
    assert_int_equal(c->source_count, 2);
    assert_int_equal(c->sources[0].kind, SOURCE_FILES);
    assert_string_equal(c->sources[0].files.paths[0], "/srv/shop/uploads");
    assert_null(c->sources[0].files.paths[1]);
    assert_string_equal(c->sources[0].files.exclude[0], "*.tmp");
    assert_true(c->sources[0].files.match_inode);
    assert_int_equal(c->sources[1].kind, SOURCE_COMMAND);
    assert_string_equal(c->sources[1].command.as, "notes.txt");
    assert_true(slice_equal(buf_slice(&c->text), slice_str(shop)));
    assert_ptr_equal(conf_find_target(c, "nas"), &c->targets[2]);
    assert_ptr_equal(conf_find_source(c, "notes"), &c->sources[1]);
    assert_null(conf_find_source(c, "nas"));
}

static const char small[] = "repository: r\n"
                            "targets:\n"
                            "  - name: a\n"
                            "    url: file:///a\n"
                            "sources:\n"
                            "  - name: s\n"
                            "    files: { paths: [/srv] }\n";

static void
what_is_left_out_has_its_default(void **state)
{
    CLEANUP(conf_free_p) struct conf *c = NULL;
    CLEANUP(conf_free_p) struct conf *more = NULL;
    AUTOFREE char *command = with(small, "files: { paths: [/srv] }",
                                  "allow-empty: true\n    command: { argv: [x] }");
    struct err e = { 0 };

    (void)state;
    succeeds(parse(small, &c, &e), &e);
    assert_null(c->key.file);
    assert_int_equal(c->fleet.quorum, 0);
    assert_false(c->fleet.distinct_sites);
    assert_true(c->fleet.spool_max == 20ull << 30);
    assert_int_equal(c->fleet.order, ORDER_LISTED);
    assert_int_equal(c->compression, 1);
    assert_null(c->sources[0].files.exclude);
    assert_false(c->sources[0].allow_empty);
    assert_int_equal(c->state[0], '/');
    succeeds(parse(command, &more, &e), &e);
    assert_string_equal(more->sources[0].command.as, "stdout");
    assert_int_equal(more->sources[0].command.min_bytes, 0);
}

static void
every_key_reaches_its_field(void **state)
{
    static const char all[] =
        "repository: r\n"
        "key: { passphrase: { command: [pass, show, dr] } }\n"
        "state: ~/state\n"
        "targets:\n"
        "  - { name: a, url: file://~/a }\n"
        "  - { name: b, url: \"s3://b/p\", endpoint: \"https://h\", region: q,\n"
        "      style: host,\n"
        "      ca: /ca, credentials: { file: ~/cred, access-key: { file: /k },\n"
        "      secret-key: { env: S }, session-token: { env: T } } }\n"
        "fleet: { quorum: 1, distinct-sites: true, order: fastest, spool-max: 2GiB }\n"
        "compression: auto\n"
        "sources:\n"
        "  - name: s\n"
        "    files: { paths: [/x, /y], isolate: [\"*.pem\"], one-file-system: true,\n"
        "             match: \"size,mtime\" }\n"
        "  - name: t\n"
        "    command: { argv: [dump, --all], min-size: 1KiB }\n"
        "  - name: u\n"
        "    command: { stages: [[dump, --all], [sed, s/a/b/, -n]], end-mark: done }\n"
        "  - name: v\n"
        "    postgres: { dsn: service=shop, password: { env: P }, checkpoint: spread,\n"
        "      max-rate: 8MiB }\n"
        "  - { name: w, sqlite: { path: /app.db, count-rows: true } }\n"
        "  - { name: x, redis: { socket: /s, user: u, password: { file: /p },"
        " client: valkey-cli } }\n"
        "  - { name: y, redis: { host: h, port: 7000 }, before: [hold, -x],"
        " after: [go], hook-timeout: 90s }\n"
        "  - { name: z, postgres: { method: logical, databases: [shop, stock],"
        " count-rows: true } }\n"
        "  - { name: z1, mariadb: { socket: /s, user: u, password: { file: /p } } }\n"
        "  - { name: z2, mariadb: { host: h, port: 3307, method: logical,"
        " databases: [a, b], defaults-file: /d.cnf } }\n"
        "  - { name: z3, bucket: { url: \"s3://media/up\", region: r, style: path,"
        " endpoint: \"http://h:1\", ca: /ca, exclude: [\"*.tmp\"], credentials:"
        " { access-key: { env: A }, secret-key: { file: /s } } } }\n";
    CLEANUP(conf_free_p) struct conf *c = NULL;
    struct err e = { 0 };

    (void)state;
    setenv("HOME", "/home/op", 1);
    succeeds(parse(all, &c, &e), &e);
    assert_string_equal(c->key.passphrase.argv[1], "show");
    assert_null(c->key.passphrase.argv[3]);
    assert_string_equal(c->state, "/home/op/state");
    assert_string_equal(c->targets[0].url, "file:///home/op/a");
    assert_int_equal(c->targets[1].style, STYLE_HOST);
    assert_string_equal(c->targets[1].ca, "/ca");
    assert_string_equal(c->targets[1].credentials.file, "/home/op/cred");
    assert_int_equal(c->targets[1].credentials.access_key.from, SECRET_FILE);
    assert_string_equal(c->targets[1].credentials.session_token.value, "T");
    assert_true(c->fleet.distinct_sites);
    assert_int_equal(c->fleet.order, ORDER_FASTEST);
    assert_int_equal(c->compression, COMPRESSION_AUTO);
    assert_true(c->fleet.spool_max == 2ull << 30);
    assert_string_equal(c->sources[0].files.paths[1], "/y");
    assert_true(c->sources[0].files.one_file_system);
    assert_false(c->sources[0].files.match_inode);
    assert_string_equal(c->sources[1].command.argv[1], "--all");
    assert_int_equal(c->sources[1].command.min_bytes, 1024);
    assert_string_equal(c->sources[2].command.stages[0][1], "--all");
    assert_string_equal(c->sources[2].command.stages[1][2], "-n");
    assert_null(c->sources[2].command.stages[1][3]);
    assert_null(c->sources[2].command.stages[2]);
    assert_string_equal(c->sources[2].command.end_mark, "done");
    assert_int_equal(c->sources[3].kind, SOURCE_POSTGRES);
    assert_string_equal(c->sources[3].postgres.dsn, "service=shop");
    assert_string_equal(c->sources[3].postgres.password.value, "P");
    assert_false(c->sources[3].postgres.logical);
    assert_string_equal(source_kind_name(&c->sources[3]), "postgres");
    assert_true(c->sources[3].postgres.spread);
    assert_true(c->sources[3].postgres.max_rate == 8 << 20);
    assert_int_equal(c->sources[4].kind, SOURCE_SQLITE);
    assert_string_equal(c->sources[4].sqlite.path, "/app.db");
    assert_true(c->sources[4].sqlite.count_rows);
    assert_int_equal(c->sources[5].kind, SOURCE_REDIS);
    assert_string_equal(c->sources[5].redis.socket, "/s");
    assert_string_equal(c->sources[5].redis.user, "u");
    assert_string_equal(c->sources[5].redis.password.value, "/p");
    assert_string_equal(c->sources[5].redis.client, "valkey-cli");
    assert_string_equal(c->sources[6].redis.host, "h");
    assert_int_equal(c->sources[6].redis.port, 7000);
    assert_string_equal(c->sources[6].before[1], "-x");
    assert_string_equal(c->sources[6].after[0], "go");
    assert_int_equal(c->sources[6].hook_timeout_ms, 90000);
    assert_int_equal(c->sources[5].hook_timeout_ms, 300000);
    assert_true(c->sources[7].postgres.logical);
    assert_string_equal(source_kind_name(&c->sources[7]), "postgres-dump");
    assert_string_equal(c->sources[7].postgres.databases[1], "stock");
    assert_null(c->sources[7].postgres.databases[2]);
    assert_true(c->sources[7].postgres.count_rows);
    assert_int_equal(c->sources[8].kind, SOURCE_MARIADB);
    assert_string_equal(c->sources[8].mariadb.socket, "/s");
    assert_string_equal(c->sources[8].mariadb.user, "u");
    assert_string_equal(c->sources[8].mariadb.password.value, "/p");
    assert_false(c->sources[8].mariadb.logical);
    assert_string_equal(source_kind_name(&c->sources[8]), "mariadb");
    assert_string_equal(c->sources[9].mariadb.host, "h");
    assert_int_equal(c->sources[9].mariadb.port, 3307);
    assert_true(c->sources[9].mariadb.logical);
    assert_string_equal(c->sources[9].mariadb.databases[1], "b");
    assert_string_equal(c->sources[9].mariadb.defaults_file, "/d.cnf");
    assert_string_equal(source_kind_name(&c->sources[9]), "mariadb-dump");
    assert_string_equal(source_kind_name(&c->sources[6]), "redis");
    const struct conf_source *z3 = &c->sources[10];
    assert_int_equal(z3->kind, SOURCE_BUCKET);
    assert_string_equal(z3->bucket.url, "s3://media/up");
    assert_string_equal(z3->bucket.endpoint, "http://h:1");
    assert_string_equal(z3->bucket.region, "r");
    assert_string_equal(z3->bucket.ca, "/ca");
    assert_int_equal(z3->bucket.style, STYLE_PATH);
    assert_string_equal(z3->bucket.exclude[0], "*.tmp");
    assert_string_equal(z3->bucket.credentials.access_key.value, "A");
    assert_int_equal(z3->bucket.credentials.secret_key.from, SECRET_FILE);
    assert_string_equal(source_kind_name(z3), "bucket");
}

/* Three copies in one room cannot stand on two sites. */
static void
sites_are_demanded_by_default_only_where_they_can_be_had(void **state)
{
    static const char three[] = "repository: r\ntargets:\n"
                                "  - { name: a, url: file:///a, site: x }\n"
                                "  - { name: b, url: file:///b, site: x }\n"
                                "  - { name: c, url: file:///c, site: x }\n";
    AUTOFREE char *two_sites = with(three, "///c, site: x", "///c, site: y");
    AUTOFREE char *no_site = with(three, "///c, site: x", "///c");
    AUTOFREE char *quorum_1 = mem_printf("%sfleet: { quorum: 1 }\n", two_sites);
    AUTOFREE char *demanded = mem_printf("%sfleet: { distinct-sites: true }\n", three);
    const struct {
        const char *text;
        bool distinct;
    } cases[] = {
        { three, false }, { two_sites, true }, { no_site, true }, { quorum_1, false }
    };
    struct conf *none = NULL;
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(conf_free_p) struct conf *c = NULL;
        succeeds(parse(cases[i].text, &c, &e), &e);
        assert_int_equal(c->fleet.distinct_sites, cases[i].distinct);
    }
    fails(parse(demanded, &none, &e), &e, ERR_USAGE, "all targets are on one site");
}

static void
limits_are_rates_and_minutes_of_the_day(void **state)
{
    AUTOFREE char *text = with(small, "url: file:///a\n",
                               "url: file:///a\n"
                               "    limits:\n"
                               "      - { upload: 5MiB, download: 20MiB, from: \"08:00\","
                               " to: \"18:30\" }\n"
                               "      - { from: 22:00, to: 00:05 }\n"
                               "      - { upload: 1KiB }\n");
    CLEANUP(conf_free_p) struct conf *c = NULL;
    struct err e = { 0 };

    (void)state;
    succeeds(parse(text, &c, &e), &e);
    const struct conf_limit *l = c->targets[0].limits;
    assert_int_equal(c->targets[0].limit_count, 3);
    assert_int_equal(l[0].upload, 5 << 20);
    assert_int_equal(l[0].download, 20 << 20);
    assert_int_equal(l[0].from_min, 480);
    assert_int_equal(l[0].to_min, 1110);
    assert_int_equal(l[1].upload + l[1].download, 0);
    assert_int_equal(l[1].from_min, 1320);
    assert_int_equal(l[1].to_min, 5);
    assert_int_equal(l[2].upload, 1024);
    assert_int_equal(l[2].download, 0);
    assert_int_equal(l[2].from_min, l[2].to_min);
}

/* The first entry whose hours hold the time counts: each has to say the new rate, and
 * there must be one for the hours that none holds. */
static void
limits_are_overridden_at_all_hours(void **state)
{
    AUTOFREE char *text = with(small, "url: file:///a\n",
                               "url: file:///a\n"
                               "    limits: [{ upload: 5MiB, download: 7MiB,"
                               " from: \"08:00\", to: \"18:30\" }]\n"
                               "  - { name: b, url: file:///b }\n");
    CLEANUP(conf_free_p) struct conf *c = NULL;
    struct err e = { 0 };

    (void)state;
    succeeds(parse(text, &c, &e), &e);
    succeeds(conf_limit(c, 0, 0, &e), &e);
    assert_int_equal(c->targets[0].limit_count, 1);
    succeeds(conf_limit(c, 1 << 20, 0, &e), &e);
    const struct conf_limit *l = c->targets[0].limits;
    assert_int_equal(c->targets[0].limit_count, 2);
    assert_int_equal(l[0].upload, 1 << 20);
    assert_int_equal(l[0].download, 7 << 20);
    assert_int_equal(l[1].upload, 1 << 20);
    assert_int_equal(l[1].download, 0);
    assert_int_equal(l[1].from_min, l[1].to_min);
    assert_int_equal(c->targets[1].limits[0].upload, 1 << 20);
    fails(conf_limit(c, 1023, 0, &e), &e, ERR_USAGE, "at least 1KiB");
    fails(conf_limit(c, 1 << 20, 5, &e), &e, ERR_USAGE, "at least 1KiB");
    fails(conf_limit(c, 0, (uint64_t)2 << 40, &e), &e, ERR_USAGE, "at most 1TiB");
}

struct mistake {
    const char *from, *to, *words;
};

static const struct mistake mistakes[] = {
    { "quorum: 2", "qourum: 2",
      "f.yaml:8:10: unknown key \"qourum\"; did you mean \"quorum\"?" },
    { "quorum: 2", "elephants: 2", "f.yaml:8:10: unknown key \"elephants\"" },
    { "quorum: 2", "quorum: 4", "a quorum of 4 cannot be met: there are 3 targets" },
    { "quorum: 2", "quorum: 0", "quorum must be at least 1" },
    { "quorum: 2", "quorum: two", "quorum must be a whole number, not \"two\"" },
    { "quorum: 2", "quorum: [2]", "quorum must be a number, not a list" },
    { "quorum: 2", "quorum:", "f.yaml:8:10: quorum has no value" },
    { "quorum: 2", "spool-max: 1MiB", "spool-max must be at least 256 MiB" },
    { "quorum: 2", "spool-max: much", "spool-max must be a size such as 64MiB" },
    { "quorum: 2", "order: fatsest", "did you mean \"fastest\"?" },
    { "repository: shop", "compression: 13\nrepository: shop",
      "compression must be one of auto, 1, 2," },
    { "quorum: 2", "distinct-sites: yes", "must be true or false, not \"yes\"" },
    { "repository: shop", "repository: my shop",
      "f.yaml:1:13: repository must be 1 to 64" },
    { "repository: shop", "repository: ../x", "repository must be 1 to 64" },
    { "repository: shop", "# none", "the key \"repository\" is missing" },
    { "file: /etc/drtool/shop.key", "file: shop.key",
      "f.yaml:2:14: file must be an absolute path, not \"shop.key\"" },
    { "file: /etc/drtool/shop.key", "file: /k, passphrase: { env: P }", "not both" },
    { "file: /etc/drtool/shop.key", "passphrase: hunter2",
      "never the secret itself: write { env: NAME }" },
    { "file: /etc/drtool/shop.key", "passphrase: { envi: P }", "unknown key \"envi\"" },
    { "{ env: K }", "AKIA123", "access-key must say where the secret is kept" },
    { "{ env: K }", "{ env: K, file: /k }", "must say where the secret is kept" },
    { ", secret-key: { env: S }", "", "access-key and secret-key go together" },
    { "name: nas, ", "name: minio, ",
      "f.yaml:7:13: there is another target named minio" },
    { "name: notes", "name: uploads", "there is another source named uploads" },
    { "file:///mnt/nas/drtool", "file://mnt/nas", "must be absolute" },
    { "file:///mnt/nas/drtool", "/mnt/nas/drtool", "must begin with file:// or s3://" },
    { "file:///mnt/nas/drtool", "gopher://x", "must begin with file:// or s3://" },
    { "s3://backup", "s3:///x", "the bucket is missing" },
    { "http://127.0.0.1:9000", "127.0.0.1:9000", "must begin with http:// or https://" },
    { "site: office", "site: office, region: x", "region is for s3:// targets only" },
    { "site: office", "limits: { upload: 1MiB }", "limits must be a list" },
    { "site: office", "limits: [{ upload: 0 }]",
      "f.yaml:7:72: upload must be at least 1.0 KiB" },
    { "site: office", "limits: [{ download: 1023 }]",
      "f.yaml:7:74: download must be at least 1.0 KiB" },
    { "site: office", "limits: [{ upload: fast }]", "upload must be a size" },
    { "site: office", "limits: [{ upload: 2TiB }]", "upload must be at most" },
    { "site: office", "limits: [{ uplaod: 1MiB }]", "did you mean \"upload\"?" },
    { "site: office", "limits: [{ upload: 1MiB, from: \"08:00\" }]",
      "f.yaml:7:78: from and to go together" },
    { "site: office", "limits: [{ upload: 1MiB, to: \"08:00\" }]",
      "f.yaml:7:78: from and to go together" },
    { "site: office", "limits: [{ from: \"25:00\", to: \"08:00\" }]",
      "f.yaml:7:70: from must be a time of day from 00:00 to 23:59, not \"25:00\"" },
    { "site: office", "limits: [{ from: \"08:00\", to: \"08:60\" }]", "not \"08:60\"" },
    { "site: office", "limits: [{ from: \"8:00\", to: \"09:00\" }]", "not \"8:00\"" },
    { "site: office", "limits: [{ from: 8, to: 9 }]", "not \"8\"" },
    { "site: office", "limits: [{ from: \"08:00\", to: \"24:00\" }]", "not \"24:00\"" },
    { "site: office", "limits: [{ from: \"08-00\", to: \"09:00\" }]", "not \"08-00\"" },
    { "site: office", "limits: [{ upload: 1MiB, from: 08:00, to: 08:00 }]",
      "from and to are the same time" },
    { "site: office", "limits: [{}]", "this entry limits nothing" },
    { "site: office", "limits: [{ upload: 1MiB }, { upload: 2MiB }]",
      "f.yaml:7:62: this entry has no hours" },
    { "as: notes.txt", "as: a/b", "without /" },
    { "as: notes.txt", "stages: [[a], [b]]", "exactly one of argv and stages" },
    { "argv: [/usr/bin/env], ", "", "exactly one of argv and stages" },
    { "argv: [/usr/bin/env]", "stages: [a, b]", "must be a list of commands" },
    { "argv: [/usr/bin/env]", "stages: [[a], b]", "stages must be a list, as in [b]" },
    { "argv: [/usr/bin/env]", "stages: [[a], []]", "stages must not be empty" },
    { "argv: [/usr/bin/env]", "stages: [[a],[a],[a],[a],[a],[a],[a],[a],[a]]",
      "at most 8 stages" },
    { "paths: [/srv/shop/uploads]", "paths: /srv", "paths must be a list, as in [/srv]" },
    { "paths: [/srv/shop/uploads]", "paths: []", "paths must not be empty" },
    { "paths: [/srv/shop/uploads]", "paths: [srv]", "must be an absolute path" },
    { "paths: [/srv/shop/uploads]", "paths: [~/srv]", "must be an absolute path" },
    { "paths: [/srv/shop/uploads], ", "", "the key \"paths\" is missing in files" },
    { "argv: [/usr/bin/env], as: notes.txt }", "argv: [x] }, files: { paths: [/x] }",
      "exactly one of files, command, postgres, sqlite, redis, mariadb and "
      "bucket" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "allow-empty: true",
      "exactly one of files, command, postgres, sqlite, redis, mariadb and "
      "bucket" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { dsn: \"host=a password=b\" }", "must not hold the password" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { dsn: \"postgresql://me:secret@db/shop\" }",
      "must not hold the password" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "postgres: { max-rate: 1KiB }",
      "max-rate must be at least 32.0 KiB" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "postgres: { method: dump }",
      "method must be logical or physical" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { method: logical, checkpoint: fast }",
      "f.yaml:11:51: checkpoint is for `method: physical` only" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { method: logical, max-rate: 1MiB }",
      "f.yaml:11:51: max-rate is for `method: physical` only" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { databases: [shop] }",
      "f.yaml:11:34: databases is for `method: logical` only" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { method: physical, count-rows: false }",
      "f.yaml:11:52: count-rows is for `method: logical` only" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "postgres: { method: logical, dsn: \"password=b\" }",
      "must not hold the password" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "redis: { socket: /s, port: 7000 }", "redis has a socket, or host and port" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "redis: { port: 70000 }",
      "port must be at most 65535" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "mariadb: { socket: /s, host: h }", "mariadb has a socket, or host and port" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "mariadb: { port: 3307 }",
      "mariadb has a port, but no host" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "mariadb: { databases: [a] }",
      "databases are chosen for method: logical only" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "mariadb: { method: logical, databases: [a, b/c] }",
      "b/c is no name of a database" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "mariadb: { method: logical, databases: [\"--x\"] }",
      "--x is no name of a database" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "mariadb: { method: logical, databases: [a, a] }",
      "the database a is there twice" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "mariadb: { method: files }",
      "method must be logical or physical" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "mariadb: { password: x }",
      "password must say where the secret is kept" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "bucket: { url: file:///x }",
      "must begin with s3://, not \"file:///x\"" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "bucket: { url: \"s3:///x\" }",
      "the bucket is missing" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "bucket: { url: \"s3://b\", endpoint: \"h:1\" }",
      "the endpoint must begin with http:// or https://" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "bucket: { url: \"s3://b\", credentials: { access-key: { env: A } } }",
      "access-key and secret-key go together" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }",
      "bucket: { url: \"s3://shop-dr-eu\" }", "the target eu-west lies in this bucket" },
    { "command: { argv: [/usr/bin/env], as: notes.txt }", "sqlite: { path: app.db }",
      "must be an absolute path" },
    { "fleet: { quorum: 2 }", "fleet: 2", "fleet must be a map" },
    { "fleet: { quorum: 2 }", "targetss: []", "did you mean \"targets\"?" },
};

static void
each_mistake_gets_one_clear_sentence_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        AUTOFREE char *text = with(shop, mistakes[i].from, mistakes[i].to);
        struct conf *c = NULL;
        struct err e = { 0 };
        assert_int_equal(parse(text, &c, &e), -1);
        if (e.kind != ERR_USAGE || !strstr(err_text(&e), mistakes[i].words)
            || strncmp(err_text(&e), "f.yaml:", 7) != 0)
            fail_msg("\"%s\" is not in: %s", mistakes[i].words, err_text(&e));
    }
}

static void
no_target_and_no_file_are_told(void **state)
{
    struct conf *c = NULL;
    struct err e = { 0 };

    (void)state;
    fails(parse("repository: r\ntargets: []\n", &c, &e), &e, ERR_USAGE,
          "at least one target");
    fails(parse("repository: r\ntargets: { name: a }\n", &c, &e), &e, ERR_USAGE,
          "must be a list");
    fails(parse("just words\n", &c, &e), &e, ERR_USAGE, "must be a map");
    fails(conf_load("/no/such.yaml", &c, &e), &e, ERR_USAGE, "/no/such.yaml");
    fails(conf_load("/tmp", &c, &e), &e, ERR_USAGE, "/tmp");
}

static void
without_a_name_the_file_is_found_by_its_place(void **state)
{
    SCRATCH(d);
    AUTOFREE char *dir = fs_join(d.path, ".config/drtool");
    struct conf *c = NULL;
    struct err e = { 0 };

    (void)state;
    unsetenv("DRTOOL_CONFIG");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", d.path, 1);
    if (access("/etc/drtool/drtool.yaml", F_OK) < 0)
        fails(conf_load(NULL, &c, &e), &e, ERR_USAGE, "no configuration");
    succeeds(fs_mkdirs(dir, 0700, &e), &e);
    AUTOFREE char *own = scratch_file(&d, ".config/drtool/drtool.yaml", small);
    succeeds(conf_load(NULL, &c, &e), &e);
    assert_string_equal(c->path, own);
    conf_free(c);
    c = NULL;
    AUTOFREE char *named = scratch_file(&d, "named.yaml", small);
    setenv("DRTOOL_CONFIG", named, 1);
    succeeds(conf_load(NULL, &c, &e), &e);
    assert_string_equal(c->path, named);
    conf_free(c);
    unsetenv("DRTOOL_CONFIG");
}

/* What is damaged anywhere must end in a sentence, not in a crash or a leak. */
static void
a_configuration_cut_anywhere_does_no_harm(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof shop; len++) {
        struct conf *c = NULL;
        struct err e = { 0 };
        if (conf_parse("f", slice_of(shop, len), &c, &e) < 0)
            assert_int_equal(e.kind, ERR_USAGE);
        conf_free(c);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_manual_loads),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(every_key_reaches_its_field),
        cmocka_unit_test(sites_are_demanded_by_default_only_where_they_can_be_had),
        cmocka_unit_test(limits_are_overridden_at_all_hours),
        cmocka_unit_test(limits_are_rates_and_minutes_of_the_day),
        cmocka_unit_test(each_mistake_gets_one_clear_sentence_with_its_place),
        cmocka_unit_test(no_target_and_no_file_are_told),
        cmocka_unit_test(without_a_name_the_file_is_found_by_its_place),
        cmocka_unit_test(a_configuration_cut_anywhere_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
