/* Tickets: resumption, and 0-RTT with what was remembered of the server. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "compat/gnutls/run.h"

#define QG_TICKET_KEY_LEN 64u
#define QG_TICKET_WAIT_MS 3000u
#define QG_NAP_MS         1
#define QG_MAGIC          "QGT2"
#define QG_MAGIC_LEN      4u
#define QG_HEAD_LEN       (QG_MAGIC_LEN + 32u) /* and a SHA-256 */

/* ---- client ----------------------------------------------------------------------------------------- */

static size_t option_len(const qg_run *run, qg_option option)
{
    uint8_t bytes[QG_TICKET_MAX];
    size_t len = sizeof(bytes);
    return run->wire->get_bytes(run->sd, option, bytes, &len) == 0 ? len : 0;
}

/* A session that is resumed is not verified again (RFC 8446 2.2). What is kept says therefore what a connection had
 * been asked to make sure of, and is for those that ask for the same; and for the version of QUIC that it had in the
 * end (RFC 9369 5). */
static bool head_of(const qg_run *run, uint8_t head[QG_HEAD_LEN])
{
    qg_settings now;
    const struct quic_handshake_parms *parms = run->parms;
    const char *name = qg_is_psk(run) ? parms->names[0] : parms->peername;
    const char kind = qg_is_psk(run) ? 'k' : qg_creds_verify(run) ? 'v' : 'u';
    gnutls_hash_hd_t hash;
    memcpy(head, QG_MAGIC, QG_MAGIC_LEN);
    if (run->wire->get_settings(run->sd, &now) != 0 ||
        gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0) {
        return false;
    }
    int ret = gnutls_hash(hash, &kind, sizeof(kind));
    ret = ret >= 0 ? gnutls_hash(hash, &now.version, sizeof(now.version)) : ret;
    if (ret >= 0 && name != NULL) {
        ret = gnutls_hash(hash, name, strlen(name) + 1);
    }
    gnutls_hash_deinit(hash, head + QG_MAGIC_LEN);
    return ret >= 0;
}

/* The session behind the head; false: there is none for this connection. */
static bool kept_ticket(const qg_run *run, uint8_t buf[QG_TICKET_MAX], size_t *len)
{
    uint8_t head[QG_HEAD_LEN];
    *len = QG_TICKET_MAX;
    if (run->wire->get_bytes(run->sd, QG_OPT_TICKET, buf, len) != 0 || *len <= QG_HEAD_LEN ||
        !head_of(run, head) || memcmp(buf, head, QG_HEAD_LEN) != 0) {
        return false;
    }
    *len -= QG_HEAD_LEN;
    return true;
}

/* What the server had promised an earlier connection (RFC 9000 7.4.1). */
bool qg_ticket_knows_limits(const qg_run *run)
{
    qg_limits limits;
    return run->wire->get_limits(run->sd, true, &limits) == 0 && limits.max_data > 0;
}

bool qg_ticket_is_early(const qg_run *run)
{
    uint8_t ticket[QG_TICKET_MAX];
    size_t len;
    return kept_ticket(run, ticket, &len) && qg_ticket_knows_limits(run);
}

bool qg_ticket_resume(qg_run *run)
{
    uint8_t ticket[QG_TICKET_MAX];
    size_t len;
    if (!kept_ticket(run, ticket, &len)) {
        return false;
    }
    int ret = gnutls_session_set_data(run->session, ticket + QG_HEAD_LEN, len);
    if (ret < 0) {
        qg_say("ticket: %s", gnutls_strerror(ret));
    }
    return ret >= 0;
}

/* What gnutls makes of it goes where the program looks for it. */
static bool keep_ticket(qg_run *run)
{
    uint8_t kept[QG_TICKET_MAX];
    gnutls_datum_t data = {NULL, 0};
    if ((gnutls_session_get_flags(run->session) & GNUTLS_SFLAGS_SESSION_TICKET) == 0 ||
        gnutls_session_get_data2(run->session, &data) < 0) {
        return false;
    }
    int rc = data.size > sizeof(kept) - QG_HEAD_LEN || !head_of(run, kept) ? -EMSGSIZE : 0;
    if (rc == 0) {
        memcpy(kept + QG_HEAD_LEN, data.data, data.size);
        rc = run->wire->set_bytes(run->sd, QG_OPT_TICKET, kept, QG_HEAD_LEN + data.size);
    }
    if (rc != 0) {
        qg_say("a session of %u bytes is not kept: %s", data.size, strerror(-rc));
    }
    gnutls_memset(kept, 0, sizeof(kept));
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    return true;
}

bool qg_ticket_is_message(const uint8_t *data, size_t len)
{
    return len > 4 && data[0] == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET &&
           ((size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]) == len - 4;
}

/* The next part of the server's message, by the layout's way. */
static int take_message(const qg_run *run, uint8_t *buf, size_t *len)
{
    int level = QG_APP;
    if (!run->wire->keeps_tickets) {
        return qg_recv_now(run->sd, &level, buf, len);
    }
    *len = QG_TICKET_MAX;
    int rc = run->wire->get_bytes(run->sd, QG_OPT_TICKET, buf, len);
    return rc == 0 && qg_ticket_is_message(buf, *len) ? 0 : -EAGAIN;
}

/* draft section 6.1.3: the call ends when a ticket is there, and the token of Appendix B; without them after a
 * while it ends all the same. No descriptor tells of either: an event would be the program's. Returns what gnutls says
 * of a ticket that is none. */
int qg_ticket_await(qg_run *run)
{
    static const struct timespec nap = {0, QG_NAP_MS * 1000000};
    uint8_t buf[QG_MESSAGE_MAX];
    size_t len = 0;
    uint64_t until = qg_now_ms() + QG_TICKET_WAIT_MS;
    until = run->deadline_ms != 0 && run->deadline_ms < until ? run->deadline_ms : until;
    bool have = false;
    while (qg_now_ms() < until && !(have && option_len(run, QG_OPT_TOKEN) > 0)) {
        int rc = have ? -EAGAIN : take_message(run, buf, &len);
        if (rc == 0) {
            rc =
                gnutls_handshake_write(run->session, GNUTLS_ENCRYPTION_LEVEL_APPLICATION, buf, len);
            if (rc < 0 && gnutls_error_is_fatal(rc) != 0) {
                return rc;
            }
            have = keep_ticket(run);
        } else if (rc != -EAGAIN) {
            return 0; /* the connection is over: its user will see */
        } else {
            nanosleep(&nap, NULL);
        }
    }
    return 0;
}

/* ---- server -------------------------------------------------------------------------------------------- */

static int hash_datum(gnutls_hash_hd_t hash, const void *data, size_t len)
{
    const uint64_t head = len; /* where one ends and the next begins */
    int ret = gnutls_hash(hash, &head, sizeof(head));
    return ret >= 0 && len > 0 ? gnutls_hash(hash, data, len) : ret;
}

/* Who this server is: its certificate, or the keys it knows, none of which a ticket outlives. */
static bool identity_of(const qg_run *run, uint8_t out[32])
{
    const struct quic_handshake_parms *parms = run->parms;
    gnutls_hash_hd_t hash;
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0) {
        return false;
    }
    int ret = 0;
    if (!qg_is_psk(run)) {
        ret = hash_datum(hash, parms->cert->cert.data, parms->cert->cert.size);
    }
    for (uint32_t i = 0; qg_is_psk(run) && i < parms->num_keys && ret >= 0; i++) {
        ret = hash_datum(hash, parms->names[i], strlen(parms->names[i]));
        ret = ret >= 0 ? hash_datum(hash, parms->keys[i].data, parms->keys[i].size) : ret;
    }
    gnutls_hash_deinit(hash, out);
    return ret >= 0;
}

/* RFC 9000 7.4.1: who accepts 0-RTT keeps what was promised with the ticket; and in a handshake with one nobody shows
 * a certificate (RFC 8446 2.2). A socket with other limits or protocols, that asks clients for other things or is
 * somebody else, has another key: it does not know the ticket. */
int qg_ticket_serve(qg_run *run)
{
    struct {
        qg_limits limits;
        char alpn[QG_ALPN_MAX + 1];
        uint32_t version; /* RFC 9369 5 */
        uint8_t certificate_request;
        bool is_psk;
        uint8_t identity[32];
    } bound;
    uint8_t key[QG_TICKET_KEY_LEN];
    uint8_t own[QG_TICKET_KEY_LEN];
    size_t len = sizeof(key);
    memset(&bound, 0, sizeof(bound));
    memcpy(bound.alpn, run->alpn, sizeof(bound.alpn));
    bound.version = run->settings.version;
    bound.certificate_request = run->settings.certificate_request;
    bound.is_psk = qg_is_psk(run);
    if (!identity_of(run, bound.identity)) {
        return -ENOMEM;
    }
    int rc = run->wire->get_limits(run->sd, false, &bound.limits);
    rc = rc == 0 ? run->wire->get_bytes(run->sd, QG_OPT_TICKET, key, &len) : rc;
    if (rc != 0 || len != sizeof(key)) {
        return rc != 0 ? rc : -EINVAL;
    }
    const gnutls_datum_t from = {key, sizeof(key)};
    const gnutls_datum_t info = {(unsigned char *)&bound, sizeof(bound)};
    int ret = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &from, &info, own, sizeof(own));
    if (ret >= 0) {
        const gnutls_datum_t ticket_key = {own, sizeof(own)};
        ret = gnutls_session_ticket_enable_server(run->session, &ticket_key);
    }
    if (ret >= 0 && qg_replay() != NULL) {
        gnutls_anti_replay_enable(run->session, qg_replay());
    }
    gnutls_memset(key, 0, sizeof(key));
    gnutls_memset(own, 0, sizeof(own));
    return ret >= 0 ? 0 : -ENOMEM;
}

/* The same for a session of the program's own, whose key for tickets is not ours to choose: whether no limit is smaller
 * than one that any such session of the process was served under. */
bool qg_ticket_keeps_limits(const qg_run *run)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t largest[sizeof(qg_limits) / sizeof(uint64_t)];
    uint64_t mine[sizeof(qg_limits) / sizeof(uint64_t)];
    qg_limits limits;
    bool keeps = true;
    if (run->wire->get_limits(run->sd, false, &limits) != 0) {
        return false;
    }
    memcpy(mine, &limits, sizeof(mine));
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++) {
        keeps = keeps && mine[i] >= largest[i];
        largest[i] = mine[i] > largest[i] ? mine[i] : largest[i];
    }
    pthread_mutex_unlock(&lock);
    return keeps;
}

void qg_ticket_send(qg_run *run)
{
    int ret = gnutls_session_ticket_send(run->session, 1, 0);
    if (ret < 0) {
        qg_say("ticket: %s", gnutls_strerror(ret));
    }
}
