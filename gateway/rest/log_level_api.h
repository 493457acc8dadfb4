// Levels of the log, over REST (docs/operations.md, "Another level for a while"): GET, PUT and
// DELETE /api/v1/log-level. In this process, and in the engines of all partitions. For
// administrators only. On the home loop of the admin port.
#pragma once

#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class LogLevelApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  explicit LogLevelApi(const link::Asker& asker) : asker_(asker) {}
  void add_to(admin::HttpServer& http) const;
  void say_not_asked(const std::string& whom) { not_asked_ = whom; }

 private:
  void set(const admin::Request& r, const admin::Responder& done) const;
  void end(const admin::Request& r, const admin::Responder& done) const;
  void apply(const std::string& module, const std::string& level, std::int64_t for_s,
             const admin::Responder& done) const;

  const link::Asker& asker_;
  std::string not_asked_;  // of a cluster, where a change does not reach all processes
};

}  // namespace berth::gateway::rest
