// Single steps of a packet's way, without I/O: nanoseconds a packet. For comparisons within one
// run.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/micro/iterations.h"
#include "bench/micro/no_edge.h"
#include "front/broker.h"
#include "protocol/link/records.h"
#include "protocol/mqtt/codec.h"
#include "protocol/mqtt/framer.h"
#include "session/router.h"
#include "store/memory_store.h"
#include "tests/support/wire.h"

namespace berth {
namespace {

using test::connect;
using test::publish;
using test::subscribe;

const std::string kPayload(64, 'x');

void frame_and_decode(benchmark::State& state) {
  const std::string packet = publish("lot/1/gate/3/event", kPayload, 1, 7);
  protocol::mqtt::Scratch scratch;
  for (auto _ : state) {
    protocol::mqtt::Frame f;
    benchmark::DoNotOptimize(protocol::mqtt::next_frame(base::as_bytes(packet), 1 << 20, f));
    protocol::mqtt::PublishView v;
    benchmark::DoNotOptimize(
        protocol::mqtt::decode_publish(f, protocol::mqtt::Version::v5, scratch, v));
  }
}
BENCHMARK(frame_and_decode)->Apply(bench::counted);

void walk_boundaries(benchmark::State& state) {
  const std::string packet = publish("lot/1/gate/3/event", kPayload, 1, 7);
  protocol::mqtt::Walker walker;
  for (auto _ : state) benchmark::DoNotOptimize(walker.walk(base::as_bytes(packet), [] {}));
}
BENCHMARK(walk_boundaries)->Apply(bench::counted);

void encode_step(benchmark::State& state) {
  std::string out;
  protocol::link::Step s;
  s.bytes = kPayload;
  s.has_in_ack = true;
  s.in_ack = 123456;
  for (auto _ : state) {
    out.clear();
    const std::size_t at = protocol::link::begin_frame(out, protocol::link::FrameType::turn);
    protocol::link::put_step(out, s);
    protocol::link::end_frame(out, at);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(encode_step)->Apply(bench::counted);

// Topics that are in the router's cache, and topics that are not, among so many filters.
void match_topics(benchmark::State& state, std::size_t cache) {
  const auto filters = static_cast<int>(state.range(0));
  session::Router router(cache);
  std::vector<session::Session> sessions(static_cast<std::size_t>(filters));
  for (int i = 0; i < filters; ++i) {
    const auto filter = router.intern("lot/" + std::to_string(i) + "/+/event");
    router.add(filter, &sessions[static_cast<std::size_t>(i)], "", {}, 0);
  }
  std::vector<std::string> topics;
  for (int i = 0; i < 256; ++i) {
    topics.push_back("lot/" + std::to_string(i % filters) + "/gate/event");
  }
  std::size_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(&router.match(topics[at++ & 255]));
}
BENCHMARK_CAPTURE(match_topics, cached, 8192)->Arg(100)->Arg(100'000)->Apply(bench::counted);
BENCHMARK_CAPTURE(match_topics, walked, 1)->Arg(100)->Arg(100'000)->Apply(bench::counted);

// All filters that a session may have (64 KiB), of as many levels as they may have: subscribed, and
// dropped when it ends.
void filters_of_a_session(benchmark::State& state) {
  session::Router router;
  session::Session s;
  std::vector<std::string> filters;
  for (int i = 0; i < 64 * 1024 / 260; ++i) {
    filters.push_back(std::to_string(1000 + i));
    for (int level = 1; level < 128; ++level) filters.back() += "/x";
  }
  for (auto _ : state) {
    std::vector<session::FilterId> ids;
    for (const std::string& f : filters) {
      ids.push_back(router.intern(f));
      router.add(ids.back(), &s, "", {}, 0);
    }
    for (const session::FilterId id : ids) router.remove(id, &s, "");
  }
}
BENCHMARK(filters_of_a_session)->Apply(bench::counted);

// One PUBLISH through the Broker to so many subscribers, QoS 0.
void publish_through(benchmark::State& state) {
  bench::Serving s;
  s.come(0, connect({.client_id = "p"}));
  for (std::uint32_t i = 1; i <= static_cast<std::uint32_t>(state.range(0)); ++i)
    s.come(i, connect({.client_id = "s" + std::to_string(i)}) + subscribe(1, "t", 0));
  const std::string packet = publish("t", kPayload, 0);
  for (auto _ : state) {
    s.broker.begin_turn();
    s.say(0, packet);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(publish_through)->Arg(1)->Arg(1000)->Apply(bench::counted);

// A turn with one PUBLISH of QoS 1 to one subscriber, who acknowledges it, and the turn's end.
void qos1_turn(benchmark::State& state) {
  bench::Serving s;
  s.come(0, connect({.client_id = "p"}));
  s.come(1, connect({.client_id = "s"}) + subscribe(1, "t", 1));
  const std::string packet = publish("t", kPayload, 1, 7);
  std::uint16_t id = 0;
  for (auto _ : state) {
    s.say(0, packet);
    if (++id == 0) ++id;
    s.say(1, test::ack(4, id));
    s.broker.end_turn({1});
    benchmark::DoNotOptimize(s.broker.has_work());  // as the shell asks
  }
}
BENCHMARK(qos1_turn)->Apply(bench::counted);

}  // namespace
}  // namespace berth
