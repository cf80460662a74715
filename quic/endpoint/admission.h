/* quic/endpoint/admission.h: how many strangers a worker lets in, and how fast it answers them.
 *
 * Shape:  token buckets for the stateless answers and for new Initials; exact counts of connections
 *         and half-open ones; per address prefix (IPv4 address, IPv6 /56) a keyed count-min sketch of
 *         fixed size, so that a flood from many addresses costs no memory.
 * Load:   too many new Initials per second, or half of the half-open connections allowed, and every
 *         stranger must come back with a Retry token, until both have been low for some seconds; all
 *         of them, and strangers are not answered at all. An address with too many half-open ones is asked for
 *         a token, too, and for as long after: who is told this and that in turn, and repeats an Initial in
 *         between, makes a second connection, which nobody goes on with and which stays half-open.
 * Owner:  an endpoint; one worker; no locks.    Spec: RFC 9000 8.1.2, 10.3, 21.3-21.6, 21.11.
 */
#ifndef QUIC_ENDPOINT_ADMISSION_H
#define QUIC_ENDPOINT_ADMISSION_H

#include "quring/config.h"

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_ADMISSION_ROWS  2u
#define QUIC_ADMISSION_CELLS 2048u /* per row; a power of two */
/* Retry under load ends after so many seconds in a row with less than half of what began it. */
#define QUIC_RETRY_CALM_SECONDS 5u
#define QUIC_RETRIES_PER_S      100000u
#define QUIC_SUSPECTS_PER_S     10u /* answers to ports of protocols that answer anybody */
/* Initials of an address in a second that have a good Retry token and cannot be opened, before it is a suspect. */
#define QUIC_BROKEN_PER_ADDR_S 4u

typedef struct quic_rate {
    uint64_t per_s;  /* 0: unlimited */
    uint64_t credit; /* events x 10^9, at most one second's worth */
    quic_ns last;
} quic_rate;

typedef struct quic_admission {
    quring_limits limits;
    uint8_t key[16];
    uint32_t conn_count;
    uint32_t half_open_count;
    quic_rate initial_rate; /* of new ones; above it Retry begins to be demanded */
    quic_rate vain_rate;    /* of those opened though probably nothing comes of it */
    quic_rate retry_rate;
    quic_rate reset_rate;
    quic_rate vn_rate;
    quic_rate suspect_rate;
    bool under_load;        /* Retry is demanded of everybody */
    uint32_t calm_seconds;  /* in a row, up to load_second */
    uint32_t load_count;    /* new Initials in ... */
    quic_ns load_second;    /* ... the second that began here */
    uint64_t load_episodes; /* times under_load began */
    quic_ns resets_end;     /* of the second that `resets` counts */
    uint16_t half_open[QUIC_ADMISSION_ROWS][QUIC_ADMISSION_CELLS];
    uint16_t full_at[QUIC_ADMISSION_ROWS]
                    [QUIC_ADMISSION_CELLS]; /* the last second they were, 1..; 0: never */
    uint16_t conns[QUIC_ADMISSION_ROWS][QUIC_ADMISSION_CELLS];
    quic_ns broken_end; /* of the second that `broken` counts */
    uint16_t broken[QUIC_ADMISSION_ROWS][QUIC_ADMISSION_CELLS];
    uint16_t resets[QUIC_ADMISSION_ROWS][QUIC_ADMISSION_CELLS]; /* per IPv4 /24, IPv6 /48 */
} quic_admission;

typedef enum quic_admission_verdict {
    QUIC_ADMIT,        /* make a connection */
    QUIC_ADMIT_RETRY,  /* answer with Retry first */
    QUIC_ADMIT_REFUSE, /* answer CONNECTION_REFUSED */
    QUIC_ADMIT_DROP,   /* say nothing */
} quic_admission_verdict;

void quic_admission_init(quic_admission *adm, const quring_limits *limits, const uint8_t key[16]);

/* quic_admission_judge says what to do with an Initial that would make a new connection from `from`;
 * `validated` when it carries a good token. Counts nothing but the rate. */
quic_admission_verdict quic_admission_judge(quic_admission *adm, const quic_addr *from,
                                            bool validated, quic_ns now);

/* An Initial is opened before there is a connection, with keys made for it alone, and noise may come with a good Retry
 * token, too, as often as somebody likes who was sent one (RFC 9000 8.1.4).
 *
 * quic_admission_may_open: whether one from `from` with a good Retry token is opened: always, as long as not
 * QUIC_BROKEN_PER_ADDR_S of this second from there could not be; then within the rate of those with a bad token.
 * quic_admission_may_open_vainly spends one of that rate; false: there is none left.
 * quic_admission_was_broken: one with a good Retry token could not be opened. */
QUIC_NODISCARD bool quic_admission_may_open(quic_admission *adm, const quic_addr *from,
                                            quic_ns now);
QUIC_NODISCARD bool quic_admission_may_open_vainly(quic_admission *adm, quic_ns now);
void quic_admission_was_broken(quic_admission *adm, const quic_addr *from, quic_ns now);

/* The life of a connection: opened (half-open when it is a server's), established, closed. Each is
 * called once, `half_open` tells whether the connection still counts as such. */
void quic_admission_opened(quic_admission *adm, const quic_addr *from, bool half_open);
void quic_admission_established(quic_admission *adm, const quic_addr *from);
void quic_admission_closed(quic_admission *adm, const quic_addr *from, bool half_open);

/* quic_admission_may_answer: whether a datagram from `from` to `to` may be answered by one who does not
 * know the sender. Not so when the source can only be a forgery (multicast, ourselves) or is a port
 * whose owner would answer in turn (RFC 9000 21.5). */
bool quic_admission_may_answer(quic_admission *adm, const quic_addr *from, const quic_addr *to,
                               quic_ns now);

/* quic_admission_take_reset spends one stateless reset to `to`; false when there were enough. */
bool quic_admission_take_reset(quic_admission *adm, const quic_addr *to, quic_ns now);

/* quic_rate_take spends one event of the bucket; false when it is empty. */
bool quic_rate_take(quic_rate *rate, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_ENDPOINT_ADMISSION_H */
