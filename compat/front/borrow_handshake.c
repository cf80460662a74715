/* Handshakes on a borrowed socket, and reading their files. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "compat/front/borrow.h"
#include "compat/front/call.h"
#include "compat/front/lend_handshake.h"

static bool qf_say_string(uint8_t *data, uint32_t *len, const char *text)
{
    size_t more = strlen(text) + 1;
    if (more > QF_WIRE_DATA - *len) {
        return false;
    }
    memcpy(data + *len, text, more);
    *len += (uint32_t)more;
    return true;
}

/* A file's bytes, read with the rights and in the folder of this process; -errno. */
static int qf_say_file(uint8_t *data, uint32_t *len, const char *name)
{
    const uint32_t start = *len;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && *len < QF_WIRE_DATA) {
        got = QF_REAL(read)(fd, data + *len, QF_WIRE_DATA - *len);
        *len += got > 0 ? (uint32_t)got : 0;
    }
    int rc = got < 0 ? -errno : got > 0 ? -EFBIG : (int)(*len - start);
    if (fd >= 0) {
        QF_REAL(close)(fd);
    }
    return rc;
}

/* The bytes of the question, -errno for a file that cannot be read. */
static int qf_say_handshake(uint8_t *data, const qs_handshake_args *args)
{
    qf_handshake_head head = {args->is_server ? QF_SAYS_SERVER : 0, args->timeout_ms, 0, 0};
    uint32_t len = (uint32_t)sizeof(head);
    int rc = 0;
    if (args->server_name != NULL) {
        head.says |= QF_SAYS_NAME;
        rc = qf_say_string(data, &len, args->server_name) ? rc : -EINVAL;
    }
    if (args->alpn != NULL) {
        head.says |= QF_SAYS_ALPN;
        rc = qf_say_string(data, &len, args->alpn) ? rc : -EINVAL;
    }
    if (rc == 0 && args->key_file != NULL) {
        head.says |= QF_SAYS_KEY;
        rc = qf_say_file(data, &len, args->key_file);
        head.key_len = (uint32_t)rc;
    }
    if (rc >= 0 && args->cert_file != NULL) {
        head.says |= QF_SAYS_CERT;
        rc = qf_say_file(data, &len, args->cert_file);
        head.cert_len = (uint32_t)rc;
    }
    memcpy(data, &head, sizeof(head));
    return rc < 0 ? rc : (int)len;
}

/* The lender's word, and the end of it: what it took is free there then. */
static int qf_hear_result(int fd)
{
    int64_t result = -EBADF;
    int64_t heard = 0;
    ssize_t got;
    do {
        got = QF_REAL(recv)(fd, &heard, sizeof(heard), 0);
        result = got == (ssize_t)sizeof(heard) ? heard : result;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return (int)result;
}

/* Where the result will come is in *out_fd. */
static int qf_ask_handshake(qf_borrowed *b, const uint8_t *data, uint32_t len, int *out_fd)
{
    qf_asking asking;
    qf_told told;
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_HANDSHAKE);
    asking.ask.len.data = len;
    memcpy(body->bytes, data, len);
    int64_t rc = qf_ask_now(b, &asking, &told, out_fd);
    explicit_bzero(body->bytes, len); /* the key */
    qf_ask_end(b, &asking);
    return (int)rc;
}

int qf_borrowed_handshake(qs_sock *sock, const qs_handshake_args *args)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    int result = -1;
    uint8_t *data = malloc(QF_WIRE_DATA);
    if (data == NULL) {
        return -ENOMEM;
    }
    int rc =
        qf_say_handshake(data, args); /* a file may be slow: nobody waits for it but this thread */
    const int spare = rc > 0 ? qf_has_spare() : 0; /* else it would shake hands for nobody */
    rc = spare != 0 ? spare : rc;
    if (rc > 0) {
        rc = qf_ask_handshake(b, data, (uint32_t)rc, &result);
        rc = rc != 0 ? rc : result >= 0 ? qf_hear_result(result) : -EMFILE;
    }
    if (result >= 0) {
        QF_REAL(close)(result);
    }
    explicit_bzero(data, QF_WIRE_DATA);
    free(data);
    return rc;
}
