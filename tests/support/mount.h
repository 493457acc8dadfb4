// A mounted ConfigMap or Secret.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace berth::test {

// A directory as the kubelet keeps it: names are links into `..data`, a link to the directory of
// one generation that is renamed over, and the directory of before is removed then.
class Mount {
 public:
  Mount() {
    std::string name = std::filesystem::temp_directory_path() / "berth-file-set-XXXXXX";
    at_ = mkdtemp(name.data());
  }
  ~Mount() { std::filesystem::remove_all(at_); }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  std::string file(const std::string& name) const { return at_ + "/" + name; }
  void swap(const std::map<std::string, std::string>& files) {
    const std::string next = "..gen" + std::to_string(++generation_);
    std::filesystem::create_directory(file(next));
    for (const auto& [name, text] : files) std::ofstream(file(next + "/" + name)) << text;
    std::filesystem::create_directory_symlink(next, file("..data_tmp"));
    std::filesystem::rename(file("..data_tmp"), file("..data"));
    for (const auto& [name, text] : files) {
      if (!std::filesystem::is_symlink(file(name)))
        std::filesystem::create_symlink("..data/" + name, file(name));
    }
    if (!before_.empty()) std::filesystem::remove_all(file(before_));
    before_ = next;
  }

 private:
  std::string at_;
  std::string before_;
  int generation_ = 0;
};

}  // namespace berth::test
