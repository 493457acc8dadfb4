#include "gateway/cluster/newcomers.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_event.h"
#include "metrics/link_names.h"

namespace berth::gateway::cluster {

using protocol::link::Hello;

namespace {

const base::LogKind kLinkRefused{"link refused", base::LogLevel::warn,
                                 base::LogKind::Outcome::failure, "cluster"};

std::string_view host_of(std::string_view peer) {
  return peer.substr(0, peer.rfind(':'));
}

}  // namespace

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
  listener_ = std::make_unique<LinkListener>(
      io_, host, port, patience_ms_,
      [this](int fd, const base::Address& from, std::uint16_t p) { add(fd, from, p); });
}

void Newcomers::refuse(Refusal why, const std::string& peer, const std::string& text) {
  ++refused_[static_cast<std::size_t>(why)];
  if (why == Refusal::closed) {  // a probe of the port, an edge that was restarted
    BERTH_LOG(debug, "link ended before its hello peer={} reason=\"{}\"", peer, text);
  } else if (why == Refusal::hello) {  // `arrived_` has said why, and whose hello it was
    BERTH_LOG(debug, "link refused peer={} reason=\"{}\"", peer, text);
  } else if (kLinkRefused.admits(std::hash<std::string_view>{}(host_of(peer)))) {
    base::LogEvent(kLinkRefused).add("peer", peer).add("reason", text);
  }
}

void Newcomers::add(int fd, const base::Address& from, std::uint16_t port) {
  const std::int64_t now = base::monotonic_ns();
  const std::string peer = from.with_port(port);
  const NewcomerLimits::Id id = ++last_id_;
  const NewcomerLimits::Verdict verdict = limits_.enter(id, from, now);
  if (verdict.evicted) {
    for (const Waiting& w : waiting_) {
      if (w.id == *verdict.evicted) {
        w.edge->lost = true;
        refuse(Refusal::full, w.edge->peer, "no room for links that say nothing");
      }
    }
    sweep();
  }
  SSL* stream = nullptr;
  if (!verdict.admitted) {
    refuse(Refusal::full, peer, "too many links of this address");
  } else if (tls_ != nullptr && (stream = tls_->accept()) == nullptr) {
    limits_.leave(id);
    refuse(Refusal::tls, peer, "no certificate of ours: " + tls_->error());
  } else {
    auto edge = std::make_shared<LinkedEdge>();
    edge->since_ns = now;
    edge->peer = peer;
    edge->link = std::make_unique<link::EngineLink>(io_, fd, 0, events_of(edge), stream);
    edge->link->limit_frames(kHelloMax);
    waiting_.push_back({id, from, std::move(edge)});
    return;
  }
  ::close(fd);
}

link::EngineLink::Events Newcomers::events_of(const std::shared_ptr<LinkedEdge>& edge) {
  LinkedEdge* const e = edge.get();  // has the link, which has these
  link::EngineLink::Events on;
  on.hello = [this, weak = std::weak_ptr<LinkedEdge>(edge)](const Hello& h) {
    const auto here = weak.lock();
    if (!here) return;
    if (here->partition != nullptr || here->lost) return;  // it has said so before
    arrived_(here, h);
    if (here->partition == nullptr) refuse(Refusal::hello, here->peer, "its hello was refused");
    sweep();  // it is in other hands, or refused
  };
  on.attached_all = [e] {
    if (e->partition != nullptr) e->partition->on_attached_all(*e);
  };
  on.drain = on.stop = [] {};
  on.scrape = [](std::uint64_t) {};
  on.alive = [e](const protocol::link::Alive& a) {
    if (e->partition != nullptr) e->partition->on_alive(*e, a);
  };
  on.goodbye = [e] {
    if (e->partition != nullptr) e->partition->on_goodbye(*e);
  };
  on.strike = [this, e](std::string_view strike) {
    if (e->partition != nullptr) strike_(strike);  // else it is not an edge yet
  };
  on.admits = [e](std::uint32_t per_second) {
    if (e->partition != nullptr) e->partition->on_admits(*e, per_second);
  };
  on.skip = [e](protocol::link::ForwardedWork w) {
    if (e->partition != nullptr) e->partition->on_skip(w);
  };
  on.lost = [this, e] {
    e->lost = true;
    if (e->partition != nullptr) return e->partition->on_lost();
    const std::string& why = e->link->why_lost();
    if (!why.empty()) {  // else we have refused it
      refuse(why.starts_with("TLS")         ? Refusal::tls
             : why.starts_with("malformed") ? Refusal::malformed
                                            : Refusal::closed,
             e->peer, why);
    }
    boost::asio::post(io_, [this, alive = std::weak_ptr<bool>(alive_)] {
      if (!alive.expired()) sweep();
    });
  };
  return on;
}

// Those that are a partition's now are forgotten here; a link is never destroyed in a call of its
// own.
void Newcomers::sweep() {
  std::vector<std::shared_ptr<LinkedEdge>> lost;
  std::erase_if(waiting_, [&](const Waiting& w) {
    const bool adopted = w.edge->partition != nullptr;
    if (!adopted && !w.edge->lost) return false;
    limits_.leave(w.id);
    if (adopted) {
      limits_.know(w.from);
    } else {
      lost.push_back(w.edge);
    }
    return true;
  });
  if (!lost.empty()) boost::asio::post(io_, [lost = std::move(lost)]() mutable { lost.clear(); });
}

void Newcomers::beat() {
  const std::int64_t now = base::monotonic_ns();
  const std::int64_t patience = std::int64_t{std::max(patience_ms_, kHello_ms)} * 1'000'000;
  for (const Waiting& w : waiting_) {
    if (w.edge->lost || now - w.edge->since_ns <= patience) continue;
    w.edge->lost = true;
    refuse(Refusal::silent, w.edge->peer, "no hello in time");
  }
  sweep();
}

std::vector<metrics::Sample> Newcomers::samples() const {
  static constexpr const char* kNames[] = {"full", "silent", "tls", "malformed", "closed", "hello"};
  std::vector<metrics::Sample> all{{metrics::kLinksWaiting, "", "",
                                    "Links that have not said which edge they are", false,
                                    waiting_.size()}};
  for (std::size_t i = 0; i < refused_.size(); ++i) {
    all.push_back({metrics::kLinkRefused, "reason", kNames[i],
                   "Links that did not become an edge's, by cause", true, refused_[i]});
  }
  return all;
}

}  // namespace berth::gateway::cluster
