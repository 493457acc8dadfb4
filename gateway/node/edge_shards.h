// The edge's shards: each a thread with an io_context, a listening socket (SO_REUSEPORT where there
// are several), an EdgeShard, and an EdgeLink where an engine is reached by links. Shard 0 runs on
// the thread that made this; the others on threads of their own, to which every call here is
// posted. All public calls: on shard 0's thread.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gateway/edge/edge_shard.h"
#include "gateway/edge/passages.h"
#include "gateway/link/edge_link.h"
#include "metrics/probe.h"

namespace berth::gateway {

class EdgeShards {
 public:
  // `options` hold for all shards together: connections and buffered bytes are divided.
  EdgeShards(boost::asio::io_context& main, const edge::EdgeOptions& options, std::uint32_t count,
             edge::AddressLimits::Options limits = {});
  ~EdgeShards();

  std::uint32_t count() const { return static_cast<std::uint32_t>(shards_.size()); }
  edge::EdgeShard& first() { return *shards_[0]->edge; }
  metrics::EdgeProbe& first_probe() { return shards_[0]->probe; }

  // Binds, unless there are sockets of another process; `port` is filled in. Throws
  // std::runtime_error.
  void bind(edge::Transport transport, const edge::ListenerOptions& options,
            const std::string& host, std::uint16_t& port);
  void open_for_devices();  // listens and starts the threads, where they are not started yet
  void start_threads();
  // The shards' loops stand still, but for what was posted before; and go on.
  void halt();
  void go_on() { start_threads(); }
  edge::EdgeShard& shard(std::uint32_t i) { return *shards_[i]->edge; }
  // A listening socket of another process, before bind(). Closed if nobody binds it.
  void adopt_listener(std::uint32_t i, edge::Transport t, int fd) {
    shards_[i]->listeners[edge::index_of(t)] = fd;
  }
  // For connections to come: of an address; and accepted a second by all shards together.
  void limit(edge::AddressLimits::Options of_address, std::uint32_t accept_per_s);
  void stop_accepting();
  void stop();  // ends and joins the threads

  // Calls `f` on every shard's thread.
  using EachShard =
      std::function<void(std::uint32_t number, boost::asio::io_context& io, edge::EdgeShard& edge)>;
  void each(const EachShard& f);
  // Called on the main thread when an engine has died of a connection of ours.
  void on_strike(std::function<void(const edge::Quarantine::Strike&)> f) {
    on_strike_ = std::move(f);
  }
  // Another edge says it.
  void struck_elsewhere(std::string_view strike);
  edge::Quarantine& quarantine() { return quarantine_; }
  edge::Passages& passages() { return passages_; }
  bool lift(std::string_view id);  // by its text; false: there is no such entry

  // -- where an engine is reached by links. `events`: of shard 0's link, after the shards have done
  // their own part.
  void make_links(link::EdgeLink::Events events);
  // One descriptor a shard. `hello.edge_id` is shard 0's; the others count on from it. `word`: by
  // which the engine names whom it works for; null: it can not be read here.
  void open_links(std::vector<int> fds, protocol::link::Hello hello,
                  std::shared_ptr<const std::atomic<std::uint64_t>> word = {});
  // `silent_since_ns`: devices have had nothing from it since then; 0: since now.
  void engine_gone(edge::EngineEnd how, std::int64_t silent_since_ns = 0,
                   const edge::EngineName& who = {});
  void suspect(base::ConnId conn);  // as the engine numbers connections
  bool serving() const;
  // To shard 0's engine, when it serves: a will that killed engines (I12).
  void send_skip(protocol::link::ForwardedWork w) { shards_[0]->link->send_skip(w); }
  void send_empty(protocol::link::FrameType type) { shards_[0]->link->send_empty(type); }
  void scrape(std::uint64_t id) { shards_[0]->link->scrape(id); }
  // A question to that engine, on the main thread.
  void ask(protocol::link::Question q, link::Answered answered) {
    shards_[0]->link->ask(std::move(q), std::move(answered));
  }

  // Of shard 0, on the main thread; null: the edge knows none. For link::Asker.
  link::EnginePort* engine_of(std::uint32_t partition) {
    return shards_[0]->edge->engine_of(partition);
  }

  // The probes of all shards, with fresh gauges.
  void collect(std::function<void(std::vector<metrics::EdgeProbe>)> done);

 private:
  struct Shard {
    boost::asio::io_context* io = nullptr;
    std::unique_ptr<boost::asio::io_context> own_io;
    metrics::EdgeProbe probe;
    std::unique_ptr<edge::EdgeShard> edge;
    std::unique_ptr<link::EdgeLink> link;
    std::thread thread;
    std::array<int, edge::kTransports.size()> listeners = no_listeners();
  };
  static constexpr std::array<int, edge::kTransports.size()> no_listeners() {
    std::array<int, edge::kTransports.size()> none{};
    none.fill(-1);
    return none;
  }
  template <class F>
  void on(Shard& s, F f) {
    if (s.own_io) {
      boost::asio::post(*s.io, std::move(f));
    } else {
      f();
    }
  }
  void make_link(Shard& s, link::EdgeLink::Events events);

  static void close_listeners(Shard& s);
  void struck(const edge::Quarantine::Strike& s);
  void tell_quarantine();

  boost::asio::io_context& main_;
  edge::AddressLimits limits_;
  edge::Passages passages_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::array<std::optional<edge::ListenerOptions>, edge::kTransports.size()> bound_;
  edge::Quarantine quarantine_;
  std::function<void(const edge::Quarantine::Strike&)> on_strike_;
  bool threads_started_ = false;
};

// Sums, except for gauges of the whole process, which shard 0 keeps, and the gap, of which the
// longest counts.
metrics::EdgeProbe total_of(const std::vector<metrics::EdgeProbe>& probes);

}  // namespace berth::gateway
