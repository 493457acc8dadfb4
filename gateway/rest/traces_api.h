// Packet traces of one client, over REST (docs/operations.md, "A trace of one client"): POST
// /api/v1/traces, GET and DELETE /api/v1/traces/{id}. For administrators only: a trace has topics.
// Asks the engines of all partitions, which have the lines (gateway/engine/packet_traces.h). On the
// home loop of the admin port.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class TracesApi {
 public:
  // `asker` outlives it; on its edge shard's thread.
  TracesApi(const link::Asker& asker, std::uint32_t partitions)
      : asker_(asker), partitions_(partitions) {}
  void add_to(admin::HttpServer& http) const;

 private:
  void begin(const admin::Request& r, const admin::Responder& done) const;
  void read(const admin::Request& r, const admin::Responder& done) const;
  void end(const admin::Request& r, const admin::Responder& done) const;

  const link::Asker& asker_;
  std::uint32_t partitions_;
};

}  // namespace berth::gateway::rest
