// How far the embedded store has come, in a small file beside it: what is missing from the store at
// the next start, because its log was cut off or the whole of it was replaced, shows in the
// comparison. Written after each commit by a store into shared memory: no system call, and there
// after a kill -9. After a loss of power it may be older than the store, which hides a loss and
// never invents one, unless commits are not synced: those may be gone, and are reported.
// Owned by the store; one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::session {

class StoreMark {
 public:
  // Maps the file, makes it where there is none. Where that can't be done (logged) nothing is kept
  // and said() is nothing.
  explicit StoreMark(const std::string& path);
  ~StoreMark();
  StoreMark(const StoreMark&) = delete;
  StoreMark& operator=(const StoreMark&) = delete;

  struct Said {
    std::uint64_t database;  // hash of its identity
    std::uint64_t sequence;  // number of its last acknowledged write
  };
  std::optional<Said> said() const;  // nothing: no store has been open here
  void begin(std::uint64_t database, std::uint64_t sequence);
  void reached(std::uint64_t sequence);
  // Writes that were found missing, in all.
  void add_lost(std::uint64_t writes);
  std::uint64_t lost() const;

  static std::uint64_t hash(std::string_view identity);

 private:
  struct Words;
  Words* words_ = nullptr;  // mapped
};

}  // namespace berth::session
