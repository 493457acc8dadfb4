#include "gateway/engine/authenticator.h"

namespace berth::gateway::engine {

using protocol::mqtt::Reason;

namespace {
constexpr std::size_t kJobsMax = 20'000;
}

Authenticator::Authenticator(Anonymous anonymous, std::optional<PasswordFile> passwords,
                             LoginThrottle::Options throttle, Poster post)
    : anonymous_(anonymous),
      passwords_(std::move(passwords)),
      post_(std::move(post)),
      throttle_(throttle) {
  if (passwords_) thread_ = std::thread([this] { work(); });
}

Authenticator::~Authenticator() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ready_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Authenticator::check(session::AuthRequest request, Done done) {
  if (!request.certificate.empty()) return done(Reason::success);
  const bool nobody =
      anonymous_ == Anonymous::always || (anonymous_ == Anonymous::loopback && request.loopback);
  if (!request.has_user_name) return done(nobody ? Reason::success : Reason::not_authorized);
  if (!passwords_) return done(nobody ? Reason::success : Reason::bad_user_name_or_password);
  if (!has_room()) return done(Reason::server_busy);
  if (!throttle_.may_try(request.address, request.user_name, base::now()))
    return done(Reason::connection_rate_exceeded);
  const std::lock_guard lock(mutex_);
  jobs_.push_back({std::move(request), std::move(done)});
  ready_.notify_one();
}

bool Authenticator::has_room() {
  const std::lock_guard lock(mutex_);
  return jobs_.size() < kJobsMax;
}

void Authenticator::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const bool good = passwords_->verify(job.request.user_name, job.request.password);
    post_([this, alive = std::weak_ptr<bool>(alive_), job = std::move(job), good] {
      if (!alive.expired()) answer(job.request, job.done, good);
    });
  }
}

// On the caller's thread again.
void Authenticator::answer(const session::AuthRequest& request, const Done& done, bool good) {
  if (good) {
    throttle_.succeeded(request.address, request.user_name);
  } else {
    throttle_.failed(request.address, request.user_name, base::now());
  }
  done(good ? Reason::success : Reason::bad_user_name_or_password);
}

}  // namespace berth::gateway::engine
