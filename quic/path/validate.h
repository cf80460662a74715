/* quic/path/validate.h: whether a peer can be reached at an address: one path validation.
 *
 * Shape:  start -> challenges with data of their own, repeated with growing pauses -> a response with
 *         the data of any of them, or the timer. The side that answers needs no state but the queue in
 *         quic/path/path.h; both sides share the padding rule at the end of this file.
 * Owner:  the connection, one per path on trial; time and randomness are arguments.
 * Spec:   RFC 9000 8.2, 9.
 */
#ifndef QUIC_PATH_VALIDATE_H
#define QUIC_PATH_VALIDATE_H

#include "quic/base/rng.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_PATH_CHALLENGE_LEN  8u
#define QUIC_PATH_CHALLENGES_MAX 4u /* sent at most, in one validation */
#define QUIC_PATH_TIMEOUT_PTOS   3u /* RFC 9000 8.2.4 */

typedef enum quic_validate_state {
    QUIC_VALIDATE_NONE = 0,
    QUIC_VALIDATE_ADDRESS, /* neither address nor size are proved */
    QUIC_VALIDATE_SIZE,    /* the address is; the challenge was too small to prove 1200 bytes */
    QUIC_VALIDATE_DONE,
    QUIC_VALIDATE_FAILED,
} quic_validate_state;

typedef struct quic_validate {
    quic_ns deadline_ns; /* abandoned then; NEVER when nothing goes on */
    quic_ns next_ns;     /* the next challenge is due; NEVER when none is left to send */
    quic_ns pto_ns;
    uint8_t state; /* quic_validate_state */
    uint8_t sent_count;
    bool full_size[QUIC_PATH_CHALLENGES_MAX];
    uint8_t data[QUIC_PATH_CHALLENGES_MAX][QUIC_PATH_CHALLENGE_LEN];
} quic_validate;

/* quic_validate_init makes one at rest. quic_validate_start begins (again) at `now`; pto_ns is the
 * larger of the connection's probe timeout and that of a path of unknown RTT (RFC 9000 8.2.4). */
void quic_validate_init(quic_validate *v);
void quic_validate_start(quic_validate *v, quic_ns pto_ns, quic_ns now);
void quic_validate_cancel(quic_validate *v);

static inline bool quic_validate_is_active(const quic_validate *v)
{
    return v->state == QUIC_VALIDATE_ADDRESS || v->state == QUIC_VALIDATE_SIZE;
}

/* quic_validate_is_due: a PATH_CHALLENGE should leave. */
static inline bool quic_validate_is_due(const quic_validate *v, quic_ns now)
{
    return v->next_ns <= now;
}

/* quic_validate_next gives the data of the challenge that is due: fresh for each (RFC 9000 8.2.1).
 * Valid until quic_validate_on_sent, which takes note: `full_size` when the datagram had 1200 bytes. */
const uint8_t *quic_validate_next(quic_validate *v, const quic_rng *rng);
void quic_validate_on_sent(quic_validate *v, bool full_size, quic_ns now);

/* What a PATH_RESPONSE or the timer means. */
typedef enum quic_validate_fact {
    QUIC_VALIDATE_FACT_NONE = 0,
    QUIC_VALIDATE_FACT_ADDRESS, /* the address is valid; another challenge of full size follows */
    QUIC_VALIDATE_FACT_DONE,    /* address and size are */
    QUIC_VALIDATE_FACT_FAILED,  /* time is up; when the address was proved before it stays so */
    QUIC_VALIDATE_FACT_UNKNOWN, /* data we never sent: RFC 9000 19.18 allows PROTOCOL_VIOLATION */
} quic_validate_fact;

/* quic_validate_on_response takes the data of a PATH_RESPONSE, from whatever path it came
 * (RFC 9000 8.2.3). Data of a challenge of a validation that is over give NONE. */
quic_validate_fact quic_validate_on_response(quic_validate *v,
                                             const uint8_t data[QUIC_PATH_CHALLENGE_LEN],
                                             quic_ns now);

/* quic_validate_deadline: when quic_validate_on_timeout or a challenge is due. */
static inline quic_ns quic_validate_deadline(const quic_validate *v)
{
    return v->next_ns < v->deadline_ns ? v->next_ns : v->deadline_ns;
}

/* quic_validate_on_timeout: FAILED when the deadline is past, otherwise NONE. */
quic_validate_fact quic_validate_on_timeout(quic_validate *v, quic_ns now);

/* quic_validate_pad_len: how large a datagram with PATH_CHALLENGE or PATH_RESPONSE has to be: 1200
 * bytes, where the address's credit allows it (RFC 9000 8.2.1, 8.2.2). Where it does not, padding would
 * prove nothing, and use up what the next challenge or an acknowledgement needs. */
static inline uint32_t quic_validate_pad_len(uint64_t credit)
{
    return credit < QUIC_MIN_INITIAL_LEN ? 0 : QUIC_MIN_INITIAL_LEN;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_VALIDATE_H */
