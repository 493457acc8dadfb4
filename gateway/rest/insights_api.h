// Who makes trouble and why, over REST: GET /api/v1/insights/LIST (docs/platform.md). Asks the
// engines of all partitions and adds up what they say. On the home loop of the admin port.
#pragma once

#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "platform/insights.h"

namespace berth::gateway::rest {

class InsightsApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  explicit InsightsApi(const link::Asker& asker) : asker_(asker) {}
  void add_to(admin::HttpServer& http);

 private:
  void list(platform::InsightList which, const admin::Request& r,
            const admin::Responder& done) const;

  const link::Asker& asker_;
};

}  // namespace berth::gateway::rest
