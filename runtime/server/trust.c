#include "runtime/server/trust.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/server/error.h"

#define RT_TRUST_PATH_MAX  1024u
#define RT_TRUST_FILES_MAX 4096u /* of one directory */

/* Debian, Fedora, openSUSE, Alpine and the BSDs. */
static const char *const rt_trust_places[] = {"/etc/ssl/certs/ca-certificates.crt",
                                              "/etc/pki/tls/certs/ca-bundle.crt",
                                              "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

/* Appends every readable file of the directory; what is no certificate between is skipped later by
 * the PEM reader. A newline in between keeps files without a final one apart. */
static int rt_trust_read_dir(rt_file *out, const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return -errno;
    }
    int rc = 0;
    uint32_t files = 0;
    const struct dirent *entry;
    while (rc == 0 && files < RT_TRUST_FILES_MAX && (entry = readdir(d)) != NULL) {
        char path[RT_TRUST_PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof(path)) {
            continue;
        }
        if (rt_file_read(out, path) == 0) {
            files++;
            rc = rt_file_append(out, "\n", 1);
        }
    }
    closedir(d);
    return rc;
}

/* SSL_CERT_DIR is one directory or several with colons in between. */
static quring_status rt_trust_load_dirs(rt_file *out, const char *list, quring_error *err)
{
    const char *at = list;
    while (*at != '\0') {
        size_t len = strcspn(at, ":");
        char dir[RT_TRUST_PATH_MAX];
        if (len > 0 && len < sizeof(dir)) {
            memcpy(dir, at, len);
            dir[len] = '\0';
            int rc = rt_trust_read_dir(out, dir);
            if (rc != 0) {
                return rt_error_os(err, QURING_E_TLS, -rc, "SSL_CERT_DIR: %.120s", dir);
            }
        }
        at += len + (at[len] == ':' ? 1 : 0);
    }
    if (out->len == 0) {
        return rt_error_set(err, QURING_E_TLS, "SSL_CERT_DIR: no certificates in %.150s", list);
    }
    return QURING_OK;
}

quring_status rt_trust_load(rt_file *out, quring_error *err)
{
    const char *file = getenv("SSL_CERT_FILE");
    const char *dirs = getenv("SSL_CERT_DIR");
    if (file != NULL && file[0] != '\0') {
        int rc = rt_file_read(out, file);
        if (rc != 0) {
            return rt_error_os(err, QURING_E_TLS, -rc, "SSL_CERT_FILE: %.120s", file);
        }
        return QURING_OK;
    }
    if (dirs != NULL && dirs[0] != '\0') {
        return rt_trust_load_dirs(out, dirs, err);
    }
    for (size_t i = 0; i < sizeof(rt_trust_places) / sizeof(rt_trust_places[0]); i++) {
        if (rt_file_read(out, rt_trust_places[i]) == 0 && out->len > 0) {
            return QURING_OK;
        }
    }
    return rt_error_set(err, QURING_E_TLS,
                        "no trust anchors found (%s and others): set ca_file or SSL_CERT_FILE",
                        rt_trust_places[0]);
}
