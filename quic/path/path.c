#include "quic/path/path.h"

static void drop_oldest(quic_path *path)
{
    path->response_count--;
    memmove(path->responses[0], path->responses[1], (size_t)path->response_count * 8);
}

void quic_path_on_challenge(quic_path *path, const uint8_t data[8])
{
    if (path->response_count == QUIC_PATH_RESPONSES_MAX) {
        drop_oldest(path);
    }
    memcpy(path->responses[path->response_count++], data, 8);
}

bool quic_path_pop_response(quic_path *path, uint8_t out[8])
{
    if (path->response_count == 0) {
        return false;
    }
    memcpy(out, path->responses[0], 8);
    drop_oldest(path);
    return true;
}
