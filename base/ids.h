// Strong ids. A value of one kind is never accepted for another; all are trivially copyable.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace berth::base {

template <class Tag, class Rep>
struct StrongId {
  Rep value{};
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
};

// One connection of one edge: slot in the edge's slab and the generation that slot had. A stale id
// (older generation) finds nothing. Unique within one edge process.
struct ConnId {
  std::uint32_t slot{};
  std::uint32_t generation{};
  friend constexpr auto operator<=>(const ConnId&, const ConnId&) = default;
  constexpr std::uint64_t packed() const {
    return (static_cast<std::uint64_t>(generation) << 32) | slot;
  }
  static constexpr ConnId from_packed(std::uint64_t v) {
    return {static_cast<std::uint32_t>(v), static_cast<std::uint32_t>(v >> 32)};
  }
};
inline constexpr ConnId kNoConn{0xffffffffu, 0};

// A session as the store numbers it. Never reused while the store lives.
using SessionId = StrongId<struct SessionIdTag, std::uint64_t>;

}  // namespace berth::base

template <>
struct std::hash<berth::base::ConnId> {
  std::size_t operator()(berth::base::ConnId id) const noexcept {
    return std::hash<std::uint64_t>{}(id.packed() * 0x9e3779b97f4a7c15ULL);
  }
};
