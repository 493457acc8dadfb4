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

// One connection of one edge shard: slot in the shard's slab (24 bits) and the generation that slot
// had. A stale id (older generation) finds nothing. Within an engine the upper 8 bits of the slot
// name the link it came by; on the link and in the store they are 0 (local()).
struct ConnId {
  static constexpr std::uint32_t kSlotBits = 24;
  static constexpr std::uint32_t kLinksMax = 256;
  std::uint32_t slot{};
  std::uint32_t generation{};
  constexpr std::uint32_t link() const { return slot >> kSlotBits; }
  constexpr std::uint32_t local_slot() const { return slot & ((1u << kSlotBits) - 1); }
  constexpr ConnId local() const { return {local_slot(), generation}; }
  constexpr ConnId on_link(std::uint32_t link) const {
    return {local_slot() | (link << kSlotBits), generation};
  }
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
