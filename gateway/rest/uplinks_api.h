// Uplinks, over REST (docs/uplinks.md): GET /api/v1/uplinks, and DELETE /api/v1/uplinks/{name} of
// one that is not configured any more. For administrators only. On the home loop of the admin port.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class UplinksApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  explicit UplinksApi(const link::Asker& asker) : asker_(asker) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void list(const admin::Request& r, const admin::Responder& done) const;
  void forget(const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
};

}  // namespace berth::gateway::rest
