// The planned end of an edge, and what engines tell it to do.
#include "gateway/edge/edge_shard.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::link::Setting;
using protocol::mqtt::Reason;

void EdgeShard::apply_setting(Setting setting, std::uint64_t value) {
  if (setting == Setting::connect_timeout_s) {
    options_.connect_timeout_s = static_cast<std::uint32_t>(value);
  } else if (setting == Setting::quarantine_s) {
    options_.quarantine_s = static_cast<std::uint32_t>(value);
    if (quarantine_ != nullptr) quarantine_->use_seconds(options_.quarantine_s);
  } else if (setting == Setting::others_admit_per_s) {
    drain_.use_others(value);
  }
}

void EdgeShard::drain(std::uint32_t per_second, Elsewhere elsewhere) {
  stop_accepting();
  drain_.begin(Drain::Which::all, per_second, std::move(elsewhere));
}

void EdgeShard::drain_tls(std::uint32_t per_second) {
  acceptor_.pause_tls();
  drain_.begin(Drain::Which::tls, per_second, {});  // they may come back at once
}

void EdgeShard::end_tls() {
  drain_.cancel();
  slab_.for_each([this](Connection& c) {
    if (c.tls != nullptr) end(c, CloseReason::drained);
  });
}

void EdgeShard::keep_tls() {
  drain_.cancel();
  acceptor_.keep_tls();
}

}  // namespace berth::gateway::edge
