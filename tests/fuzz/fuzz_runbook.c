/* Runbooks. */
#include "conf/config.h"
#include "drill/runbook.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char fuzz_conf[] = "repository: main\n"
                                "key: { file: /key }\n"
                                "targets:\n"
                                "  - { name: eu-west, url: 'file:///mnt/a' }\n"
                                "  - { name: minio, url: 'file:///mnt/b' }\n"
                                "sources:\n"
                                "  - { name: uploads, files: { paths: [/srv] } }\n";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct conf *c;
    CLEANUP(runbook_free_p) struct runbook *rb = NULL;
    struct err e = { 0 };

    if (!c && conf_parse("drtool.yaml", slice_str(fuzz_conf), &c, &e) < 0) {
        fprintf(stderr, "%s\n", err_text(&e));
        abort();
    }
    if (runbook_parse("fuzz.yaml", slice_of(data, len), c, "run-1", &rb, &e) < 0)
        assert(e.kind != ERR_NONE && !rb);
    return 0;
}
