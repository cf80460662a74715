#include "tools/quicperf/tickets.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void qp_ticket_free(quring_bytes *ticket)
{
    free((void *)(uintptr_t)ticket->data);
    ticket->data = NULL;
    ticket->len = 0;
}

void qp_tickets_push(qp_tickets *tickets, quring_bytes ticket)
{
    if (tickets->count == tickets->cap) {
        size_t cap = tickets->cap == 0 ? 16 : tickets->cap * 2;
        quring_bytes *grown =
            cap > QP_TICKETS_MAX ? NULL : realloc(tickets->list, cap * sizeof(*grown));
        if (grown == NULL) {
            return;
        }
        tickets->list = grown;
        tickets->cap = cap;
    }
    uint8_t *copy = ticket.len > 0 ? malloc(ticket.len) : NULL;
    if (copy != NULL) {
        memcpy(copy, ticket.data, ticket.len);
        tickets->list[tickets->count++] = (quring_bytes){copy, ticket.len};
    }
}

quring_bytes qp_tickets_take(qp_tickets *tickets)
{
    if (tickets->count > 0) {
        qp_ticket_free(&tickets->last);
        tickets->last = tickets->list[--tickets->count];
    }
    return tickets->last;
}

void qp_tickets_deinit(qp_tickets *tickets)
{
    while (tickets->count > 0) {
        qp_ticket_free(&tickets->list[--tickets->count]);
    }
    qp_ticket_free(&tickets->last);
    free(tickets->list);
    memset(tickets, 0, sizeof(*tickets));
}
