#include "platform/nonces.h"

#include <algorithm>
#include <string>

namespace berth::platform {

void Nonces::forget(std::int64_t now_s) {
  while (!order_.empty() && order_.front().until_s <= now_s) {
    const Entry& e = order_.front();
    seen_.erase(e.nonce);
    const auto mine_at = by_tenant_.find(e.tenant);
    if (mine_at != by_tenant_.end() && --mine_at->second == 0) by_tenant_.erase(mine_at);
    order_.pop_front();
  }
}

Nonces::Seen Nonces::take(std::string_view account, std::string_view nonce, std::int64_t now_s) {
  forget(now_s);
  std::string both(account);
  both.append(1, '\0').append(nonce);
  const std::string_view tenant = account.substr(std::min(account.rfind('@') + 1, account.size()));
  const Entry e{base::siphash(key_, both), base::siphash(key_, tenant), now_s + kRemembered_s};
  if (seen_.contains(e.nonce)) return Seen::again;
  const auto mine_at = by_tenant_.find(e.tenant);
  const std::size_t mine = mine_at == by_tenant_.end() ? 0 : mine_at->second;
  if (order_.size() >= most_ || mine >= most_of_one_) return Seen::full;
  seen_.insert(e.nonce);
  ++by_tenant_[e.tenant];
  order_.push_back(e);
  return Seen::fresh;
}

}  // namespace berth::platform
