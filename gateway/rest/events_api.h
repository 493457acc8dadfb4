// What happens to devices, as it happens: GET /api/v1/events, Server-Sent Events
// (docs/platform.md). Asks the engines of all partitions what is new, for each stream, and says it
// in order (event_order.h). A stream whose client does not read asks for nothing. An account asks
// the history kFillsPerSecond times a second, whatever the number of its streams: they wait for
// each other, kFillWait_ms at most, then a `gap` says what is missing. On the home loop of the
// admin port.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/admin/events.h"
#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/cursors.h"
#include "platform/rates.h"

namespace berth::gateway::rest {

class EventsApi {
 public:
  // Both outlive it; `asker` on its edge shard's thread.
  EventsApi(const link::Asker& asker, Cursors& cursors, std::uint32_t partitions)
      : asker_(asker), cursors_(cursors), partitions_(partitions) {}
  EventsApi(const EventsApi&) = delete;
  EventsApi& operator=(const EventsApi&) = delete;
  void add_to(admin::HttpServer& http);  // which outlives the home loop's run

  // Of an account in this process; two seconds' worth at once.
  static constexpr std::uint32_t kFillsPerSecond = 20;
  static constexpr std::int64_t kFillWait_ms = 5000;

 private:
  struct Stream;
  using StreamPtr = std::shared_ptr<Stream>;  // of the table and of its questions under way
  void open(const admin::Request& r, const admin::EventStream& events);
  void begin(const StreamPtr& s, const std::string& id);
  void arm();
  void look();
  void ask(const StreamPtr& s);
  void answered(const StreamPtr& s, const std::vector<link::Answer>& answers);
  void ask_reports(const StreamPtr& s);
  void fill(const StreamPtr& s);
  bool may_fill(Stream& s);

  const link::Asker& asker_;
  Cursors& cursors_;
  std::uint32_t partitions_;
  std::unique_ptr<boost::asio::steady_timer> timer_;
  bool armed_ = false;
  admin::HttpServer* http_ = nullptr;
  platform::Rates fills_;  // by account
  std::vector<StreamPtr> streams_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::rest
