#include "runtime/limit/pingpong_wire.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL_REQUESTS = 'q', LABEL_ANSWERS = 'r' };

quic_rc rt_pingpong_wire_init(rt_pingpong_wire *wire, const quic_crypto *crypto, uint32_t bytes,
                              bool asks)
{
    memset(wire, 0, sizeof(*wire));
    wire->bytes = bytes;
    if (crypto == NULL) {
        return QUIC_OK;
    }
    wire->app = calloc(1, bytes);
    if (wire->app == NULL) {
        return QUIC_E_NOMEM;
    }
    quic_rc rc =
        rt_limit_wire_init(&wire->seal, crypto, asks ? LABEL_REQUESTS : LABEL_ANSWERS, wire->app);
    return rc != QUIC_OK ? rc
                         : rt_limit_wire_init(&wire->open, crypto,
                                              asks ? LABEL_ANSWERS : LABEL_REQUESTS, wire->app);
}

void rt_pingpong_wire_deinit(rt_pingpong_wire *wire)
{
    rt_limit_wire_deinit(&wire->seal);
    rt_limit_wire_deinit(&wire->open);
    free(wire->app);
    wire->app = NULL;
}

uint32_t rt_pingpong_wire_len(const rt_pingpong_wire *wire)
{
    return wire->bytes + (wire->seal.keys != NULL ? RT_LIMIT_OVERHEAD : 0);
}

void rt_pingpong_wire_fill(rt_pingpong_wire *wire, uint8_t *out)
{
    if (wire->seal.keys == NULL) {
        memset(out, 0, wire->bytes);
        return;
    }
    wire->seal.app_off = 0; /* a request is where the last one was */
    rt_limit_wire_seal(&wire->seal, out, 1, rt_pingpong_wire_len(wire));
}

bool rt_pingpong_wire_take(rt_pingpong_wire *wire, uint8_t *data, size_t len)
{
    if (len != rt_pingpong_wire_len(wire)) {
        return false;
    }
    wire->open.app_off = 0;
    return wire->open.keys == NULL || rt_limit_wire_open(&wire->open, data, len, len) == 1;
}
