// The past of devices, over REST: GET /api/v1/history (docs/platform.md). Asks the engines of all
// partitions and merges what they say by time, the newest first. On the home loop of the admin
// port.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/cursors.h"
#include "platform/rates.h"

namespace berth::gateway::rest {

class HistoryApi {
 public:
  // Both outlive it; `asker` on its edge shard's thread.
  HistoryApi(const link::Asker& asker, Cursors& cursors) : asker_(asker), cursors_(cursors) {}
  void add_to(admin::HttpServer& http);

 private:
  struct Page;
  // Questions of a tenant a second: one may read thousands of events for an empty answer.
  static constexpr std::uint32_t kPerSecond = 20;
  void list(const admin::Request& r, const admin::Responder& done);
  bool may_ask(const std::string& tenant);
  void begin(const std::shared_ptr<Page>& page, const std::string& cursor) const;
  void check_place(const std::shared_ptr<Page>& page) const;
  void ask(const std::shared_ptr<Page>& page) const;

  const link::Asker& asker_;
  Cursors& cursors_;
  platform::Rates rates_;
};

}  // namespace berth::gateway::rest
