#include "gateway/engine/reviews.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

namespace berth::gateway::engine {

namespace {

constexpr std::size_t kReviewedAtOnce = 500;  // sessions, 1 ms

// A registry in which who is not registered is one that is disabled: connections end, sessions
// stay.
class EverybodyExists final : public session::Principals {
 public:
  explicit EverybodyExists(const session::Principals& inner) : inner_(inner) {}
  session::ScopePtr scope_of(const session::Principal& who) const override {
    return inner_.scope_of(who);
  }
  bool exists(std::string_view) const override { return true; }
  session::ScopePtr scope_of_will(const session::Principal& who,
                                  std::string_view site) const override {
    return inner_.scope_of_will(who, site);
  }
  session::Limits limits_of(std::string_view tenant, std::string_view site) const override {
    return inner_.limits_of(tenant, site);
  }

 private:
  const session::Principals& inner_;
};

}  // namespace

Reviews::Reviews(boost::asio::io_context& io, session::Broker& broker,
                 const registry::Registry* registry, std::uint32_t keep_unregistered_s, Turns turns)
    : io_(io),
      broker_(broker),
      registry_(registry),
      keep_unregistered_s_(keep_unregistered_s),
      turns_(std::move(turns)),
      unregistered_(io) {}

// The registry may have changed while nobody served; and what the engine before us knew of it ours
// may not have read yet: who has just been registered is not to be taken for somebody who is gone.
void Reviews::all_when_fresh() {
  turns_.end();
  if (registry_ == nullptr) return;
  registry_->when_fresh([this, alive = alive()] {
    if (!alive.expired()) review({.everybody = true}, keep_unregistered_s_ == 0);
  });
  const auto now = std::chrono::steady_clock::now();
  if (keep_unregistered_s_ == 0 || unregistered_.expiry() > now) return;
  unregistered_.expires_after(std::chrono::seconds(keep_unregistered_s_));
  unregistered_.async_wait([this, alive = alive()](boost::system::error_code ec) {
    if (!ec && !alive.expired()) review({.everybody = true}, true);
  });
}

void Reviews::registry_changed(const session::Concerned& who) {
  review(who, true);
}

void Reviews::review(const session::Concerned& who, bool removes) {
  const bool under_way = !review_.empty();
  if (registry_ != nullptr && registry_->loaded()) {
    std::vector<base::SessionId> removed;
    for (const base::SessionId id : broker_.concerned(who, removed))
      review_.push_back({id, removes, false});
    for (const base::SessionId id : removed) review_.push_back({id, true, true});
    for (const std::string& filter : who.removed_topics) removed_topics_.push_back(filter);
    if (who.everybody && removes) turns_.complete();
    if (who.everybody && removes) removed_topics_.emplace_back(session::RetainedRemoval::kStale);
  }
  turns_.end();
  if (!under_way) review_some();
}

void Reviews::review_some() {
  const std::size_t n = std::min(review_.size(), kReviewedAtOnce);
  std::vector<base::SessionId> removed;
  std::vector<base::SessionId> kept;
  std::vector<base::SessionId> gone;
  for (std::size_t i = 0; i < n; ++i) {
    const Review& r = review_.back();
    (r.removed ? gone : r.removes ? removed : kept).push_back(r.session);
    review_.pop_back();
  }
  if (!gone.empty()) broker_.remove_sessions(gone, turns_.now());
  if (!removed.empty()) broker_.review_scopes(*registry_, removed, turns_.now());
  if (!kept.empty()) broker_.review_scopes(EverybodyExists(*registry_), kept, turns_.now());
  if (review_.empty()) broker_.remove_retained(std::exchange(removed_topics_, {}), turns_.now());
  turns_.end();
  if (review_.empty()) return;
  boost::asio::post(io_, [this, alive = alive()] {
    if (!alive.expired()) review_some();
  });
}

void Reviews::access_changed() {
  const bool under_way = !access_review_.empty();
  access_review_ = broker_.under_access();
  if (!under_way && !access_review_.empty()) review_some_access();
}

void Reviews::review_some_access() {
  const std::size_t n = std::min(access_review_.size(), kReviewedAtOnce);
  const std::vector<base::SessionId> some(access_review_.end() - static_cast<std::ptrdiff_t>(n),
                                          access_review_.end());
  access_review_.resize(access_review_.size() - n);
  broker_.review_access(some, is_user_);
  turns_.end();
  if (access_review_.empty()) return;
  boost::asio::post(io_, [this, alive = alive()] {
    if (!alive.expired()) review_some_access();
  });
}

}  // namespace berth::gateway::engine
