/* tests/compat/watched.h: a relay that looks at the packets. */
#ifndef TESTS_COMPAT_WATCHED_H
#define TESTS_COMPAT_WATCHED_H

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "tests/compat/packets.h"
#include "tests/compat/relay.h"

namespace compat
{

/* Counts packets, records what the client sends, and on demand loses its 1-RTT packets: what arrives all
 * the same came in 0-RTT packets. */
class Watched
{
  public:
    explicit Watched(int listen_fd) : relay(name_of(listen_fd))
    {
        relay.set_filter([this](bool to_server, std::string *datagram) {
            std::lock_guard<std::mutex> guard(lock_);
            if (to_server && recording_) {
                recorded_.push_back(*datagram);
            }
            for (const Packet &packet : packets_of(*datagram)) {
                counts_[static_cast<int>(packet.type)]++;
                bytes_[to_server ? 1 : 0][static_cast<int>(packet.type)] += packet.len;
                if (to_server && cut && packet.type == PacketType::kShort) {
                    datagram->resize(packet.at); /* it is the last one */
                }
            }
            return !datagram->empty();
        });
    }
    Address address() const
    {
        return relay.address();
    }
    int count(PacketType type)
    {
        std::lock_guard<std::mutex> guard(lock_);
        return counts_[static_cast<int>(type)];
    }
    size_t bytes(PacketType type)
    {
        std::lock_guard<std::mutex> guard(lock_);
        return bytes_[0][static_cast<int>(type)] + bytes_[1][static_cast<int>(type)];
    }
    size_t bytes_to_server(PacketType type)
    {
        std::lock_guard<std::mutex> guard(lock_);
        return bytes_[1][static_cast<int>(type)];
    }
    /* What the client sends from now on is recorded, or is not. */
    void record(bool on)
    {
        std::lock_guard<std::mutex> guard(lock_);
        recording_ = on;
    }
    std::vector<std::string> recorded()
    {
        std::lock_guard<std::mutex> guard(lock_);
        return recorded_;
    }
    std::atomic<bool> cut{false};

  private:
    std::mutex lock_;
    int counts_[5] = {};
    size_t bytes_[2][5] = {};
    bool recording_ = false;
    std::vector<std::string> recorded_;

  public:
    Relay relay; /* last: its thread looks at the others to the end */
};

} // namespace compat

#endif // TESTS_COMPAT_WATCHED_H
