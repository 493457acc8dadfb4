#include "gateway/uplink/definition.h"

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>
#include <utility>

namespace berth::gateway::uplink {

namespace json = boost::json;

namespace {

std::string in_directory(const std::string& dir, const std::string& key, const std::string& file) {
  if (dir.empty())
    throw std::runtime_error(key + ": uplinks.files_dir is not set, so no file can be named");
  constexpr std::size_t kNameMax = 255;
  const bool odd = std::any_of(file.begin(), file.end(),
                               [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '/'; });
  if (odd || file.front() == '.' || file.size() > kNameMax)
    throw std::runtime_error(key + ": the name of a file of uplinks.files_dir, without a path");
  return dir + "/" + file;
}

}  // namespace

UplinkConfig read_definition(const std::string& name, const std::string& text,
                             const std::string& files_dir) {
  if (name.find_first_not_of('.') == std::string::npos)  // a path for clients that tidy it up
    throw std::runtime_error("name: not of points alone");
  if (text.size() > kDefinitionMax)
    throw std::runtime_error("more than " + std::to_string(kDefinitionMax) + " bytes");
  boost::system::error_code ec;
  json::value v = json::parse(text, ec);
  if (ec || !v.is_object()) throw std::runtime_error("a JSON object is expected");
  json::object& o = v.get_object();
  if (o.contains("name") && o["name"] != json::value(name))
    throw std::runtime_error("name: not that of the path");
  o["name"] = name;
  // JSON is YAML.
  const json::object file{{"uplinks", json::array{std::move(v)}}};
  UplinkConfig c;
  try {
    c = parse_uplinks(json::serialize(file), {}).front();
  } catch (const std::runtime_error& e) {  // ":1: WHY": there is but one line
    const std::string why = e.what();
    const std::size_t at = why.find(": ");
    throw std::runtime_error(at == std::string::npos ? why : why.substr(at + 2));
  }
  for (const auto& [key, field] : {std::pair{"password_file", &UplinkConfig::password_file},
                                   {"ca_file", &UplinkConfig::ca_file},
                                   {"cert_file", &UplinkConfig::cert_file},
                                   {"key_file", &UplinkConfig::key_file},
                                   {"secret_file", &UplinkConfig::secret_file},
                                   {"token_file", &UplinkConfig::token_file}}) {
    std::string& path = c.*field;
    if (!path.empty()) path = in_directory(files_dir, key, path);
  }
  c.files_dir = files_dir;
  return c;
}

}  // namespace berth::gateway::uplink
