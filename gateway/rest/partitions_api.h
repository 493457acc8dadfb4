// The partitions of a cluster and the engines that serve them, over REST (docs/operations.md,
// "Partitions"): GET /api/v1/partitions, POST /api/v1/partitions/{number}/move, POST and
// DELETE /api/v1/partitions/hold. For administrators only. Asks the engines of the partitions. On
// the home loop of the admin port.
#pragma once

#include <cstdint>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class PartitionsApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  PartitionsApi(const link::Asker& asker, std::uint32_t partitions)
      : asker_(asker), partitions_(partitions) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void list(const admin::Request& r, const admin::Responder& done) const;
  void hold(const admin::Request& r, const admin::Responder& done) const;
  void move(const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
  std::uint32_t partitions_;
};

}  // namespace berth::gateway::rest
