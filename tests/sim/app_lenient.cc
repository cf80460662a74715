/* The application of a connection one end of which is byzantine: it takes whatever comes, sends a lot,
 * and judges nothing. */
#include "tests/sim/app.h"

namespace sim
{
namespace
{

constexpr size_t kChunk = 16384;
constexpr int kStreamsEach = 2;

} // namespace

void App::on_lenient_event(const quic_event &ev)
{
    switch (ev.type) {
    case QURING_EV_CONNECTED:
        connected_ = true;
        connected_ns_ = host_->now();
        for (int i = 0; i < 2 * kStreamsEach; i++) {
            quic_stream *stream = nullptr;
            if (quic_conn_stream_open(conn_, i % 2 != 0, &stream) == QUIC_OK) {
                write_lenient(stream);
            }
        }
        if (!is_server_) {
            host_->wake_app(this, connected_ns_ + state_->plan.close_ns);
        }
        break;
    case QURING_EV_CLOSED:
        on_closed(ev);
        break;
    case QURING_EV_STREAM_OPENED:
    case QURING_EV_STREAM_WRITABLE:
        write_lenient(ev.stream);
        break;
    case QURING_EV_STREAM_READABLE: {
        quic_span spans[2] = {};
        bool fin = false;
        while (quic_conn_stream_peek(conn_, ev.stream, spans, &fin) == QUIC_OK) {
            host_->count_delivered(spans[0].len + spans[1].len);
            if (quic_conn_stream_consume(conn_, ev.stream, spans[0].len + spans[1].len) !=
                    QUIC_OK ||
                fin) {
                break;
            }
        }
        break;
    }
    case QURING_EV_STREAM_STOPPED:
        (void)quic_conn_stream_reset(conn_, ev.stream, 1);
        break;
    default:
        break;
    }
}

/* A chunk now and then another; what cannot be written (a stream of the peer's that goes one way) is
 * not. */
void App::write_lenient(quic_stream *stream)
{
    std::vector<uint8_t> bytes(kChunk);
    size_t accepted = 0;
    bool last = lenient_chunks_ == 0;
    lenient_chunks_ -= last ? 0 : 1;
    (void)quic_conn_stream_write(conn_, stream, bytes.data(), last ? 0 : bytes.size(),
                                 last ? static_cast<uint32_t>(QUIC_WRITE_FIN) : 0, &accepted);
}

void App::on_lenient_tick()
{
    if (!is_server_ && host_->now() >= connected_ns_ + state_->plan.close_ns) {
        close_called_ = true;
        (void)quic_conn_close(conn_, 0, "done");
    }
}

} // namespace sim
