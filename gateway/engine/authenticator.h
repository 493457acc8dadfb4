// Decides on a CONNECT's user name and password. What needs no hashing is decided at once; PBKDF2
// runs on one thread of its own with a bounded queue, so a storm of logins never stalls the shard
// and never grows memory: what does not fit is refused with "server busy". Who fails often is
// refused unasked (login_throttle.h).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "gateway/engine/login_throttle.h"
#include "gateway/engine/password_file.h"
#include "protocol/mqtt/types.h"
#include "session/effects.h"

namespace berth::gateway::engine {

enum class Anonymous : unsigned char { never, loopback, always };

class Authenticator {
 public:
  using Done = std::function<void(protocol::mqtt::Reason)>;
  using Poster = std::function<void(std::function<void()>)>;
  Authenticator(Anonymous anonymous, std::optional<PasswordFile> passwords,
                LoginThrottle::Options throttle, Poster post);
  ~Authenticator();
  // `done` runs before this returns, or later through the Poster.
  void check(session::AuthRequest request, Done done);

 private:
  struct Job {
    session::AuthRequest request;
    Done done;
  };
  void work();
  bool has_room();
  void answer(const session::AuthRequest& request, const Done& done, bool good);
  Anonymous anonymous_;
  std::optional<PasswordFile> passwords_;
  Poster post_;
  LoginThrottle throttle_;  // of the caller's thread
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace berth::gateway::engine
