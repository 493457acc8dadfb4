// What a person types: berth with arguments, its output and its exit code, in a directory of the
// test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/gateway_process.h"

namespace berth::test {

struct Output {
  int code = -1;
  std::string text;  // stdout and stderr
};

inline Output run_line(const std::string& line) {
  Output o;
  FILE* p = popen((line + " 2>&1").c_str(), "r");
  std::array<char, 4096> some{};
  for (std::size_t n = 0; (n = fread(some.data(), 1, some.size(), p)) > 0;)
    o.text.append(some.data(), n);
  o.code = WEXITSTATUS(pclose(p));
  return o;
}
inline Output run(const std::string& arguments) {
  return run_line(berth_binary() + " " + arguments);
}

class CommandLine : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "berth-command-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& name, const std::string& text) const {
    const std::string at = directory_ + "/" + name;
    std::ofstream(at) << text;
    ::chmod(at.c_str(), 0600);
    return at;
  }
  std::string directory_;
};

}  // namespace berth::test
