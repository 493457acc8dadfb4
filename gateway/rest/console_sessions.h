// Log-in of the console (docs/console.md): POST, GET and DELETE /api/v1/session. The cookie's value
// is sealed with the key that all processes of the gateway share (cursors.h).
//
//   cookie := SEAL(issued_s ' ' csrf ' ' authorization)
//
// A session lasts kSessionLasts_s, whatever happens meanwhile; log-out takes the cookie from the
// browser. On the home loop of the admin port, but for check().
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/admin/sessions.h"
#include "gateway/rest/cursors.h"

namespace berth::gateway::rest {

inline constexpr std::int64_t kSessionLasts_s = std::int64_t{12} * 3600;

class ConsoleSessions {
 public:
  // `cursors` outlives it.
  explicit ConsoleSessions(Cursors& cursors) : cursors_(cursors) {}
  void add_to(admin::HttpServer& http);

  // Of what was sealed. `now_s`: Unix time.
  static std::string close(const Seal& seal, const admin::OpenedSession& s, std::int64_t now_s);
  static std::optional<admin::OpenedSession> open(const Seal& seal, const std::string& cookie,
                                                  std::int64_t now_s);

 private:
  void begin(const admin::Request& r, const admin::Responder& done);
  void show(const admin::Request& r, const admin::Responder& done);

  Cursors& cursors_;
};

}  // namespace berth::gateway::rest
