#include "bench/load/envelope.h"

#include <cstdint>

#include "base/clock.h"
#include "protocol/messages/envelope.pb.h"

namespace berth::bench {

std::string plate_report(std::string_view id) {
  static const char* const kDigits = "0123456789abcdef";
  const std::int64_t now_ms = base::now().ms;
  v1::Envelope e;
  std::string* const text = e.mutable_event_id();
  for (const char c : id) {
    text->push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    text->push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  e.mutable_event_time()->set_seconds(now_ms / 1000);
  e.mutable_event_time()->set_nanos(static_cast<std::int32_t>(now_ms % 1000 * 1'000'000));
  e.mutable_plate()->set_lane("lane-1");
  e.mutable_plate()->mutable_plate()->set_number("粤B12345");
  e.mutable_plate()->set_confidence(98);
  return e.SerializeAsString();
}

}  // namespace berth::bench
