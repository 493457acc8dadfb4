#include "gateway/registry/feed.h"

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <iterator>

#include "base/log.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;

namespace {
constexpr std::size_t kPerWrite = 500;  // records; an import is several of them
}

RegistryFeed::RegistryFeed(asio::io_context& io, std::unique_ptr<RegistryStore> store,
                           Registry& registry, std::uint32_t refresh_ms, Changed changed)
    : io_(io),
      store_(std::move(store)),
      registry_(registry),
      refresh_ms_(refresh_ms),
      changed_(std::move(changed)) {
  registry_.on_ask([this](std::function<void()> f) { when_fresh(std::move(f)); });
}

RegistryFeed::~RegistryFeed() {
  registry_.on_ask({});
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  store_->interrupt();
  if (thread_.joinable()) thread_.join();
}

std::string RegistryFeed::load() {
  try {
    registry_.apply(store_->read());
    reachable_ = true;
    return {};
  } catch (const std::exception& e) {
    BERTH_LOG(err, "registry not read error=\"{}\"", e.what());
    told_away_ = true;
    set_trouble(e.what());
    return e.what();
  }
}

std::string RegistryFeed::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void RegistryFeed::set_trouble(const std::string& why) {
  const std::lock_guard lock(mutex_);
  trouble_ = why;
}

void RegistryFeed::start() {
  thread_ = std::thread([this] { work(); });
}

void RegistryFeed::post(std::function<void()> f) {
  asio::post(io_, [alive = std::weak_ptr<bool>(alive_), f = std::move(f)] {
    if (!alive.expired()) f();
  });
}

void RegistryFeed::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::milliseconds(refresh_ms_),
                   [this] { return stopping_ || asked_ || !jobs_.empty(); });
    if (stopping_) return;
    if (asked_ || jobs_.empty()) {
      lock.unlock();
      read_for_those_who_wait();
      exchange_usage();
      continue;
    }
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    run(job);
  }
}

void RegistryFeed::when_fresh(std::function<void()> f) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(f));
  asked_ = true;
  wake_.notify_all();
}

void RegistryFeed::read_for_those_who_wait() {
  std::vector<std::function<void()>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = std::exchange(waiting_, {});
    asked_ = false;
  }
  if (read_once()) {
    for (auto& f : waiting) post(std::move(f));
    return;
  }
  const std::lock_guard lock(mutex_);
  for (auto& f : waiting) waiting_.push_back(std::move(f));
}

bool RegistryFeed::read_once() {
  try {
    Changes changes = store_->read();
    if (std::exchange(told_away_, false)) BERTH_LOG(info, "registry read again");
    reachable_ = true;
    set_trouble({});
    const bool all = !changes.pending;
    if (changes.whole || !changes.list.empty()) hand_over(std::move(changes));
    return all;
  } catch (const std::exception& e) {
    reachable_ = false;
    const bool same = trouble() == e.what();
    set_trouble(e.what());
    if (!std::exchange(told_away_, true) || !same)  // each reason once, while it lasts
      BERTH_LOG(err, "registry stays as it was error=\"{}\"", e.what());
    return false;
  }
}

// A few at a time: devices are served on that thread too.
void RegistryFeed::hand_over(Changes changes) {
  std::vector<Change> all = std::move(changes.list);
  if (changes.whole) return apply_later({true, std::move(all)});
  for (std::size_t at = 0; at < all.size(); at += kPerWrite) {
    const auto end = std::min(at + kPerWrite, all.size());
    apply_later({false,
                 {std::make_move_iterator(all.begin() + static_cast<std::ptrdiff_t>(at)),
                  std::make_move_iterator(all.begin() + static_cast<std::ptrdiff_t>(end))}});
  }
}

void RegistryFeed::apply_later(Changes changes) {
  post([this, changes = std::move(changes)] {
    const session::Concerned who = registry_.apply(changes);
    if (!who.empty()) changed_(who);
  });
}

// Its outcome is told behind what it has changed.
void RegistryFeed::run(Job& job) {
  Outcome outcome;
  try {
    for (std::size_t at = 0; at < job.writes.size(); at += kPerWrite) {
      const auto first = job.writes.begin() + static_cast<std::ptrdiff_t>(at);
      const auto last = job.writes.begin() +
                        static_cast<std::ptrdiff_t>(std::min(at + kPerWrite, job.writes.size()));
      if (!store_->write({first, last})) {
        outcome.what = Outcome::unexpected;
        outcome.why = "somebody else has changed it";
        break;
      }
      outcome.written = static_cast<std::size_t>(last - job.writes.begin());
    }
  } catch (const std::exception& e) {
    BERTH_LOG(err, "registry not written error=\"{}\"", e.what());
    outcome.what = Outcome::unavailable;
    outcome.why = e.what();
  }
  read_once();
  post([done = std::move(job.done), outcome] { done(outcome); });
}

void RegistryFeed::tell_usage(RegistryStore::Reports ours) {
  const std::lock_guard lock(mutex_);
  usage_ = std::move(ours);
}

void RegistryFeed::exchange_usage() {
  std::optional<RegistryStore::Reports> ours;
  {
    const std::lock_guard lock(mutex_);
    ours = std::exchange(usage_, std::nullopt);
  }
  if (!ours) return;
  try {
    post([this, all = store_->exchange(*ours)]() mutable {
      if (heard_) heard_(std::move(all));
    });
  } catch (const std::exception& e) {
    BERTH_LOG(debug, "usage not exchanged error=\"{}\"", e.what());
  }
}

asio::awaitable<RegistryFeed::Outcome> RegistryFeed::write(std::vector<Write> writes) {
  auto initiate = [this](auto handler, std::vector<Write> w) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(w), [shared](Outcome o) { (*shared)(std::move(o)); }});
    wake_.notify_all();
  };
  Outcome outcome = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Outcome)>(
      initiate, asio::use_awaitable, std::move(writes));
  if (outcome.written != 0 && tell_) co_await tell_others();
  co_return outcome;
}

asio::awaitable<void> RegistryFeed::tell_others() {
  auto initiate = [this](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    tell_([this, shared] { post([shared] { (*shared)(); }); });  // never in this call
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate,
                                                                       asio::use_awaitable);
}

}  // namespace berth::gateway::registry
