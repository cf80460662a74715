/* A socket of protocol 261 in a child of fork. */
#include <cstdio>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#define QUIC_SOCKET_API 2
#include "tests/compat/kernel_fixture.h"

using namespace kernel;

/* On a socket of the parent's; more than one message between the processes holds, on one stream. */
TEST(KernelChild, AnEcho)
{
    Pair pair = make_pair();
    const std::string data(200000, 'k');
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(120);
        int64_t id = 4;
        std::string got(data.size(), 0);
        size_t have = 0;
        while (have < got.size()) {
            uint32_t flags = 0;
            ssize_t n = quic_recvmsg(pair.server, &got[have], got.size() - have, &id, &flags);
            if (n <= 0) {
                _exit(1);
            }
            have += static_cast<size_t>(n);
        }
        ssize_t sent = quic_sendmsg(pair.server, got.data(), got.size(), -1,
                                    MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN);
        _exit(id == 0 && got == data && sent == static_cast<ssize_t>(data.size()) ? 0 : 2);
    }
    pair.server.reset();
    ASSERT_EQ(static_cast<ssize_t>(data.size()),
              quic_sendmsg(pair.client, data.data(), data.size(), -1,
                           MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    std::string got;
    uint32_t flags = 0;
    while ((flags & MSG_QUIC_STREAM_FIN) == 0) {
        char buf[10000];
        int64_t id = -1;
        flags = 0;
        ssize_t n = quic_recvmsg(pair.client, buf, sizeof(buf), &id, &flags);
        ASSERT_GT(n, 0);
        ASSERT_EQ(1, id);
        got.append(buf, static_cast<size_t>(n));
    }
    EXPECT_TRUE(got == data);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
}
