#include "tests/compat/message.h"

#include <cerrno>
#include <chrono>
#include <fstream>
#include <unistd.h>
#include <vector>

#if defined(QURING_ASAN) || defined(QURING_TSAN)
#define SANITIZED 1
extern "C" size_t __sanitizer_get_current_allocated_bytes(void);
#endif

namespace compat
{

std::string get_bytes(int fd, int name, size_t cap)
{
    std::string value(cap, '\0');
    auto len = static_cast<socklen_t>(cap);
    if (getsockopt(fd, SOL_QUIC, name, &value[0], &len) != 0) {
        return "error " + std::to_string(errno);
    }
    value.resize(len);
    return value;
}

quic_transport_param params_of(int fd, bool remote)
{
    quic_transport_param p = {};
    p.remote = remote ? 1 : 0;
    get_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, &p);
    return p;
}

Message receive(int fd, int flags, size_t cap)
{
    Message m;
    std::vector<char> buf(cap);
    iovec iov = {buf.data(), buf.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(quic_stream_info))] = {};
    msghdr msg = {};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    errno = 0;
    m.rc = recvmsg(fd, &msg, flags);
    m.error = errno;
    if (m.rc < 0) {
        return m;
    }
    m.bytes.assign(buf.data(), static_cast<size_t>(m.rc));
    m.msg_flags = msg.msg_flags;
    for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_QUIC && c->cmsg_type == QUIC_STREAM_INFO) {
            quic_stream_info info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            m.has_info = true;
            m.id = info.stream_id;
            m.flags = info.stream_flag;
        }
    }
    return m;
}

uint64_t send_stream(int fd, const std::string &bytes, uint32_t flags)
{
    quic_stream_info info = {UINT64_MAX, flags & QUIC_STREAM_FLAG_UNI};
    if (get_option(fd, QUIC_SOCKOPT_STREAM_OPEN, &info) != 0) {
        return UINT64_MAX;
    }
    ssize_t n = quic_sendmsg(fd, bytes.data(), bytes.size(), info.stream_id, QUIC_STREAM_FLAG_FIN);
    return n == static_cast<ssize_t>(bytes.size()) ? info.stream_id : UINT64_MAX;
}

void enable(int fd, uint8_t event, bool on)
{
    quic_event_option option = {event, static_cast<uint8_t>(on ? 1 : 0)};
    set_option(fd, QUIC_SOCKOPT_EVENT, option);
}

/* A limit for the time that it lives: who reads afterwards waits as before. */
class RecvTimeout
{
  public:
    RecvTimeout(int fd, int ms) : fd_(fd)
    {
        socklen_t len = sizeof(before_);
        getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &before_, &len);
        set_recv_timeout(fd, ms);
    }
    ~RecvTimeout()
    {
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &before_, sizeof(before_));
    }
    RecvTimeout(const RecvTimeout &) = delete;
    RecvTimeout &operator=(const RecvTimeout &) = delete;

  private:
    int fd_;
    timeval before_ = {};
};

template <typename Wanted> static Message next_matching(int fd, const Wanted &wanted)
{
    const RecvTimeout limit(fd, 200);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    Message m;
    while (std::chrono::steady_clock::now() < until) {
        m = receive(fd);
        if (m.is_event() && wanted(m)) {
            return m;
        }
        if (m.rc < 0 && m.error != EAGAIN) {
            break;
        }
    }
    m.rc = -1;
    return m;
}

Message next_event(int fd, uint8_t type)
{
    return next_matching(fd, [&](const Message &m) { return m.type() == type; });
}

std::string read_with_event(int fd, size_t len, uint8_t type, Message *event)
{
    const RecvTimeout limit(fd, 20000);
    std::string bytes;
    event->rc = -1;
    while (bytes.size() < len || event->rc < 0) {
        Message m = receive(fd);
        if (m.rc < 0) {
            return event->rc < 0 ? "" : bytes;
        }
        if (m.is_event() && m.type() == type) {
            *event = m;
        } else if (!m.is_event()) {
            bytes += m.bytes;
        }
    }
    return bytes;
}

quic_stream_update next_update(int fd, uint32_t state)
{
    Message m = next_matching(fd, [&](const Message &e) {
        return e.type() == QUIC_EVENT_STREAM_UPDATE && e.body<quic_stream_update>().state == state;
    });
    quic_stream_update none = {UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX};
    return m.rc < 0 ? none : m.body<quic_stream_update>();
}

long held_bytes()
{
#if defined(SANITIZED)
    return static_cast<long>(__sanitizer_get_current_allocated_bytes());
#else
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * sysconf(_SC_PAGESIZE);
#endif
}

} // namespace compat
