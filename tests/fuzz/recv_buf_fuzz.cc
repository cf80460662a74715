/* Reassembly against a plain array: the same bytes come out, the same offsets count as new, and the
 * memory stays within twice the window. */
#include "quic/stream/recv_buf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/alloc.h"

namespace
{

constexpr uint32_t kWindow = 1 << 14;
constexpr uint32_t kGaps = 16;
constexpr uint32_t kGapsAtMost = kGaps + kWindow / QUIC_RECV_GAP_SPAN;

uint8_t byte_at(uint64_t off)
{
    return static_cast<uint8_t>(off * 131 + (off >> 8) * 17);
}

struct Model {
    std::vector<bool> have;
    uint64_t read = 0;
    uint64_t end = 0;
    uint64_t final_size = QUIC_FINAL_SIZE_UNKNOWN;

    bool has(uint64_t off) const
    {
        return off < read || (off < have.size() && have[off]);
    }
    uint64_t next() const
    {
        uint64_t off = read;
        while (has(off)) {
            off++;
        }
        return off;
    }
    bool all(uint64_t lo, uint64_t hi) const
    {
        for (uint64_t off = lo; off < hi; off++) {
            if (!has(off)) {
                return false;
            }
        }
        return true;
    }
    void add(uint64_t lo, uint64_t hi)
    {
        have.resize(hi > have.size() ? hi : have.size());
        for (uint64_t off = lo; off < hi; off++) {
            have[off] = true;
        }
        end = hi > end ? hi : end;
    }
};

void check_readable(const quic_recv_buf &rb, const Model &m)
{
    quic_recv_span spans[2];
    uint64_t n = quic_recv_buf_peek(&rb, spans);
    FUZZ_CHECK(n == m.next() - m.read && n == spans[0].len + spans[1].len);
    uint64_t off = m.read;
    for (const quic_recv_span &s : spans) {
        for (size_t i = 0; i < s.len; i++, off++) {
            FUZZ_CHECK(s.data[i] == byte_at(off));
        }
    }
}

/* A frame: [off, off + len), with or without the end. */
void insert(quic_recv_buf *rb, Model *m, fuzz::Input *in)
{
    uint64_t off = m->read + in->u16() % kWindow;
    off = (in->u8() & 1) != 0 && off >= 64 ? off - 64 : off;
    uint64_t len = in->u8() % 200;
    bool fin = (in->u8() & 7) == 7;
    uint64_t end = off + len;
    quic_rc rc = quic_recv_buf_check_end(rb, end, fin, m->read + kWindow);
    bool wrong = m->final_size != QUIC_FINAL_SIZE_UNKNOWN
                     ? end > m->final_size || (fin && end != m->final_size)
                     : fin && end < m->end;
    bool beyond = end > m->read + kWindow;
    FUZZ_CHECK((rc == QUIC_V_FINAL_SIZE) == wrong);
    FUZZ_CHECK((rc == QUIC_V_FLOW_CONTROL) == (!wrong && beyond));
    FUZZ_CHECK((rc == QUIC_OK) == (!wrong && !beyond));
    if (rc != QUIC_OK) {
        return;
    }
    std::vector<uint8_t> data(len);
    for (uint64_t i = 0; i < len; i++) {
        data[i] = byte_at(off + i);
    }
    fuzz::Exact exact(data);
    uint64_t fresh = UINT64_MAX;
    bool known = end <= m->end && m->all(off, end);
    FUZZ_CHECK(quic_recv_buf_is_known(rb, off, end) == known);
    rc = quic_recv_buf_insert(rb, &fresh, off, exact.data(), len);
    if (rc == QUIC_E_LIMIT) {
        FUZZ_CHECK(fresh == UINT64_MAX && rb->ahead.count >= kGaps);
        return;
    }
    FUZZ_CHECK(rc == QUIC_OK);
    FUZZ_CHECK(fresh == (end > m->end ? end - m->end : 0));
    m->add(off, end);
    if (fin) {
        quic_recv_buf_set_final(rb, end);
        m->final_size = end;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz::Input in(bytes, size);
    sim::Alloc alloc;
    quic_allocator table = alloc.table();
    quic_mem mem;
    quic_mem_init_root(&mem, &table, 1u << 20);
    quic_recv_buf rb;
    quic_recv_buf_init(&rb, &mem, kGaps);
    Model m;
    bool discarded = false;
    for (int steps = 0; in.left() > 0 && steps < 2000 && !discarded; steps++) {
        uint8_t op = in.u8();
        if (op < 200) {
            insert(&rb, &m, &in);
        } else if (op < 250) {
            uint64_t n = quic_recv_buf_readable(&rb);
            n = n == 0 ? 0 : in.u16() % (n + 1);
            quic_recv_buf_consume(&rb, n);
            m.read += n;
        } else if (op < 254) {
            quic_recv_buf_trim(&rb);
        } else {
            FUZZ_CHECK(quic_recv_buf_discard(&rb) == m.end - m.read);
            m.read = m.end;
            FUZZ_CHECK(alloc.bytes() == 0);
            discarded = true;
        }
        check_readable(rb, m);
        FUZZ_CHECK(rb.end_off == m.end);
        FUZZ_CHECK(rb.ahead.count <= kGapsAtMost);
        FUZZ_CHECK(quic_recv_buf_all_received(&rb) == (m.next() == m.final_size));
        FUZZ_CHECK(rb.ahead.count <= kGaps || rb.shorts <= kGaps);
        FUZZ_CHECK(alloc.bytes() <= 2 * kWindow + kGapsAtMost * 9 / 8 * sizeof(quic_range));
    }
    quic_recv_buf_deinit(&rb);
    FUZZ_CHECK(alloc.bytes() == 0);
    return 0;
}
