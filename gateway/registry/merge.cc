#include "gateway/registry/merge.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <boost/json.hpp>

namespace berth::gateway::registry {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

namespace {

json::object object_of(const Message& m) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(m, &text, options).ok())
    throw BadRecord("damaged record");
  return parse_object(text);
}

// JSON may say timeZone for time_zone: one name for each field, so that the patch finds it.
json::object canonical(const json::object& o, const Descriptor& d) {
  json::object out;
  for (const auto& [key, value] : o) {
    const std::string name(key);
    const FieldDescriptor* f = d.FindFieldByName(name);
    if (f == nullptr) f = d.FindFieldByCamelcaseName(name);
    if (f == nullptr) {
      out[name] = value;  // refused later, by its name
      continue;
    }
    const bool plain = f->message_type() == nullptr || f->is_map();
    if (!plain && value.is_object() && !f->is_repeated()) {
      out[f->name()] = canonical(value.get_object(), *f->message_type());
    } else {
      out[f->name()] = value;
    }
  }
  return out;
}

void merge_into(json::object& target, const json::object& patch) {
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      target.erase(key);
      continue;
    }
    json::value& at = target[key];
    if (!value.is_object()) {
      at = value;
      continue;
    }
    if (!at.is_object()) at = json::object();
    merge_into(at.get_object(), value.get_object());
  }
}

std::string text_at(const json::value& credential, const char* field) {
  if (!credential.is_object()) return {};
  const json::value* v = credential.get_object().if_contains(field);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

bool same_login(const json::value& a, const json::value& b) {
  return text_at(a, "auth_id") == text_at(b, "auth_id") &&
         canonical_certificate(text_at(a, "certificate")) ==
             canonical_certificate(text_at(b, "certificate"));
}

json::array added(const json::array& stored, const json::array& more) {
  json::array out;
  for (const json::value& s : stored) {
    const bool replaced = std::any_of(more.begin(), more.end(),
                                      [&](const json::value& m) { return same_login(s, m); });
    if (!replaced) out.push_back(s);
  }
  for (const json::value& m : more) out.push_back(m);
  return out;
}

const char* plural(Kind kind) {
  switch (kind) {
    case Kind::tenant:
      return "tenants";
    case Kind::site:
      return "sites";
    case Kind::product:
      return "products";
    case Kind::device:
      return "devices";
    case Kind::account:
      return "accounts";
  }
  return "";
}

}  // namespace

json::object parse_object(const std::string& text) {
  json::error_code ec;
  json::value v = json::parse(text, ec);
  if (ec) throw BadRecord("no JSON: " + ec.message());
  if (!v.is_object()) throw BadRecord("not a JSON object");
  return std::move(v.get_object());
}

std::unique_ptr<Message> merged(Kind kind, const std::string& stored, const json::object& patch,
                                bool add_credentials) {
  const auto before = message_of(kind, stored);
  json::object whole = object_of(*before);
  json::object change = canonical(patch, *before->GetDescriptor());
  if (add_credentials && whole.contains("credentials") && change.contains("credentials") &&
      whole["credentials"].is_array() && change["credentials"].is_array()) {
    change["credentials"] =
        added(whole["credentials"].get_array(), change["credentials"].get_array());
  }
  merge_into(whole, change);
  return from_json(kind, json::serialize(whole));
}

json::object difference(const std::string& key, const std::string* before,
                        const std::string* after) {
  const Key k = parse_key(key);
  json::object out;
  out["record"] = std::string(plural(k.kind)) + "/" + key.substr(2);
  out["action"] = before == nullptr ? "create" : after == nullptr ? "delete" : "update";
  const json::object from = before ? parse_object(to_json(k, *before)) : json::object();
  const json::object to = after ? parse_object(to_json(k, *after)) : json::object();
  json::object fields;
  for (const auto& [name, value] : from) {
    const json::value* now = to.if_contains(name);
    if (now != nullptr && *now == value) continue;
    fields[name] = {{"from", value}, {"to", now != nullptr ? *now : json::value()}};
  }
  for (const auto& [name, value] : to) {
    if (!from.contains(name)) fields[name] = {{"from", nullptr}, {"to", value}};
  }
  if (fields.empty() && before != nullptr && after != nullptr && *before != *after)
    fields["credentials"] = {{"changed", true}};
  out["fields"] = std::move(fields);
  return out;
}

}  // namespace berth::gateway::registry
