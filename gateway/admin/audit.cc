#include "gateway/admin/audit.h"

#include <functional>

#include "base/log.h"
#include "base/log_event.h"
#include "gateway/admin/parameters.h"

namespace berth::gateway::admin {

using base::LogEvent;
using base::LogKind;
using Outcome = LogKind::Outcome;

namespace {

// No limit applies to these two kinds: only a caller with a good credential, or on the local
// socket, causes such a line, and an audit log must have no gaps.
const LogKind kChanged{"admin change", base::LogLevel::info, Outcome::success, "admin"};
const LogKind kFailed{"admin change", base::LogLevel::warn, Outcome::failure, "admin", "failed"};
// These are asked for, or caused by strangers: a number of them in a time (LogKind).
const LogKind kRefused{"admin refused", base::LogLevel::warn, Outcome::failure, "admin"};
const LogKind kAsked{"admin request", base::LogLevel::debug, Outcome::success, "admin"};

void add(LogEvent& e, const Connection& c, const Asked& asked, int status) {
  if (c.peer.local_socket) {
    e.add("from", "local_socket");
  } else {
    const bool v6 = c.address.find(':') != std::string::npos;
    e.add("peer", (v6 ? "[" + c.address + "]" : c.address) + ":" + std::to_string(c.port));
  }
  e.add("method", asked.method).add("path", asked.path).add("status", status);
  e.add("trace_id", asked.trace_id);
}

std::uint64_t source_of(const Connection& c) {
  return std::hash<std::string>{}(c.address);
}

}  // namespace

Asked asked_of(const Request& r) {
  return {r.method,    r.path,          flag(r, "dry_run"),
          r.caller.id, r.caller.tenant, r.caller.trace.trace_id};
}

void log_answered(const Connection& c, const Asked& asked, const Response& answer) {
  const bool looks = asked.method == "GET" || asked.method == "HEAD" || asked.dry_run;
  const LogKind& kind = looks ? kAsked : answer.status < 400 ? kChanged : kFailed;
  if (looks ? !kind.admits(source_of(c)) : !kind.wanted()) return;
  LogEvent e(kind);
  e.add("user", asked.user).add("tenant", asked.tenant);
  add(e, c, asked, answer.status);
  e.add("changed", answer.changed);
  if (asked.dry_run) e.add("dry_run", "true");
}

void log_refused(const Connection& c, const Asked& asked, int status, const std::string& reason) {
  if (!kRefused.admits(source_of(c))) return;
  LogEvent e(kRefused);
  e.add("user", asked.user).add("tenant", asked.tenant);
  add(e, c, asked, status);
  e.add("reason", reason);
}

}  // namespace berth::gateway::admin
