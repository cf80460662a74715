/* The main of a fuzz target outside --config=fuzz: runs it once over nothing, over drawn inputs that are
 * the same in every run, and once over each file named on the command line: the corpus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_LEN_MAX ((size_t)1 << 20)
#define DRAWN         1000u
#define DRAWN_LEN_MAX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint64_t next_random(uint64_t *state) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run_drawn(uint8_t *data)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < DRAWN; i++) {
        size_t len = (size_t)(next_random(&state) % DRAWN_LEN_MAX) + 1;
        for (size_t at = 0; at < len; at++) {
            data[at] = (uint8_t)(next_random(&state) >> 32);
        }
        (void)LLVMFuzzerTestOneInput(data, len);
    }
}

int main(int argc, char **argv)
{
    uint8_t *data = calloc(1, INPUT_LEN_MAX);
    if (data == NULL) {
        return 1;
    }
    (void)LLVMFuzzerTestOneInput(data, 0);
    run_drawn(data);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        size_t len = fread(data, 1, INPUT_LEN_MAX, file);
        fclose(file);
        (void)LLVMFuzzerTestOneInput(data, len);
    }
    free(data);
    return 0;
}
