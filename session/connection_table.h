// The connections (Channel) that edges have announced, by edge link and slot, and the edges
// themselves. A Channel's memory is freed at the end of the turn in which it was forgotten: callers
// that still work on it see its state `closing` until then. One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/message.h"
#include "session/router.h"
#include "session/session.h"

namespace berth::session {

// Inputs of the channel have staged writes and wait for their commit.
inline bool gated(const Channel& ch) {
  return ch.pending != 0;
}
// Nothing of the channel's input is read before unstall().
inline void stall(Channel& ch) {
  ch.stalled = true;
}

// A QoS 0 message to sessions on other links than its publisher's: leaves when the publisher's
// edge has its acknowledgement, so that a crash loses it and never doubles it.
struct LateCopies {
  struct To {
    base::SessionId session;
    SubOptions options;
    std::vector<std::uint32_t> ids;
  };
  std::uint64_t turn = 0;
  MessagePtr message;
  std::vector<To> to;
};
struct Edge {
  enum class State : std::uint8_t { none, present, lost };
  std::uint64_t id = 0;
  State state = State::none;
  // No engine has discarded expiry-0 sessions whose state is only in this edge's cookies.
  bool trusted = false;
  bool internal = false;
  std::deque<LateCopies> late;
  std::uint64_t taken = 0;  // turns
};

class ConnectionTable final : private Room {
 public:
  explicit ConnectionTable(Context& cx);

  std::size_t count() const { return channel_count_; }
  // Indexed by link number; size() is one above the highest.
  std::vector<Edge>& edges() { return edges_; }
  const std::vector<Edge>& edges() const { return edges_; }
  // The connections of a link, by slot; null where there is none.
  std::vector<std::unique_ptr<Channel>>& of_link(std::uint32_t link) { return channels_[link]; }
  void add_links_through(std::uint32_t link);  // REQUIRES: link < ConnId::kLinksMax
  void free_forgotten() {
    if (!buried_.empty()) buried_.clear();
  }

  // Null: not known (any more).
  Channel* find(base::ConnId conn) {
    if (conn.link() >= channels_.size()) return nullptr;
    const auto& slots = channels_[conn.link()];
    if (conn.local_slot() >= slots.size()) return nullptr;
    Channel* ch = slots[conn.local_slot()].get();
    return ch != nullptr && ch->conn == conn ? ch : nullptr;
  }
  // REQUIRES: the slot is free (the edge reuses a slot only after Effects::release()).
  Channel& make(base::ConnId conn);
  // find() does not find it any more.
  void forget(Channel& ch);
  // The input that stall() has held back is offered again.
  void unstall(Channel& ch);
  // Asks the shell to offer the input again, behind the input of others: Effects::resume(), once
  // until Broker::rested().
  void go_on_later(Channel& ch);
  std::uint64_t edge_of(base::ConnId conn) const { return edges_[conn.link()].id; }
  base::ConnId conn_of(std::uint64_t edge,
                       std::uint64_t packed) const;  // kNoConn: no edge has this id
  // This connection made the session's last CONNECT: a CONNECT of it is a replay.
  bool owned_by(const Session& s, const Channel& ch) const;
  template <class F>
  void for_each(F&& f) {
    for (const auto& slots : channels_) {
      for (const auto& ch : slots) {
        if (ch) f(*ch);
      }
    }
  }

 private:
  std::vector<Edge> edges_;                                      // by link
  std::vector<std::vector<std::unique_ptr<Channel>>> channels_;  // by link and slot of their ConnId
  std::size_t channel_count_ = 0;
  std::vector<std::unique_ptr<Channel>> buried_;  // forgotten in this turn, see end_turn()
};

}  // namespace berth::session
