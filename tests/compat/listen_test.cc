/* listen and accept: draft sections 3.1.3 and 3.1.4. */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/relay.h"

using namespace compat;

static void share(int fd)
{
    int on = 1;
    ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
}

static void set_alpn(int fd, const std::string &list)
{
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, list.data(),
                            static_cast<socklen_t>(list.size())));
}

/* A socket bound to the address of `other`. */
static Fd bound_with(int other)
{
    Fd fd = quic_socket();
    Address at = name_of(other);
    EXPECT_EQ(0, bind(fd, at.ptr(), at.len));
    return fd;
}

static Fd client_of(int listening, const char *alpn = nullptr, int family = AF_INET)
{
    Fd fd = quic_socket(family);
    if (alpn != nullptr) {
        set_alpn(fd, alpn);
    }
    Address to = name_of(listening);
    EXPECT_EQ(0, connect(fd, to.ptr(), to.len));
    return fd;
}

/* A client's handshake in a thread, until it ends. */
class Knock
{
  public:
    explicit Knock(int fd)
        : thread_([this, fd] {
              rc = quic_client_handshake(fd, nullptr, nullptr);
              ended = true;
          })
    {
    }
    ~Knock()
    {
        join();
    }
    void join()
    {
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    int rc = 1;
    std::atomic<bool> ended{false};

  private:
    std::thread thread_;
};

/* Whether so many of them end, before anybody accepts. */
static bool wait_for_ends(Knock *const *knocks, int count, int ends)
{
    for (int i = 0; i < 500; i++) {
        int ended = 0;
        for (int k = 0; k < count; k++) {
            ended += knocks[k]->ended ? 1 : 0;
        }
        if (ended >= ends) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

TEST(Listen, C022_ClientsConnect)
{
    Fd bound = quic_socket();
    Address at = loopback();
    ASSERT_EQ(0, bind(bound, at.ptr(), at.len));
    Fd early = client_of(bound);
    std::thread giver([&] {
        usleep(300000);
        early.reset(); /* nobody answers: the handshake ends with its socket */
    });
    int fd = early;
    EXPECT_NE(0, quic_client_handshake(fd, nullptr, nullptr));
    giver.join();
    ASSERT_EQ(0, listen(bound, 1));
    Fd client = client_of(bound);
    Fd server;
    EXPECT_TRUE(handshake(bound, client, &server));
}

TEST(Listen, C023_BacklogZeroEndsIt)
{
    Fd fd = listener();
    ASSERT_EQ(0, listen(fd, 0));
    EXPECT_ERRNO(EINVAL, accept(fd, nullptr, nullptr));
    ASSERT_EQ(0, listen(fd, 2));
    Fd client = client_of(fd);
    Fd server;
    EXPECT_TRUE(handshake(fd, client, &server));
}

TEST(Listen, C024_AgainWithAnotherBacklog)
{
    Fd fd = listener(1);
    EXPECT_EQ(0, listen(fd, 5));
}

TEST(Listen, C025_WithoutBind)
{
    Fd fd = quic_socket();
    ASSERT_EQ(0, listen(fd, 1));
    EXPECT_NE(0, name_of(fd).port());
}

TEST(Listen, C026_NotOnAConnection)
{
    Fd fd = listener();
    Fd client = client_of(fd);
    EXPECT_ERRNO(EINVAL, listen(client, 1));
}

TEST(Listen, AParameterThatTheEngineWouldRefuseIsRefusedBefore)
{
    Fd fd = quic_socket();
    Address at = loopback();
    ASSERT_EQ(0, bind(fd, at.ptr(), at.len));
    at = name_of(fd);
    quic_transport_param p = {};
    p.max_datagram_frame_size = 1; /* no frame is as small */
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, sizeof(p)));
    ASSERT_EQ(0, listen(fd, 1));
    fd.reset();
    Fd next = quic_socket();
    ASSERT_EQ(0, bind(next, at.ptr(), at.len));
    ASSERT_EQ(0, listen(next, 1));
    Fd client = client_of(next);
    Fd server;
    EXPECT_TRUE(handshake(next, client, &server));
}

TEST(Listen, C027_TwoOnOneAddress)
{
    Fd a = listener();
    Fd b = bound_with(a);
    EXPECT_ERRNO(EADDRINUSE, listen(b, 1));
}

TEST(Listen, C028_TwoThatShare)
{
    Fd a = listener(16, AF_INET, share);
    Fd b = bound_with(a);
    share(b);
    ASSERT_EQ(0, listen(b, 16));
    int count[2] = {0, 0};
    for (int i = 0; i < 8; i++) {
        Fd client = client_of(a);
        cert_file();
        Knock knock(client);
        pollfd fds[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
        ASSERT_GT(poll(fds, 2, 5000), 0);
        int which = (fds[0].revents & POLLIN) != 0 ? 0 : 1;
        Fd server(accept(which == 0 ? a : b, nullptr, nullptr));
        ASSERT_GE(server.get(), 0);
        EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
        knock.join();
        EXPECT_EQ(0, knock.rc);
        count[which]++;
    }
    EXPECT_GT(count[0], 0);
    EXPECT_GT(count[1], 0);
}

TEST(Listen, C029_BothMustAgreeToShare)
{
    Fd a = listener(16, AF_INET, share);
    Fd b = bound_with(a);
    EXPECT_ERRNO(EADDRINUSE, listen(b, 1));
}

TEST(Listen, C030_ByProtocol)
{
    Fd a = listener(16, AF_INET, [](int fd) { set_alpn(fd, "alpha"); });
    Fd b = bound_with(a);
    set_alpn(b, "beta");
    ASSERT_EQ(0, listen(b, 16));
    for (const char *alpn : {"alpha", "beta"}) {
        Fd client = client_of(a, alpn);
        Fd server;
        ASSERT_TRUE(handshake(alpn[0] == 'a' ? a : b, client, &server));
        char chosen[64];
        socklen_t len = sizeof(chosen);
        ASSERT_EQ(0, getsockopt(server, SOL_QUIC, QUIC_SOCKOPT_ALPN, chosen, &len));
        EXPECT_EQ(alpn, std::string(chosen, len));
    }
}

TEST(Listen, C031_OverlappingProtocols)
{
    Fd a = listener(16, AF_INET, [](int fd) { set_alpn(fd, "one, two"); });
    Fd b = bound_with(a);
    set_alpn(b, "two,three");
    EXPECT_ERRNO(EADDRINUSE, listen(b, 1));
    Fd c = bound_with(a);
    set_alpn(c, "two, one");
    EXPECT_ERRNO(EADDRINUSE, listen(c, 1));
}

TEST(Listen, C032_H106_AFullQueueRefuses)
{
    Fd fd = listener(1);
    cert_file();
    Fd a = client_of(fd);
    Fd b = client_of(fd);
    Fd c = client_of(fd);
    Knock first(a);
    Knock second(b);
    Knock third(c);
    Knock *const knocks[] = {&first, &second, &third};
    EXPECT_TRUE(wait_for_ends(knocks, 3, 1)) << "one of them finds the queue full";
    for (int i = 0; i < 2; i++) {
        Fd server(accept(fd, nullptr, nullptr));
        ASSERT_GE(server.get(), 0);
        EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    }
    int refused = 0;
    for (Knock *knock : knocks) {
        knock->join();
        refused += knock->rc != 0;
        EXPECT_TRUE(knock->rc == 0 || knock->rc == -ECONNREFUSED) << knock->rc;
    }
    EXPECT_EQ(1, refused);
}

/* A client that hears nothing: to the server it is one whose address may be forged (RFC 9000 8.1). */
class Stranger
{
  public:
    explicit Stranger(int listening) : relay_(name_of(listening)), fd_(quic_socket())
    {
        relay_.set_filter([this](bool to_server, std::string *datagram) {
            const bool is_retry = !to_server && !datagram->empty() && (*datagram)[0] & 0x80 &&
                                  ((*datagram)[0] & 0x30) == 0x30;
            asked_ = asked_ || is_retry;
            return to_server && !deaf_;
        });
        Address to = relay_.address();
        EXPECT_EQ(0, connect(fd_, to.ptr(), to.len));
        knock_ = std::make_unique<Knock>(fd_);
    }
    ~Stranger()
    {
        end();
    }
    bool asked() const /* for a token */
    {
        return asked_;
    }
    /* Nothing is heard of it any more; or its last word is a CONNECTION_CLOSE. */
    void end(bool says_so = false)
    {
        deaf_ = !says_so;
        (void)shutdown(fd_, SHUT_RDWR);
        knock_->join();
    }

  private:
    std::atomic<bool> asked_{false};
    std::atomic<bool> deaf_{false};
    Relay relay_;
    Fd fd_;
    std::unique_ptr<Knock> knock_;
};

/* Half of the places are for clients that prove their address. */
TEST(Listen, H70_ForgedAddressesDoNotFillTheQueue)
{
    Fd fd = listener(3);
    std::vector<std::unique_ptr<Stranger>> strangers;
    const auto asked = [&] {
        return std::count_if(strangers.begin(), strangers.end(),
                             [](const auto &stranger) { return stranger->asked(); });
    };
    for (int i = 0; i < 8; i++) { /* they may come in another order */
        strangers.push_back(std::make_unique<Stranger>(fd));
        ASSERT_TRUE(i < 2 || comes_true([&] { return asked() == i - 1; })) << i;
        ASSERT_TRUE(poll_for(fd, POLLIN));
        usleep(i < 2 ? 100000 : 0);
    }
    EXPECT_EQ(6, asked());
    Fd client = client_of(fd);
    Knock knock(client);
    Fd taken[2] = {Fd(accept(fd, nullptr, nullptr)), Fd(accept(fd, nullptr, nullptr))};
    Fd server(accept(fd, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    EXPECT_EQ(name_of(client).text(), peer_of(server).text());
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    knock.join();
    EXPECT_EQ(0, knock.rc);
}

/* The number may change while it listens. */
TEST(Listen, H70_ALargerQueueHasRoomForMore)
{
    Fd fd = listener(1);
    cert_file();
    Stranger first(fd);
    ASSERT_TRUE(poll_for(fd, POLLIN));
    ASSERT_EQ(0, listen(fd, 5));
    Stranger second(fd);
    Stranger third(fd);
    usleep(300000);
    EXPECT_FALSE(second.asked() || third.asked());
    Stranger fourth(fd);
    /* Whichever is the last: they need not come in the order in which they were sent. */
    EXPECT_TRUE(comes_true([&] { return second.asked() || third.asked() || fourth.asked(); }));
}

/* Who has gone again keeps nobody out. */
TEST(Listen, H106_AFullQueueForgetsThoseWhoLeft)
{
    Fd fd = listener(1);
    cert_file();
    for (int i = 0; i < 4; i++) {
        Stranger gone(fd);
        ASSERT_TRUE(poll_for(fd, POLLIN));
        usleep(100000);
        EXPECT_FALSE(gone.asked()) << i;
        gone.end(true);
        usleep(300000); // while it counts, the next one is asked to prove its address
        EXPECT_TRUE(poll_now(fd) & POLLIN) << "and yet one is there for who was told";
    }
    Fd client = client_of(fd);
    Knock knock(client);
    usleep(200000);
    Fd server;
    Address from;
    set_recv_timeout(fd, 20000); // those whose last words take their time come before it
    for (int i = 0; i < 5 && from.text() != name_of(client).text(); i++) {
        from.len = sizeof(from.storage);
        server.reset(accept(fd, from.ptr(), &from.len));
    }
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    knock.join();
    EXPECT_EQ(0, knock.rc);
}

TEST(Listen, C033_WildcardsServeBothFamilies)
{
    Fd v6 = quic_socket(AF_INET6);
    Address at = any(0, AF_INET6);
    ASSERT_EQ(0, bind(v6, at.ptr(), at.len));
    ASSERT_EQ(0, listen(v6, 4));
    uint16_t port = name_of(v6).port();
    for (int family : {AF_INET6, AF_INET}) {
        Fd client = quic_socket(family);
        Address to = loopback(port, family);
        ASSERT_EQ(0, connect(client, to.ptr(), to.len));
        Fd server;
        EXPECT_TRUE(handshake(v6, client, &server)) << family;
    }
}

TEST(Accept, C035_ForAClientsFirstFlight)
{
    Fd fd = listener();
    cert_file();
    Fd client = client_of(fd);
    Knock knock(client);
    sockaddr_storage from{};
    socklen_t len = sizeof(from);
    Fd server(accept(fd, reinterpret_cast<sockaddr *>(&from), &len));
    ASSERT_GE(server.get(), 0);
    Address peer;
    peer.storage = from;
    peer.len = len;
    EXPECT_EQ(name_of(client).text(), peer.text());
    EXPECT_EQ(peer.text(), peer_of(server).text());
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    knock.join();
    EXPECT_EQ(0, knock.rc);
}

TEST(Accept, C036_HandshakeMessagesAreReadable)
{
    Fd fd = listener();
    cert_file();
    Fd client = client_of(fd);
    Knock knock(client);
    Fd server(accept(fd, nullptr, nullptr));
    ASSERT_TRUE(poll_for(server, POLLIN));
    char data[4096];
    char control[CMSG_SPACE(sizeof(quic_handshake_info))];
    iovec iov = {data, sizeof(data)};
    msghdr m{};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof(control);
    ssize_t n = recvmsg(server, &m, 0);
    ASSERT_GT(n, 100);
    EXPECT_EQ(1, data[0]) << "a ClientHello, RFC 8446 4";
    cmsghdr *cmsg = CMSG_FIRSTHDR(&m);
    ASSERT_NE(nullptr, cmsg);
    EXPECT_EQ(SOL_QUIC, cmsg->cmsg_level);
    EXPECT_EQ(QUIC_HANDSHAKE_INFO, cmsg->cmsg_type);
    EXPECT_EQ(QUIC_CRYPTO_INITIAL, *CMSG_DATA(cmsg));
    server.reset();
    knock.join();
    EXPECT_NE(0, knock.rc);
}

TEST(Accept, C037_WithoutAnAddress)
{
    Fd fd = listener();
    Fd client = client_of(fd);
    Fd server;
    EXPECT_TRUE(handshake(fd, client, &server)); /* accept(fd, NULL, NULL) */
    Fd second = client_of(fd);
    Knock knock(second);
    sockaddr_storage from{};
    socklen_t len = 4;
    Fd other(accept(fd, reinterpret_cast<sockaddr *>(&from), &len));
    ASSERT_GE(other.get(), 0);
    EXPECT_EQ(sizeof(sockaddr_in), len);
    other.reset();
}

TEST(Accept, C038_NonBlocking)
{
    Fd fd = listener();
    ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
    EXPECT_ERRNO(EAGAIN, accept(fd, nullptr, nullptr));
}

TEST(Accept, C039_WithATimeLimit)
{
    Fd fd = listener();
    set_recv_timeout(fd, 200);
    timespec a{}, b{};
    clock_gettime(CLOCK_MONOTONIC, &a);
    EXPECT_ERRNO(EAGAIN, accept(fd, nullptr, nullptr));
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    EXPECT_GE(ms, 190);
}

static void nothing(int)
{
}

TEST(Accept, C040_StateAndSignals)
{
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EINVAL, accept(fresh, nullptr, nullptr));
    struct sigaction action {
    };
    action.sa_handler = nothing;
    sigaction(SIGUSR1, &action, nullptr);
    Fd fd = listener();
    pthread_t self = pthread_self();
    std::atomic<bool> ended{false};
    std::thread other([&] {
        while (!ended) { /* one that comes before it waits ends nothing */
            usleep(50000);
            pthread_kill(self, SIGUSR1);
        }
    });
    EXPECT_ERRNO(EINTR, accept(fd, nullptr, nullptr));
    ended = true;
    other.join();

    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    std::thread again([&] {
        usleep(50000);
        pthread_kill(self, SIGUSR1);
        usleep(100000);
        listen(fd, 0);
    });
    EXPECT_ERRNO(EINVAL, accept(fd, nullptr, nullptr));
    again.join();
}

TEST(Accept, C041_Accept4AndInheritedFlags)
{
    Fd fd = listener();
    ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
    cert_file();
    Fd a = client_of(fd);
    Knock knock(a);
    ASSERT_TRUE(poll_for(fd, POLLIN));
    Fd plain(accept(fd, nullptr, nullptr));
    ASSERT_GE(plain.get(), 0);
    EXPECT_EQ(0, fcntl(plain, F_GETFL) & O_NONBLOCK);
    EXPECT_EQ(0, fcntl(plain, F_GETFD) & FD_CLOEXEC);
    plain.reset();
    knock.join();
    Fd b = client_of(fd);
    Knock other(b);
    ASSERT_TRUE(poll_for(fd, POLLIN));
    EXPECT_ERRNO(EINVAL, accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | 1));
    Fd flagged(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    ASSERT_GE(flagged.get(), 0);
    EXPECT_NE(0, fcntl(flagged, F_GETFL) & O_NONBLOCK);
    EXPECT_NE(0, fcntl(flagged, F_GETFD) & FD_CLOEXEC);
}

TEST(Accept, C042_OptionsAreInherited)
{
    Fd fd = listener(4, AF_INET, [](int s) { set_alpn(s, "inherit"); });
    set_recv_timeout(fd, 4321);
    const linger lingering = {1, 3};
    const int on = 1;
    ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &lingering, sizeof(lingering)));
    for (int name : {SO_KEEPALIVE, SO_REUSEADDR}) {
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, name, &on, sizeof(on)));
    }
    quic_event_option event = {QUIC_EVENT_CONNECTION_CLOSE, 1};
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, &event, sizeof(event)));
    quic_transport_param param{};
    param.max_data = 1234567;
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, sizeof(param)));
    Fd client = client_of(fd, "inherit");
    Fd server;
    ASSERT_TRUE(handshake(fd, client, &server));
    timeval tv{};
    socklen_t len = sizeof(tv);
    ASSERT_EQ(0, getsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
    EXPECT_EQ(4, tv.tv_sec);
    linger inherited = {};
    len = sizeof(inherited);
    ASSERT_EQ(0, getsockopt(server, SOL_SOCKET, SO_LINGER, &inherited, &len));
    EXPECT_EQ(1, inherited.l_onoff);
    EXPECT_EQ(3, inherited.l_linger);
    for (int name : {SO_KEEPALIVE, SO_REUSEADDR}) {
        int value = 0;
        len = sizeof(value);
        ASSERT_EQ(0, getsockopt(server, SOL_SOCKET, name, &value, &len));
        EXPECT_EQ(1, value) << name;
    }
    event.on = 0;
    len = sizeof(event);
    ASSERT_EQ(0, getsockopt(server, SOL_QUIC, QUIC_SOCKOPT_EVENT, &event, &len));
    EXPECT_EQ(1, event.on);
    len = sizeof(param);
    param = {};
    ASSERT_EQ(0, getsockopt(server, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, &len));
    EXPECT_EQ(1234567u, param.max_data);
    len = sizeof(param);
    param = {};
    param.remote = 1;
    ASSERT_EQ(0, getsockopt(client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, &len));
    EXPECT_EQ(1234567u, param.max_data) << "and the peer was told";
}

/* What nobody has accepted goes with the listener, as TCP resets it. */
TEST(Listen, H106_TheQueueGoesWithTheListener)
{
    constexpr int kQueued = 8;
    constexpr int kClients = 10;
    Fd fd = listener(kQueued - 1);
    cert_file();
    std::vector<Fd> clients;
    std::vector<std::unique_ptr<Knock>> knocks;
    Knock *at[kClients];
    for (int i = 0; i < kClients; i++) {
        clients.push_back(client_of(fd));
        knocks.push_back(std::make_unique<Knock>(clients.back()));
        at[i] = knocks.back().get();
    }
    EXPECT_TRUE(wait_for_ends(at, kClients, kClients - kQueued)) << "the queue is full";
    time_t begin = time(nullptr);
    fd.reset();
    int reset = 0;
    for (auto &knock : knocks) {
        knock->join();
        reset += knock->rc == -ECONNRESET;
        EXPECT_TRUE(knock->rc == -ECONNRESET || knock->rc == -ECONNREFUSED) << knock->rc;
    }
    EXPECT_EQ(kQueued, reset);
    EXPECT_LT(time(nullptr) - begin, 10);
}

TEST(Accept, C043_TheConnectionOutlivesTheListener)
{
    Fd fd = listener();
    cert_file();
    Fd client = client_of(fd);
    Knock knock(client);
    Fd server(accept(fd, nullptr, nullptr));
    fd.reset();
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    knock.join();
    EXPECT_EQ(0, knock.rc);
    ASSERT_EQ(2, send(client, "hi", 2, MSG_SYN | MSG_FIN));
    EXPECT_EQ("hi", read_bytes(server, 2));
}

TEST(Accept, C044_WokenByTheEndOfListening)
{
    for (int how = 0; how < 3; how++) {
        Fd fd = listener();
        int raw = fd;
        int error = 0;
        std::thread waiter([&] {
            int rc = accept(raw, nullptr, nullptr);
            error = rc < 0 ? errno : 0;
        });
        usleep(100000);
        if (how == 0) {
            listen(fd, 0);
        } else if (how == 1) {
            shutdown(fd, SHUT_RDWR);
        } else {
            fd.reset();
        }
        waiter.join();
        EXPECT_TRUE(error == EINVAL || error == EBADF) << how << ": " << strerror(error);
    }
}

TEST(Accept, C045_OneRequestForOneThread)
{
    Fd fd = listener();
    cert_file();
    std::atomic<int> got[2] = {{-1}, {-1}};
    std::thread a([&] { got[0] = accept(fd, nullptr, nullptr); });
    std::thread b([&] { got[1] = accept(fd, nullptr, nullptr); });
    Fd client = client_of(fd);
    Knock knock(client);
    EXPECT_TRUE(comes_true([&] { return got[0] >= 0 || got[1] >= 0; }));
    usleep(100000);
    shutdown(fd, SHUT_RDWR);
    a.join();
    b.join();
    EXPECT_NE(got[0] >= 0, got[1] >= 0);
    close(got[0] >= 0 ? got[0] : got[1]);
}

TEST(Accept, C046_RepeatedInitialsAreOneRequest)
{
    Fd fd = listener();
    cert_file();
    Fd client = client_of(fd);
    Knock knock(client);
    Fd server(accept(fd, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    /* The client repeats its first flight while nobody answers it. */
    set_recv_timeout(fd, 1500);
    EXPECT_ERRNO(EAGAIN, accept(fd, nullptr, nullptr));
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    knock.join();
    EXPECT_EQ(0, knock.rc);
}

TEST(Accept, C047_H106_NoDescriptorLeft)
{
    Fd fd = listener();
    cert_file();
    Fd client = client_of(fd);
    Knock knock(client);
    ASSERT_TRUE(poll_for(fd, POLLIN));
    rlimit old{};
    getrlimit(RLIMIT_NOFILE, &old);
    Fd low(open("/dev/null", O_RDONLY));
    rlimit limit = {static_cast<rlim_t>(low.get()), old.rlim_max};
    low.reset();
    setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_ERRNO(EMFILE, accept(fd, nullptr, nullptr));
    setrlimit(RLIMIT_NOFILE, &old);
    EXPECT_TRUE(poll_for(fd, POLLIN)) << "the request stays in the queue";
    Fd server(accept(fd, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
}
