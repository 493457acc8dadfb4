#include "gateway/rest/nonces.h"

#include <string>

namespace berth::gateway::registry {

void Nonces::forget(std::int64_t now_s) {
  while (!order_.empty() && order_.front().until_s <= now_s) {
    const Entry& e = order_.front();
    seen_.erase(e.nonce);
    const auto mine_at = by_account_.find(e.account);
    if (mine_at != by_account_.end() && --mine_at->second == 0) by_account_.erase(mine_at);
    order_.pop_front();
  }
}

Nonces::Seen Nonces::take(std::string_view account, std::string_view nonce, std::int64_t now_s) {
  forget(now_s);
  std::string both(account);
  both.append(1, '\0').append(nonce);
  const Entry e{base::siphash(key_, both), base::siphash(key_, account), now_s + kRemembered_s};
  if (seen_.contains(e.nonce)) return Seen::again;
  const auto mine_at = by_account_.find(e.account);
  const std::size_t mine = mine_at == by_account_.end() ? 0 : mine_at->second;
  if (order_.size() >= most_ || mine >= most_of_one_) return Seen::full;
  seen_.insert(e.nonce);
  ++by_account_[e.account];
  order_.push_back(e);
  return Seen::fresh;
}

}  // namespace berth::gateway::registry
