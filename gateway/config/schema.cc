#include "gateway/config/schema.h"

#include <boost/json.hpp>

#include "gateway/config/config_change.h"
#include "gateway/config/config_key.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

const char* name_of(Applies a) {
  return a == Applies::reload ? "reload" : a == Applies::engine ? "engine" : "restart";
}

json::object schema_of(const Key& key, const Config& defaults) {
  const std::string value = key.get(defaults);
  const Values& v = key.values;
  json::object o;
  switch (v.kind) {
    case Values::Kind::number:
      o = {{"type", "integer"},
           {"minimum", v.min},
           {"maximum", v.max},
           {"default", json::parse(value)}};
      break;
    case Values::Kind::boolean:
      o = {{"type", "boolean"}, {"default", value == "true"}};
      break;
    case Values::Kind::word:
      o = {{"type", "string"}, {"enum", json::value_from(v.words)}, {"default", value}};
      break;
    case Values::Kind::share:
      o = {{"type", "number"}, {"minimum", 0}, {"maximum", 1}, {"default", json::parse(value)}};
      break;
    case Values::Kind::text:
      o = {{"type", "string"}, {"default", value}};
      break;
  }
  o["x-applies"] = name_of(how_applied(key.name));
  return o;
}

json::object closed_object() {
  return {{"type", "object"}, {"additionalProperties", false}, {"properties", json::object()}};
}

}  // namespace

std::string settings_schema() {
  const Config defaults;
  json::object schema = closed_object();
  json::object& all = schema["properties"].get_object();
  for (const Key& key : keys()) {
    const std::size_t dot = key.name.find('.');
    if (dot == std::string::npos) {
      all[key.name] = schema_of(key, defaults);
      continue;
    }
    const std::string group = key.name.substr(0, dot);
    if (!all.contains(group)) all[group] = closed_object();
    all[group].get_object()["properties"].get_object()[key.name.substr(dot + 1)] =
        schema_of(key, defaults);
  }
  schema["$schema"] = "http://json-schema.org/draft-07/schema#";
  schema["title"] = "Settings of Berth";
  return json::serialize(schema);
}

}  // namespace berth::gateway
