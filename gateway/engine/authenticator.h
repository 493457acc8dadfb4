// Decides on a CONNECT: by the registry, by the password file, or that nobody need say who he is.
// What needs no password hash is decided at once; password hashes are made on a thread of their own
// (login_hasher.h), what does not fit into its queue is refused with "server busy". Who fails often
// is refused unasked (login_throttle.h), who has been here with this password is known
// (verified_logins.h).
//
// A name nobody has is refused after as long a time as a wrong password of somebody: it costs a
// hash too, of one of the costs that are in use.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "gateway/engine/login_hasher.h"
#include "gateway/engine/login_options.h"
#include "gateway/engine/login_throttle.h"
#include "gateway/engine/password_file.h"
#include "gateway/engine/verified_logins.h"
#include "gateway/registry/registry.h"
#include "session/effects.h"

namespace berth::gateway::engine {

class Authenticator {
 public:
  static constexpr std::size_t kNameMax = PasswordFile::kNameMax;  // bytes
  static constexpr std::size_t kPasswordMax = 1024;
  using Done = std::function<void(session::AuthResult)>;
  using Poster = LoginHasher::Poster;
  struct Options {
    Anonymous anonymous = Anonymous::never;
    bool unbound_proofs = false;  // keys may be proved for any client id
    std::optional<PasswordFile> passwords;
    LoginThrottle::Options throttle;
    const registry::Registry* registry = nullptr;  // null: none; of the caller's thread
    std::shared_ptr<LoginMemory> memory;           // null: one of its own
  };
  Authenticator(Options options, Poster post);
  // `done` runs before this returns, or later through the Poster.
  void check(session::AuthRequest request, Done done, base::ConnId conn = base::kNoConn);
  // The connection has ended. If its password waits to be hashed, others come first; too many of
  // those are answered with "server busy".
  void closed(base::ConnId conn) { hasher_.gone(conn); }
  // Replaces the password file for log-ins to come.
  void use_passwords(PasswordFile file);

 private:
  using Request = std::shared_ptr<const session::AuthRequest>;
  using Login = registry::Registry::Login;
  // What there is to do about a name and a password.
  struct Plan {
    enum class Do : std::uint8_t { admit, refuse, hash, pretend } what = Do::refuse;
    std::optional<Login> login;  // of the registry
    std::string stored;          // hash: what is to be compared with
    int iterations = 0;          // pretend
    std::string why;             // refuse, pretend: for the log
  };
  bool nobody_asks(const session::AuthRequest& request) const;
  Plan plan(const session::AuthRequest& request) const;
  Plan refusal(const session::AuthRequest& request, std::string why) const;
  void follow(Plan plan, Request request, const Done& done, base::ConnId conn);
  void check_certificate(const session::AuthRequest& request, const Done& done);
  std::string key_fault(const session::AuthRequest& request,
                        const registry::pb::Credential& c) const;
  std::uint64_t tenant_of(const session::AuthRequest& request) const;
  void answer(const Plan& plan, const session::AuthRequest& request, LoginHasher::Outcome outcome,
              const Done& done);
  void admit(const session::AuthRequest& request, const std::optional<Login>& login,
             const Done& done);
  void refuse(const session::AuthRequest& request, const std::string& why, const Done& done);

  Options options_;
  LoginThrottle throttle_;
  VerifiedLogins verified_;
  base::SipKey key_;  // for the costs of names nobody has
  LoginHasher hasher_;
};

}  // namespace berth::gateway::engine
