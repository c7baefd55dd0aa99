#include "support/fixture.h"

#include "drill/runbook.h"

#define RUN_ID "20261122-030015-0badcafe"

#define HEAD                                \
    "drtool: 1\n"                           \
    "kind: runbook\n"                       \
    "metadata: { name: loss, owner: me }\n" \
    "sandbox: { root: /var/tmp }\n"
#define STEP "steps: [ { id: files, uses: restore.files, with: { source: up } } ]\n"
#define CHECK \
    "checks: [ { id: h, uses: hash, with: { root: \"${steps.files.path}\" } } ]\n"

static char nas[] = "nas", url[] = "file:///srv/nas", up[] = "up", shop[] = "/srv/shop";
static char state_dir[] = "/var/lib/drtool-none";
static struct conf_target targets[] = { { .name = nas, .url = url } };
static char *paths[] = { shop, NULL };
static struct conf_source sources[] = { { .name = up, .files = { .paths = paths } } };
static const struct conf conf = { .state = state_dir,
                                  .targets = targets,
                                  .target_count = 1,
                                  .sources = sources,
                                  .source_count = 1 };

static struct runbook *
load(const char *text, struct err *e)
{
    struct runbook *rb = NULL;

    *e = (struct err){ 0 };
    if (runbook_parse("rb.yaml", slice_str(text), &conf, RUN_ID, &rb, e) < 0)
        assert_int_equal(e->kind, ERR_USAGE);
    return rb;
}

static void
refused(const char *text, const char *why)
{
    struct err e;
    struct runbook *rb = load(text, &e);

    if (rb)
        fail_msg("accepted, instead of: %s", why);
    if (strncmp(err_text(&e), why, strlen(why)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", err_text(&e), why);
}

static struct runbook *
accepted(const char *text)
{
    struct err e;
    struct runbook *rb = load(text, &e);

    if (!rb)
        fail_msg("%s", err_text(&e));
    return rb;
}

static void
a_small_runbook_has_defaults(void **state)
{
    (void)state;
    CLEANUP(runbook_free_p)
    struct runbook *rb = accepted(
        HEAD "objectives: { rto: 45m, rpo: 15m }\n"
             "faults: [ { kind: target.down, target: nas } ]\n" STEP CHECK);

    assert_string_equal(rb->metadata.owner, "me");
    assert_int_equal(rb->objectives.rto_ms, 45 * 60000);
    assert_int_equal(rb->point.select, SELECT_LATEST);
    assert_string_equal(rb->faults[0].id, "target.down-nas");
    assert_false(rb->faults[0].demanded);
    assert_int_equal(rb->checks[0].severity, SEVERITY_CRITICAL);
    assert_int_equal(rb->steps[0].on_failure, FAILURE_ABORT);
    assert_string_equal(rb->sandbox_dir, "/var/tmp/drtool-drill-" RUN_ID);
}

static void
mistakes_have_line_and_column(void **state)
{
    (void)state;
    refused(HEAD "objectivs: { rto: 1m }\n" STEP CHECK,
            "rb.yaml:5:1: unknown key \"objectivs\"; did you mean \"objectives\"?");
    refused("drtool: 1\nkind: runbook\nmetadata: { name: x }\n" STEP CHECK,
            "rb.yaml:3:11: the key \"owner\" is missing in metadata");
    refused(HEAD "objectives: { rto: soon }\n" STEP CHECK,
            "rb.yaml:5:20: rto must be a duration");
    refused(HEAD "faults: [ { kind: target.dwn, target: nas } ]\n" STEP CHECK,
            "rb.yaml:5:19: there is no fault \"target.dwn\"; did you mean "
            "\"target.down\"?");
    refused(HEAD "faults: [ { kind: target.down, target: nsa } ]\n" STEP CHECK,
            "rb.yaml:5:40: there is no target \"nsa\"; did you mean \"nas\"?");
    refused(HEAD "faults: [ { kind: target.down, target: nas, with: { haw: x } } ]\n" STEP
                CHECK,
            "rb.yaml:5:53: unknown key \"haw\"; did you mean \"how\"?");
    refused(HEAD "steps: [ { id: a, uses: restore.fils } ]\n" CHECK,
            "rb.yaml:5:25: there is no step \"restore.fils\"; did you mean "
            "\"restore.files\"?");
    refused(HEAD "steps: [ { id: a, uses: command, with: { agv: [x] } } ]\n" CHECK,
            "rb.yaml:5:42: unknown key \"agv\"; did you mean \"argv\"?");
    refused(HEAD STEP "checks: [ { id: h, uses: hash } ]\n",
            "rb.yaml:6:11: the key \"root\" is missing in with");
    refused("drtool: 2\nkind: runbook\n", "rb.yaml:1:9: drtool must be at most 1");
    refused(HEAD STEP "checks: []\n", "rb.yaml:6:1: a drill without checks proves "
                                      "nothing");
}

static void
expectations_are_typed_before_anything_starts(void **state)
{
    (void)state;
#define FILE_CHECK(expect)                                       \
    HEAD STEP "checks:\n  - { id: f, uses: file, with: { path: " \
              "/x }, expect: { " expect " } }\n"
    refused(FILE_CHECK("size: { gr: 1 }"), "rb.yaml:7:64: unknown key \"gr\"; did you "
                                           "mean \"gt\"?");
    refused(FILE_CHECK("siz: 1"), "rb.yaml:7:56: unknown key \"siz\"; did you mean "
                                  "\"size\"?");
    refused(FILE_CHECK("size: big"), "rb.yaml:7:62: size must be a size, not \"big\"");
    refused(FILE_CHECK("sha256: abc"), "rb.yaml:7:64: sha256 must be a 64 hex digits");
    refused(FILE_CHECK("mode: { lt: \"0644\" }"), "rb.yaml:7:64: mode cannot be compared "
                                                  "by lt");
    refused(HEAD STEP "checks: [ { id: c, uses: command, with: { argv: [x] }, expect: { "
                      "stdout: { matches: \"(\" } } } ]\n",
            "rb.yaml:6:85: \"(\" is no regular expression");
}

static void
references_lead_somewhere(void **state)
{
    (void)state;
    refused(HEAD STEP "checks: [ { id: h, uses: hash, with: { root: "
                      "\"${steps.fils.path}\" } } ]\n",
            "rb.yaml:6:47: there is no step \"fils\"; did you mean \"files\"?");
    refused(HEAD STEP "checks: [ { id: h, uses: hash, with: { root: "
                      "\"${steps.files.pth}\" } } ]\n",
            "rb.yaml:6:47: there is no output of restore.files \"pth\"; did you mean "
            "\"path\"?");
    refused(HEAD
            "steps:\n"
            "  - { id: a, uses: command, with: { argv: [x, \"${steps.b.exit}\"] } }\n"
            "  - { id: b, uses: command, with: { argv: [x] } }\n" CHECK,
            "rb.yaml:6:48: step b comes later");
    refused(HEAD "steps: [ { id: a, uses: command, with: { argv: [\"x ${inputs.y}\"] } } "
                 "]\n" CHECK,
            "rb.yaml:5:52: there is no input \"y\"");
    refused(HEAD "steps: [ { id: a, uses: command, with: { argv: [\"${env.DR_NONE}\"] } "
                 "} ]\n" CHECK,
            "rb.yaml:5:50: the environment has no DR_NONE");
    refused(
        HEAD
        "steps: [ { id: a, uses: command, with: { argv: [\"${run.di}\"] } } ]\n" CHECK,
        "rb.yaml:5:50: unknown reference ${run.di}; did you mean ${run.id}?");
    refused(HEAD "steps: [ { id: a, name: \"${sandbox.dir}\", uses: command } ]\n" CHECK,
            "rb.yaml:5:26: ${sandbox.dir} can be used in `with` and `expect`");
    refused(HEAD
            "steps: [ { id: a, uses: command, with: { argv: [\"${run.id\"] } } ]\n" CHECK,
            "rb.yaml:5:50: \"${\" without its \"}\"");
    refused(HEAD STEP "checks: [ { id: h, uses: hash, with: { root: /srv } } ]\n",
            "rb.yaml:6:38: root lies in no folder that a restore.files step makes");
}

static void
values_are_put_in_and_then_typed(void **state)
{
    (void)state;
    setenv("DR_TEST_VALUE", "${steps.files.path}", 1);
    CLEANUP(runbook_free_p)
    struct runbook *rb = accepted(
        "drtool: 1\nkind: runbook\n"
        "metadata: { name: loss, owner: \"${inputs.who}\", title: \"${run.id} $${x} $5\","
        " tags: [\"${env.DR_TEST_VALUE}\"] }\n"
        "inputs: { who: { default: team }, most: { type: duration, default: 90s } }\n"
        "sandbox: { root: /var/tmp }\n"
        "objectives: { rto: \"${inputs.most}\" }\n" STEP CHECK);

    assert_string_equal(rb->metadata.owner, "team");
    assert_string_equal(rb->metadata.title, RUN_ID " ${x} $5");
    assert_int_equal(rb->objectives.rto_ms, 90000);
    /* What was put in is not looked at again. */
    assert_string_equal(rb->metadata.tags[0], "${steps.files.path}");
    refused("drtool: 1\nkind: runbook\nmetadata: { name: loss, owner: me }\n"
            "inputs: { most: { type: duration, default: soon } }\n" STEP CHECK,
            "rb.yaml:4:44: \"soon\" is no duration");
}

static void
names_and_needs_are_checked(void **state)
{
    (void)state;
    refused(HEAD "steps:\n  - { id: a, uses: command, with: { argv: [x] } }\n"
                 "  - { id: a, uses: command, with: { argv: [x] } }\n" CHECK,
            "rb.yaml:7:11: \"a\" is the id of another one too");
    refused(HEAD "steps:\n  - { id: a, uses: command, with: { argv: [x] }, needs: [b] }\n"
                 "  - { id: b, uses: command, with: { argv: [x] } }\n" CHECK,
            "rb.yaml:6:58: there is no step above called \"b\"");
    refused(HEAD "steps: [ { id: f, uses: restore.files } ]\n" CHECK,
            "rb.yaml:5:10: name the source to restore, or a snapshot");
    refused(HEAD "recovery-point: { select: as-of }\n" STEP CHECK,
            "rb.yaml:5:17: select: as-of needs at");
    refused(HEAD "recovery-point: { at: 2026-11-22 }\n" STEP CHECK,
            "rb.yaml:5:19: at goes with select: as-of");
}

/* A drill that could write into what is backed up would be the disaster. */
static void
a_sandbox_in_what_is_backed_up_is_refused(void **state)
{
    (void)state;
#define IN(root)                                                   \
    "drtool: 1\nkind: runbook\nmetadata: { name: l, owner: me }\n" \
    "sandbox: { root: " root " }\n" STEP CHECK

    refused(IN("/srv/shop"), "rb.yaml:4:18: the sandbox /srv/shop/drtool-drill-" RUN_ID
                             " would lie in source up (/srv/shop)");
    refused(IN("/srv/shop/deep/er"), "rb.yaml:4:18: the sandbox /srv/shop/deep/er/");
    refused(IN("/srv/nas"), "rb.yaml:4:18: the sandbox /srv/nas/");
    refused(IN("/var/lib/drtool-none"), "rb.yaml:4:18: the sandbox /var/lib/");
    /* Beside it is not in it. */
    runbook_free(accepted(IN("/srv/shop-2")));
}

static void
a_link_into_what_is_backed_up_is_refused(void **state)
{
    (void)state;
    FOLDER(f);
    AUTOFREE char *source = folder_path(&f, "source");
    AUTOFREE char *link = folder_path(&f, "link");
    AUTOFREE char *text = mem_printf(IN("%s/below"), link);
    AUTOFREE char *other = mem_printf(IN("%s"), f.path);
    AUTOFREE char *said = mem_printf("rb.yaml:4:18: the sandbox %s/below/", source);

    paths[0] = source;
    folder_write(&f, "source/below/file", SLICE("x"));
    assert_int_equal(symlink(source, link), 0);
    refused(text, said);
    /* The source's own path may be the link. */
    paths[0] = link;
    refused(text, said);
    runbook_free(accepted(other));
    paths[0] = shop;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_runbook_has_defaults),
        cmocka_unit_test(mistakes_have_line_and_column),
        cmocka_unit_test(expectations_are_typed_before_anything_starts),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(values_are_put_in_and_then_typed),
        cmocka_unit_test(names_and_needs_are_checked),
        cmocka_unit_test(a_sandbox_in_what_is_backed_up_is_refused),
        cmocka_unit_test(a_link_into_what_is_backed_up_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
