// Commands as JSON: what a platform asks for, and how a command stands (docs/platform.md,
// "Commands"). Plain functions; any thread.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "platform/platform.pb.h"

namespace berth::gateway::registry {

struct AskedJson {
  platform::pb::CommandRecord record;
  std::uint32_t wait_ms = 0;
  std::string fault;  // what is wrong, "ttl_ms: a number of 1 to 604800000"; empty: nothing
};
// `id`, `device` and `type` may be given by the path and a header instead. `wall_ms`: now, for
// expires_at.
AskedJson read_command(std::string_view body, std::int64_t wall_ms);
// Of the members that are asked for, without those that differ when the same is asked for again.
std::string content_of(const platform::pb::CommandRecord& r);
boost::json::object command_json(const platform::pb::CommandRecord& r);

// RFC 3339 with milliseconds, UTC.
std::string time_text(std::int64_t ms);
// RFC 3339 with a zone; false: another text.
bool read_time(std::string_view text, std::int64_t& ms);

}  // namespace berth::gateway::registry
