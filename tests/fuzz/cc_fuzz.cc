/* Congestion controllers and the pacer under any sequence of facts, honest or absurd: the window stays
 * within its bounds, and nothing overflows into a small number. */
#include "quic/cc/bbr.h"
#include "quic/cc/cc.h"
#include "quic/cc/cubic.h"
#include "quic/cc/newreno.h"
#include "quic/cc/pacer.h"
#include "tests/fuzz/fuzz.h"

namespace
{

constexpr uint64_t kBytesMax = 1ull << 40; /* more than any memory of ours lets be in flight */

uint64_t bytes_of(fuzz::Input *in)
{
    return in->spread() % kBytesMax;
}

void check(const quic_cc &cc)
{
    FUZZ_CHECK(cc.cwnd_bytes >= 2ull * cc.datagram_bytes);
    FUZZ_CHECK(cc.cwnd_max_bytes == 0 || cc.cwnd_bytes <= cc.cwnd_max_bytes ||
               cc.cwnd_bytes == 2ull * cc.datagram_bytes);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const quic_cc_vtable *const algorithms[] = {&quic_newreno_vtable, &quic_cubic_vtable,
                                                       &quic_bbr_vtable};
    fuzz::Input in(data, len);
    uint8_t flags = in.u8();
    uint32_t datagram = 1200 + in.u16() % 64308;
    uint64_t cap = (flags & 4) != 0 ? 2ull * datagram + bytes_of(&in) : 0;
    quic_cc cc;
    quic_pacer pacer;
    quic_ns now = in.spread() >> 8;
    quic_cc_init(&cc, algorithms[flags % 3], datagram, cap, (flags & 8) != 0);
    quic_pacer_init(&pacer, (flags & 8) != 0, datagram, now);
    check(cc);
    quic_ns srtt = QUIC_NS_PER_MS;
    uint64_t delivered = 0;
    uint64_t pn = 0;
    for (int steps = 0; in.left() > 0 && steps < 2000; steps++) {
        now += in.spread() >> 24;
        quic_ns sent = now - (in.spread() % (now + 1));
        switch (in.u8() % 9) {
        case 0:
        case 1:
        case 2: {
            quic_cc_sample s{};
            s.acked_bytes = bytes_of(&in);
            s.prior_in_flight_bytes = s.acked_bytes + bytes_of(&in);
            s.largest_acked_sent_ns = sent;
            s.rtt_ns = now - sent > 0 ? now - sent : 1;
            srtt = 1 + (in.spread() >> 20);
            s.srtt_ns = srtt;
            s.app_limited = !quic_cc_is_limiting(&cc, s.prior_in_flight_bytes);
            s.rate_app_limited = (in.u8() & 1) != 0;
            delivered += s.acked_bytes;
            s.delivered_bytes = delivered;
            s.prior_delivered_bytes = bytes_of(&in) % (delivered + 1);
            s.in_flight_bytes = s.prior_in_flight_bytes - s.acked_bytes;
            s.tx_in_flight_bytes = bytes_of(&in);
            s.lost_since_bytes = bytes_of(&in);
            s.rate_bytes = delivered - s.prior_delivered_bytes;
            s.rate_ns = 1 + (in.spread() >> 16);
            s.min_rtt_ns = 1 + in.spread() % s.srtt_ns;
            quic_cc_on_acked(&cc, &s, now);
            break;
        }
        case 3:
            quic_cc_on_sent(&cc, bytes_of(&in), now);
            break;
        case 4:
            quic_cc_on_congestion(&cc, sent, now);
            break;
        case 5:
            if (quic_cc_wants_losses(&cc)) {
                quic_cc_loss loss{};
                loss.pn = pn += in.u8();
                loss.bytes = 1 + in.u16();
                loss.tx_in_flight_bytes = loss.bytes + bytes_of(&in);
                loss.lost_since_bytes = loss.bytes + bytes_of(&in);
                loss.delivered_bytes = delivered;
                loss.app_limited = (in.u8() & 1) != 0;
                quic_cc_on_lost(&cc, &loss, now);
            }
            break;
        case 6:
            quic_cc_on_ce(&cc, sent, now);
            break;
        case 7:
            (in.u8() & 1) != 0 ? quic_cc_on_spurious(&cc) : quic_cc_on_persistent_congestion(&cc);
            break;
        default:
            (in.u8() & 7) != 0 ? quic_cc_set_datagram(&cc, datagram) : quic_cc_reset(&cc);
            break;
        }
        check(cc);
        if (cc.pacing_rate_fp != 0) {
            quic_pacer_set_rate(&pacer, cc.pacing_rate_fp, srtt, datagram, now);
        } else {
            quic_pacer_update(&pacer, cc.cwnd_bytes, srtt, quic_cc_in_slow_start(&cc), datagram,
                              now);
        }
        if (quic_pacer_budget(&pacer, now) > 0) {
            quic_pacer_on_sent(&pacer, datagram);
        } else {
            FUZZ_CHECK(quic_pacer_next_send(&pacer, now) > now);
        }
    }
    return 0;
}
