#include "gateway/node/preflight.h"

#include "base/read_file.h"
#include "gateway/edge/tls_server.h"
#include "gateway/link/tls.h"
#include "gateway/node/good_files.h"
#include "gateway/node/process.h"

namespace berth::gateway {
namespace {

// What the code that uses it says is wrong is an error of the configuration.
template <class F>
void as_configuration(F&& f) {
  try {
    f();
  } catch (const ConfigError&) {
    throw;
  } catch (const std::exception& e) {
    throw ConfigError(e.what());
  }
}

void check_readable(const char* key, const std::string& path) {
  if (path.empty()) return;
  if (const std::string why = base::why_unreadable(path); !why.empty())
    throw ConfigError(std::string(key) + ": " + path + ": cannot be read: " + why);
}

}  // namespace

edge::TlsServerOptions device_tls(const Config& config) {
  edge::TlsServerOptions o = config.tls;
  o.keep_directory = config.data_directory;
  return o;
}

link::TlsFiles link_tls(const Config& config) {
  link::TlsFiles f = config.cluster.tls;
  f.keep_directory = config.data_directory;
  return f;
}

void check_certificates(const Config& config) {
  as_configuration([&] {
    if (config.any_device_tls()) const edge::TlsServer tls(device_tls(config));
  });
}

void prove_certificates(const Config& config) {
  as_configuration([&] {
    if (config.any_device_tls()) edge::TlsServer::check(config.tls);
    if (config.cluster.tls.enabled()) link::TlsContext::check(config.cluster.tls);
  });
}

void prove_named_files(const Config& config, Role role) {
  prove_certificates(config);
  as_configuration([&] {
    if (role != Role::serve && config.cluster.tls.enabled())
      link::TlsContext::check_own_authority(config.cluster.tls);
  });
  check_readable("store.redis_ca_file", config.redis_ca_file);
  check_readable("store.redis_cert_file", config.redis_cert_file);
  check_readable("store.redis_key_file", config.redis_key_file);
  as_configuration([&] {
    prove_files(config);  // keeps no copy: a gateway may work on the same directory
    if (!config.admin_token_file.empty()) admin_token(config);
  });
}

std::vector<std::string> preflight(const Config& config, Role role) {
  prove_named_files(config, role);
  return check_host(config, role);
}

}  // namespace berth::gateway
