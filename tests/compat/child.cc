#include "tests/compat/child.h"

#include <dirent.h>
#include <string>

namespace compat
{

int echo(int fd)
{
    std::string buf(65536, '\0');
    for (;;) {
        uint64_t sid = 0;
        uint32_t flags = 0;
        ssize_t got = quic_recvmsg(fd, &buf[0], buf.size(), &sid, &flags);
        if (got < 0) {
            return errno == ENOTCONN ? 0 : errno;
        }
        CHECK_CHILD(quic_sendmsg(fd, buf.data(), static_cast<size_t>(got), sid, flags & MSG_FIN) ==
                    got);
    }
}

bool echoes(int client, size_t len, uint32_t seed)
{
    const std::string data = pattern(len, seed);
    bool sent = false;
    std::thread writer(
        [&] { sent = send(client, data.data(), len, kNew) == static_cast<ssize_t>(len); });
    const std::string got = read_bytes(client, len);
    writer.join();
    return sent && got == data;
}

std::set<int> open_fds()
{
    std::set<int> fds;
    DIR *dir = opendir("/proc/self/fd");
    while (const dirent *entry = readdir(dir)) {
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir)) {
            fds.insert(atoi(entry->d_name));
        }
    }
    closedir(dir);
    return fds;
}

} // namespace compat
