// A tar archive (ustar, POSIX.1-1988) of small files, in memory; `tar xzf` reads it when it is
// gzipped.
//
//   archive := (header content padding)* 1024 zero bytes        padding: to a multiple of 512
//   header  := name[100] mode[8] uid[8] gid[8] size[12] mtime[12] checksum[8] type[1] link[100]
//              "ustar\0" "00" user[32] group[32] device[16] prefix[155] zeros[12]
#pragma once

#include <cstdint>
#include <string>

namespace berth::gateway {

class Archive {
 public:
  // `mtime_s`: of all files, seconds since 1970.
  explicit Archive(std::int64_t mtime_s) : mtime_s_(mtime_s) {}
  // REQUIRES: `name` has 1 to 100 bytes, `content` less than 8 GiB.
  void add(const std::string& name, const std::string& content);
  std::string tar() const;
  std::string gzipped() const;  // throws std::runtime_error: no memory

 private:
  std::int64_t mtime_s_;
  std::string bytes_;
};

}  // namespace berth::gateway
