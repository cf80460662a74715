/* The main of a fuzz target outside --config=fuzz: runs it once over nothing and once over each file
 * named on the command line, so that every test run replays the corpus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_LEN_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int main(int argc, char **argv)
{
    uint8_t *data = calloc(1, INPUT_LEN_MAX);
    if (data == NULL) {
        return 1;
    }
    (void)LLVMFuzzerTestOneInput(data, 0);
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
