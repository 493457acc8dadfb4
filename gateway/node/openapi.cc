#include "gateway/node/openapi.h"

#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>
#include <charconv>

namespace berth::gateway {

namespace json = boost::json;

namespace {

json::value scalar_of(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return json::value(text);  // in quotes
  if (text == "true" || text == "false") return json::value(text == "true");
  if (text == "null" || text == "~") return nullptr;
  std::int64_t whole = 0;
  const char* end = text.data() + text.size();
  if (const auto r = std::from_chars(text.data(), end, whole); r.ec == std::errc() && r.ptr == end)
    return json::value(whole);
  double number = 0;
  if (const auto r = std::from_chars(text.data(), end, number); r.ec == std::errc() && r.ptr == end)
    return json::value(number);
  return json::value(text);
}

json::value value_of(const YAML::Node& node) {
  if (node.IsMap()) {
    json::object o;
    for (const auto& entry : node) o[entry.first.Scalar()] = value_of(entry.second);
    return o;
  }
  if (node.IsSequence()) {
    json::array a;
    for (const auto& entry : node) a.push_back(value_of(entry));
    return a;
  }
  return node.IsScalar() ? scalar_of(node) : json::value(nullptr);
}

admin::HttpServer::Answer page(std::string body) {
  co_return admin::Response{200, "application/json", std::move(body), {}};
}

std::string routes_of(const admin::HttpServer& http) {
  json::array all;
  for (const admin::Route& r : http.routes().all()) {
    if (r.pattern.ends_with('/')) continue;  // another way to write one of the others
    all.emplace_back(r.method.empty() ? r.pattern : r.method + " " + r.pattern);
  }
  const json::object o{{"routes", std::move(all)}};
  return json::serialize(o) + "\n";
}

}  // namespace

std::string json_of_yaml(const std::string& yaml) {
  return json::serialize(value_of(YAML::Load(yaml))) + "\n";
}

void serve_openapi(admin::HttpServer& http) {
  const auto file = [text = json_of_yaml(openapi_yaml())] { return page(text); };
  http.route("GET /api/v1/openapi.json", file, {.who = admin::For::accounts});
  http.route("GET /api/v1/routes", [&http] { return page(routes_of(http)); });
}

}  // namespace berth::gateway
