// All connections of a shard as records and sockets, and back: an upgrade of the edge on one host.
//
//   connection := slot generation attach_epoch state:u8 reason:u8 flags:u8 version:u8 port
//                 address:u8[16] transport:u8 client_hash partition in_off in_ack out_off idle_s
//                 limit_s walker(4) in out cookie:string[n] layers
//                 park:string (StreamFollower) principal(2) tenant anonymous packet_size
//                 early:string timed:string (timed_output.h, or empty; a process of the release
//                 before writes these packets without their deadline, and engines do not hear of
//                 late ones)
//   layers     := flags:u8 [proxy_header wire frame_left [websocket]]   1 there are some, 2 PROXY
//   header is due,
//                 4 websocket (WebSocket::save())
//   rest       := n generation* (of all slots), m (hash, seconds)* (0) quarantine:string
//                 (quarantine.h) [admissions a second, as learned]
// Not carried: places of large packets and since when a packet is unfinished (both are judged
// anew), and sockets that linger, whose connections have ended. Numbers are varints, strings have a
// length in front.
#include "gateway/edge/handover.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/wall_clock.h"
#include "gateway/edge/device_sockets.h"

namespace berth::gateway::edge {

using base::put_bytes;
using base::put_varint;
using protocol::link::CloseReason;

namespace {
constexpr std::uint32_t kSlotsMax = 4u << 20;

void put_layers(std::string& out, const Connection& c) {
  const Layers* l = c.layers.get();
  const bool ws = l != nullptr && l->ws != nullptr;
  out.push_back(static_cast<char>(l == nullptr ? 0 : 1 | (l->proxy ? 2 : 0) | (ws ? 4 : 0)));
  if (l == nullptr) return;
  put_bytes(out, l->proxy_header);
  put_bytes(out, std::string_view(l->wire).substr(l->wire_at));
  put_varint(out, l->frame_left);
  if (ws) put_bytes(out, l->ws->save());
}

bool get_layers(base::RecordReader& r, Connection& c, std::string_view ws_path,
                std::string_view ws_origins) {
  const std::uint8_t flags = r.byte();
  if ((flags & 1) == 0) return true;
  c.layers = std::make_unique<Layers>();
  c.layers->proxy = (flags & 2) != 0;
  c.layers->proxy_header = r.bytes();
  c.layers->wire = r.bytes();
  c.layers->frame_left = r.varint();
  if ((flags & 4) == 0) return true;
  c.layers->ws = std::make_unique<protocol::websocket::WebSocket>(ws_path, ws_origins);
  return c.layers->ws->go_on_from(r.bytes());
}

// What an older release does not have.
void get_newer(base::RecordReader& r, Connection& c, protocol::mqtt::Walker::Place& at_byte) {
  if (!r.ok() || r.done()) return;
  c.principal.high = r.varint();
  c.principal.low = r.varint();
  c.tenant = r.varint();
  c.anonymous = r.varint() != 0;
  if (r.done()) return;
  at_byte.size = static_cast<std::uint32_t>(r.varint());
  const std::string_view early = r.bytes();
  if (!early.empty()) c.early = std::make_unique<std::string>(early);
}

// False: malformed. `ahead_ms`: as for TimedOutput::save().
bool get_timed(base::RecordReader& r, Connection& c, std::int64_t ahead_ms) {
  const std::string_view timed = r.done() ? std::string_view() : r.bytes();
  if (timed.empty()) return true;
  c.timed = std::make_unique<TimedOutput>();
  return c.timed->go_on_from(timed, c.unsent(), ahead_ms, DeviceSockets::handed(c));
}

}  // namespace

std::string Handover::hand_over(const Give& give) {
  std::string record;
  const std::int64_t ahead_ms = output_.deadline_now().ms - base::boot_time().ms;
  slab_.for_each([&](Connection& c) {
    record.clear();
    put_varint(record, c.slot);
    put_varint(record, c.generation);
    put_varint(record, c.attach_epoch);
    record.push_back(static_cast<char>(c.state));
    record.push_back(static_cast<char>(known_to_the_release_before(c.reason)));
    record.push_back(
        static_cast<char>((c.connected ? 1 : 0) | (c.loopback ? 2 : 0) | (c.counted ? 4 : 0)));
    record.push_back(static_cast<char>(c.version));
    put_varint(record, c.peer_port);
    record.append(reinterpret_cast<const char*>(c.peer.bytes.data()), c.peer.bytes.size());
    record.push_back(static_cast<char>(c.transport));
    put_varint(record, std::uint64_t{0});
    put_varint(record, c.partition);
    put_varint(record, c.in_off);
    put_varint(record, c.in_ack);
    put_varint(record, c.out_off);
    put_varint(record, now_s_ - slab_.alive(c.slot).last_seen_s);
    put_varint(record, slab_.alive(c.slot).limit_s);
    const FollowerPlace place = c.follower.save();
    const protocol::mqtt::Walker::Place& at = place.mqtt;
    for (const std::uint32_t v :
         {at.skip, at.remaining, std::uint32_t{at.header}, std::uint32_t{at.length_bytes}}) {
      put_varint(record, v);
    }
    put_bytes(record, c.in);
    put_bytes(record, std::string_view(c.out).substr(c.out_at));
    put_varint(record, c.cookie ? c.cookie->size() : 0);
    if (c.cookie) {
      protocol::link::Cookie joined = *c.cookie;
      protocol::link::join_subscriptions(joined);  // the other edge may be of the last release
      for (const std::string& slot : joined) put_bytes(record, slot);
    }
    put_layers(record, c);
    put_bytes(record, place.park);
    put_varint(record, c.principal.high);
    put_varint(record, c.principal.low);
    put_varint(record, c.tenant);
    put_varint(record, c.anonymous ? 1 : 0);
    put_varint(record, at.size);
    put_bytes(record, c.early ? *c.early : std::string());
    put_bytes(record, c.timed ? c.timed->save(ahead_ms, c.fd >= 0 ? DeviceSockets::handed(c) : 0)
                              : std::string());
    give(record, c.fd);
  });
  std::string rest;
  put_varint(rest, slab_.size());
  for (std::size_t slot = 0; slot < slab_.size(); ++slot) put_varint(rest, slab_[slot].generation);
  put_varint(rest, 0);  // of client ids, as an older release has them
  put_bytes(rest, quarantine_ != nullptr ? quarantine_->save(now_s_) : std::string());
  put_varint(rest, acceptor_.admission().learned_per_s());
  return rest;
}

bool Handover::adopt(std::string_view record, int fd) {
  base::RecordReader r(record);
  Connection c;
  const std::uint64_t slot = r.varint();
  c.slot = static_cast<std::uint32_t>(slot);
  c.generation = static_cast<std::uint32_t>(r.varint());
  c.attach_epoch = static_cast<std::uint32_t>(r.varint());
  const std::uint8_t state = r.byte();
  const std::uint8_t reason = r.byte();
  const std::uint8_t flags = r.byte();
  c.version = r.byte();
  c.peer_port = static_cast<std::uint16_t>(r.varint());
  for (std::uint8_t& b : c.peer.bytes) b = r.byte();
  const std::uint8_t transport = r.byte();
  r.varint();  // a hash of the client id, of an older release
  const std::uint64_t partition = r.varint();
  c.partition = static_cast<std::uint8_t>(partition);
  c.in_off = r.varint();
  c.in_ack = r.varint();
  c.out_off = r.varint();
  const auto idle_s = static_cast<std::uint32_t>(r.varint());
  const auto limit_s = static_cast<std::uint32_t>(r.varint());
  FollowerPlace place;
  protocol::mqtt::Walker::Place& at_byte = place.mqtt;
  at_byte.skip = static_cast<std::uint32_t>(r.varint());
  at_byte.remaining = static_cast<std::uint32_t>(r.varint());
  at_byte.header = static_cast<std::uint8_t>(r.varint());
  at_byte.length_bytes = static_cast<std::uint8_t>(r.varint());
  c.in = r.bytes();
  c.out = r.bytes();
  const std::uint64_t cookies = r.varint();
  if (cookies != 0) c.cookie = std::make_unique<protocol::link::Cookie>();
  for (std::uint64_t i = 0; i < cookies && r.ok(); ++i) {
    const std::string_view bytes = r.bytes();
    if (i < c.cookie->size()) (*c.cookie)[i] = bytes;
  }
  c.sent = c.out_off - std::min<std::uint64_t>(c.out_off, c.unsent());
  const bool layers = get_layers(r, c, options_.ws_path, options_.ws_origins);
  if (!r.done()) place.park = r.bytes();  // an older release has none
  get_newer(r, c, at_byte);
  const bool timed = get_timed(r, c, output_.deadline_now().ms - base::boot_time().ms);
  const bool known = transport < kTransports.size();
  if (known) c.follower = StreamFollower(static_cast<Transport>(transport));
  const bool followed = c.follower.go_on_from(place);
  const bool placed = partition < engines_.size() || partition == Connection::kUnplaced;
  const bool sane = r.ok() && layers && timed && known && followed && placed && slot < kSlotsMax &&
                    state >= 1 && state <= 3 &&
                    reason < static_cast<std::uint8_t>(CloseReason::count) &&
                    c.in_ack + c.in.size() == c.in_off;
  if (!sane) return false;
  c.state = static_cast<Connection::State>(state);
  if ((fd < 0) != (c.state == Connection::State::ended)) return false;
  c.reason = static_cast<CloseReason>(reason);
  c.transport = static_cast<Transport>(transport);
  c.connected = (flags & 1) != 0;
  c.loopback = (flags & 2) != 0;
  slab_.grow_to(slot + 1);
  if (slab_[slot].state != Connection::State::free) return false;
  c.fd = fd;
  c.want_write = fd >= 0 && !c.all_sent();
  c.counted = fd >= 0 && limits_ != nullptr && (flags & 4) != 0;
  slab_.alive(slot) = {now_s_ - std::min(idle_s, now_s_), limit_s};
  slab_[slot] = std::move(c);
  count_adopted(slab_[slot]);
  if (slab_[slot].timed) output_.watch(slab_[slot]);
  return true;
}

void Handover::count_adopted(Connection& c) {
  const bool open = c.fd >= 0;
  if (open) {
    ++counts_.open;
    ++counts_.by_transport[index_of(c.transport)];
    if (c.counted) limits_->enter_again(c.peer);
    counts_.set_waiting(c, !c.connected && c.in_off != 0 && c.at_boundary());
    poller_.add(c.fd, c.id().packed(), EPOLLIN | (c.want_write ? EPOLLOUT : 0u));
  }
  if (c.connected) {
    input_.log_in(c);
    if (!open) --counts_.connected;
  } else if (open) {
    const bool address_known = c.layers == nullptr || !c.layers->proxy;
    before_login_.enter(c.slot, c.peer, c.in.size(), address_known, now_s_);
  }
}

// The last: what slots were used before is known too, so that no connection gets an id again.
bool Handover::adopt_rest(std::string_view rest) {
  base::RecordReader r(rest);
  const std::uint64_t slots = r.varint();
  if (!r.ok() || slots > kSlotsMax) return false;
  slab_.grow_to(slots);
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    const auto generation = static_cast<std::uint32_t>(r.varint());
    if (slab_[slot].state == Connection::State::free) slab_[slot].generation = generation;
  }
  const std::uint64_t quarantined = r.varint();
  for (std::uint64_t i = 0; i < quarantined && r.ok(); ++i) {
    r.varint();
    r.varint();
  }
  const std::string_view quarantine = r.done() ? std::string_view() : r.bytes();
  if (!quarantine.empty() && quarantine_ != nullptr) quarantine_->restore(quarantine, now_s_);
  if (!r.done()) acceptor_.admission().begin_with(static_cast<std::uint32_t>(r.varint()));
  slab_.find_free();
  for (std::uint32_t p = 0; p < engines_.size(); ++p) {
    attachments_.engine_gone(p, EngineEnd::planned, 0, {});  // none yet: input is kept
    engines_[p].own = true;
  }
  return r.ok();
}

}  // namespace berth::gateway::edge
