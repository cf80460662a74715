/* runtime/core/relay.h: datagrams for other processes that receive at the same address.
 *
 * Shape:   the kernel gives a datagram to any process of a SO_REUSEPORT group, and to another one when the
 *          group changes. Connection IDs name the process (quic/path/cid_format.h); who gets what another one
 *          owns sends it on to that one's inbox (runtime/udp/process.h), several in one message.
 * Message: who sends it, whether an answer is wanted, then any number of records: addresses, ECN mark,
 *          segment size, and the datagrams.
 * Known:   only processes are sent to that have sent something themselves: any user of the machine may
 *          have taken a name, but not send in this user's. One that leaves a question unanswered for a
 *          second is not known any more, until it answers the next one; nor one whose inbox is gone.
 * Bound:   an inbox holds what the kernel lets it (net.unix.max_dgram_qlen messages); what is beyond is
 *          lost, as on the wire.
 * Owner:   a relay belongs to the listener, a batch to a worker.
 * Threads: all workers use a relay: rt_relay_open and rt_relay_close before and after, the rest any.
 */
#ifndef RUNTIME_CORE_RELAY_H
#define RUNTIME_CORE_RELAY_H

#include "quic/base/io.h"
#include "runtime/udp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_RELAY_MESSAGE_MAX 65000u /* bytes; a receive buffer holds it */
#define RT_RELAY_HOPS_MAX    8u  /* processes that hand a stranger on because they do not listen */
#define RT_RELAY_EARLY_MAX   64u /* messages of a turn that had to leave for one to somebody else */

typedef struct rt_relay rt_relay;

enum {
    RT_RELAY_ACCEPTS =
        1u << 0, /* processes listen there; otherwise connections there are move there */
    RT_RELAY_FIRST = 1u << 1, /* nobody had the address before */
};

/* rt_relay_open makes the relay of `addr`; *out_inbox is its inbox, to be added to one worker. `process`
 * outlives it. Returns 0; -EADDRINUSE (this process has one); another negative errno. */
QUIC_NODISCARD int rt_relay_open(rt_relay **out, rt_udp_socket *out_inbox,
                                 const rt_process *process, const quic_addr *addr, uint32_t flags);
void rt_relay_close(rt_relay *relay); /* NULL is fine */

/* rt_relay_join is for who is not the first: announces until one that was there has answered, as those do
 * that share the address. Waits, at most a second; before the inbox is a worker's. Returns 0; -EADDRINUSE:
 * nobody has. */
QUIC_NODISCARD int rt_relay_join(rt_relay *relay, const rt_udp_socket *inbox);

/* rt_relay_announce tells all processes that this one is there, and asks who they are. */
void rt_relay_announce(rt_relay *relay, quic_ns now);

uint8_t rt_relay_self(const rt_relay *relay);
bool rt_relay_accepts(const rt_relay *relay);

/* Who owns what names process `number`. */
typedef enum rt_relay_owner {
    RT_RELAY_NOBODY, /* no such process: whoever has it may treat it as its own */
    RT_RELAY_OTHER,  /* that one: rt_relay_add */
    RT_RELAY_UNSURE, /* somebody has the name and was asked who it is: nobody may answer for it */
} rt_relay_owner;

/* rt_relay_find is asked about datagrams of connections; rt_relay_knows, which asks nobody, about those that
 * may begin one: their connection IDs are chosen by the client, at random. */
rt_relay_owner rt_relay_find(rt_relay *relay, uint8_t number, quic_ns now);
bool rt_relay_knows(const rt_relay *relay, uint8_t number);

/* rt_relay_next gives the next process after this one, in a circle, for what this one does not listen for;
 * false: it is alone. */
bool rt_relay_next(const rt_relay *relay, uint8_t *out_number);

/* ---- sending ------------------------------------------------------------------------------------ */

/* One message that grows during a turn. All zero: empty. */
typedef struct rt_relay_batch {
    uint8_t *buf; /* made when it is first needed */
    uint32_t len;
    uint32_t units;
    uint32_t early; /* messages sent in this turn as the next unit was for another process */
    uint8_t to;
    rt_relay *relay;
    uint64_t sent; /* units, since the beginning */
    uint64_t lost;
} rt_relay_batch;

void rt_relay_batch_deinit(rt_relay_batch *batch);

/* rt_relay_add copies a unit into the message for process `number`; `hops` is 0 for what the kernel
 * brought. What waits for others is sent first; after RT_RELAY_EARLY_MAX of these the unit is lost, as a message
 * costs far more than a datagram, which anybody may send. rt_relay_flush ends the turn: it sends what waits. */
void rt_relay_add(rt_relay_batch *batch, rt_relay *relay, uint8_t number, const quic_rx_unit *unit,
                  uint32_t hops, quic_ns now);
void rt_relay_flush(rt_relay_batch *batch, quic_ns now);

/* ---- receiving ----------------------------------------------------------------------------------- */

typedef struct rt_relay_reader {
    uint8_t *at;
    uint32_t left;
} rt_relay_reader;

/* rt_relay_read begins with a message that came to the inbox, and answers it if it asks. rt_relay_read_next
 * gives the next unit, whose bytes stay in the message; path.socket is left 0. False: no more. */
void rt_relay_read(rt_relay_reader *reader, rt_relay *relay, uint8_t *data, uint32_t len,
                   quic_ns now);
bool rt_relay_read_next(rt_relay_reader *reader, quic_rx_unit *out, uint32_t *out_hops);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_RELAY_H */
