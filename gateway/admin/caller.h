// Who makes a request of the admin port and what that caller may do (docs/security.md, "Admin
// port"), and the request's place in a trace (W3C Trace Context). Values; any thread.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace berth::gateway::admin {

struct Trace {
  std::string trace_id;   // 32 hex digits; of the caller's traceparent, else made for this request
  std::string parent_id;  // 16 hex digits: the caller's span; empty: the trace begins here
  std::string span_id;    // 16 hex digits: this request
  bool sampled = false;   // as the caller said
  std::string traceparent() const;  // for what this request causes, and for its answer
};
// `traceparent`: the header, version 00 or a later one. Of another form, or absent: a new trace.
Trace trace_of(std::string_view traceparent);

enum class Right { read, change, command };

struct Caller {
  enum class Kind {
    nobody,    // without a credential: probes, metrics, the status on this host
    admin,     // the admin token, or the local socket: everything
    service,   // an account of the registry
    operator_  // the same, of role operator: at most Right::read
  };
  Kind kind = Kind::nobody;
  std::string id;      // for the audit log: "admin_token", "local_socket", "platform@acme"
  std::string tenant;  // whose records it sees; empty: all (REQUIRES: kind is not service)
  std::vector<std::string> sites = {};  // of the tenant; none: all of them
  bool may_read = false;
  bool may_change = false;
  bool may_command = false;
  bool may_see_plates = false;  // whole plates of vehicles, which are personal
  Trace trace = {};

  bool may(Right r) const {
    return r == Right::read ? may_read : r == Right::change ? may_change : may_command;
  }
  bool sees_tenant(std::string_view name) const { return tenant.empty() || tenant == name; }
  // `site`: of the record; empty: the record belongs to no site.
  bool sees_site(std::string_view site) const {
    return sites.empty() || std::find(sites.begin(), sites.end(), site) != sites.end();
  }
  // Whose share of a bounded table this caller uses: its tenant's, or its own.
  const std::string& share() const { return tenant.empty() ? id : tenant; }
};
Caller admin_caller(std::string id);

}  // namespace berth::gateway::admin
