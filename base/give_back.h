// Empties a string and gives its memory back. `s = {}`, and moving an empty string into it (so too
// `x = X{}` of what has strings), keep the allocation: libstdc++ copies a short string in place.
#pragma once

#include <string>

namespace berth::base {

inline void give_back(std::string& s) {
  std::string().swap(s);
}

// Keeps a small allocation for what comes next.
inline void empty_out(std::string& s) {
  constexpr std::size_t kKept = 4096;
  if (s.capacity() > kKept) {
    give_back(s);
  } else {
    s.clear();
  }
}

// Takes the first `n` bytes away; a small rest does not keep a large allocation.
inline void drop_front(std::string& s, std::size_t n) {
  constexpr std::size_t kLarge = 64 * 1024;
  s.erase(0, n);
  if (s.capacity() > kLarge && s.size() < s.capacity() / 4) s.shrink_to_fit();
}

}  // namespace berth::base
