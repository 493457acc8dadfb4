// What tenants and sites use, for those who ask: Prometheus, operators, other partitions.
#pragma once

#include <string>
#include <vector>

#include "gateway/admin/http_server.h"
#include "metrics/probe.h"
#include "session/broker.h"

namespace berth::gateway {

using Usages = std::vector<session::UsageOf>;

Usages usage_of(const session::Broker& broker);
// One entry for each tenant and site.
Usages sum_of(const Usages& all);

// berth_tenant_*{tenant} and berth_site_*{site="TENANT/SITE"}; of the 2,000 with most connections.
Usages most_used(Usages all);
std::vector<metrics::Sample> usage_samples(const Usages& all);  // all of them: most_used() first
Usages usage_from(const std::vector<metrics::Sample>& samples);

std::string encode_usage(const Usages& all);  // registry.proto: UsageReport
Usages decode_usage(const std::string& report);

// GET /api/v1/usage?by=messages_per_s&limit=20: tenants, who uses most first;
// GET /api/v1/usage/TENANT: one, with its sites.
admin::Response usage_page(const Usages& all, const admin::Request& request);

}  // namespace berth::gateway
