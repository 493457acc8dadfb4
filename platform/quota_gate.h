// Lets one note through of each connection and minute, of what may happen for each message. A table
// of fixed size by the connection's number: of two in one place the one before is forgotten. Owned
// by DeviceWatch; one shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/ids.h"

namespace berth::platform {

class QuotaGate {
 public:
  bool opens(base::ConnId conn, base::Instant now) {
    const std::int64_t minute = now.ms / 60'000;
    Place& p = places_[conn.slot % places_.size()];
    if (p.conn == conn && p.minute == minute) return false;
    p = {conn, minute};
    return true;
  }

 private:
  struct Place {
    base::ConnId conn;
    std::int64_t minute = -1;
  };
  std::array<Place, 1024> places_{};
};

}  // namespace berth::platform
