// berth: command line. Exit codes: 0 asked to stop, 64 usage, 69 a port or the store not available,
// 78 configuration.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "gateway/admin/http_server.h"
#include "gateway/cluster/edge_node.h"
#include "gateway/cluster/engine_node.h"
#include "gateway/config.h"
#include "gateway/engine_main.h"
#include "gateway/engine_setup.h"
#include "gateway/process.h"
#include "gateway/registry/file_registry.h"
#include "gateway/serve.h"
#include "sim/sim.h"

namespace {

using berth::gateway::Config;
using berth::gateway::ConfigError;

constexpr int kExitUsage = 64;
constexpr int kExitConfig = 78;

struct Flags {
  std::string config_file;
  std::string mqtt, admin, data, store, durability, shards, log_format, log_level;
  std::string engines, links, partitions;
  bool anonymous = false;
  bool single_process = false;
};

void add_common_flags(CLI::App& app, Flags& f) {
  app.add_option("--config", f.config_file,
                 "YAML config file (config/berth.yaml documents every key)");
  app.add_option("--admin", f.admin, "HOST:PORT for /metrics, health and berth ctl");
  app.add_option("--log-format", f.log_format, "text or ecs")
      ->check(CLI::IsMember({"text", "ecs"}));
  app.add_option("--log-level", f.log_level, "trace, debug, info, warn, error");
}

void add_edge_flags(CLI::App& app, Flags& f) {
  app.add_option("--mqtt", f.mqtt, "HOST:PORT for MQTT devices");
  app.add_option("--shards", f.shards, "threads of the edge (1)");
}

void add_engine_flags(CLI::App& app, Flags& f) {
  app.add_option("--data", f.data, "directory of the embedded store");
  app.add_flag("--anonymous", f.anonymous, "accept clients without a user name from anywhere");
  app.add_option("--durability", f.durability,
                 "disk: sync before every ack; process: survives kill -9 only")
      ->check(CLI::IsMember({"disk", "process"}));
  app.add_option("--store", f.store, "redis://… : sessions there instead of in --data");
}

void add_serve_flags(CLI::App& app, Flags& f) {
  add_common_flags(app, f);
  add_edge_flags(app, f);
  add_engine_flags(app, f);
  app.add_flag("--single-process", f.single_process, "edge and engine in one process");
}

void add_cluster_flags(CLI::App& app, Flags& f) {
  app.add_option("--engines", f.engines,
                 "HOST:PORT,… of the engines; a name may have many addresses");
  app.add_option("--partitions", f.partitions,
                 "of the sessions, each served by one engine; the same for all edges and engines");
}

Config load(const Flags& f) {
  Config c;
  if (!f.config_file.empty()) load_file(c, f.config_file);
  load_environment(c);
  const auto flag = [&c](const char* name, const std::string& key, const std::string& value) {
    if (value.empty()) return;
    try {
      set_key(c, key, value);
    } catch (const ConfigError& e) {
      throw ConfigError(std::string(name) + ": " + e.what());
    }
  };
  flag("--mqtt", "mqtt.listen", f.mqtt);
  flag("--admin", "admin.listen", f.admin);
  flag("--data", "store.directory", f.data);
  flag("--durability", "store.durability", f.durability);
  flag("--store", "store.url", f.store);
  flag("--shards", "shards", f.shards);
  flag("--engines", "cluster.engines", f.engines);
  flag("--links", "cluster.listen", f.links);
  flag("--partitions", "cluster.partitions", f.partitions);
  flag("--log-format", "log.format", f.log_format);
  flag("--log-level", "log.level", f.log_level);
  if (f.anonymous) set_key(c, "auth.anonymous", "always");
  if (f.single_process) set_key(c, "single_process", "true");
  check(c);
  return c;
}

int check_config(const Flags& f) {
  const Config c = load(f);
  berth::gateway::load_access(c);
  if (!c.password_file.empty()) {
    try {
      berth::gateway::engine::PasswordFile::load(c.password_file);
    } catch (const std::runtime_error& e) {
      throw ConfigError(e.what());
    }
  }
  berth::gateway::admin_token(c);
  if (c.registry.source == berth::gateway::RegistryConfig::Source::file) {
    try {
      berth::gateway::registry::FileRegistry(c.registry.file, {}).read();
    } catch (const std::runtime_error& e) {
      throw ConfigError(e.what());
    }
  }
  std::puts("ok");
  return 0;
}

struct Ctl {
  std::string admin = "127.0.0.1:9180";
  std::string token_file;
};

int ctl(const Ctl& to, const std::string& method, const std::string& target) {
  Config c;
  set_key(c, "admin.listen", to.admin);
  c.admin_token_file = to.token_file;
  try {
    const auto r = berth::gateway::admin::http_request(c.admin.host, c.admin.port, method, target,
                                                       berth::gateway::admin_token(c));
    std::fwrite(r.body.data(), 1, r.body.size(), stdout);
    return r.status / 100 == 2 ? 0 : 1;
  } catch (const std::runtime_error& e) {
    std::fprintf(stderr, "berth ctl: %s\n", e.what());
    return berth::gateway::kExitUnavailable;
  }
}

CLI::App* add_sim(CLI::App& app, berth::sim::Options& o) {
  CLI::App* sim = app.add_subcommand("sim", "simulate a parking lot against a running gateway");
  sim->add_option("lot", o.lot, "its YAML (config/lots/small.yaml documents every key)")
      ->required();
  sim->add_option("--for", o.for_s, "seconds; else until Ctrl-C");
  sim->add_option("--seed", o.seed, "of all that is random (1)");
  sim->add_option("--speed", o.speed, "simulated seconds a second, instead of the lot's");
  sim->add_option("--every", o.every_s, "seconds between two lines of progress (5)");
  sim->add_option("--mqtt", o.mqtt, "HOST:PORT of the gateway, instead of the lot's");
  sim->add_option("--park", o.park, "HOST:PORT of the gateway, instead of the lot's");
  sim->add_flag("--json", o.json, "only a summary, as JSON");
  sim->add_flag("--news", o.news, "what happens, as the platform hears it");
  sim->add_flag("--registry", o.registry, "print the devices for a registry file, and end");
  return sim;
}

int run(int argc, char** argv) {
  CLI::App app("berth: a device gateway that devices do not notice being restarted");
  app.set_version_flag("--version", std::string("berth ") + berth::gateway::kVersion);
  app.require_subcommand(1);
  Flags flags;
  CLI::App* serve =
      app.add_subcommand("serve", "run the gateway (edge with a supervised engine child)");
  add_serve_flags(*serve, flags);
  CLI::App* edge = app.add_subcommand("edge", "run an edge of a cluster: it holds the connections");
  add_common_flags(*edge, flags);
  add_edge_flags(*edge, flags);
  add_cluster_flags(*edge, flags);
  CLI::App* engine =
      app.add_subcommand("engine", "run an engine of a cluster: it serves the sessions");
  add_common_flags(*engine, flags);
  add_engine_flags(*engine, flags);
  engine->add_option("--links", flags.links, "HOST:PORT for edges");
  add_cluster_flags(*engine, flags);
  CLI::App* check =
      app.add_subcommand("check-config", "read the configuration, say what is wrong, and end");
  add_serve_flags(*check, flags);
  CLI::App* child = app.add_subcommand("engine-child", "started by serve")->group("");
  berth::sim::Options simulated;
  CLI::App* sim = add_sim(app, simulated);
  Ctl admin;
  bool as_json = false;
  CLI::App* control = app.add_subcommand("ctl", "ask a running gateway");
  control->add_option("--admin", admin.admin, "HOST:PORT of its admin listener");
  control->add_option("--token-file", admin.token_file, "its admin.token_file")
      ->envname("BERTH_ADMIN_TOKEN_FILE");
  control->require_subcommand(1);
  control->fallthrough();
  CLI::App* status = control->add_subcommand("status", "what runs");
  status->add_flag("--json", as_json, "as JSON (the only format so far)");
  CLI::App* restart =
      control->add_subcommand("restart-engine", "replace the engine; devices stay connected");
  CLI::App* drain = control->add_subcommand(
      "drain", "an edge or engine of a cluster hands over what it has, and ends");
  CLI::App* ready =
      control->add_subcommand("ready", "exit 0 if ready (a container's health check)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : kExitUsage;
  }
  if (*child) {
    Config c;
    load_environment(c);
    return berth::gateway::run_engine_child(c);
  }
  if (*check) return check_config(flags);
  if (*sim) return berth::sim::run(simulated);
  if (*status) return ctl(admin, "GET", "/api/v1/status");
  if (*restart) return ctl(admin, "POST", "/api/v1/engine/restart");
  if (*drain) return ctl(admin, "POST", "/api/v1/drain");
  if (*edge) return berth::gateway::cluster::run_edge(load(flags));
  if (*engine) return berth::gateway::cluster::run_engine(load(flags));
  if (*ready) return ctl(admin, "GET", "/readyz");
  return berth::gateway::serve(load(flags));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const ConfigError& e) {
    std::fprintf(stderr, "berth: configuration: %s\n", e.what());
    return kExitConfig;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "berth: %s\n", e.what());
    return 1;
  }
}
