/* runtime/io/io.h: how a worker meets the network: one small table, three back ends (io_uring, epoll,
 * simulated).
 *
 * Shape:   rx: rt_io_wait lets units arrive, rt_io_next_rx hands them out, rt_io_release_rx gives all
 *          of them back at the end of the turn. tx: rt_io_tx_buf carves room out of a small arena of
 *          64 KiB slots, the core fills it, rt_io_tx_submit queues it; flush or wait sends.
 * Owner:   one worker thread, which also creates it; only rt_wake_signal is for other threads.
 * Looks:   who polls, and expects one datagram and not many, may use rt_io_look in place of rt_io_wait.
 * Visits:  with a `door`, the owner holds that lock except while it sleeps inside rt_io_wait, so that another
 *          thread may take it then and send: rt_io_enter, rt_io_tx_buf and _submit, rt_io_leave.
 * Facts:   results come as counters and as send failures to pull; no callback runs from here.
 */
#ifndef RUNTIME_IO_IO_H
#define RUNTIME_IO_IO_H

#include <pthread.h>

#include "quic/base/io.h"
#include "quic/base/types.h"
#include "runtime/io/unsegmented.h"
#include "runtime/io/wake.h"
#include "runtime/udp/udp_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_IO_SOCKETS_MAX    64u
#define RT_IO_SOCKET_NONE    UINT32_MAX
#define RT_IO_UNIT_BYTES_MAX 65507u /* largest UDP payload over IPv4, and largest GSO send */
#define RT_IO_SEGS_MAX       128u   /* segments the kernel takes in one GSO send */
#define RT_IO_SEGS_SURE      64u    /* ... before Linux 6.10 */
#define RT_IO_TX_SLOT_BYTES  65536u
#define RT_IO_FAILURES_MAX   64u

typedef struct rt_io_config {
    uint32_t rx_buf_count;  /* 64 KiB each; a power of two, 1..256 */
    uint32_t tx_slot_count; /* 64 KiB each, 1..32 */
    uint32_t tx_op_count;   /* sends that may be queued or in flight, 1..1024 */
    uint32_t cq_entries;    /* io_uring: completion queue; a power of two */
    bool gso;
} rt_io_config;

/* rt_io_config_init: 16 buffers, 8 slots, 256 sends, 1024 completions, GSO on. */
void rt_io_config_init(rt_io_config *config);

typedef struct rt_io_stats {
    uint64_t syscalls;
    uint64_t rx_units;
    uint64_t rx_nobufs;    /* times receive buffers ran out */
    uint64_t rx_truncated; /* datagrams dropped: cut off by the kernel */
    uint64_t kernel_drops; /* SO_RXQ_OVFL */
    uint64_t tx_units;
    uint64_t tx_errors; /* units (or datagrams of a repeated unit) the kernel refused for good */
    uint64_t tx_again;  /* sends that had to wait for the device */
    uint64_t gso_fallbacks; /* units repeated without segmentation */
} rt_io_stats;

/* A datagram that was too big for its path (EMSGSIZE), for quic_endpoint_on_send_too_big. */
typedef struct rt_io_failure {
    quic_path_addr path;
    uint64_t conn; /* quic_tx_unit.conn */
    uint32_t len;  /* of one datagram */
} rt_io_failure;

/* What rt_io_wait found; 0 when only the deadline passed, or a signal came. */
enum {
    RT_IO_RX = 1u << 0,   /* rt_io_next_rx has something */
    RT_IO_TX = 1u << 1,   /* sends completed: there is room again */
    RT_IO_WAKE = 1u << 2, /* another thread called rt_wake_signal */
};

typedef struct rt_io rt_io;
struct rt_io_sock;  /* runtime/io/io_sock.h */
struct rt_io_guest; /* runtime/io/io_guest.h */
struct rt_io_plain; /* runtime/io/io_plain.h */

typedef struct rt_io_ops {
    const char *name; /* "io_uring", "epoll", "sim" */
    void (*destroy)(rt_io *io);
    int (*add_socket)(rt_io *io, const rt_udp_socket *sock, uint32_t *out_index);
    void (*remove_socket)(rt_io *io, uint32_t index);
    bool (*next_rx)(rt_io *io, quic_rx_unit *out);
    void (*release_rx)(rt_io *io);
    bool (*tx_buf)(rt_io *io, quic_tx_unit *out, uint32_t min_room);
    void (*tx_submit)(rt_io *io, const quic_tx_unit *unit);
    void (*flush)(rt_io *io);
    unsigned (*wait)(rt_io *io, quic_ns now, quic_ns deadline);
    unsigned (*look)(rt_io *io, quic_ns now); /* NULL: as wait */
    bool (*enter)(rt_io *io);
    bool (*leave)(rt_io *io);
    /* By index; NULL: no guests. For io_guest.h. */
    struct rt_io_sock *(*socks)(rt_io *io, uint32_t *out_count);
} rt_io_ops;

/* The head of every back end. */
struct rt_io {
    const rt_io_ops *ops;
    rt_wake wake;
    rt_io_stats stats;
    rt_io_failure failures[RT_IO_FAILURES_MAX];
    uint32_t failure_count;
    uint32_t rx_units_max; /* between two releases: there are so many buffers */
    rt_unsegmented unsegmented;
    bool gso;              /* as configured */
    bool short_trains;     /* the kernel has refused more than RT_IO_SEGS_SURE */
    bool visited;          /* between rt_io_enter and rt_io_leave */
    pthread_mutex_t *door; /* NULL: no visits */
    bool has_looked;       /* `looked` is to be handed out next: the last look found it */
    quic_rx_unit looked;
    struct rt_io_plain *plain; /* NULL: nobody ever looked */
    struct rt_io_guest *guest; /* NULL: there never was one */
};

/* rt_io_destroy closes every socket, and frees. Unsent data is lost. io may be NULL. */
static inline void rt_io_destroy(rt_io *io)
{
    if (io != NULL) {
        io->ops->destroy(io);
    }
}

/* rt_io_add_socket starts receiving on `sock` and owns its descriptor from now on. *out_index is the
 * `socket` of every path over it. Returns 0, or a negative errno (-EUSERS: RT_IO_SOCKETS_MAX);
 * then the descriptor is still the caller's. */
QUIC_NODISCARD static inline int rt_io_add_socket(rt_io *io, const rt_udp_socket *sock,
                                                  uint32_t *out_index)
{
    return io->ops->add_socket(io, sock, out_index);
}

/* rt_io_remove_socket stops receiving and closes the descriptor, at once unless sends are under way on it or this is a
 * visit: then as soon as may be. Later sends to it count as tx_errors. Units received before may still be
 * handed out. */
static inline void rt_io_remove_socket(rt_io *io, uint32_t index)
{
    io->has_looked = io->has_looked && io->looked.path.socket != index;
    io->ops->remove_socket(io, index);
}

/* rt_io_next_rx gives the next received unit, borrowed until rt_io_release_rx; false when there is
 * none without asking the kernel again. At most rx_buf_count units per release. */
static inline bool rt_io_next_rx(rt_io *io, quic_rx_unit *out)
{
    if (QUIC_UNLIKELY(io->has_looked)) {
        io->has_looked = false;
        *out = io->looked;
        return true;
    }
    return io->ops->next_rx(io, out);
}

/* rt_io_release_rx gives back every unit handed out so far. */
static inline void rt_io_release_rx(rt_io *io)
{
    io->ops->release_rx(io);
}

/* rt_io_tx_buf sets buf, cap (at least min_room, at most RT_IO_UNIT_BYTES_MAX) and seg_max of *out
 * and clears the rest. False when all slots or sends are in flight: wait, then ask again. A buffer
 * not submitted is simply forgotten; only one is out at a time. min_room <= RT_IO_UNIT_BYTES_MAX. */
static inline bool rt_io_tx_buf(rt_io *io, quic_tx_unit *out, uint32_t min_room)
{
    bool ok = io->ops->tx_buf(io, out, min_room);
    if (QUIC_UNLIKELY(io->short_trains) && ok) {
        out->seg_max = RT_IO_SEGS_SURE;
    }
    return ok;
}

/* rt_io_tx_submit queues what the core wrote into the last rt_io_tx_buf (len > 0, 0 < seg_len <= len,
 * at most seg_max datagrams). Order per socket is kept. */
static inline void rt_io_tx_submit(rt_io *io, const quic_tx_unit *unit)
{
    io->ops->tx_submit(io, unit);
}

/* rt_io_flush hands every queued send to the kernel. */
static inline void rt_io_flush(rt_io *io)
{
    io->ops->flush(io);
}

/* rt_io_wait flushes and sleeps until something happened or `deadline` (same clock as `now`);
 * deadline <= now polls, QUIC_NS_NEVER sleeps without a limit. Returns RT_IO_* bits. */
static inline unsigned rt_io_wait(rt_io *io, quic_ns now, quic_ns deadline)
{
    return io->ops->wait(io, now, deadline);
}

/* rt_io_look flushes and polls once, as rt_io_wait without a deadline, for who is going to poll again soon: the sockets
 * themselves are asked, one after the other until there is a datagram, which is quicker when there is just one. Take
 * it before the next rt_io_wait, with which the back end receives in its own way again. With many sockets, and while
 * sends wait for the device, it is an rt_io_wait. Returns RT_IO_* bits; RT_IO_WAKE and RT_IO_TX may come only from the
 * next rt_io_wait. */
static inline unsigned rt_io_look(rt_io *io, quic_ns now)
{
    return io->ops->look != NULL ? io->ops->look(io, now) : io->ops->wait(io, now, 0);
}

/* rt_io_enter begins a visit of another thread, which has taken the door. False: sends are queued that the
 * kernel has not seen, and would be overtaken; nothing has begun then. */
static inline bool rt_io_enter(rt_io *io)
{
    io->visited = io->ops->enter(io);
    return io->visited;
}

/* rt_io_leave sends what the visitor submitted, and ends the visit; the door is given back after it.
 * True: the owner has to go on with something: wake it. */
QUIC_NODISCARD static inline bool rt_io_leave(rt_io *io)
{
    bool owes = io->ops->leave(io);
    io->visited = false;
    return owes;
}

/* For back ends, around a system call that sleeps. */
static inline void rt_io_open_door(rt_io *io)
{
    if (QUIC_UNLIKELY(io->door != NULL)) {
        (void)pthread_mutex_unlock(io->door);
    }
}
static inline void rt_io_shut_door(rt_io *io)
{
    if (QUIC_UNLIKELY(io->door != NULL)) {
        (void)pthread_mutex_lock(io->door);
    }
}

/* rt_io_next_failure pulls one EMSGSIZE fact; false when there is none. Beyond RT_IO_FAILURES_MAX
 * they are only counted. */
bool rt_io_next_failure(rt_io *io, rt_io_failure *out);

/* rt_io_note_failure is for back ends: files the fact and counts it. */
void rt_io_note_failure(rt_io *io, const quic_path_addr *path, uint64_t conn, uint32_t len);

static inline const rt_io_stats *rt_io_get_stats(const rt_io *io)
{
    return &io->stats;
}

static inline const char *rt_io_name(const rt_io *io)
{
    return io->ops->name;
}

static inline rt_wake *rt_io_wake(rt_io *io)
{
    return &io->wake;
}

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_H */
