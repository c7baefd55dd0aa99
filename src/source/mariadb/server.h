/*
 * server: how MariaDB's tools reach a server, and what it says of itself.
 *
 * The password goes to a tool as an option file on its stdin, which has no name: it
 * stands in no argument, in no environment and on no disk. One thread.
 */
#ifndef SOURCE_MARIADB_SERVER_H
#define SOURCE_MARIADB_SERVER_H

#include "conf/config.h"

#define SERVER_WORDS \
    8 /* of a command line, at most: the tool's name and how to connect */

struct server {
    const struct conf_source *conf; /* borrowed */
    int options;                    /* the option file; 0: none */
    char *words[SERVER_WORDS];
    size_t word_count;
    char *version;     /* "10.11.6-MariaDB-log" */
    char *data;        /* its data folder */
    bool binlog;       /* it keeps one */
    uint64_t expected; /* bytes of InnoDB's files; 0: not asked for */
};

/* Makes the option file and asks the server. ERR_DENIED when it refuses us, ERR_UNAVAIL
 * when it does not answer. */
MUST_USE int server_open(struct server *s, const struct conf_source *conf, struct err *e);
void server_close(struct server *s);

/* Fills `argv` with the tool's name, how it reaches the server and `more` (ends with
 * NULL); returns how many words there are, without the NULL behind them. It has room for
 * SERVER_WORDS more than there are of `more`. */
size_t server_argv(const struct server *s, const char *tool, const char *const *more,
                   const char **argv);
/* What a tool that reads the option file has added to its environment; may be NULL. */
const char *const *server_env(const struct server *s);

/* Words of the line in which mariadb-backup says why it failed; others come behind it,
 * as the rights that the user has, with a hash of the password. Ends with NULL. */
extern const char *const server_telling[];

/* A tool tells in words alone whether nobody answered or we were refused. */
enum err_kind server_kind(const char *said);

/* The number that Aria gave the data folder when it was made, in hex; NULL when it cannot
 * be read here. It stays when the folder is copied. Freed by the caller. */
char *server_identity(const struct server *s);

#endif
