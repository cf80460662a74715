/* tests/api/support.h: what the tests of the public interface have in common: identities, runtimes
 * that clean up after themselves, and a peer that records what happens to it.
 *
 * Threads: a test's body is the application's thread; it reaches a worker with Runtime::On, and waits
 *          for facts with Peer::Wait. Peers outlive the runtimes that call them.
 */
#ifndef TESTS_API_SUPPORT_H
#define TESTS_API_SUPPORT_H

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "quring/quring.h"

namespace quring_test
{

/* From here on, for this process: io_uring_setup answers EPERM, as under many containers. */
bool RefuseIoUring();

/* With QURING_TEST_REFUSE_IO_URING in the environment the whole test program runs like that: what
 * would demand io_uring then leaves the choice to the runtime, which has to fall back. */
bool IoUringIsRefused();

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kMs = 1000000ull;
constexpr uint64_t kSecond = 1000 * kMs;

/* Only a broken program waits this long. */
constexpr std::chrono::seconds kPatience(60);

/* The same bytes for the same seed. */
Bytes Pattern(size_t len, uint32_t seed);

/* A file with the given contents that goes away with the object. */
class TempFile
{
  public:
    explicit TempFile(const std::string &contents);
    ~TempFile();
    TempFile(const TempFile &) = delete;
    TempFile &operator=(const TempFile &) = delete;
    const char *path() const
    {
        return path_.c_str();
    }

  private:
    std::string path_;
};

/* A self-signed certificate for localhost, 127.0.0.1 and ::1, as PEM. */
struct Identity {
    std::string cert;
    std::string key;
};
Identity MakeIdentity();
const Identity &TheIdentity(); /* one for the whole program */

struct TlsDeleter {
    void operator()(quring_tls *tls) const
    {
        quring_tls_release(tls);
    }
};
using Tls = std::unique_ptr<quring_tls, TlsDeleter>;

Tls ServerTls(const std::vector<const char *> &alpn = {"test"},
              const Identity &identity = TheIdentity());
/* ca_file nullptr: does not verify. */
Tls ClientTls(const std::vector<const char *> &alpn = {"test"}, const char *ca_file = nullptr);

quring_addr Addr(const char *text);

/* A configuration for loopback tests: short handshake timeout, small socket buffers, quiet log. */
quring_config Config(quring_io_backend io = QURING_IO_AUTO, uint32_t workers = 1);

class Runtime
{
  public:
    /* rt() is null when it could not be made: error() says why. */
    explicit Runtime(const quring_config &config);
    ~Runtime();
    Runtime(const Runtime &) = delete;
    Runtime &operator=(const Runtime &) = delete;

    quring_runtime *rt() const
    {
        return rt_;
    }
    const quring_error &error() const
    {
        return error_;
    }

    /* Runs `fn` on worker `worker` and waits for it. False when the worker has ended. */
    bool On(uint32_t worker, const std::function<void()> &fn);
    void Destroy();

  private:
    quring_runtime *rt_ = nullptr;
    quring_error error_ = {};
};

struct StreamState {
    quring_stream stream = {0};
    uint64_t id = 0;
    Bytes in;
    bool opened = false; /* STREAM_OPENED was seen */
    bool in_fin = false;
    bool reset = false;
    bool stopped = false;
    bool finished = false;
    bool closed = false;
    uint64_t reset_code = 0;
    uint64_t stop_code = 0;
    uint64_t released = 0;
    Bytes out; /* what Send was given; stays in place */
    size_t out_done = 0;
    uint32_t out_flags = 0; /* QURING_WRITE_FIN or 0 */
    bool out_end_taken = false;
    bool lend = false;
};

struct ConnFacts {
    quring_conn conn = {0};
    uint32_t worker = 0; /* whose thread CONNECTED or CLOSED came on */
    bool connected = false;
    bool closed = false;
    uint32_t closed_count = 0;
    uint32_t events_after_close = 0;
    quring_close_info close = {};
    uint32_t streams_available = 0;
    quring_conn_info info = {}; /* at CONNECTED */
};

struct ConnState : ConnFacts {
    std::map<uint64_t, std::unique_ptr<StreamState>> streams; /* by id */
};

class Peer
{
  public:
    enum class Mode {
        kCollect, /* reads everything into StreamState::in */
        kEcho,    /* sends the bytes of bidirectional streams back; collects the others */
        kManual,  /* touches no stream */
    };

    explicit Peer(Mode mode = Mode::kCollect) : mode_(mode)
    {
    }

    /* The callback for quring_listen and quring_connect; their ctx is the Peer. */
    static void OnEvent(const quring_event *event);

    /* Before anything can happen. */
    void SetMode(Mode mode)
    {
        mode_ = mode;
    }

    /* Runs on the worker after an event was recorded. Set before anything can happen. */
    std::function<void(const quring_event &)> hook;
    /* What its listeners and connections do not want to hear of. Set before they are made. */
    uint64_t muted_events = 0;

    /* Opens a connection from worker `worker`. */
    quring_status Connect(quring_conn *out, Runtime *runtime, uint32_t worker,
                          const quring_addr &remote, quring_tls *tls,
                          const char *server_name = "localhost",
                          const quring_limits *limits = nullptr, quring_error *err = nullptr);

    /* On the worker: opens a stream and sends `data`, as room permits. Returns open's status. */
    quring_status Send(uint64_t *out_id, quring_conn conn, const Bytes &data,
                       uint32_t open_flags = 0, uint32_t write_flags = QURING_WRITE_FIN,
                       bool lend = false);
    /* On the worker: sends `data` on a stream the other side opened. */
    void SendOn(quring_conn conn, uint64_t id, const Bytes &data,
                uint32_t write_flags = QURING_WRITE_FIN);

    /* Waits until `fact` holds; it is asked under the lock after every event. */
    bool Wait(const std::function<bool()> &fact);
    bool WaitConnected(quring_conn conn);
    bool WaitClosed(quring_conn conn);
    /* Copies taken under the lock. */
    ConnFacts Facts(quring_conn conn);
    StreamState Facts(quring_conn conn, uint64_t id);

    /* For use inside facts, hooks that lock, and after the runtime is gone. */
    ConnState &At(quring_conn conn);
    StreamState &At(quring_conn conn, uint64_t id);
    std::map<uint64_t, std::unique_ptr<ConnState>> &conns()
    {
        return conns_;
    }
    std::mutex &mutex()
    {
        return mutex_;
    }

  private:
    void Record(const quring_event &event);
    void RecordStream(const quring_event &event, ConnState *conn);
    void Collect(StreamState *s);
    void Echo(StreamState *s);
    void Pump(StreamState *s);

    Mode mode_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<uint64_t, std::unique_ptr<ConnState>> conns_; /* by handle */
};

class Listener
{
  public:
    Listener(Runtime *runtime, Peer *peer, const quring_addr &local, quring_tls *tls,
             uint32_t flags = 0, const quring_addr &preferred_v4 = quring_addr{},
             const quring_addr &preferred_v6 = quring_addr{});
    ~Listener()
    {
        Close();
    }
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;

    bool ok() const
    {
        return listener_ != nullptr;
    }
    quring_listener *get() const
    {
        return listener_;
    }
    const quring_error &error() const
    {
        return error_;
    }
    quring_addr local() const
    {
        return quring_listener_local(listener_);
    }
    /* Before the runtime is destroyed. */
    void Close();
    /* The runtime is gone, and the listener with it. */
    void Forget()
    {
        listener_ = nullptr;
    }

  private:
    quring_listener *listener_ = nullptr;
    quring_error error_ = {};
};

} // namespace quring_test

#endif /* TESTS_API_SUPPORT_H */
