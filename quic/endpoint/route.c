/* Where a received unit belongs: the worker that its connection IDs name, and the process. */
#include "quic/endpoint/endpoint_internal.h"

/* The kernel steers by the same byte: the last one of the DCID (RFC 9000 5.1 leaves its content to us; a
 * client's random first DCID spreads new connections evenly). */
static uint8_t owner_of(const quic_endpoint *ep, const uint8_t *data, uint32_t len)
{
    uint8_t count = ep->config.worker_count;
    if (count <= 1 || len == 0) {
        return ep->config.worker_id;
    }
    uint32_t at = ep->env.cid_format.len;
    if (quic_header_is_long(data[0])) {
        at = len > 5 ? 5u + data[5] : 0;
    }
    if (len <= at || at == 0 || (at == 5 && quic_header_is_long(data[0]))) {
        return ep->config.worker_id;
    }
    return quic_cid_format_worker(data, at + 1, count);
}

uint8_t quic_endpoint_route(const quic_endpoint *ep, const quic_rx_unit *unit)
{
    return owner_of(ep, unit->data, unit->len < unit->seg_len ? unit->len : unit->seg_len);
}

uint32_t quic_endpoint_route_len(const quic_endpoint *ep, const quic_rx_unit *unit)
{
    uint8_t owner = quic_endpoint_route(ep, unit);
    uint32_t off = unit->len < unit->seg_len ? unit->len : unit->seg_len;
    while (off < unit->len) {
        uint32_t left = unit->len - off;
        uint32_t len = left < unit->seg_len ? left : unit->seg_len;
        if (owner_of(ep, unit->data + off, len) != owner) {
            break;
        }
        off += len;
    }
    return off;
}

/* ---- several processes ------------------------------------------------------------------------------ */

/* The connection ID a datagram is addressed to; *out_len 0 when it has none. */
static const uint8_t *dcid_of(const quic_endpoint *ep, const uint8_t *data, uint32_t len,
                              uint32_t *out_len)
{
    const bool is_long = len > 0 && quic_header_is_long(data[0]);
    const uint32_t at = is_long ? 6 : 1; /* RFC 8999 5.1, 5.2 */
    const uint32_t dcid_len = !is_long ? ep->env.cid_format.len : len > 5 ? data[5] : 0;
    *out_len = at + dcid_len <= len ? dcid_len : 0;
    return *out_len > 0 ? data + at : data;
}

static void route_one(const quic_endpoint *ep, quic_process_route *out, const uint8_t *data,
                      uint32_t len)
{
    uint32_t dcid_len = 0;
    const uint8_t *dcid = dcid_of(ep, data, len, &dcid_len);
    memset(out, 0, sizeof(*out));
    out->len = len;
    out->is_long = len > 0 && quic_header_is_long(data[0]);
    if (dcid_len > 0 && dcid_len == ep->env.cid_format.len) {
        out->is_named = quic_cid_format_process(dcid, dcid_len, &out->process);
    }
    out->worker = owner_of(ep, data, len);
}

void quic_endpoint_route_process(const quic_endpoint *ep, quic_process_route *out,
                                 const quic_rx_unit *unit)
{
    uint32_t off = unit->len < unit->seg_len ? unit->len : unit->seg_len;
    route_one(ep, out, unit->data, off);
    while (off < unit->len) {
        uint32_t left = unit->len - off;
        uint32_t len = left < unit->seg_len ? left : unit->seg_len;
        quic_process_route next;
        route_one(ep, &next, unit->data + off, len);
        if (next.is_long != out->is_long || next.is_named != out->is_named ||
            next.process != out->process || next.worker != out->worker) {
            break;
        }
        off += len;
    }
    out->len = off;
}

bool quic_endpoint_takes(const quic_endpoint *ep, const quic_rx_unit *unit)
{
    if (!ep->refuse_new && quic_endpoint_listener(ep, unit->path.socket) != NULL) {
        return true;
    }
    uint32_t dcid_len = 0;
    const uint32_t len = unit->len < unit->seg_len ? unit->len : unit->seg_len;
    const uint8_t *dcid = dcid_of(ep, unit->data, len, &dcid_len);
    return quic_cid_table_find(&ep->env.cids, dcid, dcid_len) != NULL;
}
