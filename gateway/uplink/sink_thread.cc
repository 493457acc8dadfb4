#include "gateway/uplink/sink_thread.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gateway/tracing/tracer.h"
#include "gateway/uplink/sink_spans.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kStateEvery{250};

std::int64_t wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// Owned by the thread too, which may be left behind.
struct SinkThread::Running {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  std::thread thread;
};

struct SinkThread::Lane::Shared {
  explicit Shared(asio::io_context& engine_loop, std::shared_ptr<Running> r)
      : engine(engine_loop), running(std::move(r)), timer(running->io) {}

  asio::io_context& engine;  // used while `ended` is false
  const std::shared_ptr<Running> running;
  // The engine's loop.
  Heard heard;
  bool ended = false;
  // The thread of sinks.
  std::unique_ptr<Sink> sink;
  Sink::Events own;  // of the sink
  asio::steady_timer timer;
  std::unique_ptr<SinkSpans> spans;  // null: no tracing
  // Both.
  std::mutex mutex;
  std::vector<Upward> in;
  bool in_posted = false;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> done;
  std::vector<Refusal> refused;
  bool done_posted = false;
  bool gone =
      false;  // nothing is posted to the engine's loop any more, and `tracer` may have ended
  tracing::Tracer* tracer = nullptr;
  SinkState state;

  void look(const std::shared_ptr<Shared>& self) {
    if (!sink) return;
    {
      const std::lock_guard lock(mutex);
      state = sink->state();
    }
    timer.expires_after(kStateEvery);
    timer.async_wait([self](boost::system::error_code ec) {
      if (!ec) self->look(self);
    });
  }
  void drain() {
    std::vector<Upward> all;
    {
      const std::lock_guard lock(mutex);
      all.swap(in);
      in_posted = false;
      if (gone) return;  // the queue gives them to the next sink
    }
    if (!sink) return;
    for (Upward& m : all) {
      if (spans) spans->took(m, wall_ns());
      sink->take(std::move(m));
    }
  }
  void tell_done() {  // on the engine's loop
    std::vector<std::pair<std::uint32_t, std::uint64_t>> all;
    std::vector<Refusal> bad;
    {
      const std::lock_guard lock(mutex);
      all.swap(done);
      bad.swap(refused);
      done_posted = false;
    }
    for (const Refusal& r : bad) {
      if (!ended) heard.refused(r);
    }
    for (const auto& [generation, seq] : all) {
      if (ended) return;
      heard.done(generation, seq);
    }
  }
  // REQUIRES: `mutex` is held, and `gone` is not set.
  void end_span(std::uint32_t generation, std::uint64_t seq, const std::string& why) {
    if (!spans) return;
    const auto now = std::chrono::steady_clock::now();
    if (auto span = spans->ended(generation, seq, wall_ns(), now, why))
      tracer->add({std::move(*span)});
  }
  // REQUIRES: `mutex` is held.
  void post_done(const std::shared_ptr<Shared>& self) {
    if (std::exchange(done_posted, true)) return;
    asio::post(engine, [self] { self->tell_done(); });
  }
  void note_done(const std::shared_ptr<Shared>& self, std::uint32_t generation, std::uint64_t seq) {
    const std::lock_guard lock(mutex);
    if (gone) return;
    end_span(generation, seq, {});
    done.emplace_back(generation, seq);
    post_done(self);
  }
  void note_refused(const std::shared_ptr<Shared>& self, const Upward& m, const std::string& why) {
    const std::lock_guard lock(mutex);
    if (gone) return;
    end_span(m.generation, m.seq, why);
    refused.push_back({m.generation, m.seq, m.inside, m.payload.size(), why});
    post_done(self);
  }
  void note_command(const std::shared_ptr<Shared>& self, Downward d) {
    const std::lock_guard lock(mutex);
    if (gone) return;
    asio::post(engine, [self, d = std::move(d)]() mutable {
      if (!self->ended && self->heard.command) self->heard.command(std::move(d));
    });
  }
  // Behind what was told to be done before.
  void note_rested(const std::shared_ptr<Shared>& self) {
    const std::lock_guard lock(mutex);
    if (gone) return;
    asio::post(engine, [self] {
      if (!self->ended && self->heard.rested) self->heard.rested();
    });
  }
  void note_ready(const std::shared_ptr<Shared>& self, bool yes) {
    const std::lock_guard lock(mutex);
    if (gone) return;
    asio::post(engine, [self, yes] {
      if (!self->ended) self->heard.ready(yes);
    });
  }
};

std::unique_ptr<SinkThread::Lane> SinkThread::start(Make make, Heard heard, const Traced& traced) {
  if (!running_) {
    running_ = std::make_shared<Running>();
    running_->thread = std::thread([r = running_] {
      r->io.run();
      r->ended.set_value();
    });
  }
  auto s = std::make_shared<Lane::Shared>(engine_, running_);
  s->heard = std::move(heard);
  if (traced.tracer != nullptr) {
    s->tracer = traced.tracer;
    s->spans = std::make_unique<SinkSpans>(traced.uplink, traced.kind, traced.tracer->sampler());
  }
  asio::post(running_->io, [s, make = std::move(make)] {
    const std::weak_ptr<Lane::Shared> weak = s;
    s->own = {.ready =
                  [weak](bool yes) {
                    if (const auto self = weak.lock()) self->note_ready(self, yes);
                  },
              .done =
                  [weak](std::uint32_t generation, std::uint64_t seq) {
                    if (const auto self = weak.lock()) self->note_done(self, generation, seq);
                  },
              .refused =
                  [weak](const Upward& m, const std::string& why) {
                    if (const auto self = weak.lock()) self->note_refused(self, m, why);
                  },
              .command =
                  [weak](Downward d) {
                    if (const auto self = weak.lock()) self->note_command(self, std::move(d));
                  },
              .rested =
                  [weak] {
                    if (const auto self = weak.lock()) self->note_rested(self);
                  }};
    s->sink = make(s->running->io, s->own);
    s->look(s);
  });
  return std::unique_ptr<Lane>(new Lane(std::move(s)));
}

SinkThread::Lane::~Lane() {
  shared_->ended = true;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->gone = true;
  }
  asio::post(shared_->running->io, [s = shared_] {
    s->timer.cancel();
    s->sink.reset();
  });
}

void SinkThread::Lane::take(Upward m) {
  const std::lock_guard lock(shared_->mutex);
  shared_->in.push_back(std::move(m));
  if (std::exchange(shared_->in_posted, true)) return;
  asio::post(shared_->running->io, [s = shared_] { s->drain(); });
}

// What was given before goes to the sink before.
void SinkThread::Lane::rest() {
  asio::post(shared_->running->io, [s = shared_] {
    s->drain();
    if (s->sink) s->sink->rest();
  });
}

SinkState SinkThread::Lane::state() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->state;
}

SinkThread::~SinkThread() {
  if (!running_) return;
  running_->guard.reset();
  if (running_->end.wait_for(kEndLimit) == std::future_status::ready) {
    running_->thread.join();
  } else {
    BERTH_LOG(warn, "connections to platforms do not end in time and are left behind");
    running_->thread.detach();
  }
}

}  // namespace berth::gateway::uplink
