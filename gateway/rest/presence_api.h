// Which devices are there, over REST: GET /api/v1/presence and GET
// /api/v1/tenants/{tenant}/devices/{device}/presence (docs/platform.md). Asks the engines of all
// partitions: of two that know a device the one with a connection counts, then the one with the
// newer epoch. On the home loop of the admin port.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/cursors.h"

namespace berth::gateway::rest {

class PresenceApi {
 public:
  // Both outlive it; `asker` on its edge shard's thread.
  PresenceApi(const link::Asker& asker, Cursors& cursors) : asker_(asker), cursors_(cursors) {}
  void add_to(admin::HttpServer& http);

 private:
  struct Page;
  void list(const admin::Request& r, const admin::Responder& done) const;
  void begin(const std::shared_ptr<Page>& page, const std::string& cursor) const;
  void one(const admin::Request& r, const admin::Responder& done) const;
  void next_devices(const std::shared_ptr<Page>& page) const;
  void states_of(const std::shared_ptr<Page>& page) const;
  void details_of(const std::shared_ptr<Page>& page) const;

  const link::Asker& asker_;
  Cursors& cursors_;
};

}  // namespace berth::gateway::rest
