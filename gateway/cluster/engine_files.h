// The files of an engine beside its configuration. A standby checks them before it is asked to
// serve: a standby with bad files must not replace an engine that works (I14). Any thread.
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/node/proof.h"

namespace berth::gateway::cluster {

// Access rules, passwords and registry, which an engine reads when it begins to serve: the name of
// a bad file and what is wrong with it; empty: all are good. Blocks for milliseconds.
std::string engine_files_error(const Config& config);
// The same of what has been found wrong already.
std::string engine_files_error(const std::vector<Wrong>& wrong);

}  // namespace berth::gateway::cluster
