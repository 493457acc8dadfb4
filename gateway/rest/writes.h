// What an answer says of the records that are to be written. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gateway/registry/import.h"

namespace berth::gateway::registry {

// How many of the first `count` make a record that was not there.
std::size_t new_among(const std::vector<Write>& writes, std::size_t count);
// "line 7: ", where this record stands in an import; empty: in no file. `said` may be null.
std::string place_in(const std::vector<Said>* said, const std::string& key);
// "the credential 'cam-1@acme'": which of `logins` the record of `holder` has too.
std::string shared_login(const std::vector<std::string>& logins, const std::string& holder,
                         const std::string* record);

}  // namespace berth::gateway::registry
