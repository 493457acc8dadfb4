// What connections without a log-in cost, by address: TLS handshakes, requests of WebSockets,
// halves of CONNECTs. A budget of its own, so that those who have logged in keep theirs (I9).
// Whoever holds most gives way: its oldest connection that has had kTime_s and said no CONNECT, or,
// where all are younger, its newest. So a site that comes back all at once gets on. IPv6 by /64.
// Knows slots and the time it is told, no sockets; of one shard, one thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/address.h"
#include "gateway/edge/address_limit_options.h"

namespace berth::gateway::edge {

class BeforeLogin {
 public:
  static constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
  // Bytes a connection costs before it has sent anything.
  static constexpr std::size_t kPlain = 1024;
  static constexpr std::size_t kWebSocket = 8 * 1024;
  static constexpr std::size_t kTls = 48 * 1024;
  static constexpr std::size_t kTlsBuffers = 32 * 1024;  // of these, until the handshake is done
  static constexpr std::uint32_t kTime_s = 2;
  using Options = BeforeLoginOptions;

  explicit BeforeLogin(Options o) : options_(o) {}

  // `limited` false: a load balancer's connection whose PROXY header has not come: only the limit
  // of all connections together applies. REQUIRES: the slot is not here (new, or leave() was
  // called).
  void enter(std::uint32_t slot, const base::Address& a, std::size_t bytes, bool limited,
             std::uint32_t now_s);
  bool has(std::uint32_t slot) const { return slot < places_.size() && places_[slot].owner; }
  void add(std::uint32_t slot, std::size_t n);
  void take(std::uint32_t slot, std::size_t n);
  void spoke(std::uint32_t slot);         // its CONNECT is whole: it has done its part
  void ended(std::uint32_t slot);         // its socket is closed; what it has sent is still kept
  std::size_t leave(std::uint32_t slot);  // its bytes that were counted

  // The slot of a connection that has to go because of what this one costs; kNobody: none.
  std::uint32_t too_many(std::uint32_t slot, std::uint32_t now_s);
  std::size_t bytes() const { return bytes_; }
  std::size_t connections() const { return connections_; }

 private:
  enum class List : std::uint8_t { silent, spoken, none };
  struct Place {
    std::uint32_t before = kNobody;
    std::uint32_t after = kNobody;
    std::uint32_t owner = 0;  // place in owners_; 0: not here
    List list = List::none;
    std::uint32_t since_s = 0;
    std::size_t bytes = 0;
  };
  struct Queue {
    std::uint32_t first = kNobody;  // the oldest
    std::uint32_t last = kNobody;
    std::uint32_t count = 0;
  };
  struct Owner {
    base::Address address;
    std::size_t bytes = 0;
    std::uint32_t connections = 0;
    bool limited = true;
    Queue queues[2];
  };
  void push(std::uint32_t slot, List list);
  void unlink(std::uint32_t slot);
  std::uint32_t who_goes(const Owner& o, std::uint32_t now_s) const;
  std::uint32_t heaviest(std::uint32_t than);

  Options options_;
  std::size_t bytes_ = 0;
  std::size_t connections_ = 0;
  std::vector<Place> places_;              // by slot
  std::vector<Owner> owners_ = {Owner{}};  // 0 is nobody's
  std::vector<std::uint32_t> unused_;
  std::size_t look_at_ = 0;
  boost::unordered_flat_map<base::Address, std::uint32_t, base::AddressHash> by_address_;
};

}  // namespace berth::gateway::edge
