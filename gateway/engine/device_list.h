// The registered devices of a tenant, for edges, which may have no registry: an answer to
// AskKind::list_devices. Plain function; the registry's thread.
#pragma once

#include <string>
#include <string_view>

#include "gateway/registry/registry.h"

namespace berth::gateway::engine {

// `question` and the answer: DevicesQuestion and DevicesAnswer of platform/presence.proto. Looks at
// so many records that the engine is not held up; the next question goes on.
std::string list_devices(const registry::Registry& registry, std::string_view question);

}  // namespace berth::gateway::engine
