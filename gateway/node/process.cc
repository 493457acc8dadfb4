#include "gateway/node/process.h"

#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "base/exit_codes.h"
#include "base/log.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/openapi.h"
#include "gateway/node/preflight.h"
#include "gateway/node/reload.h"
#include "gateway/node/secret_files.h"
#include "gateway/runtime/child_process.h"
#include "gateway/runtime/degraded.h"
#include "metrics/exposition.h"
#include "metrics/link_names.h"
#include "metrics/names.h"
#include "store/store_access.h"

namespace berth::gateway {

namespace asio = boost::asio;

std::unique_ptr<tracing::Tracer> tracer_of(const Config& config, const std::string& role,
                                           std::chrono::milliseconds flush_max) {
  return tracing::Tracer::make(
      config.tracing,
      {.role = role, .version = kVersion, .name = config.cluster.name, .flush_max = flush_max});
}

std::vector<metrics::Sample> trace_samples(const tracing::Tracer* tracer, const std::string& role) {
  return tracer != nullptr ? tracer->samples() : tracing::samples_of({}, role);
}

int run_process(const Config& config, const std::string& role, const std::function<int()>& f) {
  runtime::raise_descriptor_limit();
  for (const int s : {SIGPIPE, SIGUSR1, SIGUSR2}) signal(s, SIG_IGN);
  base::start_log(
      {.format = config.log_format == "ecs" ? base::LogFormat::ecs : base::LogFormat::text,
       .level = config.log_level,
       .role = role});
  BERTH_LOG(info, "starting version={} revision={} pid={}", kVersion, revision(), ::getpid());
  for (const std::string& w : config.warnings) BERTH_LOG(warn, "{}", w);
  keep_secrets(config);
  int code = 0;
  try {
    check_certificates(config);
    code = f();
  } catch (const ConfigError& e) {
    const bool ecs = config.log_format == "ecs";
    if (ecs) BERTH_LOG(err, "bad configuration error=\"{}\"", e.what());
    base::stop_log();
    if (ecs) throw LoggedConfigError(e.what());
    throw;
  } catch (const session::StoreForbidden& e) {
    BERTH_LOG(err, "cannot start error=\"{}\"", e.what());
    code = base::kExitForbidden;
  } catch (const std::exception& e) {
    BERTH_LOG(err, "cannot start error=\"{}\"", e.what());
    code = base::kExitUnavailable;
  }
  BERTH_LOG(info, "stopped code={}", code);
  if (!base::stop_log()) std::_Exit(code);  // whoever reads the log does not
  return code;
}

void DeviceListeners::bind(const Config& config, EdgeShards& edges) {
  using edge::Transport;
  if (config.any_device_tls()) {
    tls_ = std::make_unique<edge::TlsServer>(device_tls(config));
    const bool by_name = config.tls.user_name == edge::CertificateName::common_name ||
                         config.tls.user_name == edge::CertificateName::dns_name;
    if (by_name && tls_->authorities() > 1) {
      BERTH_LOG(warn,
                "each authority in mqtts.ca_file can sign the name of any device authorities={} "
                "hint=\"bind credentials to an authority, or mqtts.user_name: fingerprint\"",
                tls_->authorities());
    }
  }
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

void DeviceListeners::follow(Reload& reload, EdgeShards& edges) {
  follows_.push_back(reload.on_taken([this, &edges](const Reload::Taken& t) {
    edges.limit(t.config.address_limits, t.config.edge.accept_per_s);
    if (t.has_any(edge::files_of(t.config.tls))) reload_tls();
  }));
  follows_.push_back(reload.on_judged([](const std::vector<Wrong>& wrong) {
    for (const Wrong& w : wrong) {
      if (w.cause == Wrong::Cause::device_certificates)
        BERTH_LOG(err, "certificates of devices stay as they were error=\"{}\"", w.why);
    }
  }));
}

void DeviceListeners::reload_tls() {
  if (tls_ == nullptr) return;
  try {
    tls_->reload();
    runtime::log_certificates("certificates of devices read again", tls_->expiries());
  } catch (const std::runtime_error& e) {
    runtime::set_degraded(runtime::Part::device_certificates, e.what());
    BERTH_LOG(err, "certificates of devices stay as they were error=\"{}\"", e.what());
  }
}

std::vector<runtime::CertificateExpiry> DeviceListeners::expiries() const {
  return tls_ == nullptr ? std::vector<runtime::CertificateExpiry>() : tls_->expiries();
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

admin::TokenFile admin_token(const Config& config) {
  try {
    if (!config.admin_token_file.empty()) return admin::TokenFile::read(config.admin_token_file);
  } catch (const std::runtime_error& e) {
    throw ConfigError(std::string("admin.token_file: ") + e.what());
  }
  const std::string path = config.data_directory + "/admin.token";
  std::error_code ec;
  // Nothing is left in the directory of another gateway, which has its token elsewhere.
  if (!std::filesystem::exists(path, ec) &&
      session::holder_of(config.data_directory + "/store") != 0) {
    BERTH_LOG(warn, "no admin token: another process has the store directory={}",
              config.data_directory);
    return {};
  }
  try {
    return admin::TokenFile::read_or_make(path);
  } catch (const std::exception& e) {
    BERTH_LOG(warn, "no admin token: changes only over the local socket error=\"{}\"", e.what());
    return {};
  }
}

namespace {

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find_first_of(", ", at), list.size());
    if (end > at) out.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// The token in force: asked on the admin server's thread, replaced on the home loop.
class Token {
 public:
  Token(admin::TokenFile file, Reload* reload, const std::string& path) : file_(std::move(file)) {
    if (path.empty() || reload == nullptr) return;
    word_ = file_.current();
    follows_ = reload->on_taken([this, path](const Reload::Taken& t) {
      if (!t.has(path)) return;
      admin::TokenFile fresh = admin::TokenFile::read(path);  // as it was proven
      const std::lock_guard lock(mutex_);
      word_ = fresh.current();
    });
  }
  std::string current() {
    const std::lock_guard lock(mutex_);
    return follows_ == nullptr ? file_.current() : word_;
  }
  const admin::TokenFile& file() const { return file_; }

 private:
  admin::TokenFile file_;
  std::mutex mutex_;
  std::string word_;
  std::shared_ptr<void> follows_;  // null: the file is ours, and is followed by itself
};

// std::function must copy: the token is shared.
admin::Guard::Options guard_options(const Config& config, std::shared_ptr<Token> token) {
  return {.listen_host = config.admin.host,
          .allowed_hosts = words_of(config.admin_allowed_hosts),
          .token = [token = std::move(token)] { return token->current(); }};
}

}  // namespace

bool listen_admin_socket(admin::HttpServer& http, const Config& config, bool replace,
                         Reload* reload) {
  if (config.admin_socket.empty()) return false;
  auto token = std::make_shared<Token>(admin_token(config), reload, config.admin_token_file);
  return http.listen_at(config.admin_socket, replace, guard_options(config, std::move(token)));
}

void listen_admin(admin::HttpServer& http, const Config& config, Endpoint& at, Reload& reload) {
  auto token = std::make_shared<Token>(admin_token(config), &reload, config.admin_token_file);
  at = config.admin;
  http.listen(at.host, at.port, guard_options(config, token));
  const bool at_path = http.has_socket() || listen_admin_socket(http, config, false, &reload);
  if (!at_path && !config.admin_socket.empty())
    throw std::runtime_error("admin.socket " + config.admin_socket +
                             ": another process listens there");
  BERTH_LOG(info, "admin port listens at={}:{} token_file={} made={} local_socket={} socket={}",
            at.host, at.port, token->file().path().empty() ? "none" : token->file().path(),
            token->file().made() ? "now" : "before", http.has_local_socket() ? "yes" : "no",
            at_path ? config.admin_socket : "none");
  if (token->file().readable_by_all())
    BERTH_LOG(warn, "the admin token can be read by every user of this host file={}",
              token->file().path());
}

void say_who_answers(admin::HttpServer& http, const WhoAnswers& who) {
  serve_openapi(http);
  const auto said = [](std::string text) -> asio::awaitable<admin::Response> {
    co_return text_response(404, text + "\n");
  };
  const std::pair<const char*, const std::string&> prefixes[] = {
      {"/api/v1/quarantine", who.quarantine}, {"/api/v1/registry", who.registry},
      {"/api/v1/tenants", who.registry},      {"/api/v1/usage", who.registry},
      {"/api/v1/commands", who.platform},     {"/api/v1/desired", who.platform},
      {"/api/v1/events", who.platform},       {"/api/v1/history", who.platform},
      {"/api/v1/insights", who.platform},     {"/api/v1/presence", who.platform}};
  for (const auto& [prefix, text] : prefixes) {
    if (!text.empty())
      http.route_under(prefix, [said, text = text](admin::Request) { return said(text); });
  }
  const std::pair<const char*, const std::string&> posts[] = {
      {"POST /api/v1/engine/restart", who.restart_engine}, {"POST /api/v1/drain", who.drain}};
  for (const auto& [target, text] : posts) {
    if (!text.empty()) http.route(target, [said, text = text] { return said(text); });
  }
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

admin::Response ready_response(const std::vector<std::string>& reasons,
                               const std::vector<std::string>& engine_degraded) {
  std::string body = reasons.empty() ? "ok\n" : "not ready\n";
  for (const std::string& r : reasons) body += "- " + r + "\n";
  for (const auto& d : runtime::degraded())
    body += std::string("degraded: ") + runtime::name_of(d.part) + ": " + d.why + "\n";
  for (const std::string& part : engine_degraded)
    body += "degraded: " + part + ": the engine has what was good last, its log says why\n";
  return text_response(reasons.empty() ? 200 : 503, std::move(body));
}

admin::Response json_response(const boost::json::object& o) {
  admin::Response r;
  r.content_type = "application/json";
  r.body = boost::json::serialize(o) + "\n";
  return r;
}

admin::Response metrics_response(const admin::Request& asked,
                                 const std::vector<metrics::Sample>& samples) {
  constexpr std::size_t kWorthIt = 1024;
  const metrics::Format format = metrics::format_asked(asked.header("accept"));
  admin::Response r;
  r.content_type = metrics::content_type(format);
  r.headers["Vary"] = "Accept, Accept-Encoding";
  r.body = metrics::exposition(samples, {kVersion, revision()}, format);
  if (r.body.size() < kWorthIt || !metrics::takes_gzip(asked.header("accept-encoding"))) return r;
  std::string small = metrics::gzipped(r.body);
  if (small.empty()) return r;
  r.body = std::move(small);
  r.headers["Content-Encoding"] = "gzip";
  return r;
}

metrics::Sample ready_sample(const std::vector<std::string>& reasons_why_not) {
  return {metrics::kReady,          "",    "",
          "1: /readyz answers 200", false, reasons_why_not.empty() ? 1U : 0U};
}

metrics::Sample standbys_sample(std::uint64_t engines) {
  return {
      metrics::kStandbyEngines,
      "",
      "",
      "Engines that could take over from the one that serves, of the partition that has fewest; "
      "as this edge sees it",
      false,
      engines};
}

std::vector<metrics::Sample> degraded_samples(const std::vector<runtime::Part>& parts) {
  const std::vector<runtime::Degraded> now = runtime::degraded();
  std::vector<metrics::Sample> all;
  for (const runtime::Part part : parts) {
    const bool is =
        std::any_of(now.begin(), now.end(), [part](const auto& d) { return d.part == part; });
    all.push_back({metrics::kDegraded, "part", runtime::name_of(part),
                   "1: the file on the disk is bad, what was good last is in force", false,
                   is ? 1U : 0U});
  }
  return all;
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

std::vector<metrics::Sample> host_samples(const Config& config, const admin::HttpServer& http) {
  namespace fs = std::filesystem;
  const admin::Figures& f = http.figures();
  const char* refused = "berth_admin_requests_refused_total";
  const char* help = "Requests and connections of operators that were refused";
  std::vector<metrics::Sample> all{
      {"berth_log_lines_dropped_total", "", "", "Log lines that found the queue full", true,
       base::log_lines_dropped()},
      {"berth_admin_connections", "", "", "Connections of operators now", false, f.connections},
      {"berth_admin_requests_waiting", "", "", "Requests that wait for a later answer", false,
       f.waiting},
      {"berth_admin_streams", "", "", "Streams of events now", false, f.streams},
      {"berth_admin_streams_slow_total", "", "",
       "Streams that were ended: their client read too slowly", true, f.streams_slow},
      {"berth_admin_answers_cut_total", "what", "list",
       "Answers that a limit of what a request may look at has cut short", true, f.cut_lists},
      {"berth_admin_answers_cut_total", "what", "resume",
       "Answers that a limit of what a request may look at has cut short", true, f.cut_resumes},
      {"berth_admin_requests_total", "", "", "Requests of operators", true, f.requests},
      {refused, "reason", "host", help, true, f.refused_host},
      {refused, "reason", "origin", help, true, f.refused_origin},
      {refused, "reason", "token", help, true, f.refused_token},
      {refused, "reason", "session", help, true, f.refused_session},
      {refused, "reason", "throttled", help, true, f.refused_throttled},
      {refused, "reason", "scope", help, true, f.refused_scope},
      {refused, "reason", "busy", help, true, f.refused_busy},
      {refused, "reason", "malformed", help, true, f.refused_malformed}};
  struct statvfs room {};
  if (::statvfs(config.data_directory.c_str(), &room) != 0) return all;
  all.push_back({"berth_data_directory_free_bytes", "", "",
                 "Room that is left where store.directory is", false,
                 std::uint64_t{room.f_bavail} * room.f_frsize});
  all.push_back({"berth_data_directory_size_bytes", "", "", "Size of that file system", false,
                 std::uint64_t{room.f_blocks} * room.f_frsize});
  std::uint64_t damaged = 0;
  std::error_code ec;
  for (const auto& e : fs::directory_iterator(config.data_directory, ec))
    damaged += e.path().filename().string().starts_with("store.damaged-") ? 1 : 0;
  all.push_back({"berth_store_damaged", "", "",
                 "Damaged stores that were moved aside and are kept; their sessions were lost",
                 false, damaged});
  return all;
}

namespace {
struct EdgeView {
  std::vector<metrics::EdgeProbe> probes;
  bool draining = false;
};
}  // namespace

asio::awaitable<std::optional<metrics::EdgeProbe>> edge_totals(admin::HomeLoop home,
                                                               EdgeShards& edges,
                                                               const bool& draining) {
  using Done = admin::HomeLoop::Done<EdgeView>;
  std::function<void(Done)> start = [&edges, &draining](Done done) {
    edges.collect([done = std::move(done), d = draining](std::vector<metrics::EdgeProbe> probes) {
      done({std::move(probes), d});
    });
  };
  const std::optional<EdgeView> view = co_await home.ask<EdgeView>(std::move(start));
  if (!view) co_return std::nullopt;
  metrics::EdgeProbe total = total_of(view->probes);
  total.draining = view->draining ? 1 : 0;
  total.drain_remaining = view->draining ? total.connections + total.unauthenticated : 0;
  co_return total;
}

}  // namespace berth::gateway
