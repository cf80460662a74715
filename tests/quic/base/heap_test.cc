#include <cstring>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/heap.h"
#include "quic/base/rng.h"
#include "tests/quic/base/test_mem.h"

namespace
{

class HeapTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        quic_heap_init(&heap, &tm.mem, 100);
    }

    void TearDown() override
    {
        quic_heap_deinit(&heap);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }

    void CheckOrder()
    {
        for (uint32_t i = 0; i < heap.count; i++) {
            const quic_heap_node *node = heap.nodes[heap.ids[i]];
            ASSERT_EQ(node->id, heap.ids[i] + 1);
            ASSERT_EQ(heap.places[heap.ids[i]], i);
            ASSERT_EQ(quic_heap_key(&heap, node), heap.keys[i]);
            if (i > 0) {
                ASSERT_LE(heap.keys[(i - 1) / 4], heap.keys[i]);
            }
        }
        std::vector<bool> seen(heap.cap); /* identities not in use: each once, and no other */
        for (uint32_t i = heap.count, id = heap.free_id; i < heap.cap; i++, id = heap.places[id]) {
            ASSERT_LT(id, heap.cap);
            ASSERT_FALSE(seen[id]);
            seen[id] = true;
        }
        for (uint32_t i = 0; i < heap.count; i++) {
            ASSERT_FALSE(seen[heap.ids[i]]);
        }
    }

    test_mem tm;
    quic_heap heap;
};

TEST_F(HeapTest, EmptyHeap)
{
    EXPECT_EQ(quic_heap_peek(&heap), nullptr);
    EXPECT_EQ(quic_heap_pop(&heap), nullptr);
    EXPECT_EQ(quic_heap_next_key(&heap), QUIC_NS_NEVER);
    quic_heap_node node = {};
    EXPECT_FALSE(quic_heap_is_queued(&node));
    quic_heap_remove(&heap, &node);
}

TEST_F(HeapTest, PopsInOrder)
{
    quic_heap_node nodes[50] = {};
    for (uint32_t i = 0; i < 50; i++) {
        ASSERT_EQ(quic_heap_push(&heap, &nodes[i], (i * 37) % 50), QUIC_OK);
    }
    for (uint64_t want = 0; want < 50; want++) {
        EXPECT_EQ(quic_heap_next_key(&heap), want);
        const quic_heap_node *first = quic_heap_peek(&heap);
        ASSERT_NE(first, nullptr);
        EXPECT_EQ(quic_heap_key(&heap, first), want);
        quic_heap_node *node = quic_heap_pop(&heap);
        ASSERT_EQ(node, first);
        EXPECT_FALSE(quic_heap_is_queued(node));
    }
}

TEST_F(HeapTest, BoundsAndRefusals)
{
    quic_heap_node nodes[101] = {};
    tm.refuse = true;
    EXPECT_EQ(quic_heap_push(&heap, &nodes[0], 1), QUIC_E_NOMEM);
    EXPECT_FALSE(quic_heap_is_queued(&nodes[0]));
    tm.refuse = false;
    EXPECT_EQ(quic_heap_reserve(&heap, 101), QUIC_E_LIMIT);
    ASSERT_EQ(quic_heap_reserve(&heap, 100), QUIC_OK);
    uint64_t allocs = tm.mem.alloc_count;
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(quic_heap_set(&heap, &nodes[i], 5), QUIC_OK);
        ASSERT_EQ(quic_heap_set(&heap, &nodes[i], 200u - static_cast<unsigned>(i)), QUIC_OK);
    }
    EXPECT_EQ(quic_heap_push(&heap, &nodes[100], 1), QUIC_E_LIMIT);
    EXPECT_EQ(tm.mem.alloc_count, allocs);
    CheckOrder();
    quic_heap_deinit(&heap); /* before the nodes go */
}

/* Others move out of the way of a deadline without a look at the nodes themselves: with many connections each would
 * be waited for. What is in them meanwhile, as long as it comes back before their turn, does not matter. */
TEST_F(HeapTest, MovingOneTouchesNoOtherNode)
{
    quic_heap_node nodes[100] = {};
    for (uint32_t i = 0; i < 100; i++) {
        ASSERT_EQ(quic_heap_push(&heap, &nodes[i], 1000 + i), QUIC_OK);
    }
    quic_heap_node kept[100];
    memcpy(kept, nodes, sizeof(nodes));
    memset(nodes, 0xee, sizeof(nodes));
    for (uint32_t i = 0; i < 100;
         i++) { /* each from the front to the back, and to the front again */
        nodes[i] = kept[i];
        ASSERT_EQ(quic_heap_set(&heap, &nodes[i], 5000 + i), QUIC_OK);
        ASSERT_EQ(quic_heap_set(&heap, &nodes[i], 10), QUIC_OK);
        ASSERT_EQ(quic_heap_peek(&heap), &nodes[i]);
        ASSERT_EQ(quic_heap_set(&heap, &nodes[i], 3000 - i), QUIC_OK);
        nodes[i].id = 0xeeeeeeee;
    }
    memcpy(nodes, kept, sizeof(nodes));
    CheckOrder();
    for (uint32_t i = 100; i-- > 0;) {
        ASSERT_EQ(quic_heap_pop(&heap), &nodes[i]);
    }
}

TEST_F(HeapTest, DeinitUnqueues)
{
    quic_heap_node node = {};
    ASSERT_EQ(quic_heap_push(&heap, &node, 1), QUIC_OK);
    quic_heap_deinit(&heap);
    EXPECT_FALSE(quic_heap_is_queued(&node));
}

TEST_F(HeapTest, MatchesANaiveModel)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        quic_rng_seeded_state state = {seed};
        quic_rng rng = quic_rng_seeded(&state);
        std::vector<quic_heap_node> nodes(100);
        std::map<quic_heap_node *, quic_ns> model;
        for (int step = 0; step < 3000; step++) {
            quic_heap_node *node = &nodes[quic_rng_u64(&rng) % nodes.size()];
            quic_ns key = quic_rng_u64(&rng) % 64;
            switch (quic_rng_u64(&rng) % 4) {
            case 0:
            case 1:
                ASSERT_EQ(quic_heap_set(&heap, node, key), QUIC_OK);
                model[node] = key;
                break;
            case 2:
                quic_heap_remove(&heap, node);
                model.erase(node);
                break;
            default:
                node = quic_heap_pop(&heap);
                ASSERT_EQ(node == nullptr, model.empty());
                if (node != nullptr) {
                    for (const auto &entry : model) {
                        ASSERT_GE(entry.second, model[node]);
                    }
                    model.erase(node);
                }
                break;
            }
            ASSERT_EQ(heap.count, model.size());
            if (step % 64 == 0) {
                CheckOrder();
            }
        }
        while (quic_heap_pop(&heap) != nullptr) {
        }
    }
}

} // namespace
