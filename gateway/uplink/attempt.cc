#include "gateway/uplink/attempt.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace berth::gateway::uplink {

Hearing::Hearing(boost::asio::io_context& io, std::function<void()> heard)
    : io_(io), heard_(std::move(heard)) {}

void Hearing::end() {
  const std::lock_guard lock(mutex_);
  heard_ = nullptr;
}

void Hearing::tell(const std::shared_ptr<Hearing>& h, Told t) {
  const std::lock_guard lock(h->mutex_);
  if (!h->heard_) return;
  h->told_.push_back(std::move(t));
  if (std::exchange(h->posted_, true)) return;
  boost::asio::post(h->io_, [h] {
    std::function<void()> heard;
    {
      const std::lock_guard inner(h->mutex_);
      heard = h->heard_;
    }
    if (heard) heard();
  });
}

std::vector<Told> Hearing::take() {
  const std::lock_guard lock(mutex_);
  posted_ = false;
  return std::exchange(told_, {});
}

}  // namespace berth::gateway::uplink
