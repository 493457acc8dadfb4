#include "gateway/cluster/newcomers.h"

#include <unistd.h>

#include <boost/asio/post.hpp>

#include "base/clock.h"

namespace berth::gateway::cluster {

using protocol::link::Hello;

namespace {
constexpr std::size_t kMax = 1024;
}

Newcomers::Newcomers(boost::asio::io_context& io, const link::TlsContext* tls,
                     std::uint32_t patience_ms, Arrived arrived,
                     std::function<void(std::string_view)> strike)
    : io_(io),
      tls_(tls),
      patience_ms_(patience_ms),
      arrived_(std::move(arrived)),
      strike_(std::move(strike)) {}

Newcomers::~Newcomers() = default;

void Newcomers::listen(const std::string& host, std::uint16_t& port) {
  listener_ =
      std::make_unique<LinkListener>(io_, host, port, patience_ms_, [this](int fd) { add(fd); });
}

void Newcomers::add(int fd) {
  if (waiting_.size() >= kMax) {
    ::close(fd);
    return;
  }
  auto owned = std::make_shared<LinkedEdge>();
  LinkedEdge* e = owned.get();
  e->since_ns = base::monotonic_ns();
  e->link = std::make_unique<link::EngineLink>(
      io_, fd, 0,
      link::EngineLink::Events{.hello =
                                   [this, weak = std::weak_ptr<LinkedEdge>(owned)](const Hello& h) {
                                     if (const auto edge = weak.lock()) arrived_(edge, h);
                                     sweep();  // it is in other hands, or refused
                                   },
                               .attached_all =
                                   [e] {
                                     if (e->server != nullptr) e->server->on_attached_all(*e);
                                   },
                               .drain = [] {},
                               .stop = [] {},
                               .scrape = [](std::uint64_t) {},
                               .alive =
                                   [e](const protocol::link::Alive& a) {
                                     if (e->server != nullptr) e->server->on_alive(*e, a);
                                   },
                               .goodbye =
                                   [e] {
                                     if (e->server != nullptr) e->server->on_goodbye(*e);
                                   },
                               .strike =
                                   [this, e](std::string_view strike) {
                                     if (e->server != nullptr)
                                       strike_(strike);  // else it is not an edge yet
                                   },
                               .admits =
                                   [e](std::uint32_t per_second) {
                                     if (e->server != nullptr) e->server->on_admits(*e, per_second);
                                   },
                               .skip =
                                   [e](protocol::link::ForwardedWork w) {
                                     if (e->server != nullptr) e->server->on_skip(w);
                                   },
                               .lost =
                                   [this, e] {
                                     e->lost = true;
                                     if (e->server != nullptr) return e->server->on_lost();
                                     boost::asio::post(io_,
                                                       [this, alive = std::weak_ptr<bool>(alive_)] {
                                                         if (!alive.expired()) sweep();
                                                       });
                                   }},
      tls_ == nullptr ? nullptr : tls_->accept());
  waiting_.push_back(std::move(owned));
}

// Those that are a partition's now are forgotten here; a link is never destroyed in a call of its
// own.
void Newcomers::sweep() {
  std::erase_if(waiting_, [](const auto& e) { return e->server != nullptr; });
  std::vector<std::shared_ptr<LinkedEdge>> lost;
  std::erase_if(waiting_, [&](const auto& e) {
    if (e->lost) lost.push_back(e);
    return e->lost;
  });
  if (!lost.empty()) boost::asio::post(io_, [lost = std::move(lost)]() mutable { lost.clear(); });
}

void Newcomers::beat() {
  const std::int64_t now = base::monotonic_ns();
  for (const auto& e : waiting_) {
    if (now - e->since_ns > std::int64_t{patience_ms_} * 1'000'000) e->lost = true;
  }
  sweep();
}

}  // namespace berth::gateway::cluster
