#include "gateway/node/usage.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/registry/registry.pb.h"

namespace berth::gateway {

namespace json = boost::json;
using session::kUsageFields;
using session::Usage;
using session::UsageField;
using session::UsageOf;

namespace {

constexpr std::size_t kSampled = 2000;
constexpr std::size_t kListDefault = 20;
constexpr std::size_t kListMax = 1000;
const std::string kTenant = "berth_tenant_";
const std::string kSite = "berth_site_";
const std::string kPerSecond = "_per_second";
const std::string kReport = "usage";  // its label value: encode_usage()

const char* help_of(const std::string& field) {
  return field == "queue_bytes"         ? "Bytes in stored queues"
         : field == "retained_messages" ? "Retained messages"
         : field == "slowed"            ? "Messages that waited for a quota"
         : field == "dropped" ? "Messages dropped for a quota or a full queue, or not retained"
         : field == "refused" ? "Connections and commands refused for a quota"
         : field == "bytes"
             ? "Payload and topic bytes of messages received"
             : "Of devices and accounts of the registry, now or since the engine began";
}

json::object object_of(const UsageOf& u) {
  json::object o;
  for (const UsageField& f : kUsageFields) {
    o[f.name] = u.usage.*f.value;
    if (f.counter) o[std::string(f.name) + "_per_s"] = u.per_s.*f.value;
  }
  return o;
}

admin::Response json_page(const json::object& o) {
  return {200, "application/json", json::serialize(o) + "\n", {}};
}

// Nothing: there is no such field.
std::function<std::uint64_t(const UsageOf&)> field_of(const std::string& name) {
  for (const UsageField& f : kUsageFields) {
    if (name == f.name) return [value = f.value](const UsageOf& u) { return u.usage.*value; };
    if (f.counter && name == std::string(f.name) + "_per_s")
      return [value = f.value](const UsageOf& u) { return u.per_s.*value; };
  }
  return {};
}

admin::Response ranking(const Usages& all, const admin::Request& r) {
  static const admin::Parameters kKnown{{"by", {}},
                                        {"limit", {admin::Parameter::Kind::number, kListMax}}};
  const std::string fault = admin::fault_of(r, kKnown);
  if (!fault.empty()) return admin::problem(admin::codes::kInvalid, fault);
  const std::string by = r.parameter("by").empty() ? "messages_per_s" : r.parameter("by");
  const auto field = field_of(by);
  if (!field) return admin::problem(admin::codes::kInvalid, "by: no such field");
  std::vector<const UsageOf*> tenants;
  for (const UsageOf& u : all) {
    if (u.site.empty()) tenants.push_back(&u);
  }
  std::sort(tenants.begin(), tenants.end(), [&](const UsageOf* a, const UsageOf* b) {
    return std::pair(field(*b), a->tenant) < std::pair(field(*a), b->tenant);
  });
  const std::size_t limit = admin::number(r, "limit", kListDefault);
  json::array items;
  for (std::size_t i = 0; i < tenants.size() && i < limit; ++i) {
    json::object o = object_of(*tenants[i]);
    o["tenant"] = tenants[i]->tenant;
    items.push_back(std::move(o));
  }
  return json_page({{"by", by}, {"tenants", tenants.size()}, {"items", std::move(items)}});
}

}  // namespace

void put_usage(const std::string& label_value, bool site, const UsageOf& u,
               std::vector<metrics::Sample>& out) {
  const std::string prefix = site ? kSite : kTenant;
  const char* label = site ? "site" : "tenant";
  for (const UsageField& f : kUsageFields) {
    out.push_back({prefix + f.name + (f.counter ? "_total" : ""), label, label_value,
                   help_of(f.name), f.counter, u.usage.*f.value});
    if (f.counter)
      out.push_back({prefix + f.name + kPerSecond, label, label_value, "In the last second", false,
                     u.per_s.*f.value});
  }
}

Usages usage_of(const session::Broker& broker) {
  Usages all;
  broker.accounts().each([&](const session::Account& a) {
    all.push_back({a.tenant(), a.site(), a.usage, a.per_s});
  });
  return all;
}

Usages sum_of(const Usages& all) {
  std::map<std::pair<std::string, std::string>, UsageOf> sums;
  for (const UsageOf& u : all) {
    UsageOf& sum = sums[{u.tenant, u.site}];
    sum.tenant = u.tenant;
    sum.site = u.site;
    sum.usage += u.usage;
    sum.per_s += u.per_s;
  }
  Usages out;
  for (auto& [key, u] : sums) out.push_back(std::move(u));
  return out;
}

Usages most_used(Usages all) {
  const auto more = [](const UsageOf& a, const UsageOf& b) {
    return a.usage.connections > b.usage.connections;
  };
  if (all.size() > kSampled) {
    std::partial_sort(all.begin(), all.begin() + kSampled, all.end(), more);
    all.resize(kSampled);
  }
  return all;
}

std::vector<metrics::Sample> usage_samples(const Usages& all) {
  std::vector<metrics::Sample> out;
  for (const UsageOf& u : all) {
    const bool site = !u.site.empty();
    put_usage(site ? u.tenant + "/" + u.site : u.tenant, site, u, out);
  }
  return out;
}

metrics::Sample usage_report(const Usages& all) {
  return {kReport, "", encode_usage(all), "", false, 0};
}

Usages take_usage(std::vector<metrics::Sample>& samples) {
  Usages out;
  std::map<std::string, UsageOf> found;  // by "tenant" or "tenant/site"
  std::erase_if(samples, [&](const metrics::Sample& s) {
    if (s.family == kReport) {
      for (UsageOf& u : decode_usage(s.label_value)) out.push_back(std::move(u));
      return true;
    }
    const bool tenant = s.family.starts_with(kTenant);
    if (!tenant && !s.family.starts_with(kSite)) return false;
    const std::string name = s.family.substr((tenant ? kTenant : kSite).size());
    UsageOf& u = found[s.label_value];
    const std::size_t slash = s.label_value.find('/');
    u.tenant = s.label_value.substr(0, slash);
    if (slash != std::string::npos) u.site = s.label_value.substr(slash + 1);
    for (const UsageField& f : kUsageFields) {
      if (name == f.name || name == std::string(f.name) + "_total") u.usage.*f.value = s.value;
      if (name == f.name + kPerSecond) u.per_s.*f.value = s.value;
    }
    return true;
  });
  for (auto& [key, u] : found) out.push_back(std::move(u));
  return out;
}

std::string encode_usage(const Usages& all) {
  registry::pb::UsageReport report;
  for (const UsageOf& u : all) {
    auto& e = *report.add_entries();
    e.set_tenant(u.tenant);
    e.set_site(u.site);
    for (const UsageField& f : kUsageFields) {
      e.add_now(u.usage.*f.value);
      e.add_per_s(u.per_s.*f.value);
    }
  }
  return report.SerializeAsString();
}

Usages decode_usage(const std::string& report) {
  registry::pb::UsageReport in;
  Usages out;
  if (!in.ParseFromString(report)) return out;
  for (const auto& e : in.entries()) {
    UsageOf u{e.tenant(), e.site(), {}, {}};
    for (std::size_t i = 0; i < kUsageFields.size(); ++i) {
      const int at = static_cast<int>(i);
      if (at < e.now_size()) u.usage.*kUsageFields[i].value = e.now(at);
      if (at < e.per_s_size()) u.per_s.*kUsageFields[i].value = e.per_s(at);
    }
    out.push_back(std::move(u));
  }
  return out;
}

std::string usage_tenant(const admin::Request& r) {
  return r.capture("tenant");
}

admin::Response usage_page(const Usages& all, const admin::Request& r, bool registered) {
  const std::string tenant = usage_tenant(r);
  if (tenant.empty()) return ranking(all, r);
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, tenant)) return std::move(*no);
  const std::string fault = admin::fault_of(r, {});
  if (!fault.empty()) return admin::problem(admin::codes::kInvalid, fault);
  json::object out;
  json::object sites;
  for (const UsageOf& u : all) {
    if (u.tenant != tenant) continue;
    if (u.site.empty()) {
      out = object_of(u);
    } else if (r.caller.sees_site(u.site)) {
      sites[u.site] = object_of(u);
    }
  }
  if (out.empty() && !registered) return admin::problem(admin::codes::kNotFound, "no such tenant");
  if (out.empty()) out = object_of({tenant, {}, {}, {}});
  out["tenant"] = tenant;
  out["sites"] = std::move(sites);
  return json_page(out);
}

}  // namespace berth::gateway
