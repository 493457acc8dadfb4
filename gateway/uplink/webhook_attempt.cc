#include "gateway/uplink/webhook_attempt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <deque>
#include <set>
#include <stdexcept>
#include <utility>

#include "gateway/uplink/facts.h"
#include "gateway/uplink/http_session.h"
#include "gateway/uplink/secrets.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

namespace {

constexpr std::size_t kBatchBytes = std::size_t{1} << 20;  // of payloads; at least one message
constexpr std::size_t kSecretsMax = 4;
constexpr std::size_t kWhyMax = 200;
constexpr std::size_t kDigitsMax = 300;

std::shared_ptr<asio::ssl::context> tls_of(const UplinkConfig& c) {
  if (!c.where().tls) return nullptr;
  auto t = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  t->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                 asio::ssl::context::no_tlsv1_1);
  t->set_verify_mode(asio::ssl::verify_peer);
  if (c.ca_file.empty()) {
    t->set_default_verify_paths();
  } else {
    t->load_verify_file(c.ca_file);
  }
  if (!c.cert_file.empty()) {
    t->use_certificate_chain_file(c.cert_file);
    t->use_private_key_file(c.key_file, asio::ssl::context::pem);
  }
  return t;
}

// The platform would say the same of the same message.
// It says nothing of the messages: the platform has no time, or does not know the gateway.
bool is_of_the_platform(const HttpOutcome& o) {
  const std::set<unsigned> statuses{401, 403, 404, 405, 407, 408, 421, 425, 429, 502, 503, 504};
  return !o.retry_after.empty() || statuses.contains(o.status) || o.status / 100 == 3;
}

bool is_for_ever(unsigned status) {
  return status == 400 || status == 413 || status == 415 || status == 422;
}

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

// That every reader takes: some refuse a body for a number of thousands of digits.
bool is_json(const std::string& text) {
  std::size_t digits = 0;
  for (const char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > kDigitsMax) return false;
  }
  json::error_code ec;
  json::parse(text, ec);
  return !ec;
}

std::string hmac_hex(const std::string& key, const std::string& text) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size) == nullptr)
    throw std::runtime_error("no HMAC");
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", mac[i]);
    out += hex;
  }
  return out;
}

class WebhookAttempt final : public Attempt {
 public:
  WebhookAttempt(asio::io_context& io, const UplinkConfig& config, Teller tell)
      : config_(config),
        url_(config.where()),
        tell_(std::move(tell)),
        session_(std::make_shared<HttpSession>(io, url_, tls_of(config),
                                               std::chrono::seconds(config.timeout_s))) {
    tell_.opened(std::size_t{2} * config_.batch_messages);
  }
  ~WebhookAttempt() override { session_->close(); }

  void publish(std::uint64_t place, const Upward& m) override { waiting_.push_back({place, &m}); }
  void flush() override {
    if (batch_.empty()) post_next();
  }

 private:
  struct Item {
    std::uint64_t place = 0;
    const Upward* message = nullptr;
  };

  void post_next() {
    const std::size_t most = alone_ != 0 ? 1 : config_.batch_messages;
    std::size_t bytes = 0;
    while (!waiting_.empty() && batch_.size() < most) {
      bytes += waiting_.front().message->payload.size();
      if (!batch_.empty() && bytes > kBatchBytes) break;
      batch_.push_back(waiting_.front());
      waiting_.pop_front();
    }
    if (batch_.empty()) return;
    try {
      session_->post(request(), [this](const HttpOutcome& o) { answered(o); });
    } catch (const std::exception& e) {  // a secret that can't be read
      tell_.not_reached(e.what());
    }
  }

  HttpSession::Request request() const {
    HttpSession::Request r{http::verb::post, url_.path.empty() ? "/" : url_.path, 11};
    r.body() = R"({"uplink":")" + config_.name + R"(","messages":[)";
    for (const Item& i : batch_) {
      if (&i != &batch_.front()) r.body().push_back(',');
      r.body() += webhook_message(*i.message);
    }
    r.body() += "]}";
    r.set(http::field::host, url_.authority());
    r.set(http::field::user_agent, "berth");
    r.set(http::field::content_type, "application/json");
    r.set("Berth-Signature",
          webhook_signature(secret_in(config_.secret_file), std::time(nullptr), r.body()));
    if (!config_.token_file.empty())
      r.set(http::field::authorization, "Bearer " + secret_in(config_.token_file));
    r.prepare_payload();
    return r;
  }

  void answered(const HttpOutcome& o) {
    if (!o.error.empty()) return o.sent ? tell_.lost(o.error) : tell_.not_reached(o.error);
    const std::string why = "HTTP " + std::to_string(o.status);
    if (o.status >= 200 && o.status < 300) {
      for (const Item& i : batch_) tell_.acknowledged(i.place);
    } else if (is_of_the_platform(o) && !is_for_ever(o.status)) {
      return tell_.not_reached(why, wait_of(o.retry_after));
    } else if (!is_for_ever(o.status)) {
      return tell_.lost(why, wait_of(o.retry_after));
    } else if (batch_.size() == 1) {
      tell_.refused(batch_.front().place,
                    why + (o.body.empty() ? "" : ": " + o.body.substr(0, kWhyMax)));
    } else {
      alone_ = batch_.size() + 1;
      waiting_.insert(waiting_.begin(), batch_.begin(), batch_.end());
    }
    if (alone_ != 0) --alone_;
    batch_.clear();
    post_next();
  }

  // Seconds; a date is not looked at.
  static std::chrono::milliseconds wait_of(const std::string& retry_after) {
    unsigned s = 0;
    std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), s);
    return std::chrono::seconds(std::min(s, 3600u));
  }

  const UplinkConfig& config_;
  const Url url_;
  const Teller tell_;
  const std::shared_ptr<HttpSession> session_;
  std::deque<Item> waiting_;
  std::vector<Item> batch_;  // on its way
  std::size_t alone_ = 0;    // so many go one by one
};

}  // namespace

std::string webhook_signature(const std::string& secrets, std::int64_t now_s,
                              const std::string& body) {
  const std::string t = std::to_string(now_s);
  std::string out = "t=" + t;
  std::size_t n = 0;
  for (std::size_t at = 0; at < secrets.size() && n < kSecretsMax;) {
    const std::size_t end = std::min(secrets.find_first_of("\r\n", at), secrets.size());
    if (end != at) {
      out += ",v1=" + hmac_hex(secrets.substr(at, end - at), t + "." + body);
      ++n;
    }
    at = end + 1;
  }
  if (n == 0) throw std::runtime_error("the file of the webhook's secret is empty");
  return out;
}

std::string webhook_message(const Upward& m) {
  const Facts f = facts_of(m);
  json::object o{{"id", m.id}, {"topic", m.topic}};
  const auto add = [&o](const char* name, const std::string& value) {
    if (!value.empty()) o[name] = value;
  };
  add("tenant", f.tenant);
  add("site", f.site);
  add("device", f.device);
  add("child", f.child);
  o["what"] = f.what;
  o["type"] = f.type;
  add("event_id", f.event_id);
  if (f.event_time_ms != 0) o["event_time_ms"] = f.event_time_ms;
  if (f.received_time_ms != 0) o["received_time_ms"] = f.received_time_ms;
  if (m.replay) o["replay"] = true;
  add("content_type", f.content_type);
  add("traceparent", f.traceparent);
  std::string out = json::serialize(o);
  out.pop_back();
  const bool as_json = f.body == Body::json || (f.body == Body::other && is_json(m.payload));
  out +=
      as_json ? R"(,"payload":)" + m.payload : R"(,"payload_base64":")" + base64(m.payload) + '"';
  out.push_back('}');
  return out;
}

std::unique_ptr<Attempt> dial_webhook(asio::io_context& io, const UplinkConfig& config,
                                      Teller tell) {
  return std::make_unique<WebhookAttempt>(io, config, std::move(tell));
}

}  // namespace berth::gateway::uplink
