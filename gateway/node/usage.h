// What tenants and sites use, for those who ask: Prometheus, operators, other partitions.
#pragma once

#include <string>
#include <vector>

#include "gateway/admin/http_server.h"
#include "metrics/probe.h"
#include "front/broker.h"

namespace berth::gateway {

using Usages = std::vector<session::UsageOf>;

Usages usage_of(const session::Broker& broker);
// One entry for each tenant and site.
Usages sum_of(const Usages& all);

// Appends berth_tenant_*{tenant} or berth_site_*{site}, with this label value.
void put_usage(const std::string& label_value, bool site, const session::UsageOf& u,
               std::vector<metrics::Sample>& out);

// An engine's answer to an edge that asks for its figures: all of them in one sample, or, to an
// edge of the release before this one, as the samples of the 2,000 with most connections.
metrics::Sample usage_report(const Usages& all);
Usages most_used(Usages all);
std::vector<metrics::Sample> usage_samples(const Usages& all);  // all of them: most_used() first
Usages take_usage(std::vector<metrics::Sample>& samples);       // of either; takes them out

std::string encode_usage(const Usages& all);  // registry.proto: UsageReport
Usages decode_usage(const std::string& report);

// GET /api/v1/usage?by=messages_per_s&limit=20: tenants, who uses most first;
// GET /api/v1/usage/TENANT: one, with its sites. `registered`: usage_tenant() is in the registry;
// zeros if nobody of it has been here.
admin::Response usage_page(const Usages& all, const admin::Request& request, bool registered);
std::string usage_tenant(const admin::Request& request);  // empty: it asks for all

}  // namespace berth::gateway
