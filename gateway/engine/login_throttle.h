// Brute force is slowed, by address and by user name: a failed log-in takes from a bucket of each;
// where one is empty nobody is asked any more until a failure has been forgiven.
//
// A name and an address from where it has logged in before are a known pair. It has a bucket of its
// own, kOfKnown times as large and as fast, and neither uses nor needs those of its name and
// address: a camera with a wrong password does not lock out the other devices of its site (nor, as
// long as it tries less than kOfKnown times in `forgiven_s`, the one that has the same name and the
// right password), a guesser elsewhere not the device whose name it guesses. The price: who shares
// a device's address may guess its password that often.
//
// Of one engine, on its thread; what is counted outlives it (login_memory.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/clock.h"
#include "gateway/engine/login_memory.h"
#include "gateway/engine/login_options.h"

namespace berth::gateway::engine {

// The time of LoginMemory: of this machine since it was started, whatever the wall clock says. Not
// near 0, so that what another machine remembers can be older. Thread-safe.
base::Instant login_time();

class LoginThrottle {
 public:
  static constexpr std::uint32_t kOfKnown = 20;
  using Options = LoginThrottleOptions;
  // `memory` null: one of its own.
  explicit LoginThrottle(Options o, std::shared_ptr<LoginMemory> memory = nullptr);
  // True: answered by one of the others. By name and by known pair each try counts until it has
  // succeeded (tries at the same time are tries), by address failures do (a site's devices come
  // back together).
  bool may_try(const base::Address& from, std::string_view name, base::Instant now);
  void failed(const base::Address& from, std::string_view name, base::Instant now);
  void succeeded(const base::Address& from, std::string_view name, base::Instant now);
  // Which limit has refused a try just now, and when the next may be made.
  struct Full {
    const char* limit = "";  // its name in the configuration, without "auth."
    std::uint32_t wait_ms = 0;
  };
  Full why_not(const base::Address& from, std::string_view name, base::Instant now);
  // It was not asked after all.
  void not_tried(const base::Address& from, std::string_view name);

 private:
  using Table = LoginMemory::Table;
  using Entry = LoginMemory::Entry;
  double left(Entry& e, base::Instant now) const;  // of its failures
  bool full(Entry& e, std::uint32_t most, double times, base::Instant now) const;
  void take(Entry& e, double times, base::Instant now);
  Entry* known(const base::Address& from, std::string_view name);
  std::uint64_t pair(const base::Address& from, std::string_view name) const;

  Options options_;
  std::shared_ptr<LoginMemory> memory_;  // also the one who started us may hold it
};

}  // namespace berth::gateway::engine
