/* A bad network as a program, and what it sees of the connections that pass.
 *
 *   impair_run SERVER [--delay MS] [--rate BITS] [--queue N] [--drop PERCENT,RUN] [--corrupt PERCENT,RUN]
 *              [--hole PASS_MS,HOLE_MS,TIMES] [--rebind FIRST_MS,EVERY_MS,TIMES] [--rebind-host]
 *              [--drop-to-server A,B,...] [--seed N]
 *
 * Prints "listening PORT"; at SIGTERM one JSON object, and ends. */
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "quring/impair.h"
#include "quring/quring.h"

#include "tests/interop/sniff.h"

namespace
{

std::vector<uint64_t> numbers(const char *text)
{
    std::vector<uint64_t> all;
    for (char *end = nullptr; *text != '\0'; text = *end == ',' ? end + 1 : end) {
        all.push_back(strtoull(text, &end, 10));
        if (end == text) {
            return {};
        }
    }
    all.resize(std::max<size_t>(all.size(), 3));
    return all;
}

constexpr uint64_t kMs = 1000000;

bool set_link(quring_impair_link *l, const std::string &name, const std::vector<uint64_t> &n)
{
    if (name == "--delay") {
        l->delay_ns = n[0] * kMs;
    } else if (name == "--rate") {
        l->rate_bits_per_s = n[0];
    } else if (name == "--queue") {
        l->queue_packets = static_cast<uint32_t>(n[0]);
    } else if (name == "--drop") {
        l->loss_ppm = static_cast<uint32_t>(n[0] * 10000);
        l->loss_run_max = static_cast<uint32_t>(n[1]);
    } else if (name == "--corrupt") {
        l->corrupt_ppm = static_cast<uint32_t>(n[0] * 10000);
        l->corrupt_run_max = static_cast<uint32_t>(n[1]);
    } else if (name == "--hole") {
        l->pass_ns = n[0] * kMs;
        l->hole_ns = n[1] * kMs;
        l->holes_max = static_cast<uint32_t>(n[2]);
    } else {
        return false;
    }
    return true;
}

bool set(quring_impair_options *o, const std::string &name, const char *value)
{
    std::vector<uint64_t> n = numbers(value);
    if (n.empty()) {
        return false;
    }
    if (set_link(&o->to_server, name, n)) {
        return set_link(&o->to_client, name, n);
    }
    if (name == "--drop-to-server") {
        for (uint64_t number : n) {
            if (number != 0 && o->to_server.drop_count < QURING_IMPAIR_DROPS_MAX) {
                o->to_server.drops[o->to_server.drop_count++] = static_cast<uint32_t>(number);
            }
        }
    } else if (name == "--seed") {
        o->seed = n[0];
    } else {
        return false;
    }
    return true;
}

/* Waits for a signal of `stop`, no longer than until `at`; whether it has come. */
bool stops_before(const sigset_t *stop, uint64_t at)
{
    for (uint64_t now = quring_now_ns(); now < at; now = quring_now_ns()) {
        timespec left = {static_cast<time_t>((at - now) / 1000000000u),
                         static_cast<long>((at - now) % 1000000000u)};
        if (sigtimedwait(stop, nullptr, &left) > 0) {
            return true;
        }
    }
    return false;
}

void tap(void *ctx, const quring_impair_seen *seen)
{
    interop::Passing d{};
    d.data = seen->data.data;
    d.len = seen->data.len;
    d.to_server = seen->to_server;
    d.reaches = seen->fate == QURING_IMPAIR_PASSED && !seen->corrupted;
    d.path = seen->path;
    d.ecn = seen->ecn;
    static_cast<interop::Sniffer *>(ctx)->on_datagram(d);
}

void report(const quring_impair_counts &c, const interop::Sniffer &sniffer)
{
    printf("{\"received\": %llu, \"dropped\": %llu, \"corrupted\": %llu, \"hole\": %llu, "
           "\"listed\": %llu, \"rebinds\": %llu, %s}\n",
           static_cast<unsigned long long>(c.received[0] + c.received[1]),
           static_cast<unsigned long long>(quring_impair_dropped(&c)),
           static_cast<unsigned long long>(c.corrupted[0] + c.corrupted[1]),
           static_cast<unsigned long long>(c.fates[0][QURING_IMPAIR_LOST_HOLE] +
                                           c.fates[1][QURING_IMPAIR_LOST_HOLE]),
           static_cast<unsigned long long>(c.fates[0][QURING_IMPAIR_LOST_LIST] +
                                           c.fates[1][QURING_IMPAIR_LOST_LIST]),
           static_cast<unsigned long long>(c.rebinds), sniffer.json().c_str());
}

} // namespace

int main(int argc, char **argv)
{
    quring_impair_options o;
    quring_error err;
    quring_impair *proxy = nullptr;
    interop::Sniffer sniffer;
    sigset_t stop;
    std::vector<uint64_t> rebind = {0, 0, 0};
    quring_impair_options_init(&o);
    o.tap = tap;
    o.tap_ctx = &sniffer;
    bool fine = argc >= 2 && quring_addr_parse(&o.server, argv[1], 0, &err) == QURING_OK;
    for (int i = 2; fine && i < argc; i++) {
        if (strcmp(argv[i], "--rebind-host") == 0) {
            o.rebind_host = true;
        } else if (strcmp(argv[i], "--rebind") == 0 && i + 1 < argc) {
            rebind = numbers(argv[++i]);
            fine = rebind.size() == 3;
        } else {
            fine = i + 1 < argc && set(&o, argv[i], argv[i + 1]);
            i++;
        }
    }
    if (!fine) {
        fprintf(stderr, "usage: impair_run SERVER [OPTIONS]\n");
        return 2;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, nullptr);
    if (quring_impair_start(&proxy, &o, &err) != QURING_OK) {
        fprintf(stderr, "impair_run: %s\n", err.message);
        return 1;
    }
    printf("listening %u\n", quring_impair_local(proxy).port);
    fflush(stdout);
    /* Not by the proxy itself, which knows no end: the client may have said its last word on the path before. From the
     * first datagram on: before it there is no path. */
    quring_impair_counts counts = {};
    bool over = false;
    while (rebind[2] > 0 && !over && counts.received[0] == 0) {
        over = stops_before(&stop, quring_now_ns() + 5 * kMs);
        quring_impair_get_counts(proxy, &counts);
    }
    uint64_t at = quring_now_ns() + rebind[0] * kMs;
    for (uint64_t i = 0; i < rebind[2] && !over; i++, at += rebind[1] * kMs) {
        over = stops_before(&stop, at);
        if (!over) {
            quring_impair_rebind(proxy);
        }
    }
    while (!over) {
        over = sigwaitinfo(&stop, nullptr) > 0;
    }
    quring_impair_get_counts(proxy, &counts);
    quring_impair_stop(proxy); /* the thread has ended: the sniffer is ours */
    report(counts, sniffer);
    return 0;
}
