// What an operator asks over REST of a running gateway, with or without a registry: sessions,
// traces, levels of the log, partitions, backups, uplinks (docs/operations.md, "Questions to a
// running gateway"). On the home loop of the admin port.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/backups_api.h"
#include "gateway/rest/log_level_api.h"
#include "gateway/rest/partitions_api.h"
#include "gateway/rest/sessions_api.h"
#include "gateway/rest/traces_api.h"
#include "gateway/rest/uplinks_api.h"

namespace berth::gateway::rest {

class OperatorApi {
 public:
  // `asker` outlives it.
  OperatorApi(const link::Asker& asker, std::uint32_t partitions)
      : sessions_(asker, partitions),
        traces_(asker, partitions),
        log_level_(asker),
        partitions_(asker, partitions),
        backups_(asker),
        uplinks_(asker) {}
  // Who is not reached by what is asked here of the whole gateway: its answers name them.
  void say_not_asked(const std::string& whom) { log_level_.say_not_asked(whom); }
  void add_to(admin::HttpServer& http) {
    sessions_.add_to(http);
    traces_.add_to(http);
    log_level_.add_to(http);
    partitions_.add_to(http);
    backups_.add_to(http);
    uplinks_.add_to(http);
  }

 private:
  SessionsApi sessions_;
  TracesApi traces_;
  LogLevelApi log_level_;
  PartitionsApi partitions_;
  BackupsApi backups_;
  UplinksApi uplinks_;
};

}  // namespace berth::gateway::rest
