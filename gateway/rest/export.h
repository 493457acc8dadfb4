// All devices as a table for a spreadsheet: GET /api/v1/registry/export?format=csv
// (docs/registry.md). On the registry's thread, in parts of some records.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "gateway/admin/message.h"
#include "gateway/registry/registry.h"

namespace berth::gateway::registry {

// Why ?format= and ?encoding= are refused; empty: they are good.
std::string fault_of_export(const admin::Request& r);
bool wants_csv(const admin::Request& r);
// REQUIRES: wants_csv(). Devices that are registered meanwhile may be missing, and so may their
// labels.
boost::asio::awaitable<admin::Response> export_csv(const Registry& registry, admin::Request r);

}  // namespace berth::gateway::registry
