/* Files of configuration. */
#include "conf/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(conf_free_p) struct conf *c = NULL;
    struct err e = { 0 };

    if (conf_parse("fuzz.yaml", slice_of(data, len), &c, &e) < 0) {
        assert(e.kind != ERR_NONE && !c);
        return 0;
    }
    assert(c->repository && c->target_count > 0);
    for (size_t i = 0; i < c->target_count; i++)
        assert(conf_find_target(c, c->targets[i].name) == &c->targets[i]);
    for (size_t i = 0; i < c->source_count; i++)
        assert(conf_find_source(c, c->sources[i].name) == &c->sources[i]);
    return 0;
}
