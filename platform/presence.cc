#include "platform/presence.h"

#include <algorithm>
#include <random>

#include "platform/presence.pb.h"
#include "session/scope.h"

namespace berth::platform {

namespace {

constexpr std::string_view kPrefix{"!p\0", 3};
constexpr int kTold = 100;       // at a time
constexpr int kDoubtful = 1000;  // the same

base::SipKey any_key() {
  std::random_device random;
  const auto word = [&random] {
    return static_cast<std::uint64_t>(random()) << 32 | static_cast<std::uint64_t>(random());
  };
  return {word(), word()};
}

Visit visit_of(std::string_view key, const pb::PresenceRecord& r) {
  key.remove_prefix(kPrefix.size());
  const std::size_t end = key.find('\0');
  Visit v;
  v.tenant = key.substr(0, end);
  v.device = key.substr(end + 1);
  v.site = r.site();
  v.product = r.product();
  v.client_id = r.client_id();
  v.address = r.address();
  v.protocol = r.protocol();
  v.epoch = r.epoch();
  return v;
}

}  // namespace

Presence::Presence(PresenceOptions options, Records& records, PresencePorts& ports, Board& board)
    : options_(options), records_(records), ports_(ports), board_(board), secret_(any_key()) {}

std::string Presence::key_of(std::string_view tenant, std::string_view device) {
  return std::string(kPrefix) + joined(tenant, device);
}

bool Presence::is_key(std::string_view key) {
  return key.starts_with(kPrefix) && key.find('\0', kPrefix.size()) != std::string_view::npos;
}

Presence::Id Presence::id_of_key(std::string_view key) const {
  const Visit v = visit_of(key, {});
  return id_of(session::Principal{v.tenant, session::Role::device, v.device}.key());
}

void Presence::restored(std::string_view key, std::string_view record) {
  pb::PresenceRecord r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  Known& k = known_[id_of_key(key)];
  k.epoch = r.epoch();
  const bool known_state = r.state() <= static_cast<std::uint32_t>(State::offline);
  const Cause cause = r.cause() < kCauses ? static_cast<Cause>(r.cause()) : Cause::none;
  set_state(k, known_state ? static_cast<State>(r.state()) : State::never, r.since_ms(),
            board_.place_of(visit_of(key, r).tenant, r.site()), cause);
  if (!r.firmware().empty()) k.firmware = place_of(r.firmware()) & 63;
  if (k.state == State::online) doubtful_.emplace(key, record);
}

void Presence::forget(std::string_view key) {
  const auto it = known_.find(id_of_key(key));
  if (it == known_.end()) return;
  set_state(it->second, State::never, 0, 0, Cause::none);
  if (it->second.here == 0) known_.erase(it);
  if (const auto d = doubtful_.find(key); d != doubtful_.end()) doubtful_.erase(d);
}

void Presence::set_state(Known& k, State s, std::int64_t since_ms, Board::Place place,
                         Cause cause) {
  if (k.state == State::online) --online_;
  if (s == State::online) ++online_;
  if (k.state != State::never) board_.count(k.place, k.state == State::online, k.cause, -1);
  if (s != State::never) board_.count(place, s == State::online, cause, 1);
  k.place = place & 0xffff;
  k.cause = cause;
  k.state = s;
  k.since_s = static_cast<std::uint32_t>(since_ms / 1000);
}

bool Presence::begins(Id id, std::uint64_t epoch) {
  Known& k = known_[id];
  ++k.here;
  const bool known = k.state == State::online && k.epoch == epoch;
  return !known || leaving_.contains(id);
}

void Presence::ends(Id id) {
  const auto it = known_.find(id);
  if (it != known_.end() && it->second.here != 0) --it->second.here;
}

pb::PresenceRecord Presence::record_of(const Visit& v) {
  pb::PresenceRecord r;
  r.set_epoch(v.epoch);
  r.set_site(v.site);
  r.set_product(v.product);
  r.set_client_id(v.client_id);
  r.set_address(v.address);
  r.set_protocol(v.protocol);
  return r;
}

std::uint8_t Presence::place_of(std::string_view firmware) {
  const auto it = std::find(firmwares_.begin(), firmwares_.end(), firmware);
  if (it != firmwares_.end()) return static_cast<std::uint8_t>(it - firmwares_.begin() + 1);
  if (firmwares_.size() == kFirmwares) return 0;
  firmwares_.emplace_back(firmware);
  return static_cast<std::uint8_t>(firmwares_.size());
}

std::string_view Presence::firmware_of(Id id) const {
  const Known* k = find(id);
  return k == nullptr || k->firmware == 0 ? std::string_view() : firmwares_[k->firmware - 1];
}

void Presence::reports(Id id, const Visit& v, std::string_view firmware) {
  const auto it = known_.find(id);
  if (it == known_.end() || it->second.state != State::online || leaving_.contains(id)) return;
  const std::uint8_t place = place_of(firmware);
  if (place == it->second.firmware) return;
  it->second.firmware = place & 63;
  records_.put(key_of(v.tenant, v.device), encode(it->second, v, 0, Cause::none));
}

std::string Presence::encode(const Known& k, const Visit& v, std::int64_t left_ms,
                             Cause cause) const {
  pb::PresenceRecord r = record_of(v);
  if (k.place != 0) r.set_site(board_.site_at(k.place));
  if (k.firmware != 0) r.set_firmware(firmwares_[k.firmware - 1]);
  r.set_state(static_cast<std::uint32_t>(k.state));
  r.set_since_ms(static_cast<std::int64_t>(k.since_s) * 1000);
  r.set_epoch(k.epoch);
  r.set_left_ms(left_ms);
  r.set_cause(static_cast<std::uint32_t>(cause));
  return r.SerializeAsString();
}

void Presence::came(Id id, const Visit& v, At at) {
  Known& k = known_[id];
  const bool same = k.epoch == v.epoch;  // it has only come into reach again
  k.epoch = std::max<std::uint64_t>(k.epoch, v.epoch);
  const auto leaving = leaving_.find(id);
  const bool moved = leaving != leaving_.end() && leaving->second.visit.site != v.site;
  if (!same) count_gap(k, leaving == leaving_.end() ? nullptr : &leaving->second, at);
  if (stay(id)) ++counts_.came_back;
  if (k.state == State::online && !moved) {
    const Board::Place place = board_.place_of(v.tenant, v.site);
    const bool elsewhere = place != k.place;
    if (elsewhere)
      set_state(k, State::online, static_cast<std::int64_t>(k.since_s) * 1000, place, Cause::none);
    if (elsewhere || (!same && k.epoch == v.epoch))
      records_.put(key_of(v.tenant, v.device), encode(k, v, 0, Cause::none));
    return;
  }
  set_state(k, State::online, at.wall_ms, board_.place_of(v.tenant, v.site), Cause::none);
  ++counts_.told_online;
  tell({.visit = v, .online = true, .since_ms = at.wall_ms}, encode(k, v, 0, Cause::none));
}

// What a deploy costs its devices. `leaving` null: it has been told that the device has gone.
void Presence::count_gap(const Known& k, const Leaving* leaving, At at) {
  if (leaving == nullptr && k.state != State::offline) return;
  if (!is_ours(leaving != nullptr ? leaving->cause : k.cause)) return;
  const std::int64_t left_ms =
      leaving != nullptr ? leaving->left_ms : static_cast<std::int64_t>(k.since_s) * 1000;
  counts_.gaps.observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(at.wall_ms - left_ms, 0)) * 1000);
}

void Presence::left(Id id, const Visit& v, Cause cause, At at, bool record) {
  const auto it = known_.find(id);
  if (it == known_.end() || it->second.here != 0) return;
  const Known& k = it->second;
  if (k.state == State::never) {  // removed meanwhile
    known_.erase(it);
    return;
  }
  // Of two connections the older one ended last: what is known of the newer one stays.
  Visit newest = v;
  newest.epoch = k.epoch;
  if (record) records_.put(key_of(v.tenant, v.device), encode(k, newest, at.wall_ms, cause));
  if (k.state != State::online) return;
  const std::uint32_t after_s = is_ours(cause)
                                    ? std::max(options_.offline_after_s, options_.ours_after_s)
                                    : options_.offline_after_s;
  leave(id, {.visit = std::move(newest),
             .cause = cause,
             .left_ms = at.wall_ms,
             .due = at.now.plus_s(after_s)});
}

void Presence::leave(Id id, Leaving l) {
  stay(id);
  const Known* const k = find(id);
  l.place = k == nullptr ? 0 : k->place;
  board_.count_leaving(l.place, 1);
  due_.emplace(l.due, id);
  leaving_.emplace(id, std::move(l));
}

bool Presence::stay(Id id) {
  const auto it = leaving_.find(id);
  if (it == leaving_.end()) return false;
  board_.count_leaving(it->second.place, -1);
  due_.erase({it->second.due, id});
  leaving_.erase(it);
  return true;
}

void Presence::moved(std::string_view tenant, std::string_view device, const std::string& site,
                     const Visit* connected) {
  const std::string key = key_of(tenant, device);
  const Id id = id_of_key(key);
  const auto it = known_.find(id);
  if (it == known_.end() || it->second.state == State::never) return;
  Known& k = it->second;
  const Board::Place place = board_.place_of(tenant, site);
  if (place == k.place) return;
  set_state(k, k.state, static_cast<std::int64_t>(k.since_s) * 1000, place, k.cause);
  if (const auto l = leaving_.find(id); l != leaving_.end()) {
    l->second.visit.site = site;
    board_.count_leaving(std::exchange(l->second.place, place), -1);
    board_.count_leaving(place, 1);
  }
  if (connected != nullptr)
    return records_.put(key, encode(k, *connected, 0, Cause::none));  // with the new site
  records_.read(exactly(key), [this, id, key, site](auto found) {
    const Known* const now = find(id);
    pb::PresenceRecord r;
    if (!found || found->empty() || now == nullptr || now->here != 0 ||
        !r.ParseFromString(found->front().value) || r.epoch() != now->epoch)
      return;  // it has been here since
    r.set_site(site);
    records_.put(key, r.SerializeAsString());
  });
}

void Presence::removed(std::string_view tenant, std::string_view device) {
  const std::string key = key_of(tenant, device);
  const Id id = id_of_key(key);
  stay(id);
  if (const auto d = doubtful_.find(key); d != doubtful_.end()) doubtful_.erase(d);
  const auto it = known_.find(id);
  if (it == known_.end()) return;
  set_state(it->second, State::never, 0, 0, Cause::none);
  if (it->second.here == 0) known_.erase(it);
  records_.remove(key);
}

void Presence::attached_all(At at) {
  if (std::exchange(attached_, true)) return;
  tell_due(at);
}

// Devices that were online and have no connection now: their edges have ended with the engine
// before us, or are out of reach, or their ends were not told yet.
bool Presence::tell_due(At at) {
  if (!attached_) return false;
  for (int n = 0; n < kDoubtful && !doubtful_.empty(); ++n) {
    const auto node = doubtful_.extract(doubtful_.begin());
    const Id id = id_of_key(node.key());
    const Known* k = find(id);
    pb::PresenceRecord r;
    if (k == nullptr || k->here != 0 || k->state != State::online || leaving_.contains(id) ||
        !r.ParseFromString(node.mapped()))
      continue;
    const bool ended = r.left_ms() != 0;
    const Cause cause =
        ended && r.cause() < kCauses ? static_cast<Cause>(r.cause()) : Cause::gateway;
    const std::uint32_t after_s = is_ours(cause)
                                      ? std::max(options_.offline_after_s, options_.ours_after_s)
                                      : options_.offline_after_s;
    leave(id, {.visit = visit_of(node.key(), r),
               .cause = cause,
               .left_ms = ended ? r.left_ms() : at.wall_ms,
               .due = at.now.plus_s(after_s)});
  }
  for (int n = 0; n < kTold && !due_.empty() && due_.begin()->first <= at.now; ++n) {
    const Id id = due_.begin()->second;
    const auto it = leaving_.find(id);
    Leaving l = std::move(it->second);
    stay(id);
    if (!ports_.is_registered(l.visit)) {  // removed while no engine was told
      removed(l.visit.tenant, l.visit.device);
      continue;
    }
    Known& k = known_[id];
    set_state(k, State::offline, l.left_ms, k.place, l.cause);  // it may have been moved since
    ++counts_.told_offline;
    tell({.visit = l.visit, .online = false, .since_ms = l.left_ms, .cause = l.cause},
         encode(k, l.visit, l.left_ms, l.cause));
  }
  return !doubtful_.empty() || (!due_.empty() && due_.begin()->first <= at.now);
}

void Presence::tell(const PresenceEvent& e, std::string record) {
  ports_.publish(e, [this, key = key_of(e.visit.tenant, e.visit.device),
                     record = std::move(record)] { records_.put(key, record); });
}

}  // namespace berth::platform
