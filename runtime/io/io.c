#include "runtime/io/io.h"

void rt_io_config_init(rt_io_config *config)
{
    config->rx_buf_count = 16;
    config->tx_slot_count = 8;
    config->tx_op_count = 256;
    config->cq_entries = 1024;
    config->gso = true;
}

bool rt_io_next_failure(rt_io *io, rt_io_failure *out)
{
    if (io->failure_count == 0) {
        return false;
    }
    *out = io->failures[--io->failure_count];
    return true;
}

static bool is_same_failure(const rt_io_failure *f, const quic_path_addr *path, uint64_t conn,
                            uint32_t len)
{
    return f->conn == conn && f->len == len && f->path.socket == path->socket &&
           quic_addr_equal(&f->path.remote, &path->remote) &&
           quic_addr_equal(&f->path.local, &path->local);
}

void rt_io_note_failure(rt_io *io, const quic_path_addr *path, uint64_t conn, uint32_t len)
{
    io->stats.tx_errors++;
    /* A train that leaves datagram by datagram fails with each: said once, there is room for others. */
    if (io->failure_count > 0 &&
        is_same_failure(&io->failures[io->failure_count - 1], path, conn, len)) {
        return;
    }
    if (io->failure_count < RT_IO_FAILURES_MAX) {
        rt_io_failure *f = &io->failures[io->failure_count++];
        f->path = *path;
        f->conn = conn;
        f->len = len;
    }
}
