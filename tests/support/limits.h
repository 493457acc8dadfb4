// Descriptors: of this process, and of a gateway that a test starts with few of them.
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/support/gateway_process.h"

namespace berth::test {

// For tests with thousands of connections. How many there may be now.
inline std::size_t raise_own_descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

// While it lives gateways are started with `limit` open files at most.
class FewDescriptors {
 public:
  FewDescriptors(const std::string& directory, int limit) {
    const std::string script = directory + "/berth-few";
    std::ofstream(script) << "#!/bin/sh\nulimit -n " << limit << "\nexec '" << berth_binary()
                          << "' \"$@\"\n";
    chmod(script.c_str(), 0755);
    if (const char* old = std::getenv("BERTH_BINARY")) before_ = old;
    setenv("BERTH_BINARY", script.c_str(), 1);
  }
  ~FewDescriptors() {
    before_.empty() ? unsetenv("BERTH_BINARY") : setenv("BERTH_BINARY", before_.c_str(), 1);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  std::string before_;
};

// A setting in the environment of gateways that are started while it lives.
class Setting {
 public:
  Setting(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Setting() { unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};

}  // namespace berth::test
