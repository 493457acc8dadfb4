// What the platform behind the gateway asks over REST, in one process of the gateway, whichever
// engine knows the answer (docs/platform.md). On the home loop of the admin port.
#pragma once

#include <cstdint>
#include <utility>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/board_api.h"
#include "gateway/rest/commands_api.h"
#include "gateway/rest/console_sessions.h"
#include "gateway/rest/cursors.h"
#include "gateway/rest/departures_api.h"
#include "gateway/rest/desired_api.h"
#include "gateway/rest/events_api.h"
#include "gateway/rest/history_api.h"
#include "gateway/rest/insights_api.h"
#include "gateway/rest/operator_api.h"
#include "gateway/rest/passages_api.h"
#include "gateway/rest/presence_api.h"
#include "gateway/rest/profiles_api.h"

namespace berth::gateway::rest {

class PlatformApi {
 public:
  // As link::Asker has them. `tracer`: null: no request makes a span; outlives it.
  PlatformApi(std::uint32_t partitions, link::Asker::EngineOf engine_of,
              boost::asio::io_context* io = nullptr, metrics::EdgeProbe* probe = nullptr,
              tracing::Tracer* tracer = nullptr)
      : asker_(partitions, std::move(engine_of), io, probe),
        commands_(asker_, cursors_, {.partitions = partitions, .tracer = tracer}),
        events_(asker_, cursors_, partitions),
        board_(asker_, partitions),
        operators_(asker_, partitions) {}
  PlatformApi(const PlatformApi&) = delete;
  PlatformApi& operator=(const PlatformApi&) = delete;
  const link::Asker& asker() const { return asker_; }
  OperatorApi& operators() { return operators_; }    // also without a registry
  ConsoleSessions& sessions() { return sessions_; }  // the same
  InsightsApi& insights() { return insights_; }      // the same; add_to() adds them too
  PassagesApi& passages() { return passages_; }      // the same
  void add_to(admin::HttpServer& http) {
    commands_.add_to(http);
    desired_.add_to(http);
    presence_.add_to(http);
    history_.add_to(http);
    insights_.add_to(http);
    events_.add_to(http);
    board_.add_to(http);
    departures_.add_to(http);
    serve_profiles(http);
  }

 private:
  link::Asker asker_;
  Cursors cursors_{asker_};
  CommandsApi commands_;
  DesiredApi desired_{asker_, cursors_};
  PresenceApi presence_{asker_, cursors_};
  HistoryApi history_{asker_, cursors_};
  InsightsApi insights_{asker_};
  EventsApi events_;
  BoardApi board_;
  DeparturesApi departures_{asker_};
  PassagesApi passages_{asker_};
  OperatorApi operators_;
  ConsoleSessions sessions_{cursors_, asker_};
};

}  // namespace berth::gateway::rest
