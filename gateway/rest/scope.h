// What accounts may do with the registry's records (docs/api.md, "What an account may do"). An
// account sees its own tenant, or some sites of it. With the right "change" it changes sites,
// products and devices; tenants (limits) and accounts (credentials, rights) are changed with the
// admin token only, so that no account gives itself more. Any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "gateway/admin/problem.h"
#include "gateway/registry/records.h"

namespace berth::gateway::registry {

// Why the caller may not; nothing: it may. `key.name` empty: all of the kind, of a tenant; of
// tenants `key.tenant` is empty then. `stored`: the record; null: there is none. A PUT or PATCH of
// a device is also asked about with what it becomes.
std::optional<admin::Response> refusal_of(const admin::Caller& caller, admin::Right right,
                                          const Key& key, const std::string* stored);
// Why the caller may not let a device be one behind, or one carried out by, these: a command for it
// goes to them, and its presence is theirs. Nothing: it may, or they were so before. `stored`: the
// device; null: there is none. `find`: a record by its key.
std::optional<admin::Response> refusal_of_links(
    const admin::Caller& caller, const Key& key, const std::string* stored, const Message& said,
    const std::function<const std::string*(const std::string& key)>& find);
// Is the record in a list that the caller gets?
bool in_list_of(const admin::Caller& caller, const Key& key, const std::string& stored);

// May it change these fields of the record? `changed`: of changed_fields(). The limits of a site
// are an administrator's, as those of its tenant.
std::optional<admin::Response> refusal_of_fields(const admin::Caller& caller, const Key& key,
                                                 const std::string& changed);

// "site,labels": names of the fields that differ, for the audit log.
std::string changed_fields(const std::string& key, const std::string* before,
                           const std::string* after);

}  // namespace berth::gateway::registry
