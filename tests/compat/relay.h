/* tests/compat/relay.h: the network between one client and one server: it sees every datagram, and may lose
 * it, change it, or show the server another port of the client. Its thread owns the sockets. */
#ifndef TESTS_COMPAT_RELAY_H
#define TESTS_COMPAT_RELAY_H

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/compat/fixture.h"

namespace compat
{

class Relay
{
  public:
    explicit Relay(const Address &server);
    ~Relay();
    Relay(const Relay &) = delete;
    Relay &operator=(const Relay &) = delete;

    /* Where clients connect to. */
    Address address() const;
    /* The client's datagrams leave from another port from now on, as behind a NAT. */
    void rebind()
    {
        rebind_ = true;
    }
    /* Called on the relay's thread for each datagram, until the relay ends; false: it is lost. */
    void set_filter(std::function<bool(bool to_server, std::string *datagram)> filter);
    /* How long datagrams are under way from now on, in either direction. */
    void set_delay(int ms)
    {
        delay_ms_ = ms;
    }
    /* A datagram to the client, as if the server had sent it. */
    void to_client(const std::string &datagram);
    /* Long header packets of type Retry (RFC 9000 17.2.5) that went to the client. */
    int retries() const
    {
        return retries_;
    }

  private:
    void run();
    void pass(int from, bool to_server);
    void deliver();

    struct Late {
        std::chrono::steady_clock::time_point due;
        bool to_server;
        std::string datagram;
    };

    Address server_;
    Address client_;
    std::atomic<int> front_{-1};
    int back_ = -1;
    std::atomic<bool> stop_{false};
    std::atomic<bool> rebind_{false};
    std::atomic<int> retries_{0};
    std::atomic<int> delay_ms_{0};
    std::recursive_mutex lock_; /* a filter may call to_client */
    std::function<bool(bool, std::string *)> filter_;
    std::vector<std::string> injected_;
    std::deque<Late> late_; /* the thread's own */
    std::thread thread_;
};

/* A pair whose datagrams go through a relay. */
struct RelayedPair {
    Fd listen;
    std::unique_ptr<Relay> relay;
    Fd client;
    Fd server;
};
RelayedPair make_relayed_pair(const PairOptions &options = PairOptions());

} // namespace compat

#endif // TESTS_COMPAT_RELAY_H
