#include "tools/quicperf/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What belongs to the whole. */
static const char *const qp_script_not[] = {"--json", "--jsonl", "--hdr", "--keylog"};

static bool qp_script_add_word(qp_script_run *run, char *word)
{
    if (run->argc >= (int)QP_SCRIPT_WORDS_MAX) {
        return false;
    }
    run->argv[run->argc++] = word;
    run->argv[run->argc] = NULL;
    return true;
}

static bool qp_is_operand(const qp_options *base, int at)
{
    for (size_t i = 0; i < base->operand_count; i++) {
        if (base->operand_at[i] == at) {
            return true;
        }
    }
    return false;
}

/* quicperf client HOST:PORT, the options of the command line, the words of the line, from *out_own on. */
static bool qp_script_words(qp_script_run *run, const qp_options *base, int *out_own)
{
    char *save = NULL;
    bool ok = qp_script_add_word(run, base->argv[0]) && qp_script_add_word(run, base->argv[1]) &&
              qp_script_add_word(run, base->argv[base->operand_at[0]]);
    for (int i = 2; ok && i < base->argc; i++) {
        ok = qp_is_operand(base, i) || strcmp(base->argv[i], "--") == 0 ||
             qp_script_add_word(run, base->argv[i]);
    }
    *out_own = run->argc;
    for (char *word = strtok_r(run->words, " \t\r\n", &save); ok && word != NULL;
         word = strtok_r(NULL, " \t\r\n", &save)) {
        ok = qp_script_add_word(run, word);
    }
    return ok;
}

static const char *qp_script_misplaced(const char *text)
{
    for (size_t i = 0; i < sizeof(qp_script_not) / sizeof(qp_script_not[0]); i++) {
        const char *found = strstr(text, qp_script_not[i]);
        size_t len = strlen(qp_script_not[i]);
        if (found != NULL && strchr(" \t=\n", found[len]) != NULL) { /* the final 0, too */
            return qp_script_not[i];
        }
    }
    return NULL;
}

/* One line that says something. Writes what is wrong, without the place. */
static bool qp_script_parse(qp_script_run *run, const qp_options *base, char *wrong, size_t cap)
{
    int own = 0;
    const char *misplaced = qp_script_misplaced(run->text);
    if (misplaced != NULL) {
        (void)snprintf(wrong, cap, "%s belongs on the command line", misplaced);
        return false;
    }
    if (!qp_script_words(run, base, &own)) {
        (void)snprintf(wrong, cap, "more than %u words", QP_SCRIPT_WORDS_MAX);
        return false;
    }
    if (!qp_options_parse_over(&run->options, wrong, cap, run->argc, run->argv, own)) {
        return false;
    }
    if (run->options.command != QP_CMD_CLIENT || run->options.mode == QP_MODE_SCRIPT) {
        (void)snprintf(wrong, cap, "a script has runs of the other modes");
        return false;
    }
    run->options.json = run->options.jsonl = NULL; /* the whole's */
    return true;
}

/* Cuts a comment, the end of the line and blanks. Returns whether something is left. */
static bool qp_script_trim(char *text)
{
    text[strcspn(text, "#\r\n")] = '\0';
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t')) {
        text[--len] = '\0';
    }
    return text[strspn(text, " \t")] != '\0';
}

static bool qp_script_add(qp_script *out, const qp_options *base, const char *text, unsigned line,
                          char *wrong, size_t cap)
{
    qp_script_run *run = calloc(1, sizeof(*run));
    qp_script_run **runs = realloc(out->runs, (out->count + 1) * sizeof(runs[0]));
    out->runs = runs != NULL ? runs : out->runs;
    if (run == NULL || runs == NULL || out->count >= QP_SCRIPT_RUNS_MAX) {
        free(run);
        (void)snprintf(wrong, cap, "%s",
                       run == NULL || runs == NULL ? "out of memory" : "too many runs");
        return false;
    }
    runs[out->count++] = run;
    run->line = line;
    (void)snprintf(run->text, sizeof(run->text), "%s", text + strspn(text, " \t"));
    memcpy(run->words, run->text, sizeof(run->words));
    return qp_script_parse(run, base, wrong, cap);
}

bool qp_script_load(qp_script *out, const qp_options *base, char *why, size_t cap)
{
    char text[QP_SCRIPT_LINE_MAX];
    char wrong[640] = "";
    unsigned line = 0;
    const char *path = base->operands[2];
    FILE *file = fopen(path, "re");
    memset(out, 0, sizeof(*out));
    if (file == NULL) {
        (void)snprintf(why, cap, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    bool ok = true;
    while (ok && fgets(text, sizeof(text), file) != NULL) {
        line++;
        if (strlen(text) + 1 == sizeof(text)) {
            (void)snprintf(wrong, sizeof(wrong), "the line is too long");
            ok = false;
        } else if (qp_script_trim(text)) {
            ok = qp_script_add(out, base, text, line, wrong, sizeof(wrong));
        }
    }
    (void)fclose(file);
    if (ok && out->count == 0) {
        (void)snprintf(why, cap, "%s: there is no run in it", path);
        ok = false;
    } else if (!ok) {
        (void)snprintf(why, cap, "%s:%u: %s", path, line, wrong);
    }
    if (!ok) {
        qp_script_free(out);
    }
    return ok;
}

void qp_script_free(qp_script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        free(script->runs[i]);
    }
    free(script->runs);
    memset(script, 0, sizeof(*script));
}
