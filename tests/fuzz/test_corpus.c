/* Every file of the corpora through its fuzz target. What a fuzzer found once is
 * added there, so that it stays found. */
#include "support/fixture.h"

#include <dirent.h>

#define LLVMFuzzerTestOneInput fuzz_entry
#include "fuzz_entry.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_header
#include "fuzz_header.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_node
#include "fuzz_node.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_pack
#include "fuzz_pack.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_record
#include "fuzz_record.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_runbook
#include "fuzz_runbook.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_s3_list
#include "fuzz_s3_list.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_slot
#include "fuzz_slot.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_snapshot
#include "fuzz_snapshot.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_url
#include "fuzz_url.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_xbstream
#include "fuzz_xbstream.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_yaml
#include "fuzz_yaml.c"
#undef LLVMFuzzerTestOneInput

typedef int target_fn(const uint8_t *data, size_t len);

/* The file, cut at each of some lengths and with some bits flipped as well. */
static void
feed(target_fn *fn, struct slice file)
{
    AUTOFREE uint8_t *copy = mem_alloc(file.len + !file.len);

    memcpy(copy, file.ptr, file.len);
    fn(copy, file.len);
    for (size_t i = 0; i < file.len; i += 1 + file.len / 97) {
        AUTOFREE uint8_t *cut = mem_alloc(i + !i);
        memcpy(cut, file.ptr, i);
        fn(cut, i);
        copy[i] ^= (uint8_t)(1 << i % 8);
        fn(copy, file.len);
        copy[i] ^= (uint8_t)(1 << i % 8);
    }
}

static void
replay(const char *name, target_fn *fn)
{
    AUTOFREE char *path = mem_printf("tests/fuzz/corpus/%s", name);
    DIR *dir = opendir(path);
    unsigned files = 0;

    if (!dir)
        fail_msg("%s is not there; run me from the top of the repository", path);
    fn((const uint8_t *)"", 0);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        AUTOFREE char *one = fs_join(path, d->d_name);
        AUTOBUF struct buf file = BUF(1 << 20);
        struct err e = { 0 };
        if (d->d_name[0] == '.')
            continue;
        assert_ok(fs_read(one, 1 << 20, &file, &e), &e);
        feed(fn, buf_slice(&file));
        files++;
    }
    closedir(dir);
    assert_true(files > 0);
}

#define REPLAY(name)                                              \
    static void the_corpus_of_##name##_is_no_danger(void **state) \
    {                                                             \
        (void)state;                                              \
        replay(#name, fuzz_##name);                               \
    }

REPLAY(entry)
REPLAY(header)
REPLAY(node)
REPLAY(pack)
REPLAY(record)
REPLAY(runbook)
REPLAY(s3_list)
REPLAY(slot)
REPLAY(snapshot)
REPLAY(url)
REPLAY(xbstream)
REPLAY(yaml)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_of_entry_is_no_danger),
        cmocka_unit_test(the_corpus_of_header_is_no_danger),
        cmocka_unit_test(the_corpus_of_node_is_no_danger),
        cmocka_unit_test(the_corpus_of_pack_is_no_danger),
        cmocka_unit_test(the_corpus_of_record_is_no_danger),
        cmocka_unit_test(the_corpus_of_runbook_is_no_danger),
        cmocka_unit_test(the_corpus_of_s3_list_is_no_danger),
        cmocka_unit_test(the_corpus_of_slot_is_no_danger),
        cmocka_unit_test(the_corpus_of_snapshot_is_no_danger),
        cmocka_unit_test(the_corpus_of_url_is_no_danger),
        cmocka_unit_test(the_corpus_of_xbstream_is_no_danger),
        cmocka_unit_test(the_corpus_of_yaml_is_no_danger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
