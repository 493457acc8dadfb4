// The log of the admin port: a line for each request that may change something (every method but
// GET and HEAD), and for each that is refused. Who (address, or the local socket), with what
// credential, what, in which trace and how it ended; of a change the names of the fields; never a
// token, a value, a body or a query beyond dry_run. The server's thread.
#pragma once

#include <string>

#include "gateway/admin/connections.h"
#include "gateway/admin/message.h"

namespace berth::gateway::admin {

struct Asked {
  std::string method;
  std::string path;
  bool dry_run = false;
  std::string user;    // Caller::id
  std::string tenant;  // Caller::tenant
  std::string trace_id;
};
Asked asked_of(const Request& r);

void log_answered(const Connection& c, const Asked& asked, const Response& answer);
// `reason`: of Guard::Verdict, or another word.
void log_refused(const Connection& c, const Asked& asked, int status, const std::string& reason);

}  // namespace berth::gateway::admin
