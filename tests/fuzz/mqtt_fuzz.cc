// Bytes of a device into the whole engine core (framer, codec, Broker), in two pieces, with an
// engine death between them. The first byte chooses the cut.
#include "tests/support/world.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = data[0] * bytes.size() / 255;
  berth::test::World w;
  const int c = w.open();
  w.feed(c, bytes.substr(0, cut));
  w.crash();
  if (!w.ended(c)) w.feed(c, bytes.substr(cut));
  if (!w.ended(c)) w.close(c);
  return 0;
}
