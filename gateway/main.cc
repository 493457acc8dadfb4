// berth: command line. Exit codes: 0 asked to stop, 64 usage, 69 a port or the store not available,
// 78 configuration.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <set>

#include "base/exit_codes.h"
#include "bench/load/verb.h"
#include "gateway/cluster/edge_node.h"
#include "gateway/cluster/engine_node.h"
#include "gateway/cluster/link_policy.h"
#include "gateway/config/config.h"
#include "gateway/config/config_source.h"
#include "gateway/config/defaults.h"
#include "gateway/config/schema.h"
#include "gateway/config/suggest.h"
#include "gateway/ctl/backup.h"
#include "gateway/ctl/commands.h"
#include "gateway/ctl/config.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/devices.h"
#include "gateway/ctl/drain.h"
#include "gateway/ctl/knock.h"
#include "gateway/ctl/log_level.h"
#include "gateway/ctl/manual.h"
#include "gateway/ctl/partitions.h"
#include "gateway/ctl/registry.h"
#include "gateway/ctl/sessions.h"
#include "gateway/ctl/support_bundle.h"
#include "gateway/ctl/top.h"
#include "gateway/ctl/trace.h"
#include "gateway/ctl/uplinks.h"
#include "gateway/ctl/why.h"
#include "gateway/node/bad_configuration.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/host_findings.h"
#include "gateway/node/preflight.h"
#include "gateway/node/process.h"
#include "gateway/runtime/certificates.h"
#include "gateway/single/engine_main.h"
#include "gateway/single/serve.h"
#include "sim/sim.h"

namespace {

using berth::gateway::Config;
using berth::gateway::ConfigError;
using berth::gateway::Role;

struct Flags {
  std::string config_file;
  std::string mqtt, park, admin, data, store, durability, shards, log_format, log_level;
  std::string engines, links, partitions;
  bool anonymous = false;
  bool single_process = false;
};

// "what it is [default]": of the setting that the flag stands for.
std::string with_default(const std::string& text, const std::string& key) {
  static const auto defaults = berth::gateway::to_environment(Config());
  const std::string& value = defaults.at(berth::gateway::environment_name(key));
  return text + " [" + (value.empty() ? "none" : value) + "]";
}

void add_common_flags(CLI::App& app, Flags& f) {
  app.add_option("--config", f.config_file,
                 "YAML config file (config/berth.yaml documents every key)");
  app.add_option("--admin", f.admin,
                 with_default("HOST:PORT for /metrics, health and berth ctl", "admin.listen"));
  app.add_option("--log-format", f.log_format, with_default("text or ecs", "log.format"))
      ->check(CLI::IsMember({"text", "ecs"}));
  app.add_option("--log-level", f.log_level,
                 with_default("the least level that is written: trace, debug, info, warn, error",
                              "log.level"));
}

void add_edge_flags(CLI::App& app, Flags& f) {
  app.add_option("--mqtt", f.mqtt, with_default("HOST:PORT for MQTT devices", "mqtt.listen"));
  app.add_option("--park", f.park,
                 with_default("HOST:PORT for devices of the Park protocol", "park.listen"));
  app.add_option("--shards", f.shards, with_default("threads of the edge", "shards"));
}

void add_engine_flags(CLI::App& app, Flags& f) {
  app.add_option("--data", f.data,
                 with_default("directory of the embedded store", "store.directory"));
  app.add_flag("--anonymous", f.anonymous, "accept clients without a user name from anywhere");
  app.add_option("--durability", f.durability,
                 with_default("disk: sync before every ack; process: survives kill -9 only",
                              "store.durability"))
      ->check(CLI::IsMember({"disk", "process"}));
  app.add_option("--store", f.store,
                 with_default("redis://… : sessions there instead of in --data", "store.url"));
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
                 with_default("of the sessions, each served by one engine; the same for all edges "
                              "and engines",
                              "cluster.partitions"));
}

// Calls `f` with each flag that sets a key, its key and its value.
template <class F>
void each_flag(const Flags& flags, F&& f) {
  f("--mqtt", "mqtt.listen", flags.mqtt);
  f("--park", "park.listen", flags.park);
  f("--admin", "admin.listen", flags.admin);
  f("--data", "store.directory", flags.data);
  f("--durability", "store.durability", flags.durability);
  f("--store", "store.url", flags.store);
  f("--shards", "shards", flags.shards);
  f("--engines", "cluster.engines", flags.engines);
  f("--links", "cluster.listen", flags.links);
  f("--partitions", "cluster.partitions", flags.partitions);
  f("--log-format", "log.format", flags.log_format);
  f("--log-level", "log.level", flags.log_level);
}

// Keys that the configuration file can't change.
std::set<std::string> fixed_keys(const Flags& flags) {
  std::set<std::string> keys;
  each_flag(flags, [&keys](const char*, const std::string& key, const std::string& value) {
    if (!value.empty()) keys.insert(key);
  });
  for (const std::string& key : berth::gateway::config_keys()) {
    if (std::getenv(berth::gateway::environment_name(key).c_str()) != nullptr) keys.insert(key);
  }
  return keys;
}

Config load_unguarded(const Flags& f, Role role) {
  Config c;
  load_defaults(c);
  if (!f.config_file.empty()) load_file(c, f.config_file);
  load_environment(c);
  each_flag(f, [&c](const char* name, const std::string& key, const std::string& value) {
    if (value.empty()) return;
    try {
      set_key(c, key, value);
    } catch (const ConfigError& e) {
      throw ConfigError(std::string(name) + ": " + e.what());
    }
  });
  if (f.anonymous) set_key(c, "auth.anonymous", "always");
  if (f.single_process) set_key(c, "single_process", "true");
  load_url_file(c);
  check(c, role);
  if (f.store.find('@') != std::string::npos)
    c.warnings.emplace_back(
        "--store: a password on the command line is seen by who lists processes; "
        "store.url_file names a file with the URL");
  return c;
}

// Whatever goes wrong here is the configuration's fault.
Config load(const Flags& f, Role role) {
  try {
    return load_unguarded(f, role);
  } catch (const ConfigError&) {
    throw;
  } catch (const std::exception& e) {
    throw ConfigError(e.what());
  }
}

// In /proc/PID/cmdline, from now on: redis://user:xxxx@host.
void hide_passwords(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    char* const login = std::strstr(argv[i], "://");
    char* const end = login == nullptr ? nullptr : std::strrchr(login, '@');
    char* const colon = end == nullptr ? nullptr : std::strchr(login + 3, ':');
    if (colon != nullptr && colon < end) std::fill(colon + 1, end, 'x');
  }
}

void print_warnings(const Config& c) {
  for (const std::string& w : c.warnings) std::fprintf(stderr, "berth: warning: %s\n", w.c_str());
}

// One "KEY=VALUE" a line, for scripts: where it would listen, and where it would keep its data.
void print_places(const Config& c) {
  namespace edge = berth::gateway::edge;
  for (const edge::Transport t : edge::kTransports) {
    if (c.listener(t).enabled())
      std::printf("%s=%s\n", edge::name_of(t), c.listener(t).listen.c_str());
  }
  std::printf("admin=%s:%u\ndata=%s\n", c.admin.host.c_str(), unsigned{c.admin.port},
              c.data_directory.c_str());
}

struct Checked {
  std::string role = "serve";
  bool places = false;
};

void add_check_flags(CLI::App& app, Checked& o) {
  app.add_option("--role", o.role, "what it is to run: serve, edge or engine [serve]")
      ->check(CLI::IsMember({"serve", "edge", "engine"}));
  app.add_flag("--places", o.places, "print where it would listen and keep its data");
}

Role role_of(const std::string& name) {
  return name == "edge" ? Role::edge : name == "engine" ? Role::engine : Role::serve;
}

int check_config(const Flags& f, const Checked& o) {
  spdlog::default_logger_raw()->set_level(spdlog::level::off);  // what is wrong is thrown, or told
  const Role role = role_of(o.role);
  Config c = load(f, role);
  print_warnings(c);
  if (role == Role::edge) berth::gateway::cluster::check_edge_role(c);
  if (role == Role::engine) berth::gateway::cluster::check_engine_role(c);
  c.warnings = berth::gateway::preflight(c, role);
  print_warnings(c);
  if (o.places) print_places(c);
  std::puts("ok");
  return 0;
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

// Below what CLI11 has said: the nearest command or flag.
void say_what_is_meant(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    std::vector<std::string> known;
    if (word.starts_with("-")) {
      for (const CLI::App* a = at; a != nullptr; a = a->get_parent()) {
        for (const CLI::Option* o : a->get_options()) {
          for (const std::string& name : o->get_lnames()) known.push_back("--" + name);
        }
      }
    } else {
      for (const CLI::App* c : at->get_subcommands([](const CLI::App*) { return true; })) {
        if (!c->get_group().empty()) known.push_back(c->get_name());
      }
    }
    if (std::find(known.begin(), known.end(), word) != known.end()) {
      if (!word.starts_with("-")) at = at->get_subcommand(word);
      continue;
    }
    const std::string meant = known.empty() ? std::string() : berth::gateway::nearest(word, known);
    if (meant.empty()) continue;
    std::fprintf(stderr, "Did you mean '%s' instead of '%s'?\n", meant.c_str(), word.c_str());
    return;
  }
  if (argc < 2)
    std::fputs("Most often: berth serve. On a running one: berth ctl status.\n", stderr);
}

// `berth ctl`: what is asked of a running gateway, without the registry's commands.
struct ControlCommands {
  explicit ControlCommands(CLI::App& app)
      : all(app.add_subcommand("ctl", "ask a running gateway")) {
    at =
        all->add_option("--admin", admin.admin, "HOST:PORT of its admin listener [127.0.0.1:9180]");
    all->add_option("--socket", admin.socket,
                    "path of its Unix socket (admin.socket); without --admin: BERTH_ADMIN_SOCKET");
    all->add_option("--token-file", admin.token_file,
                    "with its token; not needed on its own host as its user")
        ->envname("BERTH_ADMIN_TOKEN_FILE");
    all->add_option("--timeout", admin.timeout_s, "seconds to wait for an answer [150]")
        ->check(CLI::Range(1, 3600));
    CLI::Option* const json = all->add_flag(
        "--json", admin.json, "JSON for machines; so too where the output is no terminal");
    all->add_flag("--table", admin.table,
                  "tables for people, also where it is none; see "
                  "BERTH_CTL_OUTPUT")
        ->excludes(json);
    all->require_subcommand(1);
    all->fallthrough();
    status = all->add_subcommand("status", "what runs");
    restart = all->add_subcommand("restart-engine", "replace the engine; devices stay connected");
    quarantine =
        all->add_subcommand("quarantine", "who has killed engines and is kept out, and what of");
    quarantine->add_option("--lift", lift, "the id of one that is to be let in again");
    ready = all->add_subcommand("ready", "exit 0 if ready (a container's health check)");
    live = all->add_subcommand("live", "exit 0 if its loops run (a liveness probe)");
    started = all->add_subcommand("started", "exit 0 if it has begun to serve (a start-up probe)");
  }
  // After parsing: the exit code of the command that was given; nothing: none of these was.
  std::optional<int> run() const {
    using berth::gateway::ctl;
    if (*status) return berth::gateway::ctl_status(admin);
    if (*restart) return ctl(admin, "POST", "/api/v1/engine/restart");
    if (*quarantine && !lift.empty()) return ctl(admin, "DELETE", "/api/v1/quarantine/" + lift);
    if (*quarantine)
      return berth::gateway::ctl_table(
          admin, "/api/v1/quarantine", "quarantine",
          {"id", "kind", "who", "peer", "deaths", "seconds_left", "tenant_slowed", "input"});
    if (*ready) return ctl(admin, "GET", "/readyz");
    if (*live) return ctl(admin, "GET", "/livez");
    if (*started) return ctl(admin, "GET", "/startupz");
    return std::nullopt;
  }

  // After parsing: what is said on the command line counts.
  void look_at_environment() {
    const char* const socket = std::getenv("BERTH_ADMIN_SOCKET");
    if (socket != nullptr && admin.socket.empty() && at->count() == 0) admin.socket = socket;
    berth::gateway::take_output_of_environment(admin);
  }

  CLI::App* all;
  CLI::Option* at = nullptr;
  berth::gateway::Ctl admin;
  std::string lift;

 private:
  CLI::App* status;
  CLI::App* restart;
  CLI::App* quarantine;
  CLI::App* ready;
  CLI::App* live;
  CLI::App* started;
};

// `berth ctl check`: of the host, before a gateway runs on it; it asks no gateway.
struct HostCheck {
  explicit HostCheck(CLI::App& control) {
    verb = control.add_subcommand(
        "check", "is this host fit for a gateway? Without one: exit 1 if something fails");
    verb->add_option("--config", flags.config_file, "YAML config file of the gateway");
    verb->add_option("--role", role, "what it is to run: serve, edge or engine [serve]")
        ->check(CLI::IsMember({"serve", "edge", "engine"}));
    verb->add_option("--balancer-idle-s", balancer_idle_s,
                     "after so many silent seconds a load balancer in front ends a connection")
        ->check(CLI::Range(1, 86'400));
  }
  // Nothing: it was another command.
  std::optional<int> run(const berth::gateway::Ctl& admin) const {
    if (!*verb) return std::nullopt;
    spdlog::default_logger_raw()->set_level(spdlog::level::off);  // the findings say it
    berth::gateway::Findings all;
    const Role as = role_of(role);
    try {
      all = berth::gateway::host_findings(
          load(flags, as), as, std::min<std::uint32_t>(admin.timeout_s, 10), balancer_idle_s);
    } catch (const ConfigError& e) {
      all.push_back(berth::gateway::unread_configuration(e.what()));
    }
    const std::string text =
        admin.as_json() ? berth::gateway::findings_json(all) : berth::gateway::findings_text(all);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return berth::gateway::exit_code_of(all);
  }
  CLI::App* verb;
  Flags flags;
  std::string role = "serve";
  std::uint32_t balancer_idle_s = 0;  // 0: not said
};

// All of `berth ctl`.
struct Control {
  explicit Control(CLI::App& app) : asked(app) {}
  // After parsing. Nothing: it was another command.
  std::optional<int> run() {
    asked.look_at_environment();
    if (const auto code = host.run(asked.admin)) return code;
    if (const auto code = knock.run(asked.admin.timeout_s)) return code;
    const berth::gateway::Ctl& admin = asked.admin;
    if (const auto code = asked.run()) return code;
    if (const auto code = drain.run(admin)) return code;
    if (const auto code = registry.run(admin)) return code;
    if (const auto code = usage.run(admin)) return code;
    if (const auto code = backup.run(admin)) return code;
    if (const auto code = uplinks.run(admin)) return code;
    if (const auto code = commands.run(admin)) return code;
    if (const auto code = devices.run(admin)) return code;
    if (const auto code = config.run(admin)) return code;
    if (const auto code = why.run(admin)) return code;
    if (const auto code = top.run(admin)) return code;
    if (const auto code = sessions.run(admin)) return code;
    if (const auto code = trace.run(admin)) return code;
    if (const auto code = partitions.run(admin)) return code;
    if (const auto code = log_level.run(admin)) return code;
    return bundle.run(admin);
  }
  ControlCommands asked;
  berth::gateway::RegistryVerb registry{*asked.all};
  berth::gateway::UsageVerb usage{*asked.all};
  berth::gateway::BackupVerbs backup{*asked.all};
  berth::gateway::UplinksVerb uplinks{*asked.all};
  berth::gateway::CommandsVerb commands{*asked.all};
  berth::gateway::DevicesVerb devices{*asked.all};
  berth::gateway::DrainVerb drain{*asked.all};
  berth::gateway::ConfigVerb config{*asked.all};
  berth::gateway::WhyVerb why{*asked.all};
  berth::gateway::TopVerb top{*asked.all};
  berth::gateway::SessionsVerb sessions{*asked.all};
  berth::gateway::TraceVerb trace{*asked.all};
  berth::gateway::PartitionsVerb partitions{*asked.all};
  berth::gateway::LogLevelVerb log_level{*asked.all};
  berth::gateway::SupportBundleVerb bundle{
      *asked.all, berth::gateway::kVersion,
      [](const std::string& shape, const auto& settings, std::uint32_t limit_s) {
        spdlog::default_logger_raw()->set_level(spdlog::level::off);  // the findings say it
        const Role role = role_of(shape);
        return berth::gateway::findings_text(
            berth::gateway::findings_beside(settings, role, limit_s));
      }};
  berth::gateway::KnockVerb knock{*asked.all};
  HostCheck host{*asked.all};
};

// What runs until it is told to end. Its errors are for those who collect its log.
int run_service(const Flags& flags,
                int (*service)(const Config&, const berth::gateway::ConfigSource&), Role role) {
  try {
    const Config config = load(flags, role);
    return service(config, {flags.config_file, [&flags, role] { return load(flags, role); },
                            fixed_keys(flags)});
  } catch (const berth::gateway::LoggedConfigError&) {
  } catch (const ConfigError& e) {
    berth::gateway::say_bad_configuration(
        e.what(), {flags.log_format, flags.config_file, role == Role::engine ? "engine" : "edge"});
  }
  return berth::base::kExitConfig;
}

int run(int argc, char** argv) {
  CLI::App app("berth: a device gateway that devices do not notice being restarted");
  app.set_version_flag("--version", std::string("berth ") + berth::gateway::kVersion + " (" +
                                        berth::gateway::revision() + ")");
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
  engine->add_option("--links", flags.links, with_default("HOST:PORT for edges", "cluster.listen"));
  add_cluster_flags(*engine, flags);
  CLI::App* check =
      app.add_subcommand("check-config", "read the configuration, say what is wrong, and end");
  add_serve_flags(*check, flags);
  add_cluster_flags(*check, flags);
  check->add_option("--links", flags.links, with_default("HOST:PORT for edges", "cluster.listen"));
  Checked checked;
  add_check_flags(*check, checked);
  CLI::App* schema =
      app.add_subcommand("config-schema", "print a JSON Schema of the configuration file");
  CLI::App* child = app.add_subcommand("engine-child", "started by serve")->group("");
  berth::sim::Options simulated;
  CLI::App* sim = add_sim(app, simulated);
  const berth::bench::BenchVerb bench(app, argc, argv);
  Control control(app);
  berth::gateway::ManualVerbs manual(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    if (code != 0) say_what_is_meant(app, argc, argv);
    return code == 0 ? 0 : berth::base::kExitUsage;
  }
  hide_passwords(argc, argv);
  if (*child) {
    Config c;
    load_environment(c);
    load_url_file(c);
    return berth::gateway::run_engine_child(c, berth::gateway::engine_source());
  }
  if (*check) return check_config(flags, checked);
  if (*schema) return std::puts(berth::gateway::settings_schema().c_str()) < 0 ? 1 : 0;
  if (*sim) return berth::sim::run(simulated);
  if (const auto code = bench.run()) return *code;
  if (const auto code = manual.run(app)) return *code;
  if (const auto code = control.run()) return *code;
  return run_service(flags,
                     *edge     ? &berth::gateway::cluster::run_edge
                     : *engine ? &berth::gateway::cluster::run_engine
                               : &berth::gateway::serve,
                     *edge     ? Role::edge
                     : *engine ? Role::engine
                               : Role::serve);
}

}  // namespace

int main(int argc, char** argv) {
  berth::gateway::runtime::never_ask_for_passphrases();
  berth::gateway::use_revision(berth::gateway::kSourceRevision);
  try {
    return run(argc, argv);
  } catch (const ConfigError& e) {
    std::fprintf(stderr, "berth: configuration: %s\n", e.what());
    return berth::base::kExitConfig;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "berth: %s\n", e.what());
    return 1;
  }
}
