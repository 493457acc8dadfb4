#include "platform/signed_requests.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "platform/platform.pb.h"

namespace berth::platform {

namespace {

constexpr std::string_view kSignedKey{"!t\0", 3};  // account: 8 bytes, seconds

std::string account_tenant(std::string_view account) {
  return std::string(account.substr(std::min(account.rfind('@') + 1, account.size())));
}

std::string answer_of(pb::NonceAnswer::Verdict verdict, std::int64_t signed_after_s = 0) {
  pb::NonceAnswer a;
  a.set_verdict(verdict);
  a.set_signed_after_s(signed_after_s);
  return a.SerializeAsString();
}

}  // namespace

bool SignedRequests::is_key(std::string_view key) {
  return key.starts_with(kSignedKey);
}

void SignedRequests::restored(std::string_view key, std::string_view value) {
  if (value.size() != 8) return;
  std::int64_t s = 0;
  for (const char c : value) s = s << 8 | static_cast<unsigned char>(c);
  const std::string name(key.substr(kSignedKey.size()));
  if (!accounts_.contains(name)) ++of_tenant_[account_tenant(name)];
  accounts_.insert_or_assign(name, Account{s, s, s});
}

void SignedRequests::forget(std::string_view key) {
  const std::string name(key.substr(kSignedKey.size()));
  if (accounts_.erase(name) == 0) return;
  const auto it = of_tenant_.find(account_tenant(name));
  if (it != of_tenant_.end() && --it->second == 0) of_tenant_.erase(it);
}

// Null: there is no room.
SignedRequests::Account* SignedRequests::account_of(const std::string& name) {
  if (const auto it = accounts_.find(name); it != accounts_.end()) return &it->second;
  std::size_t& of_tenant = of_tenant_[account_tenant(name)];
  if (accounts_.size() >= kAccounts || of_tenant >= kAccountsOfOne) {
    if (of_tenant == 0) of_tenant_.erase(account_tenant(name));
    return nullptr;
  }
  ++of_tenant;
  return &accounts_[name];
}

void SignedRequests::ask(std::string_view question, const Answered& answered) {
  using pb::NonceAnswer;
  pb::NonceQuestion q;
  if (!q.ParseFromArray(question.data(), static_cast<int>(question.size())))
    return answered(answer_of(NonceAnswer::FULL));
  const std::string& name = q.account();
  Account* const a = account_of(name);
  if (a == nullptr) return answered(answer_of(NonceAnswer::FULL));
  if (q.timestamp_s() <= a->before_s) return answered(answer_of(NonceAnswer::TOO_OLD, a->before_s));
  const Nonces::Seen seen = nonces_.take(name, q.nonce(), records_.now().ms / 1000);
  if (seen != Nonces::Seen::fresh)
    return answered(
        answer_of(seen == Nonces::Seen::again ? NonceAnswer::AGAIN : NonceAnswer::FULL));
  if (q.timestamp_s() <= a->durable_s) return answered(answer_of(NonceAnswer::FRESH));
  if (q.timestamp_s() > a->put_s) {
    a->put_s = q.timestamp_s() + kAhead_s;
    records_.put(std::string(kSignedKey) + name, big_endian(a->put_s));
  }
  records_.when_durable([this, name, put_s = a->put_s, answered] {
    const auto it = accounts_.find(name);
    if (it != accounts_.end()) it->second.durable_s = std::max(it->second.durable_s, put_s);
    answered(answer_of(NonceAnswer::FRESH));
  });
}

// A timestamp may be so far ahead, and the clock behind the next engine is another one.
void SignedRequests::tick(std::int64_t wall_ms) {
  const std::int64_t old_s = wall_ms / 1000 - 2 * kSkew_s;
  std::vector<std::string> old;
  for (const auto& [name, a] : accounts_) {
    if (a.put_s < old_s) old.push_back(name);
  }
  for (const std::string& name : old) {
    records_.remove(std::string(kSignedKey) + name);
    forget(std::string(kSignedKey) + name);
  }
}

}  // namespace berth::platform
