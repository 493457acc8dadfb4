#include "gateway/node/proof.h"

#include <algorithm>
#include <boost/json.hpp>
#include <exception>
#include <functional>
#include <stdexcept>

#include "base/read_file.h"
#include "gateway/admin/token_file.h"
#include "gateway/edge/tls_server.h"
#include "gateway/engine/acl_file.h"
#include "gateway/engine/password_file.h"
#include "gateway/link/tls.h"
#include "gateway/registry/file_registry.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway {

const char* name_of(Wrong::Cause cause) {
  static constexpr std::array<const char*, kWrongCauses> kNames{
      "settings", "device_certificates", "link_certificates", "password_file",
      "acl_file", "registry_file",       "token_file",        "store_files",   "uplinks_file"};
  return kNames.at(static_cast<std::size_t>(cause));
}

boost::json::array json_of(const std::vector<Wrong>& wrong) {
  boost::json::array list;
  for (const Wrong& w : wrong) list.push_back({{"cause", name_of(w.cause)}, {"error", w.why}});
  return list;
}

std::vector<std::string> files_of(const Config& c, Role role) {
  std::vector<std::string> all{c.admin_token_file};
  if (role != Role::engine && c.any_device_tls()) {
    for (const std::string& f : edge::files_of(c.tls)) all.push_back(f);
  }
  if (role != Role::serve) {
    const link::TlsFiles& l = c.cluster.tls;
    all.insert(all.end(), {l.ca_file, l.cert_file, l.key_file});
  }
  if (role == Role::edge) return all;
  all.insert(all.end(), {c.password_file, c.acl_file, c.uplinks_file, c.store_url_file,
                         c.redis_ca_file, c.redis_cert_file, c.redis_key_file});
  if (c.registry.source == RegistryConfig::Source::file) all.push_back(c.registry.file);
  return all;
}

void prove_set(const Config& c, Role role, std::vector<Wrong>& wrong) {
  using Cause = Wrong::Cause;
  const auto prove = [&wrong](Cause cause, const std::string& path, const auto& f) {
    if (path.empty()) return;
    try {
      f();
    } catch (const std::exception& e) {
      const std::string why = e.what();
      const bool known =
          std::any_of(wrong.begin(), wrong.end(), [&](const Wrong& w) { return w.why == why; });
      if (!known) wrong.push_back({cause, why});
    }
  };
  const auto readable = [](const std::string& path) {
    return [&path] {
      if (const std::string why = base::why_unreadable(path); !why.empty())
        throw std::runtime_error(path + ": cannot be read: " + why);
    };
  };
  prove(Cause::token_file, c.admin_token_file, [&] { admin::TokenFile::read(c.admin_token_file); });
  if (role != Role::engine && c.any_device_tls())
    prove(Cause::device_certificates, c.tls.cert_file, [&] { edge::TlsServer::check(c.tls); });
  if (role != Role::serve)
    prove(Cause::link_certificates, c.cluster.tls.ca_file,
          [&] { link::TlsContext::check(c.cluster.tls); });
  if (role == Role::edge) return;
  prove(Cause::password_file, c.password_file,
        [&] { engine::PasswordFile::load(c.password_file); });
  prove(Cause::acl_file, c.acl_file, [&] { engine::AclFile::load(c.acl_file); });
  prove(Cause::uplinks_file, c.uplinks_file, [&] { uplink::read_uplinks(c.uplinks_file); });
  if (c.registry.source == RegistryConfig::Source::file)
    prove(Cause::registry_file, c.registry.file,
          [&] { registry::FileRegistry(c.registry.file).read(); });
  for (const std::string& f : {c.redis_ca_file, c.redis_cert_file, c.redis_key_file})
    prove(Cause::store_files, f, readable(f));
}

}  // namespace berth::gateway
