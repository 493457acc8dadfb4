#include "platform/history.h"

#include <algorithm>
#include <random>
#include <utility>

#include "platform/history.pb.h"
#include "platform/shortened.h"

namespace berth::platform {

using session::RecordRange;
using session::StoredRecord;

namespace {

constexpr std::string_view kHistoryByDevice{"h\0", 2};
constexpr std::string_view kHistoryBySite{"hs\0", 3};
constexpr std::string_view kBytesKey = "!hb";
constexpr std::size_t kPlace = 16;  // bytes of time and number
constexpr std::size_t kAtOnce = 500;
constexpr std::int64_t kRest_ms = 60'000;  // between two sweeps
constexpr std::int64_t kKeepLeast_ms = 3'600'000;
constexpr int kLooks = 10;  // reads for one answer

std::string place_of(std::int64_t ms, std::uint64_t number) {
  return big_endian(std::max<std::int64_t>(ms, 0)) +
         big_endian(static_cast<std::int64_t>(number & INT64_MAX));
}
std::int64_t number_at(std::string_view key, std::size_t from_end) {
  std::int64_t n = 0;
  if (key.size() < from_end) return 0;
  for (const char c : key.substr(key.size() - from_end, 8))
    n = n << 8 | static_cast<unsigned char>(c);
  return n;
}
std::int64_t time_of(std::string_view key) {
  return number_at(key, kPlace);
}
std::string list_of(std::string_view table, std::string_view tenant, std::string_view name) {
  std::string key(table);
  key.append(tenant).push_back('\0');
  key.append(name).push_back('\0');
  return key;
}
// The tenant in a key of ours.
std::string_view tenant_in(std::string_view key, std::string_view table) {
  key.remove_prefix(table.size());
  return key.substr(0, key.find('\0'));
}
void set(std::string* field, std::string_view text) {
  field->assign(shortened(text, History::kTextMax));
}

}  // namespace

const char* name_of(HistoryKind k) {
  static constexpr std::array<const char*, kHistoryKinds> kNames{
      "", "connected", "ended", "taken_over", "refused", "command", "quota", "changed", "presence"};
  const auto i = static_cast<std::size_t>(k);
  return i < kNames.size() ? kNames[i] : "";
}

History::History(HistoryOptions options, Records& records)
    : options_(options), records_(records), next_number_(std::random_device{}()) {}

bool History::is_key(std::string_view key) {
  return key == kBytesKey;
}

void History::restored(std::string_view record) {
  if (record.size() == 8) bytes_ = stored_bytes_ = from_big_endian(record);
}

bool History::has_share(std::uint64_t id, At at, std::uint32_t& left_out) {
  Share& s = shares_[id % shares_.size()];
  const std::int64_t minute = at.now.ms / 60'000;
  if (s.id != id || s.minute != minute) {
    left_out = s.id == id ? s.left_out : 0;
    s = {id, minute, 1, 0};
    return true;
  }
  if (s.events >= kPerMinute) {
    ++s.left_out;
    ++counts_.left_out;
    return false;
  }
  ++s.events;
  left_out = std::exchange(s.left_out, 0);
  return true;
}

void History::add(std::uint64_t id, const Happening& h, At at) {
  pb::HistoryEvent e;
  add(id, h, at, e);
}

bool History::add(std::uint64_t id, const Happening& h, At at, pb::HistoryEvent& e) {
  std::uint32_t left_out = 0;
  if (!has_share(id, at, left_out)) return false;
  e.set_kind(static_cast<std::uint32_t>(h.kind));
  e.set_device(std::string(h.device));
  e.set_site(std::string(h.site));
  e.set_epoch(h.epoch);
  e.set_left_out(left_out);
  set(e.mutable_cause(), h.cause);
  set(e.mutable_detail(), h.detail);
  set(e.mutable_client_id(), h.client_id);
  set(e.mutable_address(), h.address);
  set(e.mutable_protocol(), h.protocol);
  set(e.mutable_id(), h.id);
  const std::string value = e.SerializeAsString();
  e.set_at_ms(at.wall_ms);
  e.set_number(take_number() & INT64_MAX);
  const std::string place = place_of(at.wall_ms, e.number());
  const std::string by_device = list_of(kHistoryByDevice, h.tenant, h.device) + place;
  const std::string by_site = list_of(kHistoryBySite, h.tenant, h.site) + place;
  records_.put(by_device, value);
  records_.put(by_site, value);
  bytes_ += static_cast<std::int64_t>(by_device.size() + by_site.size() + 2 * value.size());
  ++counts_.written;
  return true;
}

// Both places of an event, by the key in the list of its device.
void History::remove(std::string_view tenant, std::string_view device_key, std::string_view value) {
  pb::HistoryEvent e;
  records_.remove(device_key);
  ++counts_.removed;
  if (!e.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  std::string by_site = list_of(kHistoryBySite, tenant, e.site());
  by_site.append(device_key.substr(device_key.size() - kPlace));
  records_.remove(by_site);
  bytes_ -= static_cast<std::int64_t>(device_key.size() + by_site.size() + 2 * value.size());
  bytes_ = std::max<std::int64_t>(bytes_, 0);
}

void History::trim(std::string_view tenant, std::string_view device) {
  RecordRange all = all_of(list_of(kHistoryByDevice, tenant, device));
  all.newest_first = true;
  all.count = kPerDevice + 4 * kTrimEach;
  all.bytes = 1 << 20;
  records_.read(std::move(all), [this, tenant = std::string(tenant)](auto found) {
    if (!found) return;
    for (std::size_t i = kPerDevice; i < found->size(); ++i)
      remove(tenant, (*found)[i].key, (*found)[i].value);
  });
}

void History::tick(At at) {
  if (bytes_ != stored_bytes_) {
    stored_bytes_ = bytes_;
    records_.put(kBytesKey, big_endian(bytes_));
  }
  if (!sweeping_ && at.now.ms >= rest_until_ms_) sweep_part(at);
}

// Site by site: what is old of one, then the next one.
void History::sweep_part(At at) {
  sweeping_ = true;
  RecordRange r = all_of(std::string(kHistoryBySite));
  if (!sweep_from_.empty()) r.from = sweep_from_;
  r.count = kAtOnce;
  records_.read(std::move(r), [this, at](auto found) {
    sweeping_ = false;
    if (found) swept(*found, at);
  });
}

void History::swept(const std::vector<StoredRecord>& found, At at) {
  const std::int64_t before = at.wall_ms - keep_ms_;
  for (const StoredRecord& r : found) {
    if (r.key.size() < kHistoryBySite.size() + kPlace) continue;
    const std::string_view list = std::string_view(r.key).substr(0, r.key.size() - kPlace);
    if (time_of(r.key) >= before) {  // the rest of this site is younger
      sweep_from_ = std::string(list) + std::string(kPlace, '\xff');
      return;
    }
    pb::HistoryEvent e;
    if (!e.ParseFromString(r.value)) continue;
    const std::string_view tenant = tenant_in(r.key, kHistoryBySite);
    remove(
        tenant,
        list_of(kHistoryByDevice, tenant, e.device()).append(r.key, r.key.size() - kPlace, kPlace),
        r.value);
  }
  if (!found.empty()) {
    sweep_from_ = found.back().key + '\0';
    return;
  }
  sweep_from_.clear();
  if (bytes_ > options_.max_bytes) {
    keep_ms_ = std::max(keep_ms_ / 2, kKeepLeast_ms);  // and at once again
  } else {
    rest_until_ms_ = at.now.ms + kRest_ms;
    if (bytes_ < options_.max_bytes / 2) keep_ms_ = std::min(keep_ms_ * 2, kKeepMs);
  }
}

struct History::Query {
  pb::HistoryQuestion asked;
  RecordRange range;
  std::size_t limit = 0;
  int looks = 0;
  pb::HistoryAnswer answer;
  Answered answered;
  IsCalled is_called;

  bool wants(const pb::HistoryEvent& e) const {
    const auto& kinds = asked.kinds();
    const bool kind =
        kinds.empty() || std::find(kinds.begin(), kinds.end(), e.kind()) != kinds.end();
    return kind &&
           (asked.q().empty() || !is_called || is_called(asked.tenant(), e.device(), asked.q()));
  }
  bool is_seen(const std::string& site) const {
    const auto& sites = asked.sites();
    return sites.empty() || std::find(sites.begin(), sites.end(), site) != sites.end();
  }
  // False: that is enough.
  bool take(const StoredRecord& r) {
    pb::HistoryEvent e;
    answer.set_looked_ms(time_of(r.key));
    answer.set_looked_number(static_cast<std::uint64_t>(number_at(r.key, 8)));
    if (!e.ParseFromString(r.value) || !wants(e) || !is_seen(e.site())) return true;
    e.set_at_ms(answer.looked_ms());
    e.set_number(answer.looked_number());
    *answer.add_events() = std::move(e);
    return static_cast<std::size_t>(answer.events_size()) < limit;
  }
};

void History::ask(std::string_view question, Answered answered, IsCalled is_called) const {
  auto q = std::make_shared<Query>();
  q->answered = std::move(answered);
  q->is_called = std::move(is_called);
  if (!q->asked.ParseFromArray(question.data(), static_cast<int>(question.size())))
    return q->answered({});
  const pb::HistoryQuestion& a = q->asked;
  const std::string list = a.device().empty() ? list_of(kHistoryBySite, a.tenant(), a.site())
                                              : list_of(kHistoryByDevice, a.tenant(), a.device());
  q->range = all_of(list);
  q->range.from = list + place_of(a.from_ms(), 0);
  if (a.to_ms() != 0) q->range.to = list + place_of(a.to_ms(), a.to_number());
  q->range.count = kAtOnce;
  q->range.newest_first = true;
  q->limit = std::clamp<std::size_t>(a.limit(), 1, kAtOnce);
  look(std::move(q));
}

void History::look(std::shared_ptr<Query> q) const {
  RecordRange r = q->range;
  records_.read(std::move(r), [this, q](auto found) {
    if (!found) return q->answered({});
    for (const StoredRecord& r : *found) {
      if (r.key.size() < kPlace || q->take(r)) continue;
      q->answer.set_more(true);
      return q->answered(q->answer.SerializeAsString());
    }
    if (found->empty() || ++q->looks == kLooks) {
      q->answer.set_more(!found->empty());
      return q->answered(q->answer.SerializeAsString());
    }
    q->range.to = found->back().key;
    look(q);
  });
}

}  // namespace berth::platform
