// Signed requests over HTTP that have been good (docs/api.md, "Signed requests"): each is let in
// once, whichever process of the gateway it comes to, and however often engines begin anew. All
// processes ask the engine of partition 0. It has the nonces in memory (nonces.h); the store has
// one time of each account, below which its requests may have been let in. The next engine knows no
// nonces: it lets in what is signed after that time. Owned by the Platform. One shard, one thread.
//
// Bounds: those of Nonces; kAccounts times, of one tenant kAccountsOfOne, each for some minutes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/string_map.h"
#include "platform/nonces.h"
#include "platform/records.h"

namespace berth::platform {

class SignedRequests {
 public:
  static constexpr std::int64_t kSkew_s = 300;  // of a timestamp, to either side
  // How far the stored time is ahead of the timestamp that has moved it: so often is it written,
  // and for so long an account that signs all the time is refused by the next engine.
  static constexpr std::int64_t kAhead_s = 2;
  static constexpr std::size_t kAccounts = 10'000;
  static constexpr std::size_t kAccountsOfOne = 7'000;

  SignedRequests(Records& records, base::SipKey key) : records_(records), nonces_(key) {}

  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view value);
  void forget(std::string_view key);

  // `question` and the answer: NonceQuestion and NonceAnswer of platform.proto. Answered when what
  // it says holds for the next engine too.
  using Answered = std::function<void(std::string answer)>;
  void ask(std::string_view question, const Answered& answered);
  // About once a second: forgets times that no good timestamp is below.
  void tick(std::int64_t wall_ms);

 private:
  struct Account {
    std::int64_t before_s = -1;   // restored: up to this time all may have been let in
    std::int64_t put_s = -1;      // put into the open batch
    std::int64_t durable_s = -1;  // committed
  };
  Account* account_of(const std::string& name);

  Records& records_;
  Nonces nonces_;
  base::StringMap<Account> accounts_;  // by ACCOUNT@TENANT
  base::StringMap<std::size_t> of_tenant_;
};

}  // namespace berth::platform
