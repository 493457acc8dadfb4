// Query parameters: their names and their possible values. A misspelt name or another value is
// refused, because a request without its intended parameter would change records (?dryrun=true,
// ?dry_run=maybe). Any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "gateway/admin/message.h"

namespace berth::gateway::admin {

struct Parameter {
  enum class Kind { text, flag, number } kind = Kind::text;
  std::size_t max = 0;  // of a number, which is 1 or more
};
using Parameters = std::map<std::string, Parameter>;

// Why the query is refused; empty: it is good.
std::string fault_of(const Request& r, const Parameters& known);
// true, 1, yes; false, 0, no. REQUIRES: fault_of() is empty. Absent: false.
bool flag(const Request& r, const std::string& name);
// REQUIRES: fault_of() is empty. Absent: `otherwise`.
std::size_t number(const Request& r, const std::string& name, std::size_t otherwise);

}  // namespace berth::gateway::admin
