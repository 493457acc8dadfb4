#include "gateway/process.h"

#include <signal.h>

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <fstream>

#include "base/log.h"
#include "gateway/engine_setup.h"
#include "gateway/runtime/child_process.h"
#include "metrics/names.h"
#include "metrics/registry.h"

namespace berth::gateway {

namespace asio = boost::asio;

int run_process(const Config& config, const std::string& role, const std::function<int()>& f) {
  runtime::raise_descriptor_limit();
  signal(SIGPIPE, SIG_IGN);
  base::start_log(
      {.format = config.log_format == "ecs" ? base::LogFormat::ecs : base::LogFormat::text,
       .level = config.log_level,
       .role = role});
  int code = 0;
  try {
    code = f();
  } catch (const ConfigError&) {
    base::stop_log();
    throw;
  } catch (const std::exception& e) {
    BERTH_LOG(err, "cannot start error={}", e.what());
    code = kExitUnavailable;
  }
  base::stop_log();
  return code;
}

void DeviceListeners::bind(const Config& config, runtime::EdgeShards& edges) {
  using edge::Transport;
  const bool any_tls =
      std::any_of(edge::kTransports.begin(), edge::kTransports.end(),
                  [&](Transport t) { return edge::has_tls(t) && config.listener(t).enabled(); });
  if (any_tls) tls_ = std::make_unique<edge::TlsServer>(config.tls);
  for (const Transport t : edge::kTransports) {
    const ListenerConfig& l = config.listener(t);
    std::string& at = at_[edge::index_of(t)];
    at = "off";
    if (!l.enabled()) continue;
    Endpoint e = parse_endpoint(l.listen);
    edges.bind(t,
               {.tls = edge::has_tls(t) ? tls_.get() : nullptr,
                .proxy_protocol = l.proxy_protocol,
                .max_connections = l.max_connections},
               e.host, e.port);
    at = e.host + ":" + std::to_string(e.port);
  }
}

void DeviceListeners::reload_tls() {
  if (tls_ == nullptr) return;
  try {
    tls_->reload();
    BERTH_LOG(info, "certificates of devices read again");
  } catch (const std::runtime_error& e) {
    BERTH_LOG(err, "certificates of devices stay as they were error=\"{}\"", e.what());
  }
}

std::string DeviceListeners::text() const {
  std::string all;
  for (const edge::Transport t : edge::kTransports) {
    if (!all.empty()) all.push_back(' ');
    all.append(edge::name_of(t)).append("=").append(at_[edge::index_of(t)]);
  }
  return all;
}

boost::json::object DeviceListeners::json() const {
  boost::json::object all;
  for (const edge::Transport t : edge::kTransports) all[edge::name_of(t)] = at_[edge::index_of(t)];
  return all;
}

std::string admin_token(const Config& config) {
  if (config.admin_token_file.empty()) return {};
  std::ifstream in(config.admin_token_file);
  std::string token;
  if (!(in >> token)) throw ConfigError(config.admin_token_file + ": no token in it");
  return token;
}

admin::Response text_response(int status, std::string text) {
  admin::Response r;
  r.status = status;
  r.body = std::move(text);
  return r;
}

admin::Response health_response(bool good) {
  return text_response(good ? 200 : 503, good ? "ok\n" : "not ok\n");
}

admin::Response json_response(const boost::json::object& o) {
  admin::Response r;
  r.content_type = "application/json";
  r.body = boost::json::serialize(o) + "\n";
  return r;
}

admin::Response metrics_response(const std::vector<metrics::Sample>& samples) {
  admin::Response r;
  r.content_type = "text/plain; version=0.0.4; charset=utf-8";
  r.body = metrics::serialize(samples, kVersion, revision());
  return r;
}

std::vector<metrics::Sample> certificate_samples(
    const std::vector<runtime::CertificateExpiry>& certificates) {
  std::vector<metrics::Sample> all;
  for (const auto& c : certificates) {
    all.push_back({metrics::kCertificateExpiry, "name", c.name,
                   "When the certificate in use ends, Unix time; of a chain the earliest", false,
                   static_cast<std::uint64_t>(std::max<std::int64_t>(c.not_after_s, 0))});
  }
  return all;
}

asio::awaitable<admin::Response> ready_made(admin::Response r) {
  co_return r;
}

asio::awaitable<metrics::EdgeProbe> edge_totals(asio::io_context& io, runtime::EdgeShards& edges,
                                                bool draining) {
  auto initiate = [&io, &edges](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    edges.collect([&io, shared](std::vector<metrics::EdgeProbe> probes) {
      asio::post(io, [shared, p = std::move(probes)]() mutable { (*shared)(std::move(p)); });
    });
  };
  const auto probes = co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                                    void(std::vector<metrics::EdgeProbe>)>(
      initiate, asio::use_awaitable);
  metrics::EdgeProbe total = runtime::total_of(probes);
  total.draining = draining ? 1 : 0;
  total.drain_remaining = draining ? total.connections + total.unauthenticated : 0;
  const metrics::ProcessUsage u = metrics::process_usage();
  total.edge_rss = u.resident_bytes;
  total.edge_cpu_ms = u.cpu_ms;
  co_return total;
}

}  // namespace berth::gateway
