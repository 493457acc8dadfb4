#include "gateway/uplink/rabbitmq_attempt.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/uplink/facts.h"
#include "gateway/uplink/secrets.h"

namespace berth::gateway::uplink {
namespace {

constexpr std::size_t kUnconfirmedMax = 1000;
constexpr int kConnectLimit_s = 10;
constexpr int kHeartbeat_s = 20;
constexpr int kFrameMax = 131'072;  // bytes
constexpr int kChannel = 1;
constexpr std::size_t kShortMax = 255;  // of AMQP's short strings; the headers have it whole
constexpr int kPoll_ms = 1000;          // librabbitmq looks at heartbeats then
constexpr std::chrono::milliseconds kEndLimit{50};

// A message as the thread needs it: what it was made of may be gone.
struct Letter {
  std::uint64_t place = 0;
  std::string routing_key, payload, id, content_type, type, expiration;
  std::int64_t at_s = 0;
  std::vector<std::pair<const char*, std::string>> headers;
};

Letter letter_of(std::uint64_t place, const Upward& m) {
  const Facts f = facts_of(m);
  Letter l;
  l.place = place;
  l.routing_key = m.topic;
  l.payload = m.payload;
  l.id = f.event_id.empty() || f.event_id.size() > kShortMax ? m.id : f.event_id;
  if (f.content_type.size() <= kShortMax) l.content_type = f.content_type;
  l.type = f.type.substr(0, kShortMax);
  l.at_s = f.received_time_ms / 1000;
  if (m.expires != Upward::kNever) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(m.expires - std::chrono::steady_clock::now());
    l.expiration = std::to_string(std::max<std::int64_t>(left.count(), 1));
  }
  l.headers = headers_of(f, m);
  return l;
}

amqp_bytes_t bytes_of(const std::string& s) {
  return {s.size(), const_cast<char*>(s.data())};
}
std::string text_of(amqp_bytes_t b) {
  return {static_cast<const char*>(b.bytes), b.len};
}

// Why RabbitMQ's certificate was refused, on the thread of its connection.
thread_local int refused_for = X509_V_OK;

int note_verification(int good, X509_STORE_CTX* at) {
  if (good == 0) refused_for = X509_STORE_CTX_get_error(at);
  return good;
}

// librabbitmq says no more than that TLS has failed; OpenSSL says why, to each thread.
std::string tls_reason() {
  if (refused_for != X509_V_OK)
    return std::string(", its certificate: ") + X509_verify_cert_error_string(refused_for);
  const unsigned long error = ERR_peek_last_error();
  const char* const text = error == 0 ? nullptr : ERR_reason_error_string(error);
  return text == nullptr ? "" : std::string(", ") + text;
}

std::runtime_error failure(const char* step, int status) {
  return std::runtime_error(std::string(step) + ": " + amqp_error_string2(status) + tls_reason());
}
// Of a close that RabbitMQ has sent.
std::string reason_of(const amqp_method_t& m) {
  if (m.id == AMQP_CONNECTION_CLOSE_METHOD)
    return text_of(static_cast<const amqp_connection_close_t*>(m.decoded)->reply_text);
  if (m.id == AMQP_CHANNEL_CLOSE_METHOD)
    return text_of(static_cast<const amqp_channel_close_t*>(m.decoded)->reply_text);
  return "an answer that was not asked for";
}
void check(const char* step, const amqp_rpc_reply_t& r) {
  if (r.reply_type == AMQP_RESPONSE_NORMAL) return;
  if (r.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
    throw std::runtime_error(std::string(step) + ": " + reason_of(r.reply));
  throw failure(step, r.library_error);
}

struct ConnectionDeleter {
  void operator()(amqp_connection_state_t c) const { amqp_destroy_connection(c); }
};
using Amqp = std::unique_ptr<amqp_connection_state_t_, ConnectionDeleter>;

// "/" stands for the first host of RabbitMQ, "/%2f" for the same as others write it.
std::string virtual_host_of(const std::string& path) {
  const std::string name = path.size() <= 1 ? "" : path.substr(1);
  return name.empty() || name == "%2f" || name == "%2F" ? "/" : name;
}

// On its own thread, which holds it: librabbitmq blocks. What others may call is marked.
class Worker {
 public:
  Worker(const UplinkConfig& config, std::string client, Teller tell)
      : config_(config),
        client_(std::move(client)),
        tell_(std::move(tell)),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (wake_ < 0) throw std::runtime_error("no eventfd");
  }
  ~Worker() { ::close(wake_); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Any thread.
  void give(Letter l) {
    const std::lock_guard lock(mutex_);
    in_.push_back(std::move(l));
  }
  void wake() const {
    static constexpr std::uint64_t kOne = 1;
    [[maybe_unused]] const auto n = ::write(wake_, &kOne, sizeof kOne);
  }
  void end() {
    end_ = true;
    wake();
    const std::lock_guard lock(mutex_);
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);  // whatever it waits for
  }

  void run() {
    try {
      connect();
      tell_.connected(kUnconfirmedMax);
      while (!end_) turn();
    } catch (const std::exception& e) {
      if (!end_) tell_.lost(e.what());
    }
    const std::lock_guard lock(mutex_);
    fd_ = -1;
  }

 private:
  void connect() {
    amqp_.reset(amqp_new_connection());
    if (!amqp_) throw std::runtime_error("no memory");
    const Url url = config_.where();
    amqp_socket_t* const socket =
        url.tls ? amqp_ssl_socket_new(amqp_.get()) : amqp_tcp_socket_new(amqp_.get());
    if (socket == nullptr) throw std::runtime_error("no memory");
    if (url.tls) use_tls(socket, url.host);
    timeval limit{kConnectLimit_s, 0};
    if (const int s = amqp_socket_open_noblock(socket, url.host.c_str(), url.port, &limit);
        s != AMQP_STATUS_OK)
      throw failure("connect", s);
    {
      const std::lock_guard lock(mutex_);
      fd_ = amqp_get_sockfd(amqp_.get());
    }
    amqp_set_handshake_timeout(amqp_.get(), &limit);
    amqp_set_rpc_timeout(amqp_.get(), &limit);
    log_in(virtual_host_of(url.path));
    amqp_channel_open(amqp_.get(), kChannel);
    check("channel", amqp_get_rpc_reply(amqp_.get()));
    if (config_.declare) {
      amqp_exchange_declare(amqp_.get(), kChannel, bytes_of(config_.exchange),
                            amqp_cstring_bytes("topic"), 0, 1, 0, 0, amqp_empty_table);
      check("exchange", amqp_get_rpc_reply(amqp_.get()));
    }
    amqp_confirm_select(amqp_.get(), kChannel);
    check("confirms", amqp_get_rpc_reply(amqp_.get()));
  }

  // With EXTERNAL the certificate says who it is, and RabbitMQ takes the user's name from there.
  void log_in(const std::string& virtual_host) {
    amqp_table_entry_t name{amqp_cstring_bytes("connection_name"), {}};
    name.value.kind = AMQP_FIELD_KIND_UTF8;
    name.value.value.bytes = bytes_of(client_);
    const amqp_table_t about{1, &name};
    const auto login = [&](auto... how) {
      return amqp_login_with_properties(amqp_.get(), virtual_host.c_str(), 0, kFrameMax,
                                        kHeartbeat_s, &about, how...);
    };
    // RabbitMQ does not look at the identity that is sent, and librabbitmq can't send an empty one.
    if (config_.sasl == "EXTERNAL")
      return check("log-in", login(AMQP_SASL_METHOD_EXTERNAL, config_.client_id.c_str()));
    const std::string user = config_.user_name.empty() ? "guest" : config_.user_name;
    const std::string password =
        config_.password_file.empty() ? "guest" : secret_in(config_.password_file);
    check("log-in", login(AMQP_SASL_METHOD_PLAIN, user.c_str(), password.c_str()));
  }

  void use_tls(amqp_socket_t* socket, const std::string& host) const {
    ERR_clear_error();
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 0);  // it knows no addresses: OpenSSL does it
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    auto* const context = static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_verification);
    X509_VERIFY_PARAM* const wanted = SSL_CTX_get0_param(context);
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) != 1 &&
        X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) != 1)
      throw std::runtime_error("no memory");
    if (config_.ca_file.empty()) {
      SSL_CTX_set_default_verify_paths(context);
    } else if (amqp_ssl_socket_set_cacert(socket, config_.ca_file.c_str()) != AMQP_STATUS_OK) {
      throw std::runtime_error(config_.ca_file + ": no certificates of an authority");
    }
    if (!config_.cert_file.empty() &&
        amqp_ssl_socket_set_key(socket, config_.cert_file.c_str(), config_.key_file.c_str()) !=
            AMQP_STATUS_OK)
      throw std::runtime_error(config_.cert_file + ", " + config_.key_file +
                               ": no certificate with its key");
  }

  void turn() {
    std::deque<Letter> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(in_);
    }
    for (const Letter& l : all) {
      publish(l);
      hear();  // so that neither side waits for the other to read
    }
    hear();
    pollfd fds[] = {{amqp_get_sockfd(amqp_.get()), POLLIN, 0}, {wake_, POLLIN, 0}};
    ::poll(fds, 2, kPoll_ms);
    std::uint64_t n = 0;
    [[maybe_unused]] const auto r = ::read(wake_, &n, sizeof n);
    hear();
  }

  void publish(const Letter& l) {
    amqp_basic_properties_t p{};
    p._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_APP_ID_FLAG |
               AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG;
    p.delivery_mode = 2;  // persistent
    p.message_id = bytes_of(l.id);
    p.app_id = amqp_cstring_bytes("berth");
    p.type = bytes_of(l.type);
    std::vector<amqp_table_entry_t> headers(l.headers.size());
    for (std::size_t i = 0; i < headers.size(); ++i) {
      headers[i].key = amqp_cstring_bytes(l.headers[i].first);
      headers[i].value.kind = AMQP_FIELD_KIND_UTF8;
      headers[i].value.value.bytes = bytes_of(l.headers[i].second);
    }
    p.headers = {static_cast<int>(headers.size()), headers.data()};
    if (!l.content_type.empty()) {
      p._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
      p.content_type = bytes_of(l.content_type);
    }
    if (l.at_s != 0) {
      p._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
      p.timestamp = static_cast<std::uint64_t>(l.at_s);
    }
    if (!l.expiration.empty()) {
      p._flags |= AMQP_BASIC_EXPIRATION_FLAG;
      p.expiration = bytes_of(l.expiration);
    }
    const int s =
        amqp_basic_publish(amqp_.get(), kChannel, bytes_of(config_.exchange),
                           bytes_of(l.routing_key), 1 /* mandatory */, 0, &p, bytes_of(l.payload));
    if (s != AMQP_STATUS_OK) throw failure("publish", s);
    unconfirmed_.emplace_back(++tag_, l.place);
  }

  void hear() {
    for (amqp_frame_t f;;) {
      amqp_maybe_release_buffers(amqp_.get());
      timeval now{0, 0};
      const int s = amqp_simple_wait_frame_noblock(amqp_.get(), &f, &now);
      if (s == AMQP_STATUS_TIMEOUT) return;
      if (s != AMQP_STATUS_OK) throw failure("connection", s);
      if (f.frame_type == AMQP_FRAME_METHOD) hear_method(f.payload.method);
    }
  }

  // Behind a return come the header and body of its message, of which nothing is needed.
  void hear_method(const amqp_method_t& m) {
    if (m.id == AMQP_BASIC_RETURN_METHOD) return tell_.unrouted();
    if (m.id == AMQP_BASIC_ACK_METHOD) {
      const auto& ack = *static_cast<const amqp_basic_ack_t*>(m.decoded);
      return confirmed(ack.delivery_tag, ack.multiple != 0);
    }
    if (m.id == AMQP_BASIC_NACK_METHOD) throw std::runtime_error("RabbitMQ can't store a message");
    throw std::runtime_error(reason_of(m));
  }

  // They come in any order; most often the oldest is meant.
  void confirmed(std::uint64_t tag, bool multiple) {
    if (multiple) {
      while (!unconfirmed_.empty() && unconfirmed_.front().first <= tag) {
        tell_.acknowledged(unconfirmed_.front().second);
        unconfirmed_.pop_front();
      }
      return;
    }
    for (auto it = unconfirmed_.begin(); it != unconfirmed_.end(); ++it) {
      if (it->first != tag) continue;
      tell_.acknowledged(it->second);
      unconfirmed_.erase(it);
      return;
    }
  }

  const UplinkConfig config_;
  const std::string client_;
  const Teller tell_;
  const int wake_;
  std::atomic<bool> end_{false};
  std::mutex mutex_;
  std::deque<Letter> in_;
  int fd_ = -1;
  // The thread's.
  Amqp amqp_;
  std::uint64_t tag_ = 0;
  std::deque<std::pair<std::uint64_t, std::uint64_t>> unconfirmed_;  // tag, place
};

class RabbitmqAttempt final : public Attempt {
 public:
  RabbitmqAttempt(const UplinkConfig& config, const std::string& client, Teller tell)
      : worker_(std::make_shared<Worker>(config, client, std::move(tell))) {
    std::packaged_task<void()> task([w = worker_] { w->run(); });
    ended_ = task.get_future();
    thread_ = std::thread(std::move(task));
  }
  ~RabbitmqAttempt() override {
    worker_->end();
    if (ended_.wait_for(kEndLimit) == std::future_status::ready) {
      thread_.join();
    } else {
      thread_.detach();  // looks up a name, or connects: for 10 s at most
    }
  }
  void publish(std::uint64_t place, const Upward& m) override {
    worker_->give(letter_of(place, m));
    gave_ = true;
  }
  void flush() override {
    if (std::exchange(gave_, false)) worker_->wake();
  }

 private:
  const std::shared_ptr<Worker> worker_;
  std::future<void> ended_;
  std::thread thread_;
  bool gave_ = false;
};

}  // namespace

std::unique_ptr<Attempt> dial_rabbitmq(const UplinkConfig& config, const std::string& client_id,
                                       Teller tell) {
  return std::make_unique<RabbitmqAttempt>(config, client_id, std::move(tell));
}

}  // namespace berth::gateway::uplink
