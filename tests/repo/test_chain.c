#include "../../src/repo/impl.h"
#include "base/text.h"
#include "codec/record.h"
#include "support/fixture.h"

#include <unistd.h>

#define TARGETS 3

/* Another host of the same repository: a state of its own, and some of the
 * targets. */
struct guest {
    struct conf conf;
    struct repo *repo;
};

static void
guest_open(const struct site *s, const char *name, struct guest *g)
{
    struct repo_options o = { .conf = &g->conf, .write = true };
    struct err e = { 0 };

    if (!g->conf.state) {
        g->conf = s->conf;
        g->conf.state = folder_path(&s->folder, name);
    }
    assert_ok(repo_open(&o, &g->repo, &e), &e);
    assert_true(g->repo->enrolled);
}

/* Sends what is queued, and closes. */
static void
guest_deliver(struct guest *g)
{
    struct fleet *f = repo_fleet(g->repo);
    struct err e = { 0 };

    assert_ok(repo_load_index(g->repo, &e), &e);
    assert_ok(repo_start(g->repo, &e), &e);
    for (size_t i = 0; i < fleet_count(f); i++)
        if (target_is_up(f, fleet_target(f, i)))
            assert_int_equal(fleet_wait(f, fleet_target(f, i), fleet_position(f), 10000,
                                        &e),
                             1);
    repo_close(TAKE(g->repo));
}

static void
guest_release(struct guest *g)
{
    repo_close(g->repo);
    mem_free(g->conf.state);
}

#define GUEST(name) CLEANUP(guest_release) struct guest name = { .repo = NULL }

/* A machine that knows nothing, and only looks. */
static struct repo *
fresh(const struct site *s)
{
    struct repo_options o = { .conf = &s->conf, .temporary = true };
    struct repo *r = NULL;
    struct err e = { 0 };

    assert_ok(repo_open(&o, &r, &e), &e);
    return r;
}

#define FRESH(name, site) CLEANUP(repo_close_p) struct repo *name = fresh(site)

static bool
knows(struct repo *r, const uint8_t id[ID_LEN])
{
    uint8_t pub[KEY_LEN];

    return repo_host_of(r, id) != NULL && repo_signer(r, id, pub);
}

static bool
all_up(struct repo *r)
{
    bool up = true;

    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        up &= target_is_up(r->fleet, fleet_target(r->fleet, i));
    return up;
}

/* Two hosts enter while neither sees the other's record. */
static void
fork_it(const struct site *s, struct guest *a, struct guest *b)
{
    guest_open(s, "state-a", a);
    guest_open(s, "state-b", b);
    assert_int_equal(a->repo->conf_seq, 1);
    assert_int_equal(b->repo->conf_seq, 1);
    uint8_t ids[2][ID_LEN];
    memcpy(ids[0], a->repo->host_id, ID_LEN);
    memcpy(ids[1], b->repo->host_id, ID_LEN);
    guest_deliver(a);
    guest_deliver(b);
    for (size_t i = 0; i < s->conf.target_count; i++)
        assert_int_equal(site_count(s, i, "conf/0000000001-"), 2);
    FRESH(r, s);
    assert_true(knows(r, ids[0]) && knows(r, ids[1]));
    assert_true(all_up(r));
    assert_false(repo_rollback_seen(r));
}

/* Otherwise what one of them backs up is signed by somebody unknown, for good. */
static void
hosts_that_enter_at_once_know_each_other(void **state)
{
    SITE(s, TARGETS);
    GUEST(a);
    GUEST(b);

    (void)state;
    fork_it(&s, &a, &b);
    guest_open(&s, NULL, &a);
    guest_open(&s, NULL, &b);
    assert_int_equal(a.repo->host_count, 3);
    assert_int_equal(b.repo->host_count, 3);
    assert_true(knows(a.repo, b.repo->host_id) && knows(b.repo, a.repo->host_id));
    assert_memory_equal(repo_conf_head(a.repo), repo_conf_head(b.repo), 32);
    assert_int_equal(site_count(&s, 0, "conf/"), 3); /* knowing writes nothing */
}

struct names {
    char keys[8][96];
    size_t count;
};

static int
take_name(void *arg, const struct object_info *o, struct err *e)
{
    struct names *n = arg;

    (void)e;
    assert_true(n->count < COUNT_OF(n->keys));
    snprintf(n->keys[n->count++], sizeof n->keys[0], "%s", o->key);
    return 0;
}

static struct names
names_of(const struct site *s, size_t i, const char *prefix)
{
    CLEANUP(storage_close_p) struct storage *store = site_store(s, i);
    struct names n = { .count = 0 };
    struct err e = { 0 };

    assert_ok(storage_list(store, prefix, take_name, &n, &e), &e);
    return n;
}

static void
put_object(const struct site *s, size_t i, const char *key, struct slice data)
{
    CLEANUP(storage_close_p) struct storage *store = site_store(s, i);
    struct body body = body_of(data);
    struct err e = { 0 };

    assert_ok(storage_put(store, key, &body, 0, &e), &e);
}

static void
get_object(const struct site *s, size_t i, const char *key, struct buf *out)
{
    CLEANUP(storage_close_p) struct storage *store = site_store(s, i);
    struct range range = { .key = key };
    struct err e = { 0 };

    buf_clear(out);
    assert_ok(storage_get(store, &range, out, &e), &e);
}

static void
remove_object(const struct site *s, size_t i, const char *key)
{
    CLEANUP(storage_close_p) struct storage *store = site_store(s, i);
    struct err e = { 0 };

    assert_ok(storage_remove(store, &key, 1, &e), &e);
}

/* The record behind a fork names both branches, one as the record before and one
 * as seen, and the one after it names neither. */
static void
the_next_host_joins_the_branches(void **state)
{
    SITE(s, TARGETS);
    GUEST(a);
    GUEST(b);
    GUEST(c);
    GUEST(d);

    (void)state;
    fork_it(&s, &a, &b);
    guest_open(&s, "state-c", &c);
    assert_int_equal(c.repo->conf_seq, 2);
    guest_deliver(&c);
    guest_open(&s, "state-d", &d);
    assert_int_equal(d.repo->conf_seq, 3);
    assert_int_equal(d.repo->host_count, 5);
    guest_deliver(&d);
    AUTOBUF struct buf second = BUF(CONF_OBJECT_MAX), third = BUF(CONF_OBJECT_MAX);
    struct names n = names_of(&s, 2, "conf/");
    assert_int_equal(n.count, 5);
    get_object(&s, 2, n.keys[3], &second);
    get_object(&s, 2, n.keys[4], &third);
    assert_int_equal(second.len, third.len + 2 + 4 + 32);
}

/* Whatever a record names and no target shows was lost or is hidden. What the
 * others tell counts all the same. */
static void
a_record_that_is_hidden_is_missed(void **state)
{
    SITE(s, 1);
    GUEST(a);
    GUEST(b);
    GUEST(c);

    (void)state;
    fork_it(&s, &a, &b);
    guest_open(&s, "state-c", &c);
    guest_deliver(&c);
    struct names n = names_of(&s, 0, "conf/");
    assert_int_equal(n.count, 4);
    for (size_t i = 0; i < n.count; i++) {
        AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
        get_object(&s, 0, n.keys[i], &object);
        remove_object(&s, 0, n.keys[i]);
        FRESH(r, &s);
        /* of the newest nobody without memory can know */
        assert_int_equal(repo_rollback_seen(r), i < 3);
        assert_true(all_up(r));
        assert_int_equal(r->host_count, 3);
        put_object(&s, 0, n.keys[i], buf_slice(&object));
    }
    FRESH(r, &s);
    assert_false(repo_rollback_seen(r));
}

/* Takes a target out of reach, or brings it back. */
static void
away(const struct site *s, size_t i, bool gone)
{
    AUTOFREE char *here = mem_printf("%s/t%zu", s->folder.path, i);
    AUTOFREE char *there = mem_printf("%s/away%zu", s->folder.path, i);

    assert_int_equal(rename(gone ? here : there, gone ? there : here), 0);
}

/* They meet when a target is back: by its queue, or by who has learned of both. */
static void
hosts_that_enter_while_targets_are_away_meet(void **state)
{
    SITE(s, TARGETS);
    GUEST(a);
    GUEST(b);
    uint8_t ids[2][ID_LEN];

    (void)state;
    away(&s, 0, true);
    guest_open(&s, "state-a", &a);
    memcpy(ids[0], a.repo->host_id, ID_LEN);
    guest_deliver(&a);
    away(&s, 0, false);
    away(&s, 1, true);
    away(&s, 2, true);
    guest_open(&s, "state-b", &b);
    memcpy(ids[1], b.repo->host_id, ID_LEN);
    assert_int_equal(b.repo->conf_seq, 1);
    guest_deliver(&b);
    away(&s, 1, false);
    away(&s, 2, false);
    assert_int_equal(site_count(&s, 0, "conf/0000000001-"), 1);
    assert_int_equal(site_count(&s, 1, "conf/0000000001-"), 1);
    FRESH(r, &s);
    assert_true(knows(r, ids[0]) && knows(r, ids[1]));
    site_open(&s); /* a third, that knows neither */
    assert_true(knows(s.repo, ids[0]) && knows(s.repo, ids[1]));
    site_close(&s);
    for (size_t i = 0; i < TARGETS; i++)
        assert_int_equal(site_count(&s, i, "conf/0000000001-"), 2);
}

/* A target that was set back gets again what any writer remembers, by name. */
static void
a_target_gets_every_record_it_lacks(void **state)
{
    SITE(s, TARGETS);
    GUEST(a);
    GUEST(b);

    (void)state;
    fork_it(&s, &a, &b);
    site_open_again(&s);
    site_close(&s);
    struct names n = names_of(&s, 0, "conf/");
    for (size_t i = 0; i < n.count; i++)
        for (size_t t = 0; t < TARGETS; t++)
            if (t != i) /* another one is left on each */
                remove_object(&s, t, n.keys[i]);
    site_open(&s);
    assert_false(repo_rollback_seen(s.repo));
    site_close(&s);
    for (size_t t = 0; t < TARGETS; t++)
        assert_int_equal(site_count(&s, t, "conf/"), 3);
}

/* Before this host's first snapshot can be committed, every target that is given
 * it has what makes the host known. */
static void
the_own_record_is_there_before_anything_else(void **state)
{
    SITE(s, TARGETS);
    GUEST(a);
    GUEST(b);

    (void)state;
    guest_open(&s, "state-a", &a);
    guest_open(&s, "state-b", &b);
    guest_deliver(&a);
    repo_close(TAKE(b.repo)); /* died before it sent anything */
    guest_open(&s, NULL, &b);
    assert_int_equal(b.repo->conf_seq, 1);
    for (size_t i = 0; i < TARGETS; i++)
        assert_int_equal(site_count(&s, i, "conf/0000000001-"), 2);
}

static void
junk_name(char key[96], const char *number, struct slice data)
{
    uint8_t hash[32];
    char hex[65];

    sha256(data, hash);
    text_hex(hex, hash, 32);
    snprintf(key, 96, "conf/%s-%s", number, hex);
}

/* What nobody signed must not keep a target from being used. */
static void
junk_is_nobodys_record(void **state)
{
    static const char *const numbers[] = { "0000000000", "0000000001", "0000000007",
                                           "4294967295", "9999999999" };
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    SITE(s, TARGETS);
    GUEST(a);
    char key[96];

    (void)state;
    struct names n = names_of(&s, 0, "conf/");
    get_object(&s, 0, n.keys[0], &object);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        junk_name(key, numbers[i], SLICE("junk that nobody signed"));
        put_object(&s, 0, key, SLICE("junk that nobody signed"));
        memset(key + 16, '0', 64);
        put_object(&s, 1, key, SLICE("other bytes than its name says"));
        junk_name(key, numbers[i], buf_slice(&object));
        put_object(&s, 2, key, buf_slice(&object)); /* root's, under other numbers */
    }
    for (int round = 0; round < 2; round++) {
        guest_open(&s, "state-a", &a);
        assert_true(all_up(a.repo));
        assert_false(repo_rollback_seen(a.repo));
        assert_int_equal(a.repo->conf_seq, 1);
        guest_deliver(&a);
    }
    FRESH(r, &s);
    assert_true(all_up(r));
    assert_int_equal(r->host_count, 2);
}

/* One target's damage is another's to mend. */
static void
a_damaged_record_is_taken_from_elsewhere(void **state)
{
    SITE(s, TARGETS);
    GUEST(a);
    AUTOBUF struct buf whole = BUF(CONF_OBJECT_MAX), now = BUF(CONF_OBJECT_MAX);

    (void)state;
    struct names n = names_of(&s, 0, "conf/");
    get_object(&s, 0, n.keys[0], &whole);
    put_object(&s, 0, n.keys[0], SLICE("damaged"));
    FRESH(r, &s);
    assert_true(all_up(r));
    assert_int_equal(r->host_count, 1);
    guest_open(&s, "state-a", &a);
    get_object(&s, 0, n.keys[0], &now);
    assert_true(slice_equal(buf_slice(&now), buf_slice(&whole)));
}

/* A place that lists records of which none is any good is not written to: who has
 * no memory would enter it as the first. */
static void
without_any_good_record_a_target_is_foreign(void **state)
{
    SITE(s, 1);

    (void)state;
    struct names n = names_of(&s, 0, "conf/");
    put_object(&s, 0, n.keys[0], SLICE("damaged"));
    FRESH(r, &s);
    assert_int_equal(target_state(r->fleet, fleet_target(r->fleet, 0)), TARGET_FOREIGN);
}

static int
open_conf(void *arg, struct slice object, struct err *e)
{
    struct repo probe = { .keys = arg };
    int rc = conf_take(&probe, object, e);

    conf_release(&probe);
    return rc < 0 ? -1 : 0;
}

static void
no_bit_of_a_record_may_differ(void **state)
{
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    SITE(s, 1);

    (void)state;
    struct names n = names_of(&s, 0, "conf/");
    get_object(&s, 0, n.keys[0], &object);
    FRESH(r, &s);
    refuse_all_damage(buf_slice(&object), open_conf, r->keys);
}

/* A record with these fields, by root. */
static int
take_made(struct repo *r, struct slice record)
{
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    uint8_t nonce[NONCE_LEN] = { 0 };
    struct err e = { 0 };

    conf_seal(r->keys, nonce, record, &object);
    int rc = open_conf(r->keys, buf_slice(&object), &e);
    if (rc < 0)
        assert_int_equal(e.kind, ERR_FORGED);
    return rc;
}

static void
a_record_names_one_before_it_unless_it_is_the_first(void **state)
{
    static const uint8_t hash[33] = { 1 };
    SITE(s, 1);

    (void)state;
    FRESH(r, &s);
    for (uint64_t seq = 0; seq < 2; seq++)
        for (size_t len = 0; len < 34; len++) {
            AUTOBUF struct buf rec = BUF(1000);
            record_put_u64(&rec, 1, seq);
            if (len > 0)
                record_put(&rec, 2, slice_of(hash, len));
            record_put(&rec, 77, SLICE("of a later version"));
            assert_int_equal(take_made(r, buf_slice(&rec)),
                             len == (seq ? 32 : 0) ? 0 : -1);
        }
    AUTOBUF struct buf rec = BUF(1000);
    record_put_u64(&rec, 1, UINT64_C(1) << 32);
    record_put(&rec, 2, slice_of(hash, 32));
    assert_int_equal(take_made(r, buf_slice(&rec)), -1);
}

/* The order in which records are found makes no difference. */
static void
a_revoked_host_stays_revoked(void **state)
{
    static const uint8_t id[ID_LEN] = { 7 }, pub[KEY_LEN] = { 8 };
    SITE(s, 1);

    (void)state;
    for (int first = 0; first < 2; first++) {
        site_open(&s);
        for (int i = 0; i < 2; i++) {
            AUTOBUF struct buf rec = BUF(1000), object = BUF(CONF_OBJECT_MAX);
            uint8_t nonce[NONCE_LEN] = { (uint8_t)i };
            struct err e = { 0 };
            record_put_u64(&rec, 1, 1);
            record_put(&rec, 2, slice_of(s.repo->conf_head, 32));
            if (i == first) {
                record_put(&rec, 5, slice_of(id, ID_LEN));
            } else {
                size_t at = record_begin(&rec, 4);
                record_put(&rec, 1, slice_of(id, ID_LEN));
                record_put(&rec, 2, slice_of(pub, KEY_LEN));
                record_end(&rec, at);
            }
            conf_seal(s.repo->keys, nonce, buf_slice(&rec), &object);
            int64_t seq = s.repo->conf_seq;
            uint8_t head[32];
            memcpy(head, s.repo->conf_head, 32);
            assert_ok(conf_keep(s.repo, buf_slice(&object), &e), &e);
            s.repo->conf_seq = seq;
            memcpy(s.repo->conf_head, head, 32);
        }
        assert_true(knows(s.repo, id));
        assert_true(repo_revoked(s.repo, id));
        site_close(&s);
        site_remove(&s);
        site_make(&s, 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_that_enter_at_once_know_each_other),
        cmocka_unit_test(the_next_host_joins_the_branches),
        cmocka_unit_test(a_record_that_is_hidden_is_missed),
        cmocka_unit_test(hosts_that_enter_while_targets_are_away_meet),
        cmocka_unit_test(a_target_gets_every_record_it_lacks),
        cmocka_unit_test(the_own_record_is_there_before_anything_else),
        cmocka_unit_test(junk_is_nobodys_record),
        cmocka_unit_test(a_damaged_record_is_taken_from_elsewhere),
        cmocka_unit_test(without_any_good_record_a_target_is_foreign),
        cmocka_unit_test(no_bit_of_a_record_may_differ),
        cmocka_unit_test(a_record_names_one_before_it_unless_it_is_the_first),
        cmocka_unit_test(a_revoked_host_stays_revoked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
