/* tests/compat/oracle.h: the same calls on TCP sockets and on QUIC sockets; what they say must agree.
 *
 * An Oracle holds a listener and a pair of each protocol and makes random calls on both, the same ones with the
 * same arguments. After each step, once all that was sent has arrived, it compares: what the call returned, what
 * poll and level-triggered epoll say, the bits of select, that every edge TCP shows to who was refused is one here,
 * FIONREAD. Where QUIC is another thing than TCP the difference has a kind, which docs/sockets.md lists.
 */
#ifndef TESTS_COMPAT_ORACLE_H
#define TESTS_COMPAT_ORACLE_H

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "tests/compat/fixture.h"
#include "tests/compat/fuzz_calls.h"

namespace compat
{

/* By the numbers of docs/sockets.md, "Differences". */
enum class Kind {
    kNone = 0,
    kNewSocket = 1,   /* a new socket does not hang up */
    kNoHalf = 2,      /* who ends one direction ends both, and it shows as an error */
    kEndIsNoZero = 3, /* recv at the end: ENOTCONN where TCP has 0 */
};

class Oracle
{
  public:
    explicit Oracle(uint64_t seed);
    ~Oracle();
    /* One random call and the comparison. False: they differ; why() says how. */
    bool step();
    bool is_over() const; /* nothing is left to call */
    const std::string &why() const
    {
        return why_;
    }
    const std::map<Kind, uint64_t> &allowed() const
    {
        return allowed_;
    }

  private:
    enum End { kClient, kServer, kListener, kEnds };
    enum Sets {
        kLevel,
        kIn,
        kOut,
        kOnce,
        kSets
    }; /* epoll: all events, edges in and out, one-shot */
    struct World {
        bool quic = false;
        std::array<Fd, kEnds> fd;
        std::array<std::array<Fd, kSets>, 2> epoll; /* of client and server */
    };
    struct Side {
        bool shut_rd = false;
        bool shut_wr = false;
        bool full = false;     /* what it sent fills all buffers */
        bool refused = true;   /* it was not writable, and no edge has said since that it is */
        size_t filled[2] = {}; /* more of them when the other end is full: TCP, QUIC */
        size_t unread = 0;     /* bytes that wait at it, in both worlds */
    };

    void make(World &w);
    void establish();
    bool open(End e) const
    {
        return tcp_.fd[e] >= 0;
    }
    End some_end();
    bool fail(const std::string &what, long tcp, long quic);
    bool allow(Kind kind);
    bool same(const char *what, End e, long tcp, long quic);

    void call();
    void call_send(End e);
    void call_recv(End e);
    void call_shutdown(End e);
    void call_fill(End e);
    void call_drain(End e);
    void call_other(End e);
    void call_mode(End e);
    void call_once(End e);
    void call_close(End e);

    bool settle();
    bool agrees(End e, long *tcp, long *quic);
    bool compare_masks(End e);
    bool compare_edges(End e);
    bool compare_select(End e);

    Random random_; /* decides the calls */
    Random looks_;  /* and this, which way to look: as often as that takes */
    World tcp_;
    World quic_;
    Address at_[2];
    std::array<Side, kEnds> side_;
    bool connected_ = false;
    bool over_ = false;
    int steps_over_ = 0;
    bool nonblock_[kEnds] = {};
    std::string last_; /* the call */
    std::string why_;
    std::map<Kind, uint64_t> allowed_;
};

} // namespace compat

#endif // TESTS_COMPAT_ORACLE_H
