#include "drill/kinds.h"

#include "checks.h"
#include "impl.h"

#define AT(field) offsetof(struct restore_with, field)

static const struct conf_key restore_keys[] = {
    { .name = "source",
      .type = CONF_NAME,
      .at = AT(source),
      .help = "The source; recovery-point tells which snapshot of it." },
    { .name = "snapshot",
      .type = CONF_STRING,
      .at = AT(snapshot),
      .help = "Or a snapshot, as drtool-restore(1) takes it." },
    { .name = "paths",
      .type = CONF_PATHS,
      .at = AT(paths),
      .flags = CONF_NO_HOME,
      .help = "Only these; of a path that ends in / what lies below. Default: all." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct command_with, field)

static const struct conf_key command_keys[] = {
    { .name = "argv",
      .type = CONF_STRINGS,
      .at = AT(argv),
      .flags = CONF_REQUIRED,
      .help = "The program and its arguments; no shell." },
    { .name = "cwd",
      .type = CONF_PATH,
      .at = AT(cwd),
      .help = "The folder it runs in. Default: the sandbox." },
    { .name = "env",
      .type = CONF_NODE,
      .at = AT(env),
      .flags = CONF_IS_MAP,
      .help = "Variables to add to the environment." },
    { .type = CONF_END },
};

static const struct output_kind restore_outputs[] = {
    { "path", false, "The folder it restored into." },
    { "snapshot", false, "The snapshot's id." },
    { "bytes", true, "Bytes of content." },
    { "files", true, "Files." },
    { NULL, false, NULL },
};

static const struct output_kind command_outputs[] = {
    { "exit", true, "The exit status." },
    { "stdout", false, "The first line it printed." },
    { NULL, false, NULL },
};

const struct step_kind step_kinds[] = {
    { "restore.files",
      "Restores a snapshot, or paths of it, into ${sandbox.dir}/ID. Passes when "
      "everything came back.",
      restore_keys, sizeof(struct restore_with), restore_outputs, step_restore_wrong,
      step_restore },
    { "command", "Runs a program. Passes when it exits 0.", command_keys,
      sizeof(struct command_with), command_outputs, command_wrong, step_command },
    { .name = NULL },
};

#undef AT
#define AT(field) offsetof(struct hash_with, field)

static const struct conf_key hash_keys[] = {
    { .name = "root",
      .type = CONF_PATH,
      .at = AT(root),
      .flags = CONF_REQUIRED,
      .help = "The folder of a restore.files step, or one below it." },
    { .type = CONF_END },
};

static const struct expect_key hash_expects[] = {
    { "mismatched", VALUE_NUMBER, "0",
      "Entries whose type, mode, size, link target or content differ." },
    { "missing", VALUE_NUMBER, "0", "Entries that are not there." },
    { "extra", VALUE_NUMBER, "0", "What is there and not in the snapshot." },
    { .name = NULL },
};

#undef AT
#define AT(field) offsetof(struct file_with, field)

static const struct conf_key file_keys[] = {
    { .name = "path",
      .type = CONF_PATH,
      .at = AT(path),
      .flags = CONF_REQUIRED,
      .help = "The file." },
    { .type = CONF_END },
};

static const struct expect_key file_expects[] = {
    { "exists", VALUE_FLAG, "true", "Whether something lies there." },
    { "size", VALUE_SIZE, NULL, "Its size." },
    { "mode", VALUE_MODE, NULL, "Its permissions, such as \"0644\"." },
    { "sha256", VALUE_SHA256, NULL, "The SHA-256 of its content." },
    { .name = NULL },
};

static const struct expect_key command_expects[] = {
    { "exit", VALUE_NUMBER, "0", "The exit status." },
    { "stdout", VALUE_TEXT, NULL, "What it printed, without the last newline." },
    { .name = NULL },
};

const struct check_kind check_kinds[] = {
    { "hash",
      "Compares what was restored with the snapshot's manifest: every entry's type, "
      "mode, size and link target, and every byte of content.",
      hash_keys, sizeof(struct hash_with), hash_expects, check_hash_wrong, check_hash },
    { "file", "Looks at one file.", file_keys, sizeof(struct file_with), file_expects,
      NULL, check_file },
    { "command", "Runs a program.", command_keys, sizeof(struct command_with),
      command_expects, command_wrong, check_command },
    { .name = NULL },
};

#undef AT
#define AT(field) offsetof(struct fault_options, field)

/* faults.c goes by their order. */
static const char *const down_words[] = { "refused", "http-503", "http-403", "not-found",
                                          NULL };
static const char *const corrupt_words[] = { "bit-flip", "truncate", NULL };

static const struct conf_key down_keys[] = {
    { .name = "how",
      .type = CONF_ENUM,
      .at = AT(how),
      .words = down_words,
      .help = "What it answers. Default: refused." },
    { .type = CONF_END },
};

static const struct conf_key corrupt_keys[] = {
    { .name = "how",
      .type = CONF_ENUM,
      .at = AT(how),
      .words = corrupt_words,
      .help = "How an answer is spoiled. Default: bit-flip." },
    { .name = "packs",
      .type = CONF_COUNT,
      .at = AT(packs),
      .min = 1,
      .max = FAULT_PACKS_MAX,
      .help = "How many packs are spoiled, of those that the restore needs. Default: "
              "all." },
    { .type = CONF_END },
};

static const struct conf_key corrupt_expects[] = {
    { .name = "detected",
      .type = CONF_BOOL,
      .at = 0,
      .help = "The wrong bytes must be noticed and what is restored be exact. Default: "
              "true." },
    { .type = CONF_END },
};

const struct fault_kind fault_kinds[] = {
    { "target.down", "Every call to the target fails, from the beginning to the end.",
      down_keys, NULL },
    { "object.corrupt", "What the target answers for packs is not what it was given.",
      corrupt_keys, corrupt_expects },
    { .name = NULL },
};

const char *const cleanup_kinds[] = { "sandbox.destroy", NULL };
