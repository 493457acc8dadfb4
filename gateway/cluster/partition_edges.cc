#include "gateway/cluster/partition_edges.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace berth::gateway::cluster {

using protocol::link::Hello;
using protocol::link::Setting;

namespace {
constexpr std::size_t kSkipsMax = 1000;
// Edges of the release before keep 2 MiB of a connection and refuse links with larger packets.
constexpr std::uint64_t kLargePackets = 4;         // link version
constexpr std::uint64_t kPacketsBefore = 1 << 20;  // bytes
using base::kMs;

std::int64_t patience_ns(const Config& config) {
  return std::int64_t{config.heartbeat_ms} * config.cluster.heartbeats_missed * kMs;
}
}  // namespace

PartitionEdges::PartitionEdges(boost::asio::io_context& io, const Config& config,
                               std::uint32_t partition, std::uint64_t engine_id, Owner& owner)
    : io_(io), config_(config), partition_(partition), engine_id_(engine_id), owner_(owner) {}

PartitionEdges::~PartitionEdges() {
  for (const auto& e : edges_) {
    e->partition = nullptr;
    e->lost = true;
  }
}

void PartitionEdges::post(std::function<void()> f) {
  boost::asio::post(io_, [alive = std::weak_ptr<bool>(alive_), f = std::move(f)] {
    if (!alive.expired()) f();
  });
}

void PartitionEdges::adopt(const std::shared_ptr<LinkedEdge>& edge, const Hello& h) {
  const std::uint64_t version = protocol::link::common_version(h.version_min, h.version);
  const auto number = roster_.number_for(h.edge_id);
  if (!number) return edge->link->refuse("too many edges");
  EdgeRoster::Entry& e = roster_[*number];
  if (e.linked && h.generation <= e.generation) return edge->link->refuse("a newer link is there");
  for (const auto& old : edges_) {  // half open, as it turns out, or not swept yet
    if (old->number != *number) continue;
    old->lost = true;
    unlink(*old);
    on_lost();
  }
  e.used = e.linked = true;
  e.internal = h.internal;
  e.edge_id = h.edge_id;
  e.generation = h.generation;
  e.name = h.name;
  e.heard_ns = base::monotonic_ns();
  e.alive = {};
  edge->partition = this;
  edge->number = *number;
  edges_.push_back(edge);
  link::EngineLink& l = *edge->link;
  l.limit_frames();
  l.use_number(*number);
  links_.put(*number, std::move(edge->link));
  l.send_welcome({.version = version,
                  .engine_id = engine_id_,
                  .settings = {{Setting::packet_max,
                                std::min<std::uint64_t>(
                                    config_.broker.packet_max,
                                    version >= kLargePackets ? UINT64_MAX : kPacketsBefore)},
                               {Setting::connect_timeout_s, config_.edge.connect_timeout_s},
                               {Setting::quarantine_s, config_.edge.quarantine_s}}});
  l.send_status(owner_.status());
  if (!e.internal)
    BERTH_LOG(info, "edge linked edge={} peer={} partition={} link={} version={}",
              base::LogName{e.name}, edge->peer, partition_, *number, version);
  if (owner_.serving()) admit(*number);
}

// Everything with a link in its call stack only marks it; the sweep destroys.
void PartitionEdges::on_lost() {
  post([this] { sweep(); });
}

void PartitionEdges::sweep() {
  std::vector<std::shared_ptr<LinkedEdge>> gone;
  std::erase_if(edges_, [&](const std::shared_ptr<LinkedEdge>& e) {
    if (e->lost) gone.push_back(e);
    return e->lost;
  });
  for (const auto& e : gone) unlink(*e);
}

void PartitionEdges::unlink(const LinkedEdge& lost) {
  const std::uint32_t number = lost.number;
  EdgeRoster::Entry& e = roster_[number];
  const bool replaced = std::any_of(edges_.begin(), edges_.end(), [&](const auto& other) {
    return other.get() != &lost && other->number == number && !other->lost;
  });
  if (replaced || !e.linked) return;
  const std::unique_ptr<link::EngineLink> dead = links_.take(number);
  e.linked = e.attached = false;
  e.nominated_ns = 0;
  e.lost_ns = base::monotonic_ns();
  ++links_lost_;
  if (!e.internal)
    BERTH_LOG(info, "edge out of reach edge={} partition={} link={}", base::LogName{e.name},
              partition_, number);
  if (!std::exchange(e.admitted, false)) {
    if (!owner_.serving()) e = EdgeRoster::Entry{};
  } else if (owner_.engine() != nullptr && owner_.serving()) {
    owner_.engine()->edge_lost(number);
    check_gathered();
  }
}

// The edge may attach its connections now.
void PartitionEdges::admit(std::uint32_t number) {
  EdgeRoster::Entry& e = roster_[number];
  e.admitted = true;
  e.attached = false;
  owner_.engine()->edge_came(number, e.edge_id, e.internal);
  links_[number].use_engine(*owner_.engine());
  links_[number].ready();
}

void PartitionEdges::admit_all() {
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    if (roster_[i].linked) admit(i);
  }
}

void PartitionEdges::on_alive(const LinkedEdge& from, const protocol::link::Alive& a) {
  EdgeRoster::Entry& e = roster_[from.number];
  e.heard_ns = base::monotonic_ns();
  roster_.alive(from.number, a, e.heard_ns);
  owner_.alive(a);
}

void PartitionEdges::on_goodbye(const LinkedEdge& from) {
  EdgeRoster::Entry& e = roster_[from.number];
  if (!e.internal)
    BERTH_LOG(info, "edge has left edge={} partition={}", base::LogName{e.name}, partition_);
  for (const auto& each : edges_) each->lost = each->lost || each.get() == &from;
  e.lost_ns = 0;  // nothing to wait for
  post([this, number = from.number] {
    sweep();
    give_up(number);
  });
}

void PartitionEdges::on_admits(const LinkedEdge& from, std::uint32_t per_second) {
  roster_[from.number].admits_per_s = per_second;
}

// To each edge what the others could let in: the pace at which it may let go of its own.
void PartitionEdges::tell_admissions() {
  std::uint64_t all = 0;
  std::size_t edges = 0;
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    const EdgeRoster::Entry& e = roster_[i];
    if (!e.linked || e.internal) continue;
    all += e.admits_per_s;
    ++edges;
  }
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    link::EngineLink* l = links_.find(i);
    if (l == nullptr || roster_[i].internal) continue;
    const std::uint64_t others =
        edges < 2 ? protocol::link::kUnbounded : all - roster_[i].admits_per_s;
    l->send_settings({{Setting::others_admit_per_s, others}});
  }
}

void PartitionEdges::on_skip(protocol::link::ForwardedWork w) {
  if (std::find(skips_.begin(), skips_.end(), w) != skips_.end()) return;
  BERTH_LOG(err, "skipped: it killed engines partition={} from={} seq={}", partition_, w.source,
            w.seq);
  if (skips_.size() == kSkipsMax) skips_.erase(skips_.begin());
  skips_.push_back(w);
  if (owner_.engine() != nullptr) owner_.engine()->broker().skip_forwarded(w);
}

void PartitionEdges::give_up(std::uint32_t number) {
  EdgeRoster::Entry& e = roster_[number];
  if (!e.used || e.linked) return;
  ++edges_gone_;
  if (!e.internal)
    BERTH_LOG(info, "edge gone edge={} partition={} link={}", base::LogName{e.name}, partition_,
              number);
  e = EdgeRoster::Entry{};
  if (owner_.engine() != nullptr && owner_.serving()) owner_.engine()->edge_gone(number);
}

void PartitionEdges::beat(std::int64_t now_ns) {
  const std::int64_t patience = patience_ns(config_);
  const bool stalled =
      last_beat_ns_ != 0 && now_ns - last_beat_ns_ > patience / 2;  // read first, then judge
  last_beat_ns_ = now_ns;
  tell_admissions();
  if (!stalled) drop_silent(now_ns);
  const std::int64_t grace = std::int64_t{config_.cluster.edge_grace_s} * 1000 * kMs;
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    const EdgeRoster::Entry& e = roster_[i];
    if (e.used && !e.linked && now_ns - e.lost_ns > grace) give_up(i);
  }
}

void PartitionEdges::drop_silent(std::int64_t now_ns) {
  const auto patience = patience_ns(config_);
  for (const auto& e : edges_) {
    if (now_ns - roster_[e->number].heard_ns > patience) e->lost = true;
  }
  sweep();
}

// -- routes before inputs

void PartitionEdges::on_attached_all(const LinkedEdge& e) {
  roster_[e.number].attached = true;
  if (gathered_) return let_run(e.number);
  owner_.engine()->edge_attached(e.number, [] {});
  check_gathered();
}

void PartitionEdges::check_gathered() {
  if (gathered_ || owner_.engine() == nullptr) return;
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    if (roster_[i].admitted && !roster_[i].attached) return;
  }
  if (owner_.engine()->broker().missing_edges().empty()) owner_.gathered();
}

void PartitionEdges::run() {
  gathered_ = true;
  for (const std::uint64_t edge : owner_.engine()->broker().missing_edges()) {
    BERTH_LOG(warn, "expected edge missing edge_id={} partition={}", edge, partition_);
  }
  owner_.engine()->attached_all();
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    if (roster_[i].admitted && roster_[i].attached) let_run(i);
  }
}

void PartitionEdges::let_run(std::uint32_t number) {
  const std::uint64_t generation = roster_[number].generation;
  owner_.engine()->edge_attached(number, [this, number, generation] {
    const EdgeRoster::Entry& e = roster_[number];
    if (e.linked && e.generation == generation) links_[number].go();
  });
}

// -- what they are told

void PartitionEdges::tell_status() {
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    if (link::EngineLink* l = links_.find(i)) l->send_status(owner_.status());
  }
}

void PartitionEdges::tell_strike(std::string_view strike) {
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    if (link::EngineLink* l = links_.find(i)) l->send_strike(strike);
  }
}

void PartitionEdges::last_words(std::uint64_t work) {
  using protocol::link::ForwardedWork;
  using protocol::link::FrameType;
  if (!ForwardedWork::is(work)) {
    const auto conn = base::ConnId::from_packed(work);
    if (link::EngineLink* l = links_.find(conn.link()))
      l->last_words(FrameType::dying, conn.local().packed());
    return;
  }
  for (std::uint32_t i = 0; i < links_.size(); ++i) {  // no one edge's: all know it
    if (link::EngineLink* l = links_.find(i)) l->last_words(FrameType::dying_forwarded, work);
  }
}

void PartitionEdges::stop_input() {
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    if (link::EngineLink* l = links_.find(i)) l->stop_input();
  }
}

}  // namespace berth::gateway::cluster
