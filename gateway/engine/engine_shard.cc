#include "gateway/engine/engine_shard.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

namespace berth::gateway::engine {

EngineShard::EngineShard(boost::asio::io_context& io, session::BrokerOptions options,
                         link::EdgePort& edge, std::unique_ptr<session::AccessPolicy> access,
                         metrics::EngineProbe& probe)
    : io_(io),
      edge_(edge),
      access_(std::move(access)),
      probe_(probe),
      broker_(std::move(options), *this, access_.get(), probe),
      tick_(io) {}

EngineShard::~EngineShard() {
  close_store();
}

void EngineShard::use_store(std::unique_ptr<session::Store> store) {
  store_ = std::move(store);
}

void EngineShard::restore() {
  const std::int64_t start = base::monotonic_ns();
  store_->restore(broker_);
  probe_.restore_ms = static_cast<std::uint64_t>((base::monotonic_ns() - start) / 1'000'000);
  probe_.store_up = 1;
  BERTH_LOG(info, "restored sessions={} ms={}", broker_.session_count(), probe_.restore_ms);
}

void EngineShard::start_timers() {
  arm_tick();
}

void EngineShard::arm_tick() {
  tick_.expires_after(std::chrono::seconds(1));
  tick_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    broker_.tick(base::now());
    turn_end();
    arm_tick();
  });
}

void EngineShard::attach(const protocol::link::Attach& a) {
  ++attached_;
  broker_.attach(a, base::now());
}

void EngineShard::attached_all() {
  broker_.attached_all(base::now());
  turn_end();
}

std::size_t EngineShard::input(base::ConnId conn, std::uint64_t, std::uint64_t in_ack,
                               base::ByteView bytes) {
  if (poison_ == nullptr) return broker_.input(conn, bytes, base::now());
  broker_.edge_acked(conn, in_ack);
  poison_->store(conn.packed(), std::memory_order_relaxed);
  const std::size_t used = broker_.input(conn, bytes, base::now());
  poison_->store(0, std::memory_order_relaxed);
  return used;
}

void EngineShard::closed(base::ConnId conn, protocol::link::CloseReason cause) {
  broker_.closed(conn, cause, base::now());
}

void EngineShard::credit(base::ConnId conn, std::uint64_t) {
  broker_.writable(conn, base::now());
}

void EngineShard::release(base::ConnId conn) {
  --attached_;
  edge_.release(conn);
}

void EngineShard::turn_end() {
  if (std::exchange(in_turn_end_, true)) return;  // flush() may bring new events of the edge
  std::vector<base::ConnId> resume = std::exchange(resume_, {});
  for (const base::ConnId conn : resume) edge_.reoffer(conn);
  broker_.flush_cookies();
  edge_.flush();  // before the commit: what a write undoes (a will's intent) must be on its way
                  // first
  commit();
  in_turn_end_ = false;
  if (!resume_.empty() || (!committing_ && broker_.has_uncommitted())) {
    boost::asio::post(io_, [this] { turn_end(); });
  }
  if (drained_) check_drained();
}

// One batch under way at a time; what comes meanwhile is the next batch.
void EngineShard::commit() {
  if (committing_) return;
  std::shared_ptr<const session::Batch> batch = broker_.seal();
  if (!batch) return;
  committing_ = true;
  store_->commit(std::move(batch), [this](const session::CommitResult& r) { on_committed(r); });
}

void EngineShard::on_committed(const session::CommitResult& result) {
  committing_ = false;
  broker_.committed(result, base::now());
  turn_end();
}

void EngineShard::authenticate(base::ConnId conn, session::AuthRequest request) {
  const std::shared_ptr<bool> later =
      std::make_shared<bool>(false);  // outlives this call if not answered in it
  authenticator_->check(std::move(request), [this, conn, later](protocol::mqtt::Reason reason) {
    broker_.authenticated(conn, {reason}, base::now());
    if (*later) turn_end();
  });
  *later = true;
}

void EngineShard::load_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                             std::size_t bytes) {
  store_->read_queue(session, from, count, bytes,
                     [this, session](base::result<std::vector<session::StoredEntry>> entries) {
                       broker_.queue_loaded(session, std::move(entries), base::now());
                       turn_end();
                     });
}

void EngineShard::drain(std::function<void()> done) {
  drained_ = std::move(done);
  broker_.drain(base::now());
  turn_end();
}

void EngineShard::check_drained() {
  if (attached_ != 0 || committing_ || broker_.has_uncommitted()) return;
  auto done = std::exchange(drained_, nullptr);
  boost::asio::post(io_, std::move(done));
}

void EngineShard::close_store() {
  tick_.cancel();
  authenticator_.reset();
  if (store_) store_->close();
}

void EngineShard::refresh_gauges() {
  broker_.refresh_gauges();
  probe_.store_up = store_healthy_ ? 1 : 0;
  const metrics::ProcessUsage u = metrics::process_usage();
  probe_.engine_rss = u.resident_bytes;
  probe_.engine_cpu_ms = u.cpu_ms;
}

}  // namespace berth::gateway::engine
