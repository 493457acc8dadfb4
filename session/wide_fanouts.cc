#include "session/wide_fanouts.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace berth::session {

namespace {

std::uint64_t fair_key_of_turn(ConnectionTable& connections, base::ConnId conn) {
  const Channel* ch = connections.find(conn);
  return ch == nullptr ? 0 : ch->fair_key;
}

}  // namespace

void WideFanouts::drop_link(std::uint32_t link) {
  const auto theirs = [link](const Deferred& d) {
    return d.conn != base::kNoConn && d.conn.link() == link;
  };
  std::erase_if(staging_, theirs);
  std::erase_if(spreading_, theirs);
}

// False: its publisher has to wait, for its own commits or until another one is done. It is offered
// its turn again with others that rest, tenants in turn.
bool WideFanouts::may_begin(Channel& ch) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  if (fanouts_.has_place(ch.fair_key)) return true;
  connections_.go_on_later(ch);
  return false;
}

// `through`: who has had it (of a QoS 2 message, before an engine died).
void WideFanouts::begin(const Match& m, Delivery& d, Deferred out, Fanout::Through through) {
  out.fanout = std::make_shared<Fanout>(fanouts_, fair_key_of_turn(connections_, out.conn));
  out.work = effects_.work().word();
  out.came = times_.now();
  Fanout& f = *out.fanout;
  f.to.reserve(m.targets.size());
  for (const Target& t : m.targets) {
    if (distributor_.takes(t, d)) f.to.push_back({t.session->id, t.options, t.ids});
  }
  budget_.take(static_cast<std::int64_t>(f.to.size()));
  if (d.message.qos == 2) {
    const auto by_session = [](const auto& a, const auto& b) {
      return a.session.value < b.session.value;
    };
    std::sort(f.to.begin(), f.to.end(), by_session);
    while (f.at < f.to.size() && f.to[f.at].session.value <= through.session) ++f.at;
  }
  for (SharedGroup* g : m.groups) {
    if (!distributor_.takes(*g, d)) continue;
    if (g->route > through.route) {
      f.groups.push_back(g->route);
    } else {
      distributor_.stage_group(*g, d, out, false);
    }
  }
  std::sort(f.groups.begin(), f.groups.end());
  f.groups.erase(std::unique(f.groups.begin(), f.groups.end()), f.groups.end());
  may_have_work_ = true;
  staging_.push_back(std::move(out));
}

// Is a QoS 2 message of this connection being staged for many, or will it be, from where a dead
// engine has come to? Its packet id is stored since the first part: on another connection the
// message would pass for one that has been taken, and be answered before all of it is durable.
bool WideFanouts::has_unstaged(const Channel& ch) const {
  const bool staging = std::any_of(staging_.begin(), staging_.end(), [&](const Deferred& d) {
    return d.conn == ch.conn && d.message->view().qos == 2;
  });
  if (staging || !ch.applied || !ch.live()) return staging;
  return std::any_of(ch.applied->begin(), ch.applied->end(), [&](const auto& known) {
    const auto& [offset, outcome] = known;
    const bool part = outcome.starts_with('f') || outcome.starts_with('g');
    return part && offset > ch.in_off && offset <= ch.replay_end;
  });
}

void WideFanouts::stage_some(base::Instant now) {
  for (std::size_t n = staging_.size(); n != 0 && commits_.has_room() && !budget_.spent(); --n) {
    Deferred d = std::move(staging_.front());
    staging_.pop_front();
    const WorksFor scope = works_for(d.work_word());
    budget_.begin_share();
    if (!stage_part(d)) {
      staging_.push_back(std::move(d));
      continue;
    }
    d.fanout->at = 0;
    if (d.fanout->staged) d.fanout->staged();
    commits_.retains(d.message->view().retain);
    if (commits_.waits()) {
      commits_.add(std::move(d));
    } else {
      sink_.run(d, now);
    }
  }
}

// True: all of it is staged.
bool WideFanouts::stage_part(Deferred& d) {
  Fanout& f = *d.fanout;
  MessageView m = d.message->view();
  m.stamp = d.stamp;
  Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
  const bool groups = stage_some_groups(d, delivery);
  while (groups && f.at < f.to.size() && commits_.has_room() && !budget_.share_spent()) {
    budget_.take(1);
    distributor_.stage_receiver(f.to[f.at++], delivery);
  }
  const bool done = groups && f.at == f.to.size();
  Channel* ch = m.qos == 2 ? connections_.find(d.conn) : nullptr;
  if (ch != nullptr && !groups) {
    if (f.group != 0)
      replay_.record(*ch, replay_.fanned_out_groups(f.groups[f.group - 1]), d.in_off);
  } else if (ch != nullptr) {
    std::string outcome(done ? "F" : "f");
    if (!done) base::put_varint(outcome, f.at == 0 ? 0 : f.to[f.at - 1].session.value);
    replay_.record(*ch, outcome, d.in_off);
  }
  return done;
}

// True: one member of each shared group has it, or will get it at once. The groups are looked up
// anew: members, and groups, may have come and gone since the last part.
bool WideFanouts::stage_some_groups(Deferred& d, Delivery& delivery) {
  Fanout& f = *d.fanout;
  if (f.group == f.groups.size()) return true;
  std::vector<SharedGroup*> all = distributor_.match(delivery.message.topic).groups;
  const auto by_route = [](const auto& a, const auto& b) { return a->route < b->route; };
  std::sort(all.begin(), all.end(), by_route);
  budget_.take_group(all.size());
  auto g = all.begin();
  for (; f.group < f.groups.size() && commits_.has_room() && !budget_.share_spent(); ++f.group) {
    const std::uint32_t route = f.groups[f.group];
    while (g != all.end() && (*g)->route < route) ++g;
    for (; g != all.end() && (*g)->route == route; ++g) distributor_.stage_group(**g, delivery, d);
  }
  std::sort(d.picks.begin(), d.picks.end(),
            [](const Pick& a, const Pick& b) { return a.route < b.route; });
  return f.group == f.groups.size();
}

// What had to be durable is. The acknowledgement leaves before the other copies: what a crash takes
// of these is lost and never doubled.
void WideFanouts::spread(Deferred d, base::Instant now) {
  MessageView m = d.message->view();
  Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
  std::vector<LateCopies::To> later;
  new_message();
  distributor_.deliver_groups(distributor_.match(m.topic), delivery, &d, later, now);
  if (!later.empty()) distributor_.send_later(delivery, std::move(later));
  Channel* ch = connections_.find(d.conn);
  if (ch != nullptr && ch->state != Channel::State::closing) {
    clients_.answer(*ch, d);
    if (ch->live()) effects_.acknowledge(d.conn, d.in_off);
  }
  may_have_work_ = true;
  spreading_.push_back(std::move(d));
}

void WideFanouts::spread_some(base::Instant now) {
  for (std::size_t n = spreading_.size(); n != 0 && !budget_.spent(); --n) {
    Deferred d = std::move(spreading_.front());
    spreading_.pop_front();
    const WorksFor scope = works_for(d.work_word());
    budget_.begin_share();
    if (!spread_part(d, now)) {
      spreading_.push_back(std::move(d));
      continue;
    }
    if (Channel* ch = connections_.find(d.conn)) clients_.end_deferral(*ch);
  }
}

bool WideFanouts::spread_part(Deferred& d, base::Instant now) {
  Fanout& f = *d.fanout;
  const MessageView m = d.message->view();
  Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
  std::vector<LateCopies::To> later;
  new_message();
  for (; f.at < f.to.size() && !budget_.share_spent(); ++f.at) {
    budget_.take(1);
    const Fanout::Receiver& r = f.to[f.at];
    if (Session* s = sessions_.by_id(r.session))
      distributor_.deliver_to(*s, r.options, r.ids, delivery, &d, later, now);
  }
  if (!later.empty()) distributor_.send_later(delivery, std::move(later));
  return f.at == f.to.size();
}

}  // namespace berth::session
