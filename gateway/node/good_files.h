// Password and ACL file as an engine reads them (I14). An engine that is to take over from one that
// works proves first that they can be read; one whose predecessor is dead already goes on with the
// last good copy, kept in memory and beside the store, and says so loudly; with none it refuses
// log-ins and serves those who are in. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/engine/password_file.h"
#include "gateway/uplink/uplink_config.h"
#include "metrics/probe.h"
#include "session/access.h"

namespace berth::gateway {

// From now on bad files are not fatal in this process: somebody served with good ones before.
void forgive_bad_files();

struct Passwords {
  engine::PasswordFile file;
  bool none = false;  // neither the file nor a copy can be read: nobody may log in
};
// Throws ConfigError for a bad file, unless bad files are forgiven.
Passwords load_passwords(const Config& config);
std::unique_ptr<session::AccessPolicy> load_acl(const Config& config);  // null: none is configured
std::vector<uplink::UplinkConfig> load_uplinks(const Config& config);
// How many of these files are degraded (runtime/degraded.h), under the name that dashboards of the
// release before ask for.
metrics::Sample files_replaced_sample();
// Reads all that an engine reads, without forgiveness. Throws ConfigError.
void prove_files(const Config& config);
// That the store can be reached by who is to take it over from one that has it: Redis answers and
// takes our log-in, the embedded one's directory can be written. Blocking, store.redis_timeout_ms.
// Throws ConfigError.
void prove_store(const Config& config);

}  // namespace berth::gateway
