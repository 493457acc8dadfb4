// Decides on a CONNECT: by the registry, by the password file, or that nobody need say who he is.
// What needs no password hash is decided at once; PBKDF2 runs on one thread of its own with a
// bounded queue, so a storm of logins never stalls the shard and never grows memory: what does not
// fit is refused with "server busy". Who fails often is refused unasked (login_throttle.h), who has
// been here with this password is known (verified_logins.h).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "gateway/engine/login_options.h"
#include "gateway/engine/login_throttle.h"
#include "gateway/engine/password_file.h"
#include "gateway/engine/verified_logins.h"
#include "gateway/registry/registry.h"
#include "session/effects.h"

namespace berth::gateway::engine {

class Authenticator {
 public:
  using Done = std::function<void(session::AuthResult)>;
  using Poster = std::function<void(std::function<void()>)>;
  struct Options {
    Anonymous anonymous = Anonymous::never;
    std::optional<PasswordFile> passwords;
    LoginThrottle::Options throttle;
    const registry::Registry* registry = nullptr;  // null: none; of the caller's thread
  };
  Authenticator(Options options, Poster post);
  ~Authenticator();
  // Replaces the password file for log-ins to come.
  void use_passwords(PasswordFile file);
  // `done` runs before this returns, or later through the Poster.
  void check(session::AuthRequest request, Done done);

 private:
  struct Job {
    session::AuthRequest request;
    Done done;
    std::optional<registry::Registry::Login> login;  // nothing: in the password file
    std::shared_ptr<const PasswordFile> file = {};
  };
  using Login = registry::Registry::Login;
  void check_certificate(const session::AuthRequest& request, const Done& done);
  bool needs_hash(const session::AuthRequest& request, const Login& login) const;
  bool proves_key(const session::AuthRequest& request, const registry::pb::Credential& c) const;
  void hash_later(Job job);
  bool good_password(const Job& job) const;
  void admit(const session::AuthRequest& request, const Login& login, const Done& done);
  void refuse(const session::AuthRequest& request, const Done& done);
  void work();
  bool has_room();
  void answer(const Job& job, bool good);

  Options options_;
  std::shared_ptr<const PasswordFile> passwords_;  // null: none
  Poster post_;
  LoginThrottle throttle_;  // of the caller's thread, as what follows
  VerifiedLogins verified_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace berth::gateway::engine
