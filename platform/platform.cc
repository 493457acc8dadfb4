#include "platform/platform.h"

#include <random>
#include <set>
#include <utility>

#include "platform/outcome_event.h"
#include "platform/requests.h"

namespace berth::platform {

namespace {

base::SipKey random_key() {
  std::random_device random;
  const auto number = [&random] { return std::uint64_t{random()} << 32 | random(); };
  return {number(), number()};
}

}  // namespace

Platform::Platform(session::Context& cx, session::Core& core, Read read, PlatformOptions options)
    : cx_(cx),
      core_(core),
      read_(std::move(read)),
      traces_(options.traces),
      commands_(cx, core, *this, *this),
      devices_(options, core, *this),
      signed_requests_(*this, random_key()),
      passages_(*this),
      ended_sessions_(*this) {
  cx.platform = this;
  core.restorer.use_live_records(*this);
  core.sessions.watch(*this);
  core.sessions.watch(devices_);
  core.edge_words.watch(commands_);
}

void Platform::use(const CommandWays& ways) {
  commands_.use(ways);
}

void Platform::record(std::string_view key, std::string_view value) {
  if (Commands::is_key(key)) commands_.restored(key, value);
  if (DeviceWatch::is_key(key)) devices_.record(key, value);
  if (SignedRequests::is_key(key)) signed_requests_.restored(key, value);
  if (Passages::is_key(key)) passages_.restored(key, value);
  if (EndedSessions::is_key(key)) ended_sessions_.restored(key, value);
}

void Platform::forget_record(std::string_view key) {
  if (Commands::is_key(key)) commands_.forget(key);
  if (DeviceWatch::is_key(key)) devices_.forget_record(key);
  if (SignedRequests::is_key(key)) signed_requests_.forget(key);
  if (Passages::is_key(key)) passages_.forget(key);
  if (EndedSessions::is_key(key)) ended_sessions_.forget(key);
}

void Platform::attached_all(base::Instant now) {
  now_ = now;
  commands_.attached_all(now);
  devices_.attached_all(now);
}

void Platform::end_turn(base::Instant now) {
  now_ = now;
  commands_.end_turn(now);
  devices_.end_turn(now);
  if (!reports_.empty()) tell_reports();
}

// When the batch of this turn is durable; at once if nothing is in it.
void Platform::tell_reports() {
  session::Deferred d;
  d.kind = session::Deferred::Kind::call;
  d.call = [this, reports = std::exchange(reports_, {})](base::Instant now) {
    for (const TracedReport& r : reports) traces_->reported(r, core_.wall_ms(now));
  };
  core_.commits.submit(std::move(d), core_.commits.writes() != 0, now_);
}

void Platform::tick(base::Instant now) {
  now_ = now;
  commands_.tick(now);
  devices_.tick(now);
  signed_requests_.tick(core_.wall_ms(now));
  if (!core_.commits.has_room()) return;
  passages_.tick(core_.wall_ms(now));
  ended_sessions_.tick(core_.wall_ms(now));
}

void Platform::registry_changed(const session::Concerned& who, base::Instant now) {
  now_ = now;
  devices_.registry_changed(who);
  devices_.touch_board();
  std::set<std::string, std::less<>> tenants = who.tenants;
  for (const std::string& key : who.principals) tenants.insert(key.substr(0, key.find('\0')));
  if (who.everybody) tenants = {""};
  for (const std::string& tenant : tenants) commands_.review_places(tenant);
  if (who.removed_principals.empty() && who.removed_tenants.empty()) return;
  commands_.forget_devices([&who](std::string_view key) { return who.has_removed(key); });
}

void Platform::registry_complete(base::Instant now) {
  now_ = now;
  const session::Principals* const registry = core_.usage.registry();
  if (registry == nullptr) return;
  commands_.forget_devices([registry](std::string_view key) { return !registry->exists(key); });
}

// -- session::SessionEvents

void Platform::online(const session::Session& s) {
  commands_.came_or_went(s);
}

void Platform::offline(const session::Session& s, session::Offline) {
  commands_.came_or_went(s);
}

void Platform::finished(const session::Session& s, std::uint64_t seq, const session::OutEntry&,
                        session::Finished how) {
  commands_.finished(s, seq, how);
}

void Platform::ended(const session::Session& s) {
  commands_.ended(s);
}

// -- session::PlatformPorts

void Platform::result(const session::Scope& device, const session::MessageView& m,
                      base::Instant now) {
  now_ = now;
  commands_.result(device, m);
}

void Platform::request(const session::Scope& service, const session::MessageView& m,
                       base::Instant now) {
  now_ = now;
  commands_.request(service, m);
}

void Platform::note(std::uint32_t source, std::string_view bytes, base::Instant now) {
  now_ = now;
  commands_.note(source, bytes);
}

// -- Outcomes

void Platform::publish(const Entry& e, const Result* late) {
  const session::Principals* const registry = core_.usage.registry();
  const session::Principal who{e.asked.tenant, session::Role::device, e.asked.device};
  const session::ScopePtr scope =
      registry == nullptr ? nullptr : registry->scope_of_will(who, e.site);
  const bool protobuf = scope && scope->translation().format == session::Format::protobuf;
  const std::string topic = outcome_topic(e);
  const std::string payload = outcome_event(e, late, !protobuf);
  const session::MessageView m{
      .topic = topic,
      .payload = payload,
      .forwarded = session::MessageTranslator::envelope_properties(!protobuf),
      .qos = 1};
  // The id is another command's: there its outcome is said, and nothing else.
  const bool taken = is_refusal(e) && e.command.code == "idempotency_conflict";
  if (!taken) core_.wills.distribute(m, now_, [] {});
  if (e.asked.response_topic.empty()) return;
  const std::string properties = correlation_property(e.asked.correlation);
  const session::MessageView answer{
      .topic = e.asked.response_topic, .payload = payload, .forwarded = properties, .qos = 1};
  core_.wills.distribute(answer, now_, [] {});
}

void Platform::accepted(const Entry& e) {
  devices_.commanded(e, now_);
  if (traces_ == nullptr || !traces_->wants(e)) return;
  when_durable([this, tenant = e.asked.tenant, id = e.asked.id] { commands_.durable(tenant, id); });
}

void Platform::finished(const Entry& e) {
  publish(e, nullptr);
  if (!is_refusal(e) &&
      (e.command.outcome == Outcome::expired || e.command.outcome == Outcome::uncertain))
    passages_.late(core_.wall_ms(now_));
  if (!is_refusal(e)) devices_.commanded(e, now_);
  if (traces_ != nullptr && !is_refusal(e) && traces_->wants(e))
    when_durable([this, e] { traces_->ended(e); });
  const std::string said = std::string(name_of(e.command.outcome)) +
                           (e.command.code.empty() ? "" : " " + e.command.code);
  devices_.happened({.kind = HistoryKind::command,
                     .tenant = e.asked.tenant,
                     .site = e.site,
                     .device = e.asked.device,
                     .cause = e.asked.type,
                     .detail = said,
                     .id = e.asked.id},
                    now_);
}

void Platform::late_result(const Entry& e, const Result& r) {
  publish(e, &r);
  passages_.late(core_.wall_ms(now_));
  if (e.closed.wall_ms == 0) devices_.settled(e, name_of(r.outcome));
}

bool Platform::passage_told(std::string_view bytes, std::function<void()> stored) {
  if (!core_.commits.has_room() || !passages_.told(bytes, core_.wall_ms(now_))) return false;
  when_durable(std::move(stored));
  return true;
}

bool Platform::end_session(std::string_view bytes, std::function<void()> stored) {
  if (!core_.commits.has_room() || !ended_sessions_.end(bytes, core_.wall_ms(now_))) return false;
  when_durable(std::move(stored));
  return true;
}

std::string Platform::ask_late(std::string_view question) const {
  return passages_.answer_late(question, core_.wall_ms(now_));
}

// -- Records

void Platform::put(std::string_view key, std::string_view value) {
  core_.commits.write({.kind = session::WriteKind::put_record, .key = key, .value = value});
}

void Platform::remove(std::string_view key) {
  core_.commits.write({.kind = session::WriteKind::remove_record, .key = key});
}

void Platform::when_durable(std::function<void()> f) {
  session::Deferred d;
  d.kind = session::Deferred::Kind::call;
  d.call = [this, f = std::move(f)](base::Instant now) {
    now_ = now;
    f();
  };
  core_.commits.submit(std::move(d), true, now_);
}

bool Platform::when_confirmed(std::function<void()> f) {
  if (confirming_ == kConfirming) return false;
  ++confirming_;
  unhurried([&] {
    core_.commits.barrier();
    when_durable([this, f = std::move(f)] {
      --confirming_;
      f();
    });
  });
  return true;
}

void Platform::unhurried(const std::function<void()>& f) {
  core_.commits.unhurried(f);
}

void Platform::read(session::RecordRange range, session::Store::RecordsDone done) {
  read_(std::move(range), std::move(done));
}

}  // namespace berth::platform
