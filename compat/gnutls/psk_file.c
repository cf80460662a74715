#include "compat/gnutls/psk_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QG_LINE_MAX 1024u

/* 0..15, or -1. */
static int digit_of(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static int read_key(gnutls_datum_t *key, const char *hex)
{
    size_t len = strlen(hex);
    if (len == 0 || len % 2 != 0) {
        return -EINVAL;
    }
    key->data = (unsigned char *)malloc(len / 2);
    if (key->data == NULL) {
        return -ENOMEM;
    }
    key->size = (unsigned)(len / 2);
    for (unsigned i = 0; i < key->size; i++) {
        int high = digit_of(hex[2 * (size_t)i]);
        int low = digit_of(hex[2 * (size_t)i + 1]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        key->data[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static int read_line(struct quic_handshake_parms *parms, char *line, bool at_end)
{
    size_t len = strcspn(line, "\r\n");
    if (line[len] == '\0' && !at_end) {
        return -EINVAL; /* longer than it may be, or no text */
    }
    line[len] = '\0';
    char *colon = strrchr(line, ':');
    if (len == 0) {
        return 0;
    }
    if (colon == NULL || colon == line) {
        return -EINVAL;
    }
    *colon = '\0';
    uint32_t at = parms->num_keys++;
    parms->names[at] = strdup(line);
    return parms->names[at] == NULL ? -ENOMEM : read_key(&parms->keys[at], colon + 1);
}

int qg_psk_read(struct quic_handshake_parms *parms, const char *path)
{
    char line[QG_LINE_MAX];
    FILE *file = fopen(path, "re");
    int rc = file == NULL ? -errno : 0;
    if (rc != 0) {
        return rc;
    }
    errno = 0;
    while (rc == 0 && parms->num_keys < QG_KEYS_MAX && fgets(line, sizeof(line), file) != NULL) {
        rc = read_line(parms, line, feof(file) != 0);
    }
    if (rc == 0 && ferror(file) != 0) {
        rc = errno != 0 ? -errno : -EIO;
    }
    (void)fclose(file);
    gnutls_memset(line, 0, sizeof(line));
    return rc == 0 && parms->num_keys == 0 ? -EINVAL : rc;
}

void qg_psk_free(struct quic_handshake_parms *parms)
{
    for (uint32_t i = 0; i < QG_KEYS_MAX; i++) {
        if (parms->keys[i].data != NULL) {
            gnutls_memset(parms->keys[i].data, 0, parms->keys[i].size);
        }
        free(parms->keys[i].data);
        free(parms->names[i]);
    }
    memset(parms, 0, sizeof(*parms));
}
