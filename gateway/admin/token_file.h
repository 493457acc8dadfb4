// The secret that a change over the admin port needs: one word in a file. Made where there is none.
// One thread at a time.
#pragma once

#include <cstdint>
#include <string>

namespace berth::gateway::admin {

class TokenFile {
 public:
  // A token that is in no file: what needs one can't be asked for over TCP.
  TokenFile();
  // Reads `path`. Throws std::runtime_error: it can't be read, or holds no token.
  static TokenFile read(const std::string& path);
  // The same; a missing file is made (0600, of a random token, its directory 0700), by one of those
  // who try at a time.
  static TokenFile read_or_make(const std::string& path);

  // Read again when the file has changed, a Secret that was mounted anew say; as it was while the
  // file is gone or empty.
  const std::string& current();
  const std::string& path() const { return path_; }  // empty: in no file
  bool made() const { return made_; }
  bool readable_by_all() const;

 private:
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;
  std::string path_;
  std::string token_;
  Stamp read_at_;
  bool made_ = false;
};

}  // namespace berth::gateway::admin
