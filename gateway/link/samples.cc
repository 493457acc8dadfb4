#include "gateway/link/samples.h"

#include <utility>

#include "base/bytes.h"

namespace berth::gateway::link {

namespace {
// sample := family label value help, a byte of these, value
constexpr unsigned kCounter = 1;
constexpr unsigned kUnitShift = 1;
constexpr unsigned kPartShift = 3;
}  // namespace

void put_samples(std::string& out, std::uint64_t id, const std::vector<metrics::Sample>& samples) {
  base::put_varint(out, id);
  append_samples(out, samples);
}

void append_samples(std::string& out, const std::vector<metrics::Sample>& samples) {
  for (const metrics::Sample& s : samples) {
    base::put_bytes(out, s.family);
    base::put_bytes(out, s.label);
    base::put_bytes(out, s.label_value);
    base::put_bytes(out, s.help);
    out.push_back(static_cast<char>((s.counter ? kCounter : 0) |
                                    (static_cast<unsigned>(s.unit) << kUnitShift) |
                                    (static_cast<unsigned>(s.part) << kPartShift)));
    base::put_varint(out, s.value);
  }
}

bool get_samples(std::string_view in, std::uint64_t& id, std::vector<metrics::Sample>& samples) {
  base::RecordReader r(in);
  id = r.varint();
  while (r.ok() && !r.done()) {
    metrics::Sample s;
    s.family = r.bytes();
    s.label = r.bytes();
    s.label_value = r.bytes();
    s.help = r.bytes();
    const std::uint8_t kind = r.byte();
    s.counter = (kind & kCounter) != 0;
    s.unit = static_cast<metrics::Sample::Unit>((kind >> kUnitShift) & 3U);
    s.part = static_cast<metrics::Sample::Part>((kind >> kPartShift) & 3U);
    s.value = r.varint();
    samples.push_back(std::move(s));
  }
  return r.ok();
}

}  // namespace berth::gateway::link
