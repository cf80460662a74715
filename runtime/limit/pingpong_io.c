#include "runtime/limit/pingpong_io.h"

#include <string.h>

#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/io/io_select.h"
#include "runtime/udp/sockaddr.h"

#define SOCKET_BUF_BYTES (256u << 10)
#define RX_UNITS_MAX     16u

static int open_socket(rt_udp_socket *out)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    rt_udp_options options;
    memset(&options, 0, sizeof(options));
    options.local = rt_addr_from_in4(loopback, 0);
    options.gso = true;
    options.gro = true;
    options.buf_bytes = SOCKET_BUF_BYTES;
    return rt_udp_open(out, &options);
}

int rt_pingpong_io_bind(rt_pingpong_io *ask, rt_pingpong_io *answer)
{
    int rc = open_socket(&ask->sock);
    if (rc != 0) {
        return rc;
    }
    rc = open_socket(&answer->sock);
    if (rc != 0) {
        rt_udp_close(&ask->sock);
        return rc;
    }
    ask->path.local = ask->sock.local;
    ask->path.remote = answer->sock.local;
    answer->path.local = answer->sock.local;
    answer->path.remote = ask->sock.local;
    return 0;
}

int rt_pingpong_io_open(rt_pingpong_io *end, quring_io_backend backend)
{
    char why[RT_IO_WHY_BYTES];
    rt_io_config config;
    rt_io_config_init(&config);
    int rc = rt_io_select(&end->io, why, backend, &config);
    if (rc == 0) {
        rc = rt_io_add_socket(end->io, &end->sock, &end->path.socket);
    }
    if (rc == 0) {
        end->sock.fd = -1;               /* the back end's now */
        (void)rt_io_wait(end->io, 0, 0); /* receiving begins */
    }
    return rc;
}

void rt_pingpong_io_close(rt_pingpong_io *end)
{
    rt_io_destroy(end->io);
    end->io = NULL;
    rt_udp_close(&end->sock);
}

bool rt_pingpong_io_send(rt_pingpong_io *end, rt_pingpong_wire *wire)
{
    const uint32_t len = rt_pingpong_wire_len(wire);
    quic_tx_unit unit;
    if (!rt_io_tx_buf(end->io, &unit, len)) {
        return false;
    }
    rt_pingpong_wire_fill(wire, unit.buf);
    unit.len = len;
    unit.seg_len = len;
    unit.path = end->path;
    rt_io_tx_submit(end->io, &unit);
    return true;
}

static uint32_t take(rt_io *io, rt_pingpong_wire *wire)
{
    quic_rx_unit unit;
    uint32_t count = 0;
    for (uint32_t n = 0; n < RX_UNITS_MAX && rt_io_next_rx(io, &unit); n++) {
        count += rt_pingpong_wire_take(wire, unit.data, unit.len) ? 1 : 0;
    }
    rt_io_release_rx(io);
    return count;
}

uint32_t rt_pingpong_io_recv(rt_pingpong_io *end, rt_pingpong_wire *wire, bool spin,
                             quic_ns wait_ns)
{
    quic_ns now = rt_clock_now();
    quic_ns until = now + wait_ns;
    while (now < until) {
        unsigned found = spin ? rt_io_look(end->io, now) : rt_io_wait(end->io, now, until);
        if ((found & RT_IO_RX) != 0) {
            return take(end->io, wire);
        }
        rt_cpu_relax();
        now = rt_clock_now();
    }
    return 0;
}
