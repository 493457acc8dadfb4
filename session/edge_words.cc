#include "session/edge_words.h"

#include <algorithm>

#include "base/assert.h"

namespace berth::session {

using protocol::link::Fate;

EdgeWords::Packet& EdgeWords::packet(Open& o, std::uint64_t tag) {
  const auto it = std::find_if(o.packets.begin(), o.packets.end(),
                               [tag](const Packet& p) { return p.tag == tag; });
  return it != o.packets.end() ? *it : o.packets.emplace_back(Packet{.tag = tag});
}

bool EdgeWords::send(base::ConnId conn, std::string_view head, std::string_view tail,
                     const protocol::link::Deadline& d) {
  BERTH_ASSERT(d.watch && protocol::link::is_command(d.tag));
  const WorksFor scope = works_for(conn);
  if (!effects_.send_until(conn, head, tail, d)) return false;
  packet(open_[conn.packed()], d.tag);
  return true;
}

void EdgeWords::told(base::ConnId conn, std::uint64_t tag, Fate fate) {
  Packet& p = packet(open_[conn.packed()], tag);
  p.decided = true;
  p.untaken |= static_cast<std::uint8_t>(1U << static_cast<unsigned>(fate));
  const WorksFor scope = works_for(conn);
  if (observer_ == nullptr) return taken(conn, tag, fate);
  observer_->told(conn, tag, fate);
}

void EdgeWords::pending(base::ConnId conn, std::uint64_t tag) {
  packet(open_[conn.packed()], tag);
  const WorksFor scope = works_for(conn);
  if (observer_ != nullptr) observer_->pending(conn, tag);
}

void EdgeWords::taken(base::ConnId conn, std::uint64_t tag, Fate fate) {
  const WorksFor scope = works_for(conn);
  effects_.told_taken(conn, tag, fate);
  const auto it = open_.find(conn.packed());
  if (it == open_.end()) return;  // its link has broken meanwhile
  std::vector<Packet>& packets = it->second.packets;
  const auto p = std::find_if(packets.begin(), packets.end(),
                              [tag](const Packet& known) { return known.tag == tag; });
  if (p == packets.end()) return;
  p->untaken &= static_cast<std::uint8_t>(~(1U << static_cast<unsigned>(fate)));
  if (p->decided && p->untaken == 0) packets.erase(p);
  if (!packets.empty()) return;
  const bool release = it->second.release;
  open_.erase(it);
  if (release) effects_.release(conn);
}

void EdgeWords::release(base::ConnId conn) {
  const auto it = open_.find(conn.packed());
  if (it == open_.end()) return effects_.release(conn);
  it->second.release = true;
}

// An edge of the release before may have taken over from one of ours (a downgrade): it has listed
// nothing and says nothing.
void EdgeWords::listed(std::uint32_t link) {
  if (observer_ == nullptr) return;
  if (effects_.watches(base::ConnId{}.on_link(link))) {
    observer_->listed(link);
  } else {
    observer_->gone(link);
  }
}

void EdgeWords::lost(std::uint32_t link) {
  boost::unordered::erase_if(open_, [link](const auto& known) {
    return base::ConnId::from_packed(known.first).link() == link;
  });
  if (observer_ != nullptr) observer_->lost(link);
}

void EdgeWords::gone(std::uint32_t link) {
  if (observer_ != nullptr) observer_->gone(link);
}

}  // namespace berth::session
