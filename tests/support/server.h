/*
 * server: an HTTP server on 127.0.0.1 that answers by a script.
 *
 * For what real servers do not do on demand: refuse once and then work, cut
 * a body, reset, stall, lie about lengths. Each request takes the next step
 * of the script; the last one is repeated for ever. A Date field is added.
 */
#ifndef SUPPORT_SERVER_H
#define SUPPORT_SERVER_H

#include <stddef.h>
#include <stdint.h>

enum server_how {
    SERVER_ANSWER,   /* the whole answer */
    SERVER_CUT,      /* half of the body, then the connection is closed */
    SERVER_RESET,    /* the connection is reset instead of an answer */
    SERVER_CLOSE,    /* it is closed without an answer */
    SERVER_STALL,    /* nothing is said until the server is stopped */
    SERVER_DRIP,     /* one byte of the body every 50 ms */
    SERVER_OVERLONG, /* 1,000 bytes more than Content-Length tells */
    SERVER_CHUNKED,  /* no Content-Length; the body in two chunks */
    SERVER_EARLY,    /* answered before the request's body was read, then closed */
};

struct server_step {
    int status;
    const char *fields; /* further lines, each ended by \r\n; NULL: none */
    const char *body;   /* NULL: none */
    enum server_how how;
    int64_t date_off_s; /* the Date field is this far from now */
};

struct server *server_start(const struct server_step *steps, size_t count);
void server_stop(struct server *s);

const char *server_endpoint(const struct server *s); /* "http://127.0.0.1:PORT" */
unsigned server_requests(struct server *s);
unsigned server_connections(struct server *s);

/* The head of request `n` (from 0) as it came, and the bytes of its body that
 * were read; "" and 0 when there was none. Valid until server_stop(). */
const char *server_head(struct server *s, unsigned n);
uint64_t server_body_size(struct server *s, unsigned n);

#endif
