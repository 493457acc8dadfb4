// What `berth serve`, `berth edge` and `berth engine` do alike: begin and end as a process, and
// answer operators.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/admin/http_server.h"
#include "gateway/admin/token_file.h"
#include "gateway/config/config.h"
#include "gateway/node/edge_shards.h"
#include "gateway/runtime/certificates.h"
#include "gateway/runtime/degraded.h"
#include "gateway/tracing/tracer.h"
#include "metrics/probe.h"

namespace berth::gateway {

class Reload;

// Of a process of this role; null: tracing is off.
std::unique_ptr<tracing::Tracer> tracer_of(
    const Config& config, const std::string& role,
    std::chrono::milliseconds flush_max = tracing::kFlushMax);

// With values of 0 while tracing is off.
std::vector<metrics::Sample> trace_samples(const tracing::Tracer* tracer, const std::string& role);

// One that is in the log already, in the format that the log has.
struct LoggedConfigError : ConfigError {
  using ConfigError::ConfigError;
};

// Runs `f` with logging as `role`; returns its exit code, base::kExitUnavailable for what it
// throws. ConfigError passes through; with log.format ecs it is logged and passes as
// LoggedConfigError.
int run_process(const Config& config, const std::string& role, const std::function<int()>& f);

// Where devices come in: those listeners that are configured.
class DeviceListeners {
 public:
  // Before the edge opens for devices, and after it has adopted those of another process. Throws
  // std::runtime_error.
  void bind(const Config& config, EdgeShards& edges);
  // Certificates, for connections to come.
  void reload_tls();
  // From now on they do so when the set of files is another one that is good. Before bind().
  // So do limits of addresses and of accepts.
  void follow(Reload& reload, EdgeShards& edges);
  std::vector<runtime::CertificateExpiry> expiries() const;  // of what is in use
  std::string text() const;                                  // "mqtt=HOST:PORT mqtts=off …"
  boost::json::object json() const;

 private:
  std::unique_ptr<edge::TlsServer> tls_;
  std::vector<std::shared_ptr<void>> follows_;            // of Reload
  std::array<std::string, edge::kTransports.size()> at_;  // HOST:PORT or "off", by transport
};

// admin.token_file, or admin.token in the data directory, which is made where there is none. Throws
// ConfigError: the file that is named can't be read, or holds no token.
admin::TokenFile admin_token(const Config& config);
// The Unix socket of admin.socket, which may serve before listen_admin(). False: it is not set, or
// another process listens there and `replace` is not. Throws std::runtime_error.
bool listen_admin_socket(admin::HttpServer& http, const Config& config, bool replace,
                         Reload* reload = nullptr);
// Listens for operators as configured, says so in the log, and fills in `at`. Throws ConfigError,
// or std::runtime_error: the port is somebody else's. The token of admin.token_file is the one of
// the set of files in force.
void listen_admin(admin::HttpServer& http, const Config& config, Endpoint& at, Reload& reload);
// For the commands of `berth ctl` that another process answers: the error that names this process,
// in place of "no such page". Empty: this process has a page for the command.
struct WhoAnswers {
  std::string quarantine;
  std::string restart_engine;
  std::string drain;
  std::string registry;       // records, import and export, usage
  std::string platform = {};  // devices, their history and commands
};
void say_who_answers(admin::HttpServer& http, const WhoAnswers& who);
inline constexpr const char kNoRegistry[] = "there is no registry here: registry.source is none";

admin::Response text_response(int status, std::string text);
admin::Response health_response(bool good);  // 200 or 503
// 200, or 503 with what is in the way, a line each; and in both cases a line "degraded: " for each
// part that is served from its last good copy, by this process or (`engine_degraded`) its engine.
admin::Response ready_response(const std::vector<std::string>& reasons_why_not,
                               const std::vector<std::string>& engine_degraded = {});
admin::Response json_response(const boost::json::object& o);
// As `asked` says it wants them (Accept, Accept-Encoding).
admin::Response metrics_response(const admin::Request& asked,
                                 const std::vector<metrics::Sample>& samples);
// berth_ready: 1 if nothing is in the way.
metrics::Sample ready_sample(const std::vector<std::string>& reasons_why_not);
metrics::Sample standbys_sample(std::uint64_t engines);  // berth_standby_engines
// berth_certificate_expiry_timestamp_seconds, by name.
std::vector<metrics::Sample> certificate_samples(
    const std::vector<runtime::CertificateExpiry>& certificates);

// berth_degraded, by part: those of an engine, of an edge, and of either in a cluster.
inline const std::vector<runtime::Part> kEngineParts{
    runtime::Part::acl_file, runtime::Part::password_file, runtime::Part::uplinks_file};
inline const std::vector<runtime::Part> kEdgeParts{runtime::Part::device_certificates};
inline const std::vector<runtime::Part> kLinkParts{runtime::Part::link_certificates};
std::vector<metrics::Sample> degraded_samples(const std::vector<runtime::Part>& parts);

// What is of the process and of its host rather than of a shard or an engine: log lines, the admin
// port, and the room where the store is. Any thread; looks at the file system.
std::vector<metrics::Sample> host_samples(const Config& config, const admin::HttpServer& http);

// The probes of all shards together with what is of the whole process; `draining` is asked at home.
// Nothing: a shard's loop has not run for ten seconds.
boost::asio::awaitable<std::optional<metrics::EdgeProbe>> edge_totals(admin::HomeLoop home,
                                                                      EdgeShards& edges,
                                                                      const bool& draining);

}  // namespace berth::gateway
