// What `berth serve`, `berth edge` and `berth engine` do alike: begin and end as a process, and
// answer operators.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/admin/http_server.h"
#include "gateway/config.h"
#include "gateway/runtime/certificates.h"
#include "gateway/runtime/edge_shards.h"
#include "metrics/probe.h"

namespace berth::gateway {

inline constexpr int kExitUnavailable = 69;  // a port or the store is held by somebody

// Runs `f` with logging as `role`; returns its exit code, kExitUnavailable for what it throws.
// ConfigError passes through.
int run_process(const Config& config, const std::string& role, const std::function<int()>& f);

// Where devices come in: those listeners that are configured.
class DeviceListeners {
 public:
  // Before the edge opens for devices, and after it has adopted those of another process. Throws
  // std::runtime_error.
  void bind(const Config& config, runtime::EdgeShards& edges);
  void reload_tls();         // certificates, for connections to come
  std::string text() const;  // "mqtt=HOST:PORT mqtts=off …"
  boost::json::object json() const;

 private:
  std::unique_ptr<edge::TlsServer> tls_;
  std::array<std::string, edge::kTransports.size()> at_;  // HOST:PORT or "off", by transport
};

// What admin.token_file holds; empty: there is none. Throws ConfigError.
std::string admin_token(const Config& config);
admin::Response text_response(int status, std::string text);
admin::Response health_response(bool good);  // 200 or 503
admin::Response json_response(const boost::json::object& o);
admin::Response metrics_response(const std::vector<metrics::Sample>& samples);
boost::asio::awaitable<admin::Response> ready_made(admin::Response r);
// berth_certificate_expiry_timestamp_seconds, by name.
std::vector<metrics::Sample> certificate_samples(
    const std::vector<runtime::CertificateExpiry>& certificates);

// The probes of all shards together with what is of the whole process.
boost::asio::awaitable<metrics::EdgeProbe> edge_totals(boost::asio::io_context& io,
                                                       runtime::EdgeShards& edges, bool draining);

}  // namespace berth::gateway
