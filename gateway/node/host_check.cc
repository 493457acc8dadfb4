#include "gateway/node/host_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/log.h"
#include "gateway/admin/guard.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/node/descriptors.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/good_files.h"
#include "gateway/node/secret_files.h"
#include "gateway/registry/file_registry.h"
#include "gateway/runtime/child_process.h"
#include "store/store_access.h"

namespace berth::gateway {
namespace {

namespace fs = std::filesystem;

// On a port that the kernel chooses: the configured one is that of the gateway which works now.
void check_local(const std::string& key, const std::string& host) {
  std::uint16_t port = 0;
  try {
    ::close(edge::open_listener(host, port, false));
  } catch (const std::runtime_error& e) {
    throw ConfigError(key + ": " + e.what());
  }
}

// As serve and edge do at their start; fewer than are configured are no error.
void check_descriptors(const Config& config, std::vector<std::string>& warnings) {
  runtime::raise_descriptor_limit();
  try {
    const std::uint32_t fitted = fitted_to_descriptors(config).edge.max_connections;
    if (fitted == config.edge.max_connections || !short_of_descriptors(config, fitted)) return;
    warnings.push_back("mqtt.max_connections is " + std::to_string(config.edge.max_connections) +
                       " but " + std::to_string(runtime::descriptor_limit()) +
                       " open files are allowed here: " + std::to_string(fitted) +
                       " connections would be let in (ulimit -n, LimitNOFILE=)");
  } catch (const std::runtime_error& e) {
    throw ConfigError(e.what());
  }
}

void warn_of_registry(const Config& config, std::vector<std::string>& out) {
  const RegistryConfig& r = config.registry;
  if (!r.file.empty() && r.source != RegistryConfig::Source::file)
    out.emplace_back("registry.file is not read: registry.source is not 'file'");
  if (r.source == RegistryConfig::Source::file &&
      registry::FileRegistry(r.file).read().list.empty())
    out.push_back("registry.file " + r.file + " names no tenant: no device can log in");
}

}  // namespace

void check_data_directory(const std::string& directory) {
  try {
    session::check_access(directory + "/store");
  } catch (const session::StoreForbidden& e) {
    throw ConfigError(std::string("store.directory: ") + e.what());
  }
  std::error_code ec;
  fs::path at = fs::absolute(directory, ec).lexically_normal();
  while (!fs::exists(at, ec) && at.has_relative_path()) at = at.parent_path();
  const auto no = [&](const std::string& why) {
    return ConfigError("store.directory: " + directory + ": " + at.string() + ": " + why);
  };
  if (!fs::is_directory(at, ec)) throw no("not a directory");
  if (::faccessat(AT_FDCWD, at.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    throw no(std::strerror(errno));
}

std::string all_refused(const Config& config, Role role) {
  if (role == Role::edge) return {};  // an engine decides
  const engine::Anonymous who = anonymous_of(config);
  const bool names = !config.password_file.empty() ||
                     config.registry.source != RegistryConfig::Source::none ||
                     config.tls.user_name != edge::CertificateName::none;
  if (names || who == engine::Anonymous::always) return {};
  const bool reached =
      role == Role::engine
          ? !admin::is_loopback_name(config.cluster.listen.host)
          : std::any_of(edge::kTransports.begin(), edge::kTransports.end(), [&](auto t) {
              const ListenerConfig& l = config.listener(t);
              return l.enabled() && !admin::is_loopback_name(parse_endpoint(l.listen).host);
            });
  if (!reached) return {};
  return "every device on another host will be refused: there are no names to log in with, and "
         "auth.anonymous admits " +
         std::string(who == engine::Anonymous::never ? "nobody without one"
                                                     : "only this machine without one") +
         "; set auth.password_file (mosquitto_passwd makes it), registry.source, or "
         "mqtts.user_name; to try it out, auth.anonymous: always (--anonymous)";
}

void warn_if_all_are_refused(const Config& config, Role role) {
  if (const std::string why = all_refused(config, role); !why.empty()) BERTH_LOG(warn, "{}", why);
}

std::vector<std::string> check_host(const Config& config, Role role) {
  std::vector<std::string> warnings;
  if (std::string why = all_refused(config, role); !why.empty()) warnings.push_back(std::move(why));
  if (role != Role::engine) {
    for (const edge::Transport t : edge::kTransports) {
      const ListenerConfig& l = config.listener(t);
      if (!l.enabled()) continue;
      check_local(std::string(edge::name_of(t)) + ".listen", parse_endpoint(l.listen).host);
    }
    check_descriptors(config, warnings);
  }
  check_local("admin.listen", config.admin.host);
  if (role == Role::engine) check_local("cluster.listen", config.cluster.listen.host);
  if (role != Role::edge) {
    if (config.store_url.empty()) check_data_directory(config.data_directory);
    warn_of_registry(config, warnings);
  }
  for (const std::string& what : open_secrets(config))
    warnings.push_back("secret file is open to others: " + what + " (chmod 600)");
  if (config.store_url.empty() || role == Role::edge) return warnings;
  try {
    prove_store(config);
  } catch (const std::exception& e) {
    warnings.emplace_back(e.what());
  }
  return warnings;
}

}  // namespace berth::gateway
