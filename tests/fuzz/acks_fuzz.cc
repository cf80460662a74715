/* Range sets against a bitmap, and the ACK tracker against the set of what was really received. */
#include <set>

#include "quic/base/range_set.h"
#include "quic/recovery/ack_tracker.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/alloc.h"

namespace
{

constexpr unsigned kBits = 256;

void check_set(const quic_range_set &set, const std::vector<bool> &model)
{
    uint32_t runs = 0;
    for (unsigned i = 0; i < kBits; i++) {
        FUZZ_CHECK(quic_range_set_contains(&set, i) == model[i]);
        runs += model[i] && (i == 0 || !model[i - 1]) ? 1 : 0;
    }
    FUZZ_CHECK(set.count == runs); /* none touches the next */
}

void fuzz_ranges(fuzz::Input *in, quic_mem *mem)
{
    uint32_t max = 1 + in->u8() % 32;
    quic_range_set set;
    quic_range_set_init(&set, mem, max);
    std::vector<bool> model(kBits);
    for (int steps = 0; in->left() > 0 && steps < 500; steps++) {
        uint8_t op = in->u8();
        unsigned a = in->u8();
        unsigned b = in->u8();
        unsigned lo = a < b ? a : b;
        unsigned hi = a < b ? b : a;
        hi = (op & 0x80) != 0 ? lo : hi;
        if (op % 4 == 0) {
            quic_rc rc = quic_range_set_add(&set, lo, hi);
            FUZZ_CHECK(rc == QUIC_OK || (rc == QUIC_E_LIMIT && set.count == max));
            for (unsigned i = lo; rc == QUIC_OK && i <= hi; i++) {
                model[i] = true;
            }
        } else if (op % 4 == 1) {
            quic_rc rc = quic_range_set_subtract(&set, lo, hi);
            FUZZ_CHECK(rc == QUIC_OK || (rc == QUIC_E_LIMIT && set.count == max));
            for (unsigned i = lo; rc == QUIC_OK && i <= hi; i++) {
                model[i] = false;
            }
        } else if (op % 4 == 2) {
            quic_range_set_remove_below(&set, lo);
            for (unsigned i = 0; i < lo; i++) {
                model[i] = false;
            }
        } else {
            uint64_t missing = 0;
            for (unsigned i = lo; i <= hi; i++) {
                missing += model[i] ? 0 : 1;
            }
            FUZZ_CHECK(quic_range_set_missing(&set, lo, hi) == missing);
        }
        check_set(set, model);
    }
    quic_range_set_deinit(&set);
}

void check_tracker(const quic_ack_tracker &t, const std::set<uint64_t> &got, uint64_t largest)
{
    const quic_range_set *ranges = quic_ack_tracker_ranges(&t);
    for (uint32_t i = 0; i < ranges->count; i++) { /* nothing is acknowledged that did not come */
        const quic_range *r = quic_range_set_at(ranges, i);
        FUZZ_CHECK(r->hi - r->lo < 1u << 20);
        for (uint64_t pn = r->lo; pn <= r->hi; pn++) {
            FUZZ_CHECK(got.count(pn) == 1);
        }
    }
    FUZZ_CHECK(got.empty() ||
               (quic_ack_tracker_largest(&t) == largest && quic_range_set_max(ranges) == largest));
    FUZZ_CHECK(!quic_ack_tracker_pending(&t) || ranges->count > 0);
    FUZZ_CHECK(quic_ack_tracker_pending(&t) == (quic_ack_tracker_deadline(&t) != QUIC_NS_NEVER));
}

void fuzz_tracker(fuzz::Input *in, quic_mem *mem)
{
    uint32_t max = 2 + in->u8() % 30;
    quic_ns delay = (in->u8() & 1) != 0 ? 25 * QUIC_NS_PER_MS : 0;
    quic_ack_tracker t;
    quic_ack_tracker_init(&t, mem, max, delay);
    std::set<uint64_t> got;
    uint64_t largest = 0;
    uint64_t top = in->spread() >> 4;
    uint64_t named = UINT64_MAX; /* of the last ACK frame */
    quic_ns now = 1;
    for (int steps = 0; in->left() > 0 && steps < 1000; steps++) {
        uint8_t op = in->u8();
        now += op * 1000u;
        if (op < 200) {
            uint64_t pn = (op & 1) != 0 ? top++ : top + in->u8();
            pn = (op & 2) != 0 && pn >= 100 ? pn - in->u8() % 100 : pn;
            bool known = quic_ack_tracker_is_duplicate(&t, pn);
            FUZZ_CHECK(known || got.count(pn) == 0);
            if (known) {
                FUZZ_CHECK(got.count(pn) == 1 || pn < t.min_pn);
                continue;
            }
            FUZZ_CHECK(quic_ack_tracker_on_packet(&t, pn, (op & 4) != 0, op & 3, now) == QUIC_OK);
            largest = got.empty() || pn > largest ? pn : largest;
            got.insert(pn);
            top = pn > top ? pn : top;
            FUZZ_CHECK(quic_ack_tracker_is_duplicate(&t, pn));
        } else if (op < 225) {
            if (quic_ack_tracker_pending(&t)) {
                named = quic_ack_tracker_on_ack_sent(&t);
                FUZZ_CHECK(named == largest);
                FUZZ_CHECK(!quic_ack_tracker_pending(&t));
            }
        } else if (op < 240) {
            quic_ack_tracker_force(&t, now);
        } else if (named != UINT64_MAX) {
            quic_ack_tracker_on_ack_acked(&t, named);
        }
        check_tracker(t, got, largest);
    }
    quic_ack_tracker_deinit(&t);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz::Input in(data, len);
    sim::Alloc alloc;
    quic_allocator table = alloc.table();
    quic_mem mem;
    quic_mem_init_root(&mem, &table, 1u << 20);
    if ((in.u8() & 1) != 0) {
        fuzz_ranges(&in, &mem);
    } else {
        fuzz_tracker(&in, &mem);
    }
    FUZZ_CHECK(alloc.bytes() == 0);
    return 0;
}
