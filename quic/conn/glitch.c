#include "quic/conn/glitch.h"

/* Time pays off whole points; what is left of a point's time counts next time. */
static void pay_by_time(quic_glitch *g, uint32_t per_s, quic_ns now)
{
    if (per_s == 0 || now <= g->last_ns) {
        return;
    }
    quic_ns point_ns = QUIC_NS_PER_S / per_s > 0 ? QUIC_NS_PER_S / per_s : 1;
    uint64_t points = (now - g->last_ns) / point_ns;
    if (points >= g->debt) {
        g->debt = 0;
        g->last_ns = now;
        return;
    }
    g->debt -= (uint32_t)points;
    g->last_ns += points * point_ns;
}

static void take_back(quic_glitch *g, uint64_t bytes)
{
    g->useful -= bytes < g->useful ? bytes : g->useful;
}

bool quic_glitch_settle(quic_glitch *g, uint32_t frames, size_t len, const quring_limits *limits,
                        quic_ns now)
{
    const uint32_t debt_max = limits->glitch_burst;
    bool useful = g->useless < frames;
    uint32_t points = g->useless / QUIC_GLITCH_FRAMES;
    g->useless = 0;
    if (useful && points == 0) {
        quic_glitch_pay(g, 1);
        return true;
    }
    if (g->debt == 0) {
        g->last_ns = now;
    }
    pay_by_time(g, limits->glitch_per_s, now);
    take_back(g, (uint64_t)points * QUIC_GLITCH_PACKET_BYTES);
    if (!useful) {
        take_back(g, quic_glitch_worth(1, len + QUIC_GLITCH_HEAD_BYTES));
        points++;
    }
    g->debt = points > UINT32_MAX - g->debt ? UINT32_MAX : g->debt + points;
    return debt_max == 0 || g->debt <= debt_max ||
           g->debt - debt_max <= g->useful / QUIC_GLITCH_PACKET_BYTES;
}
