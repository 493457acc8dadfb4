// An uplink that was defined over REST (docs/uplinks.md, "Over REST"). Any thread.
#pragma once

#include <cstddef>
#include <string>

#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

inline constexpr std::size_t kDefinitionMax = 16 * 1024;  // bytes of its JSON

// `json`: an object with the keys of the file of uplinks, without `name`. Files that it names are
// files of `files_dir` (empty: it may name none): who defines an uplink chooses where their
// content is sent, so no other file of the host may be among them. Throws std::runtime_error: why
// not.
UplinkConfig read_definition(const std::string& name, const std::string& json,
                             const std::string& files_dir);

}  // namespace berth::gateway::uplink
