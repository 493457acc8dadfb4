#include "gateway/uplink/kafka_attempt.h"

#include <librdkafka/rdkafka.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gateway/uplink/facts.h"
#include "gateway/uplink/secrets.h"
#include "gateway/uplink/uplink_topics.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t kUndeliveredMax = 10'000;  // more than an uplink's
constexpr int kStatisticsEvery_ms = 1000;
constexpr int kRefusedMax = 10;  // statistics; then another producer reads the files again

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* c) const { rd_kafka_conf_destroy(c); }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, ConfDeleter>;

void set(const Conf& conf, const char* name, const std::string& value) {
  char why[512];
  if (rd_kafka_conf_set(conf.get(), name, value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK)
    throw std::runtime_error(why);
}

// What Kafka would say again of the same message.
bool is_for_ever(rd_kafka_resp_err_t e) {
  return e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || e == RD_KAFKA_RESP_ERR_INVALID_MSG ||
         e == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || e == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
         e == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

// Does any broker's connection stand? Of librdkafka's statistics.
bool is_up(std::string_view statistics) {
  json::error_code ec;
  const json::value v = json::parse(statistics, ec);
  if (ec || !v.is_object()) return false;
  const json::value* const brokers = v.get_object().if_contains("brokers");
  if (brokers == nullptr || !brokers->is_object()) return false;
  return std::any_of(brokers->get_object().begin(), brokers->get_object().end(), [](const auto& b) {
    if (!b.value().is_object()) return false;
    const json::value* const state = b.value().get_object().if_contains("state");
    return state != nullptr && *state == json::value("UP");
  });
}

class KafkaAttempt final : public Attempt {
 public:
  KafkaAttempt(asio::io_context& io, const UplinkConfig& config, const std::string& client_id,
               Teller tell)
      : tell_(std::move(tell)), wake_(io) {
    Conf conf(rd_kafka_conf_new());
    configure(conf, config, client_id);
    char why[512];
    producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), why, sizeof why);
    if (producer_ == nullptr) throw std::runtime_error(why);
    conf.release();  // the producer's
    const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
      rd_kafka_destroy(producer_);
      throw std::runtime_error("no eventfd");
    }
    wake_.assign(fd);
    static constexpr std::uint64_t kOne = 1;
    rd_kafka_queue_t* const q = rd_kafka_queue_get_main(producer_);
    rd_kafka_queue_io_event_enable(q, fd, &kOne, sizeof kOne);
    rd_kafka_queue_destroy(q);
    // It tells of an event that comes into the empty queue: one may be there already.
    [[maybe_unused]] const auto written = ::write(fd, &kOne, sizeof kOne);
    wait();
  }
  ~KafkaAttempt() override {
    *alive_ = false;
    rd_kafka_purge(producer_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                  RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(producer_);
  }

  void publish(std::uint64_t place, const Upward& m) override {
    const std::string_view key = order_key(m.inside);
    const Facts facts = facts_of(m);
    const auto headers = headers_of(facts, m);
    rd_kafka_headers_t* const all = rd_kafka_headers_new(headers.size());
    for (const auto& [name, value] : headers)
      rd_kafka_header_add(all, name, -1, value.data(), static_cast<ssize_t>(value.size()));
    const std::string text =
        facts.tenant.empty() ? std::string(key) : facts.tenant + "/" + facts.device;
    const rd_kafka_resp_err_t e = rd_kafka_producev(
        producer_, RD_KAFKA_V_TOPIC(m.topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(text.data(), text.size()),
        RD_KAFKA_V_VALUE(const_cast<char*>(m.payload.data()), m.payload.size()),
        RD_KAFKA_V_HEADERS(all),
        RD_KAFKA_V_OPAQUE(reinterpret_cast<void*>(static_cast<std::uintptr_t>(place))),
        RD_KAFKA_V_END);
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    rd_kafka_headers_destroy(all);
    if (!is_for_ever(e)) throw std::runtime_error(rd_kafka_err2str(e));
    tell_.refused(place, rd_kafka_err2str(e));
  }

 private:
  void configure(const Conf& conf, const UplinkConfig& c, const std::string& client_id) {
    const Url url = c.where();
    set(conf, "bootstrap.servers", url.hosts);
    set(conf, "client.id", client_id);
    set(conf, "enable.idempotence", "true");
    set(conf, "message.timeout.ms", "0");  // Berth keeps it, and decides
    set(conf, "partitioner", "murmur2_random");
    set(conf, "linger.ms", "5");
    set(conf, "compression.type", c.compression);
    set(conf, "reconnect.backoff.max.ms", "5000");
    set(conf, "statistics.interval.ms", std::to_string(kStatisticsEvery_ms));
    set(conf, "security.protocol",
        c.sasl.empty() ? (url.tls ? "ssl" : "plaintext")
                       : (url.tls ? "sasl_ssl" : "sasl_plaintext"));
    if (!c.sasl.empty()) {
      set(conf, "sasl.mechanism", c.sasl);
      set(conf, "sasl.username", c.user_name);
      set(conf, "sasl.password", secret_in(c.password_file));
    }
    if (url.tls) {
      if (!c.ca_file.empty()) set(conf, "ssl.ca.location", c.ca_file);
      if (!c.cert_file.empty()) set(conf, "ssl.certificate.location", c.cert_file);
      if (!c.key_file.empty()) set(conf, "ssl.key.location", c.key_file);
    }
    rd_kafka_conf_set_opaque(conf.get(), this);
    rd_kafka_conf_set_dr_msg_cb(conf.get(), [](rd_kafka_t*, const rd_kafka_message_t* m, void* me) {
      static_cast<KafkaAttempt*>(me)->delivered(*m);
    });
    rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int e, const char* why, void* me) {
      static_cast<KafkaAttempt*>(me)->failed(static_cast<rd_kafka_resp_err_t>(e), why);
    });
    rd_kafka_conf_set_stats_cb(conf.get(), [](rd_kafka_t*, char* text, std::size_t n, void* me) {
      static_cast<KafkaAttempt*>(me)->look(std::string_view(text, n));
      return 0;  // librdkafka frees it
    });
    // Any of its threads. What matters comes as an error too.
    rd_kafka_conf_set_log_cb(conf.get(), [](const rd_kafka_t*, int, const char*, const char* text) {
      BERTH_LOG(debug, "kafka text=\"{}\"", std::string_view(text));
    });
  }

  void wait() {
    wake_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [this, alive = alive_](boost::system::error_code ec) {
                       if (ec || !*alive) return;
                       std::uint64_t n = 0;
                       [[maybe_unused]] const auto r = ::read(wake_.native_handle(), &n, sizeof n);
                       while (rd_kafka_poll(producer_, 0) != 0) {
                       }
                       wait();
                     });
  }

  void delivered(const rd_kafka_message_t& m) {
    const auto place = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(m._private));
    if (m.err == RD_KAFKA_RESP_ERR_NO_ERROR) return tell_.acknowledged(place);
    if (is_for_ever(m.err)) return tell_.refused(place, rd_kafka_err2str(m.err));
    tell_.lost(std::string("Kafka does not take a message: ") + rd_kafka_err2str(m.err));
  }

  void failed(rd_kafka_resp_err_t e, const char* why) {
    if (e == RD_KAFKA_RESP_ERR__FATAL) return tell_.lost(why);
    // That all are down says less than what was said of one of them before.
    if (e != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || last_error_.empty()) last_error_ = why;
    refused_ = refused_ || e == RD_KAFKA_RESP_ERR__AUTHENTICATION || e == RD_KAFKA_RESP_ERR__SSL;
    if (e == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || e == RD_KAFKA_RESP_ERR__AUTHENTICATION) away();
  }

  void look(std::string_view statistics) {
    if (!is_up(statistics)) {
      away();
      // librdkafka would go on with the password and certificates that it began with.
      if (refused_ && ++refused_for_ > kRefusedMax) tell_.not_reached(last_error_);
      return;
    }
    refused_ = false;
    refused_for_ = 0;
    if (std::exchange(up_, true)) return;
    last_error_.clear();
    tell_.connected(kUndeliveredMax);
  }

  void away() {
    if (std::exchange(up_, false) || !std::exchange(said_, true))
      tell_.away(last_error_.empty() ? "no broker is connected" : last_error_);
  }

  const Teller tell_;
  asio::posix::stream_descriptor wake_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  rd_kafka_t* producer_ = nullptr;
  bool up_ = false;
  bool said_ = false;     // that it is away, though it never was there
  bool refused_ = false;  // the log-in, or a certificate, since a broker was last there
  int refused_for_ = 0;
  std::string last_error_;
};

}  // namespace

std::unique_ptr<Attempt> dial_kafka(asio::io_context& io, const UplinkConfig& config,
                                    const std::string& client_id, Teller tell) {
  return std::make_unique<KafkaAttempt>(io, config, client_id, std::move(tell));
}

}  // namespace berth::gateway::uplink
