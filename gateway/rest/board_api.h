// The state of sites at a glance, over REST (docs/console.md): GET /api/v1/board, the same as a
// stream of what changes, GET /api/v1/board/stream, and what a device has reported last, GET
// /api/v1/tenants/{tenant}/devices/{device}/twin. Asks the engines of all partitions and adds up
// what they say. A stream asks once a second, for changes only. On the home loop of the admin port.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/admin/events.h"
#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/board_sum.h"

namespace berth::gateway::rest {

class BoardApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  BoardApi(const link::Asker& asker, std::uint32_t partitions)
      : asker_(asker), partitions_(partitions) {}
  BoardApi(const BoardApi&) = delete;
  BoardApi& operator=(const BoardApi&) = delete;
  void add_to(admin::HttpServer& http);  // which outlives the home loop's run

 private:
  struct Reading;
  struct Stream;
  using ReadingPtr = std::shared_ptr<Reading>;
  using StreamPtr = std::shared_ptr<Stream>;
  void list(const admin::Request& r, const admin::Responder& done) const;
  void open(const admin::Request& r, const admin::EventStream& events);
  void twin(const admin::Request& r, const admin::Responder& done) const;
  // Reads what has changed since the last time from each partition; `then` once, when all have
  // answered or failed.
  void read(const ReadingPtr& reading, std::function<void()> then) const;
  void read_partition(const ReadingPtr& reading, std::uint32_t partition,
                      const std::function<void()>& done) const;
  void arm();
  void look();

  const link::Asker& asker_;
  std::uint32_t partitions_;
  std::unique_ptr<boost::asio::steady_timer> timer_;
  bool armed_ = false;
  std::vector<StreamPtr> streams_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::rest
