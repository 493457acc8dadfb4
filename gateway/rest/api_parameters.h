// Which query parameters the requests of the registry's API take (docs/registry.md, "REST").
#pragma once

#include <string>

#include "gateway/admin/parameters.h"
#include "gateway/registry/records.h"

namespace berth::gateway::registry {

inline constexpr std::size_t kListMax = 1000;  // records of one answer

// `one`: of a single record, else of all of the kind.
inline const admin::Parameters& parameters_of(const std::string& method, bool one, Kind kind) {
  static const admin::Parameter kIsFlag{admin::Parameter::Kind::flag, 0};
  static const admin::Parameter kText{};
  static const admin::Parameters kNone;
  static const admin::Parameters kList{{"limit", {admin::Parameter::Kind::number, kListMax}},
                                       {"after", kText},
                                       {"cursor", kText},
                                       {"q", kText},
                                       {"label", kText}};
  static const admin::Parameters kDevices{{"limit", {admin::Parameter::Kind::number, kListMax}},
                                          {"after", kText},
                                          {"cursor", kText},
                                          {"q", kText},
                                          {"label", kText},
                                          {"site", kText},
                                          {"product", kText},
                                          {"enabled", kIsFlag}};
  static const admin::Parameters kChange{{"dry_run", kIsFlag}};
  static const admin::Parameters kRemove{{"dry_run", kIsFlag}, {"recursive", kIsFlag}};
  if (method == "GET") return one ? kNone : kind == Kind::device ? kDevices : kList;
  if (method == "PUT" || method == "PATCH" || method == "POST") return kChange;
  return method == "DELETE" ? kRemove : kNone;
}

inline const admin::Parameters& parameters_of_registry(const std::string& what) {
  static const admin::Parameter kIsFlag{admin::Parameter::Kind::flag, 0};
  static const admin::Parameters kNone;
  static const admin::Parameter kText{};
  static const admin::Parameters kExport{
      {"secrets", kIsFlag}, {"format", kText}, {"encoding", kText}};
  static const admin::Parameters kImport{{"dry_run", kIsFlag}, {"replace", kIsFlag}};
  return what == "/export" ? kExport : what == "/import" ? kImport : kNone;
}

}  // namespace berth::gateway::registry
