#include "platform/insights.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "platform/insights.pb.h"
#include "platform/most_connections.h"
#include "platform/records.h"
#include "platform/shortened.h"
#include "session/principal_key.h"

namespace berth::platform {

using session::Session;

namespace {

constexpr std::size_t kShownMax = 64;
constexpr std::int64_t kHour_ms = 3'600'000;

std::string cut(std::string_view text) {
  return std::string(shortened(text, kShownMax));
}

// A device and an account may have one name.
std::string key_of(const TopList::Place& p, std::string_view more = {}) {
  return joined(p.is_account ? "a" + p.name : p.name, more);
}

void say_causes(const TopList::Place& p, pb::Insight& i) {
  for (const std::uint32_t n : p.causes) i.add_causes(n);
}

}  // namespace

bool is_asked_for(const pb::InsightsQuestion& q, std::string_view tenant, std::string_view site) {
  if (!q.tenant().empty() && q.tenant() != tenant) return false;
  return q.sites().empty() ||
         std::find(q.sites().begin(), q.sites().end(), site) != q.sites().end();
}

pb::Insight insight_of(const TopList::Place& p) {
  pb::Insight i;
  i.set_tenant(p.tenant);
  i.set_site(p.site);
  i.set_name(p.name);
  i.set_is_account(p.is_account);
  i.set_client_id(p.client_id);
  i.set_address(p.address);
  i.set_last_ms(p.last_ms);
  return i;
}

TopList::Place place_of(const Session& s) {
  TopList::Place p;
  const std::string_view key = session::principal_of(s.client_id);
  if (session::is_registered(key)) {
    const session::Principal who = session::principal_from(key);
    p.tenant = who.tenant;
    p.name = who.name;
    p.is_account = who.role != session::Role::device;
  } else {
    p.name = cut(session::proven_user_of(key));
  }
  if (s.channel != nullptr && s.channel->scope) p.site = s.channel->scope->site();
  if (s.channel != nullptr && s.channel->address != base::Address{})
    p.address = s.channel->address.text();
  p.client_id = cut(session::client_id_of(s.client_id));
  p.session = s.id.value;
  return p;
}

void Insights::ended(const Session& s, Cause cause, protocol::link::CloseReason why, At at) {
  if (s.internal()) return;
  const TopList::Place p = place_of(s);
  if (const session::Channel* ch = s.channel; ch != nullptr) {
    LastEnds::End e{.at_ms = at.wall_ms, .cause = cause, .why = why, .protocol = {}, .address = {}};
    e.protocol = ch->park ? "park" : ch->v5() ? "mqtt5" : "mqtt3.1.1";
    if (ch->address != base::Address{}) e.address = ch->address.with_port(ch->peer_port);
    ends_.add(p, ch->address, std::move(e));
  }
  if (is_ours(cause)) return;
  TopList::Place& flaps = flapping_.count(key_of(p, p.name.empty() ? p.client_id : ""), p, at);
  ++flaps.causes[static_cast<std::size_t>(cause) % kCauses];
  flaps.address = p.address;
  if (cause == Cause::slow_consumer) ++slow_.count(key_of(p, p.client_id), p, at, 0).second_count;
  if (cause != Cause::taken_over) return;
  TopList::Place& shared = shared_.count(key_of(p, p.client_id), p, at);
  if (shared.address == p.address) return;
  shared.other_address = std::exchange(shared.address, p.address);
}

void Insights::refused(const session::Channel& ch, std::string_view reason,
                       std::string_view device_key, std::string_view site, At at) {
  if (!ch.connect) return;
  TopList::Place p;
  const session::Principals* registry = core_.usage.registry();
  if (registry != nullptr) p.tenant = registry->tenant_of(ch.connect->user_name);
  if (session::is_registered(device_key)) p.tenant = session::tenant_of(device_key);
  p.site = site;
  p.name = cut(ch.connect->user_name);
  p.address = ch.newcomer ? ch.newcomer->address.text() : ch.address.text();
  p.reason = reason;
  p.client_id = cut(session::client_id_of(ch.connect->client_id));
  TopList::Place& place = refused_.count(joined(joined(p.name, p.address), reason), p, at);
  place.client_id = p.client_id;
}

void Insights::reads_slowly(base::SessionId id, std::uint32_t dropped, At at) {
  const Session* s = core_.sessions.by_id(id);
  if (s == nullptr || s->peer != 0) return;
  const TopList::Place p = place_of(*s);
  TopList::Place& place = slow_.count(key_of(p, p.client_id), p, at, dropped);
  place.session = p.session;
  if (!p.address.empty()) place.address = p.address;
  if (!p.site.empty()) place.site = p.site;
}

void Insights::tick(At at) {
  core_.usage.drops().take(
      [&](base::SessionId id, std::uint32_t times) { reads_slowly(id, times, at); });
  traffic_.tick(at);
  for (const base::SessionId id : traffic_.take_deep()) reads_slowly(id, 0, at);
}

void Insights::say_ends(const pb::InsightsQuestion& q, std::vector<pb::Insight>& all) const {
  ends_.each(cut(q.client()), [&](const LastEnds::Client& c, const LastEnds::End& e) {
    if (!is_asked_for(q, c.tenant, c.site)) return;
    pb::Insight& i = all.emplace_back();
    i.set_tenant(c.tenant);
    i.set_site(c.site);
    i.set_name(c.name);
    i.set_is_account(c.is_account);
    i.set_client_id(c.client_id);
    i.set_address(e.address);
    i.set_last_ms(e.at_ms);
    i.set_cause(static_cast<std::uint32_t>(e.cause));
    if (e.why < protocol::link::CloseReason::count) i.set_detail(protocol::link::name_of(e.why));
    i.set_protocol(e.protocol);
  });
}

std::string Insights::answer(std::string_view question, At at) const {
  pb::InsightsQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  std::vector<pb::Insight> all;
  const auto list = static_cast<InsightList>(q.list());
  const auto take = [&](const TopList& from, std::uint64_t least) {
    from.each([&](const TopList::Place& p) {
      if (!is_asked_for(q, p.tenant, p.site) || p.times.sum(at.now) < least) return;
      if (at.wall_ms - p.last_ms > kHour_ms) return;
      pb::Insight& i = all.emplace_back(insight_of(p));
      i.set_other_address(p.other_address);
      i.set_reason(p.reason);
      i.set_count(p.times.sum(at.now));
      if (list == InsightList::flapping) say_causes(p, i);
      if (list != InsightList::slow) return;
      i.set_ended(p.second_count);
      const Session* s = core_.sessions.by_id(base::SessionId{p.session});
      if (s != nullptr) i.set_queue(s->flow().queued);
      if (s != nullptr) i.set_queue_bytes(s->flow().queued_bytes);
    });
  };
  if (list == InsightList::flapping) take(flapping_, kFlaps);
  if (list == InsightList::refused) take(refused_, 1);
  if (list == InsightList::slow) take(slow_, 0);
  if (list == InsightList::shared_ids) take(shared_, kTakeOvers);
  const std::size_t limit = std::clamp<std::size_t>(q.limit(), 1, kListed);
  if (list == InsightList::traffic) traffic_.answer(q, at, all);
  if (list == InsightList::ends) say_ends(q, all);
  if (list == InsightList::connections) most_connections(core_, q, limit, all);
  const auto more = [list](const pb::Insight& a, const pb::Insight& b) {
    if (list == InsightList::ends) return a.last_ms() > b.last_ms();
    return list == InsightList::traffic ? a.bytes() > b.bytes() : a.count() > b.count();
  };
  std::sort(all.begin(), all.end(), more);
  if (all.size() > limit) all.resize(limit);
  pb::InsightsAnswer a;
  a.set_since_ms(since_ms_);
  for (pb::Insight& i : all) *a.add_items() = std::move(i);
  return a.SerializeAsString();
}

}  // namespace berth::platform
