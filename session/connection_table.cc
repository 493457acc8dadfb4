#include "session/connection_table.h"

#include <algorithm>

#include "base/assert.h"

namespace berth::session {

ConnectionTable::ConnectionTable(Context& cx)
    : Room(cx), edges_(options_.edge_ids.size()), channels_(options_.edge_ids.size()) {
  BERTH_ASSERT(channels_.size() <= base::ConnId::kLinksMax);
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    edges_[i].id = options_.edge_ids[i];
    edges_[i].state = Edge::State::present;
    edges_[i].trusted = true;
    const auto& internal = options_.internal_edges;
    edges_[i].internal =
        std::find(internal.begin(), internal.end(), edges_[i].id) != internal.end();
  }
}

void ConnectionTable::add_links_through(std::uint32_t link) {
  if (link < edges_.size()) return;
  edges_.resize(link + 1);
  channels_.resize(link + 1);
}

Channel& ConnectionTable::make(base::ConnId conn) {
  auto& slots = channels_.at(conn.link());
  if (conn.local_slot() >= slots.size()) slots.resize(conn.local_slot() + 1);
  auto& slot = slots[conn.local_slot()];
  BERTH_ASSERT(!slot);  // the edge reuses a slot only after release()
  slot = std::make_unique<Channel>();
  slot->conn = conn;
  ++channel_count_;
  return *slot;
}

// Not found any more; callers that still work on it see `closing` until the turn ends.
void ConnectionTable::forget(Channel& ch) {
  --channel_count_;
  buried_.push_back(std::move(channels_[ch.conn.link()][ch.conn.local_slot()]));
}

void ConnectionTable::unstall(Channel& ch) {
  if (!ch.stalled) return;
  ch.stalled = false;
  go_on_later(ch);
}

void ConnectionTable::go_on_later(Channel& ch) {
  if (!std::exchange(ch.resting, true)) effects_.resume(ch.conn);
}

base::ConnId ConnectionTable::conn_of(std::uint64_t edge, std::uint64_t packed) const {
  for (std::uint32_t link = 0; link < edges_.size(); ++link) {
    const Edge& e = edges_[link];
    if (e.state != Edge::State::none && e.id == edge)
      return base::ConnId::from_packed(packed).on_link(link);
  }
  return base::kNoConn;
}

bool ConnectionTable::owned_by(const Session& s, const Channel& ch) const {
  return s.owner_edge == edge_of(ch.conn) && s.owner_conn == ch.conn.local().packed();
}

}  // namespace berth::session
