/* tests/quic/hostile/lying_tls.h: a TLS handshake that is honest but for what a test changes in it: our
 * transport parameters, and the bytes that go into CRYPTO frames. Wraps any implementation.
 */
#ifndef TESTS_QUIC_HOSTILE_LYING_TLS_H
#define TESTS_QUIC_HOSTILE_LYING_TLS_H

#include <functional>
#include <memory>
#include <vector>

#include "quic/crypto/tls.h"

namespace hostile
{

using Bytes = std::vector<uint8_t>;

struct Lie {
    std::function<void(Bytes *params)> params;
    /* One message or a piece of one, before it is queued; clear it to swallow it. */
    std::function<void(quic_level level, Bytes *data)> crypto;
};

/* One at a time: the table's functions take no context. */
class LyingTls
{
  public:
    LyingTls(const quic_tls_vtable *honest, Lie lie);
    ~LyingTls();
    LyingTls(const LyingTls &) = delete;
    LyingTls &operator=(const LyingTls &) = delete;

    const quic_tls_vtable *vtable() const
    {
        return &vtable_;
    }
    /* say queues CRYPTO bytes of `level` in the name of the newest handshake. */
    quic_rc say(quic_level level, const Bytes &data);

  private:
    struct Sink {
        quic_tls_sink honest;
    };
    static quic_rc create(quic_tls **out, const quic_tls_args *args);
    static quic_rc on_secret(void *ctx, quic_level level, bool is_write, uint16_t suite,
                             const uint8_t *secret, size_t len);
    static quic_rc on_crypto(void *ctx, quic_level level, const uint8_t *data, size_t len);
    static void on_session(void *ctx, const uint8_t *data, size_t len);

    const quic_tls_vtable *honest_;
    quic_tls_vtable vtable_;
    Lie lie_;
    std::vector<std::unique_ptr<Sink>> sinks_;
};

/* Transport parameters as bytes (RFC 9000 18): one less, one more. */
void remove_param(Bytes *params, uint64_t id);
void add_param(Bytes *params, uint64_t id, const Bytes &value);

/* An extension of a whole ClientHello (RFC 8446 4.1.2): gone, without its body, or under another number. False: it is
 * not there. */
bool remove_extension(Bytes *client_hello, uint16_t id);
bool empty_extension(Bytes *client_hello, uint16_t id);
bool rename_extension(Bytes *client_hello, uint16_t id, uint16_t to);

} // namespace hostile

#endif // TESTS_QUIC_HOSTILE_LYING_TLS_H
