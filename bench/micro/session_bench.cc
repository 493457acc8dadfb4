// What a stored message, the return of a connection and the return of a session cost the Broker.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/micro/iterations.h"
#include "bench/micro/no_edge.h"
#include "tests/support/wire.h"

namespace berth {
namespace {

using test::connect;
using test::publish;
using test::subscribe;

// Keeps what an edge keeps.
class KeepingEdge : public bench::NoEdge {
 public:
  void send(base::ConnId conn, std::string_view head, std::string_view tail) override {
    NoEdge::send(conn, head, tail);
    if (conn.slot == 1) last.assign(head).append(tail);
  }
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) override {
    cookies[conn.slot][static_cast<std::size_t>(slot)] = std::move(bytes);
  }
  std::map<std::uint32_t, protocol::link::Cookie> cookies;
  std::string last;  // packet for the connection of slot 1
};

session::BrokerOptions quiet() {
  session::BrokerOptions options;
  options.sys_interval_s = 0;
  options.replay = true;  // cookies
  return options;
}

struct World {
  explicit World(bool serves = true) {
    edge.broker = broker.get();
    if (serves) broker->attached_all({1});
  }
  // Returns the bytes consumed.
  std::size_t turn(std::uint32_t slot, std::string_view bytes) {
    broker->begin_turn();
    const std::size_t used = broker->input({slot, 1}, base::as_bytes(bytes), {1});
    commit();
    broker->end_turn({1});
    return used;
  }
  void come(std::uint32_t slot, const std::string& bytes) {
    broker->attach({.conn = {slot, 1}, .loopback = true}, {1});
    std::string_view rest = bytes;
    while (!rest.empty()) rest.remove_prefix(turn(slot, rest));
  }
  void commit() {
    while (auto batch = broker->seal()) {
      for (std::size_t i = 0; i < batch->size(); ++i) {
        const session::Write w = (*batch)[i];
        if (w.kind == session::WriteKind::put_session) records.emplace_back(w.session, w.value);
      }
      broker->committed({}, {1});
    }
  }
  KeepingEdge edge;
  metrics::EngineProbe probe;
  std::unique_ptr<session::Broker> broker =
      std::make_unique<session::Broker>(quiet(), edge, nullptr, probe);
  std::vector<std::pair<base::SessionId, std::string>> records;
};

std::string device(int i) {
  return connect({.client_id = "device-" + std::to_string(i)}) +
         subscribe(1, "lot/" + std::to_string(i) + "/#", 1);
}
std::string stored_device(int i) {
  return connect({.client_id = "device-" + std::to_string(i),
                  .clean = false,
                  .properties = test::expiry(3600)}) +
         subscribe(1, "lot/" + std::to_string(i) + "/#", 1);
}

// QoS 1 to one stored session that is connected: publish, commit, delivery, both PUBACKs.
void publish_stored(benchmark::State& state) {
  World w;
  w.come(0, connect({.client_id = "p"}));
  w.come(1, stored_device(1));
  const std::string packet = publish("lot/1/gate", std::string(64, 'x'), 1, 7);
  const std::size_t at = 2 + 2 + std::string("lot/1/gate").size();  // of the packet id
  const std::uint64_t before = w.probe.tx_qos1;
  for (auto _ : state) {
    w.edge.last.clear();
    w.turn(0, packet);
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(w.edge.last.at(i)); };
    w.turn(1, test::ack(4, byte(at) * 256U + byte(at + 1)));
  }
  if (w.probe.tx_qos1 - before != static_cast<std::uint64_t>(state.iterations()))
    state.SkipWithError("not delivered");
}
BENCHMARK(publish_stored)->Apply(bench::counted);

constexpr int kDevices = 2000;

// A connection whose session is in its cookie, attached to the next engine.
void attach_connection(benchmark::State& state) {
  World old;
  for (int i = 0; i < kDevices; ++i) old.come(static_cast<std::uint32_t>(i + 2), device(i));
  std::unique_ptr<World> next;
  std::uint32_t at = 0;
  for (auto _ : state) {
    if (at % kDevices == 0) next = std::make_unique<World>(false);
    const std::uint32_t slot = at++ % kDevices + 2;
    next->broker->attach({.conn = {slot, 1},
                          .attach_epoch = 1,
                          .in_ack = 100,
                          .in_end = 100,
                          .connected = true,
                          .loopback = true,
                          .cookie = old.edge.cookies[slot]},
                         {1});
  }
  if (next->broker->session_count() == 0) state.SkipWithError("no session came back");
}
BENCHMARK(attach_connection)->Apply(bench::counted);

// A session's record, read by the next engine.
void restore_session(benchmark::State& state) {
  World old;
  for (int i = 0; i < kDevices; ++i) old.come(static_cast<std::uint32_t>(i + 2), stored_device(i));
  std::map<std::uint64_t, std::string> records;
  for (auto& [id, record] : old.records) records[id.value] = record;
  if (records.size() != kDevices) return state.SkipWithError("no records");
  std::unique_ptr<World> next;
  auto at = records.end();
  for (auto _ : state) {
    if (at == records.end()) {
      next = std::make_unique<World>(false);
      at = records.begin();
    }
    next->broker->restore_sink().session({at->first}, at->second);
    ++at;
  }
  if (next->broker->session_count() == 0) state.SkipWithError("no session came back");
}
BENCHMARK(restore_session)->Apply(bench::counted);

// Which sessions a device has, among so many others.
void sessions_of_one_device(benchmark::State& state) {
  bench::NoEdge edge;
  metrics::EngineProbe probe;
  session::Context cx({}, edge, probe);
  session::TenantUsage usage(cx);
  session::Holdings holdings({});
  session::SessionTable table(cx, usage, holdings);
  const auto device = [](std::int64_t i) {
    return session::Principal{"acme", session::Role::device, "cam-" + std::to_string(i)}.key();
  };
  for (std::int64_t i = 0; i < state.range(0); ++i)
    table.hold(table.make_new(device(i) + "c"), device(i));
  const std::string one = device(7);
  std::size_t found = 0;
  for (auto _ : state) table.each_of(one, [&found](const session::Session&) { ++found; });
  if (found != static_cast<std::size_t>(state.iterations())) state.SkipWithError("not found");
}
BENCHMARK(sessions_of_one_device)->Arg(1000)->Arg(100'000)->Apply(bench::counted);

}  // namespace
}  // namespace berth
