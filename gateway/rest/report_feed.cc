#include "gateway/rest/report_feed.h"

#include <algorithm>
#include <boost/json.hpp>

#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;

std::string hidden_plate(const std::string& plate) {
  std::size_t end = plate.empty() ? 0 : 1;
  while (end < plate.size() && (static_cast<unsigned char>(plate[end]) & 0xc0) == 0x80) ++end;
  return plate.empty() ? std::string() : plate.substr(0, end) + "…";
}

std::string ReportFeed::question(std::uint32_t partition) const {
  pb::ReportsQuestion q;
  q.set_tenant(tenant_);
  q.set_device(device_);
  q.set_engine(seen_[partition].engine);
  q.set_after(seen_[partition].after);
  return q.SerializeAsString();
}

std::vector<std::string> ReportFeed::take(std::uint32_t partition, const std::string& answer) {
  pb::ReportsAnswer a;
  if (!a.ParseFromString(answer)) return {};
  seen_[partition] = {a.engine(), a.through()};
  std::vector<std::string> out;
  for (const pb::WatchedReport& r : a.reports()) {
    if (!sites_.empty() && std::find(sites_.begin(), sites_.end(), r.site()) == sites_.end())
      continue;
    out.push_back(data_of(r));
  }
  return out;
}

std::string ReportFeed::data_of(const pb::WatchedReport& r) const {
  json::object o{{"at", text_of_time(r.at_ms())},
                 {"type", "report"},
                 {"tenant", tenant_},
                 {"site", r.site()},
                 {"device", device_},
                 {"report", r.type()},
                 {"body", object_in(r.body())}};
  if (!r.child().empty()) o["child"] = r.child();
  if (r.replay()) o["replay"] = true;
  if (!r.plate().empty()) {
    o["plate"] = plates_ ? r.plate() : hidden_plate(r.plate());
    if (!plates_) o["plate_hidden"] = true;
  }
  return json::serialize(o);
}

}  // namespace berth::gateway::rest
