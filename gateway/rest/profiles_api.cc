#include "gateway/rest/profiles_api.h"

#include <google/protobuf/util/json_util.h>

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/registry/import.h"
#include "gateway/registry/profile.h"
#include "gateway/rest/device_questions.h"
#include "platform/rates.h"
#include "protocol/messages/envelope.pb.h"

namespace berth::gateway::rest {

namespace json = boost::json;
using registry::Profile;
using registry::Report;

namespace {

constexpr std::size_t kTextMax = 16 * 1024;

std::optional<std::string> text_at(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  if (v == nullptr) return std::string();
  if (!v->is_string() || v->get_string().size() > kTextMax) return std::nullopt;
  return std::string(v->get_string());
}

// "0A 0b" with white space between bytes; nothing: it is no hexadecimal.
std::optional<std::string> bytes_of_hex(const std::string& text) {
  std::string out;
  int high = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ':') continue;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<char>(high << 4 | digit));
      high = -1;
    }
  }
  return high < 0 ? std::optional(out) : std::nullopt;
}

// Of the registry's YAML; one product alone stands for itself.
registry::pb::Product product_of(const std::string& text) {
  std::string indented = "tenants:\n  - name: try\n    products:\n";
  bool first = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const bool blank = line.find_first_not_of(" \t\r") == std::string::npos;
    if (!blank) {
      indented += (first ? "      - " : "        ") + line + "\n";
      first = false;
    }
    at = end + 1;
  }
  const bool whole = text.find("tenants:") != std::string::npos;
  for (const registry::Said& s : registry::parse_yaml(whole ? text : indented)) {
    if (registry::parse_key(s.key).kind == registry::Kind::product)
      return static_cast<const registry::pb::Product&>(*s.message);
  }
  throw registry::BadRecord("there is no product");
}

const char* name_of(Report r) {
  switch (r) {
    case Report::event:
      return "event";
    case Report::telemetry:
      return "telemetry";
    case Report::state:
      return "state";
    case Report::result:
      return "result";
    case Report::none:
      return "none";
  }
  return "";
}

// Each rule of the product by itself: which one is for the topic, and what became of the payload.
json::array rules_of(const registry::pb::Product& product, const std::string& topic,
                     const std::string& device, const std::string& site,
                     const std::string& payload) {
  json::array out;
  bool found = false;
  for (const auto& rule : product.messages()) {
    registry::pb::Product one = product;
    one.clear_messages();
    *one.add_messages() = rule;
    json::object o;
    try {
      const Profile profile(one);
      const Profile::Rule* const r = profile.find(topic, device, site);
      o["matches"] = r != nullptr;
      if (r != nullptr && !found) {
        found = true;
        v1::Envelope e;
        std::string why;
        o["used"] = true;
        o["report"] = name_of(Profile::report_of(*r));
        const bool good =
            Profile::report_of(*r) == Report::none || Profile::apply(*r, payload, e, why);
        if (!good) o["why"] = why;
      }
    } catch (const registry::BadProfile& e) {
      o["matches"] = false;
      o["why"] = e.what();
    }
    std::string text;
    if (google::protobuf::util::MessageToJsonString(rule, &text).ok()) {
      boost::system::error_code ec;
      o["rule"] = json::parse(text, ec);
    }
    out.push_back(std::move(o));
  }
  return out;
}

admin::Response answer_of(const registry::pb::Product& product, const std::string& topic,
                          const std::string& device, const std::string& site,
                          const std::string& payload) {
  const Profile profile(product);
  json::object o{{"rules", rules_of(product, topic, device, site, payload)}};
  const Profile::Rule* const rule = profile.find(topic, device, site);
  v1::Envelope e;
  std::string why;
  if (const auto a = profile.commands().answer(topic, device, site, payload)) {
    o["result"] = "answer";
    o["answer"] = {{"command_id", a->command_id},
                   {"type", a->type},
                   {"outcome", a->outcome},
                   {"code", a->code},
                   {"text", a->text}};
  } else if (rule == nullptr) {
    o["result"] = "as_is";
  } else if (Profile::report_of(*rule) == Report::none) {
    o["result"] = "swallowed";
  } else if (Profile::apply(*rule, payload, e, why)) {
    std::string text;
    boost::system::error_code ec;
    const bool good = google::protobuf::util::MessageToJsonString(e, &text).ok();
    o["result"] = "envelope";
    o["envelope"] = good ? json::parse(text, ec) : json::value(nullptr);
  } else {
    o["result"] = "raw";
    o["why"] = why;
  }
  return as_json(o);
}

boost::asio::awaitable<admin::Response> tried(admin::Response r) {
  co_return r;
}

}  // namespace

admin::Response try_profile(const std::string& body) {
  boost::system::error_code ec;
  const json::value v = json::parse(body, ec);
  if (ec || !v.is_object()) return invalid("the body is no JSON object");
  const json::object& o = v.get_object();
  for (const auto& [name, value] : o) {
    const std::string key(name);
    if (key != "product" && key != "topic" && key != "payload" && key != "payload_hex" &&
        key != "device" && key != "site")
      return invalid(key + ": no such member");
  }
  const auto product = text_at(o, "product"), topic = text_at(o, "topic"),
             payload = text_at(o, "payload"), hex = text_at(o, "payload_hex"),
             device = text_at(o, "device"), site = text_at(o, "site");
  if (!product || !topic || !payload || !hex || !device || !site)
    return invalid("texts of at most 16 KiB are expected");
  if (product->empty() || topic->empty()) return invalid("product and topic are needed");
  const auto bytes = hex->empty() ? payload : bytes_of_hex(*hex);
  if (!bytes) return invalid("payload_hex: hexadecimal digits");
  try {
    return answer_of(product_of(*product), *topic, *device, *site, *bytes);
  } catch (const registry::BadRecord& e) {
    return invalid(std::string("product: ") + e.what());
  } catch (const registry::BadProfile& e) {
    return invalid(std::string("product: ") + e.what());
  }
}

void serve_profiles(admin::HttpServer& http) {
  http.route(
      "POST /api/v1/profiles/try",
      [rates = std::make_shared<platform::Rates>()](const admin::Request& r) {
        if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
          return tried(invalid(fault));
        if (!admin::has_media_type(r, "application/json"))
          return tried(
              admin::problem(admin::codes::kUnsupportedMediaType, "application/json is expected"));
        if (!r.caller.may_read)
          return tried(admin::problem(admin::codes::kForbidden, "the right to read is needed"));
        const base::Instant now{base::monotonic_ns() / base::kMs};
        if (!rates->take(r.caller.share(), kTrialsPerSecond, now)) {
          admin::Response wait =
              admin::problem(admin::codes::kTooManyRequests, "5 trials a second");
          wait.headers["Retry-After"] = "1";
          return tried(std::move(wait));
        }
        return tried(try_profile(r.body));
      },
      {.who = admin::For::accounts});
}

}  // namespace berth::gateway::rest
