// The credentials of accounts over HTTP (docs/api.md, "Authentication"): a bearer key, which is a
// password of the account, or a signature with one of its keys (signature.h). What the account may
// do stands in its record, `api`; its record is looked at for each request, so a change holds for
// the next one. A signed request is let in once in the whole gateway, which an engine proves
// (platform/signed_requests.h). Failed attempts are slowed by address and by AUTH_ID@TENANT, by the
// rules and settings of MQTT log-ins (engine/login_throttle.h), with counters of this object. On
// the io_context's thread; passwords that are not known yet are hashed on another.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/siphash.h"
#include "gateway/admin/accounts.h"
#include "gateway/admin/home_loop.h"
#include "gateway/engine/login_throttle.h"
#include "gateway/link/ask.h"
#include "gateway/registry/registry.h"
#include "gateway/rest/signature.h"
#include "platform/signed_requests.h"

namespace berth::gateway::registry {

class ApiAccounts {
 public:
  static constexpr std::int64_t kSkew_s = platform::SignedRequests::kSkew_s;
  static constexpr std::size_t kHashesMost = 16;  // in work and waiting
  static constexpr std::ptrdiff_t kHashesOfAddress = 4;
  static constexpr std::size_t kTriedMost = 4;       // credentials of an account, for one request
  static constexpr std::size_t kKnownMost = 10'000;  // bearer keys that have been good

  struct Clock {
    std::function<std::int64_t()> wall_s;
    std::function<std::int64_t()> steady_s;
  };
  using Throttle = engine::LoginThrottleOptions;
  // A question to the engine of partition 0, for nonces: called on home's thread, answered there.
  using AskEngine = std::function<void(protocol::link::Question q, link::Answered answered)>;
  ApiAccounts(boost::asio::io_context& io, const Registry& registry, Throttle throttle,
              AskEngine ask_engine, Clock clock);
  ApiAccounts(boost::asio::io_context& io, const Registry& registry, Throttle throttle,
              AskEngine ask_engine);
  ~ApiAccounts();

  // For the admin server, which asks on its own thread.
  admin::AccountCheck check(admin::HomeLoop home);

  using Done = std::function<void(admin::ClaimAnswer)>;
  // On home's thread; `done` too, then or later.
  void decide(admin::Claim claim, Done done);

 private:
  struct Account {
    std::string tenant;
    pb::Account record;
    bool enabled = false;
  };
  using Digest = std::array<unsigned char, 32>;
  struct Bearer;
  struct Attempt {  // of the throttle
    base::Address from;
    std::string name;
  };
  base::Instant steady_now() const { return {clock_.steady_s() * 1000}; }
  // Why it may not be tried now; nothing: it may.
  std::optional<admin::ClaimAnswer> throttled(const Attempt& a);
  std::optional<Account> account_of(const std::string& client_id) const;
  void decide_bearer(const admin::Claim& claim, std::string_view key, Done done);
  void decide_signed(const admin::Claim& claim, std::string_view text, const Done& done);
  void hash(const Digest& at, std::shared_ptr<Bearer> asked);
  admin::ClaimAnswer verdict(const Bearer& asked, const std::string& good);
  // Of a good signature.
  void take_nonce(const Signed& s, const Account& a, Done done);
  admin::ClaimAnswer verdict(const Signed& s, const link::Answer& said) const;
  admin::ClaimAnswer still_signed(const Signed& s, const admin::Claim& claim) const;
  bool is_signed(const Signed& s, const admin::Claim& claim, const std::optional<Account>& a) const;
  // Of good credentials.
  admin::ClaimAnswer admit(const std::string& client_id, const Account& a) const;
  Digest digest_of(const std::string& client_id, const std::string& what,
                   const std::string& secret) const;
  bool knows(const Digest& d) const;
  void remember(const Digest& d);

  boost::asio::io_context& io_;
  const Registry& registry_;
  AskEngine ask_engine_;
  Clock clock_;
  std::string secret_;  // of this process, for known_
  base::SipKey key_;
  engine::LoginThrottle throttle_;
  boost::unordered_flat_map<std::uint64_t, Digest> known_;
  std::deque<std::uint64_t> order_;  // of known_, oldest first
  // Keys that are hashed now, by address, name and secret: the same again waits for the same
  // answer, so that a back end may begin with many requests at a time.
  std::map<Digest, std::shared_ptr<Bearer>> hashing_;
  std::optional<boost::asio::thread_pool> pool_;  // from the first hash on
  // Of what the pool has posted and this thread has not run yet.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::registry
