/*
 * tree: the files of a simulated host, which its number and a version tell whole.
 */
#ifndef TESTS_SIM_TREE_H
#define TESTS_SIM_TREE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Makes the files below `dir` those of that version, changing only what differs. */
void tree_write(const char *dir, int host, unsigned version, int64_t when_s);

/* Are the files below `dir` those of any one version of the host? Tells which. When
 * they are not, `e` says what is wrong. */
bool tree_read(const char *dir, int host, unsigned *version, struct err *e);

#endif
