#include "session/wills.h"

#include <algorithm>

#include "session/meta_keys.h"
#include "session/record_codec.h"

namespace berth::session {

void Wills::restore(std::string_view intent, std::unique_ptr<Will> will) {
  due_wills_.emplace_back(std::string(intent), std::move(will));
}

void Wills::forget(std::string_view intent) {
  std::erase_if(due_wills_, [&](const auto& will) { return will.first == intent; });
}

using protocol::link::CloseReason;

// `cause`: of an end that is known already; none: another connection takes the session.
EndBy Wills::known_end(const Channel& ch, std::optional<CloseReason> cause) const {
  if (ch.clean_disconnect) return EndBy::disconnect;
  const bool ours = cause && (draining_ || *cause == CloseReason::drained ||
                              *cause == CloseReason::engine_absent);
  return ours ? EndBy::us : EndBy::device;
}

// What becomes of the will when the connection ends, however it ends (3.1.2.5, 3.1.3.2.2; I6). The
// session has no connection any more.
void Wills::settle(Session& s, EndBy end, base::Instant now) {
  if (!s.will) return;
  if (end == EndBy::disconnect) {
    s.will.reset();
  } else if (end == EndBy::us) {
    ++probe_.wills_suppressed;
    s.will->ours = true;
    s.will->at = now.plus_s(std::max(s.will->delay_s, options_.restart_grace_s));
  } else if (s.will->delay_s == 0 || !s.persistent()) {
    fire(s, now);
  } else {
    s.will->at = now.plus_s(std::min(s.will->delay_s, s.expiry_s));
  }
}

// The intent to publish is stored in the batch that takes the will from the session; it is
// published after the commit and the intent removed. A death in between publishes it again, never
// not at all.
// Whoever ends its connection is worked for; where a timer fires it, its intent is (works_for.h).
void Wills::fire(Session& s, base::Instant now) {
  using protocol::link::ForwardedWork;
  std::shared_ptr<Will> will = std::move(s.will);  // shared: the deferred call must be copyable
  if (translator_.is_command_now(s, *will)) {
    ++probe_.drop_command_refused;
    if (s.stored && s.channel == nullptr) records_.put(s);
    return;
  }
  will->account = s.account;
  translator_.translate_will(s, *will, now);
  const std::uint64_t number = next_intent_++;
  const std::string intent = will_intent_key(now.ms, number);
  commits_.write({.kind = WriteKind::put_applied, .key = intent, .value = encode_will(*will)});
  if (s.stored && s.channel == nullptr) records_.put(s);
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = [this, intent, will](base::Instant t) { publish(intent, will, t); };
  const std::uint64_t word = effects_.work().word();
  const WorksFor scope =
      works_for(word != 0 ? word : ForwardedWork{ForwardedWork::kWillSource, number}.packed());
  commits_.submit(std::move(d), true, now);
}

void Wills::publish(const std::string& intent, const std::shared_ptr<Will>& will,
                    base::Instant now) {
  if (must_wait(intent, will, now)) return;
  ++probe_.wills_published;
  MessageView m = will->message->view();
  if (will->message_expiry_s != 0) m.expires_at = messages_at(now).plus_s(will->message_expiry_s);
  distribute(m, now, [this, intent] {
    commits_.write({.kind = WriteKind::remove_applied, .key = intent});
  });
}

// A will of the store, begun by an engine before us. It is no connection's any more: if engines die
// of it, it is named by its intent and left out.
void Wills::publish_due(const std::string& intent, const std::shared_ptr<Will>& will,
                        base::Instant now) {
  using protocol::link::ForwardedWork;
  const std::uint64_t number = number_of_intent(intent);
  if (skipped_wills_.contains(number)) {
    ++probe_.wills_skipped;
    commits_.write({.kind = WriteKind::remove_applied, .key = intent});
    return;
  }
  const WorksFor scope = works_for(ForwardedWork{ForwardedWork::kWillSource, number}.packed());
  publish(intent, will, now);
}

void Wills::publish_all_due(base::Instant now) {
  while (!due_wills_.empty() && !budget_.spent() && commits_.has_room()) {
    auto [intent, will] = std::move(due_wills_.back());
    due_wills_.pop_back();
    budget_.take(TurnBudget::kSession);
    publish_due(intent, std::move(will), now);
  }
}

// A will counts for its tenant's or site's rate of messages when it fires. Its intent is stored: it
// is published when there is room, by the engine after us if need be.
bool Wills::must_wait(const std::string& intent, const std::shared_ptr<Will>& will,
                      base::Instant now) {
  if (will->account == nullptr) return false;
  const MessageView m = will->message->view();
  if (will->account->message(m.topic.size() + m.payload.size(), now) == Quota::none) return false;
  ++probe_.quota_slowed;
  late_wills_.emplace_back(intent, will);
  return true;
}

void Wills::publish_late(base::Instant now) {
  auto wills = std::exchange(late_wills_, {});
  using protocol::link::ForwardedWork;
  for (auto& [intent, will] : wills) {
    const std::uint64_t number = number_of_intent(intent);
    const WorksFor scope = works_for(ForwardedWork{ForwardedWork::kWillSource, number}.packed());
    publish(intent, will, now);
  }
}

// Wills: from no connection. `staged` is called when all of it that must be durable is in the open
// batch.
void Wills::distribute(const MessageView& said, base::Instant now, std::function<void()> staged) {
  MessageView m = said;
  m.retain = meter_.may_retain(said, true);
  const Match& matched = distributor_.match(m.topic);
  Delivery d{.message = m, .owned = {}, .publisher = {}};
  if (m.retain) d.message.stamp = retained_delivery_.next_stamp(now);
  const bool many = wide_fanouts_.is_fanout(matched, m.qos, m.payload.size());
  if (!many && !m.retain && !distributor_.needs_staging(matched, d)) {
    distributor_.deliver(matched, d, nullptr, now);
    return staged();
  }
  Deferred out;
  out.kind = Deferred::Kind::publish;
  out.message = d.own();
  out.stamp = d.message.stamp;
  const std::size_t before = commits_.writes();
  if (many) {
    if (m.retain && partitioned()) peer_queues_.stage_retained(matched, d);
    if (m.retain) retained_delivery_.store(d.message);
    out.conn = base::kNoConn;
    wide_fanouts_.begin(matched, d, std::move(out), {});
    staging_.back().fanout->staged = std::move(staged);
    return;
  }
  distributor_.stage(matched, d, out, true);
  if (m.retain) retained_delivery_.store(d.message);
  commits_.submit(std::move(out), commits_.writes() != before, now);
  staged();
}

}  // namespace berth::session
