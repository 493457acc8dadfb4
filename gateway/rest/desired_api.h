// States that devices are to keep, over REST (docs/platform.md): which devices have not answered
// theirs. Asks the homes of all partitions and puts their pages together. On the home loop of the
// admin port.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/cursors.h"

namespace berth::gateway::rest {

class DesiredApi {
 public:
  // Both outlive it.
  DesiredApi(const link::Asker& asker, Cursors& cursors) : asker_(asker), cursors_(cursors) {}
  DesiredApi(const DesiredApi&) = delete;
  DesiredApi& operator=(const DesiredApi&) = delete;
  void add_to(admin::HttpServer& http);

 private:
  void list(const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
  Cursors& cursors_;
};

}  // namespace berth::gateway::rest
