// A whole file that an operator has written: settings, rights, passwords, tokens, records. An error
// names the file and the reason. For a permission it names the user of this process: a service and
// its operator are often different users. Any thread; blocks on the disk.
#pragma once

#include <string>

namespace berth::base {

// Throws std::runtime_error "PATH: cannot be read: WHY", also for a directory, which opens as a
// file does and then has no bytes.
std::string read_file(const std::string& path);
// WHY; empty: it can be read.
std::string why_unreadable(const std::string& path);

}  // namespace berth::base
