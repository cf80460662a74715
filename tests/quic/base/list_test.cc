#include <vector>

#include <gtest/gtest.h>

#include "quic/base/list.h"

namespace
{

struct Item {
    int id;
    quic_list_node link;
};

std::vector<int> Walk(const quic_list *list)
{
    std::vector<int> ids;
    for (quic_list_node *n = quic_list_front(list); n != nullptr; n = quic_list_next(list, n)) {
        ids.push_back(QUIC_CONTAINER_OF(n, Item, link)->id);
    }
    return ids;
}

TEST(List, PushPopRemove)
{
    quic_list list;
    quic_list_init(&list);
    EXPECT_TRUE(quic_list_is_empty(&list));
    EXPECT_EQ(quic_list_front(&list), nullptr);
    EXPECT_EQ(quic_list_back(&list), nullptr);
    EXPECT_EQ(quic_list_pop_front(&list), nullptr);
    Item items[4] = {};
    for (int i = 0; i < 4; i++) {
        items[i].id = i;
        EXPECT_FALSE(quic_list_is_linked(&items[i].link));
    }
    quic_list_push_back(&list, &items[1].link);
    quic_list_push_back(&list, &items[2].link);
    quic_list_push_front(&list, &items[0].link);
    quic_list_insert_before(&items[2].link, &items[3].link);
    EXPECT_EQ(Walk(&list), (std::vector<int>{0, 1, 3, 2}));
    EXPECT_EQ(quic_list_back(&list), &items[2].link);
    EXPECT_TRUE(quic_list_is_linked(&items[3].link));
    quic_list_remove(&items[1].link);
    quic_list_remove(&items[1].link);
    EXPECT_FALSE(quic_list_is_linked(&items[1].link));
    EXPECT_EQ(Walk(&list), (std::vector<int>{0, 3, 2}));
    EXPECT_EQ(quic_list_pop_front(&list), &items[0].link);
    quic_list_push_back(&list, &items[0].link);
    EXPECT_EQ(Walk(&list), (std::vector<int>{3, 2, 0}));
    while (quic_list_pop_front(&list) != nullptr) {
    }
    EXPECT_TRUE(quic_list_is_empty(&list));
}

} // namespace
