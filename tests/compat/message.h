/* tests/compat/message.h: options, messages with what comes along, and events, as the draft's structures. */
#ifndef TESTS_COMPAT_MESSAGE_H
#define TESTS_COMPAT_MESSAGE_H

#include <cstdint>
#include <cstring>
#include <string>
#include <sys/socket.h>

#include "tests/compat/fixture.h"

namespace compat
{

template <typename T> int set_option(int fd, int name, const T &value)
{
    return setsockopt(fd, SOL_QUIC, name, &value, sizeof(value));
}
template <typename T> int get_option(int fd, int name, T *value)
{
    socklen_t len = sizeof(*value);
    return getsockopt(fd, SOL_QUIC, name, value, &len);
}
std::string get_bytes(int fd, int name, size_t cap = 4096);

quic_transport_param params_of(int fd, bool remote = false);

/* One result of recvmsg. */
struct Message {
    ssize_t rc = -1;
    int error = 0;
    std::string bytes;
    bool has_info = false;
    uint64_t id = UINT64_MAX;
    uint32_t flags = 0;
    int msg_flags = 0;

    bool is_event() const
    {
        return rc > 0 && (msg_flags & MSG_NOTIFICATION) != 0;
    }
    uint8_t type() const
    {
        return static_cast<uint8_t>(bytes[0]);
    }
    /* What follows the type. */
    template <typename T> T body() const
    {
        T value;
        memset(&value, 0, sizeof(value));
        memcpy(&value, bytes.data() + 1, std::min(sizeof(value), bytes.size() - 1));
        return value;
    }
};
Message receive(int fd, int flags = 0, size_t cap = 65536);

/* Opens a stream of its own for `bytes` and ends it; gives its number. */
uint64_t send_stream(int fd, const std::string &bytes, uint32_t flags = 0);

void enable(int fd, uint8_t event, bool on = true);
/* The next event of a type; data and others before it are thrown away. rc -1: none within 5 seconds. */
Message next_event(int fd, uint8_t type);
/* Reads until `len` bytes of streams and an event of `type` have come, in any order; gives the bytes, and
 * less than `len` when one of both does not come. */
std::string read_with_event(int fd, size_t len, uint8_t type, Message *event);
/* The next change of a stream to `state`. */
quic_stream_update next_update(int fd, uint32_t state);

/* Memory of this process; sanitizers keep what was freed, which nobody holds. */
long held_bytes();

} // namespace compat

#endif // TESTS_COMPAT_MESSAGE_H
