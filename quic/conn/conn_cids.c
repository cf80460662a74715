/* Connection IDs: issuing ours, using and retiring the peer's (RFC 9000 5.1). */
#include "quic/conn/conn_internal.h"
#include "quic/crypto/reset_token.h"

quic_rc quic_conn_register_cid(quic_conn *conn, const uint8_t *bytes, size_t len)
{
    return quic_cid_table_add(&conn->env->cids, bytes, len, conn);
}

void quic_conn_issue_cids(quic_conn *conn)
{
    uint64_t limit = conn->peer_cids_max;
    if (limit > conn->limits.cids_active_max) {
        limit = conn->limits.cids_active_max;
    }
    if (limit > QUIC_CID_LOCAL_MAX) {
        limit = QUIC_CID_LOCAL_MAX;
    }
    while (conn->cids_local.live_count < limit) {
        quic_cid cid;
        quic_conn_env_make_cid(conn->env, &cid, conn->cids_routed);
        if (quic_conn_register_cid(conn, cid.bytes, cid.len) != QUIC_OK) {
            break; /* the table is full: the peer does with fewer */
        }
        if (quic_cid_local_add(&conn->cids_local, cid.bytes, true) == NULL) {
            quic_cid_table_remove(&conn->env->cids, cid.bytes, cid.len);
            break;
        }
    }
    if (conn->cids_local.to_send_count > 0) {
        conn->pending |= QUIC_PEND_NEW_CID;
    }
}

void quic_conn_learn_reset_token(quic_conn *conn, const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    /* Two connections with one token: the second is not told apart, it times out instead. */
    quic_rc rc = quic_reset_table_add(&conn->env->reset_tokens, token, conn);
    (void)rc;
}

void quic_conn_forget_reset_token(quic_conn *conn, const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    if (quic_reset_table_find(&conn->env->reset_tokens, token) == conn) {
        quic_reset_table_remove(&conn->env->reset_tokens, token);
    }
}

void quic_conn_learn_initial_token(quic_conn *conn, const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    quic_cid_peer_set_token(&conn->cids_peer, token);
    quic_conn_learn_reset_token(conn, token);
}

quic_rc quic_conn_on_new_cid(quic_conn *conn, const quic_frame_new_connection_id *frame,
                             quic_ns now)
{
    quic_cid_peer_change change;
    uint64_t current_before = quic_cid_peer_current_seq(&conn->cids_peer);
    memset(&change, 0, sizeof(change));
    quic_rc rc = quic_cid_peer_on_new(&conn->cids_peer, &change, frame->seq, frame->retire_prior_to,
                                      &frame->cid, frame->reset_token);
    for (uint8_t i = 0; i < change.dropped_count; i++) { /* also by a frame that went too far */
        quic_conn_forget_reset_token(conn, change.dropped_tokens[i]);
    }
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_glitch_note(&conn->glitch, change.useless ? 1 : 0);
    if (change.current_changed) { /* RFC 9000 10.3.1: only tokens of connection IDs in use count */
        const quic_cid_peer_entry *current = &conn->cids_peer.entries[conn->cids_peer.current];
        if (current->has_token) {
            quic_conn_learn_reset_token(conn, current->reset_token);
        }
    }
    if (QUIC_UNLIKELY(conn->move != NULL)) {
        quic_conn_rekey_paths(conn, current_before, now);
    }
    if (conn->cids_peer.to_send_count > 0) {
        conn->pending |= QUIC_PEND_RETIRE_CID;
    }
    return QUIC_OK;
}

quic_rc quic_conn_on_retire_cid(quic_conn *conn, uint64_t seq, const uint8_t *dcid, size_t dcid_len)
{
    quic_cid_local_entry removed;
    quic_rc rc = quic_cid_local_retire(&conn->cids_local, &removed, seq, dcid, dcid_len);
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_glitch_note(&conn->glitch, removed.used ? 0 : 1);
    if (removed.used) {
        quic_cid_table_remove(&conn->env->cids, removed.bytes, conn->cids_local.len);
        quic_conn_issue_cids(conn);
    }
    return QUIC_OK;
}

void quic_conn_unregister_all(quic_conn *conn)
{
    if (conn->initial_dcid_registered) {
        conn->initial_dcid_registered = false;
        quic_cid_table_remove(&conn->env->cids, conn->initial_dcid.bytes, conn->initial_dcid.len);
    }
    for (uint32_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        if (conn->cids_local.entries[i].used) {
            quic_cid_table_remove(&conn->env->cids, conn->cids_local.entries[i].bytes,
                                  conn->cids_local.len);
        }
    }
    for (uint32_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        if (conn->cids_peer.entries[i].used && conn->cids_peer.entries[i].has_token) {
            quic_conn_forget_reset_token(conn, conn->cids_peer.entries[i].reset_token);
        }
    }
}
