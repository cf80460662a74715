/* What bulk transfers make of a path (cc_path.h), for every combination of rate, RTT, loss, buffer and
 * congestion controller. Prints a markdown table: percent of the line that reached the application after
 * the first seconds, and in brackets the smoothed RTT in ms.
 *
 *   cc_matrix [--full] [--rate MBIT] [--cell MBIT RTT_MS LOSS_PERCENT shallow|deep] [--fairness] [--paths]
 *
 * --full measures longer and leaves no cell out; without it, cells that would take more than
 * kPacketsMost datagrams are shown as "-". A figure a little above what headers leave (97.8) is a gap of
 * before that was filled while it was measured. --fairness prints how two flows share a line, --paths what becomes
 * of lines of other kinds. */
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "tests/sim/cc_path.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;
/* Of one cell, without --full: what is aimed at, and what is tolerated. */
constexpr double kPackets = 250000;
constexpr double kPacketsMost = 2200000;

struct MatrixCell : sim::Cell {
    quring_cc cc = QURING_CC_CUBIC;
    bool full = false;

    quic_ns warm_ns() const
    {
        double per_ms = static_cast<double>(bytes_per_s()) / sim::CcPath::kDatagram / 1000;
        double brief = std::min({1500.0, rtt_ms * 200 + 100, kPacketsMost / 2 / per_ms});
        double ms = std::max(rtt_ms * 20, full ? 4000.0 : brief);
        return static_cast<quic_ns>(ms) * kMs;
    }
    /* How long to measure; 0: too much for a short run. */
    quic_ns span_ns() const
    {
        double per_s = static_cast<double>(bytes_per_s()) / sim::CcPath::kDatagram;
        double want = std::max(full ? 20.0 : 8.0, rtt_ms / 1000 * 60);
        if (full) {
            return static_cast<quic_ns>(want * 1e9);
        }
        double warm = static_cast<double>(warm_ns()) / 1e9;
        double least = std::max(0.3, rtt_ms / 1000 * 20);
        if ((warm + least) * per_s > kPacketsMost) {
            return 0;
        }
        return static_cast<quic_ns>(std::min(want, std::max(least, kPackets / per_s - warm)) * 1e9);
    }
};

struct Result {
    sim::FlowFigures flow;
    uint64_t lost = 0;
    uint64_t packets = 0;
};

Result run_cell(const MatrixCell &cell)
{
    Result r;
    sim::CcPath path(cell, {cell.cc});
    path.start(0);
    path.run(cell.warm_ns());
    r.flow = path.measure(cell.span_ns())[0];
    r.lost = path.lost();
    r.packets = path.packets();
    return r;
}

/* ---- the table ------------------------------------------------------------------------------------ */

const quring_cc kControllers[] = {QURING_CC_NEWRENO, QURING_CC_CUBIC, QURING_CC_BBR};

std::vector<MatrixCell> default_cells(bool full, double only_mbit)
{
    std::vector<MatrixCell> cells;
    for (double mbit : {1.0, 10.0, 100.0, 1000.0, 10000.0}) {
        if (only_mbit != 0 && mbit != only_mbit) {
            continue;
        }
        for (double rtt : {1.0, 10.0, 50.0, 300.0}) {
            for (bool deep : {false, true}) {
                for (double loss : {0.0, 0.001, 0.01, 0.05}) {
                    for (quring_cc cc : kControllers) {
                        cells.push_back(MatrixCell{{mbit, rtt, loss, deep}, cc, full});
                    }
                }
            }
        }
    }
    return cells;
}

void print_row(const MatrixCell &c, const Result *r, bool verbose)
{
    printf("| %g | %g | %g | %s |", c.mbit, c.rtt_ms, c.loss * 100, c.deep ? "deep" : "shallow");
    for (int i = 0; i < 3; i++) {
        if (r[i].flow.percent < 0) {
            printf(" - |");
        } else {
            printf(" %.1f (%.4g) |", r[i].flow.percent, r[i].flow.srtt_ms);
        }
    }
    for (int i = 0; verbose && i < 3; i++) {
        printf(" packets %" PRIu64 " lost %" PRIu64 " cwnd %" PRIu64 " |", r[i].packets, r[i].lost,
               r[i].flow.cwnd);
    }
    printf("\n");
}

/* Calls work(i) for every i below `count`, on all CPUs. */
void share_out(size_t count, const std::function<void(size_t)> &work)
{
    unsigned threads = std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::thread> pool;
    for (unsigned t = 0; t < threads; t++) {
        pool.emplace_back([&, t] {
            for (size_t i = t; i < count; i += threads) {
                work(i);
            }
        });
    }
    for (std::thread &t : pool) {
        t.join();
    }
}

/* ---- two flows ------------------------------------------------------------------------------------ */

constexpr quic_ns kHeadStart = 5 * kS;
constexpr quic_ns kSettle = 20 * kS;
constexpr quic_ns kFairSpan = 60 * kS;

struct Pair {
    const char *name;
    quring_cc first;
    quring_cc second;
};

const Pair kPairs[] = {
    {"reno, reno", QURING_CC_NEWRENO, QURING_CC_NEWRENO},
    {"cubic, cubic", QURING_CC_CUBIC, QURING_CC_CUBIC},
    {"bbr, bbr", QURING_CC_BBR, QURING_CC_BBR},
    {"cubic, reno", QURING_CC_CUBIC, QURING_CC_NEWRENO},
    {"cubic, bbr", QURING_CC_CUBIC, QURING_CC_BBR},
    {"reno, bbr", QURING_CC_NEWRENO, QURING_CC_BBR},
};
constexpr size_t kPairCount = sizeof(kPairs) / sizeof(kPairs[0]);

/* The second flow comes when the first has the line to itself. */
std::vector<sim::FlowFigures> run_pair(const sim::Cell &cell, const Pair &pair)
{
    sim::CcPath path(cell, {pair.first, pair.second});
    path.start(0);
    path.run(kHeadStart);
    path.start(1);
    path.run(kSettle);
    return path.measure(kFairSpan);
}

void print_fairness()
{
    std::vector<sim::Cell> cells;
    for (double mbit : {10.0, 100.0}) {
        for (double rtt : {10.0, 50.0, 100.0}) {
            for (bool deep : {false, true}) {
                cells.push_back(sim::Cell{mbit, rtt, 0, deep});
            }
        }
    }
    std::vector<std::vector<sim::FlowFigures>> results(cells.size() * kPairCount);
    share_out(results.size(), [&](size_t i) {
        results[i] = run_pair(cells[i / kPairCount], kPairs[i % kPairCount]);
    });
    printf(
        "Percent of the line of the first and of the second flow, which came 5 s later; 25 to 85 s "
        "after the start.\n\n| Mbit/s | RTT ms | buffer |");
    for (const Pair &pair : kPairs) {
        printf(" %s |", pair.name);
    }
    printf("\n|---:|---:|---|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < cells.size(); i++) {
        printf("| %g | %g | %s |", cells[i].mbit, cells[i].rtt_ms,
               cells[i].deep ? "deep" : "shallow");
        for (size_t k = 0; k < kPairCount; k++) {
            const auto &r = results[i * kPairCount + k];
            printf(" %.0f, %.0f |", r[0].percent, r[1].percent);
        }
        printf("\n");
    }
}

/* ---- lines of other kinds --------------------------------------------------------------------------- */

struct Path {
    const char *name;
    sim::Cell cell;
    double slow_mbit; /* the line changes to that and back every two seconds; 0: it does not */
};

sim::Cell line(double mbit, double rtt_ms, double loss, double buffer)
{
    sim::Cell c{mbit, rtt_ms, loss};
    c.buffer = buffer;
    return c;
}

sim::Cell policer(double mbit, double rtt_ms, double ms)
{
    sim::Cell c{mbit, rtt_ms};
    c.police_ms = ms;
    return c;
}

sim::Cell marked(double mbit, double rtt_ms, double buffer, double mark)
{
    sim::Cell c = line(mbit, rtt_ms, 0, buffer);
    c.mark = mark;
    return c;
}

sim::Cell windowed(double mbit, double rtt_ms, double buffer, double window)
{
    sim::Cell c = line(mbit, rtt_ms, 0, buffer);
    c.recv_window = static_cast<uint64_t>(static_cast<double>(c.bdp()) * window);
    return c;
}

struct PathResult {
    double percent = 0;
    double srtt_ms = 0;
    double lost = 0;         /* percent, while it was measured */
    uint64_t start_lost = 0; /* before */
};

PathResult run_path(const Path &p, quring_cc cc)
{
    PathResult r;
    sim::CcPath path(p.cell, {cc});
    path.start(0);
    path.run(std::max<quic_ns>(5 * kS, static_cast<quic_ns>(p.cell.rtt_ms * 20) * kMs));
    r.start_lost = path.lost();
    const uint64_t sent = path.packets();
    constexpr int kParts = 16;
    double most = 0;
    double got = 0;
    for (int i = 0; i < kParts; i++) {
        const double mbit = p.slow_mbit != 0 && i % 2 == 0 ? p.slow_mbit : p.cell.mbit;
        if (p.slow_mbit != 0) {
            path.set_rate(mbit);
        }
        const sim::FlowFigures f = path.measure(2 * kS)[0];
        most += mbit;
        got += mbit * f.percent / 100;
        r.srtt_ms += f.srtt_mean_ms / kParts;
    }
    r.percent = 100 * got / most;
    r.lost = 100 * static_cast<double>(path.lost() - r.start_lost) /
             static_cast<double>(path.packets() - sent);
    return r;
}

void print_paths()
{
    const Path paths[] = {
        {"10 Mbit/s, 40 ms, 1 BDP of buffer", line(10, 40, 0, 1), 0},
        {"100 Mbit/s, 20 ms, 1 BDP", line(100, 20, 0, 1), 0},
        {"1 Gbit/s, 20 ms, 1/4 BDP", line(1000, 20, 0, 0.25), 0},
        {"10 Mbit/s, 600 ms, 1 BDP", line(10, 600, 0, 1), 0},
        {"the same, 1 % loss", line(10, 600, 0.01, 1), 0},
        {"policed to 20 Mbit/s, bucket of 10 ms, 40 ms", policer(20, 40, 10), 0},
        {"the same, bucket of 100 ms", policer(20, 40, 100), 0},
        {"10 and 40 Mbit/s by turns of 2 s, 40 ms, 1 BDP", line(40, 40, 0, 1), 10},
        {"100 Mbit/s, 1 ms, CE from 1 BDP of queue on", marked(100, 1, 8, 1), 0},
        {"1 Gbit/s, 1 ms, CE from 1/2 BDP on", marked(1000, 1, 4, 0.5), 0},
        {"100 Mbit/s, 50 ms, 4 BDP, receiver's window 1.8 BDP", windowed(100, 50, 4, 1.8), 0},
    };
    constexpr size_t kPaths = sizeof(paths) / sizeof(paths[0]);
    PathResult results[kPaths][3];
    share_out(kPaths * 3, [&](size_t i) {
        results[i / 3][i % 3] = run_path(paths[i / 3], kControllers[i % 3]);
    });
    printf("Percent of the line (mean smoothed RTT in ms), percent lost, and packets lost before: "
           "5 s or "
           "20 round trips.\n\n| line | reno | lost | cubic | lost | bbr | lost |\n"
           "|---|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < kPaths; i++) {
        printf("| %s |", paths[i].name);
        for (const PathResult &r : results[i]) {
            printf(" %.1f (%.4g) | %.2f, %" PRIu64 " |", r.percent, r.srtt_ms, r.lost,
                   r.start_lost);
        }
        printf("\n");
    }
    sim::Cell far = line(20, 20, 0, 1);
    far.more_rtt_ms = {0, 60};
    const std::pair<const char *, sim::Cell> shared[] = {
        {"20 Mbit/s, 1 BDP of buffer; the first flow's RTT is 20 ms, the second one's 80 ms", far},
        {"100 Mbit/s, 1 ms, CE from 1 BDP of queue on", marked(100, 1, 8, 1)},
    };
    std::vector<sim::FlowFigures> pairs[2][kPairCount];
    share_out(2 * kPairCount, [&](size_t i) {
        pairs[i / kPairCount][i % kPairCount] =
            run_pair(shared[i / kPairCount].second, kPairs[i % kPairCount]);
    });
    printf("\n| line |");
    for (const Pair &pair : kPairs) {
        printf(" %s |", pair.name);
    }
    printf("\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < 2; i++) {
        printf("| %s |", shared[i].first);
        for (const std::vector<sim::FlowFigures> &r : pairs[i]) {
            printf(" %.0f, %.0f |", r[0].percent, r[1].percent);
        }
        printf("\n");
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--fairness") == 0) {
        print_fairness();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--paths") == 0) {
        print_paths();
        return 0;
    }
    bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
    bool rate = argc == 3 && strcmp(argv[1], "--rate") == 0;
    std::vector<MatrixCell> cells = default_cells(full, rate ? atof(argv[2]) : 0);
    bool one = argc == 6 && strcmp(argv[1], "--cell") == 0;
    if (one) {
        cells.clear();
        for (quring_cc cc : kControllers) {
            cells.push_back(MatrixCell{
                {atof(argv[2]), atof(argv[3]), atof(argv[4]) / 100, strcmp(argv[5], "deep") == 0},
                cc,
                true});
        }
    } else if (argc > 1 && !full && !rate) {
        fprintf(stderr, "usage: cc_matrix [--full] [--fairness] [--paths] [--rate MBIT] "
                        "[--cell MBIT RTT_MS LOSS_PERCENT shallow|deep]\n");
        return 2;
    }
    std::vector<Result> results(cells.size());
    share_out(cells.size(), [&](size_t i) {
        if (cells[i].span_ns() > 0) {
            results[i] = run_cell(cells[i]);
        }
    });
    printf("Percent of the line (smoothed RTT in ms). Buffer: shallow 1/4, deep 4 bandwidth-delay "
           "products.\n\n| Mbit/s | RTT ms | loss %% | buffer | reno | cubic | bbr |\n"
           "|---:|---:|---:|---|---:|---:|---:|\n");
    for (size_t i = 0; i + 2 < cells.size(); i += 3) {
        print_row(cells[i], &results[i], one);
    }
    return 0;
}
