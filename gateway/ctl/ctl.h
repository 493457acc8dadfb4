// `berth ctl`: asks a running gateway's admin port, and prints what it says for people or machines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::gateway {

struct Ctl {
  std::string admin = "127.0.0.1:9180";  // HOST:PORT
  std::string socket;      // its Unix socket's path (admin.socket); empty: by HOST:PORT
  std::string token_file;  // empty: over the local socket, as the gateway's user on its host
  std::uint32_t timeout_s = 150;
  bool json = false;   // asked for; neither of the two: as_json() decides
  bool table = false;  // the same

  // The JSON of the API for machines, or tables for people: what was asked for, else JSON where the
  // output is no terminal.
  bool as_json() const;
};

// BERTH_CTL_OUTPUT, table or json, where the command line has said neither. Another word is warned
// of and has no effect: probes of a container must not fail because of it.
void take_output_of_environment(Ctl& to);
// Exit code: 0 a good answer, 1 another one, 69 none. Throws ConfigError: no address.
int ctl(const Ctl& to, const std::string& method, const std::string& target);
int ctl_status(const Ctl& to);
// GET; for people the list `member` of the answer as a table of these columns.
int ctl_table(const Ctl& to, const std::string& target, const char* member,
              const std::vector<std::string>& columns);
// The same with this file's content; "*.csv" is sent as CSV, all else as YAML. `replace`: records
// become exactly what the file says.
int ctl_import(const Ctl& to, const std::string& path, bool replace);

// The page of GET /api/v1/status as a table.
std::string status_table(const std::string& json);

}  // namespace berth::gateway
