#include "gateway/rest/scope.h"

#include <boost/json.hpp>

#include "gateway/registry/merge.h"

namespace berth::gateway::registry {

using admin::Right;
namespace codes = admin::codes;

namespace {

// Of the record; empty: of no site.
std::string site_of(const Key& key, const std::string* stored) {
  if (key.kind == Kind::site) return std::string(key.name);
  pb::Device d;
  if (key.kind != Kind::device || stored == nullptr || !d.ParseFromString(*stored)) return {};
  return d.site();
}

}  // namespace

std::optional<admin::Response> refusal_of(const admin::Caller& caller, Right right, const Key& key,
                                          const std::string* stored) {
  if (caller.kind == admin::Caller::Kind::admin) return std::nullopt;
  const bool all_tenants = key.kind == Kind::tenant && key.tenant.empty();
  if (all_tenants && right == Right::read) return admin::refusal_of(caller, right, caller.tenant);
  std::string site = site_of(key, stored);
  // A new device: its site is asked about when it is known.
  if (key.kind == Kind::device && stored == nullptr && !caller.sites.empty())
    site = caller.sites.front();
  if (auto no = admin::refusal_of(caller, right, key.tenant, site)) return no;
  if (key.kind == Kind::account && !caller.sites.empty())
    return admin::problem(codes::kForbidden, "'" + caller.id + "' is confined to some sites");
  const bool kept_for_admins = key.kind == Kind::tenant || key.kind == Kind::account;
  if (right != Right::read && kept_for_admins)
    return admin::problem(codes::kForbidden, "tenants and accounts: with the admin token only");
  return std::nullopt;
}

std::optional<admin::Response> refusal_of_links(
    const admin::Caller& caller, const Key& key, const std::string* stored, const Message& said,
    const std::function<const std::string*(const std::string& key)>& find) {
  if (key.kind != Kind::device || caller.sites.empty()) return std::nullopt;
  const auto& d = static_cast<const pb::Device&>(said);
  pb::Device before;
  if (stored != nullptr && !before.ParseFromString(*stored)) before.Clear();
  const auto refusal = [&](const char* what, const std::string& name, const std::string& old) {
    if (name.empty() || name == old) return std::optional<admin::Response>();
    const Key other{Kind::device, key.tenant, name};
    const std::string* there = find(key_of(Kind::device, key.tenant, name));
    if (there != nullptr && caller.sees_site(site_of(other, there)))
      return std::optional<admin::Response>();
    // As of a name that nobody has.
    return std::optional(admin::problem(codes::kInvalid, std::string("no ") + what + " '" + name +
                                                             "' in tenant '" +
                                                             std::string(key.tenant) + "'"));
  };
  if (auto no = refusal("parent", d.parent(), before.parent())) return no;
  return refusal("executor", d.executor(), before.executor());
}

bool in_list_of(const admin::Caller& caller, const Key& key, const std::string& stored) {
  if (!caller.sees_tenant(key.tenant)) return false;
  if (caller.sites.empty()) return true;
  const std::string site = site_of(key, &stored);
  return site.empty() || caller.sees_site(site);
}

std::optional<admin::Response> refusal_of_fields(const admin::Caller& caller, const Key& key,
                                                 const std::string& changed) {
  const bool limits = ("," + changed + ",").find(",limits,") != std::string::npos;
  if (caller.kind == admin::Caller::Kind::admin || key.kind != Kind::site || !limits)
    return std::nullopt;
  return admin::problem(codes::kForbidden, "limits: with the admin token only");
}

std::string changed_fields(const std::string& key, const std::string* before,
                           const std::string* after) {
  std::string names;
  const boost::json::object all = difference(key, before, after);
  for (const auto& field : all.at("fields").as_object())
    names.append(names.empty() ? "" : ",").append(field.key());
  return names;
}

}  // namespace berth::gateway::registry
