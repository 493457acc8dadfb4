// Passwords that have been found good, so that a device that comes again costs an HMAC (1 us), not
// a password hash. Kept as HMAC-SHA256 under a key of this process, over the user name, the stored
// hash and the password: a changed password is another entry. One thread.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>

#include "base/siphash.h"

struct evp_mac_ctx_st;

namespace berth::gateway::engine {

class VerifiedLogins {
 public:
  static constexpr std::size_t kMost = 200'000;  // above it the oldest are forgotten
  VerifiedLogins();
  bool knows(std::string_view user_name, std::string_view stored, std::string_view password) const;
  void remember(std::string_view user_name, std::string_view stored, std::string_view password);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct FreeMac {
    void operator()(evp_mac_ctx_st* c) const;
  };
  Digest digest(std::string_view user_name, std::string_view stored,
                std::string_view password) const;
  std::unique_ptr<evp_mac_ctx_st, FreeMac>
      keyed_;  // looked up and keyed once: that is the dear part
  base::SipKey key_;
  boost::unordered_flat_map<std::uint64_t, Digest> known_;  // by hash of the user name
  std::deque<std::uint64_t> order_;                         // oldest first
};

}  // namespace berth::gateway::engine
