// Copies of what a process depends on and has proven good, kept beside the store: a process that
// starts while the original is missing or bad goes on with the copy (I14). A copy is a file
// `<directory>/last-good/<name>`, 0600 in a directory of 0700: secrets may be in it. It begins with
// a line that names its SHA-256; one that does not match is not believed. Blocking; any thread, one
// at a time for one name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::gateway::runtime {

// There is such a directory for us, or there can be one.
bool can_be_kept(const std::string& directory);

class LastGood {
 public:
  // `directory`: store.directory. Empty: nothing is kept and nothing is found.
  explicit LastGood(std::string directory);

  // Replaces the copy as a whole, durably; one that says the same stays. False: it could not be
  // written (logged), the one before is still there. `name`: [a-z0-9.-]+.
  bool keep(std::string_view name, std::string_view bytes) const;
  // Nothing: there is no copy, or it is damaged (logged).
  std::optional<std::string> read(std::string_view name) const;
  std::string path(std::string_view name) const;

 private:
  std::string directory_;  // with "last-good"; empty: none
};

// Files that are good only together: a certificate, its key and authority.
struct NamedFile {
  std::string name;  // of the copy
  std::string path;
};
void keep_all(const std::string& directory, const std::vector<NamedFile>& files);
// Where the copies are, in the same order; a reader of PEM passes over a copy's first line.
// Nothing: one is missing or damaged.
std::optional<std::vector<std::string>> copies_of(const std::string& directory,
                                                  const std::vector<NamedFile>& files);

}  // namespace berth::gateway::runtime
