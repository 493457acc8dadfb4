// What one device reports, for one stream of events: asked of all partitions, for the device may be
// connected at any. Plates are shown to who may see them. Held by value by the stream; no socket,
// on the home loop of the admin port.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/reports.pb.h"

namespace berth::gateway::rest {

class ReportFeed {
 public:
  // `sites`: those that the viewer sees; none: all.
  ReportFeed(std::string tenant, std::string device, std::vector<std::string> sites, bool plates,
             std::uint32_t partitions)
      : tenant_(std::move(tenant)),
        device_(std::move(device)),
        sites_(std::move(sites)),
        plates_(plates),
        seen_(partitions) {}
  std::string question(std::uint32_t partition) const;
  // The data of an event each, the oldest first. REQUIRES: of the last question of this partition.
  std::vector<std::string> take(std::uint32_t partition, const std::string& answer);

  bool asking = false;

 private:
  struct Seen {
    std::uint64_t engine = 0, after = 0;
  };
  std::string data_of(const platform::pb::WatchedReport& r) const;

  std::string tenant_, device_;
  std::vector<std::string> sites_;
  bool plates_;
  std::vector<Seen> seen_;  // by partition
};

// For who may not see it: "粤…".
std::string hidden_plate(const std::string& plate);

}  // namespace berth::gateway::rest
