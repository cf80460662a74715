/* Calls the functions that its library and libquic.so both have, with a socket of each protocol. A second descriptor
 * stands for the socket, too. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/compat/namesake_library.h"

static void call(int protocol)
{
    char byte = 'x';
    int64_t sid = -1;
    uint32_t flags = 2;
    int first = socket(AF_INET, SOCK_STREAM, protocol);
    int sd = dup(first);
    close(first);
    printf("%d:", protocol);
    printf(" %d", quic_client_handshake(sd, NULL, "abc", "ab"));
    printf(" %d", quic_server_handshake(sd, "a", "/nowhere", "abcd"));
    printf(" %zd", quic_sendmsg(sd, &byte, 1, -1, 0));
    printf(" %zd", quic_recvmsg(sd, &byte, 1, &sid, &flags));
    printf(" %d\n", (int)sid);
    close(sd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    call(261);
    call(288);
    printf("log: %d\n", quic_set_log_level(3));
    return 0;
}
