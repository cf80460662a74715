/* docs/limits.md says what every limit is by default and may be. On failure the right table is printed. */
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "quring/quring.h"

namespace
{

bool EndsWith(const std::string &text, const char *end)
{
    return text.size() >= strlen(end) && text.substr(text.size() - strlen(end)) == end;
}

/* A number in the largest unit that leaves it whole. */
std::string InUnits(const std::string &field, uint64_t value)
{
    struct Unit {
        uint64_t is;
        const char *name;
    };
    static const Unit kBytes[] = {{1ull << 40, " TiB"}, {1ull << 20, " MiB"}, {1ull << 10, " KiB"}};
    static const Unit kTime[] = {{86400ull * 1000000000, " d"},
                                 {3600ull * 1000000000, " h"},
                                 {1000000000, " s"},
                                 {1000000, " ms"},
                                 {1000, " us"}};
    const auto format = [&](const Unit *units, size_t count) {
        for (size_t i = 0; i < count; i++) {
            if (value != 0 && value % units[i].is == 0) {
                return std::to_string(value / units[i].is) + units[i].name;
            }
        }
        return std::to_string(value);
    };
    if (EndsWith(field, "_bytes")) {
        return format(kBytes, 3);
    }
    return EndsWith(field, "_ns") ? format(kTime, 5) : std::to_string(value);
}

/* "0 and 1000000..86400000000000" with every number in its unit. */
std::string RangeInUnits(const std::string &field, const std::string &range)
{
    std::string out;
    for (size_t i = 0; i < range.size();) {
        size_t len = strspn(range.c_str() + i, "0123456789");
        if (len > 0) {
            out += InUnits(field, std::stoull(range.substr(i, len)));
            i += len;
        } else if (range.compare(i, 2, "..") == 0) {
            out += " .. ";
            i += 2;
        } else {
            out += range[i++];
        }
    }
    return out;
}

/* What quring_config_check says is allowed, when it is given too much or too little. */
std::string Allowed(const std::string &field, const quring_config *low, const quring_config *high)
{
    for (const quring_config *config : {high, low}) {
        quring_error err = {};
        const std::string begin = "limits." + field + " is ";
        if (quring_config_check(config, &err) == QURING_E_INVAL &&
            std::string(err.message).compare(0, begin.size(), begin) == 0) {
            const char *range = strstr(err.message, "allowed are ");
            return range != nullptr ? RangeInUnits(field, range + strlen("allowed are ")) : "";
        }
    }
    return "any";
}

std::string Table()
{
    quring_config config;
    quring_config_init(&config);
    std::ostringstream out;
    out << "| field | default | allowed |\n|---|---|---|\n";
#define ROW(field)                                                                                 \
    do {                                                                                           \
        quring_config low = config;                                                                \
        quring_config high = config;                                                               \
        low.limits.field = 0;                                                                      \
        high.limits.field = std::numeric_limits<decltype(high.limits.field)>::max();               \
        const bool machine = strcmp(#field, "worker_mem_max_bytes") == 0;                          \
        out << "| `" #field "` | "                                                                 \
            << (machine ? "40 % of the machine's by its CPUs, 256 MiB .. 4 GiB"                    \
                        : InUnits(#field, config.limits.field))                                    \
            << " | " << Allowed(#field, &low, &high) << " |\n";                                    \
    } while (0)
    ROW(connections_max);
    ROW(half_open_max);
    ROW(half_open_per_addr_max);
    ROW(connections_per_addr_max);
    ROW(initials_per_s_retry);
    ROW(unproved_retry);
    ROW(stateless_resets_per_s);
    ROW(stateless_resets_per_addr_s);
    ROW(version_negotiations_per_s);
    ROW(worker_mem_max_bytes);
    ROW(conn_mem_max_bytes);
    ROW(new_tokens);
    ROW(new_token_lifetime_ns);
    ROW(handshake_timeout_ns);
    ROW(idle_timeout_ns);
    ROW(keep_alive_ns);
    ROW(stream_recv_window_bytes);
    ROW(stream_recv_window_max_bytes);
    ROW(stream_recv_window_local_bytes);
    ROW(stream_recv_window_uni_bytes);
    ROW(conn_recv_window_bytes);
    ROW(conn_recv_window_max_bytes);
    ROW(stream_send_buf_bytes);
    ROW(conn_send_buf_bytes);
    ROW(streams_bidi_max);
    ROW(streams_uni_max);
    ROW(reassembly_gaps_max);
    ROW(reassembly_gaps_conn_max);
    ROW(crypto_buf_bytes);
    ROW(undecryptable_packets_max);
    ROW(sent_packets_max);
    ROW(ack_ranges_max);
    ROW(cids_active_max);
    ROW(udp_payload_max_bytes);
    ROW(udp_payload_bytes);
    ROW(mtu_probe_max_bytes);
    ROW(datagram_max_bytes);
    ROW(ecn);
    ROW(disable_active_migration);
    ROW(ignore_preferred_address);
    ROW(cwnd_max_bytes);
    ROW(burst_bytes);
    ROW(congestion_control);
    ROW(initial_rtt_ns);
    ROW(ack_frequency);
    ROW(ack_delay_ns);
    ROW(versions);
    ROW(version_first);
    ROW(version_preferred);
    ROW(grease_quic_bit);
    ROW(disable_1rtt_encryption);
    ROW(trace_packets);
    ROW(glitch_burst);
    ROW(glitch_per_s);
#undef ROW
    return out.str();
}

TEST(LimitsDoc, HasTheDefaultsAndRangesOfTheLibrary)
{
    const char *path = getenv("LIMITS_MD");
    ASSERT_NE(path, nullptr);
    std::ifstream file(path);
    std::stringstream doc;
    doc << file.rdbuf();
    const std::string table = Table();
    EXPECT_NE(doc.str().find(table), std::string::npos) << table;
}

} // namespace
