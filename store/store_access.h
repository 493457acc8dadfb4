// Whether this process may use the files of an embedded store. A file of another owner is no
// damage: nothing is moved aside for it, and the store is as it was when the owner is put right.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace berth::session {

// Free space of the store's disk, bytes: below the first it takes no writes (flushes and the log
// need it), below the second it does not open (logs and manifest that an opening begins).
inline constexpr std::uint64_t kStoreSpaceKept = 32u << 20;
inline constexpr std::uint64_t kStoreSpaceToOpen = 8u << 20;

// This process may not read or write what lies there. what() has the path, its owner and mode, and
// the user that it must belong to.
struct StoreForbidden : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Looks at the directory above `store`, at `store`, its mark, and the files in it; none of them
// need exist. Opens and writes nothing. Throws StoreForbidden. Any thread.
void check_access(const std::string& store);

// The process that has this store open; 0: none, or there is no store; -1: one of another pid
// namespace. Any thread. REQUIRES: this process does not have it open (its lock would be given up).
int holder_of(const std::string& store);

// A text of an error that the system, not the data, is the cause of.
bool is_forbidden(std::string_view error);     // permissions, a read-only file system
bool lacks_resources(std::string_view error);  // descriptors, memory

}  // namespace berth::session
