/* runtime/udp/own_fd.h: the descriptors that this library holds in the process.
 *
 * Purpose: programs close what they do not know (closefrom, daemons) and count on small numbers. The
 *          library's descriptors are moved out of the way, are closed by exec, and are known: so that who
 *          closes for the program can leave them out, and a child after fork can give them up.
 * Threads: any.
 */
#ifndef RUNTIME_UDP_OWN_FD_H
#define RUNTIME_UDP_OWN_FD_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RT_FD_LOW 512 /* ours are moved to here or above, where the process may have as many */
#define RT_FD_MAX (1 << 20) /* higher ones are held, but not known */

/* fork copies the descriptors first and the memory, where they are noted, milliseconds later. Who makes one and notes
 * it, or forgets one and closes it, does both between rt_fd_hold and rt_fd_let, as many as like at a time; who forks
 * holds alone from before to after, by rt_fd_hold_to_fork, and in the child calls rt_fd_abandon.
 * The others wait two seconds at most, and then go on: who forks may wait for what they have. False: it was
 * such a time; rt_fd_let is told. A thread may hold more than once. */
bool rt_fd_hold(void);
bool rt_fd_hold_to_fork(void);
void rt_fd_let(bool held);

/* rt_fd_keep notes `fd` and gives the number it has from now on; a negative one comes back as it is. By who holds. */
int rt_fd_keep(int fd);
/* rt_fd_forget ends that: the caller closes it, and holds. rt_fd_close does both. */
void rt_fd_forget(int fd);
void rt_fd_close(int fd);
bool rt_fd_is_ours(int fd);
/* rt_fd_abandon closes all of them; in a child after fork, where nobody uses them, and nobody holds. */
void rt_fd_abandon(void);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_UDP_OWN_FD_H */
