#include "gateway/single/invocation.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "gateway/runtime/child_process.h"

namespace berth::gateway {
namespace {

std::string first_argument() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string argument;
  std::getline(in, argument, '\0');
  return argument;
}

// As a shell finds a name without a slash.
std::vector<std::string> places_of(const std::string& name) {
  if (name.find('/') != std::string::npos) return {name};
  std::vector<std::string> places;
  const char* path = std::getenv("PATH");
  std::istringstream in(path == nullptr ? "" : path);
  for (std::string directory; std::getline(in, directory, ':');)
    places.push_back((directory.empty() ? "." : directory) + "/" + name);
  return places;
}

struct Invocation {
  Invocation() : file(runtime::executable_path()) {
    std::error_code ec;
    for (const std::string& place : places_of(first_argument())) {
      if (!std::filesystem::equivalent(place, "/proc/self/exe", ec)) continue;
      path = std::filesystem::absolute(place, ec).string();
      return;
    }
  }
  const std::string file;
  std::string path;  // empty: it is not known
};

const Invocation& invoked() {
  static const Invocation invocation;
  return invocation;
}

}  // namespace

std::string engine_path() {
  const Invocation& invocation = invoked();
  const bool there = !invocation.path.empty() && ::access(invocation.path.c_str(), X_OK) == 0;
  return there ? invocation.path : invocation.file;
}

std::string why_no_new_engine() {
  const std::string& path = invoked().path;
  if (path.empty() || ::access(path.c_str(), X_OK) == 0) return {};
  return path + ": " + std::strerror(errno);
}

}  // namespace berth::gateway
