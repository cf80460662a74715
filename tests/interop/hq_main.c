#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/interop/hq.h"

/* What each role knows; the names are the interop runner's. */
static const struct {
    const char *name;
    hq_case testcase;
} cases[] = {
    {"handshake", HQ_HANDSHAKE},
    {"transfer", HQ_TRANSFER},
    {"retry", HQ_RETRY},
    {"resumption", HQ_RESUMPTION},
    {"zerortt", HQ_ZERO_RTT},
    {"ecn", HQ_ECN},
    {"multiconnect", HQ_MULTICONNECT},
    {"v2", HQ_V2},
    {"keyupdate", HQ_KEY_UPDATE},
    {"connectionmigration", HQ_MIGRATION},
};

static const char *env_or(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

bool hq_env_read(hq_env *env)
{
    const char *role = env_or("ROLE", "");
    const char *testcase = env_or("TESTCASE", "");
    const char *io = env_or("IO", "");
    memset(env, 0, sizeof(*env));
    env->testcase = HQ_UNSUPPORTED;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(cases[i].name, testcase) == 0) {
            env->testcase = cases[i].testcase;
        }
    }
    env->is_server = strcmp(role, "server") == 0;
    env->requests = env_or("REQUESTS", "");
    env->www = env_or("WWW", "/www");
    env->downloads = env_or("DOWNLOADS", "/downloads");
    env->certs = env_or("CERTS", "/certs");
    env->listen = env_or("LISTEN", "[::]:443");
    env->preferred = env_or("PREFERRED", "");
    env->io = strcmp(io, "uring") == 0   ? QURING_IO_URING
              : strcmp(io, "epoll") == 0 ? QURING_IO_EPOLL
                                         : QURING_IO_AUTO;
    if (!env->is_server && strcmp(role, "client") != 0) {
        (void)fprintf(stderr, "hq: ROLE is \"%s\": allowed are client, server\n", role);
        return false;
    }
    return true;
}

void hq_config(quring_config *config, const hq_env *env)
{
    quring_limits *l = &config->limits;
    quring_config_init(config);
    config->workers = 1;
    config->io = env->io;
    l->connections_per_addr_max = 0; /* every client comes from one address here */
    l->half_open_per_addr_max = 0;
    l->ecn = env->testcase == HQ_ECN;
    if (env->testcase == HQ_V2) { /* the client begins in version 1, and lists 2 */
        l->version_preferred = QURING_QUIC_V2;
    }
    if (env->testcase == HQ_MULTICONNECT || env->testcase == HQ_TRANSFER) {
        /* 30 % loss asks for patience, and so do six datagrams in a row where a client has but one to send at a time */
        l->handshake_timeout_ns = 180ull * 1000000000;
        l->idle_timeout_ns = 180ull * 1000000000;
    }
    if (env->testcase == HQ_TRANSFER && !env->is_server) {
        l->stream_recv_window_bytes = 64u << 10; /* so that they must be raised on the way */
        l->conn_recv_window_bytes = 96u << 10;
    }
}

void hq_print_conn(const quring_event *ev, const quring_conn_info *info)
{
    (void)printf(
        "{\"closed\": %d, \"code\": %" PRIu64 ", \"reason\": \"%s\", \"version\": %" PRIu32
        ", \"alpn\": \"%s\", \"retry\": %s, \"resumed\": %s, \"early\": %s, "
        "\"zero_rtt_bytes\": %" PRIu64 ", \"ecn_acked\": %" PRIu64 ", \"ecn_ce\": %" PRIu64
        ", \"packets_lost\": %" PRIu64 ", \"ptos\": %" PRIu64 ", \"key_updates\": %" PRIu32
        ", \"key_updates_peer\": %" PRIu32 ", \"path_changes\": %" PRIu32 ", \"preferred\": %s}\n",
        (int)ev->close->kind, ev->close->code, ev->close->reason, info->version, info->alpn,
        info->retry_used ? "true" : "false", info->resumed ? "true" : "false",
        info->early_accepted ? "true" : "false", info->zero_rtt_bytes, info->ecn_acked,
        info->ecn_ce, info->packets_lost, info->pto_count_total, info->key_updates,
        info->key_updates_peer, info->path_changes, info->at_preferred_address ? "true" : "false");
}

int main(void)
{
    hq_env env;
    quring_config config;
    quring_error err;
    quring_runtime *rt = NULL;
    sigset_t stop;
    if (!hq_env_read(&env)) {
        return 1;
    }
    if (env.testcase == HQ_UNSUPPORTED) {
        (void)printf("{\"unsupported\": true}\n");
        return HQ_EXIT_NO;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGINT);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL); /* the workers inherit it */
    hq_config(&config, &env);
    if (quring_runtime_create(&rt, &config, &err) != QURING_OK) {
        (void)fprintf(stderr, "hq: %s\n", err.message);
        return err.status == QURING_E_NOT_SUPPORTED ? 77 : 1;
    }
    int rc = env.is_server ? hq_serve(&env, rt) : hq_fetch(&env, rt);
    quring_runtime_stop(rt, 0, 1000000000u);
    quring_stats stats;
    if (quring_stats_get(rt, -1, &stats) == QURING_OK) {
        (void)printf("{\"run\": true, \"established\": %" PRIu64 ", \"opened\": %" PRIu64
                     ", \"path_changes\": %" PRIu64 ", \"undecryptable\": %" PRIu64 "}\n",
                     stats.conns_established, stats.conns_opened, stats.path_changes,
                     stats.drop_undecryptable);
    }
    quring_runtime_destroy(rt);
    return rc;
}
