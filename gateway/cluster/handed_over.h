// What is left of an edge process when its successor has everything: it waits to be ended, because
// what has started it would start it again, and that process would take everything back. On the
// main thread.
#pragma once

#include "gateway/cluster/end_asked.h"
#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// Answers probes on the listening Unix socket `admin_socket` (-1: none) meanwhile: alive, and not
// ready. Returns when it is to end.
void wait_handed_over(EndAsked& end, const Config& config, int admin_socket);

}  // namespace berth::gateway::cluster
