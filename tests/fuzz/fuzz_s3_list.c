/* Answers of an S3 server. */
#include "fuzz.h"
#include "s3/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
see_leaf(void *arg, const char *path, const char *text)
{
    size_t *seen = arg;

    assert(strlen(path) < XML_PATH_MAX && strlen(text) <= XML_TEXT_MAX);
    *seen += strlen(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err e = { 0 };
    size_t seen = 0;

    if (xml_read(slice_of(data, len), see_leaf, &seen, &e) < 0)
        assert(e.kind == ERR_UNAVAIL);
    assert(seen <= len * 8);
    return 0;
}
