// Faults for tests: an engine that dies of one device's input. The product is linked with
// no_faults.cc, where both functions do nothing; the executable berth-faults, which only tests run,
// with faults.cc. There a PUBLISH to the topic in BERTH_FAULT_TOPIC aborts the process, one to
// "<topic>/hang" never ends; BERTH_FAULT_FORWARDED: the same of a message that comes from another
// partition. On the engine's thread.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/wall_clock.h"
#include "session/access.h"

namespace berth::gateway::engine {

// `inner` may be null: everything is allowed. Everything but the fault is asked of it.
std::unique_ptr<session::AccessPolicy> with_faults(std::unique_ptr<session::AccessPolicy> inner);
// BERTH_FAULT_CLOCK: a file with how far the wall clock is set forward, ms. Empty: none.
base::WallClock::Source fault_of_clock();
// For EngineShard::on_forwarded; empty: none.
std::function<void(std::string_view topic)> fault_of_forwarded();

}  // namespace berth::gateway::engine
