#include "gateway/cluster/partition_questions.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstring>

#include "base/bytes.h"
#include "base/text.h"

namespace berth::gateway::cluster {

namespace json = boost::json;

namespace {

std::string our_host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string hex_of(std::uint64_t process) {
  std::string bytes;
  base::put_key64(bytes, process);
  return base::to_hex(bytes);
}

}  // namespace

std::string answer_about_partition(std::string_view question, const PartitionFacts& facts,
                                   const PartitionActs& acts) {
  boost::system::error_code ec;
  const json::value v = json::parse(question, ec);
  const json::object q = !ec && v.is_object() ? v.get_object() : json::object();
  const json::value* const what = q.if_contains("do");
  json::object o{{"partition", facts.partition},
                 {"host", our_host()},
                 {"pid", static_cast<std::int64_t>(::getpid())},
                 {"process", hex_of(facts.process)},
                 {"term", facts.term},
                 {"sessions", facts.sessions},
                 {"others", facts.others}};
  if (facts.hold_s != 0) o["hold_s"] = facts.hold_s;
  if (what != nullptr && *what == "hold") {
    const json::value* const for_s = q.if_contains("for_s");
    if (for_s == nullptr || !for_s->is_int64()) return json::serialize(o);
    const std::int64_t hold_s = std::clamp<std::int64_t>(for_s->get_int64(), 0, kHoldMax_s);
    acts.hold(hold_s);
    o["hold_s"] = hold_s;
  }
  if (what != nullptr && *what == "move") {
    const json::value* const seen = q.if_contains("process");
    const bool other = seen != nullptr && seen->is_string() && *seen != o["process"];
    const std::string why = other ? "another engine serves the partition now; look again: berth "
                                    "ctl partitions"
                                  : acts.give_away();
    if (!why.empty()) return json::serialize(json::object{{"refused", why}});
    o["moving"] = true;
  }
  return json::serialize(o);
}

}  // namespace berth::gateway::cluster
