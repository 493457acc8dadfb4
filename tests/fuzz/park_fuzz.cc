// What a device of the Park protocol may send, and what one may hear. Besides memory and undefined
// behaviour: nothing is read past the input, a walker sees what the framer sees however the stream
// is cut, and a completed Envelope can be read and says what the gateway said.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/messages/envelope.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/park/control.h"
#include "protocol/park/device.h"

namespace {

namespace park = berth::protocol::park;
namespace messages = berth::protocol::messages;
using berth::base::as_bytes;

void check_walker(const std::string& bytes) {
  std::size_t pings = 0;
  std::string_view rest = bytes;
  park::Frame f;
  bool good = true;
  for (;;) {
    const auto status = park::next_frame(as_bytes(rest), SIZE_MAX, f);
    good = status == park::FrameStatus::complete;
    if (!good) break;
    if (f.size > rest.size()) std::abort();
    pings += f.type == park::FrameType::ping;
    rest.remove_prefix(f.size);
  }
  std::size_t walked = 0;
  park::Walker w;
  const std::string_view framed(bytes.data(), bytes.size() - rest.size());
  for (std::size_t at = 0; at < framed.size(); at += 5) {
    const auto count = [&](std::uint8_t, std::uint32_t) { ++walked; };
    if (!w.walk(as_bytes(framed.substr(at, 5)), false, count)) std::abort();
  }
  if (walked != pings || !w.at_boundary()) std::abort();
}

void check_envelope(const std::string& bytes) {
  messages::EnvelopeView e;
  if (!messages::read_envelope(bytes, e)) return;
  berth::v1::Envelope said;
  if (!said.ParseFromString(bytes) || said.event_id() != e.event_id || said.child() != e.child ||
      said.replay() != e.replay || said.result().command_id() != e.command_id)
    std::abort();
  std::string all = bytes;
  messages::Completer().complete(all, e, messages::encode_origin("acme", "north", "cam", 7),
                                 {.at_ms = 1'700'000'000'123, .made_id = "made"});
  berth::v1::Envelope m;
  if (!m.ParseFromString(all) || m.tenant() != "acme" || m.site() != "north" ||
      m.device() != "cam" || m.session_epoch() != 7 || m.event_id() != "made" ||
      m.received_time().nanos() != 123'000'000)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  check_walker(bytes);
  check_envelope(bytes);
  park::HelloView hello;
  park::decode_hello(bytes, hello);
  std::string client_id, auth_id;
  park::peek_names(bytes, client_id, auth_id);
  park::Greeting greeting;
  park::decode_greeting(bytes, greeting);
  park::Walker w;
  w.go_on_from(bytes);
  park::DeviceHandler nobody;
  park::Device device({.client_id = "x", .key = "k"}, nobody);
  device.opened();
  const std::string first =
      park::encode_greeting({std::string(park::kNonceBytes, 'n'), 1, true}, park::kCrc);
  device.receive(as_bytes(first));
  device.report(park::FrameType::event, bytes);
  device.receive(as_bytes(park::encode_welcome({.max_inflight = 2}, 0)));
  device.receive(as_bytes(bytes));
  return 0;
}
