// Log-in of the console (docs/console.md): POST, GET and DELETE /api/v1/session. The cookie's value
// is sealed with the key that all processes of the gateway share (cursors.h).
//
//   cookie := SEAL(issued_s ' ' csrf ' ' authorization)
//
// A session lasts kSessionLasts_s, or until it is logged out (ended_sessions.h), whatever happens
// meanwhile. On the home loop of the admin port, but for what use_sessions() gives the server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/admin/sessions.h"
#include "gateway/rest/cursors.h"
#include "gateway/rest/ended_sessions.h"
#include "platform/ended_sessions.h"

namespace berth::gateway::rest {

inline constexpr std::int64_t kSessionLasts_s = platform::EndedSessions::kLasts_s;

class ConsoleSessions {
 public:
  // Both outlive it.
  ConsoleSessions(Cursors& cursors, const link::Asker& asker);
  void add_to(admin::HttpServer& http);

  // What is sealed is the log-in and its csrf. `now_s`: Unix time.
  static std::string close(const Seal& seal, const admin::OpenedSession& s, std::int64_t now_s);
  // good, ended (too old), or none.
  static admin::SessionAnswer open(const Seal& seal, const std::string& cookie, std::int64_t now_s);

 private:
  void begin(const admin::Request& r, const admin::Responder& done);
  void show(const admin::Request& r, const admin::Responder& done);
  void end(const admin::Request& r, const admin::Responder& done);
  void look_at(const std::string& cookie, std::function<void(admin::SessionAnswer)> then);

  Cursors& cursors_;
  EndedSessions ended_;
};

}  // namespace berth::gateway::rest
