#include "platform/command_results.h"

#include <google/protobuf/util/json_util.h>

#include "protocol/messages/envelope.pb.h"
#include "protocol/messages/parse.h"
#include "session/command_topic.h"
#include "session/scope.h"

namespace berth::platform {

namespace {

constexpr std::size_t kTextMax = 1024;
constexpr std::size_t kCodeMax = 64;

// ID of …/cmd/ID/res, after "v1/SITE/DEVICE/".
bool id_of(std::string_view topic, std::string& id) {
  if (topic.starts_with("sub/")) {
    topic.remove_prefix(4);
    const std::size_t end = topic.find('/');
    if (end == std::string_view::npos) return false;
    topic.remove_prefix(end + 1);
  }
  if (!topic.starts_with("cmd/") || !topic.ends_with("/res") || topic.size() < 9) return false;
  topic.remove_prefix(4);
  topic.remove_suffix(4);
  if (topic.find('/') != std::string_view::npos) return false;
  id = topic;
  return true;
}

// UTF-8, at the boundary of a character.
std::string cut(std::string text, std::size_t max) {
  if (text.size() <= max) return text;
  while (max != 0 && (static_cast<unsigned char>(text[max]) & 0xc0) == 0x80) --max;
  text.resize(max);
  return text;
}

void read(const v1::CommandResult& r, Result& out) {
  switch (r.outcome()) {
    case v1::EXECUTED:
      out.outcome = Outcome::succeeded;
      break;
    case v1::DUPLICATE:  // the code is of the first time
      out.outcome = Outcome::succeeded;
      out.repeated = true;
      break;
    case v1::REJECTED:
      out.outcome = Outcome::rejected;
      break;
    case v1::FAILED:
      out.outcome = Outcome::failed;
      break;
    case v1::EXPIRED:
      out.outcome = Outcome::expired;
      break;
    default:
      out.outcome = Outcome::uncertain;
  }
  out.code = cut(r.code(), kCodeMax);
  out.text = cut(r.text(), kTextMax);
}

google::protobuf::util::JsonParseOptions lenient() {
  google::protobuf::util::JsonParseOptions o;
  o.ignore_unknown_fields = true;
  return o;
}

// A CommandResult that is no Envelope.
void read_alone(const std::string& json, Result& out) {
  v1::CommandResult r;
  if (google::protobuf::util::JsonStringToMessage(json, &r, lenient()).ok()) read(r, out);
}

// A tenant's translation puts JSON that was no Envelope into the body `json`.
void read(const v1::Envelope& e, Result& out) {
  if (e.has_result()) return read(e.result(), out);
  std::string json;
  if (e.has_json() && google::protobuf::util::MessageToJsonString(e.json(), &json).ok())
    read_alone(json, out);
}

void from_json(std::string_view payload, Result& out) {
  const std::string text(payload);
  v1::Envelope e;
  const bool is_envelope = google::protobuf::util::JsonStringToMessage(text, &e, lenient()).ok() &&
                           (e.has_result() || e.has_json());
  if (is_envelope) return read(e, out);
  read_alone(text, out);
}

}  // namespace

bool read_result(std::string_view inside, std::string_view payload, std::string& id, Result& out) {
  if (!inside.starts_with(session::kTenantRoot)) return false;
  for (int level = 0; level < 5; ++level) {  // $tenant / TENANT / v1 / SITE / DEVICE
    const std::size_t end = inside.find('/');
    if (end == std::string_view::npos || (level == 2 && inside.substr(0, end) != "v1"))
      return false;
    inside.remove_prefix(end + 1);
  }
  if (!id_of(inside, id)) return false;
  out = {.outcome = Outcome::uncertain, .code = "unreadable_result", .text = {}};
  if (payload.size() > kResultMax) return true;
  const std::size_t at = payload.find_first_not_of(" \t\r\n");
  if (at != std::string_view::npos && payload[at] == '{') {
    from_json(payload, out);
    return true;
  }
  v1::Envelope e;
  if (protocol::messages::parse(e, payload)) read(e, out);
  return true;
}

}  // namespace berth::platform
