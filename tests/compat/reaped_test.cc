/* Descriptors that are free again with a close. */
#include <csignal>
#include <string>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"

using namespace compat;

/* One that was closed while its last bytes wait for the peer. */
TEST(Reaped, AClosedOneThatHasBytesLeft)
{
    Pair pair = make_pair();
    const std::string data = pattern(1 << 20);
    uint32_t flags = kNew;
    while (send(pair.server, data.data(), data.size(), static_cast<int>(flags | MSG_DONTWAIT)) >=
           0) {
        flags = 0;
    }
    const size_t before = open_fds().size();
    pair.server.reset();
    EXPECT_EQ(before - 2, open_fds().size());
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
