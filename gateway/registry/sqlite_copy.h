// Copies of a registry's SQLite file (sqlite_registry.h). Blocking, any thread; both throw
// std::runtime_error.
#pragma once

#include <string>

namespace berth::gateway::registry {

// `from` as it is at one moment, into a file that does not exist yet; others read and write `from`
// meanwhile.
void copy_sqlite(const std::string& from, const std::string& to);
// Reads all of a file that no process has open. It has to be sound, and a registry.
void verify_sqlite(const std::string& path);

}  // namespace berth::gateway::registry
