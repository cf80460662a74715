/* Sends garbage datagrams to a UDP port of the loopback interface as fast as the socket takes them:
 *   flood PORT COUNT SEED [FILE]
 * FILE holds real datagrams to damage, each as a big-endian 16-bit length and that many bytes. The
 * last line says how many left. Exit status 0, or 1 with a reason. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH        64u
#define DATAGRAM_MAX 2048u
#define SAMPLES_MAX  64u
#define SOCKETS      8u
/* A pause after so many batches: the garbage shall reach the server, not its full socket buffer. */
#define BATCHES_PER_PAUSE 4u
#define PAUSE_NS          400000L

typedef struct sample {
    uint8_t data[DATAGRAM_MAX];
    size_t len;
} sample;

static sample samples[SAMPLES_MAX];
static unsigned sample_count;
static uint64_t state;

static uint64_t next_random(void)
{
    /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

static void fill(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t r = next_random();
        memcpy(out + i, &r, len - i < 8 ? len - i : 8);
    }
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* A long header: version, connection IDs of any length the version-independent layout allows. */
static size_t long_header(uint8_t *out, uint8_t first, uint32_t version, size_t cid_max, size_t len)
{
    fill(out, len);
    out[0] = first;
    put_u32(out + 1, version);
    size_t dcid = below(cid_max + 1);
    out[5] = (uint8_t)dcid;
    out[6 + dcid] = (uint8_t)below(cid_max + 1);
    return len;
}

/* An Initial in form, with a token and a Length that fit, and a payload nobody sealed. */
static size_t forged_initial(uint8_t *out)
{
    size_t len = 1200 + below(200);
    fill(out, len);
    out[0] = (uint8_t)(0xc0 | (out[0] & 0x0f));
    put_u32(out + 1, 1);
    uint8_t *p = out + 5;
    *p++ = 8;
    p += 8;
    *p++ = 8;
    p += 8;
    size_t token = below(64);
    *p++ = (uint8_t)token;
    p += token;
    size_t rest = len - (size_t)(p - out) - 2;
    p[0] = (uint8_t)(0x40 | rest >> 8);
    p[1] = (uint8_t)rest;
    return len;
}

static size_t damaged(uint8_t *out)
{
    const sample *from = &samples[below(sample_count)];
    size_t len = from->len;
    memcpy(out, from->data, len);
    switch (below(5)) {
    case 0: /* said before */
        break;
    case 1: /* cut short */
        len = below(len + 1);
        break;
    case 2: /* another connection ID, and then nothing fits */
        fill(out + 6, 8);
        break;
    default: /* some bits flipped */
        for (size_t flips = 1 + below(8); flips > 0; flips--) {
            out[below(len)] ^= (uint8_t)(1u << below(8));
        }
        break;
    }
    return len;
}

static size_t make(uint8_t *out)
{
    size_t kind = below(sample_count > 0 ? 10 : 6);
    size_t len;
    switch (kind) {
    case 0:
        len = below(DATAGRAM_MAX + 1);
        fill(out, len);
        return len;
    case 1: /* short header, a connection nobody has */
        len = 1 + below(1400);
        fill(out, len);
        out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
        return len;
    case 2: /* a version nobody speaks */
        return long_header(out, (uint8_t)(0xc0 | below(64)), (uint32_t)next_random() | 2u, 255,
                           600 + below(900));
    case 3: /* version negotiation, and the known version with any type */
        return long_header(out, (uint8_t)(0x80 | below(128)), below(2) == 0 ? 0 : 1, 24,
                           60 + below(1400));
    case 4:
    case 5:
        return forged_initial(out);
    default:
        return damaged(out);
    }
}

static int load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return -1;
    }
    int hi;
    while (sample_count < SAMPLES_MAX && (hi = fgetc(file)) != EOF) {
        sample *s = &samples[sample_count];
        s->len = (size_t)hi << 8 | (size_t)(fgetc(file) & 0xff);
        if (s->len == 0 || s->len > DATAGRAM_MAX || fread(s->data, 1, s->len, file) != s->len) {
            break;
        }
        sample_count++;
    }
    (void)fclose(file);
    return 0;
}

static int open_sockets(int fds[SOCKETS], uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < SOCKETS; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&to, sizeof(to)) != 0) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static uint8_t data[BATCH][DATAGRAM_MAX + 8];
    struct mmsghdr msgs[BATCH];
    struct iovec iovs[BATCH];
    int fds[SOCKETS];
    if (argc < 4) {
        fputs("usage: flood PORT COUNT SEED [FILE]\n", stderr);
        return 2;
    }
    unsigned long long count = strtoull(argv[2], NULL, 10);
    state = strtoull(argv[3], NULL, 10) * 2 + 1;
    if ((argc > 4 && load(argv[4]) != 0) ||
        open_sockets(fds, (uint16_t)strtoul(argv[1], NULL, 10)) != 0) {
        perror("flood");
        return 1;
    }
    unsigned long long sent = 0;
    for (unsigned round = 0; sent < count; round++) {
        unsigned n = count - sent < BATCH ? (unsigned)(count - sent) : BATCH;
        memset(msgs, 0, sizeof(msgs));
        for (unsigned i = 0; i < n; i++) {
            iovs[i].iov_base = data[i];
            iovs[i].iov_len = make(data[i]);
            msgs[i].msg_hdr.msg_iov = &iovs[i];
            msgs[i].msg_hdr.msg_iovlen = 1;
        }
        for (unsigned done = 0; done < n;) {
            int rc = sendmmsg(fds[round % SOCKETS], msgs + done, n - done, 0);
            if (rc < 0 && errno != EINTR && errno != ECONNREFUSED && errno != ENOBUFS) {
                perror("flood: sendmmsg");
                return 1;
            }
            done += rc > 0 ? (unsigned)rc : 0;
        }
        sent += n;
        if (round % BATCHES_PER_PAUSE == 0) {
            nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
        }
    }
    printf("%llu datagrams, %u samples\n", sent, sample_count);
    return 0;
}
