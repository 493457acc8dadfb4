// Who may read what this process writes and is given. Messages, passwords' hashes and devices' keys
// lie in files: they are for our user only.
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway {

// What this process and its children make from now on is 0600 and 0700, whatever the umask was;
// what an older release has made in store.directory becomes so. A warning names each secret file
// that others than its owner and group can read, or others than its owner can write.
void keep_secrets(const Config& config);

// Those files that are so, with what is wrong; for tests and for keep_secrets().
std::vector<std::string> open_secrets(const Config& config);

}  // namespace berth::gateway
