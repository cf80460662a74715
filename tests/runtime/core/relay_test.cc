#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/relay.h"
#include "runtime/udp/own_fd.h"

namespace
{

constexpr quic_ns kNow = 1000 * QUIC_NS_PER_S;

/* Of this run alone: in their sandboxes two runs may have the same process ID. */
const uint32_t kMark = std::random_device()();

/* A process at an address that nobody else has. */
class Process
{
  public:
    explicit Process(uint16_t port = 1, uint32_t flags = RT_RELAY_ACCEPTS | RT_RELAY_FIRST)
    {
        addr_.family = 4;
        addr_.ip[0] = 203;
        memcpy(&addr_.ip[1], &kMark, 3);
        addr_.port = port;
        EXPECT_EQ(0, rt_process_open(&process_));
        rc_ = rt_relay_open(&relay_, &inbox_, &process_, &addr_, flags);
    }
    ~Process()
    {
        rt_relay_batch_deinit(&batch_);
        Close();
        rt_process_close(&process_);
    }
    Process(const Process &) = delete;
    Process &operator=(const Process &) = delete;

    void Close()
    {
        rt_relay_close(relay_);
        rt_udp_close(&inbox_);
        relay_ = nullptr;
    }
    /* Everything that waits in the inbox: its units, one after the other. */
    std::vector<std::string> Read(quic_ns now = kNow)
    {
        std::vector<std::string> units;
        std::vector<uint8_t> buf(65536);
        ssize_t len = 0;
        while ((len = rt_process_receive(&inbox_, buf.data(), buf.size())) != -EAGAIN) {
            rt_relay_reader reader;
            if (len > 0) {
                rt_relay_read(&reader, relay_, buf.data(), static_cast<uint32_t>(len), now);
                while (rt_relay_read_next(&reader, &unit_, &hops_)) {
                    units.emplace_back(reinterpret_cast<const char *>(unit_.data), unit_.len);
                }
            }
        }
        return units;
    }
    void Add(const Process &to, const std::string &bytes, uint32_t seg_len = 0, uint32_t hops = 0)
    {
        std::string copy = bytes;
        quic_rx_unit unit = {};
        unit.data = reinterpret_cast<uint8_t *>(&copy[0]);
        unit.len = static_cast<uint32_t>(copy.size());
        unit.seg_len = seg_len != 0 ? seg_len : unit.len;
        unit.ecn = 2;
        unit.path.local = addr_;
        unit.path.remote = addr_;
        unit.path.remote.port = 4242;
        rt_relay_add(&batch_, relay_, to.number(), &unit, hops, kNow);
    }
    void Flush(quic_ns now = kNow)
    {
        rt_relay_flush(&batch_, now);
    }
    uint8_t number() const
    {
        return process_.number;
    }
    bool Knows(const Process &other) const
    {
        return rt_relay_knows(relay_, other.number());
    }

    quic_addr addr_ = {};
    rt_process process_ = {};
    rt_relay *relay_ = nullptr;
    rt_udp_socket inbox_ = {};
    rt_relay_batch batch_ = {};
    quic_rx_unit unit_ = {}; /* the last one read */
    uint32_t hops_ = 0;
    int rc_ = 0;
};

void Meet(Process *a, Process *b)
{
    rt_relay_announce(a->relay_, kNow);
    b->Read();
    a->Read();
}

TEST(Relay, NumbersAreTakenOnce)
{
    Process a;
    uint8_t number = 0;
    {
        Process b;
        EXPECT_NE(a.number(), b.number());
        number = b.number();
    }
    Process c;
    EXPECT_EQ(number, c.number()) << "free again";
}

TEST(Relay, OneInboxForAnAddress)
{
    Process a;
    rt_relay *second = nullptr;
    rt_udp_socket inbox;
    EXPECT_EQ(-EADDRINUSE, rt_relay_open(&second, &inbox, &a.process_, &a.addr_, 0));
    EXPECT_EQ(-1, inbox.fd); /* whoever cleans up closes nobody's */
    quic_addr other = a.addr_;
    other.port = 2;
    ASSERT_EQ(0, rt_relay_open(&second, &inbox, &a.process_, &other, 0));
    EXPECT_FALSE(rt_relay_accepts(second));
    EXPECT_TRUE(rt_relay_accepts(a.relay_));
    rt_relay_close(second);
    rt_udp_close(&inbox);
}

TEST(Relay, WhoAnnouncesIsKnownAndHearsOfTheOthers)
{
    Process a;
    Process b;
    Process elsewhere(2);
    uint8_t next = 0;
    EXPECT_FALSE(rt_relay_next(a.relay_, &next));
    Meet(&a, &b);
    EXPECT_TRUE(a.Knows(b));
    EXPECT_TRUE(b.Knows(a));
    EXPECT_FALSE(a.Knows(elsewhere));
    EXPECT_FALSE(a.Knows(a));
    EXPECT_TRUE(rt_relay_next(a.relay_, &next));
    EXPECT_EQ(b.number(), next);
    EXPECT_EQ(RT_RELAY_OTHER, rt_relay_find(a.relay_, b.number(), kNow));
    EXPECT_EQ(RT_RELAY_NOBODY, rt_relay_find(a.relay_, a.number(), kNow));
    EXPECT_EQ(RT_RELAY_NOBODY, rt_relay_find(a.relay_, elsewhere.number(), kNow));
    EXPECT_EQ(RT_RELAY_NOBODY, rt_relay_find(a.relay_, 255, kNow));
}

/* Who was never heard of is asked before anybody answers in its place. */
TEST(Relay, AnUnknownOneIsAsked)
{
    Process a;
    Process b;
    EXPECT_EQ(RT_RELAY_UNSURE, rt_relay_find(a.relay_, b.number(), kNow));
    b.Read();
    a.Read();
    EXPECT_EQ(RT_RELAY_OTHER, rt_relay_find(a.relay_, b.number(), kNow));
}

/* Anybody may send datagrams that seem to name a process, one after the other. */
TEST(Relay, TheSameIsNotAskedAllTheTime)
{
    Process a;
    Process b;
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(RT_RELAY_UNSURE, rt_relay_find(a.relay_, b.number(), kNow + i));
    }
    uint8_t question[128];
    EXPECT_LT(0, rt_process_receive(&b.inbox_, question, sizeof(question)));
    EXPECT_EQ(-EAGAIN, rt_process_receive(&b.inbox_, question, sizeof(question)));
    EXPECT_EQ(RT_RELAY_UNSURE, rt_relay_find(a.relay_, b.number(), kNow + QUIC_NS_PER_S));
    EXPECT_LT(0, rt_process_receive(&b.inbox_, question, sizeof(question)));

    uint8_t number = 0;
    {
        Process gone;
        number = gone.number();
    }
    EXPECT_EQ(RT_RELAY_NOBODY, rt_relay_find(a.relay_, number, kNow));
    Process c;
    ASSERT_EQ(number, c.number());
    EXPECT_EQ(RT_RELAY_NOBODY, rt_relay_find(a.relay_, number, kNow + 1));
    EXPECT_EQ(RT_RELAY_UNSURE, rt_relay_find(a.relay_, number, kNow + QUIC_NS_PER_S));
    Meet(&c, &a); /* who says that it is there need not be asked */
    EXPECT_EQ(RT_RELAY_OTHER, rt_relay_find(a.relay_, number, kNow + 1));
}

TEST(Relay, UnitsArriveAsTheyWere)
{
    Process a;
    Process b;
    Meet(&a, &b);
    a.Add(b, "one");
    a.Add(b, "twotwoend", 3, 5);
    EXPECT_TRUE(b.Read().empty()) << "not yet";
    a.Flush();
    EXPECT_EQ((std::vector<std::string>{"one", "twotwoend"}), b.Read());
    EXPECT_EQ(3u, b.unit_.seg_len);
    EXPECT_EQ(2u, b.unit_.ecn);
    EXPECT_EQ(5u, b.hops_);
    EXPECT_EQ(4242, b.unit_.path.remote.port);
    EXPECT_TRUE(quic_addr_equal(&a.addr_, &b.unit_.path.local));
    EXPECT_EQ(2u, a.batch_.sent);
    EXPECT_EQ(0u, a.batch_.lost);
    a.Flush();
    EXPECT_TRUE(b.Read().empty()) << "once";
}

TEST(Relay, AMessageIsForOneProcess)
{
    Process a;
    Process b;
    Process c;
    Meet(&a, &b);
    Meet(&a, &c);
    b.Read();
    a.Read();
    a.Add(b, "b1");
    a.Add(c, "c1");
    a.Add(b, "b2");
    a.Flush();
    EXPECT_EQ((std::vector<std::string>{"b1", "b2"}), b.Read());
    EXPECT_EQ((std::vector<std::string>{"c1"}), c.Read());
}

/* What seems to be for one and the other in turn makes a message of each datagram. */
TEST(Relay, SoManyMessagesInATurn)
{
    Process a;
    Process b;
    Process c;
    Meet(&a, &b);
    Meet(&a, &c);
    const auto alternate = [&] {
        const uint64_t before = a.batch_.sent + a.batch_.lost;
        size_t read = 0;
        size_t of_c = 0;
        for (uint32_t i = 0; i < 4 * RT_RELAY_EARLY_MAX; i++) {
            a.Add(b, "to b");
            a.Add(c, "to c");
            if (i % 2 == 0) {
                const size_t n = c.Read().size();
                of_c += n;
                read += n + b.Read().size();
            }
        }
        a.Flush();
        EXPECT_GE(of_c, RT_RELAY_EARLY_MAX / 2 - 1); /* as many as in the turn before */
        EXPECT_EQ(a.batch_.sent + a.batch_.lost - before, 8 * RT_RELAY_EARLY_MAX);
        return read + b.Read().size() + c.Read().size();
    };
    for (int turn = 0; turn < 2; turn++) {
        const size_t read = alternate();
        EXPECT_GE(read, RT_RELAY_EARLY_MAX);
        EXPECT_LT(read,
                  5 * RT_RELAY_EARLY_MAX); /* the last message takes what is for its process */
    }
}

/* GRO gives up to 64 KiB, a message has less room: trains are cut between datagrams. */
TEST(Relay, LargeUnitsAreCutBetweenDatagrams)
{
    Process a;
    Process b;
    Meet(&a, &b);
    std::string train;
    for (int i = 0; i < 45; i++) {
        train += std::string(1452, static_cast<char>('a' + i % 26));
    }
    train += "tail";
    a.Add(b, train, 1452);
    a.Flush();
    std::string got;
    for (const std::string &unit : b.Read()) {
        EXPECT_EQ(0u, got.size() % 1452);
        got += unit;
    }
    EXPECT_TRUE(train == got);
    EXPECT_EQ(2u, a.batch_.sent);
    a.Add(b, std::string(RT_RELAY_MESSAGE_MAX, 'x'));
    a.Flush();
    EXPECT_EQ(1u, a.batch_.lost) << "one datagram that is too large";
    EXPECT_TRUE(b.Read().empty());
}

TEST(Relay, AFullInboxLoses)
{
    Process a;
    Process b;
    Meet(&a, &b);
    for (int i = 0; i < 10000 && a.batch_.lost == 0; i++) {
        a.Add(b, "x");
        a.Flush();
    }
    EXPECT_EQ(1u, a.batch_.lost);
    EXPECT_TRUE(a.Knows(b)) << "it is there, but slow";
    EXPECT_EQ(a.batch_.sent, b.Read().size());
}

TEST(Relay, TheDeadAreForgotten)
{
    Process a;
    Process b;
    Meet(&a, &b);
    b.Close();
    a.Add(b, "x");
    a.Flush();
    EXPECT_EQ(1u, a.batch_.lost);
    EXPECT_FALSE(a.Knows(b));
    EXPECT_EQ(RT_RELAY_NOBODY, rt_relay_find(a.relay_, b.number(), kNow));
}

/* Somebody else may take the name of one that died: it does not answer. */
TEST(Relay, WhoDoesNotAnswerIsForgotten)
{
    Process a;
    Process b;
    Meet(&a, &b);
    quic_ns now = kNow + 2 * QUIC_NS_PER_S;
    a.Add(b, "1");
    a.Flush(now);
    EXPECT_EQ(1u, b.Read(now).size());
    a.Read(now);
    EXPECT_TRUE(a.Knows(b)) << "it answered";
    now += 2 * QUIC_NS_PER_S;
    a.Add(b, "2");
    a.Flush(now);
    a.Add(b, "3");
    a.Flush(now + QUIC_NS_PER_S / 2);
    EXPECT_TRUE(a.Knows(b)) << "it has a second";
    a.Add(b, "4");
    a.Flush(now + 3 * QUIC_NS_PER_S / 2);
    EXPECT_FALSE(a.Knows(b));
    EXPECT_EQ(1u, a.batch_.lost);
    EXPECT_EQ(RT_RELAY_UNSURE, rt_relay_find(a.relay_, b.number(), now));
    b.Read(now);
    a.Read(now);
    EXPECT_TRUE(a.Knows(b)) << "and may come back";
}

/* It was there all the time: a question or an answer found a full inbox. What is for anybody goes only to those
 * that are known, so that nothing else would bring it back. */
TEST(Relay, AnAnswerThatIsLostIsAskedForAgain)
{
    Process a;
    Process b;
    Meet(&a, &b);
    quic_ns now = kNow + 2 * QUIC_NS_PER_S;
    a.Add(b, "1");
    a.Flush(now);
    uint8_t question[128];
    EXPECT_LT(0, rt_process_receive(&b.inbox_, question, sizeof(question)));
    now += 3 * QUIC_NS_PER_S / 2;
    a.Add(b, "2");
    a.Flush(now);
    EXPECT_FALSE(a.Knows(b));
    EXPECT_TRUE(b.Read(now).empty()) << "only the question";
    a.Read(now);
    EXPECT_TRUE(a.Knows(b));
}

TEST(Relay, AQuestionWithoutRoomIsNotAsked)
{
    Process a;
    Process b;
    Meet(&a, &b);
    while (a.batch_.lost == 0) {
        a.Add(b, "x");
        a.Flush();
    }
    const quic_ns now = kNow + 2 * QUIC_NS_PER_S;
    a.Add(b, "1");
    a.Flush(now);
    EXPECT_EQ(2u, a.batch_.lost);
    b.Read(now);
    a.Add(b, "2");
    a.Flush(now + 3 * QUIC_NS_PER_S / 2);
    EXPECT_TRUE(a.Knows(b)) << "nobody has asked it";
    EXPECT_EQ(1u, b.Read(now).size());
}

TEST(Relay, WhoJoinsNeedsAMember)
{
    Process a(1, RT_RELAY_ACCEPTS);
    Process b(1, RT_RELAY_ACCEPTS);
    rt_relay_announce(b.relay_, kNow); /* one that is as new does not count */
    EXPECT_EQ(-EADDRINUSE, rt_relay_join(a.relay_, &a.inbox_));
    Process member;
    rt_relay_announce(member.relay_, kNow);
    EXPECT_EQ(0, rt_relay_join(a.relay_, &a.inbox_));
    b.Read(); /* what a said before that */
    rt_relay_announce(a.relay_, kNow);
    EXPECT_EQ(0, rt_relay_join(b.relay_, &b.inbox_)) << "a is one, too, by now";
}

TEST(Relay, NonsenseIsNotRead)
{
    Process a;
    Process b;
    Meet(&a, &b);
    a.Add(b, std::string(100, 'x'));
    std::vector<uint8_t> good(a.batch_.buf, a.batch_.buf + a.batch_.len);
    good[0] = a.number();
    for (size_t len = 0; len < good.size(); len++) {
        ASSERT_EQ(0, rt_process_send(&a.process_, b.number(), &a.addr_, good.data(), len));
        EXPECT_TRUE(b.Read().empty()) << len;
    }
    ASSERT_EQ(0, rt_process_send(&a.process_, b.number(), &a.addr_, good.data(), good.size()));
    EXPECT_EQ(1u, b.Read().size());
    for (size_t at = 2; at < good.size() - 100;
         at++) { /* whatever a record says, it stays inside */
        std::vector<uint8_t> bad = good;
        bad[at] = 0xff;
        ASSERT_EQ(0, rt_process_send(&a.process_, b.number(), &a.addr_, bad.data(), bad.size()));
        for (const std::string &unit : b.Read()) {
            EXPECT_LE(unit.size(), 100u);
        }
    }
}

/* Anybody can send descriptors: they are not kept. */
TEST(Relay, DescriptorsThatComeAlongAreClosed)
{
    Process a;
    char byte = 0;
    iovec iov = {&byte, 1};
    union {
        cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control{};
    sockaddr_un name = {};
    socklen_t name_len = sizeof(name);
    ASSERT_EQ(0, getsockname(a.inbox_.fd, reinterpret_cast<sockaddr *>(&name), &name_len));
    msghdr msg{};
    msg.msg_name = &name;
    msg.msg_namelen = name_len;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control.bytes);
    cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(3 * sizeof(int));
    const int fds[3] = {0, 1, 2};
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    const int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    const int before = dup(0);
    close(before);
    if (sendmsg(sender, &msg, 0) < 0) {
        EXPECT_EQ(EPERM, errno) << "the kernel refuses them for us";
    }
    a.Read();
    const int after = dup(0);
    close(after);
    EXPECT_EQ(before, after);
    close(sender);
}

} // namespace
