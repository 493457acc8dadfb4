// The settings of tracing (docs/operations.md, "Tracing"), read once. Plain data; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::gateway::tracing {

// http[s]://HOST[:PORT][/PATH] of a collector that takes OTLP over HTTP. The port is 4318, that of
// https is 443.
struct Endpoint {
  std::string text;  // as it was set; empty: no tracing
  std::string host;
  std::uint16_t port = 4318;
  std::string path = "/v1/traces";
  bool tls = false;
};

struct TracingOptions {
  static constexpr std::size_t kDevicesMax = 1000;

  Endpoint endpoint;
  double share = 0;                  // of traces that nobody asked for, 0 to 1
  std::vector<std::string> devices;  // TENANT/DEVICE: all that they do is sampled
  std::string service_name = "berth";
  std::string ca_file;       // for https; empty: the authorities that the system trusts
  std::string headers_file;  // headers.h; empty: none
  bool enabled() const { return !endpoint.text.empty(); }
};

// What is wrong with the text of a setting; empty: nothing, and it is in `out`.
std::string read_endpoint(const std::string& text, Endpoint& out);
std::string read_share(const std::string& text, double& out);
// With commas between them.
std::string read_devices(const std::string& text, std::vector<std::string>& out);

std::string share_text(double share);
std::string devices_text(const std::vector<std::string>& devices);

}  // namespace berth::gateway::tracing
