/* What the application does with datagrams: each has a number, and bytes that follow from it. */
#include <cstring>

#include "tests/sim/app.h"

namespace sim
{
namespace
{

constexpr size_t kNumberLen = 8;
constexpr uint64_t kDatagramId = 1ull << 60; /* where a stream's pattern has its id */

} // namespace

void App::send_datagrams()
{
    const ConnPlan &plan = state_->plan;
    const int dir = is_server_ ? 1 : 0;
    while (!closed_ && !close_called_ && datagrams_sent_ < plan.datagrams[dir]) {
        if (next_datagram_ns_ > host_->now()) {
            host_->wake_app(this, next_datagram_ns_);
            return;
        }
        uint8_t bytes[2048];
        size_t len = rng_.range(kNumberLen, plan.datagram_bytes_max);
        memcpy(bytes, &datagrams_sent_, kNumberLen);
        fill_pattern(key(kDatagramId + datagrams_sent_, dir), 0, bytes + kNumberLen,
                     len - kNumberLen);
        size_t max = 0;
        quic_rc can = quic_conn_datagram_max(conn_, &max);
        quic_rc rc =
            quic_conn_datagram_send(conn_, bytes, len, plan.datagram_ttl_ns,
                                    rng_.chance(0.3) ? uint32_t{QUIC_DATAGRAM_REPLACE} : 0u);
        if (rc == QUIC_E_AGAIN) {
            return; /* WRITABLE comes */
        }
        bool refused = (rc == QUIC_E_TOO_LARGE && can == QUIC_OK && len > max) ||
                       (rc == QUIC_E_NOT_SUPPORTED && can == rc) ||
                       (rc == QUIC_E_STATE && can == rc) ||
                       (rc == QUIC_E_NOMEM && host_->memory_may_fail());
        if (rc != QUIC_OK && !refused) {
            fail(nullptr, "a datagram could not be sent");
            return;
        }
        datagrams_sent_++;
        next_datagram_ns_ = host_->now() + plan.datagram_every_ns;
    }
}

void App::read_datagrams()
{
    const int dir = is_server_ ? 0 : 1;
    quic_span span{};
    while (quic_conn_datagram_peek(conn_, &span) == QUIC_OK) {
        uint64_t number = 0;
        if (span.len < kNumberLen) {
            fail(nullptr, "a datagram that nobody sent");
            return;
        }
        memcpy(&number, span.data, kNumberLen);
        if (number >= state_->plan.datagrams[dir] ||
            !is_pattern(key(kDatagramId + number, dir), 0, span.data + kNumberLen,
                        span.len - kNumberLen)) {
            fail(nullptr, "a datagram with wrong bytes");
            return;
        }
        if (!datagrams_got_.insert(number).second) {
            fail(nullptr, "a datagram came twice");
            return;
        }
        if (quic_conn_datagram_consume(conn_) != QUIC_OK) {
            fail(nullptr, "a datagram was shown and could not be consumed");
            return;
        }
    }
}

} // namespace sim
