// The files of a configuration as one generation. A mounted ConfigMap or Secret changes as a whole:
// its names are links into `..data`, a link to a directory, which the kubelet replaces by a rename;
// the directory of before is removed then. So `..data` of each directory is opened once, and all
// files of that directory are read through this descriptor: files of two generations are never
// mixed. What changes in several directories, or is no such mount, is read again until each path
// leads to the file that was read. Blocking; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/read_file.h"

namespace berth::gateway::runtime {

struct FileSet {
  base::FileTexts texts;  // by path
  std::string hash;       // SHA-256 of all paths and their bytes, hex
  // False: the files changed during each attempt, and this is the last one that lacked no file, if
  // there was one. What comes from one mounted directory is of one generation all the same; between
  // directories it need not be.
  bool settled = false;

  bool lacks_any() const;  // one of the files can't be read
};

inline constexpr std::size_t kSetFileMax = std::size_t{64} << 20;  // bytes of one file

// Empty paths are left out.
FileSet read_set(const std::vector<std::string>& paths);

// By which the next change is noticed, without reading: device, inode, bytes, time of the last
// write and of the last change of the inode of each file; zeros: there is none.
struct SetStamp {
  std::vector<std::int64_t> values;
  bool missing = false;  // one of the files
  bool operator==(const SetStamp&) const = default;
};
SetStamp stamp_of(const std::vector<std::string>& paths);

}  // namespace berth::gateway::runtime
