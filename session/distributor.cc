#include "session/distributor.h"

#include <algorithm>
#include <utility>

#include "session/principal_key.h"

namespace berth::session {

using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kLateMax = 100'000;  // QoS 0 messages of one edge that wait for it
// Deferred::picks are in this order once they are all there.
constexpr auto by_route = [](const auto& a, const auto& b) { return a.route < b.route; };

// A session of expiry 0 whose connection is ending gets nothing any more.
bool receives(const Session& s) {
  if (s.persistent() || s.limbo) return true;
  return s.channel != nullptr && s.channel->state != Channel::State::closing;
}

// Those of `g`. `picks` are in order.
template <class Picks>
auto picks_of(const SharedGroup& g, Picks& picks) {
  typename Picks::value_type of{};
  of.route = g.route;
  return std::equal_range(picks.begin(), picks.end(), of, by_route);
}

// The member of `g` that was chosen before.
template <class Picks>
const SharedGroup::Member* chosen(const SharedGroup& g, const Picks& picks) {
  const auto [first, last] = picks_of(g, picks);
  for (auto pick = first; pick != last; ++pick) {
    for (const SharedGroup::Member& m : g.members) {
      if (m.session->id == pick->session) return &m;
    }
  }
  return nullptr;
}

}  // namespace

const Match& Distributor::match(std::string_view topic) {
  const Match& m = router_.match(topic);
  budget_.take(router_.visited() + router_.collected());
  if (router_.visited() > Router::kNodesMax) ++probe_.walks_cut;
  return m;
}

// Must this message enter the store for any receiver before anybody may see it?
bool Distributor::needs_staging(const Match& m, const Delivery& d) {
  if (d.message.qos == 0) return false;
  const auto stored = [&](Session& s, SubOptions o, bool shared) {
    const bool once = shared && std::min(d.message.qos, o.qos()) == 1;
    return o.qos() != 0 && (s.persistent() || must_spill(s, d, once));
  };
  for (const Target& t : m.targets) {
    if (stored(*t.session, t.options, false)) return true;
  }
  for (const SharedGroup* g : m.groups) {
    budget_.take_group(g->members.size());
    for (const auto& member : g->members) {
      if (stored(*member.session, member.options, true)) return true;
    }
  }
  return false;
}

// First phase: queue entries of sessions that have a queue, and who of each shared group gets it.
void Distributor::stage(const Match& m, Delivery& d, Deferred& out, bool fresh) {
  for (const Target& t : m.targets) {
    const std::uint8_t qos = std::min(d.message.qos, t.options.qos());
    if (!t.session->persistent() || !fresh || !takes(t, d)) continue;
    if (t.session->peer != 0 && peer_queues_.keeps(d)) peer_queues_.stage(*t.session, d, 0, false);
    if (qos == 0 || t.session->peer != 0) continue;
    if (t.session->uplink != 0) {
      uplinks_.stage(*t.session, d);
      continue;
    }
    queues_.append(*t.session, d, qos, d.message.retain && t.options.retain_as_published(), t.ids);
  }
  stage_groups(m, d, out, fresh);
  if (fresh && d.message.retain && d.tag == nullptr && partitioned())
    peer_queues_.stage_retained(m, d);
  spill(m, d, out, fresh ? SpillPhase::staging : SpillPhase::replayed);
}

// Who of each shared group gets it.
void Distributor::stage_groups(const Match& m, Delivery& d, Deferred& out, bool fresh) {
  for (SharedGroup* g : m.groups) {
    if (takes(*g, d)) stage_group(*g, d, out, fresh);
  }
  std::sort(out.picks.begin(), out.picks.end(), by_route);
}

void Distributor::stage_group(SharedGroup& g, Delivery& d, Deferred& out, bool fresh) {
  SubOptions options;
  std::uint32_t id = 0;
  Session* s = pick(g, d, options, id);
  if (s == nullptr) return;
  const std::uint8_t qos = std::min(d.message.qos, options.qos());
  const std::vector<std::uint32_t> ids(id != 0 ? 1 : 0, id);
  if (s->peer != 0 && peer_queues_.keeps(d)) {
    if (fresh) peer_queues_.stage(*s, d, g.route, false);
  } else if (qos == 0 || !s->persistent()) {
    out.picks.push_back({s->id, g.route});
    if (!fresh || !out.fanout || s->persistent()) return;
    d.mark = group_mark(g.route);  // a Fanout can't deliver at once
    stage_receiver({s->id, options, ids}, d);
    d.mark = 0;
  } else if (fresh) {
    d.mark = group_mark(g.route);
    queues_.append(*s, d, qos, d.message.retain && options.retain_as_published(), ids);
    d.mark = 0;
  }
}

// A member that was chosen has ended, or left, before it got the message: another one does. Where
// it was stored for the first one already, that one's queue is handed on (SharedHandover).
void Distributor::pick_again(const Match& m, Delivery& d, Deferred& out) {
  std::vector<SharedGroup*> again;
  bool any = false;
  for (SharedGroup* g : m.groups) {
    budget_.take_group(g->members.size());
    const auto [at, last] = picks_of(*g, out.picks);
    if (at == last || !takes(*g, d)) continue;
    const SharedGroup::Member* before = chosen(*g, out.picks);
    if (before != nullptr && receives(*before->session)) continue;
    const bool had =
        std::find(out.spilled.begin(), out.spilled.end(), at->session) != out.spilled.end();
    at->session = {};  // nobody's
    any = true;
    if (!had) again.push_back(g);
  }
  if (!any) return;
  std::erase_if(out.picks, [](const Pick& p) { return p.session == base::SessionId{}; });
  for (SharedGroup* g : again) stage_group(*g, d, out);
  std::sort(out.picks.begin(), out.picks.end(), by_route);
}

// Where an edge survives us also for expiry-0 sessions: their copies can't all leave in one frame
// with the acknowledgement.
void Distributor::stage_receiver(const Fanout::Receiver& r, Delivery& d) {
  Session* s = sessions_.by_id(r.session);
  if (s == nullptr) return;
  const std::uint8_t qos = std::min(d.message.qos, r.options.qos());
  const bool retain = d.message.retain && r.options.retain_as_published();
  if (s->persistent()) {
    if (s->peer != 0 && peer_queues_.keeps(d)) peer_queues_.stage(*s, d, 0, false);
    if (qos != 0 && s->uplink != 0) return uplinks_.stage(*s, d);
    if (qos != 0 && s->peer == 0) queues_.append(*s, d, qos, retain, r.ids);
    return;
  }
  const bool alive = s->limbo || (s->channel != nullptr && s->channel->live());
  if (qos == 0 || !options_.replay || !alive) return;
  queues_.append(*s, d, qos, retain, r.ids);
  if (s->channel == nullptr) return;
  cookies_.changed(*s->channel, CookieSlot::volatile_state);
  if (!effects_.writable(s->channel->conn)) s->channel->waiting_room = true;
}

// Stores the message for those expiry-0 receivers that can't have it at once, each only once. True:
// there were some, so nobody else may have it before the commit.
//
// Order (4.6): in a receiver's queue a message is behind all that its publisher has said before. Of
// these some may still wait for their commit, not stored for this receiver because it could have
// had them at once then, or had not subscribed. Then this one waits too, and when it is run (after
// them) is stored if it must be.
bool Distributor::spill(const Match& m, Delivery& d, Deferred& out, SpillPhase phase) {
  if (d.message.qos == 0) return false;
  const std::size_t before = commits_.writes();
  if (phase == SpillPhase::run && !out.picks.empty()) pick_again(m, d, out);
  if (!options_.replay) return commits_.writes() != before;
  const Publisher p = phase == SpillPhase::run ? Publisher{} : publisher_of(d);
  if (p.since != nullptr && !p.waits) *p.since = order_clock_.next();
  const auto consider = [&](Session& s, SubOptions o, const std::vector<std::uint32_t>& ids) {
    const bool shared = d.mark != 0;
    const std::uint8_t qos = std::min(d.message.qos, o.qos());
    if (qos == 0 || s.persistent()) return;
    if (std::find(out.spilled.begin(), out.spilled.end(), s.id) != out.spilled.end()) return;
    const bool behind = p.since != nullptr && p.waits && s.changed >= *p.since;
    if (behind || phase == SpillPhase::replayed || !must_spill(s, d, shared && qos == 1)) {
      if (p.since != nullptr) s.changed = order_clock_.now();
      return;
    }
    out.spilled.push_back(s.id);
    queues_.append(s, d, qos, d.message.retain && o.retain_as_published(), ids);
    if (s.channel == nullptr) return;
    cookies_.changed(*s.channel, CookieSlot::volatile_state);
    if (!effects_.writable(s.channel->conn)) s.channel->waiting_room = true;
  };
  for (const Target& t : m.targets) {
    if (takes(t, d)) consider(*t.session, t.options, t.ids);
  }
  for (const SharedGroup* g : m.groups) {
    budget_.take_group(g->members.size());
    const SharedGroup::Member* member = takes(*g, d) ? chosen(*g, out.picks) : nullptr;
    if (member == nullptr) continue;
    d.mark = group_mark(g->route);
    consider(*member->session, member->options,
             std::vector<std::uint32_t>(member->id != 0 ? 1 : 0, member->id));
    d.mark = 0;
  }
  return commits_.writes() != before;
}

// Second phase: everybody else. `staged`: what stage_durable and spill chose; null: nothing was.
// Flattened: its loop runs once a receiver, and a call there is 7 % of a QoS 0 delivery.
[[gnu::flatten]] void Distributor::deliver(const Match& m, Delivery& d, const Deferred* staged,
                                           base::Instant now) {
  new_message();
  std::vector<LateCopies::To> later;
  budget_.take(static_cast<std::int64_t>(m.targets.size()));
  for (const Target& t : m.targets) {
    if (takes(t, d)) deliver_to(*t.session, t.options, t.ids, d, staged, later, now);
  }
  if (!m.groups.empty()) deliver_groups(m, d, staged, later, now);
  if (!later.empty()) send_later(d, std::move(later));
}

void Distributor::deliver_groups(const Match& m, Delivery& d, const Deferred* staged,
                                 std::vector<LateCopies::To>& later, base::Instant now) {
  for (SharedGroup* g : m.groups) {
    SubOptions options;
    std::uint32_t id = 0;
    Session* s = nullptr;
    budget_.take_group(g->members.size());
    if (!takes(*g, d)) continue;
    if (staged == nullptr) {
      s = pick(*g, d, options, id);
    } else if (const SharedGroup::Member* member = chosen(*g, staged->picks)) {
      s = member->session;
      options = member->options;
      id = member->id;
    }
    const std::vector<std::uint32_t> ids(id != 0 ? 1 : 0, id);
    d.mark = group_mark(g->route);
    if (s != nullptr) deliver_to(*s, options, ids, d, staged, later, now);
    d.mark = 0;
  }
}

void Distributor::deliver_to(Session& s, SubOptions o, const std::vector<std::uint32_t>& ids,
                             Delivery& d, const Deferred* staged,
                             std::vector<LateCopies::To>& later, base::Instant now) {
  const std::uint8_t qos = std::min(d.message.qos, o.qos());
  const bool retain = d.message.retain && o.retain_as_published();
  if (qos != 0) {
    if (s.persistent()) return;
    const bool had =
        staged != nullptr &&
        ((staged->fanout && options_.replay) ||  // stage_receiver()
         std::find(staged->spilled.begin(), staged->spilled.end(), s.id) != staged->spilled.end());
    if (!had) queues_.deliver(s, d, o, retain, ids, now);
    return;
  }
  Channel* ch = s.channel;
  if (ch == nullptr && s.uplink != 0) return uplinks_.stage_unhurried(s, d);
  if (ch == nullptr || !ch->live()) return;
  if (s.peer != 0 && peer_queues_.keeps(d)) return;  // has a queue entry
  if (crosses(s, d)) {
    later.push_back({s.id, o, ids});
  } else if (effects_.writable(ch->conn)) {
    ch->port->deliver(*ch, d.message, 0, retain, false, 0, &ids, now);
  } else {
    ++probe_.drop_slow_qos0;
  }
}

// What comes from another partition is for our own sessions, and only those it names.
bool Distributor::takes(const Target& t, const Delivery& d) {
  if (d.tag != nullptr && (t.session->internal() || !d.plain())) return false;
  if (t.session->id != d.publisher) return true;
  return !t.options.no_local() && !is_own_result(*t.session, d.message.topic);
}

// One member of a shared group: the next that is connected and can take more, else the next that
// has a queue (4.8.2). Of another partition's messages our own members come first: it has chosen
// us.
Session* Distributor::pick(SharedGroup& g, const Delivery& d, SubOptions& options,
                           std::uint32_t& id) {
  Session* fallback = nullptr;
  const bool ours = d.tag != nullptr &&
                    std::any_of(g.members.begin(), g.members.end(),
                                [](const SharedGroup::Member& m) { return m.session->peer == 0; });
  const std::size_t n = g.members.size();
  budget_.take_group(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t at = (g.next + i) % n;
    const SharedGroup::Member& m = g.members[at];
    if (m.session->peer != 0 && (ours || m.session->peer == d.source)) continue;
    const Channel* ch = m.session->channel;
    const bool ready = ch != nullptr && ch->live() && !ch->waiting_room &&
                       (!m.session->outbox || m.session->outbox->inflight < ch->receive_maximum);
    if (!ready && (fallback != nullptr || !receives(*m.session))) continue;
    options = m.options;
    id = m.id;
    if (ready) {
      g.next = at + 1;
      return m.session;
    }
    fallback = m.session;
  }
  if (fallback != nullptr) ++g.next;
  return fallback;
}

Publisher Distributor::publisher_of(const Delivery& d) {
  if (Channel* ch = connections_.find(d.origin)) return {gated(*ch), &ch->staged_since};
  if (d.source == 0) return {};
  Source& from = sources_[d.source - 1u];
  return {from.pending != 0, &from.staged_since};
}

// An expiry-0 session whose copy can't leave in one frame with the acknowledgement: if the engine
// died now it would be lost or doubled. Nor may one of QoS 1 of a shared subscription (`returns`)
// be in memory only: another member gets it if this one ends unacknowledged, whatever engine that
// is on.
bool Distributor::must_spill(Session& s, const Delivery& d, bool returns) {
  if (!options_.replay || s.persistent()) return false;
  if (s.limbo) return true;
  if (s.channel == nullptr || !s.channel->live()) return false;
  const bool apart =
      d.origin == base::kNoConn || crosses(s, d);  // from the acknowledgement's frame
  return apart || returns || !queues_.can_send_at_once(s);
}

bool Distributor::crosses(const Session& s, const Delivery& d) const {
  return options_.replay && d.origin != base::kNoConn && s.channel != nullptr &&
         s.channel->conn.link() != d.origin.link();
}

// A device that has subscribed to v1/cmd/# is told what its platform says there, not what the
// device itself answers there.
bool Distributor::is_own_result(const Session& s, std::string_view topic) {
  const std::string_view principal = principal_of(s.client_id);
  if (!is_registered(principal) || !is_device(principal) || !topic.starts_with(kTenantRoot))
    return false;
  const std::size_t tenant_end = topic.find('/', kTenantRoot.size());
  return tenant_end != std::string_view::npos && is_command(topic.substr(tenant_end + 1));
}

void Distributor::send_later(const Delivery& d, std::vector<LateCopies::To> to) {
  Edge& e = connections_.edges()[d.origin.link()];
  if (e.late.size() >= kLateMax) {  // the publisher's edge takes nothing
    probe_.drop_slow_qos0 += to.size();
    return;
  }
  may_have_work_ = true;
  e.late.push_back({.turn = effects_.turn_of(d.origin),
                    .message = d.owned ? d.owned : MessagePtr(d.message),
                    .to = std::move(to)});
}

void Distributor::send_late(Edge& e, base::Instant now) {
  while (!e.late.empty() && e.late.front().turn <= e.taken && !budget_.spent()) {
    const LateCopies copies = std::move(e.late.front());
    e.late.pop_front();
    const MessageView m = copies.message->view();
    new_message();
    for (const LateCopies::To& to : copies.to) {
      Session* s = sessions_.by_id(to.session);
      if (s == nullptr || s->channel == nullptr || !s->channel->live()) continue;
      const WorksFor scope = works_for(s->channel->conn);
      if (effects_.writable(s->channel->conn)) {
        s->channel->port->deliver(*s->channel, m, 0, m.retain && to.options.retain_as_published(),
                                  false, 0, &to.ids, now);
      } else {
        ++probe_.drop_slow_qos0;
      }
    }
  }
}

bool Distributor::has_late() const {
  return std::any_of(connections_.edges().begin(), connections_.edges().end(),
                     [](const Edge& e) { return !e.late.empty(); });
}

bool Distributor::accepted(std::uint32_t link, std::uint64_t turn, base::Instant now) {
  if (link >= connections_.edges().size()) return false;
  Edge& e = connections_.edges()[link];
  e.taken = std::max(e.taken, turn);
  const bool any = !e.late.empty() && e.late.front().turn <= turn;
  send_late(e, now);
  return any;
}

}  // namespace berth::session
