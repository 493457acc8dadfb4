// What operators send to the registry: CSV, YAML, JSON. Besides memory and undefined behaviour:
// what is taken is a record that comes back from its JSON as it was.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gateway/registry/import.h"

namespace {

using namespace berth::gateway::registry;

const auto kNothing = [](std::string_view) -> const std::string* { return nullptr; };

void take(std::vector<Said> (*parse)(const std::string&), const std::string& text) {
  try {
    for (const Write& w : to_writes(parse(text), kNothing, 1)) {
      const Key key = parse_key(w.key);
      const auto old = message_of(key.kind, *w.value);
      auto again = from_json(key.kind, to_json(key, *w.value));
      if (normalized(key, *again, old.get(), 1) != *w.value) std::abort();
    }
  } catch (const BadRecord&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  take(parse_csv, text);
  take(parse_yaml, text);
  for (const Kind kind : {Kind::tenant, Kind::device, Kind::account}) {
    try {
      auto m = from_json(kind, text);
      normalized({kind, "t", "n"}, *m, nullptr, 1);
    } catch (const BadRecord&) {
    }
  }
  return 0;
}
