#include "gateway/uplink/connection.h"

#include <algorithm>
#include <exception>
#include <set>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "gateway/uplink/uplink_topics.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kPauseFirst = 500ms;
constexpr auto kPauseLongest = 10'000ms;
constexpr auto kWaitLongest = 60'000ms;  // that a platform may ask for
constexpr auto kWatchEvery = 1s;

}  // namespace

Connection::Connection(asio::io_context& io, Names names, Dial dial, const Sink::Events& events,
                       std::chrono::seconds stuck)
    : io_(io),
      names_(std::move(names)),
      dial_(std::move(dial)),
      events_(events),
      stuck_(stuck),
      timer_(io),
      watch_(io),
      hearing_(std::make_shared<Hearing>(io,
                                         [this, alive = std::weak_ptr<bool>(alive_)] {
                                           if (!alive.expired()) hear();
                                         })),
      pause_(kPauseFirst) {
  begin_attempt();
  watch();
}

Connection::~Connection() {
  hearing_->end();
  attempt_.reset();
}

void Connection::add_to(SinkState& s) const {
  ++s.connections;
  s.connected += works_ ? 1 : 0;
  s.failures += counts_.failures;
  s.refused += counts_.refused;
  s.expired += counts_.expired;
  s.unrouted += counts_.unrouted;
  if (!works_ && !counts_.error.empty()) s.error = counts_.error;
}

void Connection::rest(std::function<void()> rested) {
  rest_ = {true, std::move(rested)};
  tell_rested();
}

void Connection::tell_rested() {
  if (!rest_.asked || (open_ && unacknowledged_ != 0)) return;
  if (const auto rested = std::exchange(rest_.rested, {})) rested();
}

// -- attempts

void Connection::begin_attempt() {
  if (rest_.asked) return;
  attempt_.reset();
  next_place_ = first_place_;
  unacknowledged_ = 0;
  for (Pending& p : pending_) p.sent = false;
  progress_ = std::chrono::steady_clock::now();
  try {
    attempt_ = dial_(Teller(hearing_, ++attempts_));
  } catch (const std::exception& e) {  // the library's, or a file that can't be read
    lose(e.what(), false);
  }
}

void Connection::now_connected(const Told& t) {
  const bool known = t.what == Told::What::connected;
  if (known)
    BERTH_LOG(info, "uplink connected uplink={} client={} url={} again={}", names_.uplink,
              names_.client, names_.url, pending_.size());
  open_ = true;
  works_ = works_ || known || counts_.failures == 0;
  if (works_) counts_.error.clear();
  window_ = std::max<std::size_t>(t.number, 1);
  progress_ = std::chrono::steady_clock::now();
  send_pending();
}

// Another attempt follows after a pause. `judged`: a message may be the cause.
void Connection::lose(const std::string& why, bool judged, std::chrono::milliseconds wait) {
  const bool guilty = judged && open_ && judge_loss();
  ++counts_.failures;
  say_lost(why);
  open_ = false;
  ++attempts_;  // what this one has still said is not heard
  attempt_.reset();
  std::uniform_int_distribution<std::int64_t> around(pause_.count() * 3 / 4,
                                                     pause_.count() * 5 / 4);
  timer_.expires_after(std::max(std::chrono::milliseconds(around(random_)),
                                std::min<std::chrono::milliseconds>(wait, kWaitLongest)));
  pause_ = std::min<std::chrono::milliseconds>(pause_ * 2, kPauseLongest);
  timer_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (!ec && !alive.expired()) begin_attempt();
  });
  if (!guilty) return;
  refuse(pending_.front(), "the platform takes others, and not this one: " + why);
  finish_front();
}

void Connection::say_lost(const std::string& why) {
  if (counts_.error != why || works_)
    BERTH_LOG(warn, "uplink has lost its connection uplink={} client={} url={} error=\"{}\"",
              names_.uplink, names_.client, names_.url, why);
  counts_.error = why;
  works_ = false;
}

bool Connection::judge_loss() {
  const bool alone =
      unacknowledged_ == 1 && !pending_.empty() && pending_.front().sent && !pending_.front().done;
  return trial_.lost({unacknowledged_, first_place_, alone,
                      [this](std::uint64_t last) { return of_another_device(last); },
                      [this] { return next_of_front_device(); }});
}

// The first one of each other device, so that the order stays.
std::uint64_t Connection::of_another_device(std::uint64_t last) const {
  std::set<std::string_view> seen{order_key(pending_.front().message.inside)};
  bool passed = last == 0;
  for (std::size_t i = 1; i < pending_.size(); ++i) {
    if (pending_[i].done || !seen.insert(order_key(pending_[i].message.inside)).second) continue;
    if (passed) return first_place_ + i;
    passed = first_place_ + i == last;
  }
  return 0;
}

std::uint64_t Connection::next_of_front_device() const {
  const auto own = order_key(pending_.front().message.inside);
  for (std::size_t i = 1; i < pending_.size(); ++i) {
    if (!pending_[i].done && order_key(pending_[i].message.inside) == own) return first_place_ + i;
  }
  return 0;
}

// A platform that acknowledges nothing is taken for dead, whatever its TCP says.
void Connection::watch() {
  watch_.expires_after(kWatchEvery);
  watch_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    const auto quiet = std::chrono::steady_clock::now() - progress_;
    if (open_ && unacknowledged_ != 0 && quiet > stuck_)
      lose("the platform has acknowledged nothing for " + std::to_string(stuck_.count()) + " s",
           true);
    watch();
  });
}

// -- what an attempt says

void Connection::hear() {
  for (const Told& t : hearing_->take()) hear_one(t);
  finish_front();
  send_pending();
  tell_rested();
}

void Connection::hear_one(const Told& t) {
  if (t.attempt != attempts_) return;
  switch (t.what) {
    case Told::What::connected:
    case Told::What::opened:
      return now_connected(t);
    case Told::What::away:
      counts_.failures += works_ ? 1 : 0;
      open_ = false;
      return say_lost(t.why);
    case Told::What::lost:
      return lose(t.why, true, std::chrono::milliseconds(t.number));
    case Told::What::not_reached:
      return lose(t.why, false, std::chrono::milliseconds(t.number));
    case Told::What::acknowledged:
    case Told::What::refused:
      return acknowledged(t);
    case Told::What::unrouted:
      if (counts_.unrouted++ == 0)
        BERTH_LOG(warn,
                  "the platform has no place for a message: no queue is bound to its key "
                  "uplink={}",
                  names_.uplink);
      return;
  }
}

void Connection::acknowledged(const Told& t) {
  if (t.number < first_place_ || t.number - first_place_ >= pending_.size()) return;
  Pending& p = pending_[t.number - first_place_];
  if (p.done) return;
  if (unacknowledged_ != 0 && p.sent) --unacknowledged_;
  progress_ = std::chrono::steady_clock::now();
  pause_ = kPauseFirst;
  if (!works_) {
    works_ = true;
    counts_.error.clear();
    BERTH_LOG(info, "uplink works uplink={} client={} url={}", names_.uplink, names_.client,
              names_.url);
  }
  trial_.acknowledged(t.number);
  if (t.what == Told::What::refused) refuse(p, t.why);
  p.done = true;
}

void Connection::refuse(Pending& p, const std::string& why) {
  ++counts_.refused;
  p.done = true;
  BERTH_LOG(err, "the platform will never take a message uplink={} topic=\"{}\" why=\"{}\"",
            names_.uplink, p.message.topic, why);
  events_.refused(p.message, why);
  p.message.generation = 0;  // told
}

void Connection::finish_front() {
  while (!pending_.empty() && pending_.front().done) {
    const Upward m = std::move(pending_.front().message);
    pending_.pop_front();
    ++first_place_;
    next_place_ = std::max(next_place_, first_place_);  // a probe may have gone before
    if (m.generation != 0) events_.done(m.generation, m.seq);
  }
}

// -- messages

void Connection::take(Upward m) {
  pending_.push_back({std::move(m)});
  if (open_) send_pending();
}

void Connection::send_pending() {
  if (!open_ || rest_.asked) return;
  send_all();
  if (open_) attempt_->flush();
  finish_front();  // those that had expired
}

void Connection::send_all() {
  if (const std::uint64_t probe = trial_.probe(); probe > first_place_) {  // alone
    const Pending& p = pending_[probe - first_place_];
    if (unacknowledged_ == 0 && !p.done && !send(probe)) return;
    if (!p.done) return;
    trial_.gone(probe);
  }
  while (open_ && next_place_ - first_place_ < pending_.size() &&
         unacknowledged_ < std::min(trial_.at_once(), window_) && send(next_place_))
    ++next_place_;
}

bool Connection::send(std::uint64_t place) {
  Pending& p = pending_[place - first_place_];
  if (p.done || p.sent) return true;  // acknowledged before those in front of it; or on its way
  if (p.message.expires <= std::chrono::steady_clock::now()) {
    ++counts_.expired;
    p.done = true;
    return true;
  }
  if (unacknowledged_ == 0) progress_ = std::chrono::steady_clock::now();
  try {
    attempt_->publish(place, p.message);
    p.sent = true;
    ++unacknowledged_;
    return true;
  } catch (const std::exception& e) {
    lose(e.what(), true);
    return false;
  }
}

}  // namespace berth::gateway::uplink
