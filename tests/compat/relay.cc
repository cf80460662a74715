#include "tests/compat/relay.h"

#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <unistd.h>

namespace compat
{

static int open_socket()
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    Address at = loopback(0);
    if (fd < 0 || bind(fd, at.ptr(), at.len) != 0) {
        abort();
    }
    return fd;
}

Relay::Relay(const Address &server) : server_(server), front_(open_socket()), back_(open_socket())
{
    thread_ = std::thread([this] { run(); });
}

Relay::~Relay()
{
    stop_ = true;
    thread_.join();
    close(front_);
    close(back_);
}

Address Relay::address() const
{
    return name_of(front_);
}

void Relay::set_filter(std::function<bool(bool, std::string *)> filter)
{
    std::lock_guard<std::recursive_mutex> guard(lock_);
    filter_ = std::move(filter);
}

void Relay::to_client(const std::string &datagram)
{
    std::lock_guard<std::recursive_mutex> guard(lock_);
    injected_.push_back(datagram);
}

void Relay::pass(int from, bool to_server)
{
    std::string buf(65536, '\0');
    Address peer;
    for (;;) {
        peer.len = sizeof(peer.storage);
        ssize_t n = recvfrom(from, &buf[0], buf.size(), 0, peer.ptr(), &peer.len);
        if (n < 0) {
            return;
        }
        if (to_server) {
            client_ = peer;
        }
        std::string datagram(buf.data(), static_cast<size_t>(n));
        retries_ += !to_server && n > 0 && (datagram[0] & 0xf0) == 0xf0 ? 1 : 0;
        std::lock_guard<std::recursive_mutex> guard(lock_);
        if (!filter_ || filter_(to_server, &datagram)) {
            late_.push_back(
                {std::chrono::steady_clock::now() + std::chrono::milliseconds(delay_ms_), to_server,
                 datagram});
        }
    }
}

void Relay::deliver()
{
    for (; !late_.empty() && late_.front().due <= std::chrono::steady_clock::now();
         late_.pop_front()) {
        const Late &l = late_.front();
        const Address &dest = l.to_server ? server_ : client_;
        (void)sendto(l.to_server ? back_ : front_.load(), l.datagram.data(), l.datagram.size(), 0,
                     dest.ptr(), dest.len);
    }
}

void Relay::run()
{
    while (!stop_) {
        pollfd fds[2] = {{front_, POLLIN, 0}, {back_, POLLIN, 0}};
        (void)poll(fds, 2, 5);
        if (rebind_.exchange(false)) {
            close(back_);
            back_ = open_socket();
        }
        pass(front_, true);
        deliver();
        pass(back_, false);
        deliver();
        std::lock_guard<std::recursive_mutex> guard(lock_);
        for (const std::string &datagram : injected_) {
            (void)sendto(front_, datagram.data(), datagram.size(), 0, client_.ptr(), client_.len);
        }
        injected_.clear();
    }
}

RelayedPair make_relayed_pair(const PairOptions &options)
{
    RelayedPair pair;
    pair.listen = listener(16, options.family, options.listener);
    pair.relay = std::make_unique<Relay>(name_of(pair.listen));
    pair.client = quic_socket(options.family);
    if (options.client) {
        options.client(pair.client);
    }
    Address to = pair.relay->address();
    if (connect(pair.client, to.ptr(), to.len) != 0 ||
        !handshake(pair.listen, pair.client, &pair.server)) {
        fprintf(stderr, "relay: no handshake\n");
        abort();
    }
    return pair;
}

} // namespace compat
