#include "gateway/cluster/partition_questions.h"

#include <unistd.h>

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
                                   const std::function<std::string()>& give_away) {
  boost::system::error_code ec;
  const json::value v = json::parse(question, ec);
  const json::value* const what = !ec && v.is_object() ? v.get_object().if_contains("do") : nullptr;
  json::object o{{"partition", facts.partition},
                 {"host", our_host()},
                 {"pid", static_cast<std::int64_t>(::getpid())},
                 {"process", hex_of(facts.process)},
                 {"term", facts.term},
                 {"sessions", facts.sessions},
                 {"others", facts.others}};
  if (what != nullptr && *what == "move") {
    const std::string why = give_away();
    if (!why.empty()) return json::serialize(json::object{{"refused", why}});
    o["moving"] = true;
  }
  return json::serialize(o);
}

}  // namespace berth::gateway::cluster
