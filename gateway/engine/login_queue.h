// Log-ins that wait for the thread that hashes passwords, in a fair order: tenants take turns, in a
// tenant addresses do (an IPv6 network of 64 bits is one), behind one address it is first come,
// first served. A name of no tenant that exists, or of the password file, is of tenant 0.
//
// At most kPerAddress wait behind an address and kMost in all; when these are there, the newest of
// who holds most makes room. Those whose connection has ended come when nobody else waits, kGone of
// them. Not locked: the caller does that.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>

#include "base/address.h"

namespace berth::gateway::engine {

class LoginQueue {
 public:
  static constexpr std::size_t kMost = 20'000;
  static constexpr std::size_t kPerAddress = 2'000;
  static constexpr std::size_t kGone = 1'000;
  using Ticket = std::uint64_t;

  // False: who asks holds as much as is allowed.
  bool has_room(std::uint64_t tenant, const base::Address& from);
  // REQUIRES: has_room(). Returns the ticket that had to make room for it.
  std::optional<Ticket> push(std::uint64_t tenant, const base::Address& from, Ticket t);
  std::optional<Ticket> pop();  // whose turn it is
  // Its connection has ended. Returns the ticket that is not kept for that: `t`, or nothing.
  std::optional<Ticket> gone(Ticket t);
  std::size_t size() const { return places_.size(); }  // of those whose connections are there

 private:
  struct Line {
    base::Address from;
    std::deque<Ticket> tickets;
  };
  using LineAt = std::list<Line>::iterator;
  struct Tenant {
    std::list<Line> lines;  // none is empty; the first is next
    boost::unordered_flat_map<base::Address, LineAt, base::AddressHash> by_address;
    std::size_t size = 0;
    std::list<std::uint64_t>::iterator turn;
  };
  using Tenants = std::unordered_map<std::uint64_t, Tenant>;
  struct Place {
    std::uint64_t tenant;
    LineAt line;
  };
  void leave(Ticket t);  // it is not in its line any more
  Tenants::iterator fullest();
  static LineAt longest(Tenant& t);

  Tenants tenants_;                 // none is empty
  std::list<std::uint64_t> turns_;  // of tenants
  boost::unordered_flat_map<Ticket, Place> places_;
  boost::unordered_flat_map<base::Address, std::size_t, base::AddressHash> by_address_;
  std::deque<Ticket> gone_;
};

}  // namespace berth::gateway::engine
