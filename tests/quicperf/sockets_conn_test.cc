/* QUIC sockets as the options say, with calls of a library that notes them. */
#define QUIC_NO_GNUTLS
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/quic.h>
#include <sstream>
#include <string>
#include <sys/ioctl.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/base.h"

#include "tools/quicperf/options.h"

#ifdef __clang__ /* its header knows C++ */
#include <stdatomic.h>
#endif
#define _Atomic /* C++ has another name for it: the layout is the same */
#include "tools/quicperf/sockets/conn.h"
#undef _Atomic

namespace
{

/* What was called, and what fails. */
struct {
    std::vector<std::string> calls;
    std::string fails;
    quic_transport_param params;
    quic_transport_param ours, theirs;
    std::string alpn, name;
    sockaddr_storage to;
    int unacked;
} seen;

int Note(const char *call, int ok = 0)
{
    seen.calls.emplace_back(call);
    errno = EKEYREJECTED;
    return seen.fails == call ? -1 : ok;
}

int Socket(int domain, int type, int protocol)
{
    EXPECT_EQ(type, SOCK_DGRAM);
    EXPECT_EQ(protocol, IPPROTO_QUIC);
    return Note(domain == AF_INET ? "socket4" : "socket6", 77);
}

int Connect(int, const sockaddr *addr, socklen_t len)
{
    memcpy(&seen.to, addr, len);
    return Note("connect");
}

int Bind(int, const sockaddr *addr, socklen_t len)
{
    memcpy(&seen.to, addr, len);
    return Note("bind");
}

int Listen(int, int)
{
    return Note("listen");
}

int Close(int fd)
{
    EXPECT_EQ(fd, 77);
    return Note("close");
}

int Name(int, sockaddr *addr, socklen_t *len)
{
    memcpy(addr, &seen.to, *len);
    auto *in = reinterpret_cast<sockaddr_in *>(addr);
    auto *in6 = reinterpret_cast<sockaddr_in6 *>(addr);
    *(addr->sa_family == AF_INET ? &in->sin_port : &in6->sin6_port) = htons(4455);
    return Note("getsockname");
}

int GetOption(int, int level, int name, void *value, socklen_t *len)
{
    EXPECT_EQ(level, SOL_QUIC);
    EXPECT_EQ(name, QUIC_SOCKOPT_TRANSPORT_PARAM);
    auto *p = static_cast<quic_transport_param *>(value);
    EXPECT_EQ(*len, sizeof(*p));
    bool remote = p->remote != 0;
    *p = remote ? seen.theirs : seen.ours;
    return Note(remote ? "theirs" : "ours");
}

int SetOption(int, int level, int name, const void *value, socklen_t len)
{
    EXPECT_EQ(level, SOL_QUIC);
    if (name == QUIC_SOCKOPT_ALPN) {
        seen.alpn.assign(static_cast<const char *>(value), len);
        return Note("alpn");
    }
    EXPECT_EQ(name, QUIC_SOCKOPT_TRANSPORT_PARAM);
    EXPECT_EQ(len, sizeof(seen.params));
    memcpy(&seen.params, value, len);
    return Note("params");
}

int Handshake(int, const char *, const char *)
{
    return Note("handshake");
}

int HandshakeNamed(int, const char *, const char *host, const char *alpns)
{
    seen.name = host;
    EXPECT_STREQ(alpns, "perf");
    return Note("named");
}

int Ioctl(int, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    *va_arg(args, int *) = seen.unacked;
    va_end(args);
    EXPECT_EQ(request, static_cast<unsigned long>(SIOCOUTQ));
    return Note("ioctl");
}

class SocketsConn : public testing::Test
{
  protected:
    SocketsConn()
    {
        seen = {};
        lib_.socket = Socket;
        lib_.connect = Connect;
        lib_.bind = Bind;
        lib_.listen = Listen;
        lib_.close = Close;
        lib_.getsockname = Name;
        lib_.getsockopt = GetOption;
        lib_.setsockopt = SetOption;
        lib_.client_handshake = Handshake;
        lib_.client_handshake_named = HandshakeNamed;
        lib_.ioctl = Ioctl;
    }

    void Parse(const std::vector<std::string> &given)
    {
        std::vector<char *> argv;
        words_ = given;
        words_.insert(words_.begin(), "quicperf");
        words_.insert(words_.begin() + 2, {"--api", "sockets"});
        for (std::string &word : words_) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        ASSERT_TRUE(
            qp_options_parse(&o_, why_, sizeof(why_), static_cast<int>(words_.size()), argv.data()))
            << why_;
    }

    bool ConnectTo(const char *text, const char *name)
    {
        quring_addr addr = {};
        EXPECT_EQ(quring_addr_parse(&addr, text, 0, nullptr), QURING_OK);
        seen.calls.clear();
        why_[0] = '\0';
        fd_ = -2;
        return qp_sock_connect(&fd_, &lib_, &o_, &addr, name, why_, sizeof(why_));
    }

    int ListenAt(const char *text)
    {
        quring_addr addr = {};
        EXPECT_EQ(quring_addr_parse(&addr, text, 0, nullptr), QURING_OK);
        seen.calls.clear();
        port_ = 0;
        return qp_sock_listen(&lib_, &o_, &addr, &port_, why_, sizeof(why_));
    }

    using Calls = std::vector<std::string>;

    std::vector<std::string> words_; /* which the options point to */
    qp_lib lib_ = {};
    qp_options o_ = {};
    char why_[640] = "";
    int fd_ = -2;
    uint16_t port_ = 0;
};

TEST_F(SocketsConn, WhatIsVerified)
{
    Parse({"client", "h"});
    EXPECT_TRUE(ConnectTo("127.0.0.1:9", "h")); /* by whoever is on this machine: not at all */
    EXPECT_EQ(seen.calls, (Calls{"socket4", "params", "alpn", "connect", "handshake"}));
    EXPECT_EQ(fd_, 77);
    EXPECT_EQ(seen.params.certificate_request, 3);
    EXPECT_EQ(seen.alpn, "perf");
    EXPECT_TRUE(ConnectTo("192.0.2.1:9", "h"));
    EXPECT_EQ(seen.calls.back(), "named");
    EXPECT_EQ(seen.name, "h");
    EXPECT_EQ(seen.params.certificate_request, 0);
    EXPECT_TRUE(ConnectTo("[2001:db8::1]:9", nullptr)); /* the chain alone */
    EXPECT_EQ(seen.calls, (Calls{"socket6", "params", "alpn", "connect", "handshake"}));
    EXPECT_EQ(seen.params.certificate_request, 0);
    Parse({"client", "h", "--insecure"});
    EXPECT_TRUE(ConnectTo("192.0.2.1:9", "h"));
    EXPECT_EQ(seen.calls.back(), "handshake");
    EXPECT_EQ(seen.params.certificate_request, 3);
    Parse({"client", "h", "--ca", "x.pem"});
    EXPECT_TRUE(ConnectTo("127.0.0.1:9", "h"));
    EXPECT_EQ(seen.calls.back(), "named");
}

TEST_F(SocketsConn, WhyThereIsNone)
{
    Parse({"client", "h"});
    for (const char *call : {"socket4", "params", "alpn", "connect", "handshake"}) {
        seen.fails = call;
        EXPECT_FALSE(ConnectTo("127.0.0.1:9", nullptr)) << call;
        EXPECT_EQ(seen.calls.back(), call);
        EXPECT_NE(why_[0], '\0');
        EXPECT_EQ(std::string(why_).find("--ca"), std::string::npos);
        EXPECT_EQ(fd_, std::string(call) == "socket4" ? -1 : 77); /* who asked closes it */
    }
    seen.fails = "named";
    EXPECT_FALSE(ConnectTo("192.0.2.1:9", "h"));
    EXPECT_STREQ(why_,
                 "no connection to 192.0.2.1:9: Key was rejected by service (--ca, --insecure)");
}

TEST_F(SocketsConn, ParametersAreThoseOfTheOptions)
{
    Parse({"server", "--window", "1M", "--max-streams", "7", "--idle-timeout", "5s", "--cc", "bbr",
           "--retry", "--cipher", "chacha20", "--disable-encryption"});
    EXPECT_EQ(ListenAt("127.0.0.1:9"), 77);
    EXPECT_EQ(seen.calls, (Calls{"socket4", "params", "alpn", "bind", "listen", "getsockname"}));
    EXPECT_EQ(port_, 4455);
    const quic_transport_param &p = seen.params;
    EXPECT_EQ(p.max_data, 2u << 20);
    EXPECT_EQ(p.max_stream_data_bidi_local, 1u << 20);
    EXPECT_EQ(p.max_stream_data_bidi_remote, 1u << 20);
    EXPECT_EQ(p.max_stream_data_uni, 1u << 20);
    EXPECT_EQ(p.max_streams_bidi, 7u);
    EXPECT_EQ(p.max_streams_uni, 7u);
    EXPECT_EQ(p.max_idle_timeout, 5000000u);
    EXPECT_EQ(p.congestion_control_alg, QUIC_CONG_ALG_BBR);
    EXPECT_EQ(p.validate_peer_address, 1);
    EXPECT_EQ(p.disable_1rtt_encryption, 1);
    EXPECT_EQ(p.payload_cipher_type, static_cast<uint32_t>(TLS_CIPHER_CHACHA20_POLY1305));
    EXPECT_EQ(p.certificate_request, 0);
    Parse({"client", "h", "--version", "2", "--cc", "reno"});
    EXPECT_TRUE(ConnectTo("127.0.0.1:9", nullptr));
    EXPECT_EQ(p.version, QUIC_VERSION_V2);
    EXPECT_EQ(p.congestion_control_alg, QUIC_CONG_ALG_RENO);
    EXPECT_EQ(p.payload_cipher_type, 0u);
    EXPECT_EQ(p.validate_peer_address, 0);
    EXPECT_EQ(p.max_data, 2u << 20); /* the default */
    Parse({"server"});
    EXPECT_EQ(ListenAt("[::1]:9"), 77);
    EXPECT_EQ(seen.calls[0], "socket6");
    EXPECT_EQ(port_, 4455);
    EXPECT_EQ(p.version, 0u);
}

TEST_F(SocketsConn, AListenerThatCannotBeIsClosed)
{
    Parse({"server"});
    for (const char *call : {"params", "alpn", "bind", "listen", "getsockname"}) {
        seen.fails = call;
        EXPECT_EQ(ListenAt("127.0.0.1:9"), -1) << call;
        EXPECT_EQ(seen.calls.back(), "close") << call;
        EXPECT_NE(std::string(why_).find("Key was rejected"), std::string::npos) << why_;
    }
    seen.fails = "socket4";
    EXPECT_EQ(ListenAt("127.0.0.1:9"), -1);
    EXPECT_EQ(seen.calls, Calls{"socket4"});
}

TEST_F(SocketsConn, WhatAConnectionSaysOfItself)
{
    qp_sock_facts facts;
    const struct {
        uint32_t version;
        uint32_t said;
    } all[] = {{QUIC_VERSION_V1, 1}, {QUIC_VERSION_V2, 2}, {0, 0}};
    for (const auto &one : all) {
        seen.ours.version = one.version;
        qp_sock_facts_get(&facts, &lib_, 77);
        EXPECT_EQ(facts.version, one.said);
        EXPECT_FALSE(facts.unencrypted);
    }
    seen.ours.disable_1rtt_encryption = 1;
    qp_sock_facts_get(&facts, &lib_, 77);
    EXPECT_FALSE(facts.unencrypted);
    seen.theirs.disable_1rtt_encryption = 1;
    qp_sock_facts_get(&facts, &lib_, 77);
    EXPECT_TRUE(facts.unencrypted);
    seen.ours.disable_1rtt_encryption = 0;
    qp_sock_facts_get(&facts, &lib_, 77);
    EXPECT_FALSE(facts.unencrypted);
    seen.ours = {};
    seen.ours.version = QUIC_VERSION_V1;
    for (const char *call : {"ours", "theirs"}) {
        seen.fails = call;
        qp_sock_facts_get(&facts, &lib_, 77);
        EXPECT_EQ(facts.version, 0u);
    }
    seen.unacked = 5;
    EXPECT_EQ(qp_sock_unacked(&lib_, 77), 5u);
    seen.unacked = -1;
    EXPECT_EQ(qp_sock_unacked(&lib_, 77), 0u);
    seen.unacked = 5;
    seen.fails = "ioctl";
    EXPECT_EQ(qp_sock_unacked(&lib_, 77), 0u);
}

TEST_F(SocketsConn, AnIdentityInMemoryOrOfTheOptions)
{
    qp_identity id;
    Parse({"server", "--cert", "a.pem", "--key", "a.key"});
    ASSERT_TRUE(qp_identity_open(&id, &o_, why_, sizeof(why_)));
    EXPECT_STREQ(id.cert_file, "a.pem");
    EXPECT_STREQ(id.key_file, "a.key");
    EXPECT_EQ(id.fds[0], -1);
    EXPECT_EQ(id.fds[1], -1);
    qp_identity_close(&id);
    Parse({"server"});
    ASSERT_TRUE(qp_identity_open(&id, &o_, why_, sizeof(why_))) << why_;
    int fds[2] = {id.fds[0], id.fds[1]};
    for (const char *path : {id.cert_file, id.key_file}) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        EXPECT_EQ(text.str().find("-----BEGIN "), 0u) << path;
        EXPECT_EQ(text.str().find("PRIVATE KEY") != std::string::npos, path == id.key_file);
    }
    qp_identity_close(&id);
    for (int fd : fds) {
        EXPECT_EQ(fcntl(fd, F_GETFD), -1);
    }
    qp_identity_close(&id); /* nothing is left to be closed */
}

} // namespace
