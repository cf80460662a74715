#include "runtime/server/tls.h"

#include <pthread.h>
#include <stdlib.h>

#include "quic/crypto/self_signed.h"
#include "quic/crypto/tls_boring.h"
#include "runtime/core/clock.h"
#include "runtime/server/error.h"
#include "runtime/server/tls_load.h"

_Static_assert(QUIC_SELF_SIGNED_PEM_CAP <= 4096, "what the public header promises");

struct quring_tls {
    pthread_mutex_t lock;
    quic_tls_boring_config *config; /* under `lock`; never NULL */
    uint32_t refs;                  /* atomic */
    quic_role role;
};

/* ---- the configuration in force ---------------------------------------------------------------- */

static quic_tls_boring_config *rt_tls_current(quring_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    quic_tls_boring_config *config = quic_tls_boring_config_retain(tls->config);
    pthread_mutex_unlock(&tls->lock);
    return config;
}

static void rt_tls_replace(quring_tls *tls, quic_tls_boring_config *config)
{
    pthread_mutex_lock(&tls->lock);
    quic_tls_boring_config *old = tls->config;
    tls->config = config;
    pthread_mutex_unlock(&tls->lock);
    quic_tls_boring_config_release(old); /* handshakes under way have their own references */
}

static quic_rc rt_tls_create_handshake(quic_tls **out, const quic_tls_args *args)
{
    if (args->like != NULL) {
        /* The application may have released what tls_config says. */
        return quic_tls_boring()->create(out, args);
    }
    if (args->tls_config == NULL) {
        return QUIC_E_INVAL;
    }
    quic_tls_boring_config *config = rt_tls_current((quring_tls *)(uintptr_t)args->tls_config);
    quic_tls_args mine = *args;
    mine.tls_config = config;
    quic_rc rc = quic_tls_boring()->create(out, &mine);
    quic_tls_boring_config_release(config);
    return rc;
}

static quic_tls_vtable rt_tls_functions; /* written once, by the first that asks */

static void rt_tls_fill_functions(void)
{
    rt_tls_functions = *quic_tls_boring();
    rt_tls_functions.create = rt_tls_create_handshake;
}

const quic_tls_vtable *rt_tls_vtable(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, rt_tls_fill_functions);
    return &rt_tls_functions;
}

/* ---- life -------------------------------------------------------------------------------------- */

quring_tls *rt_tls_retain(quring_tls *tls)
{
    __atomic_add_fetch(&tls->refs, 1, __ATOMIC_RELAXED);
    return tls;
}

void quring_tls_release(quring_tls *tls)
{
    if (tls != NULL && __atomic_sub_fetch(&tls->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        quic_tls_boring_config_release(tls->config);
        pthread_mutex_destroy(&tls->lock);
        free(tls);
    }
}

quic_role rt_tls_role(const quring_tls *tls)
{
    return tls->role;
}

bool rt_tls_verifies(quring_tls *tls)
{
    quic_tls_boring_config *config = rt_tls_current(tls);
    bool verifies = quic_tls_boring_config_verifies(config);
    quic_tls_boring_config_release(config);
    return verifies;
}

static quring_status rt_tls_create(quring_tls **out, const quring_tls_options *options,
                                   quic_role role, quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL", out == NULL ? "out" : "options");
    }
    quring_tls *tls = (quring_tls *)calloc(1, sizeof(*tls));
    if (tls == NULL || pthread_mutex_init(&tls->lock, NULL) != 0) {
        free(tls);
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a TLS configuration");
    }
    tls->refs = 1;
    tls->role = role;
    quring_status status = rt_tls_load(&tls->config, options, role, 0, err);
    if (status != QURING_OK) {
        quring_tls_release(tls);
        return status;
    }
    *out = tls;
    return QURING_OK;
}

quring_status quring_tls_create_server(quring_tls **out, const quring_tls_options *options,
                                       quring_error *err)
{
    return rt_tls_create(out, options, QUIC_SERVER, err);
}

quring_status quring_tls_create_client(quring_tls **out, const quring_tls_options *options,
                                       quring_error *err)
{
    return rt_tls_create(out, options, QUIC_CLIENT, err);
}

quring_status quring_tls_reload(quring_tls *tls, const quring_tls_options *options,
                                quring_error *err)
{
    rt_error_clear(err);
    if (tls == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL", tls == NULL ? "tls" : "options");
    }
    quic_tls_boring_config *config = NULL;
    quring_status status =
        rt_tls_load(&config, options, tls->role, (uint64_t)rt_clock_unix_s(), err);
    if (status == QURING_OK) {
        rt_tls_replace(tls, config);
    }
    return status;
}

quring_status quring_tls_self_signed(char *out_cert_pem, size_t *out_cert_len, char *out_key_pem,
                                     size_t *out_key_len)
{
    if (out_cert_pem == NULL || out_cert_len == NULL || out_key_pem == NULL ||
        out_key_len == NULL) {
        return QURING_E_INVAL;
    }
    return rt_status_of(quic_self_signed_make(out_cert_pem, out_cert_len, out_key_pem, out_key_len,
                                              (uint64_t)rt_clock_unix_s()));
}
