/*
 * report: the result of a drill for people and programs.
 */
#ifndef DRILL_REPORT_H
#define DRILL_REPORT_H

#include "drill/result.h"

#include <jansson.h>

#define REPORT_MAX ((size_t)16 << 20) /* bytes of a report: the maximum of `out` */
#define REPORT_WIDTH 80

/* For a terminal; `verbose` tells outputs of steps too. */
void report_text(const struct drill_result *r, bool verbose, struct buf *out);

/* The members of "drtool.report/1", without schema. The caller owns it. */
json_t *report_json(const struct drill_result *r);

/* JUnit XML in the dialect that Jenkins and GitLab read. */
void report_junit(const struct drill_result *r, struct buf *out);

/* Makes `dir`, and report.json and junit.xml in it. */
MUST_USE int report_write(const struct drill_result *r, const char *dir, struct err *e);

#endif
