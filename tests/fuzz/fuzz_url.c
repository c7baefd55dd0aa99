/* URLs and their escapes. */
#include "fuzz.h"
#include "net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTOFREE char *text = mem_printf("%.*s", (int)len, (const char *)data);
    AUTOBUF struct buf coded = BUF(3 * len + 1), back = BUF(len + 1),
                       host = BUF(len + 99);
    CLEANUP(url_release) struct url u = { 0 };
    struct err e = { 0 };

    if (url_parse(&u, text, &e) == 0) {
        url_authority(&host, &u);
        assert(u.scheme[0] && (!u.path[0] || u.path[0] == '/') && u.port <= 65535);
    } else {
        assert(e.kind == ERR_USAGE && !u.scheme);
    }
    url_encode(&coded, slice_of(data, len), len % 2);
    bool ok = url_decode(&back, buf_slice(&coded));
    assert(ok && slice_equal(buf_slice(&back), slice_of(data, len)));
    buf_clear(&back);
    (void)url_decode(&back, slice_of(data, len));
    return 0;
}
