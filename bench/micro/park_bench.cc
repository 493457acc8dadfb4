// A report through the Broker beside a QoS 1 PUBLISH of the same bytes to the same topic, with one
// subscriber (QoS 0); and what the steps of a report cost.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/micro/iterations.h"
#include "bench/micro/no_edge.h"
#include "protocol/messages/envelope.h"
#include "protocol/park/control.h"
#include "tests/support/envelopes.h"
#include "tests/support/wire.h"

namespace berth {
namespace {

namespace park = protocol::park;
using park::FrameType;

constexpr std::size_t kInputs = 10'000;

std::string plate() {
  return test::plate_event("cam-1-100001", "粤B12345").SerializeAsString();
}

// One input of `n` packets a turn: all of `inputs`, then from the first one again, on a new
// connection that begins with `hello`.
void through(benchmark::State& state, const std::string& hello,
             const std::vector<std::string>& inputs, int n) {
  bench::Serving s;
  const auto say = [&](std::uint32_t slot, const std::string& bytes) {
    s.broker.begin_turn();
    s.say(slot, bytes);
    s.broker.end_turn({1});
  };
  std::uint32_t slot = 0;
  s.come(slot, test::connect({.client_id = "s"}) + test::subscribe(1, "v1/#", 0));
  const std::uint64_t before = s.probe.tx_qos0;
  std::size_t at = inputs.size();
  for (auto _ : state) {
    if (at == inputs.size()) {
      ++slot;
      s.come(slot, hello);
      at = 0;
    }
    say(slot, inputs[at++]);
  }
  const auto said = static_cast<std::uint64_t>(state.iterations()) * static_cast<std::uint64_t>(n);
  if (s.probe.tx_qos0 - before != said) state.SkipWithError("not delivered");
  state.SetItemsProcessed(static_cast<std::int64_t>(said));
}

void mqtt_publish(benchmark::State& state) {
  std::string packets;
  for (unsigned i = 1; i <= state.range(0); ++i)
    packets += test::publish("v1/_/cam-1/event/plate", plate(), 1, i);
  through(state, test::connect({.client_id = "cam-1"}),
          std::vector<std::string>(kInputs, packets), static_cast<int>(state.range(0)));
}
BENCHMARK(mqtt_publish)->Arg(1)->Arg(10)->Apply(bench::counted);

void park_report(benchmark::State& state, std::uint8_t flags) {
  std::string hello =
      park::encode_greeting({std::string(park::kNonceBytes, 'n'), 1, flags != 0}, flags);
  std::string payload(
      "\x0a\x05"
      "cam-1\x10\x01"
      "\x38\x00",
      11);
  park::put_frame(hello, FrameType::hello, flags, 0, payload);
  std::vector<std::string> inputs(kInputs);
  std::uint32_t number = 0;
  for (std::string& packets : inputs) {
    for (int i = 0; i < state.range(0); ++i)
      park::put_frame(packets, FrameType::event, flags, ++number, plate());
  }
  through(state, hello, inputs, static_cast<int>(state.range(0)));
}
BENCHMARK_CAPTURE(park_report, crc, park::kCrc)->Arg(1)->Arg(10)->Apply(bench::counted);
BENCHMARK_CAPTURE(park_report, tls, 0)->Arg(1)->Arg(10)->Apply(bench::counted);

void read_envelope(benchmark::State& state) {
  const std::string bytes = plate();
  protocol::messages::EnvelopeView v;
  for (auto _ : state) benchmark::DoNotOptimize(protocol::messages::read_envelope(bytes, v));
}
BENCHMARK(read_envelope)->Apply(bench::counted);

void complete_envelope(benchmark::State& state) {
  const std::string bytes = plate();
  protocol::messages::EnvelopeView v;
  protocol::messages::read_envelope(bytes, v);
  const std::string origin =
      protocol::messages::encode_origin("acme", "north", "cam-1", 1'795'000'000'000);
  protocol::messages::Completer completer;
  std::string out;
  for (auto _ : state) {
    out.assign(bytes);
    completer.complete(out, v, origin, {.at_ms = 1'795'000'000'000});
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(complete_envelope)->Apply(bench::counted);

void crc_of_a_report(benchmark::State& state) {
  const std::string bytes = plate();
  for (auto _ : state) benchmark::DoNotOptimize(park::crc_of(0, bytes));
}
BENCHMARK(crc_of_a_report)->Apply(bench::counted);

}  // namespace
}  // namespace berth
