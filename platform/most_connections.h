// Where most connections are, in one partition: counted when somebody asks, in the table of
// sessions, so it needs no registry. One shard, one thread.
#pragma once

#include <cstddef>
#include <vector>

#include "session/core.h"

namespace berth::platform {

namespace pb {
class Insight;
class InsightsQuestion;
}  // namespace pb

// Sessions that are looked at for one question; more of them are not counted.
inline constexpr std::size_t kSessionsLooked = 200'000;

// Of each site of a tenant, of each user of the password file, and of anonymous clients of each
// address. At most `limit` of them, the most first.
void most_connections(const session::Core& core, const pb::InsightsQuestion& q, std::size_t limit,
                      std::vector<pb::Insight>& out);

}  // namespace berth::platform
