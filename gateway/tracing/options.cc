#include "gateway/tracing/options.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <system_error>

namespace berth::gateway::tracing {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";
constexpr std::uint16_t kHttpsPort = 443;

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// HOST, HOST:PORT, [V6], [V6]:PORT
bool read_authority(std::string_view text, Endpoint& out) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t from = bracket == std::string_view::npos ? 0 : bracket;
  const std::size_t colon = text.find(':', from);
  std::string_view host = text.substr(0, colon);
  if (bracket != std::string_view::npos) {
    if (host.size() < 3 || host.front() != '[' || host.back() != ']') return false;
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty()) return false;
  out.host = host;
  if (colon == std::string_view::npos) return true;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  return ec == std::errc() && end == port.data() + port.size() && out.port != 0;
}

}  // namespace

std::string read_endpoint(const std::string& text, Endpoint& out) {
  Endpoint e;
  e.text = text;
  if (!text.empty()) {
    std::string wrong = "'" + text + "' is not http://HOST:PORT/v1/traces, nor with https";
    e.tls = text.starts_with(kHttps);
    if (e.tls) e.port = kHttpsPort;
    const std::string_view scheme = e.tls ? kHttps : kHttp;
    const std::string_view rest =
        std::string_view(text).substr(std::min(scheme.size(), text.size()));
    const bool plain = is_plain(text) && text.find_first_of("@?#") == std::string::npos;
    if (!text.starts_with(scheme) || !plain) return wrong;
    const std::size_t slash = rest.find('/');
    if (!read_authority(rest.substr(0, slash), e)) return wrong;
    if (slash != std::string_view::npos && rest.size() > slash + 1) e.path = rest.substr(slash);
  }
  out = std::move(e);
  return {};
}

std::string read_share(const std::string& text, double& out) {
  double v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size() || !(v >= 0 && v <= 1))
    return "'" + text + "' is not a number from 0 to 1";
  out = v;
  return {};
}

std::string read_devices(const std::string& text, std::vector<std::string>& out) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string one; std::getline(in, one, ',');) {
    one.erase(std::remove(one.begin(), one.end(), ' '), one.end());
    if (one.empty()) continue;
    const std::size_t slash = one.find('/');
    const bool good = slash != 0 && slash != std::string::npos && slash + 1 < one.size() &&
                      one.find('/', slash + 1) == std::string::npos;
    if (!good) return "'" + one + "' is not TENANT/DEVICE";
    all.push_back(std::move(one));
  }
  if (all.size() > TracingOptions::kDevicesMax)
    return std::to_string(all.size()) + " devices; at most " +
           std::to_string(TracingOptions::kDevicesMax) + " can be listed, `share` is for more";
  out = std::move(all);
  return {};
}

std::string share_text(double share) {
  char text[32];
  const auto [end, ec] = std::to_chars(text, text + sizeof text, share);
  return {text, ec == std::errc() ? end : text};
}

std::string devices_text(const std::vector<std::string>& devices) {
  std::string all;
  for (const std::string& d : devices) all += (all.empty() ? "" : ",") + d;
  return all;
}

}  // namespace berth::gateway::tracing
