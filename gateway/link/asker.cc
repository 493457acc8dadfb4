#include "gateway/link/asker.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

#include "base/clock.h"

namespace berth::gateway::link {

using protocol::link::AskError;
using protocol::link::AskKind;
using protocol::link::Question;

namespace {

constexpr std::int64_t kAgainAfter_ms = 20;
constexpr std::int64_t kAnswerTime_ms = 100;  // with less left of its limit, a question ends

bool is_engines_end(AskError e) {
  return e == AskError::not_serving || e == AskError::link_lost;
}

}  // namespace

struct Asker::Held {
  Held(boost::asio::io_context& loop, metrics::EdgeProbe* p) : io(loop), probe(p) {}
  void wait(int more) {
    waiting += more;
    if (probe != nullptr) probe->questions_waiting = static_cast<std::uint64_t>(waiting);
  }
  boost::asio::io_context& io;
  metrics::EdgeProbe* const probe;  // null: not counted
  int waiting = 0;
};

struct Asker::Waiting {
  Question question;
  Answered answered;
  std::int64_t until_ns = 0;     // monotonic: the question's limit
  std::int64_t follower_ns = 0;  // until then the next engine is waited for
  bool may_be_done = false;      // an engine has ended that had the question
  bool counted = false;
};

Asker::Asker(std::uint32_t partitions, EngineOf engine_of, boost::asio::io_context* io,
             metrics::EdgeProbe* probe)
    : partitions_(partitions), engine_of_(std::move(engine_of)) {
  if (io != nullptr) held_ = std::make_shared<Held>(*io, probe);
}

Asker::~Asker() = default;

void Asker::ask(std::string_view client_id, Question q, Answered answered) const {
  ask_partition(protocol::link::partition_of(client_id, partitions_), std::move(q),
                std::move(answered));
}

void Asker::ask_partition(std::uint32_t partition, Question q, Answered answered) const {
  EnginePort* const engine = engine_of_(partition);
  if (held_ == nullptr) {
    if (engine == nullptr) return answered({AskError::not_serving, {}});
    return engine->ask(std::move(q), std::move(answered));
  }
  const std::int64_t now_ns = base::monotonic_ns();
  const auto w = std::make_shared<Waiting>();
  w->until_ns = now_ns + q.limit_ms * base::kMs;
  w->follower_ns =
      std::min(now_ns + kFollowerMax_ms * base::kMs, w->until_ns - kAnswerTime_ms * base::kMs);
  w->question = std::move(q);
  w->answered = std::move(answered);
  attempt(partition, w);
}

void Asker::attempt(std::uint32_t partition, std::shared_ptr<Waiting> w) const {
  const auto again = [this, partition, held = std::weak_ptr(held_), w](Answer a) {
    if (a.error == AskError::link_lost) w->may_be_done = true;
    if (a.error == AskError::not_serving && w->may_be_done) a.error = AskError::link_lost;
    const auto h = held.lock();
    if (!is_engines_end(a.error) || h == nullptr) return w->answered(std::move(a));
    const bool lost_nonce =
        a.error == AskError::link_lost && w->question.kind == AskKind::take_nonce;
    const bool waits =
        !lost_nonce && later(w->follower_ns, [this, partition, w] { attempt(partition, w); });
    if (h->probe != nullptr && waits && !w->counted) ++h->probe->questions_waited;
    w->counted = true;
    if (h->probe != nullptr && !waits) ++h->probe->questions_given_up;
    if (!waits) w->answered(std::move(a));
  };
  EnginePort* const engine = engine_of_(partition);
  if (engine == nullptr) return again({AskError::not_serving, {}});
  Question q = w->question;
  const std::int64_t left_ms = (w->until_ns - base::monotonic_ns()) / base::kMs;
  q.limit_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(left_ms, 1));
  engine->ask(std::move(q), again);
}

// False: the time is over, or too many wait.
bool Asker::later(std::int64_t until_ns, std::function<void()> f) const {
  if (held_ == nullptr || held_->waiting >= kHeldMax || base::monotonic_ns() >= until_ns)
    return false;
  held_->wait(1);
  const auto timer = std::make_shared<boost::asio::steady_timer>(
      held_->io, std::chrono::milliseconds(kAgainAfter_ms));
  timer->async_wait([timer, held = std::weak_ptr(held_), f = std::move(f)](auto) {
    const auto h = held.lock();
    if (h == nullptr) return;
    h->wait(-1);
    f();
  });
  return true;
}

std::int64_t Asker::clock_ms_of(std::uint32_t partition) const {
  EnginePort* const engine = engine_of_(partition);
  const base::Instant now = engine == nullptr ? base::kNever : engine->deadline_clock();
  return now == base::kNever ? 0 : now.ms;
}

void Asker::when_serving(std::uint32_t partition, std::function<void(bool)> f) const {
  struct Wait {
    std::function<void(bool)> f;
    std::function<void()> look;
    std::int64_t until_ns;
  };
  const auto w = std::make_shared<Wait>();
  w->f = std::move(f);
  w->until_ns = base::monotonic_ns() + kFollowerMax_ms * base::kMs;
  w->look = [this, partition, weak = std::weak_ptr(w)] {
    const auto w = weak.lock();
    if (w == nullptr) return;
    const EnginePort* const engine = engine_of_(partition);
    if (engine != nullptr && engine->serving()) return w->f(true);
    if (!later(w->until_ns, [w] { w->look(); })) w->f(false);
  };
  w->look();
}

void Asker::ask_all(const Question& q, AllAnswered answered) const {
  struct Gathering {
    std::vector<Answer> answers;
    std::size_t missing;
    AllAnswered answered;
  };
  const auto all = std::make_shared<Gathering>(
      Gathering{std::vector<Answer>(partitions_), partitions_, std::move(answered)});
  for (std::uint32_t p = 0; p < partitions_; ++p) {
    ask_partition(p, q, [all, p](Answer a) {
      all->answers[p] = std::move(a);
      if (--all->missing == 0) all->answered(std::move(all->answers));
    });
  }
}

}  // namespace berth::gateway::link
