// Whole conversations: several devices, two edges, an engine that dies, links that break, commits
// that wait. The input is a script, one byte an operation and one its argument; see run(). Besides
// memory and undefined behaviour: on one connection there is one CONNACK, and a QoS 2 or v5 PUBLISH
// whose packet id is still in use is never sent again (I3); when all connections have ended the
// Broker holds no channel and nothing uncommitted.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "tests/support/world.h"

namespace {

using namespace berth::test;
using berth::protocol::link::CloseReason;

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

constexpr std::size_t kSlots = 4;         // connections at a time
constexpr std::size_t kOpenedMax = 64;    // connections of a conversation
constexpr std::size_t kStepsMax = 400;    // operations of a conversation
constexpr const char* kTopics[] = {"a", "a/b", "a/b/c", "x/y", "s/1"};
constexpr const char* kFilters[] = {"a", "a/+", "#", "+/b/#", "x/y", "$share/g/s/#", "$share/g/a/#",
                                    "s/1"};

class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool more() const { return at_ < size_; }
  unsigned byte() { return at_ < size_ ? data_[at_++] : 0; }
  template <std::size_t N>
  const char* one_of(const char* const (&table)[N]) {
    return table[byte() % N];
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

// What the device of one connection has seen.
struct Seen {
  int conn = -1;
  bool v5 = false;
  bool connack = false;
  unsigned next_id = 1;
  std::set<unsigned> unacknowledged;  // PUBLISHes of the gateway, until PUBACK or PUBREC
};

class Conversation {
 public:
  explicit Conversation(Script script) : script_(script), world_(options()) {}

  void run() {
    for (std::size_t i = 0; script_.more() && i < kStepsMax; ++i) step();
    world_.hold_commits(false);
    for (std::uint32_t link = 0; link < away_.size(); ++link) {
      if (away_[link]) world_.join(link);
    }
    for (Seen& s : seen_) {
      read(s);
      if (s.conn >= 0) world_.close(s.conn);
    }
    world_.advance_s(1);
    if (world_.broker().channel_count() != 0) broken("channels are left");
    if (world_.broker().has_uncommitted()) broken("writes are left");
  }

 private:
  static berth::session::BrokerOptions options() {
    berth::session::BrokerOptions o;
    o.queue_messages_max = 8;
    o.queue_bytes_max = 4096;
    o.subscriptions_max = 6;
    o.sessions_max = 12;
    o.retained_messages_max = 6;
    o.inflight_max = 4;
    o.receive_maximum = 4;
    return o;
  }

  void step() {
    const unsigned op = script_.byte();
    Seen& s = seen_[op % kSlots];
    switch (op / kSlots % 14) {
      case 0:
        return open(s);
      case 1:
        return say(s, publish(script_.one_of(kTopics), payload(), qos(s), s.next_id, version(s),
                              script_.byte() % 4 == 0, script_.byte() % 8 == 0));
      case 2:
        return say(s, subscribe(s.next_id++, script_.one_of(kFilters), script_.byte() % 0x2f,
                                version(s)));
      case 3:
        return say(s, unsubscribe(s.next_id++, script_.one_of(kFilters), version(s)));
      case 4:
        return acknowledge(s, 4 + script_.byte() % 4);
      case 5:
        return say(s, script_.byte() % 2 == 0 ? disconnect() : pingreq());
      case 6:
        return say(s, raw());
      case 7:
        if (s.conn >= 0) world_.close(s.conn, CloseReason::peer_reset);
        return forget(s);
      case 8:
        return burst(s);
      case 9:
        return trouble(script_.byte());
      case 10:
        return world_.hold_commits(script_.byte() % 2 == 0);
      case 11:
        if (s.conn >= 0) world_.set_writable(s.conn, script_.byte() % 2 == 0);
        return;
      case 12:
        return world_.advance_s(1 << script_.byte() % 8);
      default:
        return read(s);
    }
  }

  void open(Seen& s) {
    if (opened_ == kOpenedMax) return;
    ++opened_;
    forget(s);
    const unsigned how = script_.byte();
    s.v5 = how % 2 == 0;
    s.conn = world_.open(how / 2 % 2);
    ConnectOptions o{.client_id = std::string(1, static_cast<char>('a' + how / 4 % 4)),
                     .version = s.v5 ? 5 : 4,
                     .clean = how / 16 % 2 == 0};
    if (s.v5 && how / 32 % 2 == 0) o.properties = expiry(script_.byte() % 4 * 60);
    if (how / 64 % 2 == 0) {
      o.will_topic = script_.one_of(kTopics);
      o.will_payload = "will";
      o.will_qos = how % 3;
    }
    std::string bytes = connect(o);
    if (how / 128 == 0) bytes += subscribe(s.next_id++, script_.one_of(kFilters), 1, o.version);
    say(s, bytes);
  }

  // Several packets in one segment, and perhaps the end right behind them.
  void burst(Seen& s) {
    std::string bytes;
    const unsigned how = script_.byte();
    for (unsigned i = 0; i < how % 8; ++i)
      bytes += publish(script_.one_of(kTopics), payload(), qos(s), s.next_id, version(s));
    if (how / 8 % 2 == 0) bytes += disconnect();
    if (s.conn < 0) return;
    if (how / 16 % 2 == 0) return say(s, bytes);
    world_.send_and_close(s.conn, bytes);
    forget(s);
  }

  void trouble(unsigned what) {
    const std::uint32_t link = what / 2 % 2;
    if (what % 2 == 1) return lose_or_join(link);
    away_ = {};  // all edges come to the next engine
    world_.crash();
  }
  void lose_or_join(std::uint32_t link) {
    if (away_[1 - link]) return;  // one at a time: World holds one of them away
    if (away_[link]) {
      world_.join(link);
    } else {
      world_.lose(link);
    }
    away_[link] = !away_[link];
  }

  void say(Seen& s, const std::string& bytes) {
    if (s.conn < 0 || world_.ended(s.conn)) return;
    world_.feed(s.conn, bytes);
    read(s);
  }

  void acknowledge(Seen& s, unsigned type) {
    const unsigned id = s.unacknowledged.empty() ? 1 + script_.byte() % 4 : *s.unacknowledged.begin();
    s.unacknowledged.erase(id);
    say(s, ack(type, id));
  }

  void read(Seen& s) {
    if (s.conn < 0) return;
    for (const Packet& p : world_.packets(s.conn)) {
      if (p.type == 2 && std::exchange(s.connack, true)) broken("a second CONNACK");
      if (p.type != 3 || p.qos() == 0 || !s.v5) continue;
      if (!s.unacknowledged.insert(p.id()).second) broken("a PUBLISH was sent again");
    }
  }

  void forget(Seen& s) {
    if (s.conn >= 0) world_.close(s.conn);
    s = {};
  }
  static int version(const Seen& s) { return s.v5 ? 5 : 4; }
  unsigned qos(Seen& s) {
    const unsigned q = script_.byte() % 3;
    if (q != 0) ++s.next_id;
    return q;
  }
  std::string payload() { return std::string(script_.byte() % 200, 'p'); }
  std::string raw() {
    std::string bytes;
    for (unsigned n = script_.byte() % 12; n != 0; --n)
      bytes.push_back(static_cast<char>(script_.byte()));
    return bytes;
  }

  Script script_;
  World world_;
  std::array<Seen, kSlots> seen_;
  std::array<bool, 2> away_{};
  std::size_t opened_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Conversation(Script(data, size)).run();
  return 0;
}
