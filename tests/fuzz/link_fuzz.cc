// Bytes between edge and engine: frames and both kinds of turns.
#include "protocol/link/records.h"

namespace {
struct Nobody : berth::protocol::link::EdgeTurnVisitor, berth::protocol::link::EngineTurnVisitor {
  void on_attach(const berth::protocol::link::Attach&) override {}
  void on_attached_all() override {}
  void on_input(berth::base::ConnId, std::uint64_t, std::uint64_t, std::string_view) override {}
  void on_closed(berth::base::ConnId, berth::protocol::link::CloseReason) override {}
  void on_credit(berth::base::ConnId, std::uint64_t) override {}
  void on_step(const berth::protocol::link::Step&) override {}
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  berth::protocol::link::FrameView f;
  berth::protocol::link::next_frame(bytes, f);
  Nobody n;
  berth::protocol::link::visit_edge_turn(bytes, n);
  berth::protocol::link::visit_engine_turn(bytes, n);
  berth::protocol::link::Hello h;
  berth::protocol::link::get_hello(bytes, h);
  berth::protocol::link::Welcome w;
  berth::protocol::link::get_welcome(bytes, w);
  berth::protocol::link::Status s;
  berth::protocol::link::get_status(bytes, s);
  berth::protocol::link::Settings settings;
  berth::protocol::link::get_settings(bytes, settings);
  berth::protocol::link::Alive a;
  berth::protocol::link::get_alive(bytes, a);
  return 0;
}
