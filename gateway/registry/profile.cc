#include "gateway/registry/profile.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <map>

#include "gateway/registry/password_hash.h"
#include "gateway/registry/records.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/mqtt/topic.h"

namespace berth::gateway::registry {

namespace json = boost::json;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

constexpr int kRulesMax = 32;
constexpr std::size_t kFieldsMax = 64;
constexpr std::size_t kValuesMax = 64;

[[noreturn]] void bad_product(const std::string& why) {
  throw BadProfile(why);
}

Report report_named(const std::string& name) {
  if (name == "event") return Report::event;
  if (name == "telemetry") return Report::telemetry;
  if (name == "state") return Report::state;
  if (name == "result") return Report::result;
  if (name == "none") return Report::none;
  bad_product("'" + name + "' is none of event, telemetry, state, result, none");
}

bool is_time(const FieldDescriptor& f) {
  return f.message_type() == google::protobuf::Timestamp::descriptor();
}

// "plate.plate.number" in an Envelope. What the gateway says itself is nobody else's.
std::vector<const FieldDescriptor*> path_of(const std::string& text) {
  std::vector<const FieldDescriptor*> path;
  const google::protobuf::Descriptor* at = v1::Envelope::descriptor();
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t dot = std::min(text.find('.', from), text.size());
    const std::string name = text.substr(from, dot - from);
    const FieldDescriptor* f = at == nullptr ? nullptr : at->FindFieldByName(name);
    if (f == nullptr || f->is_map()) bad_product("an Envelope has no field '" + text + "'");
    path.push_back(f);
    at = f->message_type() == nullptr || is_time(*f) ? nullptr : f->message_type();
    from = dot + 1;
  }
  if (at != nullptr || path.back()->is_repeated())
    bad_product("'" + text + "' is a message or a list, not a value");
  for (const char* own : {"tenant", "site", "device", "received_time", "clock", "session_epoch"}) {
    if (text == own) bad_product("'" + text + "' is the gateway's to say");
  }
  return path;
}

std::optional<std::string> text_of(const json::value& v) {
  if (v.is_string()) return std::string(v.get_string());
  if (v.is_null() || v.is_structured()) return std::nullopt;
  return json::serialize(v);
}

template <class T>
std::optional<T> number_of(const std::string& text) {
  T v{};
  const auto r = std::from_chars(text.data(), text.data() + text.size(), v);
  if (r.ec == std::errc{} && r.ptr == text.data() + text.size()) return v;
  char* end = nullptr;  // "12.0", "1.2e1"
  const double d = std::strtod(text.c_str(), &end);
  const bool whole = !text.empty() && *end == '\0' && d > -9e18 && d < 9e18;
  if (!whole || d < static_cast<double>(std::numeric_limits<T>::lowest()) ||
      d > static_cast<double>(std::numeric_limits<T>::max()))
    return std::nullopt;
  return static_cast<T>(d);
}

template <class T, class Set>
bool set_number(const std::string& text, Set&& set) {
  const auto v = number_of<T>(text);
  if (v) set(*v);
  return v.has_value();
}

bool set_time(google::protobuf::Timestamp& t, const std::string& text, const std::string& unit) {
  if (unit.empty()) return google::protobuf::util::TimeUtil::FromString(text, &t);
  const auto v = number_of<std::int64_t>(text);
  const std::int64_t in_s = unit == "ms" ? 1000 : 1;
  if (!v || *v < 0 || *v / in_s > 253'402'300'799) return false;
  t.set_seconds(*v / in_s);
  t.set_nanos(static_cast<std::int32_t>(*v % in_s * (1'000'000'000 / in_s)));
  return true;
}

bool set_value(Message& m, const FieldDescriptor& f, const std::string& text,
               const std::string& unit) {
  const Reflection& r = *m.GetReflection();
  if (is_time(f)) {
    return set_time(static_cast<google::protobuf::Timestamp&>(*r.MutableMessage(&m, &f)), text,
                    unit);
  }
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (f.type() == FieldDescriptor::TYPE_STRING && !protocol::mqtt::valid_utf8(text))
        return false;
      r.SetString(&m, &f, text);
      return true;
    case FieldDescriptor::CPPTYPE_BOOL:
      r.SetBool(&m, &f, text == "true" || text == "1");
      return text == "true" || text == "1" || text == "false" || text == "0";
    case FieldDescriptor::CPPTYPE_INT32:
      return set_number<std::int32_t>(text, [&](auto v) { r.SetInt32(&m, &f, v); });
    case FieldDescriptor::CPPTYPE_INT64:
      return set_number<std::int64_t>(text, [&](auto v) { r.SetInt64(&m, &f, v); });
    case FieldDescriptor::CPPTYPE_UINT32:
      return set_number<std::uint32_t>(text, [&](auto v) { r.SetUInt32(&m, &f, v); });
    case FieldDescriptor::CPPTYPE_UINT64:
      return set_number<std::uint64_t>(text, [&](auto v) { r.SetUInt64(&m, &f, v); });
    case FieldDescriptor::CPPTYPE_FLOAT:
      return set_number<double>(text, [&](auto v) { r.SetFloat(&m, &f, static_cast<float>(v)); });
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return set_number<double>(text, [&](auto v) { r.SetDouble(&m, &f, v); });
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* named = f.enum_type()->FindValueByName(text);
      if (named != nullptr) r.SetEnum(&m, &f, named);
      return named != nullptr;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return false;
  }
  return false;
}

// Of a list: its first.
Message& inner(Message& m, const FieldDescriptor& f) {
  const Reflection& r = *m.GetReflection();
  if (!f.is_repeated()) return *r.MutableMessage(&m, &f);
  return r.FieldSize(m, &f) == 0 ? *r.AddMessage(&m, &f) : *r.MutableRepeatedMessage(&m, &f, 0);
}

}  // namespace

class Profile::Rule {
 public:
  struct Field {
    std::string name;  // "plate.plate.number"
    std::vector<const FieldDescriptor*> path;
    std::string from;  // JSON pointer; empty: `value`
    std::string value;
    std::map<std::string, std::string> values;
    std::string unit;
    bool base64 = false;
    bool required = false;

    bool set(v1::Envelope& e, const std::string& text) const {
      Message* m = &e;
      for (std::size_t i = 0; i + 1 < path.size(); ++i) m = &inner(*m, *path[i]);
      return set_value(*m, *path.back(), text, unit);
    }
    // False: it is not there, or is no value of this field.
    bool take(const json::value& v, v1::Envelope& e) const {
      if (from.empty()) return set(e, value);
      json::error_code ec;
      const json::value* at = v.find_pointer(from, ec);
      std::optional<std::string> text = at == nullptr ? std::nullopt : text_of(*at);
      if (text && base64) text = decode_base64(*text);
      if (!text || text->empty()) return false;
      if (values.empty()) return set(e, *text);
      const auto known = values.find(*text);
      return known != values.end() && set(e, known->second);
    }
  };
  explicit Rule(const pb::MessageRule& r) : topic(r.topic()), report(report_named(r.report())) {
    if (!protocol::mqtt::valid_topic_filter(topic))
      bad_product("'" + topic + "' is no topic filter");
    if (report == Report::none && r.fields_size() != 0)
      bad_product("fields of what is not passed on");
    if (static_cast<std::size_t>(r.fields_size()) > kFieldsMax) bad_product("more than 64 fields");
    bool body = report == Report::none;
    for (const auto& [name, source] : r.fields()) {
      fields.push_back(field(name, source));
      body = body || fields.back().path.front()->containing_oneof() != nullptr;
    }
    if (!body) bad_product("'" + topic + "': no field of a body");
  }
  static Field field(const std::string& name, const pb::FieldSource& s) {
    Field f{.name = name,
            .path = path_of(name),
            .from = s.from(),
            .value = s.value(),
            .values = {s.values().begin(), s.values().end()},
            .unit = s.unit(),
            .base64 = s.encoding() == "base64",
            .required = s.required()};
    if (f.from.empty() == f.value.empty())
      bad_product("'" + name + "' needs either `from` or `value`");
    if (!f.from.empty() && f.from.front() != '/')
      bad_product("'" + f.from + "' is no JSON pointer");
    if (!s.encoding().empty() && !f.base64)
      bad_product("encoding '" + s.encoding() + "' is not base64");
    if (!f.unit.empty() && f.unit != "s" && f.unit != "ms") bad_product("unit '" + f.unit + "'");
    if (f.values.size() > kValuesMax) bad_product("more than 64 values of '" + name + "'");
    v1::Envelope scratch;
    const auto good = [&](const std::string& text) { return f.set(scratch, text); };
    if (!f.value.empty() && !good(f.value))
      bad_product("'" + f.value + "' is no value of '" + name + "'");
    for (const auto& [from, to] : f.values) {
      if (!good(to)) bad_product("'" + to + "' is no value of '" + name + "'");
    }
    return f;
  }
  std::string topic;
  Report report;
  std::vector<Field> fields;
};

Profile::Profile(const pb::Product& product) : commands_(product) {
  if (product.messages_size() > kRulesMax) bad_product("more than 32 messages");
  for (const auto& m : product.messages()) rules_.push_back(std::make_unique<Rule>(m));
}
Profile::~Profile() = default;

const Profile::Rule* Profile::find(std::string_view topic, std::string_view device,
                                   std::string_view site) const {
  for (const auto& r : rules_) {
    const bool fixed = r->topic.find('%') == std::string::npos;
    if (protocol::mqtt::filter_matches(fixed ? r->topic : substituted(r->topic, device, site),
                                       topic))
      return r.get();
  }
  return nullptr;
}

Report Profile::report_of(const Rule& rule) {
  return rule.report;
}

bool Profile::apply(const Rule& rule, std::string_view payload, v1::Envelope& out,
                    std::string& why) {
  json::error_code ec;
  const json::value v = json::parse(payload, ec);
  if (ec) why = "it is not JSON";
  if (ec) return false;
  for (const Rule::Field& f : rule.fields) {
    if (f.take(v, out) || !f.required) continue;
    why = f.name + " is required: its value is absent, empty or of another kind";
    return false;
  }
  const bool body = out.body_case() != v1::Envelope::BODY_NOT_SET;
  if (!body) why = "no field of a body has a value";
  return body;
}

std::string substituted(std::string topic, std::string_view device, std::string_view site) {
  std::string out;
  for (std::size_t i = 0; i < topic.size(); ++i) {
    const char mark = topic[i] == '%' && i + 1 < topic.size() ? topic[i + 1] : '\0';
    if (mark == 'd' || mark == 's') {
      out.append(mark == 'd' ? device : site);
      ++i;
    } else {
      out.push_back(topic[i]);
    }
  }
  return out;
}

bool translates(const pb::Product& product) {
  const auto& commands = product.commands();
  return product.messages_size() != 0 ||
         std::any_of(commands.begin(), commands.end(), [](const auto& c) { return c.has_reply(); });
}

}  // namespace berth::gateway::registry
