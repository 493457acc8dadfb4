// The registry file of a small site (YAML, import.h): read again when it has changed, as a whole or
// not at all; what is being written is waited for. Written by hand, or by whoever mounts a
// ConfigMap: another inode is a change too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "gateway/registry/registry_store.h"

namespace berth::gateway::registry {

class FileRegistry final : public RegistryStore {
 public:
  // Whether this text may be taken now: the file is part of a set that is taken as a whole. Asked
  // on the reader's thread, not for what is there at the first reading.
  using Gate = std::function<bool(const std::string& text)>;
  explicit FileRegistry(std::string path, Gate gate = {})
      : path_(std::move(path)), gate_(std::move(gate)) {}
  Changes read() override;
  bool write(const std::vector<Write>&) override { return false; }
  bool read_only() const override { return true; }

 private:
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t changed_ns = 0;
    std::int64_t size = -1;
    bool operator==(const Stamp&) const = default;
  };
  using Known = std::map<std::string, std::string>;
  static void log_changes(const std::string& path, const Known& before, const Known& now);
  static Stamp stamp_of(const std::string& path);
  Changes parse(const std::string& path);
  std::string path_;
  Gate gate_;
  bool begun_ = false;
  Stamp seen_;  // at the last call: what has just changed may be half written
  Stamp read_at_;
  // As it was said -> as it is kept: a password that has not changed is not hashed anew.
  Known known_;
};

}  // namespace berth::gateway::registry
