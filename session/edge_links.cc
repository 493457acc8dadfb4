#include "session/edge_links.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "session/meta_keys.h"

namespace berth::session {

void EdgeLinks::came(std::uint32_t link, std::uint64_t edge_id, bool internal) {
  connections_.add_links_through(link);
  Edge& e = connections_.edges()[link];
  BERTH_ASSERT(e.state != Edge::State::present && connections_.of_link(link).empty());
  BERTH_ASSERT(e.state == Edge::State::none || e.id == edge_id);
  e = Edge{};
  e.id = edge_id;
  e.state = Edge::State::present;
  e.internal = internal;
  e.trusted = !serving_ && replay_.stored_edges().contains(edge_id);
}

void EdgeLinks::attached(std::uint32_t link, base::Instant now, std::function<void()> done) {
  Edge& e = connections_.edges()[link];
  replay_.stored_edges().erase(e.id);
  if (!serving_) return;
  words_.listed(link);
  const std::string key = edge_key(e.id);
  if (!e.internal) commits_.write({.kind = WriteKind::put_applied, .key = key, .value = "1"});
  replay_.remove_orphans_of(e.id);
  Deferred d;
  d.kind = Deferred::Kind::call;
  // Queues are read behind the commit: what has been finished is not to be found in them.
  d.call = [this, link, done = std::move(done)](base::Instant at) {
    for (const auto& ch : connections_.of_link(link)) {
      if (ch) queues_.wake(*ch, at);
    }
    done();
  };
  commits_.submit(std::move(d), commits_.has_uncommitted(), now);
}

void EdgeLinks::lost(std::uint32_t link, base::Instant) {
  Edge& e = connections_.edges()[link];
  if (e.state != Edge::State::present) return;
  e.state = Edge::State::lost;
  if (e.trusted && !serving_) replay_.stored_edges().insert(e.id);
  e.late.clear();
  words_.lost(link);
  forget_lost_inputs(link);
  for (const auto& ch : connections_.of_link(link)) {
    if (!ch) continue;
    let_go(*ch);
    connections_.forget(*ch);
  }
  connections_.of_link(link).clear();
}

void EdgeLinks::gone(std::uint32_t link, base::Instant now) {
  lost(link, now);
  words_.gone(link);
  Edge& e = connections_.edges()[link];
  std::vector<Session*> theirs;
  for (Session* s : sessions_.all()) {
    if (s->limbo && s->owner_edge == e.id) theirs.push_back(s);
  }
  for (Session* s : theirs) {
    s->limbo = false;
    life_.connection_ended(*s, EndBy::us, now);
  }
  replay_.remove_orphans_of(e.id);
  commits_.write({.kind = WriteKind::remove_applied, .key = edge_key(e.id)});
  e = Edge{};
}

// What waits for a commit: the edge will say it again, and what the commit stores for it is found
// then.
void EdgeLinks::forget_lost_inputs(std::uint32_t link) {
  const auto theirs = [link](const Deferred& d) {
    return d.conn != base::kNoConn && d.conn.link() == link;
  };
  // Their retained messages are in these batches. A QoS 2 PUBLISH that is said again is found in
  // the store and would not be retained anew.
  const auto keep = [&](const auto& list, std::size_t from) {
    for (std::size_t i = from; i < list.size(); ++i) {
      const Deferred& d = list[i];
      if (!theirs(d) || d.kind != Deferred::Kind::publish || !d.message || d.kept) continue;
      MessageView m = d.message->view();
      m.stamp = d.stamp;
      if (m.retain) retained_delivery_.keep(m, latest_);
    }
  };
  commits_.each_list(keep);
  keep(staging_, 0);
  commits_.drop_link(link);
  wide_fanouts_.drop_link(link);
  retained_delivery_.drop_link(link);
  route_book_.drop_link(link);
}

void EdgeLinks::let_go(Channel& ch) {
  if (ch.applied) {
    replay_.orphans()[{connections_.edge_of(ch.conn), ch.conn.local().packed()}] =
        std::move(*ch.applied);
  }
  Session* const s = ch.session;
  if (s == nullptr) return;
  sessions_.offline(*s, Offline::edge_lost,
                    protocol::link::CloseReason::engine_absent);
  s->outbox.reset();
  if (!s->received) return;
  for (auto& [id, received] : *s->received) received.effective = false;  // nor PUBREC, perhaps
}

}  // namespace berth::session
