#include "platform/device_watch.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

#include "platform/history.pb.h"
#include "platform/presence.pb.h"
#include "platform/shortened.h"
#include "protocol/messages/envelope.pb.h"
#include "session/principal_key.h"

namespace berth::platform {

using session::Session;

namespace {

constexpr std::size_t kChangesTold = 1000;   // of one reading of the registry
constexpr int kAskedAtOnce = 1000;           // a page, and what each of its devices is behind
constexpr std::size_t kLimitsTold = 100;     // of one turn
constexpr std::size_t kFirmwaresTold = 100;  // the same
constexpr std::size_t kStatesTold = 1000;    // the same; a device reports its state again
constexpr std::size_t kChildrenTold = 200;   // of one event
constexpr std::size_t kNotesMax = 10'000;    // that may be stale

bool is_device_session(const Session& s) {
  const std::string_view key = session::principal_of(s.client_id);
  return s.peer == 0 && session::is_registered(key) && session::is_device(key);
}

void set_time(google::protobuf::Timestamp& t, std::int64_t ms) {
  t.set_seconds(ms / 1000);
  t.set_nanos(static_cast<std::int32_t>(ms % 1000 * 1'000'000));
}

std::string envelope_of(const PresenceEvent& e, std::int64_t now_ms) {
  const Visit& v = e.visit;
  v1::Envelope out;
  out.set_event_id("presence-" + std::to_string(v.epoch) + (e.online ? "-online" : "-offline"));
  out.set_tenant(v.tenant);
  out.set_site(v.site);
  out.set_device(v.device);
  out.set_session_epoch(v.epoch);
  set_time(*out.mutable_event_time(), e.since_ms);
  set_time(*out.mutable_received_time(), now_ms);
  out.set_clock(v1::CLOCK_GOOD);
  v1::Presence& p = *out.mutable_presence();
  p.set_state(e.online ? v1::ONLINE : v1::OFFLINE);
  set_time(*p.mutable_since(), e.since_ms);
  p.set_cause(name_of(e.cause));
  p.set_client_id(v.client_id);
  p.set_address(v.address);
  p.set_protocol(v.protocol);
  for (const std::string& child : e.children) p.add_children(child);
  return out.SerializeAsString();
}

std::string as_json(const std::string& envelope) {
  v1::Envelope e;
  std::string json;
  if (e.ParseFromString(envelope)) (void)google::protobuf::util::MessageToJsonString(e, &json).ok();
  return json;
}

}  // namespace

namespace {

Happening happening_of(const Visit& v, HistoryKind kind) {
  Happening h{.kind = kind, .tenant = v.tenant, .site = v.site, .device = v.device};
  h.epoch = v.epoch;
  h.client_id = v.client_id;
  h.address = v.address;
  h.protocol = v.protocol;
  return h;
}

const char* name_of(protocol::mqtt::Reason r) {
  using protocol::mqtt::Reason;
  switch (r) {
    case Reason::bad_user_name_or_password:
      return "bad user name or password";
    case Reason::not_authorized:
      return "not authorized";
    case Reason::banned:
      return "disabled or in quarantine";
    case Reason::bad_authentication_method:
      return "authentication method not allowed";
    case Reason::connection_rate_exceeded:
      return "too many failed log-ins";
    case Reason::quota_exceeded:
      return "a limit is reached";
    default:
      return "refused";
  }
}

}  // namespace

bool visit_of(const Session& s, Visit& out) {
  if (!is_device_session(s) || s.channel == nullptr || !s.channel->scope) return false;
  const session::Channel& ch = *s.channel;
  const session::Scope& scope = *ch.scope;
  out.tenant = scope.who().tenant;
  out.device = scope.who().name;
  out.site = scope.site();
  out.product = scope.translation().product;
  out.client_id = session::client_id_of(s.client_id);
  if (ch.address != base::Address{}) out.address = ch.address.with_port(ch.peer_port);
  out.protocol = ch.park ? "park" : ch.v5() ? "mqtt5" : "mqtt3.1.1";
  out.epoch = s.epoch;
  return true;
}

void DeviceWatch::online(const Session& s) {
  if (!is_device_session(s)) return;
  const Presence::Id id = presence_.id_of(session::principal_of(s.client_id));
  if (!presence_.begins(id, s.epoch)) return;
  Note n;
  n.id = id;
  n.session = s.id;
  notes_.push_back(n);
}

void DeviceWatch::connection_ends(const Session& s, session::Offline cause,
                                  protocol::link::CloseReason why) {
  insights_.ended(s, cause_of(cause, why), why, at(records_.now()));
  if (!is_device_session(s)) return;
  const Presence::Id id = presence_.id_of(session::principal_of(s.client_id));
  presence_.ends(id);
  Cause c = cause_of(cause, why);
  if (c == Cause::policy && is_disabled(session::principal_of(s.client_id))) c = Cause::disabled;
  Note n;
  n.id = id;
  n.cause = c;
  n.why = why;
  if (!visit_of(s, n.visit)) return;
  if (cause == session::Offline::edge_lost) {  // the connection may well be alive
    presence_.left(id, n.visit, c, at(records_.now()), has_room());
  } else if (cause == session::Offline::taken_over || s.channel->closed ||
             why == protocol::link::CloseReason::count) {  // SessionLife::take_over()
    notes_.push_back(std::move(n));
  } else {
    end(n, records_.now());
  }
}

void DeviceWatch::end(const Note& n, base::Instant now) {
  presence_.left(n.id, n.visit, n.cause, at(now), has_room());
  const bool taken = n.cause == Cause::taken_over;
  if (!taken && is_registered(n.visit))  // not of one that has been removed
    departures_.ended(n.visit, presence_.firmware_of(n.id), n.cause, at(now).wall_ms);
  Happening h = happening_of(n.visit, taken ? HistoryKind::taken_over : HistoryKind::ended);
  h.cause = name_of(n.cause);
  if (n.why < protocol::link::CloseReason::count) h.detail = protocol::link::name_of(n.why);
  happened(h, now);
}

void DeviceWatch::happened(const Happening& told, base::Instant now) {
  if (!has_room()) return history_.leave_out();
  Happening h = told;
  std::string site(h.site);
  if (site.empty() && h.kind == HistoryKind::command) {
    // Of a command that was refused before its device was looked up.
    site = site_of({std::string(h.tenant), session::Role::device, std::string(h.device)});
    if (site.empty()) return;  // not, or no longer, a registered device
    h.site = site;
  }
  const Presence::Id id = id_of(h.tenant, h.device);
  const At then{now, recent_.time_for(core_.wall_ms(now))};
  if (pb::HistoryEvent e; history_.add(id, h, then, e)) recent_.add(h.tenant, std::move(e));
  if (presence_.count_event(id, History::kTrimEach)) history_.trim(h.tenant, h.device);
}

// A log-in of a registered device, or with the user name of one.
void DeviceWatch::refused(const session::Channel& ch, protocol::mqtt::Reason reason) {
  const session::Principals* registry = core_.usage.registry();
  if (!ch.connect) return;
  const std::string key = ch.scope              ? ch.scope->who().key()
                          : registry == nullptr ? std::string()
                                                : registry->device_named(ch.connect->user_name);
  const bool device = session::is_registered(key) && session::is_device(key);
  const session::Principal who = device ? session::principal_from(key) : session::Principal{};
  const std::string site = device ? site_of(who) : std::string();
  insights_.refused(ch, name_of(reason), key, site, at(records_.now()));
  if (!device) return;
  const std::string address = ch.newcomer ? ch.newcomer->address.text() : ch.address.text();
  Happening h{.kind = HistoryKind::refused, .tenant = who.tenant, .site = site, .device = who.name};
  h.detail = name_of(reason);
  h.address = address;
  h.client_id = session::client_id_of(ch.connect->client_id);
  happened(h, records_.now());
}

// Once a minute of each connection.
void DeviceWatch::limited(const session::Channel& ch, session::Quota quota) {
  if (limits_.size() >= kLimitsTold || !quota_gate_.opens(ch.conn, records_.now())) return;
  Visit v;
  if (ch.session != nullptr && visit_of(*ch.session, v)) limits_.emplace_back(std::move(v), quota);
}

void DeviceWatch::reports_firmware(const session::Principal& device, std::string_view firmware) {
  firmware = shortened(firmware, Presence::kFirmwareMax);
  std::string key = device.key();
  if (presence_.firmware_of(presence_.id_of(key)) == firmware) return;
  if (firmwares_.size() >= kFirmwaresTold) return;  // it reports again
  firmwares_.emplace_back(std::move(key), firmware);
}

void DeviceWatch::tell_firmwares() {
  for (const auto& [key, firmware] : std::exchange(firmwares_, {})) {
    if (Visit v; connection_of(key, v)) presence_.reports(presence_.id_of(key), v, firmware);
  }
}

void DeviceWatch::reports_state(const session::Principal& device, std::string_view site,
                                StateReport r) {
  if (states_.size() >= kStatesTold) {
    ++states_left_out_;
    return;
  }
  states_.push_back({device.tenant, std::string(site), device.name, std::move(r)});
}

void DeviceWatch::tell_states(base::Instant now) {
  for (const Said& s : std::exchange(states_, {}))
    board_.reported(s.tenant, s.site, s.device, s.report, at(now).wall_ms);
}

void DeviceWatch::commanded(const Entry& e, base::Instant now) {
  if (e.command.delivery != Delivery::immediate || !has_room()) return;
  pb::TwinCommand c;
  c.set_id(e.asked.id);
  c.set_type(e.asked.type);
  c.set_state(e.command.done() ? name_of(e.command.outcome) : name_of(e.command.state));
  c.set_at_ms(at(now).wall_ms);
  board_.commanded(e.asked.tenant, e.site, e.asked.device, c, e.command.done());
}

void DeviceWatch::tell_limits(base::Instant now) {
  for (const auto& [v, quota] : std::exchange(limits_, {})) {
    Happening h = happening_of(v, HistoryKind::quota);
    h.detail = session::name_of(quota);
    happened(h, now);
  }
}

std::string DeviceWatch::site_of(const session::Principal& device) const {
  const session::Principals* registry = core_.usage.registry();
  const session::ScopePtr scope =
      registry == nullptr ? nullptr : registry->scope_of_will(device, {});
  return scope ? scope->site() : std::string();
}

Presence::Id DeviceWatch::id_of(std::string_view tenant, std::string_view device) const {
  return presence_.id_of(
      session::Principal{std::string(tenant), session::Role::device, std::string(device)}.key());
}

void DeviceWatch::record(std::string_view key, std::string_view value) {
  if (History::is_key(key)) return history_.restored(value);
  if (RecentEvents::is_key(key)) return recent_.restored(value);
  if (Board::is_key(key)) return board_.restored(key, value);
  if (Departures::is_key(key)) return departures_.restored(key, value);
  presence_.restored(key, value);
}

std::string DeviceWatch::ask_events(std::string_view question) {
  std::string said = recent_.answer(question, core_.wall_ms(records_.now()));
  if (const std::string record = recent_.record(); !record.empty())
    records_.put(RecentEvents::kKey, record);
  return said;
}

bool DeviceWatch::is_disabled(std::string_view principal_key) const {
  const session::Principals* registry = core_.usage.registry();
  return registry != nullptr && !registry->scope_of(session::principal_from(principal_key));
}

void DeviceWatch::act(const Note& n, base::Instant now) {
  if (n.cause != Cause::none) return end(n, now);
  const Session* s = core_.sessions.by_id(n.session);
  Visit v;
  if (s == nullptr || !visit_of(*s, v)) return;
  const bool again = presence_.find(n.id)->epoch == v.epoch;  // it has come into reach
  presence_.came(n.id, v, at(now));
  if (!again) happened(happening_of(v, HistoryKind::connected), now);
}

void DeviceWatch::attached_all(base::Instant now) {
  attached_ = true;
  insights_.begin(at(now));
  recent_.begin(core_.wall_ms(now));
  presence_.attached_all(at(now));
  more_ = true;
}

// What one turn notes it acts on: as much as the core has done for it. Beginnings wait for room.
void DeviceWatch::end_turn(base::Instant now) {
  if (!attached_) return;
  for (Note& n : std::exchange(notes_, {})) {
    if (n.cause == Cause::none && !has_room()) {
      notes_.push_back(std::move(n));
    } else {
      act(n, now);
    }
  }
  if (!limits_.empty()) tell_limits(now);
  if (!firmwares_.empty() && has_room()) tell_firmwares();
  if (!states_.empty() && has_room()) tell_states(now);
  if (notes_.size() > kNotesMax) forget_stale_notes();
  if (more_ && has_room()) more_ = presence_.tell_due(at(now));
}

// Of connections that have ended since. Those that are left are of sessions that are there.
void DeviceWatch::forget_stale_notes() {
  std::erase_if(notes_, [this](const Note& n) {
    const Session* s = core_.sessions.by_id(n.session);
    return s == nullptr || s->channel == nullptr;
  });
}

void DeviceWatch::tick(base::Instant now) {
  more_ = true;
  if (!attached_) return;
  history_.tick(at(now));
  if (has_room()) departures_.tick(at(now).wall_ms);
  insights_.tick(at(now));
}

void DeviceWatch::registry_changed(const session::Concerned& who) {
  for (const std::string& key : who.removed_principals) {
    if (!session::is_registered(key) || !session::is_device(key)) continue;
    const session::Principal p = session::principal_from(key);
    presence_.removed(p.tenant, p.name);
    board_.removed(p.tenant, p.name);
  }
  for (const std::string& key : who.principals) {
    if (!who.has_removed(key) && session::is_registered(key) && session::is_device(key))
      review_place(session::principal_from(key));
  }
  for (const std::string& tenant : who.removed_tenants) departures_.removed_tenant(tenant);
  if (who.principals.size() > kChangesTold) return;  // an import
  for (const std::string& key : who.principals) {
    if (!session::is_registered(key) || !session::is_device(key) || !core_.is_home(key)) continue;
    const session::Principal p = session::principal_from(key);
    const std::string site = site_of(p);
    Happening h{.kind = HistoryKind::changed, .tenant = p.tenant, .site = site, .device = p.name};
    h.detail = who.has_removed(key) ? "removed" : is_disabled(key) ? "disabled" : "changed";
    happened(h, records_.now());
  }
}

// What it reported at another site is not of this one.
void DeviceWatch::review_place(const session::Principal& device) {
  const std::string site = site_of(device);
  if (site.empty()) return;  // disabled
  const pb::TwinRecord* const twin = board_.twin(device.tenant, device.name);
  if (twin != nullptr && twin->site() != site) board_.removed(device.tenant, device.name);
  Visit v;
  const bool here = connection_of(device.key(), v);
  presence_.moved(device.tenant, device.name, site, here ? &v : nullptr);
}

// The newest connection of the device.
bool DeviceWatch::connection_of(std::string_view principal_key, Visit& out) const {
  bool found = false;
  core_.sessions.each_of(principal_key, [&](const Session& s) {
    Visit v;
    if (!visit_of(s, v) || (found && v.epoch < out.epoch)) return;
    out = std::move(v);
    found = true;
  });
  return found;
}

// What is not in memory is read, one record each, and answered together.
void DeviceWatch::ask_presence(std::string_view question, const Answered& answered) const {
  pb::PresenceQuestion q;
  struct Gathering {
    pb::PresenceAnswer answer;
    int missing = 1;
    Answered answered;
    void one_less() {
      if (--missing == 0) answered(answer.SerializeAsString());
    }
  };
  const auto all = std::make_shared<Gathering>();
  all->answered = answered;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  const int count = std::min(q.devices_size(), static_cast<int>(kAskedAtOnce));
  for (int i = 0; i < count; ++i) {
    const std::string key =
        session::Principal{q.tenant(), session::Role::device, q.devices(i)}.key();
    const Presence::Known* k = presence_.find(presence_.id_of(key));
    if (k == nullptr || k->state == Presence::State::never) continue;
    pb::PresenceAnswer::Device& d = *all->answer.add_devices();
    d.set_index(static_cast<std::uint32_t>(i));
    d.set_state(static_cast<std::uint32_t>(k->state));
    d.set_since_ms(static_cast<std::int64_t>(k->since_s) * 1000);
    d.set_epoch(k->epoch);
    d.set_connected(k->here != 0);
    d.set_stale(k->here == 0 && k->state == Presence::State::online);
    if (!q.details()) continue;
    if (Visit v; k->here != 0 && connection_of(key, v)) {
      *d.mutable_record() = Presence::record_of(v);
      d.mutable_record()->set_firmware(std::string(presence_.firmware_of(presence_.id_of(key))));
      continue;
    }
    ++all->missing;
    records_.read(exactly(Presence::key_of(q.tenant(), q.devices(i))),
                  [all, place = all->answer.devices_size() - 1](auto found) {
                    if (found && !found->empty())
                      (void)all->answer.mutable_devices(place)->mutable_record()->ParseFromString(
                          found->front().value);
                    all->one_less();
                  });
  }
  all->one_less();
}

void DeviceWatch::refresh(metrics::EngineProbe& probe) const {
  const Presence::Counts& c = presence_.counts();
  probe.presence_online_told = c.told_online;
  probe.presence_offline_told = c.told_offline;
  probe.presence_returns = c.came_back;
  probe.reconnect_gap = c.gaps;
  probe.presence_online = presence_.online();
  probe.presence_offline = presence_.known() - presence_.online();
  probe.presence_leaving = presence_.leaving();
  probe.states_left_out = states_left_out_ + board_.left_out();
  const History::Counts& h = history_.counts();
  probe.event_gaps = recent_.gaps();
  probe.history_written = h.written;
  probe.history_left_out = h.left_out;
  probe.history_removed = h.removed;
  probe.history_bytes = static_cast<std::uint64_t>(history_.bytes());
}

bool DeviceWatch::is_registered(const Visit& v) const {
  const session::Principals* registry = core_.usage.registry();
  const session::Principal who{v.tenant, session::Role::device, v.device};
  return registry == nullptr || registry->exists(who.key());
}

void DeviceWatch::publish(const PresenceEvent& of_one, std::function<void()> staged) {
  PresenceEvent e = of_one;
  const session::Principals* registry = core_.usage.registry();
  const session::Principal who{e.visit.tenant, session::Role::device, e.visit.device};
  const session::ScopePtr scope =
      registry == nullptr ? nullptr : registry->scope_of_will(who, e.visit.site);
  if (registry != nullptr) e.children = registry->children_of(who, kChildrenTold);
  const bool protobuf = scope && scope->translation().format == session::Format::protobuf;
  std::string payload = envelope_of(e, core_.wall_ms(records_.now()));
  if (!protobuf) payload = as_json(payload);
  const std::string topic = std::string(session::kTenantRoot) + e.visit.tenant + "/v1/" +
                            e.visit.site + "/" + e.visit.device + "/presence";
  session::MessageView m{.topic = topic, .payload = payload, .forwarded = {}};
  m.qos = 1;
  m.retain = true;
  core_.wills.distribute(m, records_.now(), std::move(staged));
  stream(e);
}

void DeviceWatch::stream(const PresenceEvent& e) {
  pb::HistoryEvent h;
  h.set_kind(static_cast<std::uint32_t>(HistoryKind::presence));
  h.set_at_ms(recent_.time_for(core_.wall_ms(records_.now())));
  h.set_number(history_.take_number() & INT64_MAX);
  h.set_device(e.visit.device);
  h.set_site(e.visit.site);
  h.set_epoch(e.visit.epoch);
  h.set_detail(e.online ? "online" : "offline");
  h.set_cause(name_of(e.cause));
  h.set_since_ms(e.since_ms);
  for (const std::string& child : e.children) h.add_children(child);
  h.set_client_id(e.visit.client_id);
  h.set_address(e.visit.address);
  h.set_protocol(e.visit.protocol);
  recent_.add(e.visit.tenant, std::move(h));
}

}  // namespace berth::platform
