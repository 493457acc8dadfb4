// The one thread on which passwords are hashed, and who waits for it (login_queue.h). So a storm of
// log-ins never stalls the shard and never grows memory. Used on the owner's thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/address.h"
#include "base/ids.h"
#include "gateway/engine/login_queue.h"

namespace berth::gateway::engine {

class LoginHasher {
 public:
  // busy: dropped from the full queue without a check.
  enum class Outcome : std::uint8_t { good, bad, busy };
  using Poster = std::function<void(std::function<void()>)>;
  struct Job {
    base::ConnId conn = base::kNoConn;
    std::uint64_t tenant = 0;  // 0: of none
    base::Address from;
    std::function<bool()> work;  // is the password good; on the thread
    std::function<void(Outcome)> done;
  };
  explicit LoginHasher(Poster post) : post_(std::move(post)) {}
  ~LoginHasher();
  LoginHasher(const LoginHasher&) = delete;
  LoginHasher& operator=(const LoginHasher&) = delete;

  bool has_room(std::uint64_t tenant, const base::Address& from);
  // REQUIRES: has_room(). `done` runs through the Poster, unless the owner or a later job of the
  // same connection comes first.
  void add(Job job);
  void gone(base::ConnId conn);  // the connection has ended: its job comes last

 private:
  using Ticket = LoginQueue::Ticket;
  void work();
  void answer(Job job, Outcome outcome);
  Job take(Ticket t);  // of `jobs_`; one without work: there is none
  void answer_busy(std::unique_lock<std::mutex>& lock, std::optional<Ticket> t);

  Poster post_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is posted may come after us
  std::mutex mutex_;                                            // of all that follows
  std::condition_variable ready_;
  LoginQueue queue_;
  std::unordered_map<Ticket, Job> jobs_;
  boost::unordered_flat_map<std::uint64_t, Ticket> by_conn_;
  Ticket next_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace berth::gateway::engine
