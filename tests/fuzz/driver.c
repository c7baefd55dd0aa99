/* Gives each file named on the command line to a fuzz target. */
#include "base/fs.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
main(int argc, char **argv)
{
    struct err e = { 0 };

    for (int i = 1; i < argc; i++) {
        AUTOBUF struct buf file = BUF((size_t)64 << 20);
        fprintf(stderr, "%s\n", argv[i]); /* the last one is the culprit */
        if (fs_read(argv[i], file.max, &file, &e) < 0) {
            fprintf(stderr, "%s\n", err_text(&e));
            return 1;
        }
        LLVMFuzzerTestOneInput(file.ptr, file.len);
    }
    return 0;
}
