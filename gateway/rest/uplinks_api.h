// Uplinks, over REST (docs/uplinks.md): what there is, those that are made here, replays, dead
// letters, and the removal of one that is not configured any more. For administrators only. On the
// home loop of the admin port.
#pragma once

#include <functional>
#include <string>

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
  void define(const admin::Request& r, const admin::Responder& done) const;
  void definition(const admin::Request& r, const admin::Responder& done) const;
  void forget(const admin::Request& r, const admin::Responder& done) const;
  void replay(const admin::Request& r, const admin::Responder& done) const;
  void dead_letters(const admin::Request& r, const admin::Responder& done) const;
  // Asks each partition to do `what` with the uplink that the path names; the answer has `sum`, the
  // number of messages in all of them.
  void act(const char* what, const char* said, const admin::Request& r,
           const admin::Responder& done) const;

  const link::Asker& asker_;
};

}  // namespace berth::gateway::rest
