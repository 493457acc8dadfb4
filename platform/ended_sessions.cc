#include "platform/ended_sessions.h"

#include <algorithm>
#include <vector>

#include "base/random_id.h"

namespace berth::platform {

namespace {

constexpr std::string_view kEnded{"!v\0", 3};

std::string key_of(const pb::EndedSession& e) {
  const bool one = !e.id().empty();
  return std::string(kEnded) + (one ? 'i' : 'b') + (one ? e.id() : e.account());
}

}  // namespace

EndedSessions::EndedSessions(Records& records)
    : records_(records), version_(base::random_id() | 1) {}

bool EndedSessions::is_key(std::string_view key) {
  return key.starts_with(kEnded);
}

void EndedSessions::restored(std::string_view key, std::string_view record) {
  pb::EndedSession e;
  if (e.ParseFromArray(record.data(), static_cast<int>(record.size())))
    all_.insert_or_assign(std::string(key), std::move(e));
}

void EndedSessions::forget(std::string_view key) {
  const auto it = all_.find(key);
  if (it != all_.end()) all_.erase(it);
}

void EndedSessions::put(const pb::EndedSession& e) {
  const std::string key = key_of(e);
  records_.put(key, e.SerializeAsString());
  all_.insert_or_assign(key, e);
}

std::size_t EndedSessions::count_of(const std::string& account) const {
  return static_cast<std::size_t>(
      std::count_if(all_.begin(), all_.end(),
                    [&account](const auto& e) { return e.second.account() == account; }));
}

// `account` empty: of everybody.
void EndedSessions::remove_all_of(const std::string& account) {
  std::vector<std::string> keys;
  for (const auto& [key, e] : all_) {
    if (account.empty() || e.account() == account) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    records_.remove(key);
    forget(key);
  }
}

bool EndedSessions::end(std::string_view bytes, std::int64_t wall_ms) {
  pb::EndedSession e;
  const std::int64_t now_s = wall_ms / 1000;
  if (!e.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      e.id().size() != kIdBytes || e.account().empty() || e.account().size() > kAccountMax ||
      e.issued_s() > now_s + kSkew_s)
    return false;
  if (e.issued_s() + kLasts_s + kSkew_s < now_s || all_.contains(key_of(e))) return true;
  pb::EndedSession before;  // all until now
  before.set_issued_s(now_s);
  if (all_.size() >= kMost) {
    before.set_account(kEverybody);
    remove_all_of({});
    put(before);
  } else if (count_of(e.account()) >= kMostOfOne) {
    before.set_account(e.account());
    remove_all_of(e.account());
    put(before);
  }
  put(e);
  ++version_;
  return true;
}

std::string EndedSessions::answer(std::string_view question) const {
  pb::EndedSessionsQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  pb::EndedSessionsAnswer a;
  a.set_version(version_);
  a.set_same(q.version() == version_);
  if (a.same()) return a.SerializeAsString();
  for (const auto& [key, e] : all_) *a.add_sessions() = e;
  return a.SerializeAsString();
}

void EndedSessions::tick(std::int64_t wall_ms) {
  const std::int64_t old_s = wall_ms / 1000 - kLasts_s - kSkew_s;
  std::vector<std::string> keys;
  for (const auto& [key, e] : all_) {
    if (e.issued_s() < old_s) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    records_.unhurried([&] { records_.remove(key); });
    forget(key);
  }
}

}  // namespace berth::platform
