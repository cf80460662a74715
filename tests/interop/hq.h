/* tests/interop/hq.h: an endpoint of the QUIC interop runner: files over "hq-interop" (HTTP/0.9 over QUIC),
 * told by its environment what to do.
 *
 *   ROLE        client | server
 *   TESTCASE    which behaviour; what it does not know ends it with status 127
 *   REQUESTS    client: URLs, https://HOST:PORT/FILE
 *   WWW, DOWNLOADS, CERTS   folders (/www, /downloads, /certs)
 *   LISTEN      server: address ([::]:443)
 *   PREFERRED   server, connectionmigration: the address it would rather be met at (RFC 9000 9.6)
 *   IO          uring | epoll; else whichever works
 *
 * Both print JSON, one object per line: one for each connection that ended, and last one about the run.
 */
#ifndef TESTS_INTEROP_HQ_H
#define TESTS_INTEROP_HQ_H

#include "quring/quring.h"

#define HQ_ALPN        "hq-interop"
#define HQ_EXIT_NO     127 /* this test case is not supported */
#define HQ_URLS_MAX    2048u
#define HQ_REQUEST_MAX 1024u

typedef enum hq_case {
    HQ_HANDSHAKE,
    HQ_TRANSFER,
    HQ_RETRY,
    HQ_RESUMPTION,
    HQ_ZERO_RTT,
    HQ_MULTICONNECT,
    HQ_ECN,
    HQ_V2,
    HQ_KEY_UPDATE,
    HQ_MIGRATION,
    HQ_UNSUPPORTED,
} hq_case;

typedef struct hq_env {
    bool is_server;
    hq_case testcase;
    const char *requests;
    const char *www;
    const char *downloads;
    const char *certs;
    const char *listen;
    const char *preferred;
    quring_io_backend io;
} hq_env;

/* hq_env_read fills `env`; false, after a line on stderr, when it makes no sense. */
bool hq_env_read(hq_env *env);

/* hq_config makes the runtime's configuration for the test case. */
void hq_config(quring_config *config, const hq_env *env);

/* hq_print_conn prints the facts of a connection that is being closed. */
void hq_print_conn(const quring_event *ev, const quring_conn_info *info);

int hq_serve(const hq_env *env, quring_runtime *rt);
int hq_fetch(const hq_env *env, quring_runtime *rt);

#endif /* TESTS_INTEROP_HQ_H */
