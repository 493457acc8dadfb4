// Why a process can't use a store, by the prefix of its keys: for readyz and for the log, which
// gets a line at once and then every 30 s while it lasts. One table for the process, any thread; as
// many entries as there are partitions.
#pragma once

#include <cstdint>
#include <string>

namespace berth::gateway::cluster {

// Logs it when it is due. `why` has the address of the store, without a password, and the reason.
void note_store_trouble(const std::string& prefix, const std::string& why, std::int64_t now_ns);
// The store has answered. A failed try to take it counts for 3 s more.
void note_store_reached(const std::string& prefix, std::int64_t now_ns);
// The store answers, but this process could not take it.
void note_store_not_taken(const std::string& prefix, const std::string& why, std::int64_t now_ns);
std::string store_trouble(const std::string& prefix);  // empty: there is none

}  // namespace berth::gateway::cluster
