#include "tests/quic/hostile/lying_tls.h"

#include <cstdlib>

#include "quic/wire/varint.h"

namespace hostile
{
namespace
{

LyingTls *current = nullptr;

/* Where extension `id` begins (its number), 0: it is not there. */
size_t find_extension(const Bytes &m, uint16_t id, size_t *out_list_len_at)
{
    auto u16 = [&](size_t at) { return static_cast<size_t>(m[at] << 8 | m[at + 1]); };
    if (m.size() < 39 || m[0] != 1) {
        return 0;
    }
    size_t at = 4 + 2 + 32;
    at += 1u + m[at];   /* legacy_session_id */
    at += 2u + u16(at); /* cipher_suites */
    at += 1u + m[at];   /* legacy_compression_methods */
    *out_list_len_at = at;
    for (at += 2; at + 4 <= m.size(); at += 4u + u16(at + 2)) {
        if (u16(at) == id) {
            return at;
        }
    }
    return 0;
}

} // namespace

LyingTls::LyingTls(const quic_tls_vtable *honest, Lie lie)
    : honest_(honest), vtable_(*honest), lie_(std::move(lie))
{
    if (current != nullptr) {
        abort();
    }
    current = this;
    vtable_.create = create;
}

LyingTls::~LyingTls()
{
    current = nullptr;
}

quic_rc LyingTls::say(quic_level level, const Bytes &data)
{
    const quic_tls_sink &sink = sinks_.back()->honest;
    return sink.on_crypto(sink.ctx, level, data.data(), data.size());
}

quic_rc LyingTls::create(quic_tls **out, const quic_tls_args *args)
{
    quic_tls_args lied = *args;
    Bytes params(args->params, args->params + args->params_len);
    if (current->lie_.params) {
        current->lie_.params(&params);
    }
    lied.params = params.data();
    lied.params_len = params.size();
    current->sinks_.push_back(std::make_unique<Sink>(Sink{args->sink}));
    lied.sink.ctx = current->sinks_.back().get();
    lied.sink.on_secret = on_secret;
    lied.sink.on_crypto = on_crypto;
    lied.sink.on_session = on_session;
    return current->honest_->create(out, &lied);
}

quic_rc LyingTls::on_secret(void *ctx, quic_level level, bool is_write, uint16_t suite,
                            const uint8_t *secret, size_t len)
{
    const quic_tls_sink &sink = static_cast<Sink *>(ctx)->honest;
    return sink.on_secret(sink.ctx, level, is_write, suite, secret, len);
}

quic_rc LyingTls::on_crypto(void *ctx, quic_level level, const uint8_t *data, size_t len)
{
    const quic_tls_sink &sink = static_cast<Sink *>(ctx)->honest;
    Bytes bytes(data, data + len);
    if (current->lie_.crypto) {
        current->lie_.crypto(level, &bytes);
    }
    return bytes.empty() ? QUIC_OK : sink.on_crypto(sink.ctx, level, bytes.data(), bytes.size());
}

void LyingTls::on_session(void *ctx, const uint8_t *data, size_t len)
{
    const quic_tls_sink &sink = static_cast<Sink *>(ctx)->honest;
    if (sink.on_session != nullptr) {
        sink.on_session(sink.ctx, data, len);
    }
}

void remove_param(Bytes *params, uint64_t id)
{
    const uint8_t *p = params->data();
    const uint8_t *end = p + params->size();
    while (p < end) {
        uint64_t this_id = 0;
        uint64_t len = 0;
        size_t head = quic_varint_decode(p, end, &this_id);
        head += quic_varint_decode(p + head, end, &len);
        if (this_id == id) {
            auto at = params->begin() + (p - params->data());
            params->erase(at, at + static_cast<ptrdiff_t>(head + len));
            return;
        }
        p += head + len;
    }
}

void add_param(Bytes *params, uint64_t id, const Bytes &value)
{
    uint8_t head[16];
    size_t n = quic_varint_encode(head, id);
    n += quic_varint_encode(head + n, value.size());
    params->insert(params->end(), head, head + n);
    params->insert(params->end(), value.begin(), value.end());
}

/* Of an extension the first `keep` bytes stay: none, or its head. */
static bool shrink_extension(Bytes *m, uint16_t id, size_t keep)
{
    size_t list_at = 0;
    size_t at = find_extension(*m, id, &list_at);
    if (at == 0) {
        return false;
    }
    size_t len = 4u + static_cast<size_t>((*m)[at + 2] << 8 | (*m)[at + 3]) - keep;
    (*m)[at + 2] = (*m)[at + 3] = 0;
    auto from = m->begin() + static_cast<ptrdiff_t>(at + keep);
    m->erase(from, from + static_cast<ptrdiff_t>(len));
    size_t list = static_cast<size_t>((*m)[list_at] << 8 | (*m)[list_at + 1]) - len;
    (*m)[list_at] = static_cast<uint8_t>(list >> 8);
    (*m)[list_at + 1] = static_cast<uint8_t>(list);
    size_t body = m->size() - 4;
    (*m)[1] = static_cast<uint8_t>(body >> 16);
    (*m)[2] = static_cast<uint8_t>(body >> 8);
    (*m)[3] = static_cast<uint8_t>(body);
    return true;
}

bool remove_extension(Bytes *m, uint16_t id)
{
    return shrink_extension(m, id, 0);
}

bool empty_extension(Bytes *m, uint16_t id)
{
    return shrink_extension(m, id, 4);
}

bool rename_extension(Bytes *m, uint16_t id, uint16_t to)
{
    size_t list_at = 0;
    size_t at = find_extension(*m, id, &list_at);
    if (at == 0) {
        return false;
    }
    (*m)[at] = static_cast<uint8_t>(to >> 8);
    (*m)[at + 1] = static_cast<uint8_t>(to);
    return true;
}

} // namespace hostile
