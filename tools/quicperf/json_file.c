#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/quicperf/report.h"
#include "tools/quicperf/setup.h"

/* The name of the file itself: behind symbolic links, where it has to be replaced. */
static char *qp_json_target(const char *path)
{
    char *target = realpath(path, NULL);
    return target != NULL ? target : strdup(path); /* it is not there yet */
}

static bool qp_json_is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* A file of its own beside the target, readable as fopen would make it. */
static FILE *qp_json_open_part(qp_json_file *out)
{
    if (out->target == NULL || asprintf(&out->part, "%s.XXXXXX", out->target) < 0) {
        out->part = NULL;
        errno = ENOMEM;
        return NULL;
    }
    int fd = mkstemp(out->part);
    if (fd < 0) {
        return NULL;
    }
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
    FILE *file = fdopen(fd, "w");
    if (file == NULL) {
        (void)close(fd);
        (void)unlink(out->part);
    }
    return file;
}

/* Whether the document can be written is known before the run, and nothing is left of that if the run is killed. */
static bool qp_json_try(qp_json_file *out)
{
    out->target = qp_json_target(out->path);
    FILE *file = qp_json_open_part(out);
    if (file == NULL) {
        return false;
    }
    (void)fclose(file);
    (void)unlink(out->part);
    free(out->part);
    out->part = NULL;
    return true;
}

static void qp_json_forget(qp_json_file *out)
{
    free(out->target);
    free(out->part);
    out->target = NULL;
    out->part = NULL;
    out->file = NULL;
}

bool qp_json_file_open(qp_json_file *out, const char *path)
{
    memset(out, 0, sizeof(*out));
    out->path = path;
    if (path == NULL) {
        return true;
    }
    bool ok = true;
    if (strcmp(path, "-") == 0) {
        out->file = stdout;
    } else if (qp_json_is_special(path)) {
        out->file = fopen(path, "we");
        ok = out->file != NULL;
    } else {
        ok = qp_json_try(out);
    }
    if (!ok) {
        (void)qp_fail("cannot open %s: %s", path, strerror(errno));
        qp_json_forget(out);
    }
    return ok;
}

/* Everything written, and in place. errno says why not. */
static bool qp_json_finish(qp_json_file *out, const char *text, size_t len)
{
    if (out->file == NULL) {
        out->file = qp_json_open_part(out);
    }
    if (out->file == NULL) {
        return false;
    }
    int error = qp_write(out->file, text, len);
    bool ok = error == 0;
    if (out->file != stdout && fclose(out->file) != 0 && ok) {
        ok = false;
        error = errno;
    }
    out->file = NULL;
    if (ok && out->part != NULL && rename(out->part, out->target) != 0) {
        ok = false;
        error = errno;
    }
    if (!ok && out->part != NULL) {
        (void)unlink(out->part);
    }
    errno = error;
    return ok;
}

static bool qp_json_is_open(const qp_json_file *out)
{
    return out->path != NULL && (out->file != NULL || out->target != NULL);
}

static const char *qp_json_name(const qp_json_file *out)
{
    return out->file == stdout ? "standard output" : out->path;
}

bool qp_json_file_write_text(qp_json_file *out, const char *text, size_t len)
{
    if (!qp_json_is_open(out)) {
        return true;
    }
    bool is_stdout = out->file == stdout;
    bool ok = qp_json_finish(out, text, len);
    if (!ok && !is_stdout) { /* of that main says it, whatever was to be written there */
        (void)qp_fail("cannot write %s: %s", out->path, strerror(errno));
    }
    qp_json_forget(out);
    return ok;
}

bool qp_json_file_write(qp_json_file *out, const qp_json *json)
{
    if (!qp_json_is_open(out) || qp_json_is_complete(json)) {
        return qp_json_file_write_text(out, json->text, json->len);
    }
    (void)qp_fail("cannot write %s: out of memory", qp_json_name(out));
    qp_json_file_drop(out);
    return false;
}

void qp_json_file_drop(qp_json_file *out)
{
    if (out->file != NULL && out->file != stdout) {
        (void)fclose(out->file);
    }
    qp_json_forget(out);
}
