#include "tests/compat/oracle.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>

namespace compat
{
namespace
{

constexpr short kAll = POLLIN | POLLOUT | POLLHUP | POLLERR | POLLRDHUP;
constexpr size_t kInFlight = 32768; /* unread at one end; small enough for both worlds' buffers */
constexpr int kBuffer = 65536;
constexpr int kSettleMs = 5000;
constexpr int kStepsOver = 15; /* of a connection that has ended, in which little changes */

const std::string &bytes()
{
    static const std::string all = pattern(65536, 9);
    return all;
}

long result(long rc)
{
    return rc < 0 ? -errno : rc;
}

/* Of a call that may wait: TCP's with a timeout that this process was stopped in ends with EINTR (signal(7)). */
template <typename Call> long result_of(bool quic, const Call &call)
{
    long rc;
    do {
        rc = result(static_cast<long>(call()));
    } while (rc == -EINTR && !quic);
    return rc;
}

int available(int fd)
{
    int n = 0;
    return ioctl(fd, FIONREAD, &n) != 0 ? -errno : n;
}

uint32_t epoll_now(int epoll)
{
    epoll_event event = {};
    return epoll_wait(epoll, &event, 1, 0) == 1 ? event.events : 0;
}

} // namespace

/* ---- sockets ------------------------------------------------------------------------------------------- */

void Oracle::make(World &w)
{
    const int type = w.quic ? SOCK_DGRAM : SOCK_STREAM;
    const int protocol = w.quic ? IPPROTO_QUIC : 0;
    Address &at = at_[w.quic];
    at = loopback();
    for (End e : {kClient, kListener}) {
        w.fd[e].reset(socket(AF_INET, type | SOCK_CLOEXEC, protocol));
        setsockopt(w.fd[e], SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof(kBuffer));
        setsockopt(w.fd[e], SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof(kBuffer));
        const timeval brief = {0, 1000};
        setsockopt(w.fd[e], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    }
    if (bind(w.fd[kListener], at.ptr(), at.len) != 0 || listen(w.fd[kListener], 8) != 0) {
        abort();
    }
    at = name_of(w.fd[kListener]);
}

Oracle::Oracle(uint64_t seed) : random_(seed), looks_(seed)
{
    (void)cert_file();
    quic_.quic = true;
    make(tcp_);
    make(quic_);
}

Oracle::~Oracle() = default;

/* connect, the handshake and accept in one step; the listener is looked at between them. */
void Oracle::establish()
{
    for (World *w : {&tcp_, &quic_}) {
        if (connect(w->fd[kClient], at_[w->quic].ptr(), at_[w->quic].len) != 0 &&
            errno != EINPROGRESS) {
            why_ = "connect failed";
            return;
        }
        const int on = 1;
        int rc = 0;
        std::thread other([&] {
            if (w->quic) {
                rc = quic_client_handshake(w->fd[kClient], nullptr, nullptr);
            }
        });
        if (!poll_for(w->fd[kListener], POLLIN) || poll_now(w->fd[kListener]) != POLLIN) {
            why_ = "no POLLIN at the listener";
        }
        w->fd[kServer].reset(accept4(w->fd[kListener], nullptr, nullptr, SOCK_CLOEXEC));
        if (w->quic && quic_server_handshake(w->fd[kServer], key_file(), cert_file()) != 0) {
            why_ = "the server's handshake failed";
        }
        other.join();
        if (rc != 0 || w->fd[kServer] < 0) {
            why_ = "the client's handshake failed";
        }
        for (End e : {kClient, kServer}) {
            (void)setsockopt(w->fd[e], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            static const uint32_t wanted[] = {EPOLLIN | EPOLLOUT | EPOLLRDHUP,
                                              EPOLLIN | EPOLLRDHUP | EPOLLET, EPOLLOUT | EPOLLET,
                                              EPOLLIN | EPOLLONESHOT};
            for (int set = 0; set < kSets; set++) {
                epoll_event event = {};
                event.events = wanted[set];
                w->epoll[e][set].reset(epoll_create1(EPOLL_CLOEXEC));
                epoll_ctl(w->epoll[e][set], EPOLL_CTL_ADD, w->fd[e], &event);
            }
        }
    }
    connected_ = true;
}

bool Oracle::is_over() const
{
    return (!open(kClient) && !open(kServer)) || steps_over_ > kStepsOver;
}

Oracle::End Oracle::some_end()
{
    End e;
    do {
        e = static_cast<End>(random_.below(connected_ ? 2 : 1));
    } while (!open(e));
    return e;
}

/* ---- comparing ------------------------------------------------------------------------------------------ */

bool Oracle::fail(const std::string &what, long tcp, long quic)
{
    if (why_.empty()) {
        why_ = "after " + last_ + ": " + what + ": TCP " + std::to_string(tcp) + ", QUIC " +
               std::to_string(quic) + (over_ ? " (over)" : "");
    }
    return false;
}

bool Oracle::allow(Kind kind)
{
    allowed_[kind]++;
    return true;
}

/* What a call returned: a count or -errno. */
bool Oracle::same(const char *what, End e, long tcp, long quic)
{
    last_ = std::string(what) + " at the " +
            (e == kClient   ? "client"
             : e == kServer ? "server"
                            : "listener");
    if (tcp == quic) {
        return true;
    }
    if (quic == -ENOTCONN && (tcp == 0 || side_[e].shut_rd)) {
        return allow(Kind::kEndIsNoZero);
    }
    if (over_ && (quic == -ENOTCONN || quic == -EPIPE || tcp == -ECONNRESET || tcp == -EPIPE ||
                  tcp == -ENOTCONN || (quic > 0 && tcp > quic))) {
        return allow(Kind::kNoHalf); /* TCP's other half went on */
    }
    return fail("result", tcp, quic);
}

bool Oracle::agrees(End e, long *tcp, long *quic)
{
    const bool level = connected_ && e != kListener && looks_.one_in(2);
    *tcp = level ? epoll_now(tcp_.epoll[e][kLevel]) : poll_now(tcp_.fd[e]);
    *quic = level ? epoll_now(quic_.epoll[e][kLevel]) : poll_now(quic_.fd[e]);
    if (over_ && e != kListener) {
        return *quic == kAll;
    }
    if (!connected_ && e == kClient) {
        return *quic == POLLOUT && *tcp == (POLLOUT | POLLHUP);
    }
    return *tcp == *quic;
}

bool Oracle::compare_masks(End e)
{
    long tcp = 0;
    long quic = 0;
    for (int i = 0; i < kSettleMs * 10; i++) {
        const int unread = static_cast<int>(side_[e].unread);
        bool all_there = e == kListener || !connected_ || over_ || side_[e].shut_rd ||
                         side_[e == kClient ? kServer : kClient].full ||
                         (available(quic_.fd[e]) == unread && available(tcp_.fd[e]) == unread);
        if (all_there && agrees(e, &tcp, &quic)) {
            if (tcp != quic) {
                allow(connected_ ? Kind::kNoHalf : Kind::kNewSocket);
            }
            return true;
        }
        if (i > 20) {
            usleep(100);
        }
    }
    (void)agrees(e, &tcp, &quic);
    return fail(std::string("poll at the ") +
                    (e == kClient   ? "client"
                     : e == kServer ? "server"
                                    : "listener") +
                    ", " + std::to_string(available(tcp_.fd[e])) + " and " +
                    std::to_string(available(quic_.fd[e])) + " bytes",
                tcp, quic);
}

/* More edges are allowed (epoll(7)), fewer are not. */
bool Oracle::compare_edges(End e)
{
    for (Sets set : {kIn, kOut}) {
        uint32_t tcp = epoll_now(tcp_.epoll[e][set]);
        uint32_t quic = epoll_now(quic_.epoll[e][set]);
        if (over_ || side_[e].shut_rd) { /* the last one was that of the end */
            continue;
        }
        /* Where nobody was refused it is TCP alone that was full for a moment. */
        const bool wanted = tcp != 0 && (set == kIn || side_[e].refused);
        for (int i = 0; i < kSettleMs && wanted && quic == 0; i++) {
            usleep(1000);
            quic = epoll_now(quic_.epoll[e][set]);
        }
        if (wanted && quic == 0) {
            return fail(set == kIn ? "no edge in" : "no edge out", tcp, quic);
        }
        if (set == kOut && quic != 0) {
            side_[e].refused = false;
        }
    }
    return true;
}

bool Oracle::compare_select(End e)
{
    int bits[2];
    for (World *w : {&tcp_, &quic_}) {
        fd_set in;
        fd_set out;
        timeval at_once = {0, 0};
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_SET(w->fd[e], &in);
        FD_SET(w->fd[e], &out);
        select(w->fd[e] + 1, &in, &out, nullptr, &at_once);
        bits[w->quic] = (FD_ISSET(w->fd[e], &in) ? 1 : 0) + (FD_ISSET(w->fd[e], &out) ? 2 : 0);
    }
    if (bits[0] == bits[1]) {
        return true;
    }
    if (over_ && bits[1] == 3) {
        return allow(Kind::kNoHalf);
    }
    if (!connected_ && bits[0] == 3 && bits[1] == 2) {
        return allow(Kind::kNewSocket); /* POLLHUP reads as readable */
    }
    return fail("select", bits[0], bits[1]);
}

bool Oracle::settle()
{
    for (End e : {kClient, kServer, kListener}) {
        if (!open(e)) {
            continue;
        }
        if (!compare_masks(e) || (e != kListener && connected_ && !compare_edges(e)) ||
            (looks_.one_in(4) && !compare_select(e))) {
            return false;
        }
    }
    return true;
}

/* ---- the calls ------------------------------------------------------------------------------------------- */

void Oracle::call_send(End e)
{
    Side &peer = side_[e == kClient ? kServer : kClient];
    const size_t left = peer.unread < kInFlight ? kInFlight - peer.unread : 0;
    size_t n = random_.below(random_.one_in(4) ? 8000 : 200);
    n = connected_ && n > left ? left : n;
    if (side_[e].full) {
        return; /* poll says that there is no room; some bytes may fit nevertheless */
    }
    const uint64_t how = random_.below(4);
    long rc[2];
    for (World *w : {&tcp_, &quic_}) {
        iovec iov[3] = {{const_cast<char *>(bytes().data()), n / 3},
                        {nullptr, 0},
                        {const_cast<char *>(bytes().data()), n - n / 3}};
        msghdr msg{};
        msg.msg_iov = iov;
        msg.msg_iovlen = 3;
        const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
        const int fd = w->fd[e];
        rc[w->quic] = result(how == 0                   ? sendmsg(fd, &msg, flags)
                             : how == 1 && nonblock_[e] ? write(fd, bytes().data(), n)
                             : how == 2 && nonblock_[e] ? writev(fd, iov, 3)
                                                        : send(fd, bytes().data(), n, flags));
    }
    if (same("send", e, rc[0], rc[1]) && rc[0] > 0 && rc[0] == rc[1]) {
        peer.unread += static_cast<size_t>(rc[0]);
    }
}

void Oracle::call_recv(End e)
{
    static char buf[65536];
    Side &side = side_[e];
    const uint64_t how = random_.below(7);
    const size_t n =
        random_.one_in(8) ? 0 : 1 + random_.below(random_.one_in(2) ? 100 : 2 * kInFlight);
    if (side_[e == kClient ? kServer : kClient].full) {
        call_drain(e); /* how much of it has come is another number for each */
        return;
    }
    const int flags = random_.one_in(2) && !nonblock_[e] ? MSG_DONTWAIT : 0;
    long rc[2];
    for (World *w : {&tcp_, &quic_}) {
        iovec iov[3] = {{buf, n / 3}, {nullptr, 0}, {buf + n / 3, n - n / 3}};
        msghdr msg{};
        msg.msg_iov = iov;
        msg.msg_iovlen = 3;
        const int fd = w->fd[e];
        const auto call = [&]() -> ssize_t {
            switch (how) {
            case 0:
                return read(fd, buf, n);
            case 1:
                return readv(fd, iov, 3);
            case 2:
                return recvmsg(fd, &msg, flags);
            case 3:
                return recv(fd, buf, n, flags | MSG_PEEK);
            case 4:
                return recv(fd, nullptr, n, flags | MSG_TRUNC);
            default:
                return recv(fd, buf, n, flags);
            }
        };
        rc[w->quic] = result_of(w->quic, call);
    }
    static const char *const names[] = {"read",    "readv", "recvmsg", "peek",
                                        "discard", "recv",  "recv"};
    const std::string what = std::string(names[how]) + " of " + std::to_string(n);
    if (same(what.c_str(), e, rc[0], rc[1]) && rc[0] > 0 && rc[0] == rc[1] && how != 3) {
        side.unread -= static_cast<size_t>(rc[0]);
    }
}

void Oracle::call_shutdown(End e)
{
    const int how = static_cast<int>(random_.below(3));
    if (!connected_) {
        return; /* TCP says ENOTCONN, and is shut down nevertheless */
    }
    const long tcp = result(shutdown(tcp_.fd[e], how));
    const long quic = result(shutdown(quic_.fd[e], how));
    if (connected_ && tcp == 0) {
        side_[e].shut_rd = side_[e].shut_rd || how != SHUT_WR;
        side_[e].shut_wr = side_[e].shut_wr || how != SHUT_RD;
        over_ = over_ || how != SHUT_RD;
    }
    static const char *const names[] = {"shutdown RD", "shutdown WR", "shutdown RDWR"};
    if (same(names[how], e, tcp, quic) && how != SHUT_WR &&
        side_[e == kClient ? kServer : kClient].full) {
        call_drain(e); /* difference 3: nobody will read it, it goes */
    }
}

/* Sends until neither takes any more, and for longer than a moment. */
void Oracle::call_fill(End e)
{
    if (over_ || side_[e].full || side_[e == kClient ? kServer : kClient].shut_rd) {
        return;
    }
    for (World *w : {&tcp_, &quic_}) {
        size_t &waits = side_[e == kClient ? kServer : kClient].filled[w->quic];
        waits = 0;
        for (int full = 0; full < 80;) {
            ssize_t n = send(w->fd[e], bytes().data(), bytes().size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            full = n < 0 ? full + 1 : 0;
            waits += n > 0 ? static_cast<size_t>(n) : 0;
            if (n < 0) {
                usleep(2000);
            }
        }
    }
    side_[e].full = true;
    side_[e].refused = true;
    last_ = "fill";
}

/* Reads all that was sent; where it is thrown away, waits until it has been. */
void Oracle::call_drain(End e)
{
    static char buf[65536];
    Side &peer = side_[e == kClient ? kServer : kClient];
    for (World *w : {&tcp_, &quic_}) {
        const int sender = w->fd[e == kClient ? kServer : kClient];
        size_t want = side_[e].unread + (peer.full ? side_[e].filled[w->quic] : 0);
        int left = 1;
        for (int i = 0; i < kSettleMs && (want > 0 || left > 0); i++) {
            ssize_t n = recv(w->fd[e], buf, sizeof(buf), MSG_DONTWAIT);
            const bool lost = n == 0 || (n < 0 && errno != EAGAIN);
            want = lost ? 0 : want - (n > 0 ? static_cast<size_t>(n) : 0);
            left = 0;
            if (lost && peer.full && !over_ && sender >= 0) {
                (void)ioctl(sender, TIOCOUTQ, &left);
            }
            usleep(n < 0 && (want > 0 || left > 0) ? 1000 : 0);
        }
    }
    if (!side_[e].shut_rd) {
        side_[e].unread = 0;
    }
    peer.full = false;
    last_ = "drain";
}

/* What is the wrong call here, or says something of the socket. */
void Oracle::call_other(End e)
{
    const End who = random_.one_in(3) ? kListener : e;
    const uint64_t which = random_.below(10);
    static const char *const names[] = {"getpeername", "accept",     "listen", "SO_ERROR",
                                        "ACCEPTCONN",  "bind",       "recv",   "send",
                                        "OOB",         "getsockname"};
    if (which == 2 && !connected_ && who == kClient) {
        return; /* it would become a listener */
    }
    if ((which == 6 || which == 7) && who != kListener) {
        return;
    }
    long rc[2];
    for (World *w : {&tcp_, &quic_}) {
        const int fd = w->fd[who];
        Address a;
        a.len = sizeof(a.storage);
        Address again = at_[w->quic];
        int value = 0;
        socklen_t len = sizeof(value);
        char c;
        long got = -1;
        switch (which) {
        case 0:
            got = result(getpeername(fd, a.ptr(), &a.len));
            break;
        case 1:
            got = result_of(w->quic, [&] { return accept4(fd, nullptr, nullptr, 0); });
            break;
        case 2:
            got = result(listen(fd, 8));
            break;
        case 3:
            got = getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) == 0 ? value : -errno;
            got = over_ ? 0 : got;
            break;
        case 4:
            got = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 ? value : -errno;
            break;
        case 5:
            got = (connected_ && !over_) || who == kListener
                      ? result(bind(fd, again.ptr(), again.len))
                      : 0;
            break;
        case 6:
            got = result(recv(fd, &c, 1, MSG_DONTWAIT));
            break;
        case 7:
            got = result(send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
            break;
        case 8:
            got = available(fd);
            got = who == kListener ? got : 0;
            break;
        default:
            got = result(getsockname(fd, a.ptr(), &a.len)) == 0 ? a.storage.ss_family : -1;
            break;
        }
        rc[w->quic] = got;
    }
    (void)same(names[which], who, rc[0], rc[1]);
}

void Oracle::call_mode(End e)
{
    nonblock_[e] = !nonblock_[e];
    for (World *w : {&tcp_, &quic_}) {
        const int flags = fcntl(w->fd[e], F_GETFL);
        fcntl(w->fd[e], F_SETFL, nonblock_[e] ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    }
    last_ = "O_NONBLOCK";
}

void Oracle::call_once(End e)
{
    if (!connected_) {
        return;
    }
    static const uint32_t kinds[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT | EPOLLRDHUP};
    epoll_event event = {};
    event.events = random_.of(kinds) | EPOLLONESHOT;
    long rc[2];
    uint32_t again = 0;
    for (World *w : {&tcp_, &quic_}) {
        const int epoll = w->epoll[e][kOnce];
        epoll_ctl(epoll, EPOLL_CTL_MOD, w->fd[e], &event);
        rc[w->quic] = epoll_now(epoll);
        again |= rc[w->quic] != 0 ? epoll_now(epoll) : 0;
    }
    last_ = "one-shot epoll";
    if (again != 0) {
        (void)fail("a second time", 0, again);
    } else if (rc[0] != rc[1]) {
        (void)(over_ ? allow(Kind::kNoHalf) : fail("events", rc[0], rc[1]));
    }
}

void Oracle::call_close(End e)
{
    for (World *w : {&tcp_, &quic_}) {
        w->fd[e].reset();
    }
    over_ = over_ || connected_;
    last_ = e == kClient ? "close of the client" : "close of the server";
}

void Oracle::call()
{
    const End e = some_end();
    const uint64_t pick = random_.below(1000);
    if (!connected_ && pick < 300) {
        last_ = "connect";
        establish();
    } else if (pick < 330) {
        call_send(e);
    } else if (pick < 660) {
        call_recv(e);
    } else if (pick < 700) {
        call_drain(e);
    } else if (pick < 705 && connected_) {
        call_fill(e);
    } else if (pick < 712) {
        call_shutdown(e);
    } else if (pick < 780) {
        call_mode(e);
    } else if (pick < 860) {
        call_once(e);
    } else if (pick < 990) {
        call_other(e);
    } else if (pick < 996 && connected_) {
        call_close(e);
    } else {
        call_send(e);
    }
}

bool Oracle::step()
{
    last_ = "nothing";
    steps_over_ += over_ ? 1 : 0;
    call();
    if (getenv("ORACLE_TRACE") != nullptr) {
        fprintf(stderr, "%s: unread %zu %zu, full %d %d%s\n", last_.c_str(), side_[0].unread,
                side_[1].unread, side_[0].full, side_[1].full, over_ ? ", over" : "");
    }
    return why_.empty() && (is_over() || settle());
}

} // namespace compat
