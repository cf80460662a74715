#include "tests/compat/fuzz_calls.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/compat/rights.h"

namespace compat
{
namespace
{

using Call = void (*)(FuzzWorld &, Random &);

const size_t kMost = 40000; /* bytes of one call */

const std::string &bytes()
{
    static const std::string all = pattern(kMost);
    return all;
}

size_t some_len(Random &r)
{
    static const size_t bounds[] = {1, 2, 30, 1000, 5000, kMost};
    return r.below(r.of(bounds));
}

uint64_t some_number(Random &r)
{
    static const uint64_t likely[] = {0,          1,          2,     3,     4,          7,
                                      8,          16,         1024,  65535, 1u << 20,   INT_MAX,
                                      UINT32_MAX, 1ull << 62, ~0ull, 100,   1ull << 40, 500000};
    return r.one_in(4) ? r.next() : r.of(likely);
}

/* Zeros, small numbers or noise. */
size_t some_bytes(Random &r, uint8_t *to, size_t cap)
{
    static const size_t lens[] = {0, 1, 2, 4, 8, 12, 16, 24, 56, 64, 72, 100, 128};
    size_t len = r.one_in(3) ? r.below(cap + 1) : r.of(lens);
    len = len < cap ? len : cap;
    const uint64_t kind = r.below(3);
    memset(to, 0, cap);
    for (size_t i = 0; kind != 0 && i < len; i++) {
        to[i] = static_cast<uint8_t>(kind == 1 ? (i % 8 == 0 ? r.below(8) : 0) : r.next());
    }
    if (kind == 2 && r.one_in(2) && len >= 8) {
        const uint64_t number = some_number(r);
        memcpy(to + r.below(len - 7), &number, 8);
    }
    return len;
}

int some_send_flags(Random &r)
{
    static const int flags[] = {0,
                                MSG_DONTWAIT,
                                MSG_SYN,
                                MSG_FIN,
                                MSG_MORE,
                                MSG_SYN | MSG_FIN,
                                MSG_STREAM_UNI | MSG_SYN,
                                MSG_DATAGRAM,
                                MSG_OOB,
                                MSG_EOR,
                                0x2000,
                                0x10000};
    return (r.one_in(50) ? static_cast<int>(r.next()) : r.of(flags)) | MSG_NOSIGNAL |
           (r.one_in(3) ? 0 : MSG_DONTWAIT);
}

int some_recv_flags(Random &r)
{
    static const int flags[] = {0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_ERRQUEUE};
    return (r.one_in(50) ? static_cast<int>(r.next()) : r.of(flags)) |
           (r.one_in(3) ? 0 : MSG_DONTWAIT);
}

Address some_address(FuzzWorld &w, Random &r)
{
    switch (r.below(8)) {
    case 0:
        return loopback(static_cast<uint16_t>(r.next()));
    case 1:
        return any();
    case 2:
        return loopback(w.server.port(), AF_INET6);
    case 3: {
        Address a;
        a.len = static_cast<socklen_t>(
            some_bytes(r, reinterpret_cast<uint8_t *>(&a.storage), sizeof(a.storage)));
        a.storage.ss_family = static_cast<sa_family_t>(r.one_in(2) ? AF_INET : r.below(12));
        return a;
    }
    case 4: {
        Address a = w.server;
        a.len = static_cast<socklen_t>(r.below(sizeof(a.storage)));
        return a;
    }
    default:
        return w.server;
    }
}

/* ---- sockets come and go ------------------------------------------------------------------------------ */

void make(FuzzWorld &w, Random &r)
{
    static const int domains[] = {AF_INET, AF_INET, AF_INET, AF_INET6, AF_UNIX};
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM, SOCK_RAW};
    const int flags = (r.one_in(2) ? SOCK_NONBLOCK : 0) | (r.one_in(2) ? SOCK_CLOEXEC : 0);
    int fd = socket(r.of(domains), (r.one_in(8) ? r.of(types) : SOCK_DGRAM) | flags,
                    r.one_in(6) ? 261 : IPPROTO_QUIC);
    if (fd >= 0) {
        fuzz_be_impatient(fd);
        w.put(r, fd);
    }
}

void make_client(FuzzWorld &w, Random &r)
{
    int fd = socket(AF_INET, SOCK_DGRAM | (r.one_in(2) ? SOCK_NONBLOCK : 0), IPPROTO_QUIC);
    if (fd < 0) {
        return;
    }
    fuzz_be_impatient(fd);
    (void)connect(fd, w.server.ptr(), w.server.len);
    w.put(r, fd);
    if (!r.one_in(4)) {
        (void)quic_client_handshake(fd, nullptr, nullptr);
    }
}

void shut(FuzzWorld &w, Random &r)
{
    (void)shutdown(w.any(r), static_cast<int>(r.below(4)));
}

void drop(FuzzWorld &w, Random &r)
{
    w.put(r, -1);
}

void copy(FuzzWorld &w, Random &r)
{
    const int fd = w.any(r);
    int made = -1;
    switch (r.below(4)) {
    case 0:
        made = dup(fd);
        break;
    case 1:
        made = fcntl(fd, F_DUPFD, static_cast<int>(r.below(300)));
        break;
    case 2:
        made = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        break;
    default: { /* over one that nobody else closes meanwhile */
        made = w.slots[r.below(w.slots.size())].exchange(-1);
        if (made >= 0) {
            (void)(r.one_in(2) ? dup2(fd, made) : dup3(fd, made, O_CLOEXEC));
        }
        break;
    }
    }
    if (made >= 0) {
        w.put(r, made);
    }
}

/* Descriptors that came: also with a receive from a number that is a UNIX socket's by now. */
void keep_rights(FuzzWorld &w, Random &r, msghdr *msg)
{
    for (cmsghdr *head = CMSG_FIRSTHDR(msg); head != nullptr; head = CMSG_NXTHDR(msg, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= head->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(head) + at, sizeof(fd));
            w.put(r, fd);
        }
    }
}

void travel(FuzzWorld &w, Random &r)
{
    int fd = w.any(r);
    if (r.one_in(2) && fd >= 0) {
        (void)send_fd(w.rights[0], fd, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    char c;
    iovec iov = {&c, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    if (recvmsg(w.rights[1], &msg, MSG_DONTWAIT) > 0) {
        keep_rights(w, r, &msg);
    }
}

void child(FuzzWorld &w, Random &r)
{
    const int fd = w.any(r);
    if (!r.one_in(8)) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        char c = 'c';
        (void)send(fd, &c, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)recv(fd, &c, 1, MSG_DONTWAIT);
        (void)close(fd);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

/* ---- names and connections ---------------------------------------------------------------------------- */

void name(FuzzWorld &w, Random &r)
{
    Address a;
    a.len = static_cast<socklen_t>(r.one_in(4) ? some_number(r) : sizeof(a.storage));
    a.len = a.len <= sizeof(a.storage) || static_cast<int>(a.len) < 0
                ? a.len
                : static_cast<socklen_t>(sizeof(a.storage));
    sockaddr *to = r.one_in(16) ? nullptr : a.ptr();
    socklen_t *len = r.one_in(16) ? nullptr : &a.len;
    (void)(r.one_in(2) ? getsockname(w.any(r), to, len) : getpeername(w.any(r), to, len));
}

void bind_it(FuzzWorld &w, Random &r)
{
    Address a = some_address(w, r);
    (void)bind(w.any(r), r.one_in(16) ? nullptr : a.ptr(), a.len);
}

void connect_it(FuzzWorld &w, Random &r)
{
    Address a = some_address(w, r);
    (void)connect(w.any(r), r.one_in(16) ? nullptr : a.ptr(), a.len);
}

void listen_it(FuzzWorld &w, Random &r)
{
    static const int backlogs[] = {-1, 0, 1, 16, INT_MAX};
    (void)listen(w.any(r), r.of(backlogs));
}

void accept_it(FuzzWorld &w, Random &r)
{
    Address a;
    a.len = r.one_in(4) ? 3 : sizeof(a.storage);
    const int fd = w.any(r);
    int got = r.one_in(2) ? accept(fd, r.one_in(2) ? nullptr : a.ptr(), &a.len)
                          : accept4(fd, nullptr, nullptr, SOCK_NONBLOCK);
    if (got >= 0) {
        w.put(r, got);
    }
}

void shake(FuzzWorld &w, Random &r)
{
    const int fd = w.any(r);
    int accepting = 0;
    socklen_t len = sizeof(accepting);
    if (r.one_in(2)) {
        (void)quic_client_handshake(fd, nullptr, nullptr);
    } else if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) == 0) {
        (void)quic_server_handshake(fd, r.one_in(8) ? "/none" : key_file(), cert_file());
    }
}

/* ---- messages ------------------------------------------------------------------------------------------ */

size_t some_control(Random &r, uint8_t *to, size_t cap)
{
    size_t at = 0;
    memset(to, 0, cap);
    for (uint64_t left = r.below(3); left > 0 && at + CMSG_SPACE(32) <= cap; left--) {
        auto *head = reinterpret_cast<cmsghdr *>(to + at);
        const size_t len = some_bytes(r, CMSG_DATA(head), 32);
        const uint64_t stream = r.one_in(3) ? some_number(r) : r.below(16);
        memcpy(CMSG_DATA(head), &stream, r.one_in(4) ? 1 : 8);
        head->cmsg_level = r.one_in(8) ? SOL_SOCKET : SOL_QUIC;
        head->cmsg_type = static_cast<int>(r.below(r.one_in(8) ? 10 : 2));
        head->cmsg_len = r.one_in(8) ? some_number(r) : CMSG_LEN(r.one_in(4) ? len : 16);
        at += CMSG_SPACE(32);
    }
    return r.one_in(8) ? r.below(cap) : at;
}

void send_message(FuzzWorld &w, Random &r)
{
    alignas(cmsghdr) uint8_t control[256];
    iovec iov[4];
    msghdr msg{};
    msg.msg_iovlen = r.below(5);
    msg.msg_iov = iov;
    for (iovec &part : iov) {
        part = {const_cast<char *>(bytes().data()), some_len(r)};
        if (r.one_in(40)) {
            part.iov_base = nullptr;
        } else if (r.one_in(40)) {
            msg.msg_iov = nullptr;
        }
    }
    msg.msg_controllen = some_control(r, control, sizeof(control));
    msg.msg_control = r.one_in(20) ? nullptr : control;
    const int fd = w.any(r);
    mmsghdr both[2] = {{msg, 0}, {msg, 0}};
    (void)(r.one_in(4) ? sendmmsg(fd, both, 2, some_send_flags(r))
                       : sendmsg(fd, &msg, some_send_flags(r)));
}

void send_bytes(FuzzWorld &w, Random &r)
{
    const int fd = w.any(r);
    const char *data = r.one_in(40) ? nullptr : bytes().data();
    const size_t len = r.one_in(60) ? static_cast<size_t>(SSIZE_MAX) + 1 : some_len(r);
    iovec iov[2] = {{const_cast<char *>(bytes().data()), len % kMost}, {nullptr, 0}};
    off_t at = 0;
    switch (r.below(8)) {
    case 0:
        (void)!write(fd, bytes().data(), len % kMost);
        break;
    case 1:
        (void)!writev(fd, iov, static_cast<int>(r.below(4)) - 1);
        break;
    case 2:
        (void)sendto(fd, bytes().data(), len % kMost, some_send_flags(r), w.server.ptr(),
                     w.server.len);
        break;
    case 3:
        (void)sendfile(fd, w.file, &at, some_len(r));
        break;
    case 4:
        (void)quic_sendmsg(fd, bytes().data(), len % kMost,
                           r.one_in(3) ? some_number(r) : r.below(12),
                           static_cast<uint32_t>(some_send_flags(r)) & 0x1ffff & ~0x4000u);
        break;
    case 5:
        (void)splice(fd, nullptr, w.file, nullptr, 10, 0);
        break;
    default: /* a length that is no buffer's: nothing of it may be read */
        (void)send(fd, len > kMost ? nullptr : data, len, some_send_flags(r));
        break;
    }
}

/* What programs do most of the time. */
void send_plain(FuzzWorld &w, Random &r)
{
    static const int flags[] = {0, 0, MSG_SYN | MSG_FIN, MSG_FIN,
                                MSG_SYN | MSG_FIN | MSG_STREAM_UNI};
    (void)send(w.any(r), bytes().data(), some_len(r), MSG_NOSIGNAL | r.of(flags));
}

void receive(FuzzWorld &w, Random &r)
{
    static thread_local char buf[2][kMost];
    alignas(cmsghdr) uint8_t control[2][128];
    const int fd = w.any(r);
    const size_t len = some_len(r);
    iovec iov[2] = {{buf[0], len}, {buf[1], some_len(r)}};
    msghdr msg{};
    msg.msg_iov = iov;
    msg.msg_iovlen = r.below(3);
    msg.msg_controllen = r.one_in(3) ? r.below(sizeof(control[0])) : sizeof(control[0]);
    msg.msg_control = r.one_in(8) ? nullptr : control[0];
    mmsghdr both[2] = {{msg, 0}, {msg, 0}};
    both[1].msg_hdr.msg_control = msg.msg_control != nullptr ? control[1] : nullptr;
    uint64_t stream = 0;
    uint32_t flags = 0;
    Address a;
    a.len = sizeof(a.storage);
    ssize_t got = -1;
    switch (r.below(8)) {
    case 0:
        got = read(fd, buf[0], len);
        break;
    case 1:
        got = readv(fd, iov, static_cast<int>(r.below(4)) - 1);
        break;
    case 2:
        got = recvfrom(fd, buf[0], len, some_recv_flags(r), a.ptr(), &a.len);
        break;
    case 3:
        got = quic_recvmsg(fd, buf[0], len, r.one_in(4) ? nullptr : &stream, &flags);
        break;
    case 4:
        got = recvmmsg(fd, both, 2, some_recv_flags(r), nullptr);
        for (int i = 0; i < got; i++) {
            keep_rights(w, r, &both[i].msg_hdr);
        }
        break;
    case 5:
        got = recv(fd, r.one_in(20) ? nullptr : buf[0], len, some_recv_flags(r));
        break;
    default:
        got = recvmsg(fd, &msg, some_recv_flags(r));
        if (got >= 0) {
            keep_rights(w, r, &msg);
        }
        break;
    }
    w.received += got > 0;
}

/* ---- options --------------------------------------------------------------------------------------------- */

int some_level(Random &r)
{
    static const int levels[] = {SOL_QUIC,     SOL_QUIC,   SOL_QUIC,   SOL_SOCKET,
                                 IPPROTO_IPV6, IPPROTO_IP, IPPROTO_TCP};
    return r.one_in(30) ? static_cast<int>(r.next()) : r.of(levels);
}

void set_option(FuzzWorld &w, Random &r)
{
    alignas(8) uint8_t value[5000];
    const int level = some_level(r);
    const int option = static_cast<int>(r.below(level == SOL_SOCKET ? 60 : 18));
    size_t len = some_bytes(r, value, r.one_in(8) ? sizeof(value) : 200);
    if (level == SOL_SOCKET && option == SO_LINGER) {
        const linger wish = {static_cast<int>(r.below(2)), 0};
        memcpy(value, &wish, sizeof(wish));
        len = sizeof(wish);
    } else if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        const timeval wish = {0, 4000};
        memcpy(value, &wish, sizeof(wish));
        len = sizeof(wish);
    } else if (r.one_in(40)) {
        len = static_cast<size_t>(r.next()) | 1u << 20; /* longer than all of it */
    }
    (void)setsockopt(w.any(r), level, option, r.one_in(40) ? nullptr : value,
                     static_cast<socklen_t>(len));
}

void want_events(FuzzWorld &w, Random &r)
{
    const quic_event_option on = {static_cast<uint8_t>(r.below(11)), 1};
    (void)setsockopt(w.any(r), SOL_QUIC, QUIC_SOCKOPT_EVENT, &on, sizeof(on));
}

void stream_option(FuzzWorld &w, Random &r)
{
    quic_errinfo info{};
    info.stream_id = r.below(16);
    info.errcode = static_cast<uint32_t>(r.below(100));
    quic_stream_info open{};
    open.stream_id = r.one_in(2) ? UINT64_MAX : r.below(40);
    open.stream_flag = static_cast<uint32_t>(some_send_flags(r));
    socklen_t len = sizeof(open);
    const int fd = w.any(r);
    switch (r.below(5)) {
    case 0:
        (void)getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &open, &len);
        break;
    case 1:
        (void)setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_KEY_UPDATE, nullptr, 0);
        break;
    case 2:
        (void)setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, nullptr, 0);
        break;
    case 3:
        (void)setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_STREAM_RESET, &info, sizeof(info));
        break;
    default:
        (void)setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_STREAM_STOP_SENDING, &info, sizeof(info));
        break;
    }
}

void get_option(FuzzWorld &w, Random &r)
{
    alignas(8) uint8_t value[5000];
    const int level = some_level(r);
    const int option = static_cast<int>(r.below(level == SOL_SOCKET ? 60 : 18));
    socklen_t len = static_cast<socklen_t>(some_bytes(r, value, 200));
    len = r.one_in(3) ? sizeof(value) : r.one_in(20) ? static_cast<socklen_t>(-1) : len;
    (void)getsockopt(w.any(r), level, option, r.one_in(40) ? nullptr : value,
                     r.one_in(40) ? nullptr : &len);
}

/* ---- readiness ------------------------------------------------------------------------------------------- */

void control(FuzzWorld &w, Random &r)
{
    static const unsigned long requests[] = {FIONREAD, SIOCOUTQ, SIOCOUTQNSD, FIONBIO, FIONREAD};
    const int fd = w.any(r);
    int value = static_cast<int>(r.below(2));
    switch (r.below(4)) {
    case 0:
        (void)fcntl(fd, F_SETFL, r.one_in(2) ? O_NONBLOCK : 0);
        break;
    case 1:
        (void)fcntl(fd, F_GETFL);
        break;
    default:
        (void)ioctl(fd, r.of(requests), r.one_in(20) ? nullptr : &value);
        break;
    }
}

void wait_for(FuzzWorld &w, Random &r)
{
    const int timeout = static_cast<int>(r.below(3));
    pollfd polls[2] = {{w.any(r), POLLIN | POLLOUT, 0},
                       {w.any(r), static_cast<short>(r.next()), 0}};
    epoll_event event = {};
    static const uint32_t kinds[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLOUT | EPOLLONESHOT,
                                     EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    fd_set set;
    timeval brief = {0, timeout * 1000};
    switch (r.below(4)) {
    case 0:
        (void)poll(polls, 2, timeout);
        break;
    case 1:
        event.events = r.of(kinds);
        (void)epoll_ctl(w.epoll, r.of(ops), polls[0].fd, &event);
        break;
    case 2:
        (void)epoll_wait(w.epoll, &event, 1, timeout);
        break;
    default:
        if (polls[0].fd >= 0 && polls[0].fd < FD_SETSIZE) {
            FD_ZERO(&set);
            FD_SET(polls[0].fd, &set);
            (void)select(polls[0].fd + 1, &set, nullptr, nullptr, &brief);
        }
        break;
    }
}

struct NamedCall {
    const char *name;
    Call call;
    unsigned share; /* how many of all are such */
};

const NamedCall kCalls[] = {
    {"make", make, 1},
    {"make_client", make_client, 2},
    {"shut", shut, 1},
    {"drop", drop, 1},
    {"copy", copy, 1},
    {"travel", travel, 1},
    {"child", child, 1},
    {"name", name, 1},
    {"bind_it", bind_it, 1},
    {"connect_it", connect_it, 1},
    {"listen_it", listen_it, 1},
    {"accept_it", accept_it, 1},
    {"shake", shake, 1},
    {"send_message", send_message, 3},
    {"send_bytes", send_bytes, 4},
    {"send_plain", send_plain, 4},
    {"receive", receive, 7},
    {"set_option", set_option, 2},
    {"want_events", want_events, 2},
    {"stream_option", stream_option, 3},
    {"get_option", get_option, 2},
    {"control", control, 1},
    {"wait_for", wait_for, 3},
};

const NamedCall &some_call(Random &r)
{
    uint64_t all = 0;
    for (const NamedCall &call : kCalls) {
        all += call.share;
    }
    uint64_t at = r.below(all);
    const NamedCall *call = kCalls;
    while (at >= call->share) {
        at -= call->share;
        call++;
    }
    return *call;
}

} // namespace

uint64_t Random::next()
{
    state_ += 0x9e3779b97f4a7c15ull;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void FuzzWorld::put(Random &random, int fd)
{
    int old = slots[random.below(slots.size())].exchange(fd);
    if (old >= 0) {
        FuzzStep::on(old);
        (void)close(old);
        FuzzStep::on(fd);
    }
}

void fuzz_be_impatient(int fd)
{
    const timeval brief = {0, 4000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
    quic_transport_param param{};
    param.max_idle_timeout = 1000000;
    param.max_datagram_frame_size = 1200;
    (void)setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, sizeof(param));
}

void fuzz_call(FuzzWorld &world, Random &random)
{
    const uint64_t state = random.state();
    const NamedCall &call = some_call(random);
    FuzzStep step(call.name, world.seed, state);
    call.call(world, random);
    world.calls++;
}

} // namespace compat
