// The secret under which engines name principals to edges (link/principal_id.h): 32 random bytes,
// made at the first start and kept where the store is, so that a quarantine holds for the next
// engine too: the file quarantine.key (0600) in store.directory, or the key "quarantine-key" in
// Redis. Engines only; any thread.
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway {

// Reads or makes it, once in a process. Blocking. Where it can't be kept it is one of this process,
// which is logged. Throws std::runtime_error: Redis can't be reached.
void load_principal_secret(const Config& config);

}  // namespace berth::gateway
