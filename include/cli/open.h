/*
 * open: the repository of the configuration, for commands.
 */
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "cli/app.h"
#include "repo/repo.h"

/* Opens for reading, with the index loaded. */
MUST_USE int open_for_reading(struct app *app, struct repo **out, struct err *e);
/* The same for open_snapshot(), which loads the index. */
MUST_USE int open_for_snapshot(struct app *app, struct repo **out, struct err *e);
/* Opens for writing (one run at a time on a host), with the index loaded and
 * the lanes started. */
MUST_USE int open_for_writing(struct app *app, int64_t wait_ms, struct repo **out,
                              struct err *e);

/* The same without lanes yet: for who changes the targets first. */
MUST_USE int open_without_lanes(struct app *app, int64_t wait_ms, struct repo **out,
                                struct err *e);

/* For a database's log, beside whatever else runs; see repo_options.log. */
MUST_USE int open_log_for_reading(struct app *app, struct repo **out, struct err *e);
MUST_USE int open_log_for_writing(struct app *app, int64_t wait_ms, struct repo **out,
                                  struct err *e);

/* For reading, or with `heal` for writing; the targets are left as they are found,
 * so that verify can tell of it. Verify loads the index. */
MUST_USE int open_to_verify(struct app *app, bool heal, struct repo **out, struct err *e);

/* Are the arguments targets of the configuration, and with `just_one` is it one?
 * ERR_USAGE. */
MUST_USE int open_target_args(const struct app *app, bool just_one, struct err *e);

/* Tells each target's state, in JSON and as warnings noted in the status. */
void open_tell_targets(struct app *app, struct repo *r);

/* Tells of snapshots that no target has any more, in JSON and in the status. */
void open_tell_lost(struct app *app, struct repo *r, const struct snapshot_list *list);

/* ERR_DENIED when the key may not look into snapshots. */
MUST_USE int open_needs_metadata(struct repo *r, struct err *e);

/* Lists snapshots, loads the index and finds one; `list` owns what *row points to. */
MUST_USE int open_snapshot(struct repo *r, const char *text, struct snapshot_list *list,
                           struct snapshot_row **row, struct err *e);

#endif
