#include "gateway/cluster/edge_upgrade.h"

#include <stdexcept>

#include "base/bytes.h"
#include "base/log.h"

namespace berth::gateway::cluster {

namespace {

constexpr char kAsksForLink = 'P';

class Takeover {
 public:
  explicit Takeover(EdgeShards& edges) : edges_(edges), origins_(edges.count()) {}

  // False: that was all.
  bool take(const HandoverStream::Item& item) {
    switch (item.type) {
      case 'W':
        return true;
      case 'S': {
        base::RecordReader r(item.payload);
        origins_.at(shard_) = {.edge_id = r.varint(), .generation = r.varint()};
        return true;
      }
      case 'L': {
        const auto transport = static_cast<std::size_t>(base::RecordReader(item.payload).byte());
        if (transport >= edge::kTransports.size() || shard_ >= edges_.count())
          throw std::runtime_error("handover: a listener of an unknown kind");
        edges_.adopt_listener(shard_, edge::kTransports[transport], item.fd);
        return true;
      }
      case 'C':
        if (!edges_.shard(shard_).adopt(item.payload, item.fd))
          throw std::runtime_error("handover: a connection can't be read");
        ++connections_;
        return true;
      case 'D':
        if (!edges_.shard(shard_++).adopt_rest(item.payload))
          throw std::runtime_error("handover: a shard can't be read");
        return true;
      case 'R':
        throw std::runtime_error("handover refused: " + item.payload);
      default:
        if (shard_ != edges_.count()) throw std::runtime_error("handover: not whole");
        return false;
    }
  }

  std::size_t connections() const { return connections_; }
  std::vector<ShardOrigin> origins() { return std::move(origins_); }

 private:
  EdgeShards& edges_;
  std::vector<ShardOrigin> origins_;
  std::uint32_t shard_ = 0;
  std::size_t connections_ = 0;
};

void give_shard(HandoverStream& to, edge::EdgeShard& shard, const ShardOrigin& origin) {
  std::string head;
  base::put_varint(head, origin.edge_id);
  base::put_varint(head, origin.generation);
  to.send('S', head);
  for (const edge::Transport t : edge::kTransports) {
    const char kind = static_cast<char>(t);
    if (shard.listener(t) >= 0) to.send('L', {&kind, 1}, shard.listener(t));
  }
  const std::string rest =
      shard.hand_over([&to](std::string_view record, int socket) { to.send('C', record, socket); });
  to.send('D', rest);
}

// On a connection of its own: the other waits for nothing while this process proves itself.
// std::nullopt: no process listens on the socket.
std::optional<bool> has_link(const std::string& path) {
  const int fd = connect_handover(path);
  if (fd < 0) return {};
  HandoverStream to(fd);
  to.send(kAsksForLink, {});
  const HandoverStream::Item answer = to.receive();
  return answer.type != kAsksForLink || base::RecordReader(answer.payload).byte() != 0;
}

}  // namespace

std::optional<std::vector<ShardOrigin>> take_over(const std::string& path, EdgeShards& edges,
                                                  std::uint32_t partitions,
                                                  const std::function<void(bool linked)>& prove,
                                                  const std::function<bool()>& is_to_end) {
  const std::optional<bool> linked = has_link(path);
  if (!linked) return {};
  prove(*linked);
  if (is_to_end()) throw GivenUp();
  const int fd = connect_handover(path);
  if (fd < 0) return {};  // it has ended meanwhile
  HandoverStream from(fd);
  std::string ask;
  base::put_varint(ask, kHandoverVersion);
  base::put_varint(ask, edges.count());
  base::put_varint(ask, partitions);
  from.send('H', ask);
  Takeover t(edges);
  bool more = true;
  while (more) {
    more = t.take(from.receive());
    if (is_to_end()) throw GivenUp();  // before 'K' nothing is ours
  }
  from.send('K', {});
  from.await_end();  // its ports are free now
  BERTH_LOG(info, "took over connections={}", t.connections());
  return t.origins();
}

bool asks_for_link(const HandoverStream::Item& asked) {
  return asked.type == kAsksForLink;
}

void say_linked(HandoverStream& to, bool linked) {
  const char word = linked ? 1 : 0;
  to.send(kAsksForLink, {&word, 1});
}

bool asks_for_the_same(const HandoverStream::Item& asked, std::uint32_t shards,
                       std::uint32_t partitions) {
  base::RecordReader r(asked.payload);
  if (r.varint() != kHandoverVersion) return false;
  const std::uint64_t its_shards = r.varint();
  return its_shards == shards && r.varint() == partitions && r.ok();
}

void say_wait(HandoverStream& to) {
  to.send('W', {});
}

void give_all(HandoverStream& to, EdgeShards& edges,
              const std::function<ShardOrigin(std::uint32_t shard)>& origin) {
  for (std::uint32_t i = 0; i < edges.count(); ++i) give_shard(to, edges.shard(i), origin(i));
  to.send('E', {});
  if (to.receive().type != 'K') throw std::runtime_error("not taken");
}

}  // namespace berth::gateway::cluster
