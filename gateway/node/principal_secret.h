// The secret under which engines name principals to edges (link/principal_id.h): 32 random bytes,
// made at the first start and kept where the store is, so that a quarantine holds for the next
// engine too: the file quarantine.key (0600) in store.directory, or the key "quarantine-key" in
// Redis. Cursors are sealed with a key that is made of it (rest/cursors.h). Processes that have the
// store's settings; any thread.
#pragma once

#include <thread>

#include "gateway/config/config.h"

namespace berth::gateway {

// Reads or makes it, once in a process. Blocking. Where it can't be kept it is one of this process,
// which is logged. Throws std::runtime_error: Redis can't be reached.
void load_principal_secret(const Config& config);

// The same on a thread of its own, again and again until Redis has answered: for a process that
// answers REST before it has an engine's store. Says nothing of failures, for the engine does.
class PrincipalSecretLoader {
 public:
  explicit PrincipalSecretLoader(const Config& config);

 private:
  std::jthread thread_;  // stops within the time that a connection to Redis takes
};

}  // namespace berth::gateway
