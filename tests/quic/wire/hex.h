/* tests/quic/wire/hex.h: bytes from hexadecimal text. */
#ifndef TESTS_QUIC_WIRE_HEX_H
#define TESTS_QUIC_WIRE_HEX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#include <string>
#include <vector>

inline std::vector<uint8_t> FromHex(const std::string &text)
{
    std::vector<uint8_t> out;
    for (size_t i = 0; i + 1 < text.size(); i += 2) {
        out.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
    }
    return out;
}
#endif

#endif /* TESTS_QUIC_WIRE_HEX_H */
