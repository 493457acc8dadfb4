// What one process of a run does with its connections, phase by phase (worker.h).
#pragma once

#include <cstdint>

#include "bench/load/plan.h"
#include "bench/load/pool.h"
#include "bench/load/shared.h"

namespace berth::bench {

class Load : public ClientEvents {
 public:
  // Its clients, and the first of them opened.
  virtual void prepare(Pool& pool, std::int64_t now_ns) = 0;
  // In the phase `connecting`: when it wants to be asked again. True in `done`: all are connected.
  virtual std::int64_t connect(std::int64_t now_ns, bool& done) = 0;
  virtual void begin(std::int64_t start_ns) = 0;
  // Does what is due; when it wants to be asked again.
  virtual std::int64_t act(std::int64_t now_ns) = 0;
  virtual bool done() const { return false; }  // before the time is over
  virtual void stop(std::int64_t now_ns) = 0;  // nothing new any more
  virtual bool quiet() { return true; }        // after stop(): nothing is under way
  virtual void count() {}                      // all processes are quiet
  virtual bool complete() { return true; }     // after count(): all has arrived
  virtual void finish() {}                     // the last figures
};

// Of one process of several: numbers i with i % processes == process.
struct Share {
  std::uint32_t process = 0;
  std::uint32_t processes = 1;
  std::uint32_t of(std::uint32_t all) const {
    return all / processes + (all % processes > process ? 1 : 0);
  }
  std::uint32_t number(std::uint32_t i) const { return process + i * processes; }
  bool has(std::uint32_t number) const { return number % processes == process; }
};

// The device that is `kind` number `i` of this run.
Role role_of(const Plan& plan, const char* kind, std::uint32_t i);
std::unique_ptr<Talk> talk_of(const Plan& plan, Role role);

}  // namespace berth::bench
