// An edge whose engine, in the hands of a test, sends packets with a deadline.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/edge_box.h"

namespace berth::test {

using Tags = std::vector<std::uint64_t>;

inline constexpr std::int64_t kEngineNow = 5'000'000'000'000;  // another clock than the edge's
inline constexpr std::int64_t kHour_ms = 3'600'000;

// Gathers the bytes of a step and where they have deadlines.
struct Parts {
  Parts& plain(std::string_view b) {
    bytes += b;
    return *this;
  }
  Parts& timed(std::string_view b, std::int64_t not_after_ms, std::uint64_t tag) {
    return timed(b, protocol::link::Deadline{{not_after_ms}, tag});
  }
  Parts& timed(std::string_view b, const protocol::link::Deadline& d) {
    parts.push_back({bytes.size() - end, b.size(), d});
    bytes += b;
    end = bytes.size();
    return *this;
  }
  // Packet `n` of a command.
  Parts& watched(std::string_view b, std::int64_t not_after_ms, std::uint64_t n,
                 bool fresh = false) {
    return timed(b, {{not_after_ms}, protocol::link::kCommandTag | n, true, fresh});
  }
  std::string bytes;
  std::vector<protocol::link::TimedPart> parts;
  std::size_t end = 0;
};

struct Deadlines : EdgeBox {
  explicit Deadlines(std::uint64_t engine_version = protocol::link::kVersion,
                     std::int64_t engine_now = kEngineNow,
                     const gateway::edge::EdgeOptions& options = patient())
      : EdgeBox(options) {
    say_ready(engine_version);
    say_clock(engine_now);
    EXPECT_TRUE(run_until([&] { return readies == 1; }));
  }
  void say_parts(const Parts& p) {
    protocol::link::Step s = step(attached.attach_epoch, out_off, p.bytes);
    s.has_parts = !p.parts.empty();
    s.parts = p.parts;
    for (const auto& part : p.parts) s.has_commands = s.has_commands || part.deadline.watch;
    say_turn({s});
    out_off += p.bytes.size();
    const std::uint64_t steps = probe.steps + 1;
    EXPECT_TRUE(run_until([&] { return probe.steps + probe.steps_stale >= steps; }));
    EXPECT_EQ(probe.steps_stale, 0u);
  }
  void say_taken(std::uint64_t tag) {
    protocol::link::Step s = step(attached.attach_epoch, out_off, {});
    s.has_parts = true;
    s.expired_taken = {tag};
    say_turn({s});
    const std::uint64_t steps = probe.steps + 1;
    EXPECT_TRUE(run_until([&] { return probe.steps >= steps; }));
  }
  void say_fate_taken(std::uint64_t n, protocol::link::Fate fate) {
    protocol::link::Step s = step(attached.attach_epoch, out_off, {});
    s.has_commands = true;
    s.fates_taken = {{protocol::link::kCommandTag | n, fate}};
    say_turn({s});
    const std::uint64_t steps = probe.steps + 1;
    EXPECT_TRUE(run_until([&] { return probe.steps >= steps; }));
  }
  std::size_t unsent() {
    edge.refresh_gauges();
    return probe.output_bytes;
  }
  // The edge's tick of a second has come so many times more.
  bool ticks(std::uint64_t n) {
    const auto& all = probe.edge_lag.counts;
    const auto count = [&all] { return std::accumulate(all.begin(), all.end(), std::uint64_t{0}); };
    const std::uint64_t last = count() + n;
    return run_until([&] { return count() >= last; });
  }
  std::uint64_t out_off = 0;
};

// A device on a socket pair, which reads when it is told to.
struct PairDeadlines : Deadlines {
  explicit PairDeadlines(std::uint64_t engine_version = protocol::link::kVersion,
                         std::int64_t engine_now = kEngineNow,
                         const gateway::edge::EdgeOptions& options = patient())
      : Deadlines(engine_version, engine_now, options) {
    each_round = [this] {
      if (reads) to_device += device.hear();
    };
    edge.admit_local(device.near, 0);
    device.say(std::string("\x10\x00", 2));
    EXPECT_TRUE(run_until([&] { return inputs == 1; }));
  }
  // More than the socket takes: what is said next can't have been written.
  std::string fill() {
    reads = false;
    std::string all;
    while (unsent() < 64 * 1024 && all.size() < 64u << 20) {
      const std::string some(100'000, '.');
      say_parts(Parts().plain(some));
      all += some;
    }
    return all;
  }
  bool hears(const std::string& all) {
    reads = true;
    EXPECT_TRUE(run_until([&] { return to_device.size() >= all.size() && unsent() == 0; }));
    return to_device == all;
  }
  SocketPair device;
  bool reads = true;
  std::string to_device;
};

}  // namespace berth::test
