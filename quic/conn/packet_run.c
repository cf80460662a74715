/* Packets 2 to n of a train of bulk data. */
#include "quic/conn/packet_run.h"

#define HEADER_MAX (1u + QUIC_CID_LEN_MAX + QUIC_PN_LEN_MAX) /* a short one, RFC 9000 17.3.1 */

/* Whether all that the next packet has to say is stream data. */
static inline bool is_data_all(const quic_conn *conn, const quic_packet_build *like)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    return like->space == QUIC_SPACE_APP && !like->early && like->eliciting &&
           !like->pad_datagram && !like->mtu_probe && !quic_conn_has_other_work(conn) &&
           app->probes == 0 && !quic_ack_tracker_pending(&app->acks);
}

/* How many numbers may follow that take as many bytes as the last one, with none to be left out among them. */
static uint64_t numbers(const quic_conn *conn, const quic_sent_map *map, uint8_t pn_len,
                        uint64_t count)
{
    const uint64_t acked = conn->recovery.spaces[QUIC_SPACE_APP].largest_acked_pn;
    const uint64_t pn = quic_sent_map_next_pn(map);
    const uint64_t room = quic_sent_map_room(map);
    const uint64_t before_skip = conn->next_skip_pn > pn ? conn->next_skip_pn - pn : 0;
    count = count < room ? count : room;
    count = count < before_skip ? count : before_skip;
    while (count > 0 && quic_pn_encode_len(pn + count - 1, acked) != pn_len) {
        count /= 2;
    }
    return count;
}

static void write_packet(quic_conn *conn, const quic_packet_build *like, uint8_t *buf, uint64_t pn,
                         const quic_stream *s, const quic_stream_run *run, uint32_t i)
{
    const size_t hdr_len = like->hdr_len;
    memcpy(buf, like->buf, HEADER_MAX); /* of a fixed size: a few moves */
    buf[0] = (uint8_t)((buf[0] | QUIC_HEADER_FIXED_BIT) ^ quic_conn_grease_bit(conn, pn));
    quic_pn_encode(buf + like->pn_off, pn, like->pn_len);
    size_t head_len = quic_stream_run_encode_head(s, run, i, buf + hdr_len);
    quic_keys_seal_tail(like->keys, pn, buf, hdr_len, buf + hdr_len, head_len,
                        run->data + (size_t)i * run->len, run->len);
}

static void record(quic_conn *conn, const quic_stream *s, const quic_stream_run *run, uint32_t size,
                   quic_ns now)
{
    const quic_sent_frame first = {
        .kind = QUIC_SF_STREAM, .len = run->len, .id = s->id, .off = run->off};
    const uint32_t flags = quic_packet_charge(conn, QUIC_SPACE_APP, run->count, size,
                                              QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT, now);
    quic_recovery_on_sent_run(&conn->recovery, QUIC_SPACE_APP, &first, run->count, size, flags,
                              now);
    quic_packet_count_sent(conn, run->count);
}

uint32_t quic_packet_add_run(quic_conn *conn, const quic_packet_build *like, uint8_t *buf,
                             uint32_t size, uint32_t count_max, quic_ns now)
{
    quic_stream *s = quic_scheduler_next(&conn->scheduler);
    if (s == NULL || s->ctrl_pending != 0 || !is_data_all(conn, like) || conn->trace != NULL ||
        conn->unencrypted || !conn->sent_eliciting_since_recv || size < HEADER_MAX) {
        return 0;
    }
    const quic_sent_map *map = quic_recovery_map(&conn->recovery, QUIC_SPACE_APP);
    const uint64_t pn = quic_sent_map_next_pn(map);
    const uint32_t count = (uint32_t)numbers(conn, map, like->pn_len, count_max);
    const size_t room = size - like->hdr_len - like->tag_len;
    quic_stream_run run;
    if (count == 0 ||
        !quic_stream_send_run(s, quic_flow_send_credit(&conn->flow_send), room, count, &run)) {
        return 0;
    }
    for (uint32_t i = 0; i < run.count; i++) {
        write_packet(conn, like, buf + (size_t)i * size, pn + i, s, &run, i);
    }
    quic_stream_send_run_commit(s, &run);
    conn->flow_send.used += (uint64_t)run.count * run.len;
    record(conn, s, &run, size, now);
    return run.count;
}
