/* Answers that need no connection: Version Negotiation, Retry, stateless reset, refusal, a repeated close. */
#include "quic/base/check.h"
#include "quic/crypto/reset_token.h"
#include "quic/crypto/retry.h"
#include "quic/endpoint/endpoint_internal.h"
#include "quic/wire/frame_encode.h"

#define RESET_LEN_MAX 42u /* like a small 1-RTT packet */

static quic_answer *push_answer(quic_endpoint *ep, const quic_path_addr *path)
{
    if (ep->answer_count == QUIC_ENDPOINT_ANSWERS_MAX) {
        ep->counters.drop_limit++;
        return NULL;
    }
    uint32_t at = (ep->answer_head + ep->answer_count) % QUIC_ENDPOINT_ANSWERS_MAX;
    ep->answer_count++;
    quic_answer *answer = &ep->answers[at];
    answer->path = *path;
    answer->len = 0;
    return answer;
}

static void drop_last_answer(quic_endpoint *ep)
{
    ep->answer_count--;
}

bool quic_endpoint_pop_answer(quic_endpoint *ep, quic_tx_unit *unit)
{
    while (ep->answer_count > 0) {
        const quic_answer *answer = &ep->answers[ep->answer_head];
        ep->answer_head = (ep->answer_head + 1) % QUIC_ENDPOINT_ANSWERS_MAX;
        ep->answer_count--;
        if (answer->len > 0 && answer->len <= unit->cap) {
            memcpy(unit->buf, answer->bytes, answer->len);
            unit->len = answer->len;
            unit->seg_len = answer->len;
            unit->ecn = 0;
            unit->conn = 0;
            unit->path = answer->path;
            return true;
        }
    }
    return false;
}

bool quic_endpoint_may_answer(quic_endpoint *ep, const quic_path_addr *path, quic_ns now)
{
    bool may = quic_admission_may_answer(&ep->admission, &path->remote, &path->local, now);
    ep->counters.drop_forged_source += may ? 0 : 1;
    return may;
}

/* RFC 9000 6.1, 17.2.1 */
void quic_endpoint_answer_version(quic_endpoint *ep, const quic_path_addr *path,
                                  const quic_long_header *h, uint32_t versions, quic_ns now)
{
    if (!quic_rate_take(&ep->admission.vn_rate, now)) {
        ep->counters.drop_limit++;
        return;
    }
    quic_answer *answer = push_answer(ep, path);
    if (answer == NULL) {
        return;
    }
    uint64_t random = quic_rng_u64(ep->env.rng);
    /* RFC 9000 15: one reserved version keeps clients honest about unknown ones */
    uint32_t list[3] = {((uint32_t)(random >> 8) & 0xf0f0f0f0u) | 0x0a0a0a0au};
    if (list[0] == h->version) {
        list[0] ^= 0x10; /* RFC 9000 6.2: a list that has it is discarded */
    }
    size_t count = 1;
    if ((versions & QUIC_VERSIONS_1) != 0) {
        list[count++] = QUIC_VERSION_1;
    }
    if ((versions & QUIC_VERSIONS_2) != 0) {
        list[count++] = QUIC_VERSION_2;
    }
    answer->len =
        (uint32_t)quic_header_encode_vn(answer->bytes, sizeof(answer->bytes), (uint8_t)random,
                                        quic_reader_make(h->scid, h->scid_len),
                                        quic_reader_make(h->dcid, h->dcid_len), list, count);
    if (answer->len == 0) {
        drop_last_answer(ep);
        return;
    }
    ep->counters.sent_version_negotiation++;
}

/* RFC 9000 8.1.2, 17.2.5 */
void quic_endpoint_answer_retry(quic_endpoint *ep, const quic_path_addr *path,
                                const quic_long_header *h, quic_ns now)
{
    if (!quic_rate_take(&ep->admission.retry_rate, now)) {
        ep->counters.drop_limit++;
        return;
    }
    quic_cid original;
    quic_cid client_scid;
    quic_cid retry_scid;
    quic_cid_set(&original, h->dcid, h->dcid_len);
    quic_cid_set(&client_scid, h->scid, h->scid_len);
    quic_conn_env_make_cid(&ep->env, &retry_scid, true);
    uint8_t token[QUIC_TOKEN_RETRY_LEN];
    if (quic_token_retry_make(&ep->env.token_keys, token, ep->env.rng, &path->remote, h->version,
                              &original, &retry_scid, now + ep->env.wall_offset_ns) != QUIC_OK) {
        return;
    }
    quic_answer *answer = push_answer(ep, path);
    if (answer == NULL) {
        return;
    }
    size_t len = quic_header_encode_retry(answer->bytes, sizeof(answer->bytes), h->version,
                                          (uint8_t)quic_rng_u64(ep->env.rng), &client_scid,
                                          &retry_scid, token, sizeof(token));
    if (len == 0 || len + QUIC_RETRY_TAG_LEN > sizeof(answer->bytes) ||
        quic_retry_tag_make(answer->bytes + len, h->version, &original, answer->bytes, len) !=
            QUIC_OK) {
        drop_last_answer(ep);
        return;
    }
    answer->len = (uint32_t)(len + QUIC_RETRY_TAG_LEN);
    ep->counters.sent_retry++;
}

/* One Initial with CONNECTION_CLOSE, keys made from the client's DCID and forgotten at once
 * (RFC 9000 5.2.2: a server may refuse; 8.1.3: INVALID_TOKEN). */
void quic_endpoint_answer_close(quic_endpoint *ep, const quic_path_addr *path,
                                const quic_long_header *h, uint64_t error)
{
    if (!quic_rate_take(&ep->admission.reset_rate, ep->env.now)) {
        ep->counters.drop_limit++;
        return;
    }
    quic_cid dcid;
    quic_cid client_scid;
    quic_cid_set(&dcid, h->dcid, h->dcid_len);
    quic_cid_set(&client_scid, h->scid, h->scid_len);
    quic_keys *client_keys = NULL;
    quic_keys *server_keys = NULL;
    if (quic_keys_create_initial(&client_keys, &server_keys, ep->env.crypto, &ep->mem, h->version,
                                 &dcid) != QUIC_OK) {
        return;
    }
    quic_answer *answer = push_answer(ep, path);
    if (answer != NULL) {
        quic_long_header_spec spec = {.type = QUIC_PACKET_INITIAL,
                                      .version = h->version,
                                      .dcid = &client_scid,
                                      .scid = &dcid,
                                      .pn = 0,
                                      .pn_len = 1};
        uint8_t *p = answer->bytes;
        size_t len_offset = 0;
        size_t hdr = quic_header_encode_long(p, sizeof(answer->bytes), &len_offset, &spec);
        size_t room = sizeof(answer->bytes) - hdr - QUIC_AEAD_TAG_LEN;
        size_t body = quic_frame_encode_connection_close(p + hdr, room, error, 0, NULL, 0);
        QURING_ASSERT(hdr > 0 && body > 3);
        quic_header_patch_len(p, len_offset, spec.pn_len + body + QUIC_AEAD_TAG_LEN);
        quic_keys_seal(server_keys, 0, p, hdr, p + hdr, body);
        size_t pn_off = hdr - spec.pn_len;
        uint8_t mask[16];
        quic_keys_hp_mask(server_keys, p + pn_off + QUIC_PN_LEN_MAX, mask);
        p[0] ^= mask[0] & 0x0f;
        p[pn_off] ^= mask[1];
        answer->len = (uint32_t)(hdr + body + QUIC_AEAD_TAG_LEN);
    }
    quic_keys_destroy(client_keys);
    quic_keys_destroy(server_keys);
}

/* RFC 9000 10.3: shorter than what provoked it, so that two endpoints without state cannot loop. */
void quic_endpoint_answer_reset(quic_endpoint *ep, const quic_path_addr *path, const uint8_t *dcid,
                                size_t datagram_len, quic_ns now)
{
    if (datagram_len <= QUIC_RESET_LEN_MIN) {
        return;
    }
    if (!quic_admission_take_reset(&ep->admission, &path->remote, now)) {
        ep->counters.drop_limit++;
        return;
    }
    quic_answer *answer = push_answer(ep, path);
    if (answer == NULL) {
        return;
    }
    size_t len = datagram_len - 1 < RESET_LEN_MAX ? datagram_len - 1 : RESET_LEN_MAX;
    quic_rng_fill(ep->env.rng, answer->bytes, len - QUIC_RESET_TOKEN_LEN);
    answer->bytes[0] = (uint8_t)((answer->bytes[0] & 0x3f) | QUIC_HEADER_FIXED_BIT);
    /* Nobody knows any more under which secret that connection ID was given out: the peer repeats
     * itself, and gets one of both answers each time. */
    bool previous = ep->config.has_previous_secret && (quic_rng_u64(ep->env.rng) & 1) != 0;
    quic_reset_token(previous ? &ep->previous_reset_key : &ep->env.reset_key,
                     answer->bytes + len - QUIC_RESET_TOKEN_LEN, dcid, ep->env.cid_format.len);
    answer->len = (uint32_t)len;
    ep->counters.sent_stateless_reset++;
}

void quic_endpoint_answer_closed(quic_endpoint *ep, const quic_path_addr *path,
                                 quic_tombstone *stone, size_t datagram_len)
{
    size_t len = 0;
    if (!quic_endpoint_may_answer(ep, path, ep->env.now)) {
        return; /* nothing in it was authentic, its source neither */
    }
    const uint8_t *close = quic_tombstone_on_recv(stone, datagram_len, &len);
    quic_answer *answer = close != NULL ? push_answer(ep, path) : NULL;
    if (answer != NULL) {
        memcpy(answer->bytes, close, len);
        answer->len = (uint32_t)len;
        ep->counters.packets_sent++;
    }
}
