/* A server that is not there, and one that is there twice. */
#include <cerrno>
#include <chrono>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

struct Attempt {
    int rc = 0;
    double seconds = 0;
};

static Attempt try_to_connect(const Address &to)
{
    Attempt attempt;
    Fd fd = quic_socket();
    EXPECT_EQ(0, connect(fd, to.ptr(), to.len));
    const auto begin = std::chrono::steady_clock::now();
    attempt.rc = quic_client_handshake(fd, nullptr, nullptr);
    attempt.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return attempt;
}

TEST(Absent, C057_FifteenSecondsAndNoLess)
{
    cert_file();
    Fd silent(socket(AF_INET, SOCK_DGRAM, 0)); /* takes datagrams and says nothing */
    Address at = loopback();
    ASSERT_EQ(0, bind(silent, at.ptr(), at.len));
    const Address mute = name_of(silent);
    Fd gone(socket(AF_INET, SOCK_DGRAM, 0));
    ASSERT_EQ(0, bind(gone, at.ptr(), at.len));
    const Address closed = name_of(gone);
    gone.reset(); /* the kernel answers with ICMP: port unreachable */
    Attempt to_closed;
    std::thread other([&] { to_closed = try_to_connect(closed); });
    const Attempt to_mute = try_to_connect(mute);
    other.join();
    EXPECT_EQ(-ETIMEDOUT, to_mute.rc);
    EXPECT_GE(to_mute.seconds, 14.9);
    EXPECT_TRUE(to_closed.rc == -ETIMEDOUT || to_closed.rc == -ECONNREFUSED) << to_closed.rc;
    EXPECT_LE(to_closed.seconds, to_mute.seconds + 5) << "no longer than nobody at all";
}

TEST(Absent, C034_TheSocketOfTheVeryAddressComesFirst)
{
    cert_file();
    Fd wild = quic_socket();
    Address every = any();
    ASSERT_EQ(0, bind(wild, every.ptr(), every.len));
    ASSERT_EQ(0, listen(wild, 4));
    const uint16_t port = name_of(wild).port();
    Fd exact = quic_socket();
    Address here = loopback(port);
    ASSERT_EQ(0, bind(exact, here.ptr(), here.len));
    ASSERT_EQ(0, listen(exact, 4));
    for (int i = 0; i < 4; i++) {
        Fd client = quic_socket();
        Fd server;
        ASSERT_EQ(0, connect(client, here.ptr(), here.len));
        ASSERT_TRUE(handshake(exact, client, &server));
        EXPECT_EQ(here.text(), name_of(server).text());
    }
    set_recv_timeout(wild, 50);
    EXPECT_ERRNO(EAGAIN, accept(wild, nullptr, nullptr));
}
