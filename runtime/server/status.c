#include <stddef.h>

#include "quring/base.h"

typedef struct rt_status_entry {
    quring_status status;
    const char *name;
    const char *text;
} rt_status_entry;

static const rt_status_entry rt_status_table[] = {
    {QURING_OK, "QURING_OK", "The call succeeded."},
    {QURING_E_AGAIN, "QURING_E_AGAIN", "Not possible now; an event says when to try again."},
    {QURING_E_INVAL, "QURING_E_INVAL", "An argument or a configuration field is out of its range."},
    {QURING_E_STATE, "QURING_E_STATE",
     "The object is gone, closed, or in a state that forbids the call."},
    {QURING_E_LIMIT, "QURING_E_LIMIT", "A configured bound is reached."},
    {QURING_E_NOMEM, "QURING_E_NOMEM", "Memory could not be had, or the memory cap is reached."},
    {QURING_E_THREAD, "QURING_E_THREAD",
     "The call belongs on the worker that owns the object; quring_post gets there."},
    {QURING_E_OS, "QURING_E_OS", "The operating system refused the request."},
    {QURING_E_ADDR_IN_USE, "QURING_E_ADDR_IN_USE", "Another socket holds the address."},
    {QURING_E_TLS, "QURING_E_TLS",
     "The certificate, the key or the TLS configuration cannot be used."},
    {QURING_E_NOT_SUPPORTED, "QURING_E_NOT_SUPPORTED",
     "This build, this machine or this peer lacks it."},
    {QURING_E_NAME, "QURING_E_NAME", "The text could not be turned into an address."},
    {QURING_E_TOO_LARGE, "QURING_E_TOO_LARGE",
     "It is larger than a packet, or the buffer given, can hold."},
    {QURING_E_INTERRUPTED, "QURING_E_INTERRUPTED",
     "A signal handler without SA_RESTART has run meanwhile."},
};

/* Codes are 0, -1, -2 ... in the order of the table, so the index is the negated code. */
static const rt_status_entry *rt_status_find(quring_status status)
{
    const size_t count = sizeof(rt_status_table) / sizeof(rt_status_table[0]);
    if (status > 0 || status <= -(quring_status)count) {
        return NULL;
    }
    return &rt_status_table[-status];
}

const char *quring_status_name(quring_status status)
{
    const rt_status_entry *entry = rt_status_find(status);
    return entry != NULL ? entry->name : "QURING_E_UNKNOWN";
}

const char *quring_status_text(quring_status status)
{
    const rt_status_entry *entry = rt_status_find(status);
    return entry != NULL ? entry->text : "This is not a status of this library.";
}
