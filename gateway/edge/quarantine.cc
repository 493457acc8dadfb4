#include "gateway/edge/quarantine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "base/bytes.h"
#include "base/log.h"
#include "base/log_text.h"
#include "gateway/link/principal_id.h"

namespace berth::gateway::edge {

using link::text_of;
using protocol::link::PrincipalId;

namespace {

constexpr const char* kKindNames[] = {"principal", "anonymous", "before_login"};
constexpr std::size_t kHeardMax = 1000;
constexpr std::size_t kTenantsMax = 10'000;
constexpr std::uint8_t kLiftedKind = 3;
constexpr std::int64_t kLiftedTold_s = 60;  // engines are told so long that it is lifted

void put_id(std::string& out, const PrincipalId& id) {
  base::put_key64(out, id.high);
  base::put_key64(out, id.low);
}

PrincipalId get_id(base::RecordReader& r) {
  const std::string_view b = r.bytes();
  if (b.size() != 16) return {};
  return {base::get_key64(b), base::get_key64(b.substr(8))};
}

}  // namespace

PrincipalId newcomer_id(const base::Address& address) {
  const base::Address site = address.site();
  std::string key("\0n", 2);
  key.append(reinterpret_cast<const char*>(site.bytes.data()), site.bytes.size());
  return link::principal_id(key);
}

// strike := number id:string[16] tenant kind:u8 at_once:u8 peer:string name:string?
// The kind of what is lifted is one that a release before refuses.
std::string Quarantine::Strike::encode() const {
  std::string out;
  std::string key;
  put_id(key, id);
  base::put_varint(out, number);
  base::put_bytes(out, key);
  base::put_varint(out, tenant);
  out.push_back(lifted ? kLiftedKind : static_cast<char>(kind));
  out.push_back(at_once ? 1 : 0);
  base::put_bytes(out, peer);
  base::put_bytes(out, std::string_view(name).substr(0, kNameMax));
  return out;
}

std::optional<Quarantine::Strike> Quarantine::Strike::decode(std::string_view bytes) {
  base::RecordReader r(bytes);
  Strike s;
  s.number = r.varint();
  s.id = get_id(r);
  s.tenant = r.varint();
  const std::uint8_t kind = r.byte();
  s.at_once = r.byte() != 0;
  s.peer = r.bytes().substr(0, 64);
  if (!r.done()) s.name = r.bytes().substr(0, kNameMax);
  s.lifted = kind == kLiftedKind;
  if (!r.ok() || !s.id.is_set()) return {};
  if (!s.lifted && kind > static_cast<std::uint8_t>(Kind::before_login)) return {};
  if (!s.lifted) s.kind = static_cast<Kind>(kind);
  return s;
}

void Quarantine::use_seconds(std::uint32_t s) {
  const std::lock_guard lock(mutex_);
  seconds_ = s;
}

bool Quarantine::strike(const Strike& s, std::string_view input, std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  any_ = true;
  if (std::find(heard_.begin(), heard_.end(), s.number) != heard_.end()) {
    const auto it = entries_.find(s.id);
    return it != entries_.end() && it->second.until_s > now_s;
  }
  heard_.push_back(s.number);
  if (heard_.size() > kHeardMax) heard_.pop_front();
  if (!entries_.contains(s.id)) make_room();
  Entry& e = entries_[s.id];
  if (now_s - e.last_s > seconds_) e = Entry{};  // strikes of long ago
  e.id = s.id;
  e.kind = s.kind;
  e.tenant = s.tenant;
  e.peer = s.peer;
  if (!s.name.empty()) e.name = s.name;
  e.last_s = now_s;
  ++e.deaths;
  if (s.tenant != 0 && (tenants_.size() < kTenantsMax || tenants_.contains(s.tenant))) {
    auto& [deaths, last_s] = tenants_[s.tenant];
    deaths = now_s - last_s > seconds_ ? 1 : deaths + 1;
    last_s = now_s;
  }
  if (!input.empty()) e.file = keep(s.id, input);
  if (e.deaths < kDeaths && !s.at_once) return false;
  e.until_s = now_s + seconds_;
  BERTH_LOG(err, "quarantined id={} kind={} peer={} who=\"{}\" deaths={} seconds={} input=\"{}\"",
            text_of(e.id), kKindNames[static_cast<std::size_t>(e.kind)], base::LogName{e.peer},
            base::LogText{e.name}, e.deaths, seconds_, e.file);
  return true;
}

// The one whose last strike was longest ago.
void Quarantine::make_room() {
  if (entries_.size() < kKeysMax) return;
  const auto oldest = std::min_element(
      entries_.begin(), entries_.end(),
      [](const auto& a, const auto& b) { return a.second.last_s < b.second.last_s; });
  entries_.erase(oldest);
}

// For the report to us: the bytes as they were, readable by this user only. Empty: not kept.
std::string Quarantine::keep(const Id& id, std::string_view input) const {
  if (directory_.empty()) return {};
  std::error_code ec;
  std::filesystem::create_directories(directory_, ec);
  ::chmod(directory_.c_str(), 0700);
  std::vector<std::filesystem::path> files;
  for (const auto& f : std::filesystem::directory_iterator(directory_, ec))
    files.push_back(f.path());
  std::sort(files.begin(), files.end());  // their names begin with the time
  for (std::size_t i = 0; i + kFilesMax <= files.size(); ++i) std::filesystem::remove(files[i], ec);
  const std::string path =
      directory_ + "/" + std::to_string(std::time(nullptr)) + "-" + text_of(id) + ".bin";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    BERTH_LOG(warn, "killing input not kept file={} error=\"{}\"", path,
              std::generic_category().message(errno));
    return {};
  }
  const std::string_view kept = input.substr(0, kInputMax);
  const bool whole = ::write(fd, kept.data(), kept.size()) == static_cast<ssize_t>(kept.size());
  ::close(fd);
  return whole ? path : std::string();
}

bool Quarantine::holds(const Id& id, std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(id);
  return it != entries_.end() && it->second.until_s > now_s;
}

bool Quarantine::slows(std::uint64_t tenant, std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  const auto it = tenants_.find(tenant);
  return it != tenants_.end() && it->second.first >= kTenantDeaths &&
         now_s - it->second.second <= seconds_;
}

Quarantine::List Quarantine::list(std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  List all;
  for (const auto& [id, e] : entries_) {
    if (e.until_s > now_s) all.push_back({id, static_cast<std::uint32_t>(e.until_s - now_s)});
  }
  for (const auto& [tenant, deaths] : tenants_) {
    const std::int64_t left_s = deaths.second + seconds_ - now_s;
    if (deaths.first >= kTenantDeaths && left_s > 0)
      all.push_back({PrincipalId::of_tenant(tenant), static_cast<std::uint32_t>(left_s)});
  }
  std::erase_if(lifted_, [now_s](const auto& l) { return now_s - l.second > kLiftedTold_s; });
  for (const auto& [id, at_s] : lifted_) all.push_back({id, 0});
  return all;
}

std::vector<Quarantine::Entry> Quarantine::entries(std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> all;
  for (const auto& [id, e] : entries_) {
    if (e.until_s > now_s || now_s - e.last_s <= seconds_) all.push_back(e);
  }
  std::sort(all.begin(), all.end(),
            [](const Entry& a, const Entry& b) { return a.last_s > b.last_s; });
  return all;
}

std::size_t Quarantine::size(std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [now_s](const auto& e) { return e.second.until_s > now_s; }));
}

bool Quarantine::lift(std::string_view id, std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [id](const auto& e) { return text_of(e.first) == id; });
  if (it == entries_.end()) return false;
  BERTH_LOG(warn, "quarantine lifted id={}", id);
  lifted_.emplace_back(it->first, now_s);
  if (it->second.tenant != 0) {
    tenants_.erase(it->second.tenant);
    lifted_.emplace_back(PrincipalId::of_tenant(it->second.tenant), now_s);
  }
  entries_.erase(it);
  return true;
}

Quarantine::Strike Quarantine::lifted(std::string_view id) {
  Strike s;
  s.id = {std::stoull(std::string(id.substr(0, 16)), nullptr, 16),
          std::stoull(std::string(id.substr(16, 16)), nullptr, 16)};
  s.lifted = true;
  return s;
}

// saved := (id:string[16] tenant kind:u8 deaths left_s peer:string file:string)*
// What has no id gives the one before it its name, as `peer`: the release before passes it over.
std::string Quarantine::save(std::int64_t now_s) {
  std::string out;
  for (const Entry& e : entries(now_s)) {
    std::string key;
    put_id(key, e.id);
    base::put_bytes(out, key);
    base::put_varint(out, e.tenant);
    out.push_back(static_cast<char>(e.kind));
    base::put_varint(out, static_cast<std::uint64_t>(e.deaths));
    base::put_varint(out, static_cast<std::uint64_t>(std::max<std::int64_t>(e.until_s - now_s, 0)));
    base::put_bytes(out, e.peer);
    base::put_bytes(out, e.file);
    if (e.name.empty()) continue;
    base::put_bytes(out, std::string_view());
    out.append(4, '\0');  // tenant, kind, deaths, left_s
    base::put_bytes(out, e.name);
    base::put_bytes(out, std::string_view());
  }
  return out;
}

void Quarantine::restore(std::string_view bytes, std::int64_t now_s) {
  base::RecordReader r(bytes);
  const std::lock_guard lock(mutex_);
  any_ = any_ || !bytes.empty();
  Id last;
  while (!r.done() && r.ok() && entries_.size() < kKeysMax) {
    Entry e;
    e.id = get_id(r);
    e.tenant = r.varint();
    e.kind = static_cast<Kind>(std::min<std::uint8_t>(r.byte(), 2));
    e.deaths = static_cast<int>(r.varint());
    const auto left_s = static_cast<std::int64_t>(r.varint());
    e.until_s = left_s > 0 ? now_s + left_s : 0;
    e.last_s = now_s;
    e.peer = r.bytes();
    e.file = r.bytes();
    if (!r.ok()) return;
    if (e.id.is_set()) {
      last = e.id;
      entries_[last] = std::move(e);
    } else if (const auto it = entries_.find(last); it != entries_.end()) {
      it->second.name = e.peer.substr(0, kNameMax);
    }
  }
}

}  // namespace berth::gateway::edge
