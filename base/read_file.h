// A whole file that an operator has written: settings, rights, passwords, tokens, records. An error
// names the file and the reason. For a permission it names the user of this process: a service and
// its operator are often different users. Any thread; blocks on the disk.
#pragma once

#include <map>
#include <string>

namespace berth::base {

// Files that were read together. While a ReadFrom lives, read_file() and why_unreadable() on its
// thread answer from it for the paths that it has: what is read one after another is then of one
// generation, and errors have the names that the operator knows.
struct FileText {
  std::string bytes;
  std::string why_not;  // WHY it cannot be read; empty: it can
};
using FileTexts = std::map<std::string, FileText>;  // by path
class ReadFrom {
 public:
  explicit ReadFrom(const FileTexts& texts);  // which outlives it
  ~ReadFrom();
  ReadFrom(const ReadFrom&) = delete;
  ReadFrom& operator=(const ReadFrom&) = delete;

 private:
  const FileTexts* before_;
};

// Throws std::runtime_error "PATH: cannot be read: WHY", also for a directory, which opens as a
// file does and then has no bytes.
std::string read_file(const std::string& path);
// WHY; empty: it can be read.
std::string why_unreadable(const std::string& path);
// WHY, of an errno.
std::string why_of(int error);

}  // namespace berth::base
