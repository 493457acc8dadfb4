// How an error of the configuration reaches those who collect the log: in the format that the log
// is to have, as far as that can be known when the configuration is bad.
#pragma once

#include <string>

namespace berth::gateway {

struct LogWanted {
  std::string flag;         // --log-format; empty: not given
  std::string config_file;  // empty: none
  std::string role;         // of the process
};

// One line on the output of the log (ecs) or, for people, on stderr (text). Before the log is
// started, at the end of the process.
void say_bad_configuration(const std::string& why, const LogWanted& log);

}  // namespace berth::gateway
