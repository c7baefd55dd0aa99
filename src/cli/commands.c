#include "cli/commands.h"
#include "cli/parse.h"

#define AT(field) offsetof(struct globals, field)

const struct option global_options[] = {
    { OPT_STRING, "config", 'c', "FILE", AT(config), COMPLETE_FILE,
      "read this configuration, not the one of drtool.yaml(5)" },
    { OPT_FLAG, "json", 0, NULL, AT(json), COMPLETE_NONE,
      "print the result as one JSON object" },
    { OPT_FLAG, "progress", 0, NULL, AT(progress), COMPLETE_NONE,
      "tell how far it is, without a terminal too; with --json as JSON lines" },
    { OPT_FLAG, "quiet", 'q', NULL, AT(quiet), COMPLETE_NONE,
      "print nothing but warnings, errors and what was asked for" },
    { OPT_REPEAT, "verbose", 'v', NULL, AT(verbose), COMPLETE_NONE,
      "tell what is done; twice for details" },
    { OPT_FLAG, "help", 'h', NULL, AT(help), COMPLETE_NONE, "print help and end" },
    { OPT_FLAG, "version", 0, NULL, AT(version), COMPLETE_NONE,
      "print the version and end" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

const struct command *const commands[] = {
    &cmd_init,
    &cmd_join,
    &cmd_backup,
    &cmd_snapshots,
    &cmd_restore,
    &cmd_ls,
    &cmd_dump,
    &cmd_diff,
    &cmd_verify,
    &cmd_sync,
    &cmd_drill,
    &cmd_status,
    &cmd_key_list,
    &cmd_key_add,
    &cmd_key_remove,
    &cmd_target_add,
    &cmd_target_check,
    &cmd_target_retire,
    &cmd_config_check,
    &cmd_completion,
    &cmd_help,
    &cmd_version,
    &cmd_man_hidden,
    &cmd_complete_hidden,
    NULL,
};
