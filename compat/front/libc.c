#include "compat/front/libc.h"

#include <dlfcn.h>
#include <string.h>

qf_libc qf_real_table;
pid_t (*qf_real_vfork)(void);

void qf_libc_resolve(void)
{
    void *found;
#define X(result, name, parameters)                                                                \
    found = dlsym(RTLD_NEXT, #name);                                                               \
    memcpy(&qf_real_table.name, &found, sizeof(found));
    QF_LIBC(X)
#undef X
    found = dlsym(RTLD_NEXT, "vfork");
    memcpy(&qf_real_vfork, &found, sizeof(found));
}

bool qf_next(void *out, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        (void)dlerror(); /* is not for the program to find */
        return false;
    }
    memcpy(out, &found, sizeof(found));
    return true;
}

__attribute__((constructor)) static void qf_libc_init(void)
{
    qf_libc_resolve();
}
