/* What the connection tells, on its worker, and what the worker does for the socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat/core/attend.h"
#include "compat/core/opts.h"
#include "compat/core/raw.h"

#define QS_CLOSE_PATIENCE_NS QS_NS_PER_S         /* without an acknowledgement, after close */
#define QS_CLOSE_SILENCE_NS  (10 * QS_NS_PER_S)  /* without one on a slow path: exit waits for it */
#define QS_CLOSE_LONGEST_NS  (60 * QS_NS_PER_S)  /* with some, for a peer that trickles */
#define QS_ACK_DELAY_NS      (25 * QS_NS_PER_MS) /* RFC 9000 18.2, what a peer takes its time for */
#define QS_ERROR_RESET       0x100u              /* what a program is told of a stateless reset */

/* ---- facts --------------------------------------------------------------------------------------- */

static void qs_learn_info(qs_sock *s)
{
    quring_conn_info info;
    if (quring_conn_get_info(s->conn, &info) != QURING_OK) {
        return;
    }
    s->remote = info.remote;
    if (!qs_addr_is_any(&info.local)) {
        s->local = info.local;
    }
    s->streams_max[0] = info.peer_streams_bidi_max;
    s->streams_max[1] = info.peer_streams_uni_max;
    size_t len = strlen(info.alpn);
    if (len > 0 && len <= QS_ALPN_LEN_MAX) {
        memcpy(s->alpn, info.alpn, len + 1);
        s->alpn_len = (uint32_t)len;
    }
    s->settings.version = info.version; /* the one that was agreed on (RFC 9368) */
}

static void qs_on_connected(qs_sock *s)
{
    quring_conn_info info;
    if (quring_conn_get_info(s->conn, &info) == QURING_OK && info.zero_rtt_bytes > 0) {
        qs_say(2, "%llu bytes of streams in 0-RTT packets",
               (unsigned long long)info.zero_rtt_bytes);
    }
    if (s->state == QS_CONNECTING) {
        s->state = QS_ESTABLISHED;
    }
    s->may_send = true;
    s->asked |= QS_ASK_RX; /* what came in 0-RTT packets */
    qs_learn_info(s);
    qs_params_learned(s);
    qs_dgram_push(s);
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_ALL);
}

static void qs_on_more_streams(qs_sock *s)
{
    quring_conn_info info;
    if (quring_conn_get_info(s->conn, &info) != QURING_OK) {
        return;
    }
    const uint64_t now_max[2] = {info.peer_streams_bidi_max, info.peer_streams_uni_max};
    for (unsigned uni = 0; uni < 2; uni++) {
        if (now_max[uni] > s->streams_max[uni]) {
            s->streams_max[uni] = now_max[uni];
            uint64_t highest = (now_max[uni] - 1) << 2 | uni << 1 | (s->is_server ? 1u : 0u);
            qs_rx_push_event(s, QS_EVENT_STREAM_MAX_STREAM, &highest, sizeof(highest));
        }
    }
    if (s->work_head != NULL) {
        s->asked |= QS_ASK_TX; /* some wait for this */
    }
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_TX);
}

uint8_t qs_close_frame(const quring_close_info *info)
{
    const bool is_transport =
        info->kind == QURING_CLOSE_PEER_TRANSPORT || info->kind == QURING_CLOSE_LOCAL_TRANSPORT;
    const bool is_alert =
        is_transport && info->code >= QS_ERROR_CRYPTO && info->code < QS_ERROR_CRYPTO_END;
    return is_alert ? QS_FRAME_CRYPTO : is_transport ? (uint8_t)info->frame_type : 0;
}

uint32_t qs_close_code(const quring_close_info *info)
{
    const bool none = info->kind == QURING_CLOSE_IDLE_TIMEOUT || info->kind == QURING_CLOSE_VERSION;
    return none                                         ? 0
           : info->kind == QURING_CLOSE_STATELESS_RESET ? QS_ERROR_RESET
                                                        : (uint32_t)info->code;
}

/* draft section 6.1.2: errcode, frame type and phrase of CONNECTION_CLOSE, as the socket's layout has them. */
static void qs_push_close_event(qs_sock *s, const quring_close_info *info)
{
    uint8_t payload[QS_CLOSE_KERNEL_SIZE];
    memset(payload, 0, sizeof(payload));
    const uint32_t errcode = qs_close_code(info);
    bool is_kernel = s->protocol == QS_PROTO_KERNEL;
    size_t head = is_kernel ? QS_CLOSE_KERNEL_HEAD : QS_CLOSE_DRAFT_HEAD;
    size_t len = strnlen(info->reason, sizeof(payload) - head - 1);
    memcpy(payload, &errcode, 4);
    payload[4] = qs_close_frame(info);
    memcpy(payload + head, info->reason, len);
    qs_rx_push_event(s, QS_EVENT_CONNECTION_CLOSE, payload,
                     is_kernel ? QS_CLOSE_KERNEL_SIZE : (uint32_t)(QS_CLOSE_DRAFT_SIZE + len + 1));
}

static void qs_maybe_remove(qs_sock *s, qs_stream *st)
{
    if (st->closed && !st->rx_blocked && st->users == 0) {
        bool makes_room = st->tx_head != NULL;
        qs_stream_remove(s, st);
        if (makes_room) {
            qs_ready_update(s);
            qs_wake(s, QS_WAIT_TX);
        }
    }
}

static void qs_work_blocked(qs_sock *s)
{
    for (size_t i = 0; i < QS_STREAM_HASH; i++) {
        qs_stream *next;
        for (qs_stream *st = s->streams[i]; st != NULL; st = next) {
            next = st->hash_next;
            if (!st->rx_blocked) {
                continue;
            }
            st->rx_blocked = false;
            qs_unlock(s);
            qs_rx_pull(s, st);
            pthread_mutex_lock(&s->lock);
            qs_maybe_remove(s, st);
        }
    }
}

/* draft section 5.1.3: what ended it, for the event and the option */
static void qs_on_closed(qs_sock *s, const quring_close_info *info)
{
    /* Not where streams have begun in 0-RTT packets: they would be those of a connection that is no more. */
    if (info->kind == QURING_CLOSE_VERSION && info->code != 0 && s->handshaking && !s->may_send) {
        s->version_refused = true; /* whoever does the handshake begins again (qs_op_handshake) */
        s->version_listed = (uint32_t)info->code;
        s->conn.handle = 0;
        qs_wake(s, QS_WAIT_ALL);
        return;
    }
    if (s->state == QS_ESTABLISHED) {
        s->rx.ends = true; /* what found no room was acknowledged: its sender counts on it */
        qs_work_blocked(s);
    }
    s->close_info = *info;
    s->conn_over = true;
    s->conn.handle = 0;
    if (info->kind != QURING_CLOSE_LOCAL_APP) {
        qs_push_close_event(s, info);
    }
    s->state = QS_CLOSED;
    quring_tls_session_destroy(qs_hs_forgo(s));
    qs_streams_free(s);
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_ALL);
}

/* What came cannot be kept, and has been acknowledged: without it the connection would be a wrong one. */
void qs_out_of_memory(qs_sock *s)
{
    (void)quring_conn_close(s->conn, QS_ERROR_INTERNAL, "out of memory");
}

/* ---- streams -------------------------------------------------------------------------------------- */

static qs_stream *qs_stream_of(qs_sock *s, const quring_event *ev)
{
    qs_stream *st = qs_stream_find(s, ev->stream_id);
    if (st != NULL && st->handle.handle == 0) {
        st->handle = ev->stream;
    }
    return st;
}

static void qs_on_stream_opened(qs_sock *s, const quring_event *ev)
{
    qs_stream *st = qs_stream_find(s, ev->stream_id);
    if (st == NULL) {
        st = qs_stream_add(s, ev->stream_id);
    }
    if (st == NULL) {
        qs_out_of_memory(s);
        return;
    }
    st->handle = ev->stream;
    const bool uni = qs_id_is_uni(ev->stream_id);
    uint64_t *seen = &s->seen_id[uni];
    *seen = ev->stream_id >= *seen ? ev->stream_id + 4 : *seen;
    s->seen_count[uni]++;
    if (qs_id_sends(s, ev->stream_id)) {
        qs_stream_queue(s, st);
        s->starved_id = QS_STREAM_ANY; /* there is one to answer on */
        qs_ready_update(s);
    }
}

static void qs_on_reset(qs_sock *s, qs_stream *st, uint64_t code, uint64_t final_size)
{
    st->rx_blocked = false;
    st->recv_state = QS_RECV_RESET_RECVD;
    qs_stream_update(s, st, QS_RECV_RESET_RECVD, (uint32_t)code, final_size);
    qs_wake(s, QS_WAIT_RX); /* who waits for more of it */
}

static void qs_on_stopped(qs_sock *s, qs_stream *st, uint64_t code)
{
    st->send_state = QS_SEND_RESET_SENT;
    qs_credit_reset(s, st);
    st->reset_code = (uint32_t)code;
    if (s->active_id == st->id) {
        s->active_id = QS_STREAM_ANY;
    }
    qs_stream_update(s, st, QS_SEND_RESET_SENT, (uint32_t)code, 0);
    qs_tx_drop(s, st);
}

static void qs_on_finished(qs_sock *s, qs_stream *st)
{
    st->send_state = QS_SEND_RECVD;
    qs_stream_update(s, st, QS_SEND_RECVD, 0, 0);
}

uint64_t qs_three_probes_ns(quring_conn conn)
{
    quring_conn_info info;
    return quring_conn_get_info(conn, &info) == QURING_OK
               ? 3 * (info.srtt_ns + 4 * info.rttvar_ns + QS_ACK_DELAY_NS)
               : 0;
}

/* Three probe timeouts as RFC 9000 10.2 has it, where a second is too short for what is lost to be sent again and
 * acknowledged; but not as long as a peer can make round trips look that then says nothing more. */
static uint64_t qs_close_patience(const qs_sock *s)
{
    const uint64_t probes = qs_three_probes_ns(s->conn);
    const uint64_t patience = probes > QS_CLOSE_PATIENCE_NS ? probes : QS_CLOSE_PATIENCE_NS;
    return patience < QS_CLOSE_SILENCE_NS ? patience : QS_CLOSE_SILENCE_NS;
}

/* Something has arrived: who closes waits for the rest. */
static void qs_close_goes_on(qs_sock *s)
{
    if (s->close_deadline_ns != 0) {
        uint64_t until = qs_now_ns() + qs_close_patience(s);
        until = until < s->close_longest_ns ? until : s->close_longest_ns;
        s->close_deadline_ns = until > s->close_deadline_ns ? until : s->close_deadline_ns;
    }
}

static void qs_on_stream_event(qs_sock *s, const quring_event *ev)
{
    pthread_mutex_lock(&s->lock);
    if (ev->type == QURING_EV_STREAM_OPENED) {
        qs_on_stream_opened(s, ev);
        qs_unlock(s);
        return;
    }
    qs_stream *st = qs_stream_of(s, ev);
    if (st == NULL) {
        qs_unlock(s);
        return;
    }
    switch (ev->type) {
    case QURING_EV_STREAM_READABLE:
        if (s->state == QS_CONNECTING && s->is_server) {
            st->rx_blocked = true; /* 0-RTT: for the program once the client has proved itself */
            break;
        }
        qs_unlock(s);
        qs_rx_pull(s, st); /* only this thread removes streams */
        pthread_mutex_lock(&s->lock);
        break;
    case QURING_EV_STREAM_WRITABLE:
        qs_tx_push(st);
        break;
    case QURING_EV_STREAM_RELEASED:
        qs_tx_released(s, st, ev->offset);
        qs_close_goes_on(s);
        break;
    case QURING_EV_STREAM_RESET:
        qs_on_reset(s, st, ev->app_error, ev->offset);
        break;
    case QURING_EV_STREAM_STOPPED:
        qs_on_stopped(s, st, ev->app_error);
        break;
    case QURING_EV_STREAM_FINISHED:
        qs_on_finished(s, st);
        break;
    case QURING_EV_STREAM_RESET_ACKED:
        st->send_state = QS_SEND_RESET_RECVD;
        qs_stream_update(s, st, QS_SEND_RESET_RECVD, st->reset_code, 0);
        qs_wake(s, QS_WAIT_TX);
        break;
    case QURING_EV_STREAM_SIZE_KNOWN:
        st->recv_state = QS_RECV_SIZE_KNOWN;
        qs_stream_update(s, st, QS_RECV_SIZE_KNOWN, 0, ev->offset);
        break;
    case QURING_EV_STREAM_CLOSED:
        st->closed = true;
        st->handle.handle = 0;
        qs_wake(s, QS_WAIT_TX);
        break;
    default:
        break;
    }
    qs_maybe_remove(s, st);
    qs_unlock(s);
}

/* ---- the connection ----------------------------------------------------------------------------------- */

static void qs_on_crypto(qs_sock *s, const quring_event *ev)
{
    if (s->tls_is_ours) {
        uint64_t wrong = qs_hs_late(s, (quring_level)ev->level, ev->data.data, ev->data.len);
        if (wrong != 0) {
            (void)qs_hs_close(ev->conn, wrong);
        }
        return;
    }
    if (ev->level == QURING_LEVEL_APP && !s->is_server && !s->handshaking &&
        !qs_late_is_wanted(s)) {
        qs_late_ticket(s, ev->data.data, ev->data.len);
        return;
    }
    if (s->early_offered && ev->level == QURING_LEVEL_HANDSHAKE) {
        s->early_taken = s->early_taken || qs_late_takes_early(ev->data.data, ev->data.len);
    }
    qs_item *item = qs_item_new(QS_ITEM_CRYPTO, (uint32_t)ev->data.len);
    if (item == NULL) {
        qs_out_of_memory(s);
        return;
    }
    memcpy(item->data, ev->data.data, ev->data.len);
    item->len = (uint32_t)ev->data.len;
    item->level = ev->level;
    if (!qs_rx_push_crypto(s, item)) { /* RFC 9000 7.5 */
        free(item);
        qs_out_of_memory(s);
        return;
    }
    qs_ready_arrival(s);
    qs_wake(s, QS_WAIT_RX);
}

static void qs_on_token(qs_sock *s, const quring_event *ev)
{
    if (ev->data.len <= QS_TOKEN_LEN_MAX &&
        qs_blob_set(&s->token_blob, ev->data.data, ev->data.len) == 0) {
        s->token_came = true;
        qs_rx_push_event(s, QS_EVENT_NEW_TOKEN, ev->data.data, (uint32_t)ev->data.len);
        qs_ready_arrival(s);
        qs_wake(s, QS_WAIT_ALL);
    }
}

static void qs_on_conn_event(qs_sock *s, const quring_event *ev)
{
    pthread_mutex_lock(&s->lock);
    switch (ev->type) {
    case QURING_EV_HANDSHAKE_DATA:
        qs_on_crypto(s, ev);
        break;
    case QURING_EV_CONNECTED:
        qs_on_connected(s);
        break;
    case QURING_EV_EARLY_READY:
        if (!s->is_server) {
            s->may_send = true;
            qs_learn_info(s);
        }
        break;
    case QURING_EV_TOKEN:
        qs_on_token(s, ev);
        break;
    case QURING_EV_STREAM_LIMIT:
        qs_on_more_streams(s);
        break;
    case QURING_EV_DATAGRAM_READABLE:
        qs_dgram_pull(s);
        break;
    case QURING_EV_DATAGRAM_WRITABLE:
        qs_dgram_push(s);
        qs_close_goes_on(s);
        break;
    case QURING_EV_PATH_CHANGED:
        qs_on_path_changed(s);
        break;
    case QURING_EV_PATH_FAILED:
        s->moving = false;
        break;
    case QURING_EV_KEYS_UPDATED:
        qs_on_keys_updated(s, ev->level);
        break;
    case QURING_EV_CLOSED:
        qs_on_closed(s, ev->close);
        break;
    default:
        break;
    }
    bool asked = s->asked != 0;
    qs_unlock(s);
    if (ev->type == QURING_EV_CLOSED) {
        qs_unref(s); /* the connection's */
    } else if (asked) {
        qs_work(s);
    }
}

void qs_on_event(const quring_event *ev)
{
    const uintptr_t number = (uintptr_t)ev->conn_ctx;
    qs_attend_note(ev->conn_ctx);
    if ((number & 1) != 0) { /* no socket has it (yet): no address is odd */
        if (ev->type == QURING_EV_HANDSHAKE_PENDING) {
            qs_port_on_pending(number, ev->conn);
        }
        return;
    }
    qs_sock *s = (qs_sock *)ev->conn_ctx;
    if (s == NULL) {
        return;
    }
    if (ev->stream.handle != 0) {
        qs_on_stream_event(s, ev);
    } else {
        qs_on_conn_event(s, ev);
    }
}

/* ---- what the program asked for -------------------------------------------------------------------------- */

/* Opens at the engine what the program opened; in order, as the numbers demand. Lock held. */
static bool qs_open_stream(qs_sock *s, qs_stream *st)
{
    bool uni = qs_id_is_uni(st->id);
    while (s->opened_id[uni] <= st->id) {
        quring_stream handle;
        quring_status status = quring_stream_open(&handle, s->conn, uni ? QURING_STREAM_UNI : 0);
        if (status == QURING_E_NOMEM) {
            qs_out_of_memory(s); /* its number may be used up: the next would be another's */
        }
        if (status != QURING_OK) {
            return false; /* STREAM_LIMIT, or the end, follows */
        }
        qs_stream *opened = st->id == s->opened_id[uni] ? st : qs_stream_find(s, s->opened_id[uni]);
        if (opened != NULL) {
            opened->handle = handle;
        }
        s->opened_id[uni] += 4;
    }
    return true;
}

static void qs_work_stream(qs_sock *s, qs_stream *st)
{
    if (st->closed) {
        qs_maybe_remove(s, st);
        return;
    }
    if (st->reset_asked && st->send_state < QS_SEND_RESET_SENT) {
        st->send_state = QS_SEND_RESET_SENT;
        qs_credit_reset(s, st);
        (void)quring_stream_reset(st->handle, st->reset_code);
        qs_tx_drop(s, st);
    }
    if (st->stop_asked) {
        (void)quring_stream_stop_sending(st->handle, st->stop_code);
    }
    qs_tx_push(st);
}

/* Those that the peer does not allow yet, after 0-RTT with limits it does not have any more, stay in the queue. */
static void qs_work_streams(qs_sock *s)
{
    bool full[2] = {false, false};
    qs_stream *work = s->may_send ? s->work_head : NULL;
    if (work != NULL) {
        s->work_head = NULL;
        s->work_tail = NULL;
    }
    while (work != NULL) {
        qs_stream *st = work;
        work = st->work_next;
        st->in_work = false;
        bool uni = qs_id_is_uni(st->id);
        if (qs_id_is_ours(s, st->id) && st->handle.handle == 0 && !st->closed) {
            full[uni] = full[uni] || !qs_open_stream(s, st);
        }
        if (qs_id_is_ours(s, st->id) && st->handle.handle == 0 && !st->closed && full[uni]) {
            qs_stream_queue(s, st);
        } else {
            qs_work_stream(s, st);
        }
    }
}

static void qs_work_limit(qs_sock *s)
{
    for (unsigned uni = 0; uni < 2; uni++) {
        if (s->limit_asked[uni]) {
            s->limit_asked[uni] = false;
            (void)quring_streams_blocked(s->conn, uni != 0 ? QURING_STREAM_UNI : 0);
        }
    }
}

/* RFC 9001 4.8: the TLS library of a handshake from outside has an alert; after the handshake it says so, as the codes
 * are the program's then. */
static bool qs_close_is_alert(const qs_sock *s)
{
    return (s->state == QS_CONNECTING || s->close_frame == QS_FRAME_CRYPTO) &&
           s->close_errcode >= QS_ERROR_CRYPTO && s->close_errcode < QS_ERROR_CRYPTO_END;
}

static void qs_close_now(qs_sock *s)
{
    if (qs_close_is_alert(s)) {
        (void)quring_handshake_fail(s->conn, (uint8_t)(s->close_errcode - QS_ERROR_CRYPTO));
        return;
    }
    (void)quring_conn_close(s->conn, s->close_errcode,
                            s->close_phrase[0] != 0 ? (const char *)s->close_phrase : NULL);
}

/* Whether nothing of what was sent is missing any more: bytes and ends of streams have arrived, datagrams have
 * left. */
static bool qs_all_is_done(qs_sock *s)
{
    if (s->tx_bytes > 0 || !qs_dgram_all_left(s)) {
        return false;
    }
    for (size_t i = 0; i < QS_STREAM_HASH; i++) {
        for (const qs_stream *st = s->streams[i]; st != NULL; st = st->hash_next) {
            if (st->fin_queued && !st->closed && st->send_state < QS_SEND_RECVD) {
                return false;
            }
        }
    }
    return true;
}

/* Looks now and then whether what was sent has arrived. */
static void qs_close_later(void *ctx)
{
    qs_sock *s = (qs_sock *)ctx;
    pthread_mutex_lock(&s->lock);
    bool over = s->conn_over || s->conn.handle == 0;
    bool patient = qs_now_ns() < s->close_deadline_ns;
    if (!over && (!patient || qs_all_is_done(s))) {
        qs_close_now(s);
        over = true;
    }
    qs_unlock(s);
    uint64_t id = 0;
    if (over || quring_timer(&id, qs_now_ns() + 2 * QS_NS_PER_MS, qs_close_later, s) != QURING_OK) {
        qs_unref(s);
    }
}

/* draft section 3.1.6: gracefully: what was accepted from the program is delivered first. */
static void qs_work_close(qs_sock *s, bool at_once)
{
    qs_uncork_all(s);
    qs_work_streams(s);
    if (at_once || !s->may_send || qs_close_is_alert(s) || qs_all_is_done(s)) {
        qs_close_now(s);
        return;
    }
    const uint64_t now = qs_now_ns();
    const uint64_t linger = s->linger_on ? s->linger_s * QS_NS_PER_S : 0;
    const uint64_t patience = qs_close_patience(s);
    s->close_deadline_ns = now + (linger > patience ? linger : patience);
    s->close_longest_ns = now + QS_CLOSE_LONGEST_NS;
    uint64_t id = 0;
    qs_ref(s);
    if (quring_timer(&id, qs_now_ns() + QS_NS_PER_MS, qs_close_later, s) != QURING_OK) {
        qs_close_now(s);
        qs_unref(s);
    }
}

void qs_work(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    uint32_t asked = s->asked;
    s->asked = 0;
    if (s->conn.handle != 0) {
        if ((asked & (QS_ASK_TX | QS_ASK_CLOSE)) != 0) {
            qs_work_streams(s);
        }
        if ((asked & QS_ASK_DATAGRAM) != 0) {
            qs_dgram_push(s);
        }
        if ((asked & QS_ASK_LIMIT) != 0) {
            qs_work_limit(s);
        }
        if ((asked & QS_ASK_RX) != 0) {
            qs_work_blocked(s);
        }
        if ((asked & (QS_ASK_CLOSE | QS_ASK_ABORT)) != 0 && s->conn.handle != 0) {
            qs_work_close(s, (asked & QS_ASK_ABORT) != 0);
        }
    }
    if (!s->may_send) {
        s->asked |= asked & (QS_ASK_TX | QS_ASK_DATAGRAM); /* when the handshake is complete */
    }
    qs_unlock(s);
}
