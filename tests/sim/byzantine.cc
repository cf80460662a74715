#include "tests/sim/byzantine.h"

#include <algorithm>

#include "quic/wire/varint.h"
#include "tests/quic/conn/inject.h"
#include "tests/sim/forge.h"
#include "tests/sim/wire.h"

namespace sim
{
namespace
{

constexpr size_t kDatagramMax = 1400;
constexpr size_t kFramesMax = 1150; /* of one packet */
constexpr uint8_t kPing = QUIC_FRAME_PING;

void append(std::vector<uint8_t> &out, const std::vector<uint8_t> &more)
{
    out.insert(out.end(), more.begin(), more.end());
}

/* The frame's bytes so that another one may follow: a STREAM frame gets its length. */
std::vector<uint8_t> self_contained(const quic_frame &frame, const uint8_t *bytes, size_t len)
{
    if (!quic_frame_is_stream(frame.type) || (frame.type & QUIC_FRAME_STREAM_LEN) != 0) {
        return std::vector<uint8_t>(bytes, bytes + len);
    }
    std::vector<uint8_t> out =
        varints({static_cast<uint64_t>(frame.type) | QUIC_FRAME_STREAM_LEN | QUIC_FRAME_STREAM_OFF,
                 frame.stream.id, frame.stream.off, frame.stream.len});
    out.insert(out.end(), frame.stream.data, frame.stream.data + frame.stream.len);
    return out;
}

} // namespace

Byzantine::Byzantine(const ByzantinePlan &plan, uint64_t seed) : plan_(plan), rng_(seed)
{
    if (plan.violation >= 0) {
        violation_ = &violations()[static_cast<size_t>(plan.violation) % violations().size()];
        plan_.by_server = plan_.by_server && !violation_->to_server_only;
    }
}

void Byzantine::claim(quic_conn *conn)
{
    for (int uni = 0; uni < 2; uni++) {
        uint64_t first = 0;
        sim_forge_claim_streams(conn, uni != 0, &first, &end_[uni]);
        if (!claimed_) {
            first_[uni] = first;
            next_[uni] = first;
        }
    }
    claimed_ = true;
}

/* ---- exactly one rule broken -------------------------------------------------------------------- */

std::vector<uint8_t> Byzantine::break_rule(quic_conn *conn, bool early)
{
    const Violation &v = *violation();
    std::vector<uint8_t> out(kDatagramMax);
    if (early != (v.level != QUIC_LEVEL_APP) || !inject_has_keys(conn, v.level, true) ||
        (v.level == QUIC_LEVEL_HANDSHAKE && said_ > 0)) {
        return {};
    }
    if (v.level == QUIC_LEVEL_APP) {
        claim(conn);
    }
    std::vector<uint8_t> frames = v.frames(!plan_.by_server, first_[0], first_[1]);
    out.resize(
        inject_make(conn, v.level, v.flags, frames.data(), frames.size(), out.data(), out.size()));
    said_ += out.empty() ? 0 : 1;
    return out;
}

/* ---- rude --------------------------------------------------------------------------------------- */

std::vector<uint8_t> Byzantine::rude_frames(quic_conn *conn)
{
    std::vector<uint8_t> out;
    uint64_t me = plan_.by_server ? 1 : 0;
    claim(conn);
    switch (plan_.rude) {
    case Rude::kPings:
        while (out.size() < kFramesMax) {
            out.push_back(rng_.chance(0.5) ? kPing : 0);
        }
        break;
    case Rude::kPadding:
        out.assign(rng_.range(1, kFramesMax), 0);
        break;
    case Rude::kFragments: /* one byte, one gap */
        for (; out.size() < kFramesMax - 20 && next_[1] < end_[1]; count_++) {
            append(out, varints({0x0e, first_[1] * 4 + 2 + me, 2 * count_ + 1, 1, 'x'}));
            if (count_ > 400) {
                break;
            }
        }
        break;
    case Rude::kOpenReset:
        while (out.size() < kFramesMax - 40 && next_[0] < end_[0]) {
            uint64_t id = next_[0]++ * 4 + me;
            append(out, varints({0x0a, id, 1, 'x', 4, id, 9, 1}));
        }
        break;
    case Rude::kStopAll:
        for (uint64_t i = 0;
             i < sim_forge_peer_streams(conn, false) && out.size() < kFramesMax - 20; i++) {
            append(out, varints({5, i * 4 + 1 - me, 3}));
        }
        for (uint64_t i = 0; i < first_[0] && out.size() < kFramesMax - 20; i++) {
            append(out, varints({5, i * 4 + me, 3}));
        }
        break;
    case Rude::kTrickle:
        append(out, varints({0x10, ++count_, 0x12, count_ % 8, 0x14, count_, 0x16, count_ % 8}));
        break;
    case Rude::kChallenges:
        for (int i = 0; i < 60; i++) {
            out.push_back(QUIC_FRAME_PATH_CHALLENGE);
            for (int k = 0; k < 8; k++) {
                out.push_back(static_cast<uint8_t>(rng_.u64()));
            }
        }
        break;
    case Rude::kConnectionIds:
        for (int i = 0; i < 8; i++) {
            uint64_t seq = sim_forge_next_cid(conn) + count_++;
            append(out, varints({0x18, seq, seq, 8}));
            for (int k = 0; k < 24; k++) {
                out.push_back(static_cast<uint8_t>(rng_.u64()));
            }
        }
        break;
    case Rude::kAcks:
        for (int i = 0; i < 100; i++) {
            append(out, varints({2, 0, rng_.below(1u << 30), 0, 0}));
        }
        break;
    case Rude::kNoise:
        out.resize(rng_.range(1, 200));
        for (uint8_t &b : out) {
            b = static_cast<uint8_t>(rng_.chance(0.7) ? rng_.below(0x40) : rng_.u64());
        }
        break;
    case Rude::kOnlyRewrites:
        break;
    }
    return out;
}

std::vector<uint8_t> Byzantine::speak(quic_conn *conn, bool early)
{
    if (violation() != nullptr) {
        return break_rule(conn, early);
    }
    if (early || !inject_has_keys(conn, QUIC_LEVEL_APP, true)) {
        return {};
    }
    std::vector<uint8_t> frames = rude_frames(conn);
    if (frames.empty()) {
        return {};
    }
    said_++;
    std::vector<uint8_t> out(kDatagramMax);
    out.resize(
        inject_make(conn, QUIC_LEVEL_APP, 0, frames.data(), frames.size(), out.data(), out.size()));
    return out;
}

bool Byzantine::keeps(const quic_frame &frame)
{
    bool is_ack = frame.type == QUIC_FRAME_ACK || frame.type == QUIC_FRAME_ACK_ECN;
    bool is_credit =
        frame.type == QUIC_FRAME_MAX_DATA || frame.type == QUIC_FRAME_MAX_STREAM_DATA ||
        frame.type == QUIC_FRAME_MAX_STREAMS_BIDI || frame.type == QUIC_FRAME_MAX_STREAMS_UNI;
    return !(is_ack && plan_.no_acks) && !(is_credit && plan_.no_credit) &&
           !rng_.chance(plan_.drop);
}

std::vector<uint8_t> Byzantine::rewritten(const uint8_t *payload, size_t len)
{
    std::vector<std::vector<uint8_t>> frames;
    visit_frames(payload, len, [&](const quic_frame &frame, const uint8_t *bytes, size_t n) {
        if (frame.type == QUIC_FRAME_PADDING || !keeps(frame)) {
            return true;
        }
        bool is_ack = frame.type == QUIC_FRAME_ACK || frame.type == QUIC_FRAME_ACK_ECN;
        if (is_ack && plan_.tiny_acks) { /* only the newest one */
            frames.push_back(varints({QUIC_FRAME_ACK, frame.ack.largest, 0, 0, 0}));
        } else {
            frames.push_back(self_contained(frame, bytes, n));
        }
        if (rng_.chance(plan_.repeat)) {
            frames.push_back(frames.back());
        }
        return true;
    });
    for (size_t i = frames.size(); plan_.shuffle && i > 1; i--) {
        std::swap(frames[i - 1], frames[rng_.below(i)]);
    }
    std::vector<uint8_t> out;
    for (const auto &frame : frames) {
        if (out.size() + frame.size() < kFramesMax + 100) {
            append(out, frame);
        }
    }
    if (out.size() < 4) {
        out.resize(4); /* PADDING: something must be there */
    }
    return out;
}

void Byzantine::rewrite(quic_conn *conn, std::vector<uint8_t> &datagram)
{
    size_t off = 0;
    size_t len = 0;
    if (violation() != nullptr || !plan_.rewrites() || datagram.size() > kDatagramMax ||
        !sim_forge_payload(conn, datagram.data(), datagram.size(), &off, &len)) {
        return;
    }
    std::vector<uint8_t> frames = rewritten(datagram.data() + off, len);
    std::vector<uint8_t> out(kDatagramMax);
    size_t n = sim_forge_reseal(conn, out.data(), out.size(), datagram.data(), datagram.size(),
                                frames.data(), frames.size());
    if (n > 0) {
        out.resize(n);
        datagram.swap(out);
    }
}

} // namespace sim
