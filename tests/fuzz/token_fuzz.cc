/* Tokens, session tickets and the Retry tag: only what we made opens, for whom we made it; any change of
 * it does not. Bytes out of nowhere never do. */
#include "quic/crypto/retry.h"
#include "quic/crypto/session_ticket.h"
#include "quic/crypto/token.h"
#include "quic/wire/version.h"
#include "tests/fuzz/fuzz.h"

namespace
{

struct World {
    quic_token_keys tokens{};
    quic_ticket_keys tickets{};
    quic_rng_seeded_state state{7};
    quic_rng rng{};
    quic_addr client{};

    World()
    {
        uint8_t secret[32] = {1, 2, 3};
        quic_token_keys_derive(&tokens, secret);
        quic_ticket_keys_derive(&tickets, secret);
        rng = quic_rng_seeded(&state);
        client.family = 4;
        client.port = 4000;
        client.ip[0] = 10;
    }
};

/* Changes `made` as the input says: flips, cuts, extends. True: it is another one now. */
bool spoil(fuzz::Input *in, std::vector<uint8_t> *made)
{
    std::vector<uint8_t> before = *made;
    for (uint8_t n = in->u8() % 4; n > 0; n--) {
        uint8_t how = in->u8();
        if (how < 160 && !made->empty()) {
            (*made)[in->u16() % made->size()] ^= in->u8();
        } else if (how < 200 && !made->empty()) {
            made->resize(in->u16() % made->size());
        } else {
            std::vector<uint8_t> more = in->bytes(how % 16);
            made->insert(made->end(), more.begin(), more.end());
        }
    }
    return *made != before;
}

void check_retry(World &w, fuzz::Input *in)
{
    const quic_ns life = 10 * QUIC_NS_PER_S;
    quic_ns issued = in->spread() >> 8;
    quic_cid odcid{};
    quic_cid scid{};
    fuzz::Exact bytes(in->bytes(8 + in->u8() % 13));
    quic_cid_set(&odcid, bytes.data(), bytes.size());
    scid.len = 8;
    std::vector<uint8_t> token(QUIC_TOKEN_RETRY_LEN);
    FUZZ_CHECK(quic_token_retry_make(&w.tokens, token.data(), &w.rng, &w.client, QUIC_VERSION_1,
                                     &odcid, &scid, issued) == QUIC_OK);
    quic_addr from = w.client;
    bool other = (in->u8() & 3) == 1;
    from.port = static_cast<uint16_t>(from.port + (other ? 1 : 0));
    quic_ns age = in->spread() >> 8;
    const uint8_t type = token[0];
    bool spoiled = spoil(in, &token);
    quic_token_retry out;
    fuzz::Exact exact(token);
    quic_rc rc = quic_token_retry_open(&w.tokens, &out, exact.data(), exact.size(), &from,
                                       QUIC_VERSION_1, life, issued + age);
    if (token.size() != QUIC_TOKEN_RETRY_LEN || token[0] != type) {
        FUZZ_CHECK(rc == QUIC_E_DROP);
    } else if (spoiled || other || age > life + QUIC_NS_PER_S) {
        FUZZ_CHECK(rc ==
                   QUIC_V_INVALID_TOKEN); /* RFC 9000 8.1.2: one of ours, but not as we made it */
    } else if (age < life) {
        FUZZ_CHECK(rc == QUIC_OK);
        FUZZ_CHECK(quic_cid_equal(&out.original_dcid, &odcid));
        FUZZ_CHECK(quic_cid_equal(&out.retry_scid, &scid));
    }
}

void check_new(World &w, fuzz::Input *in)
{
    const quic_ns life = 3600 * QUIC_NS_PER_S;
    quic_ns issued = in->spread() >> 8;
    std::vector<uint8_t> token(QUIC_TOKEN_NEW_LEN);
    FUZZ_CHECK(quic_token_new_make(&w.tokens, token.data(), &w.rng, &w.client, 1, issued) ==
               QUIC_OK);
    quic_addr from = w.client;
    bool other = (in->u8() & 3) == 1;
    from.ip[3] = other ? 9 : from.ip[3];
    from.port = in->u16();
    uint32_t version = (in->u8() & 7) == 1 ? QUIC_VERSION_2 : QUIC_VERSION_1;
    quic_ns age = in->spread() >> 8;
    bool spoiled = spoil(in, &token);
    quic_token_new out;
    fuzz::Exact exact(token);
    quic_rc rc = quic_token_new_open(&w.tokens, &out, exact.data(), exact.size(), &from, version,
                                     life, issued + age);
    if (spoiled) {
        FUZZ_CHECK(rc == QUIC_E_DROP);
    } else if (other || version != QUIC_VERSION_1 || age > life + QUIC_NS_PER_S) {
        FUZZ_CHECK(rc == QUIC_E_STATE);
    } else if (age < life) {
        FUZZ_CHECK(rc == QUIC_OK);
    }
}

void check_ticket(World &w, fuzz::Input *in)
{
    std::vector<uint8_t> session = in->bytes(in->u8());
    fuzz::Exact sealed(session);
    quic_ticket_stamp stamp{};
    stamp.register_id = in->u64();
    stamp.issued = in->spread();
    std::vector<uint8_t> ticket(session.size() + QUIC_TICKET_OVERHEAD);
    size_t n = 0;
    FUZZ_CHECK(quic_ticket_seal(&w.tickets, ticket.data(), &n, ticket.size(), &stamp, sealed.data(),
                                sealed.size(), &w.rng) == QUIC_OK);
    FUZZ_CHECK(n == ticket.size());
    bool spoiled = spoil(in, &ticket);
    fuzz::Exact exact(ticket);
    std::vector<uint8_t> out(ticket.size() + 1);
    quic_ticket_stamp got{};
    quic_rc rc =
        quic_ticket_open(&w.tickets, out.data(), &n, out.size(), &got, exact.data(), exact.size());
    FUZZ_CHECK(rc == (spoiled ? QUIC_E_DROP : QUIC_OK));
    if (!spoiled) {
        out.resize(n);
        FUZZ_CHECK(out == session && got.register_id == stamp.register_id &&
                   got.issued == stamp.issued);
    }
}

void check_retry_tag(fuzz::Input *in)
{
    quic_cid odcid{};
    uint32_t version = (in->u8() & 1) != 0 ? QUIC_VERSION_2 : QUIC_VERSION_1;
    fuzz::Exact bytes(in->bytes(in->u8() % 21));
    quic_cid_set(&odcid, bytes.data(), bytes.size());
    std::vector<uint8_t> packet = in->bytes(in->u16() % 600);
    fuzz::Exact untagged(packet);
    uint8_t tag[16];
    FUZZ_CHECK(quic_retry_tag_make(tag, version, &odcid, untagged.data(), untagged.size()) ==
               QUIC_OK);
    packet.insert(packet.end(), tag, tag + sizeof(tag));
    bool spoiled = spoil(in, &packet);
    fuzz::Exact exact(packet);
    FUZZ_CHECK(quic_retry_tag_check(version, &odcid, exact.data(), exact.size()) == !spoiled);
}

/* Keys of its own: the fuzzer reads what is compared, and remembers tokens that the others made. */
void check_anything(World &w, fuzz::Input *in)
{
    const uint8_t secret[32] = {4, 5, 6};
    quic_token_keys_derive(&w.tokens, secret);
    quic_ticket_keys_derive(&w.tickets, secret);
    fuzz::Exact exact(in->bytes(2048));
    quic_token_retry retry;
    quic_token_new fresh;
    quic_ticket_stamp stamp;
    std::vector<uint8_t> out(exact.size() + 1);
    size_t n = 0;
    quic_rc rc = quic_token_retry_open(&w.tokens, &retry, exact.data(), exact.size(), &w.client,
                                       QUIC_VERSION_1, 1, 1);
    FUZZ_CHECK(rc == QUIC_E_DROP || (rc == QUIC_V_INVALID_TOKEN && /* it looks like one */
                                     exact.size() == QUIC_TOKEN_RETRY_LEN));
    FUZZ_CHECK(quic_token_new_open(&w.tokens, &fresh, exact.data(), exact.size(), &w.client, 1, 1,
                                   1) == QUIC_E_DROP);
    FUZZ_CHECK(quic_ticket_open(&w.tickets, out.data(), &n, out.size(), &stamp, exact.data(),
                                exact.size()) == QUIC_E_DROP);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz::Input in(data, len);
    World w;
    switch (in.u8() % 5) {
    case 0:
        check_retry(w, &in);
        break;
    case 1:
        check_new(w, &in);
        break;
    case 2:
        check_ticket(w, &in);
        break;
    case 3:
        check_retry_tag(&in);
        break;
    default:
        check_anything(w, &in);
        break;
    }
    return 0;
}
