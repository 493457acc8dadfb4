// Backups, over REST (docs/operations.md, "Backup and restore"): GET and POST /api/v1/backups. Of a
// gateway with the embedded store. For administrators only. On the home loop of the admin port.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class BackupsApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  explicit BackupsApi(const link::Asker& asker) : asker_(asker) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void ask(const admin::Request& r, const char* what, int status,
           const admin::Responder& done) const;

  const link::Asker& asker_;
};

}  // namespace berth::gateway::rest
