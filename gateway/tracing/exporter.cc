#include "gateway/tracing/exporter.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <condition_variable>
#include <deque>
#include <exception>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "base/random_id.h"
#include "gateway/tracing/headers.h"
#include "gateway/tracing/http_post.h"
#include "gateway/tracing/otlp.h"
#include "gateway/tracing/retry.h"

namespace berth::gateway::tracing {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kEndMargin = std::chrono::milliseconds(200);  // beside flush_max, for the thread

}  // namespace

struct Exporter::State {
  explicit State(ExporterOptions o) : options(std::move(o)) {}
  void run();
  std::vector<Span> next_batch();
  void deliver(const std::vector<Span>& batch);
  HttpAnswer post(std::string body);
  std::shared_ptr<asio::ssl::context> tls();
  bool wait(std::chrono::milliseconds pause);
  Clock::time_point not_after(Clock::time_point usual);
  void failed(const HttpAnswer& a);
  void worked();

  const ExporterOptions options;
  std::atomic<std::uint64_t> exported{0};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> failures{0};

  std::mutex mutex;  // of all down to `io`
  std::condition_variable changed;
  std::deque<Span> queue;
  std::optional<Clock::time_point> end_by;  // the exporter is to end
  bool ended = false;                       // the thread is about to
  // The thread's, which destroys it before `ended`: its look-up of names can't be interrupted.
  std::unique_ptr<asio::io_context> io = std::make_unique<asio::io_context>(1);

  // Of the thread.
  unsigned in_a_row = 0;                        // failures
  std::shared_ptr<asio::ssl::context> context;  // null: not made yet, or no TLS
};

Exporter::Exporter(ExporterOptions options) : state_(std::make_shared<State>(std::move(options))) {
  thread_ = std::thread([state = state_] { state->run(); });
}

Exporter::~Exporter() {
  std::unique_lock lock(state_->mutex);
  state_->end_by = Clock::now() + state_->options.flush_max;
  if (state_->io) asio::post(*state_->io, [] {});
  state_->changed.notify_all();
  const bool ended = state_->changed.wait_until(lock, *state_->end_by + kEndMargin,
                                                [this] { return state_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void Exporter::add(std::vector<Span> spans) {
  State& s = *state_;
  std::size_t lost = 0;
  {
    const std::lock_guard lock(s.mutex);
    const std::size_t room = s.options.queue_max - std::min(s.options.queue_max, s.queue.size());
    lost = spans.size() - std::min(spans.size(), room);
    const auto end = spans.end() - static_cast<std::ptrdiff_t>(lost);
    s.queue.insert(s.queue.end(), std::make_move_iterator(spans.begin()),
                   std::make_move_iterator(end));
  }
  s.changed.notify_all();
  if (lost != 0) s.dropped += lost;
}

Exporter::Counts Exporter::counts() const {
  return {state_->exported, state_->dropped, state_->failures};
}

// -- the thread

void Exporter::State::run() {
  for (std::vector<Span> batch = next_batch(); !batch.empty(); batch = next_batch()) {
    try {
      deliver(batch);
    } catch (const std::exception& e) {  // no memory, no descriptor: spans are worth no process
      dropped += batch.size();
      failed({.status = 0, .error = e.what(), .retry_after = {}, .body = {}});
    }
  }
  std::unique_ptr<asio::io_context> mine;
  {
    const std::lock_guard lock(mutex);
    mine = std::move(io);
  }
  mine.reset();
  const std::lock_guard lock(mutex);
  ended = true;
  changed.notify_all();
}

// Waits for one; empty: the end.
std::vector<Span> Exporter::State::next_batch() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return !queue.empty() || end_by; });
  changed.wait_for(lock, options.batch_within,
                   [this] { return queue.size() >= options.batch_max || end_by; });
  if (end_by && (in_a_row != 0 || Clock::now() >= *end_by)) {
    dropped += queue.size();
    queue.clear();
  }
  const std::size_t n = std::min(queue.size(), options.batch_max);
  const auto last = queue.begin() + static_cast<std::ptrdiff_t>(n);
  std::vector<Span> batch(std::make_move_iterator(queue.begin()), std::make_move_iterator(last));
  queue.erase(queue.begin(), last);
  return batch;
}

void Exporter::State::deliver(const std::vector<Span>& batch) {
  for (unsigned tried = 1;; ++tried) {
    const HttpAnswer a = post(otlp_request(options.process, batch));
    const Verdict verdict = verdict_of(a);
    if (verdict == Verdict::taken) {
      const std::uint64_t rejected = std::min<std::uint64_t>(rejected_in(a.body), batch.size());
      exported += batch.size() - rejected;
      dropped += rejected;
      return worked();
    }
    failed(a);
    const bool again = verdict == Verdict::again && tried < kTries;
    if (!again || !wait(pause_after(in_a_row, a.retry_after, base::random_id()))) {
      dropped += batch.size();
      return;
    }
  }
}

// At the end of the process a pause is over, and there is one more try. False: that was it.
bool Exporter::State::wait(std::chrono::milliseconds pause) {
  std::unique_lock lock(mutex);
  if (end_by) return false;
  changed.wait_for(lock, pause, [this] { return end_by.has_value(); });
  return true;
}

Clock::time_point Exporter::State::not_after(Clock::time_point usual) {
  const std::lock_guard lock(mutex);
  return end_by ? std::min(usual, *end_by) : usual;
}

// Made anew behind a failure: the file of authorities may have changed.
std::shared_ptr<asio::ssl::context> Exporter::State::tls() {
  if (!options.to.tls) return nullptr;
  if (context && in_a_row == 0) return context;
  using asio::ssl::context_base;
  auto made = std::make_shared<asio::ssl::context>(context_base::tls_client);
  made->set_options(context_base::default_workarounds | context_base::no_tlsv1 |
                    context_base::no_tlsv1_1);
  made->set_verify_mode(asio::ssl::verify_peer);
  boost::system::error_code ec;
  if (options.ca_file.empty()) {
    made->set_default_verify_paths(ec);
  } else {
    made->load_verify_file(options.ca_file, ec);
  }
  if (ec) throw std::runtime_error("tracing.ca_file " + options.ca_file + ": " + ec.message());
  return context = std::move(made);
}

// Woken when the exporter is to end, so that the deadline becomes an earlier one.
HttpAnswer Exporter::State::post(std::string body) {
  const auto usual = Clock::now() + options.request_max;
  std::shared_ptr<HttpPost> request;
  try {  // files that are missing or bad for now; the collector may be right the next time
    Headers headers;
    if (!options.headers_file.empty()) headers = headers_in(options.headers_file);
    request = std::make_shared<HttpPost>(*io, options.to, headers, std::move(body), tls());
  } catch (const std::exception& e) {
    return {.status = 0, .error = e.what(), .retry_after = {}, .body = {}};
  }
  request->start();
  while (!request->done()) {
    io->restart();
    const auto until = not_after(usual);
    if (io->run_one_until(until) == 0 && Clock::now() >= until) request->cancel();
  }
  return request->answer();
}

void Exporter::State::failed(const HttpAnswer& a) {
  ++failures;
  if (++in_a_row != 1) return;
  BERTH_LOG(warn, "trace export fails endpoint={} status={} reason=\"{}\"", options.to.text,
            a.status, a.error);
}

void Exporter::State::worked() {
  if (std::exchange(in_a_row, 0) != 0)
    BERTH_LOG(info, "trace export works again endpoint={}", options.to.text);
}

}  // namespace berth::gateway::tracing
