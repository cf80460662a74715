#include "tests/api/support.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace quring_test
{

bool RefuseIoUring()
{
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool IoUringIsRefused()
{
    static const bool refused = getenv("QURING_TEST_REFUSE_IO_URING") != nullptr && RefuseIoUring();
    return refused;
}

Bytes Pattern(size_t len, uint32_t seed)
{
    Bytes out(len);
    uint32_t x = seed * 2654435761u + 1;
    for (uint8_t &b : out) {
        x = x * 1664525u + 1013904223u;
        b = static_cast<uint8_t>(x >> 24);
    }
    return out;
}

TempFile::TempFile(const std::string &contents)
{
    path_ = testing::TempDir() + "/quring_test_XXXXXX";
    const int fd = mkstemp(&path_[0]);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(write(fd, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
    close(fd);
}

TempFile::~TempFile()
{
    unlink(path_.c_str());
}

Identity MakeIdentity()
{
    char cert[4096];
    char key[4096];
    size_t cert_len = 0;
    size_t key_len = 0;
    EXPECT_EQ(quring_tls_self_signed(cert, &cert_len, key, &key_len), QURING_OK);
    return {std::string(cert, cert_len), std::string(key, key_len)};
}

const Identity &TheIdentity()
{
    static const Identity identity = MakeIdentity();
    return identity;
}

static quring_bytes View(const std::string &text)
{
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

Tls ServerTls(const std::vector<const char *> &alpn, const Identity &identity)
{
    quring_tls_options options = {};
    options.cert_pem = View(identity.cert);
    options.key_pem = View(identity.key);
    options.alpn = alpn.data();
    options.alpn_count = alpn.size();
    quring_tls *tls = nullptr;
    quring_error err = {};
    EXPECT_EQ(quring_tls_create_server(&tls, &options, &err), QURING_OK) << err.message;
    return Tls(tls);
}

Tls ClientTls(const std::vector<const char *> &alpn, const char *ca_file)
{
    quring_tls_options options = {};
    options.ca_file = ca_file;
    options.verify = ca_file != nullptr ? QURING_VERIFY_PEER : QURING_VERIFY_NONE;
    options.alpn = alpn.data();
    options.alpn_count = alpn.size();
    quring_tls *tls = nullptr;
    quring_error err = {};
    EXPECT_EQ(quring_tls_create_client(&tls, &options, &err), QURING_OK) << err.message;
    return Tls(tls);
}

quring_addr Addr(const char *text)
{
    quring_addr addr = {};
    quring_error err = {};
    EXPECT_EQ(quring_addr_parse(&addr, text, 0, &err), QURING_OK) << err.message;
    return addr;
}

quring_config Config(quring_io_backend io, uint32_t workers)
{
    quring_config config;
    quring_config_init(&config);
    quring_limits_for_loopback(&config.limits);
    config.workers = workers;
    config.io = io;
    config.socket_buf_bytes = 200 * 1024; /* below every system's bound: no warning */
    config.log = [](void *, int, const char *) {};
    return config;
}

/* ---- Runtime ----------------------------------------------------------------------------------- */

Runtime::Runtime(const quring_config &config)
{
    if (quring_runtime_create(&rt_, &config, &error_) != QURING_OK) {
        rt_ = nullptr;
    }
}

Runtime::~Runtime()
{
    Destroy();
}

void Runtime::Destroy()
{
    quring_runtime_destroy(rt_);
    rt_ = nullptr;
}

namespace
{

struct Task {
    const std::function<void()> *fn;
    std::mutex mutex;
    std::condition_variable done_changed;
    bool done;
};

void RunTask(void *ctx)
{
    Task *task = static_cast<Task *>(ctx);
    (*task->fn)();
    std::lock_guard<std::mutex> guard(task->mutex);
    task->done = true;
    task->done_changed.notify_one();
}

} // namespace

bool Runtime::On(uint32_t worker, const std::function<void()> &fn)
{
    Task task;
    task.fn = &fn;
    task.done = false;
    if (quring_post(rt_, worker, RunTask, &task) != QURING_OK) {
        return false;
    }
    std::unique_lock<std::mutex> lock(task.mutex);
    task.done_changed.wait(lock, [&task] { return task.done; });
    return true;
}

/* ---- Listener ---------------------------------------------------------------------------------- */

Listener::Listener(Runtime *runtime, Peer *peer, const quring_addr &local, quring_tls *tls,
                   uint32_t flags, const quring_addr &preferred_v4, const quring_addr &preferred_v6)
{
    quring_listen_options options = {};
    options.local = local;
    options.tls = tls;
    options.on_event = Peer::OnEvent;
    options.ctx = peer;
    options.flags = flags;
    options.preferred_v4 = preferred_v4;
    options.preferred_v6 = preferred_v6;
    options.muted_events = peer->muted_events;
    if (quring_listen(runtime->rt(), &listener_, &options, &error_) != QURING_OK) {
        listener_ = nullptr;
    }
}

void Listener::Close()
{
    quring_listener_close(listener_);
    listener_ = nullptr;
}

/* ---- Peer: events ------------------------------------------------------------------------------ */

void Peer::OnEvent(const quring_event *event)
{
    Peer *peer = static_cast<Peer *>(event->conn_ctx);
    {
        std::lock_guard<std::mutex> guard(peer->mutex_);
        peer->Record(*event);
    }
    if (peer->hook) {
        peer->hook(*event);
    }
    {
        /* Who has just found that the hook had not run yet waits by now, and hears of it. */
        std::lock_guard<std::mutex> guard(peer->mutex_);
    }
    peer->changed_.notify_all();
}

ConnState &Peer::At(quring_conn conn)
{
    std::unique_ptr<ConnState> &slot = conns_[conn.handle];
    if (!slot) {
        slot = std::make_unique<ConnState>();
        slot->conn = conn;
    }
    return *slot;
}

StreamState &Peer::At(quring_conn conn, uint64_t id)
{
    std::unique_ptr<StreamState> &slot = At(conn).streams[id];
    if (!slot) {
        slot = std::make_unique<StreamState>();
        slot->id = id;
    }
    return *slot;
}

void Peer::Record(const quring_event &event)
{
    ConnState &conn = At(event.conn);
    conn.events_after_close += conn.closed ? 1 : 0;
    switch (event.type) {
    case QURING_EV_CONNECTED:
        conn.connected = true;
        conn.worker = static_cast<uint32_t>(quring_worker_self());
        EXPECT_EQ(quring_conn_get_info(event.conn, &conn.info), QURING_OK);
        break;
    case QURING_EV_CLOSED:
        conn.closed = true;
        conn.closed_count++;
        conn.worker = static_cast<uint32_t>(quring_worker_self());
        ASSERT_NE(event.close, nullptr);
        conn.close = *event.close;
        break;
    case QURING_EV_STREAMS_AVAILABLE:
        conn.streams_available++;
        break;
    default:
        if (event.stream.handle != 0) {
            RecordStream(event, &conn);
        }
        break;
    }
}

void Peer::RecordStream(const quring_event &event, ConnState *conn)
{
    StreamState &s = At(conn->conn, event.stream_id);
    s.stream = event.stream;
    const bool is_uni = (event.stream_id & 2) != 0; /* RFC 9000 2.1 */
    switch (event.type) {
    case QURING_EV_STREAM_OPENED:
        s.opened = true;
        break;
    case QURING_EV_STREAM_READABLE:
        if (mode_ == Mode::kEcho && !is_uni) {
            Echo(&s);
        } else if (mode_ != Mode::kManual) {
            Collect(&s);
        }
        break;
    case QURING_EV_STREAM_WRITABLE:
        if (mode_ == Mode::kEcho && !is_uni) {
            Echo(&s);
        } else {
            Pump(&s);
        }
        break;
    case QURING_EV_STREAM_RESET:
        s.reset = true;
        s.reset_code = event.app_error;
        break;
    case QURING_EV_STREAM_STOPPED:
        s.stopped = true;
        s.stop_code = event.app_error;
        break;
    case QURING_EV_STREAM_RELEASED:
        EXPECT_GE(event.offset, s.released);
        s.released = event.offset;
        break;
    case QURING_EV_STREAM_FINISHED:
        s.finished = true;
        break;
    case QURING_EV_STREAM_CLOSED:
        EXPECT_FALSE(s.closed);
        s.closed = true;
        break;
    default:
        break;
    }
}

/* ---- Peer: bytes ------------------------------------------------------------------------------- */

void Peer::Collect(StreamState *s)
{
    uint8_t buf[16384];
    for (;;) {
        size_t n = 0;
        bool fin = false;
        if (quring_stream_read(s->stream, &n, &fin, buf, sizeof(buf)) != QURING_OK) {
            return;
        }
        s->in.insert(s->in.end(), buf, buf + n);
        if (fin) {
            s->in_fin = true;
            return;
        }
    }
}

/* Consumes exactly what the stream's other half took. */
void Peer::Echo(StreamState *s)
{
    for (;;) {
        quring_bytes spans[2];
        bool fin = false;
        if (quring_stream_peek(s->stream, spans, &fin) != QURING_OK) {
            return;
        }
        const size_t shown = spans[0].len + spans[1].len;
        const uint32_t flags = fin && spans[1].len == 0 ? QURING_WRITE_FIN : 0;
        size_t taken = 0;
        if (quring_stream_write(s->stream, &taken, spans[0].data, spans[0].len, flags) !=
            QURING_OK) {
            return; /* WRITABLE follows, or the stream is over */
        }
        if (quring_stream_consume(s->stream, taken) != QURING_OK) {
            return;
        }
        if (fin && taken == shown) {
            s->in_fin = true;
            return;
        }
    }
}

void Peer::Pump(StreamState *s)
{
    while (s->out_done < s->out.size() || (s->out_flags != 0 && !s->out_end_taken)) {
        size_t taken = 0;
        const size_t left = s->out.size() - s->out_done;
        const auto write = s->lend ? quring_stream_lend : quring_stream_write;
        if (write(s->stream, &taken, s->out.data() + s->out_done, left, s->out_flags) !=
            QURING_OK) {
            return;
        }
        s->out_done += taken;
        s->out_end_taken = s->out_flags != 0 && taken == left;
        if (taken < left) {
            return; /* WRITABLE follows */
        }
    }
}

quring_status Peer::Send(uint64_t *out_id, quring_conn conn, const Bytes &data, uint32_t open_flags,
                         uint32_t write_flags, bool lend)
{
    quring_stream stream = {0};
    const quring_status status = quring_stream_open(&stream, conn, open_flags);
    if (status != QURING_OK) {
        return status;
    }
    std::lock_guard<std::mutex> guard(mutex_);
    *out_id = quring_stream_id(stream);
    StreamState &s = At(conn, *out_id);
    s.stream = stream;
    s.out = data;
    s.out_flags = write_flags;
    s.lend = lend;
    Pump(&s);
    return QURING_OK;
}

void Peer::SendOn(quring_conn conn, uint64_t id, const Bytes &data, uint32_t write_flags)
{
    std::lock_guard<std::mutex> guard(mutex_);
    StreamState &s = At(conn, id);
    s.out = data;
    s.out_done = 0;
    s.out_flags = write_flags;
    Pump(&s);
}

quring_status Peer::Connect(quring_conn *out, Runtime *runtime, uint32_t worker,
                            const quring_addr &remote, quring_tls *tls, const char *server_name,
                            const quring_limits *limits, quring_error *err)
{
    quring_connect_options options = {};
    options.remote = remote;
    options.server_name = server_name;
    options.tls = tls;
    options.on_event = OnEvent;
    options.ctx = this;
    options.limits = limits;
    options.muted_events = muted_events;
    quring_status status = QURING_E_STATE;
    runtime->On(worker, [&] { status = quring_connect(out, &options, err); });
    return status;
}

/* ---- Peer: waiting ----------------------------------------------------------------------------- */

bool Peer::Wait(const std::function<bool()> &fact)
{
    std::unique_lock<std::mutex> lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + kPatience;
    return changed_.wait_until(lock, until, fact);
}

bool Peer::WaitConnected(quring_conn conn)
{
    return Wait([&] { return At(conn).connected || At(conn).closed; }) && At(conn).connected;
}

bool Peer::WaitClosed(quring_conn conn)
{
    return Wait([&] { return At(conn).closed; });
}

ConnFacts Peer::Facts(quring_conn conn)
{
    std::lock_guard<std::mutex> guard(mutex_);
    return At(conn);
}

StreamState Peer::Facts(quring_conn conn, uint64_t id)
{
    std::lock_guard<std::mutex> guard(mutex_);
    return At(conn, id);
}

} // namespace quring_test
