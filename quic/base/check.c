#include "quic/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void quic_check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "quring: assertion failed at %s:%d: %s\n", file, line, what);
    abort();
}
