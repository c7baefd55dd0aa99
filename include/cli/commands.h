/*
 * commands: one const struct command a file cmd_NAME.c. To add one: write that
 * file, declare it here, put it into the table of commands.c; help, manual and
 * completions follow by `make generate`.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

extern const struct command cmd_init;
extern const struct command cmd_join;
extern const struct command cmd_backup;
extern const struct command cmd_snapshots;
extern const struct command cmd_restore;
extern const struct command cmd_ls;
extern const struct command cmd_dump;
extern const struct command cmd_diff;
extern const struct command cmd_status;
extern const struct command cmd_key_list;
extern const struct command cmd_key_add;
extern const struct command cmd_key_remove;
extern const struct command cmd_verify;
extern const struct command cmd_sync;
extern const struct command cmd_wal_push;
extern const struct command cmd_wal_fetch;
extern const struct command cmd_drill;
extern const struct command cmd_target_add;
extern const struct command cmd_target_check;
extern const struct command cmd_target_retire;
extern const struct command cmd_config_check;
extern const struct command cmd_completion;
extern const struct command cmd_help;
extern const struct command cmd_version;
extern const struct command cmd_man_hidden;
extern const struct command cmd_complete_hidden;

#endif
