/* Transport parameters: a naive reader says what must be refused; what is accepted means the same when
 * written again. */
#include <set>

#include "quic/wire/transport_params.h"
#include "quic/wire/varint.h"
#include "quic/wire/version.h"
#include "tests/fuzz/fuzz.h"

namespace
{

/* Whether RFC 9000 7.4 and 18 leave no choice but to refuse: cut short, a known one twice, a client that
 * sends a server's. */
bool must_refuse(const uint8_t *p, size_t len, quic_role sender)
{
    const uint8_t *end = p + len;
    std::set<uint64_t> seen;
    while (p < end) {
        uint64_t id = 0;
        uint64_t size = 0;
        size_t n = quic_varint_decode(p, end, &id);
        size_t m = n == 0 ? 0 : quic_varint_decode(p + n, end, &size);
        if (n == 0 || m == 0 || size > static_cast<uint64_t>(end - p) - n - m) {
            return true;
        }
        bool known = id <= 0x10;
        if (known && !seen.insert(id).second) {
            return true;
        }
        if (sender == QUIC_CLIENT && (id == 0x00 || id == 0x02 || id == 0x0d || id == 0x10)) {
            return true;
        }
        p += n + m + size;
    }
    return false;
}

void check_bounds(const quic_transport_params &p)
{
    FUZZ_CHECK(p.max_udp_payload_size >= 1200);
    FUZZ_CHECK(p.ack_delay_exponent <= 20);
    FUZZ_CHECK(p.max_ack_delay_ms < 1u << 14);
    FUZZ_CHECK(p.active_connection_id_limit >= 2);
    FUZZ_CHECK(p.initial_max_streams_bidi <= 1ull << 60);
    FUZZ_CHECK(p.initial_max_streams_uni <= 1ull << 60);
    FUZZ_CHECK(!p.has_min_ack_delay || p.min_ack_delay_us <= p.max_ack_delay_ms * 1000);
    FUZZ_CHECK(p.initial_scid.len <= QUIC_CID_LEN_MAX && p.original_dcid.len <= QUIC_CID_LEN_MAX);
    FUZZ_CHECK(!p.has_preferred_address ||
               (p.preferred_address.cid.len >= 1 && p.preferred_address.cid.len <= 20));
    FUZZ_CHECK(p.version_info.available_count <= QUIC_TP_VERSIONS_MAX);
}

bool same(const quic_transport_params &a, const quic_transport_params &b)
{
    return a.max_idle_timeout_ms == b.max_idle_timeout_ms &&
           a.max_udp_payload_size == b.max_udp_payload_size &&
           a.initial_max_data == b.initial_max_data &&
           a.initial_max_stream_data_bidi_local == b.initial_max_stream_data_bidi_local &&
           a.initial_max_stream_data_bidi_remote == b.initial_max_stream_data_bidi_remote &&
           a.initial_max_stream_data_uni == b.initial_max_stream_data_uni &&
           a.initial_max_streams_bidi == b.initial_max_streams_bidi &&
           a.initial_max_streams_uni == b.initial_max_streams_uni &&
           a.ack_delay_exponent == b.ack_delay_exponent &&
           a.max_ack_delay_ms == b.max_ack_delay_ms &&
           a.active_connection_id_limit == b.active_connection_id_limit &&
           a.max_datagram_frame_size == b.max_datagram_frame_size &&
           a.disable_active_migration == b.disable_active_migration &&
           a.grease_quic_bit == b.grease_quic_bit && a.reset_stream_at == b.reset_stream_at &&
           a.has_version_info == b.has_version_info && a.has_original_dcid == b.has_original_dcid &&
           a.has_initial_scid == b.has_initial_scid && a.has_retry_scid == b.has_retry_scid &&
           a.has_reset_token == b.has_reset_token &&
           a.has_preferred_address == b.has_preferred_address &&
           (!a.has_initial_scid || quic_cid_equal(&a.initial_scid, &b.initial_scid)) &&
           (!a.has_original_dcid || quic_cid_equal(&a.original_dcid, &b.original_dcid)) &&
           (!a.has_retry_scid || quic_cid_equal(&a.retry_scid, &b.retry_scid)) &&
           memcmp(a.reset_token, b.reset_token, sizeof(a.reset_token)) == 0;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz::Input in(data, len);
    quic_role sender = (in.u8() & 1) != 0 ? QUIC_SERVER : QUIC_CLIENT;
    fuzz::Exact bytes(in.bytes(65535));
    quic_transport_params params;
    quic_rc rc = quic_transport_params_decode(&params, bytes.data(), bytes.size(), sender);
    if (rc != QUIC_OK) {
        FUZZ_CHECK(rc == QUIC_V_TRANSPORT_PARAMETER);
        return 0;
    }
    FUZZ_CHECK(!must_refuse(bytes.data(), bytes.size(), sender));
    check_bounds(params);
    if (params.has_version_info && quic_version_is_reserved(params.version_info.chosen)) {
        return 0; /* of its list reserved versions are not kept, and we would choose none */
    }
    uint8_t out[QUIC_TP_ENCODED_MAX];
    for (uint64_t grease : {uint64_t{0}, UINT64_MAX}) {
        size_t n = quic_transport_params_encode(out, sizeof(out), &params, sender, grease);
        FUZZ_CHECK(n > 0 || (params.has_initial_scid == false && grease == 0));
        quic_transport_params again;
        FUZZ_CHECK(quic_transport_params_decode(&again, out, n, sender) == QUIC_OK);
        FUZZ_CHECK(same(params, again));
    }
    return 0;
}
