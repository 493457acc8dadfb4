// Sessions for operators, over REST (docs/operations.md, "Sessions"): GET /api/v1/sessions and
// /api/v1/sessions/{id}, POST /api/v1/sessions/{id}/disconnect, DELETE /api/v1/sessions/{id}. An id
// is PARTITION-NUMBER. For administrators only: a session has what its client subscribes to. Asks
// the engines of the partitions. On the home loop of the admin port.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class SessionsApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  SessionsApi(const link::Asker& asker, std::uint32_t partitions)
      : asker_(asker), partitions_(partitions) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void list(const admin::Request& r, const admin::Responder& done) const;
  // `what`: show, disconnect, remove.
  void ask_one(const char* what, const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
  std::uint32_t partitions_;
};

}  // namespace berth::gateway::rest
