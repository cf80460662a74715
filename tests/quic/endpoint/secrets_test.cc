/* What an endpoint knows is gone with it. */
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/session_ticket.h"
#include "quic/crypto/token.h"
#include "tests/quic/endpoint/net.h"

namespace
{

/* Memory that looks at what is given back. */
struct Watch {
    std::vector<std::vector<uint8_t>> secrets;
    int leaks = 0;
    int allocs_left = 1000;

    void add(const uint8_t *data, size_t len)
    {
        secrets.emplace_back(data, data + len);
    }
    static void *alloc(void *ctx, size_t size)
    {
        return static_cast<Watch *>(ctx)->allocs_left-- > 0 ? malloc(size) : nullptr;
    }
    static void release(void *ctx, void *ptr, size_t size)
    {
        auto *watch = static_cast<Watch *>(ctx);
        const auto *at = static_cast<const uint8_t *>(ptr);
        for (const auto &s : watch->secrets) {
            watch->leaks += std::search(at, at + size, s.begin(), s.end()) != at + size ? 1 : 0;
        }
        free(ptr);
    }
};

TEST(Secrets, AreNotInWhatAnEndpointGivesBack)
{
    for (int allocs : {1000, 2}) { /* also when it comes to nothing */
        Watch watch;
        watch.allocs_left = allocs;
        quic_rng_seeded_state rng{3};
        quic_endpoint_config config{};
        memset(config.root_secret, 0x5e, sizeof(config.root_secret));
        memset(config.previous_root_secret, 0xe5, sizeof(config.previous_root_secret));
        config.has_previous_secret = true;
        config.worker_count = 1;
        config.allocator = {Watch::alloc, Watch::release, &watch};
        config.rng = quic_rng_seeded(&rng);
        config.crypto = quic_crypto_boringssl();
        config.limits = sim::sim_limits();
        quic_token_keys tokens;
        quic_ticket_keys tickets;
        quic_token_keys_derive(&tokens, config.root_secret);
        quic_ticket_keys_derive(&tickets, config.previous_root_secret);
        watch.add(config.root_secret, sizeof(config.root_secret));
        watch.add(config.previous_root_secret, sizeof(config.previous_root_secret));
        watch.add(tokens.current.retry_key, sizeof(tokens.current.retry_key));
        watch.add(tickets.current, sizeof(tickets.current));
        quic_endpoint *ep = nullptr;
        EXPECT_EQ(quic_endpoint_create(&ep, &config), allocs > 2 ? QUIC_OK : QUIC_E_NOMEM);
        quic_endpoint_destroy(ep);
        EXPECT_EQ(watch.leaks, 0);
    }
}

} // namespace
