#include "compat/front/libc.h"

#include <dlfcn.h>
#include <string.h>

qf_libc qf_real_table;

void qf_libc_resolve(void)
{
    void *found;
#define X(result, name, parameters)                                                                \
    found = dlsym(RTLD_NEXT, #name);                                                               \
    memcpy(&qf_real_table.name, &found, sizeof(found));
    QF_LIBC(X)
#undef X
}

__attribute__((constructor)) static void qf_libc_init(void)
{
    qf_libc_resolve();
}
