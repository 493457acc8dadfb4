// What comes back from disk and from cookies: records, queue entries, retained messages.
#include "front/broker.h"
#include "session/entry_codec.h"
#include "tests/support/world.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  berth::session::decode_entry(bytes);
  berth::session::decode_retained(bytes);
  berth::test::World w;
  auto& b = w.broker();
  berth::session::RestoreSink& stored = b.restore_sink();
  stored.session({900}, bytes);
  stored.queue({900}, {1, std::string(bytes)}, {2, std::string(bytes)});
  stored.received({900}, 7, bytes);
  stored.retained(bytes, bytes);
  stored.applied(bytes, bytes);
  berth::protocol::link::Attach a;
  a.conn = {50, 1};
  a.connected = true;
  for (auto& slot : a.cookie) slot = bytes;
  w.reserve(60);
  b.attach(a, w.now());
  return 0;
}
