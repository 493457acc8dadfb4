// Who may ask the admin port for what (docs/security.md, "Admin port"). Three questions, in this
// order, before a request's body is read: is the Host a name of ours (a page that has bound its own
// name to our address shows that name), does a browser say that another page asks, is the admin
// token shown where a credential is needed (accounts.h has the other credentials). No sockets; the
// server's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateway/admin/caller.h"

namespace berth::gateway::admin {

struct Peer {
  bool local_socket = false;  // came over the Unix socket, as a user who may
  bool loopback = false;      // came from this machine
  std::string came_to;        // our address of the connection, "192.0.2.1"
};

// The parts of a request's head that decide. Absent headers are empty optionals.
struct AskedFor {
  std::string method;
  std::string path;
  std::optional<std::string> host;       // of Host
  std::optional<std::string> authority;  // of an absolute-form target
  std::optional<std::string> origin;
  std::optional<std::string> fetch_site;
  std::optional<std::string> authorization;
  bool old_version = false;  // HTTP/1.0: Host may be absent
  bool repeated = false;     // one of these headers came twice
  std::string cookie;  // of a session that `authorization` is of; empty: it is the client's own
};

class Guard {
 public:
  struct Options {
    std::string listen_host;
    std::vector<std::string> allowed_hosts;  // admin.allowed_hosts
    std::function<std::string()> token;      // asked for each request; empty: no client has one
  };
  struct Verdict {
    int status = 0;      // 0: allowed
    std::string reason;  // of a metric: host, origin, token, malformed
    std::string text;    // for who asked
    Caller caller = {};  // of who is allowed
    // A credential is shown that is not the admin token: it may be an account's.
    bool other_credential = false;
  };
  explicit Guard(Options options);
  Verdict judge(const Peer& peer, const AskedFor& what) const;
  // Liveness, readiness, start-up and metrics: answered without a token and when all else is busy.
  static bool is_probe(const std::string& path);
  // The console's own files, which hold nothing secret: whoever reaches the port may look, and
  // follow a link to them from another site.
  static bool is_page(const std::string& method, const std::string& path);

 private:
  bool known_host(const Peer& peer, const std::string& authority) const;
  bool token_shown(const std::optional<std::string>& authorization) const;
  Options options_;
};

// "name:8080", "[::1]:8080", "192.0.2.1" without the port, in lower case.
std::string host_of(const std::string& authority);
bool is_loopback_name(const std::string& host);  // localhost, 127.0.0.0/8, ::1

}  // namespace berth::gateway::admin
