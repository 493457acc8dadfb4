#include "gateway/rest/ended_sessions.h"

#include <utility>

#include "base/clock.h"
#include "platform/ended_sessions.h"

namespace berth::gateway::rest {

namespace pb = platform::pb;
using admin::OpenedSession;
using admin::SessionState;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::uint32_t kRead_ms = 400;
constexpr std::uint32_t kStored_ms = 5000;

std::int64_t now_ms() {
  return base::monotonic_ns() / 1'000'000;
}

}  // namespace

void EndedSessions::refresh(std::function<void()> then) {
  if (now_ms() - read_ms_ <= kFresh_ms) return then();
  waiting_.push_back(std::move(then));
  if (waiting_.size() > 1) return;
  pb::EndedSessionsQuestion q;
  q.set_version(version_);
  asker_.ask_partition(0, {AskKind::ended_sessions, kRead_ms, q.SerializeAsString()},
                       [this, alive = std::weak_ptr<bool>(alive_)](const link::Answer& a) {
                         if (alive.expired()) return;
                         read_ms_ = now_ms();
                         if (a.error == AskError::none) take(a.bytes);
                         // An engine of a release before this one has no such list.
                         if (a.error == AskError::unknown_kind || a.error == AskError::old_engine)
                           known_ = true;
                         for (const auto& f : std::exchange(waiting_, {})) f();
                       });
}

void EndedSessions::take(const std::string& answer) {
  pb::EndedSessionsAnswer a;
  if (!a.ParseFromString(answer)) return;
  known_ = true;
  version_ = a.version();
  if (a.same()) return;
  ids_.clear();
  before_.clear();
  for (const pb::EndedSession& e : a.sessions()) {
    if (e.id().empty()) {
      before_[e.account()] = e.issued_s();
    } else {
      ids_.insert(e.id());
    }
  }
}

SessionState EndedSessions::state_of(const OpenedSession& s) const {
  if (own_.contains(s.id) || ids_.contains(s.id)) return SessionState::ended;
  for (const std::string& account : {s.account, std::string(platform::EndedSessions::kEverybody)}) {
    const auto it = before_.find(account);
    if (it != before_.end() && s.issued_s <= it->second) return SessionState::ended;
  }
  return known_ || s.issued_s >= begun_s_ ? SessionState::good : SessionState::unknown;
}

void EndedSessions::end_here(const OpenedSession& s) {
  if (!own_.insert(s.id).second) return;
  own_order_.push_back(s.id);
  if (own_order_.size() <= kOwnMost) return;
  own_.erase(own_order_.front());
  own_order_.pop_front();
}

void EndedSessions::end(const OpenedSession& s, std::function<void(bool stored)> then) {
  end_here(s);
  pb::EndedSession e;
  e.set_id(s.id);
  e.set_account(s.account);
  e.set_issued_s(s.issued_s);
  asker_.ask_partition(
      0, {AskKind::end_session, kStored_ms, e.SerializeAsString()},
      [then = std::move(then)](const link::Answer& a) { then(a.error == AskError::none); });
}

}  // namespace berth::gateway::rest
