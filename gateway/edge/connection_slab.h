// The connections of an EdgeShard by slot, in slabs that are never freed: a Connection stays where
// it is. Others hold ConnIds; a slot's generation rises with each connection, so an id of a former
// one finds nothing. Held by value by the EdgeShard, on its thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "gateway/edge/connection.h"

namespace berth::gateway::edge {

class ConnectionSlab {
 public:
  struct Alive {  // apart from Connection so that the one-second sweep touches little memory
    std::uint32_t last_seen_s = 0;
    std::uint32_t limit_s = 0;  // 0: none
  };

  std::size_t size() const { return alive_.size(); }  // slots, free ones too
  bool is_empty() const { return alive_.size() == free_.size(); }
  Connection& operator[](std::size_t slot) { return slabs_[slot / kSlab][slot % kSlab]; }
  Alive& alive(std::size_t slot) { return alive_[slot]; }
  // Null: it has ended, and its slot is free or another connection's.
  Connection* find(base::ConnId conn) {
    if (conn.slot >= alive_.size()) return nullptr;
    Connection& c = (*this)[conn.slot];
    return c.state != Connection::State::free && c.generation == conn.generation ? &c : nullptr;
  }
  template <class F>
  void for_each(F&& f) {
    for (std::size_t slot = 0; slot < alive_.size(); ++slot) {
      if ((*this)[slot].state != Connection::State::free) f((*this)[slot]);
    }
  }

  // A slot that was free; its Connection is as the one before has left it.
  std::uint32_t take() {
    if (free_.empty()) {
      const auto first = static_cast<std::uint32_t>(alive_.size());
      grow_to(first + 1u);
      for (std::uint32_t i = kSlab; i-- > 0;) free_.push_back(first + i);
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void give_back(std::uint32_t slot) { free_.push_back(slot); }

  // -- connections of another process, which keep their slots. Then find_free().
  void grow_to(std::size_t slots) {
    while (alive_.size() < slots) {
      slabs_.push_back(std::make_unique<Connection[]>(kSlab));
      alive_.resize(slabs_.size() * kSlab);
    }
  }
  void find_free() {
    free_.clear();
    for (std::size_t slot = alive_.size(); slot-- > 0;) {
      if ((*this)[slot].state == Connection::State::free)
        free_.push_back(static_cast<std::uint32_t>(slot));
    }
  }

 private:
  static constexpr std::uint32_t kSlab = 1024;  // connections per allocation
  std::vector<std::unique_ptr<Connection[]>> slabs_;
  std::vector<Alive> alive_;
  std::vector<std::uint32_t> free_;
};

}  // namespace berth::gateway::edge
