#include "gateway/registry/booleans.h"

#include <google/protobuf/descriptor.h>
#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>
#include <string>

namespace berth::gateway::registry {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

namespace {

constexpr const char* kTrueOrFalse = ": true or false is needed, without quotes, not ";

// As JSON may say it: time_zone or timeZone. Null: there is none, which is refused elsewhere.
const FieldDescriptor* field_of(const Descriptor& d, const std::string& name) {
  const FieldDescriptor* f = d.FindFieldByName(name);
  return f != nullptr ? f : d.FindFieldByCamelcaseName(name);
}

bool is_bool(const FieldDescriptor& f) {
  return f.type() == FieldDescriptor::TYPE_BOOL;
}

// Of the values of a map, of the items of a list, or of the one value there is; null: no message.
const Descriptor* inside_of(const FieldDescriptor& f) {
  if (!f.is_map()) return f.message_type();
  return f.message_type()->FindFieldByName("value")->message_type();
}

void check(const Descriptor& d, const json::value& v, const std::string& prefix);

void check_field(const FieldDescriptor& f, const json::value& v, const std::string& path) {
  if (is_bool(f) && !v.is_bool() && !v.is_null())
    throw BadRecord(path + kTrueOrFalse + json::serialize(v));
  const Descriptor* inside = inside_of(f);
  if (inside == nullptr) return;
  if (f.is_map() && v.is_object()) {
    for (const auto& [key, value] : v.get_object())
      check(*inside, value, path + "." + std::string(key) + ".");
  } else if (v.is_array()) {
    for (const json::value& each : v.get_array()) check(*inside, each, path + ".");
  } else {
    check(*inside, v, path + ".");
  }
}

void check(const Descriptor& d, const json::value& v, const std::string& prefix) {
  if (!v.is_object()) return;
  for (const auto& [key, value] : v.get_object()) {
    const std::string name(key);
    if (const FieldDescriptor* f = field_of(d, name)) check_field(*f, value, prefix + name);
  }
}

void check(const Descriptor& d, const YAML::Node& n, const std::string& prefix);

void check_field(const FieldDescriptor& f, const YAML::Node& n, const std::string& path) {
  if (is_bool(f) && n.IsScalar() && n.Tag() == "!")  // it has quotes
    throw BadRecord("line " + std::to_string(n.Mark().line + 1) + ": " + path + kTrueOrFalse +
                    "\"" + n.Scalar() + "\"");
  const Descriptor* inside = inside_of(f);
  if (inside == nullptr) return;
  if (f.is_map() && n.IsMap()) {
    for (const auto& each : n)
      check(*inside, each.second, path + "." + each.first.as<std::string>() + ".");
  } else if (n.IsSequence()) {
    for (const YAML::Node& each : n) check(*inside, each, path + ".");
  } else {
    check(*inside, n, path + ".");
  }
}

void check(const Descriptor& d, const YAML::Node& n, const std::string& prefix) {
  if (!n.IsMap()) return;
  for (const auto& each : n) {
    const auto name = each.first.as<std::string>();
    if (const FieldDescriptor* f = field_of(d, name)) check_field(*f, each.second, prefix + name);
  }
}

}  // namespace

void check_booleans(Kind kind, const json::object& record) {
  check(*make_message(kind)->GetDescriptor(), json::value(record), {});
}

void check_booleans(Kind kind, const YAML::Node& record) {
  check(*make_message(kind)->GetDescriptor(), record, {});
}

}  // namespace berth::gateway::registry
