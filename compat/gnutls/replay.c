/* RFC 8446 8.2: what was sent in 0-RTT packets is taken once: the register of ClientHellos seen lately, one for the
 * process. Full of recent ones it takes no more, and what comes then is not accepted as 0-RTT. */
#include <gnutls/crypto.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "compat/gnutls/run.h"

#define QG_REPLAY_PLACES 4096u
#define QG_REPLAY_HASH   32u /* of SHA-256 */

typedef struct qg_seen {
    time_t until;
    uint8_t hash[QG_REPLAY_HASH];
} qg_seen;

static pthread_mutex_t qg_replay_lock = PTHREAD_MUTEX_INITIALIZER;
static qg_seen qg_register[QG_REPLAY_PLACES];
static pthread_once_t qg_replay_once = PTHREAD_ONCE_INIT;
static gnutls_anti_replay_t qg_anti_replay;

static int on_seen(void *ctx, time_t until, const gnutls_datum_t *key, const gnutls_datum_t *data)
{
    uint8_t hash[QG_REPLAY_HASH];
    qg_seen *place = NULL;
    time_t now = time(NULL);
    (void)ctx;
    (void)data;
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, key->data, key->size, hash) < 0) {
        return GNUTLS_E_DB_ENTRY_EXISTS;
    }
    pthread_mutex_lock(&qg_replay_lock);
    bool seen = false;
    for (size_t i = 0; i < QG_REPLAY_PLACES && !seen; i++) {
        qg_seen *at = &qg_register[i];
        bool is_live = at->until >= now;
        seen = is_live && memcmp(at->hash, hash, sizeof(hash)) == 0;
        place = is_live ? place : at;
    }
    if (!seen && place != NULL) {
        place->until = until;
        memcpy(place->hash, hash, sizeof(hash));
    }
    pthread_mutex_unlock(&qg_replay_lock);
    return seen || place == NULL ? GNUTLS_E_DB_ENTRY_EXISTS : 0;
}

static void make_replay(void)
{
    if (gnutls_anti_replay_init(&qg_anti_replay) < 0) {
        qg_anti_replay = NULL;
        return;
    }
    gnutls_anti_replay_set_add_function(qg_anti_replay, on_seen);
}

gnutls_anti_replay_t qg_replay(void)
{
    pthread_once(&qg_replay_once, make_replay);
    return qg_anti_replay;
}
