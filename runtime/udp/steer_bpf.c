#include "runtime/udp/steer_bpf.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

#define LONG_HEADER_BIT 0x80u
#define DCID_LEN_OFF    5u /* flags, version: RFC 8999 5.1 */
#define WORKERS_MAX     64u

int rt_steer_attach(int fd, uint32_t worker_count, uint32_t cid_len)
{
    if (worker_count == 0 || worker_count > WORKERS_MAX || cid_len == 0 ||
        cid_len > QUIC_CID_LEN_MAX) {
        return -EINVAL;
    }
    /* Offset 0 is the first byte of the UDP payload. A load beyond the datagram ends the program
     * with 0 or the hash; such a datagram is not QUIC. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER_BIT, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, DCID_LEN_OFF),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, DCID_LEN_OFF),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, cid_len),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, worker_count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) != 0) {
        return -errno;
    }
    return 0;
}

uint32_t rt_steer_pick(const uint8_t *data, size_t len, uint32_t worker_count, uint32_t cid_len)
{
    if (len == 0) {
        return worker_count;
    }
    size_t off = cid_len;
    if ((data[0] & LONG_HEADER_BIT) != 0) {
        off = len > DCID_LEN_OFF ? (size_t)DCID_LEN_OFF + data[DCID_LEN_OFF] : len;
    }
    return len > off ? data[off] % worker_count : worker_count;
}
