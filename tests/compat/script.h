/* tests/compat/script.h: what stands for TLS in tests of the raw handshake: messages of TLS's form that exchange
 * transport parameters, and secrets everybody knows. */
#ifndef TESTS_COMPAT_SCRIPT_H
#define TESTS_COMPAT_SCRIPT_H

#include <map>
#include <string>
#include <utility>

#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

namespace compat
{

std::string u16(size_t value);
/* Type, 24-bit length, body. */
std::string tls_message(char type, const std::string &body);
std::string extension(size_t type, const std::string &body);
/* RFC 8446 4.1.2, as much of it as a listener looks at: the protocol and the transport parameters, which
 * stand at its end. */
std::string client_hello(const std::string &params);
std::string params_in(const std::string &hello);

ssize_t send_crypto(int fd, uint8_t level, const std::string &bytes);
/* One piece, of at most `room` bytes; `level` 255: none came. */
std::string recv_crypto(int fd, size_t room, uint8_t *level);

/* One end of the script. */
class Raw
{
  public:
    Raw(int fd, uint32_t cipher, size_t room = 65536);
    /* A message at a level, whole. */
    std::string take(uint8_t level);
    std::string params() const;
    int set_params(const std::string &params) const;
    int install(uint8_t level, bool send, bool of_server) const;
    unsigned pieces() const
    {
        return pieces_;
    }
    int fd() const
    {
        return fd_;
    }
    /* No part of a message is left over. */
    bool is_drained() const;

  private:
    int fd_;
    bool kernel_; /* the layout of protocol 261 */
    uint32_t cipher_;
    size_t room_;
    unsigned pieces_ = 0;
    std::map<uint8_t, std::string> in_;
};

/* A whole handshake, and its parts: the client's first flight; the keys up to 1-RTT. */
void run_client(Raw *raw);
void start_client(Raw *raw);
void end_client(Raw *raw);
void run_server(Raw *raw, size_t flight_len = 10);
void start_server(Raw *raw);
void end_server(Raw *raw, const std::string &flight);

/* Both ends of a connection that nobody has shaken hands on. */
struct RawPair : Pair {
    explicit RawPair(int protocol = IPPROTO_QUIC);
    RawPair(const Address &to, Fd listening);
    void accept_one();
    /* A whole handshake of both ends. */
    void run_script(uint32_t cipher);
};

/* Whether a client's program gets tickets. Before the handshake. */
void want_tickets(int client, bool wanted);
/* What a connection was closed with. */
uint32_t close_code(int fd);

} // namespace compat

#endif // TESTS_COMPAT_SCRIPT_H
