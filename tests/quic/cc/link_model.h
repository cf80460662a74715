/* tests/quic/cc/link_model.h: flows with the real controller, pacer and loss recovery over one
 * bottleneck, packet by packet, in virtual time.
 *
 * Shape:  a drop-tail queue in front of a line of a given rate, a fixed delay, independent losses; the
 *         way back has the same delay and loses nothing. Receivers acknowledge every second packet, one
 *         out of order at once, the last one after 25 ms.
 */
#ifndef TESTS_QUIC_CC_LINK_MODEL_H
#define TESTS_QUIC_CC_LINK_MODEL_H

#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <random>
#include <vector>

#include "quic/cc/cc.h"
#include "quic/cc/pacer.h"
#include "quic/recovery/loss.h"
#include "tests/quic/base/test_mem.h"

namespace link_model
{

constexpr uint32_t kDatagram = 1200;
constexpr quic_ns kAckDelay = 25 * QUIC_NS_PER_MS;

struct LinkConfig {
    uint64_t bits_per_s = 100000000;
    quic_ns rtt_ns = 50 * QUIC_NS_PER_MS;
    double loss = 0;
    uint64_t queue_bytes = 0; /* 0: one bandwidth-delay product */
};

struct Range {
    uint64_t lo, hi;
};

/* Both ends of one connection. */
struct Flow {
    quic_recovery rec;
    quic_cc cc;
    quic_pacer pacer;
    quic_ns start_ns = 0;
    quic_ns timer_ns = QUIC_NS_NEVER;
    uint64_t sent_bytes = 0;
    uint64_t to_send_bytes = UINT64_MAX; /* what the application has left */
    uint64_t received_bytes = 0;
    uint64_t lost_packets = 0;
    std::deque<Range> ranges; /* the receiver's, newest first */
    uint32_t unacked = 0;
    quic_ns ack_at_ns = QUIC_NS_NEVER;
};

class Model
{
  public:
    explicit Model(const LinkConfig &config, uint64_t seed = 1) : config_(config), rng_(seed)
    {
        test_mem_init(&mem_);
        if (config_.queue_bytes == 0) {
            config_.queue_bytes = config.bits_per_s / 8 * config.rtt_ns / QUIC_NS_PER_S;
        }
    }
    ~Model()
    {
        for (auto &f : flows_) {
            quic_recovery_deinit(&f->rec);
        }
    }

    Flow &add(const quic_cc_vtable *cc, quic_ns start_ns = 0)
    {
        auto f = std::make_unique<Flow>();
        quic_recovery_init(&f->rec, &mem_.mem, 1u << 20, QUIC_INITIAL_RTT_NS, false);
        f->rec.facts.handshake_confirmed = true;
        f->rec.facts.has_handshake_keys = true;
        quic_cc_init(&f->cc, cc, kDatagram, 0, true);
        quic_pacer_init(&f->pacer, true, kDatagram, now_);
        f->start_ns = now_ + start_ns;
        f->timer_ns = f->start_ns;
        push(f->timer_ns, kTimer, static_cast<uint32_t>(flows_.size()), 0);
        flows_.push_back(std::move(f));
        return *flows_.back();
    }
    /* run lets `span` of time go by. */
    void run(quic_ns span)
    {
        quic_ns end = now_ + span;
        while (!events_.empty() && events_.top().at <= end) {
            Event ev = events_.top();
            events_.pop();
            now_ = ev.at;
            handle(ev);
        }
        now_ = end;
    }
    quic_ns now() const
    {
        return now_;
    }
    const LinkConfig &config() const
    {
        return config_;
    }
    void set_rate(uint64_t bits_per_s)
    {
        config_.bits_per_s = bits_per_s;
    }
    void wake(Flow &f)
    {
        send(f);
    }
    uint64_t queue_now() const
    {
        return busy_until_ > now_ ? (busy_until_ - now_) * (config_.bits_per_s / 8) / QUIC_NS_PER_S
                                  : 0;
    }
    /* What one flow received in `span`, as a share of the line in percent. */
    double share(Flow &f, quic_ns span)
    {
        uint64_t before = f.received_bytes;
        run(span);
        return 100.0 * static_cast<double>(f.received_bytes - before) * 8 * 1e9 /
               (static_cast<double>(config_.bits_per_s) * static_cast<double>(span));
    }

  private:
    enum Kind { kTimer, kArrive, kAck, kAckTimer };
    struct Event {
        quic_ns at;
        uint64_t order;
        Kind kind;
        uint32_t flow;
        uint64_t pn;
        bool operator<(const Event &o) const
        {
            return at != o.at ? at > o.at : order > o.order;
        }
    };
    struct Ack {
        std::vector<Range> ranges;
    };

    void push(quic_ns at, Kind kind, uint32_t flow, uint64_t pn)
    {
        events_.push(Event{at, order_++, kind, flow, pn});
    }
    uint32_t index(const Flow &f) const
    {
        uint32_t i = 0;
        while (flows_[i].get() != &f) {
            i++;
        }
        return i;
    }

    void handle(const Event &ev)
    {
        Flow &f = *flows_[ev.flow];
        switch (ev.kind) {
        case kTimer:
            if (f.timer_ns == ev.at) {
                on_timer(f);
            }
            break;
        case kArrive:
            on_arrive(f, ev.flow, ev.pn);
            break;
        case kAck:
            on_ack(f, ev.pn);
            break;
        case kAckTimer:
            if (f.ack_at_ns == ev.at) {
                send_ack(f, ev.flow);
            }
            break;
        }
    }

    /* ---- the sender ---------------------------------------------------------------------------- */

    void set_timer(Flow &f)
    {
        quic_ns at = quic_recovery_deadline(&f.rec, false);
        if (f.to_send_bytes > 0 && quic_cc_available(&f.cc, f.rec.in_flight_bytes) >= kDatagram) {
            quic_ns pace = quic_pacer_next_send(&f.pacer, now_);
            at = pace < at ? pace : at;
        }
        at = at > now_ ? at : now_ + 1;
        if (at != f.timer_ns && at != QUIC_NS_NEVER) {
            f.timer_ns = at;
            push(at, kTimer, index(f), 0);
        }
    }
    void on_timer(Flow &f)
    {
        f.timer_ns = QUIC_NS_NEVER;
        if (now_ >= quic_recovery_deadline(&f.rec, false)) {
            quic_timeout t;
            quic_recovery_on_timeout(&f.rec, &t, false, now_);
            if (t.kind == QUIC_TIMEOUT_LOSS) {
                take_lost(f, t.loss);
            } else if (t.kind == QUIC_TIMEOUT_PTO) {
                put(f);
            }
        }
        send(f);
    }
    void put(Flow &f)
    {
        quic_sent_map *map = quic_recovery_map(&f.rec, QUIC_SPACE_APP);
        uint64_t pn = quic_sent_map_next_pn(map);
        quic_sent_packet *p = quic_sent_map_add(map, pn);
        quic_cc_on_sent(&f.cc, f.rec.in_flight_bytes, now_);
        quic_pacer_on_sent(&f.pacer, kDatagram);
        quic_recovery_on_sent(&f.rec, QUIC_SPACE_APP, p, kDatagram,
                              QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT, now_);
        f.sent_bytes += kDatagram;
        transmit(f, pn);
    }
    void send(Flow &f)
    {
        if (now_ < f.start_ns) {
            return;
        }
        uint64_t budget = quic_pacer_budget(&f.pacer, now_);
        uint64_t done = 0;
        while (done < budget && f.to_send_bytes > 0 &&
               f.rec.in_flight_bytes + kDatagram <= f.cc.cwnd_bytes) {
            put(f);
            done += kDatagram;
            if (f.to_send_bytes != UINT64_MAX) {
                f.to_send_bytes -= f.to_send_bytes < kDatagram ? f.to_send_bytes : kDatagram;
            }
        }
        if (f.to_send_bytes == 0 && done < budget &&
            f.rec.in_flight_bytes + kDatagram <= f.cc.cwnd_bytes) {
            quic_recovery_on_app_limited(&f.rec);
        }
        set_timer(f);
    }
    void take_lost(Flow &f, const quic_loss_result &loss)
    {
        uint64_t lost = loss.prior_lost_bytes;
        while (const quic_sent_packet *p = quic_recovery_next_lost(&f.rec, QUIC_SPACE_APP)) {
            f.lost_packets++;
            lost += p->bytes;
            if (quic_cc_wants_losses(&f.cc)) {
                quic_cc_loss l{};
                l.pn = p->pn;
                l.bytes = p->bytes;
                l.tx_in_flight_bytes = quic_recovery_tx_in_flight(p);
                l.lost_since_bytes =
                    static_cast<uint32_t>(static_cast<uint32_t>(lost) - p->lost_low);
                l.delivered_bytes = f.rec.delivered_bytes;
                l.app_limited = (p->flags & QUIC_SENT_APP_LIMITED) != 0;
                quic_cc_on_lost(&f.cc, &l, now_);
            }
        }
        if (loss.largest_lost_sent_ns != 0) {
            quic_cc_on_congestion(&f.cc, loss.largest_lost_sent_ns, now_);
        }
        if (loss.persistent_congestion) {
            quic_cc_on_persistent_congestion(&f.cc);
        }
    }
    void on_ack(Flow &f, uint64_t slot)
    {
        std::vector<Range> ranges = std::move(acks_[slot]);
        acks_free_.push_back(slot);
        quic_recovery_ack ack;
        (void)quic_recovery_ack_begin(&f.rec, &ack, QUIC_SPACE_APP, ranges[0].hi, 0, now_);
        for (const Range &r : ranges) {
            (void)quic_recovery_ack_range(&ack, r.lo, r.hi);
            while (quic_recovery_ack_next(&ack) != nullptr) {
            }
        }
        quic_ack_result r;
        quic_recovery_ack_end(&ack, &r);
        if (r.acked_count > 0) {
            take_lost(f, r.loss);
            update_cc(f, r);
        }
        send(f);
    }
    void update_cc(Flow &f, const quic_ack_result &r)
    {
        quic_cc_sample s{};
        s.acked_bytes = r.acked_bytes;
        s.prior_in_flight_bytes = r.prior_in_flight_bytes;
        s.largest_acked_sent_ns = r.largest_acked_sent_ns;
        s.rtt_ns = r.has_rtt_sample ? r.rtt_sample_ns : 0;
        s.srtt_ns = f.rec.rtt.smoothed_ns;
        s.app_limited = !quic_cc_is_limiting(&f.cc, r.prior_in_flight_bytes);
        s.rate_app_limited = r.app_limited;
        s.in_flight_bytes = f.rec.in_flight_bytes;
        s.delivered_bytes = f.rec.delivered_bytes;
        s.prior_delivered_bytes = r.prior_delivered_bytes;
        s.tx_in_flight_bytes = r.tx_in_flight_bytes;
        s.lost_since_bytes = r.lost_since_bytes;
        s.rate_bytes = r.rate_bytes;
        s.rate_ns = r.rate_ns;
        s.min_rtt_ns = f.rec.rtt.min_ns;
        if (r.acked_bytes > 0) {
            quic_cc_on_acked(&f.cc, &s, now_);
        }
        if (f.cc.holds_back) {
            quic_recovery_on_app_limited(&f.rec);
        }
        if (r.spurious_congestion) {
            quic_cc_on_spurious(&f.cc);
        }
        if (f.cc.pacing_rate_fp != 0) {
            quic_pacer_set_rate(&f.pacer, f.cc.pacing_rate_fp, f.rec.rtt.smoothed_ns, kDatagram,
                                now_);
        } else {
            quic_pacer_update(&f.pacer, f.cc.cwnd_bytes, f.rec.rtt.smoothed_ns,
                              quic_cc_in_slow_start(&f.cc), kDatagram, now_);
        }
    }

    /* ---- the line and the receiver --------------------------------------------------------------- */

    void transmit(Flow &f, uint64_t pn)
    {
        std::uniform_real_distribution<double> u(0, 1);
        if (u(rng_) < config_.loss ||
            queue_now() + kDatagram > config_.queue_bytes + 2 * kDatagram) {
            return;
        }
        busy_until_ = (busy_until_ > now_ ? busy_until_ : now_) +
                      kDatagram * 8 * QUIC_NS_PER_S / config_.bits_per_s;
        push(busy_until_ + config_.rtt_ns / 2, kArrive, index(f), pn);
    }
    void on_arrive(Flow &f, uint32_t i, uint64_t pn)
    {
        f.received_bytes += kDatagram;
        bool in_order = !f.ranges.empty() && f.ranges[0].hi + 1 == pn;
        if (in_order) {
            f.ranges[0].hi = pn;
        } else { /* the line keeps the order */
            f.ranges.push_front(Range{pn, pn});
            if (f.ranges.size() > 24) {
                f.ranges.pop_back();
            }
        }
        if (++f.unacked >= 2 || !in_order) {
            send_ack(f, i);
        } else {
            f.ack_at_ns = now_ + kAckDelay;
            push(f.ack_at_ns, kAckTimer, i, 0);
        }
    }
    void send_ack(Flow &f, uint32_t i)
    {
        f.unacked = 0;
        f.ack_at_ns = QUIC_NS_NEVER;
        uint64_t slot = acks_.size();
        if (acks_free_.empty()) {
            acks_.emplace_back();
        } else {
            slot = acks_free_.back();
            acks_free_.pop_back();
        }
        acks_[slot].assign(f.ranges.begin(), f.ranges.end());
        push(now_ + config_.rtt_ns / 2, kAck, i, slot);
    }

    LinkConfig config_;
    std::mt19937_64 rng_;
    test_mem mem_;
    std::vector<std::unique_ptr<Flow>> flows_;
    std::priority_queue<Event> events_;
    std::vector<std::vector<Range>> acks_;
    std::vector<uint64_t> acks_free_;
    uint64_t order_ = 0;
    quic_ns now_ = QUIC_NS_PER_S;
    quic_ns busy_until_ = 0;
};

} // namespace link_model

#endif // TESTS_QUIC_CC_LINK_MODEL_H
