/* fork in its less usual forms. fork itself is seen by pthread_atfork. */
#include <stdlib.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"

/* No handlers run after _Fork: ours does. */
QF_EXPORT pid_t _Fork(void)
{
    qf_copied();
    pid_t pid = QF_REAL(_Fork)();
    if (pid == 0) {
        int state = qf_hold();
        qf_engine_in_child();
        qf_lend_nothing();
        qf_lend_in_child();
        qf_let(state);
    }
    return pid;
}

/* libc runs no handlers for these. What is close-on-exec has no copy in the child when they return; whether
 * anything is not, nobody knows. */
static void qf_spawns(void)
{
    if (qf_any()) {
        qf_copied();
    }
}

QF_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
    qf_spawns();
    return QF_REAL(posix_spawn)(pid, path, actions, attr, argv, env);
}

QF_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
    qf_spawns();
    return QF_REAL(posix_spawnp)(pid, file, actions, attr, argv, env);
}

QF_EXPORT int system(const char *command)
{
    qf_spawns();
    return QF_REAL(system)(command);
}

QF_EXPORT FILE *popen(const char *command, const char *mode)
{
    qf_spawns();
    return QF_REAL(popen)(command, mode);
}

/* The child of vfork shares our memory: what it closes would be closed for the parent. While there are QUIC
 * sockets it is a child of fork, as POSIX allows; otherwise libc's, which must be jumped to: it
 * returns twice into the caller's frame. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, @function\n"
        "vfork:\n"
        "    cmpl $0, qf_in_use(%rip)\n"
        "    jne fork@PLT\n"
        "    cmpq $0, qf_real_vfork(%rip)\n"
        "    je fork@PLT\n"
        "    jmp *qf_real_vfork(%rip)\n"
        ".size vfork, . - vfork\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, %function\n"
        "vfork:\n"
        "    hint #34\n" /* bti c: may be called through a pointer */
        "    adrp x16, qf_in_use\n"
        "    ldr w16, [x16, :lo12:qf_in_use]\n"
        "    cbnz w16, 1f\n"
        "    adrp x16, qf_real_vfork\n"
        "    ldr x16, [x16, :lo12:qf_real_vfork]\n"
        "    cbz x16, 1f\n"
        "    br x16\n"
        "1:  b fork\n"
        ".size vfork, . - vfork\n");
#else
QF_EXPORT pid_t vfork(void)
{
    return fork();
}
#endif
