// What operators send to the registry: CSV, YAML, JSON. Besides memory and undefined behaviour:
// what is taken is a record that comes back from its JSON as it was. A product that is taken tells
// its commands, and hears answers, whatever their payload is.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gateway/registry/command_rules.h"
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

void command(const pb::Product& product, const std::string& payload) {
  const CommandRules rules(product);
  for (const pb::CommandRule& c : product.commands()) {
    const CommandRule* rule = rules.find(c.name(), "5.1.7");
    if (rule == nullptr || !rule->in_vendors_words()) continue;
    std::string topic;
    std::string words;
    std::string why;
    const bool told = rule->render({.device = "d", .site = "s", .id = "1", .payload = payload},
                                   topic, words, why);
    if (told == !why.empty() || words.size() > 4 * CommandText::kFilledMax) std::abort();
    rules.answer(c.reply().topic(), "d", "s", payload);
    rules.answer("a", "d", "s", words);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  take(parse_csv, text);
  take(parse_yaml, text);
  for (const Kind kind : {Kind::tenant, Kind::site, Kind::product, Kind::device, Kind::account}) {
    try {
      auto m = from_json(kind, text);
      normalized({kind, "t", "n"}, *m, nullptr, 1);
      if (kind == Kind::product) command(static_cast<const pb::Product&>(*m), text);
    } catch (const BadRecord&) {
    }
  }
  return 0;
}
