// All files that a process reads because its settings name them, and whether they are good: each
// with the code that uses it, so that everything that is wrong is known at once. Any thread; reads
// by base::read_file().
#pragma once

#include <array>
#include <boost/json/array.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/node/host_check.h"

namespace berth::gateway {

// What is wrong with a set, and with which of its parts.
struct Wrong {
  enum class Cause : std::uint8_t {
    settings,
    device_certificates,
    link_certificates,
    password_file,
    acl_file,
    registry_file,
    token_file,
    store_files,
    uplinks_file
  };
  Cause cause;
  std::string why;  // with the file, and the line where there is one
};
inline constexpr std::size_t kWrongCauses = 9;
const char* name_of(Wrong::Cause cause);
boost::json::array json_of(const std::vector<Wrong>& wrong);

// Those that this role reads; empty ones too, several of a list apart.
std::vector<std::string> files_of(const Config& config, Role role);
// Adds what is wrong with them.
void prove_set(const Config& config, Role role, std::vector<Wrong>& wrong);

}  // namespace berth::gateway
