// What a tenant and a site may use, and what they use (I8). Each connection and session of a Scope
// counts for an Account: its site's, and through that its tenant's. Limits that are 0 are none. One
// shard.
//
// With partitions each engine sees its own part. What the others use, which they say about once a
// second, is `elsewhere`: a limit may be passed for that second. An engine that needs a
// rate gets at least its share, whatever the others use.
#pragma once

#include <array>
#include <boost/unordered/unordered_map.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace berth::session {

enum class Quota : std::uint8_t {
  none,
  connections,
  connects,
  messages,
  bytes,
  sessions,
  queue_bytes,
  commands,
  count
};
const char* name_of(Quota q);  // as in Limits, and in answers to devices

struct Limits {
  std::uint64_t connections = 0;
  std::uint64_t sessions = 0;
  std::uint64_t queue_bytes = 0;  // of all queues together
  std::uint64_t connects_per_s = 0;
  std::uint64_t messages_per_s = 0;     // from devices and services
  std::uint64_t bytes_per_s = 0;        // payload and topic of these
  std::uint64_t commands_per_s = 0;     // to devices: PUBLISHes to v1/SITE/DEVICE/cmd/…
  std::uint64_t retained_messages = 0;  // of a tenant only
  bool operator==(const Limits&) const = default;
};

struct Usage {
  // now
  std::uint64_t connections = 0;
  std::uint64_t sessions = 0;
  std::uint64_t queue_bytes = 0;
  std::uint64_t retained_messages = 0;
  // since the engine began
  std::uint64_t connects = 0;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t commands = 0;
  std::uint64_t slowed = 0;  // messages that waited for a quota, once each
  // Telemetry; messages that were not retained; messages that found a queue full, or left one.
  std::uint64_t dropped = 0;
  std::uint64_t refused = 0;  // connections, commands
  Usage& operator+=(const Usage& o);
};
// Its members, for code that writes them all.
struct UsageField {
  const char* name;
  std::uint64_t Usage::*value;
  bool counter;
};
extern const std::array<UsageField, 11> kUsageFields;

// As one partition tells another, and operators.
struct UsageOf {
  std::string tenant;
  std::string site;
  Usage usage;
  Usage per_s;
};
// What other partitions must know: present numbers, and what was counted in one second.
UsageOf of_a_second(const UsageOf& u);
// Of a quota that is used up, for people.
std::string text_of(Quota q);

// A rate of one kind, refilled each second. take() may go into debt, so that a message larger than
// a second's bytes passes too.
class Bucket {
 public:
  bool open(std::uint64_t per_s, base::Instant now);  // 0: always
  void take(double cost) { left_ -= cost; }

 private:
  double left_ = 0;
  std::int64_t at_ms_ = -1;
};

class Account {
 public:
  Account(std::string tenant, std::string site, Account* above)
      : tenant_(std::move(tenant)), site_(std::move(site)), above_(above) {}
  const std::string& tenant() const { return tenant_; }
  const std::string& site() const { return site_; }  // empty: the tenant's own
  Usage usage;
  Limits limits;
  Usage per_s;      // what came in the last second
  Usage elsewhere;  // in other partitions: what is now, and what came in a second
  std::uint32_t partitions = 1;

  // A tenant that is full of devices must still let its own back end in: accounts (services and
  // operators) may pass the limits of connections and sessions by so many.
  static std::uint64_t reserve_of(std::uint64_t limit) { return limit / 10 > 10 ? limit / 10 : 10; }
  // Quota::none: there is room, and it is counted. `account`: true for a service or an operator.
  Quota admit(bool new_session, bool account, base::Instant now);
  Quota message(std::size_t bytes, base::Instant now);
  Quota command(base::Instant now);
  bool queue_has_room(std::size_t bytes) const;
  bool retained_have_room() const;  // for one more
  void second();                    // another one has passed
  // For this account and the one above.
  void count(std::uint64_t Usage::*what, std::int64_t change);

 private:
  std::uint64_t share(std::uint64_t limit, std::uint64_t others) const;
  Quota first_closed(base::Instant now, std::initializer_list<Quota> kinds);
  Bucket& bucket(Quota q) { return buckets_[static_cast<std::size_t>(q)]; }
  std::string tenant_;
  std::string site_;
  Account* above_;
  Usage before_;
  std::array<Bucket, static_cast<std::size_t>(Quota::count)> buckets_;
};

// By tenant and site; made when first used, and kept while the engine lives.
class Accounts {
 public:
  using LimitsOf = std::function<Limits(std::string_view tenant, std::string_view site)>;
  void use_limits(LimitsOf f) { limits_of_ = std::move(f); }
  void use_partitions(std::uint32_t n) { partitions_ = n; }
  Account& of(std::string_view tenant, std::string_view site);
  void refresh();  // the limits have changed
  void second();
  // What other partitions use; all of them anew.
  void clear_elsewhere();
  void each(const std::function<void(const Account&)>& f) const;

 private:
  LimitsOf limits_of_;
  std::uint32_t partitions_ = 1;
  boost::unordered_map<std::string, std::unique_ptr<Account>> all_;
};

}  // namespace berth::session
