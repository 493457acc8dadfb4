// Deploys, drains and deaths of engines and edges over REST: GET /api/v1/passages (docs/api.md).
// What edges have told the engines of all partitions, put together. On the home loop of the admin
// port.
#pragma once

#include <boost/json/array.hpp>
#include <cstdint>
#include <vector>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "platform/passages.pb.h"

namespace berth::gateway::rest {

class PassagesApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  explicit PassagesApi(const link::Asker& asker) : asker_(asker) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void list(const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
};

// Of one partition.
struct PassageOf {
  std::uint32_t partition = 0;
  platform::pb::PassageRecord record;
};
// The newest first. An engine that served several partitions went once.
boost::json::array merged_passages(std::vector<PassageOf> all);

}  // namespace berth::gateway::rest
