#include "gateway/rest/history_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

#include "gateway/rest/times.h"
#include "platform/history.h"

namespace berth::gateway::rest {

bool add_kinds(const std::string& types, unsigned end, HistoryKinds& out) {
  for (std::size_t at = 0; at < types.size();) {
    const std::size_t comma = std::min(types.find(',', at), types.size());
    const std::string word = types.substr(at, comma - at);
    at = comma + 1;
    unsigned kind = 1;
    while (kind < end && word != platform::name_of(static_cast<platform::HistoryKind>(kind)))
      ++kind;
    if (kind == end) return false;
    out.Add(kind);
  }
  return true;
}

const char* history_type(const platform::pb::HistoryEvent& e) {
  return platform::name_of(static_cast<platform::HistoryKind>(e.kind()));
}

boost::json::object history_json(const platform::pb::HistoryEvent& e) {
  boost::json::object o{{"at", text_of_time(e.at_ms())},
                        {"type", history_type(e)},
                        {"device", e.device()},
                        {"site", e.site()}};
  const auto put = [&o](const char* name, const std::string& value) {
    if (!value.empty()) o[name] = value;
  };
  const bool presence = e.kind() == static_cast<unsigned>(platform::HistoryKind::presence);
  put("display_name", e.display_name());
  put(presence ? "state" : "detail", e.detail());
  put("cause", e.cause());
  put("client_id", e.client_id());
  put("address", e.address());
  put("protocol", e.protocol());
  put("command", e.id());
  if (!e.children().empty()) {
    boost::json::array all;
    for (const std::string& name : e.children()) all.emplace_back(name);
    o["children"] = std::move(all);
  }
  if (presence) o["since"] = text_of_time(e.since_ms());
  if (e.epoch() != 0) o["epoch"] = std::to_string(e.epoch());
  if (e.left_out() != 0) o["left_out"] = e.left_out();
  return o;
}

}  // namespace berth::gateway::rest
