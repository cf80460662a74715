/* Tokens for later connections: a server gives NEW_TOKEN frames, a client keeps them for its
 * application and shows one in its Initials (RFC 9000 8.1.3). */
#include "quic/base/bytes.h"
#include "quic/conn/packetizer.h"
#include "quic/crypto/token.h"
#include "quic/wire/frame_encode.h"

#define BLOB_MAGIC 0x51525431u /* "QRT1" */
#define BLOB_HEAD  9u          /* magic, version, length of the name */
/* A longer one would leave an Initial too little room; nobody makes such tokens. */
#define TOKEN_LEN_MAX   768u
#define TOKENS_KEPT_MAX 8u /* that wait for the application */

/* ---- server ------------------------------------------------------------------------------------------ */

void quic_conn_give_tokens(quic_conn *conn, uint8_t count)
{
    if (conn->new_tokens_max == 0) {
        return;
    }
    uint32_t due = (uint32_t)conn->new_tokens_due + count;
    conn->new_tokens_due = due > conn->new_tokens_max ? conn->new_tokens_max : (uint8_t)due;
    conn->pending |= QUIC_PEND_NEW_TOKEN;
}

quic_rc quic_conn_give_token(quic_conn *conn)
{
    if (conn->role != QUIC_SERVER || conn->state != QUIC_CONN_ESTABLISHED) {
        return QUIC_E_STATE;
    }
    if (conn->new_tokens_due >= QURING_TOKENS_WAITING_MAX) {
        return QUIC_E_AGAIN;
    }
    conn->new_tokens_due++;
    conn->pending |= QUIC_PEND_NEW_TOKEN;
    quic_conn_mark_dirty(conn);
    return QUIC_OK;
}

/* A lost frame is replaced by one with a fresh token: each is for the address in use when it leaves. */
bool quic_packet_add_new_tokens(quic_conn *conn, quic_packet_build *b)
{
    const quic_conn_env *env = conn->env;
    while (conn->new_tokens_due > 0) {
        uint8_t token[QUIC_TOKEN_NEW_LEN];
        const quic_sent_frame frame = {.kind = QUIC_SF_NEW_TOKEN};
        if (b->end - b->p < (ptrdiff_t)(sizeof(token) + 4)) {
            return false;
        }
        if (quic_token_new_make(&env->token_keys, token, env->rng, &conn->path.addr.remote,
                                conn->version.current, env->now + env->wall_offset_ns) != QUIC_OK) {
            conn->new_tokens_due = 0; /* the client does without */
            break;
        }
        if (!quic_packet_record(conn, b, &frame)) {
            return false;
        }
        b->p += quic_frame_encode_new_token(b->p, (size_t)(b->end - b->p), token, sizeof(token));
        b->eliciting = true;
        conn->new_tokens_due--;
        env->counters->tokens_sent++;
    }
    conn->pending &= ~(uint32_t)QUIC_PEND_NEW_TOKEN;
    return true;
}

/* ---- client ------------------------------------------------------------------------------------------ */

static size_t name_len_of(const quic_conn *conn)
{
    return conn->server_name_size > 0 ? conn->server_name_size - 1 : 0;
}

quic_rc quic_conn_on_new_token(quic_conn *conn, const quic_frame_new_token *frame)
{
    quic_conn_token **at = &conn->new_tokens;
    uint32_t kept = 0;
    for (; *at != NULL; at = &(*at)->next) {
        kept++;
    }
    if (kept >= TOKENS_KEPT_MAX || frame->len > TOKEN_LEN_MAX) {
        return QUIC_OK; /* it is the client's to use or not */
    }
    const size_t name_len = name_len_of(conn);
    const size_t len = BLOB_HEAD + name_len + frame->len;
    quic_conn_token *token = quic_mem_alloc(&conn->mem, sizeof(*token) + len);
    if (token == NULL) {
        return QUIC_OK; /* without it the next connection may be asked for Retry */
    }
    token->next = NULL;
    token->len = (uint32_t)len;
    quic_store_be32(token->blob, BLOB_MAGIC);
    quic_store_be32(token->blob + 4, conn->version.current); /* RFC 9369 5 */
    token->blob[8] = (uint8_t)name_len;
    if (name_len > 0) {
        memcpy(token->blob + BLOB_HEAD, conn->server_name, name_len);
    }
    memcpy(token->blob + BLOB_HEAD + name_len, frame->token, frame->len);
    *at = token;
    quic_conn_raise(conn, QUIC_CONN_EV_TOKEN);
    return QUIC_OK;
}

void quic_conn_free_token(quic_conn *conn)
{
    quic_conn_token *token = conn->new_tokens;
    conn->new_token_shown = false;
    if (token != NULL) {
        conn->new_tokens = token->next;
        quic_mem_free(&conn->mem, token, sizeof(*token) + token->len);
    }
}

uint32_t quic_conn_token_version(const uint8_t *blob, size_t len)
{
    return len >= BLOB_HEAD && quic_load_be32(blob) == BLOB_MAGIC ? quic_load_be32(blob + 4) : 0;
}

/* RFC 9000 8.1.3: a token is for the server that gave it; RFC 9369 5: and for its version. */
quic_rc quic_conn_use_token(quic_conn *conn, const uint8_t *blob, size_t len)
{
    const size_t name_len = name_len_of(conn);
    const size_t head = BLOB_HEAD + name_len;
    if (len <= head || len > head + TOKEN_LEN_MAX || quic_load_be32(blob) != BLOB_MAGIC ||
        quic_load_be32(blob + 4) != conn->version.chosen || blob[8] != name_len ||
        (name_len > 0 && memcmp(blob + BLOB_HEAD, conn->server_name, name_len) != 0)) {
        return QUIC_OK; /* as good as none */
    }
    conn->token = quic_mem_alloc(&conn->mem, len - head);
    if (conn->token == NULL) {
        return QUIC_E_NOMEM;
    }
    conn->token_len = len - head;
    memcpy(conn->token, blob + head, conn->token_len);
    return QUIC_OK;
}

void quic_conn_drop_token(quic_conn *conn)
{
    quic_mem_free(&conn->mem, conn->token, conn->token_len);
    conn->token = NULL;
    conn->token_len = 0;
}
