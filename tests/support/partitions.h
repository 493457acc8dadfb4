// Two partitions, each a World with an engine that can die at any boundary, and the bridges between
// them. A bridge's stream is a connection of the source's link 1; it dies with the engine of its
// own partition and survives that of the source, as in an engine process.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "protocol/link/types.h"
#include "front/bridge.h"
#include "tests/support/world.h"

namespace berth::test {

class Partitions {
 public:
  // `dies`: which partition's engine dies at boundary `crash_at`.
  explicit Partitions(int dies = 0, int crash_at = -1, int breaks = -1)
      : worlds_{make(0, dies == 0 ? crash_at : -1, breaks),
                make(1, dies == 1 ? crash_at : -1, breaks)} {
    for (std::uint32_t p = 0; p < 2; ++p) {
      worlds_[p]->on_engine([this, p] {
        to_[p].fresh_engine = true;
        if (serves) serves(p);
      });
      to_[p].fresh_engine = true;
    }
    run();
  }
  std::function<void(std::uint32_t partition)> serves;  // called with each new engine
  World& operator[](std::uint32_t partition) { return *worlds_[partition]; }
  // The same device id on every run: one of that partition, beginning with `name`.
  static std::string client(std::string name, std::uint32_t partition) {
    while (protocol::link::partition_of(name, 2) != partition) name += "x";
    return name;
  }
  void run() {
    for (bool busy = true; busy;) {
      busy = false;
      for (std::uint32_t home = 0; home < 2; ++home) busy = step(home) || busy;
    }
  }
  bool crashed() const { return worlds_[0]->crashed() || worlds_[1]->crashed(); }
  // The stream of the bridge to `home` breaks.
  void cut(std::uint32_t home) {
    to_[home].fresh_engine = true;
    run();
  }

 private:
  struct Stream {  // by which `home` takes from the other
    bool fresh_engine = false;
    int conn = -1;
    std::string out;
    std::unique_ptr<session::Bridge> bridge;
  };
  static std::unique_ptr<World> make(std::uint32_t partition, int crash_at, int breaks) {
    session::BrokerOptions o;
    o.partition = partition;
    o.partitions = 2;
    return std::make_unique<World>(o, crash_at, breaks);
  }

  bool step(std::uint32_t home) {
    Stream& s = to_[home];
    World& h = *worlds_[home];
    World& source = *worlds_[1 - home];
    const bool ended = s.conn >= 0 && source.ended(s.conn);
    if (std::exchange(s.fresh_engine, false) || ended) {
      s.bridge.reset();
      if (s.conn >= 0) source.close(s.conn, protocol::link::CloseReason::client);
      s.conn = source.open(1);
      s.out.clear();
      s.bridge =
          std::make_unique<session::Bridge>(h.broker(), home, 1 - home, ++generation_,
                                            [&s](std::string_view bytes) { s.out.append(bytes); });
      h.broker().watch_routes(
          [&s](std::string_view raw, bool added) { s.bridge->route(raw, added); });
      s.bridge->start();
    }
    const std::string bytes = source.take_bytes(s.conn);
    if (!bytes.empty()) {
      const bool good = s.bridge->received(bytes, h.now());
      h.run();
      if (s.fresh_engine) return true;
      if (!good || source.ended(s.conn)) return s.fresh_engine = true;
    }
    s.bridge->flush();
    const std::string out = std::exchange(s.out, {});
    if (!out.empty()) source.feed(s.conn, out);
    return !bytes.empty() || !out.empty();
  }

  std::array<std::unique_ptr<World>, 2> worlds_;
  std::array<Stream, 2> to_;
  std::uint32_t generation_ = 0;
};

}  // namespace berth::test
