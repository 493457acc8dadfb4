// Links of edges until they have said hello, which partition they are for: then they are its. At
// most 1,024 at a time; one that says nothing is closed after `patience_ms`.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "gateway/cluster/link_listener.h"
#include "gateway/cluster/partition_server.h"
#include "gateway/config.h"
#include "gateway/link/tls.h"

namespace berth::gateway::cluster {

class Newcomers {
 public:
  using Arrived =
      std::function<void(const std::shared_ptr<LinkedEdge>&, const protocol::link::Hello&)>;
  // `tls` null: none. `strike`: an edge has said it (link/records.h).
  Newcomers(boost::asio::io_context& io, const link::TlsContext* tls, std::uint32_t patience_ms,
            Arrived arrived, std::function<void(std::string_view)> strike);
  ~Newcomers();
  void listen(const std::string& host, std::uint16_t& port);  // throws std::runtime_error
  void beat();  // every heartbeat: those that are silent end

 private:
  void add(int fd);
  void sweep();

  boost::asio::io_context& io_;
  const link::TlsContext* tls_;
  std::uint32_t patience_ms_;
  Arrived arrived_;
  std::function<void(std::string_view)> strike_;
  std::unique_ptr<LinkListener> listener_;
  std::vector<std::shared_ptr<LinkedEdge>> waiting_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::cluster
