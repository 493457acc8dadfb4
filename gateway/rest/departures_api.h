// When and why connections of devices ended, over REST: GET /api/v1/insights/departures
// (docs/platform.md, "Insights"). Adds up what the engines of all partitions say. On the home loop
// of the admin port.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class DeparturesApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  explicit DeparturesApi(const link::Asker& asker) : asker_(asker) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void list(const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
};

}  // namespace berth::gateway::rest
