// Holds the links of edges until their hello, which names a partition: then the link belongs to
// that partition. newcomer_limits.h decides which links may wait. A link has kHello_ms (or the link
// patience, if that is longer) for TLS and hello together, and may send no frame above kHelloMax
// before. A refused link is counted by reason and logged with its address. On io's thread.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "gateway/cluster/link_listener.h"
#include "gateway/cluster/newcomer_limits.h"
#include "gateway/cluster/partition_server.h"
#include "gateway/link/tls.h"
#include "metrics/probe.h"

namespace berth::gateway::cluster {

class Newcomers {
 public:
  static constexpr std::uint32_t kHello_ms = 3000;
  static constexpr std::size_t kHelloMax = 4096;  // bytes of a frame

  using Arrived =
      std::function<void(const std::shared_ptr<LinkedEdge>&, const protocol::link::Hello&)>;
  // `tls` null: none. `strike`: an edge has sent a strike (link/records.h).
  Newcomers(boost::asio::io_context& io, const link::TlsContext* tls, std::uint32_t patience_ms,
            Arrived arrived, std::function<void(std::string_view)> strike);
  ~Newcomers();
  void listen(const std::string& host, std::uint16_t& port);  // throws std::runtime_error
  void beat();                                   // every heartbeat: closes silent links
  std::vector<metrics::Sample> samples() const;  // berth_link_refused_total, links that wait

 private:
  // Why a link did not become an edge's: no room, no hello in time, TLS failed, what came was none
  // of ours, it ended by itself, its hello was refused.
  enum class Refusal : std::uint8_t { full, silent, tls, malformed, closed, hello, count };
  struct Waiting {
    NewcomerLimits::Id id;
    base::Address from;
    std::shared_ptr<LinkedEdge> edge;
  };
  void add(int fd, const base::Address& from, std::uint16_t port);
  link::EngineLink::Events events_of(const std::shared_ptr<LinkedEdge>& edge);
  void refuse(Refusal why, const std::string& peer, const std::string& text);
  void sweep();

  boost::asio::io_context& io_;
  const link::TlsContext* tls_;
  std::uint32_t patience_ms_;
  Arrived arrived_;
  std::function<void(std::string_view)> strike_;
  std::unique_ptr<LinkListener> listener_;
  NewcomerLimits limits_;
  NewcomerLimits::Id last_id_ = 0;
  std::vector<Waiting> waiting_;
  std::array<std::uint64_t, static_cast<std::size_t>(Refusal::count)> refused_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::cluster
