#include "gateway/node/edge_shards.h"

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "session/cookie_name.h"

namespace berth::gateway {

namespace {

std::uint32_t part_of(std::uint32_t all, std::uint32_t count) {
  return (all + count - 1) / count;
}

edge::EdgeOptions share_of(edge::EdgeOptions o, std::uint32_t count) {
  o.max_connections = part_of(o.max_connections, count);
  o.accept_per_s = part_of(o.accept_per_s, count);
  o.input_cap_total = std::max(o.input_cap_total / count, o.input_cap);
  o.before_login.bytes /= count;
  o.before_login.connections_per_address = part_of(o.before_login.connections_per_address, count);
  return o;
}

std::uint16_t port_of(int listener) {
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  getsockname(listener, reinterpret_cast<sockaddr*>(&local), &size);
  return ntohs(local.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(local).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(local).sin_port);
}

}  // namespace

EdgeShards::EdgeShards(boost::asio::io_context& main, const edge::EdgeOptions& options,
                       std::uint32_t count, edge::AddressLimits::Options limits)
    : main_(main),
      limits_(limits),
      quarantine_(options.quarantine_directory, options.quarantine_s) {
  for (std::uint32_t i = 0; i < count; ++i) {
    auto s = std::make_unique<Shard>();
    if (i != 0) s->own_io = std::make_unique<boost::asio::io_context>(1);
    s->io = i == 0 ? &main : s->own_io.get();
    edge::EdgeOptions own = share_of(options, count);
    own.passages = &passages_;
    s->edge = std::make_unique<edge::EdgeShard>(*s->io, own, s->probe, &limits_);
    shards_.push_back(std::move(s));
  }
  quarantine_.use_names(session::name_in_cookie);
  for (auto& s : shards_) {
    s->edge->use_quarantine(quarantine_, [this](const edge::Quarantine::Strike& strike) {
      boost::asio::post(main_, [this, strike] {
        struck(strike);
        if (on_strike_) on_strike_(strike);
      });
    });
  }
}

// Of a shard of ours, or of another edge: it has been counted.
void EdgeShards::struck(const edge::Quarantine::Strike& s) {
  const std::int64_t now_s = base::monotonic_ns() / 1'000'000'000;
  if (quarantine_.holds(s.id, now_s)) {
    each([s](std::uint32_t, boost::asio::io_context&, edge::EdgeShard& e) {
      e.shut_out(s.id, s.kind);
    });
  }
  tell_quarantine();
}

void EdgeShards::tell_quarantine() {
  each([](std::uint32_t, boost::asio::io_context&, edge::EdgeShard& e) { e.tell_quarantine(); });
}

void EdgeShards::struck_elsewhere(std::string_view bytes) {
  const auto s = edge::Quarantine::Strike::decode(bytes);
  if (!s) return;
  boost::asio::post(main_, [this, s = *s] {
    if (s.lifted) {
      if (quarantine_.lift(link::text_of(s.id), base::monotonic_ns() / 1'000'000'000))
        tell_quarantine();
      return;
    }
    quarantine_.strike(s, {}, base::monotonic_ns() / 1'000'000'000);
    struck(s);
  });
}

bool EdgeShards::lift(std::string_view id) {
  if (!quarantine_.lift(id, base::monotonic_ns() / 1'000'000'000)) return false;
  tell_quarantine();
  if (on_strike_) on_strike_(edge::Quarantine::lifted(id));
  return true;
}

EdgeShards::~EdgeShards() {
  stop();
}

void EdgeShards::bind(edge::Transport transport, const edge::ListenerOptions& options,
                      const std::string& host, std::uint16_t& port) {
  const std::size_t t = edge::index_of(transport);
  bound_[t] = options;
  bound_[t]->max_connections = (options.max_connections + count() - 1) / count();
  if (shards_[0]->listeners[t] >= 0) {
    port = port_of(shards_[0]->listeners[t]);
    return;
  }
  if (count() > 1) {  // SO_REUSEPORT would share the port with anybody who sets it too: look first
    const int alone = edge::open_listener(host, port, false);
    ::close(alone);
  }
  for (auto& s : shards_) s->listeners[t] = edge::open_listener(host, port, count() > 1);
}

void EdgeShards::close_listeners(Shard& s) {
  for (int& fd : s.listeners) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
}

void EdgeShards::open_for_devices() {
  for (auto& s : shards_) {
    Shard& shard = *s;
    on(shard, [this, &shard] {
      for (const edge::Transport t : edge::kTransports) {
        int& fd = shard.listeners[edge::index_of(t)];
        const auto& options = bound_[edge::index_of(t)];
        if (fd >= 0 && options) shard.edge->listen(std::exchange(fd, -1), t, *options);
      }
      close_listeners(shard);
      shard.edge->start();
    });
  }
  start_threads();
}

void EdgeShards::start_threads() {
  if (std::exchange(threads_started_, true)) return;
  for (auto& s : shards_) {
    if (!s->own_io) continue;
    s->thread = std::thread([io = s->io] {
      const auto work = boost::asio::make_work_guard(*io);
      io->run();
    });
  }
}

void EdgeShards::each(const EachShard& f) {
  for (std::uint32_t i = 0; i < count(); ++i) {
    Shard& shard = *shards_[i];
    on(shard, [&shard, f, i] { f(i, *shard.io, *shard.edge); });
  }
}

void EdgeShards::halt() {
  for (auto& s : shards_) {
    if (s->own_io) boost::asio::post(*s->io, [io = s->io] { io->stop(); });
  }
  for (auto& s : shards_) {
    if (!s->own_io) continue;
    if (s->thread.joinable()) s->thread.join();
    s->io->restart();
  }
  threads_started_ = false;
}

void EdgeShards::stop_accepting() {
  for (auto& s : shards_) {
    Shard& shard = *s;
    on(shard, [&shard] { shard.edge->stop_accepting(); });
  }
}

void EdgeShards::stop() {
  for (auto& s : shards_) {
    if (s->own_io) s->own_io->stop();
  }
  for (auto& s : shards_) {
    if (s->thread.joinable()) s->thread.join();
    close_listeners(*s);
  }
}

// -- links

void EdgeShards::make_link(Shard& s, link::EdgeLink::Events events) {
  auto told = std::move(events.ready);
  events.ready = [&s, told] {
    s.link->set_serving(true);
    s.edge->engine_ready();
    if (told) told();
  };
  s.link = std::make_unique<link::EdgeLink>(*s.io, *s.edge, std::move(events));
  s.edge->use_engine(*s.link);
}

void EdgeShards::make_links(link::EdgeLink::Events events) {
  make_link(*shards_[0], std::move(events));
  for (std::size_t i = 1; i < shards_.size(); ++i) {
    make_link(*shards_[i], {.ready = {},
                            .heartbeat = [] {},
                            .drained = [] {},
                            .lost = [] {},  // shard 0's link tells of the same engine
                            .samples = [](std::uint64_t, std::string_view) {}});
  }
}

void EdgeShards::open_links(std::vector<int> fds, protocol::link::Hello hello,
                            std::shared_ptr<const std::atomic<std::uint64_t>> word) {
  start_threads();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& s = *shards_[i];
    const auto link = static_cast<std::uint32_t>(i);
    on(s, [&s, fd = fds[i], hello, named = edge::EngineWord(word, link)] {
      s.edge->use_word(0, named);
      s.link->open(fd, hello);
    });
    ++hello.edge_id;
  }
}

void EdgeShards::limit(edge::AddressLimits::Options of_address, std::uint32_t accept_per_s) {
  limits_.use(of_address);
  each([share = part_of(accept_per_s, count())](std::uint32_t, boost::asio::io_context&,
                                                edge::EdgeShard& e) { e.limit_accepts(share); });
}

void EdgeShards::engine_gone(edge::EngineEnd how, std::int64_t silent_since_ns,
                             const edge::EngineName& who) {
  for (auto& s : shards_) {
    Shard& shard = *s;
    on(shard, [&shard, how, silent_since_ns, who] {
      shard.link->close();  // applies what it had written whole
      shard.edge->engine_gone(0, how, silent_since_ns, who);
    });
  }
}

void EdgeShards::suspect(base::ConnId conn) {
  if (conn.link() >= shards_.size()) return;
  Shard& s = *shards_[conn.link()];
  on(s, [&s, conn] { s.edge->suspect(conn.local()); });
}

bool EdgeShards::serving() const {
  return shards_[0]->link->serving();
}

void EdgeShards::collect(std::function<void(std::vector<metrics::EdgeProbe>)> done) {
  struct Gathering {
    std::vector<metrics::EdgeProbe> probes;
    std::size_t missing;
    std::function<void(std::vector<metrics::EdgeProbe>)> done;
  };
  auto g = std::make_shared<Gathering>(
      Gathering{std::vector<metrics::EdgeProbe>(shards_.size()), shards_.size(), std::move(done)});
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& s = *shards_[i];
    on(s, [this, g, i, &s] {
      s.edge->refresh_gauges();
      boost::asio::post(main_, [g, i, probe = s.probe] {
        g->probes[i] = probe;
        if (--g->missing == 0) g->done(std::move(g->probes));
      });
    });
  }
}

metrics::EdgeProbe total_of(const std::vector<metrics::EdgeProbe>& probes) {
  metrics::EdgeProbe sum = probes[0];
  for (std::size_t i = 1; i < probes.size(); ++i) metrics::add(sum, probes[i]);
  return sum;
}

}  // namespace berth::gateway
