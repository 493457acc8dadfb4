#include "platform/command_index.h"

#include <algorithm>
#include <utility>

#include "platform/platform.pb.h"

namespace berth::platform {

namespace {

// The end of each key: 8 bytes of time, U+0000, tenant, U+0000, id.
constexpr std::string_view kByDevice{"cd\0", 3};  // tenant, device
constexpr std::string_view kBySite{"cs\0", 3};    // tenant, site
constexpr std::string_view kByTenant{"ct\0", 3};  // tenant
constexpr std::string_view kByTime{"cz\0", 3};    // nothing: for the sweep, which reads the record
constexpr std::string_view kCount{"!n\0", 3};

std::string name_in(std::string_view table, std::string_view a, std::string_view b = {}) {
  std::string key(table);
  key.append(a).push_back('\0');
  if (!b.empty()) key.append(b).push_back('\0');
  return key;
}

std::string end_of(std::int64_t ms, std::string_view tenant, std::string_view id) {
  return big_endian(ms) + '\0' + joined(tenant, id);
}

std::string tail_of(const Entry& e) {
  return end_of(e.accepted_wall_ms, e.asked.tenant, e.asked.id);
}

std::vector<std::string> keys_of(const Entry& e) {
  const std::string tail = tail_of(e);
  const Asked& a = e.asked;
  std::vector<std::string> keys{std::string(kByTime) + tail, name_in(kByTenant, a.tenant) + tail,
                                name_in(kByDevice, a.tenant, a.device) + tail};
  if (!e.site.empty()) keys.push_back(name_in(kBySite, a.tenant, e.site) + tail);
  return keys;
}

std::uint64_t bytes_of(const Entry& e) {
  std::uint64_t bytes = encode(e).size() + 64;
  for (const std::string& key : keys_of(e)) bytes += key.size();
  return bytes;
}

// Tenant and id at the end of a key of any table; false: it is none.
bool name_of_key(std::string_view key, std::size_t prefix, std::string_view& tenant,
                 std::string_view& id) {
  if (key.size() < prefix + 9) return false;
  key.remove_prefix(prefix + 9);
  const std::size_t nul = key.find('\0');
  if (nul == std::string_view::npos) return false;
  tenant = key.substr(0, nul);
  id = key.substr(nul + 1);
  return true;
}

}  // namespace

struct CommandIndex::Walk {
  Query query;
  Done done;
  std::string prefix;
  std::vector<std::string> keys;  // that were read, and are looked at next
  std::size_t at = 0;
  std::size_t looked = 0;
  bool running = false;  // in fetch()
  bool again = false;    // there is something for it
  std::size_t bytes = 0;
  bool more = false;
  Page page;
  bool is_full() const { return bytes >= kPageBytes || page.commands.size() >= query.count; }
};

bool CommandIndex::is_key(std::string_view key) {
  return key == kCount;
}

void CommandIndex::restored(std::string_view value) {
  pb::Kept kept;
  if (!kept.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  bytes_ = bytes_stored_ = kept.bytes();
}

void CommandIndex::accepted(const Entry& e) {
  for (const std::string& key : keys_of(e)) records_.put(key, {});
}

void CommandIndex::ended(const Entry& e) {
  bytes_ += bytes_of(e);
}

void CommandIndex::list(Query q, Done done) {
  auto walk = std::make_shared<Walk>();
  walk->query = std::move(q);
  walk->done = std::move(done);
  Query& query = walk->query;
  query.count = std::clamp<std::size_t>(query.count, 1, kPageMax);
  walk->prefix = !query.device.empty() ? name_in(kByDevice, query.tenant, query.device)
                 : !query.site.empty() ? name_in(kBySite, query.tenant, query.site)
                                       : name_in(kByTenant, query.tenant);
  read_on(walk);
}

void CommandIndex::read_on(const std::shared_ptr<Walk>& walk) {
  const Query& q = walk->query;
  session::RecordRange range;
  range.from = walk->prefix + big_endian(std::max<std::int64_t>(q.from_ms, 0));
  range.to = walk->prefix + big_endian(std::max<std::int64_t>(q.to_ms, 0));
  // `after` is the end of the last key that was looked at.
  if (!q.after.empty()) range.to = std::min(range.to, walk->prefix + q.after);
  range.count = std::min(q.count, kLookMax - walk->looked) + 1;
  range.newest_first = true;
  if (range.from >= range.to) return walk->done(std::move(walk->page));
  records_.read(std::move(range), [this, walk](auto found) {
    if (!found) {
      walk->page.failed = true;
      return walk->done(std::move(walk->page));
    }
    const std::size_t part = std::min(walk->query.count, kLookMax - walk->looked);
    walk->more = found->size() > part;
    walk->keys.clear();
    walk->at = 0;
    for (session::StoredRecord& r : *found) {
      if (walk->keys.size() < part) walk->keys.push_back(std::move(r.key));
    }
    fetch(walk);
  });
}

// One after the other: an answer that comes within the question is no deeper call.
void CommandIndex::fetch(const std::shared_ptr<Walk>& walk) {
  walk->again = true;
  if (std::exchange(walk->running, true)) return;
  while (std::exchange(walk->again, false)) fetch_one(walk);
  walk->running = false;
}

void CommandIndex::fetch_one(const std::shared_ptr<Walk>& walk) {
  const bool at_end = walk->at == walk->keys.size();
  if (at_end && walk->more && walk->looked < kLookMax) {
    walk->query.after = walk->page.last;
    return read_on(walk);
  }
  if (at_end) {
    walk->page.more = walk->more;
    return walk->done(std::move(walk->page));
  }
  ++walk->looked;
  const std::string& key = walk->keys[walk->at++];
  const std::string before = std::exchange(walk->page.last, key.substr(walk->prefix.size()));
  std::string_view tenant;
  std::string_view id;
  if (!name_of_key(key, walk->prefix.size(), tenant, id)) return fetch(walk);
  ledger_.find(tenant, id, [this, walk, before](const Entry* e, bool unknown) {
    if (unknown) {
      walk->page.failed = true;
      return walk->done(std::move(walk->page));
    }
    if (e != nullptr && (!walk->query.is_wanted || walk->query.is_wanted(*e))) {
      if (walk->is_full()) {  // the next page begins with it
        walk->page.last = before;
        walk->page.more = true;
        return walk->done(std::move(walk->page));
      }
      walk->page.commands.push_back(*e);
      walk->bytes += bytes_of(*e);
      walk->page.ends.push_back(walk->page.last);
    }
    fetch(walk);
  });
}

// -- how long they are kept

void CommandIndex::keep_count() {
  if (bytes_ == bytes_stored_) return;
  pb::Kept kept;
  kept.set_bytes(bytes_stored_ = bytes_);
  records_.put(kCount, kept.SerializeAsString());
}

void CommandIndex::sweep(std::int64_t wall_ms, std::uint64_t others) {
  keep_count();
  if (std::exchange(sweeping_, true)) return;
  session::RecordRange range = all_of(std::string(kByTime));
  if (!sweep_from_.empty()) range.from = sweep_from_;
  range.count = kSweepMax;
  records_.read(std::move(range), [this, wall_ms, others](auto found) {
    sweeping_ = false;
    if (!found) return;
    sweep_from_ = found->size() < kSweepMax ? std::string() : found->back().key;
    const std::int64_t old = wall_ms - keep_.days * 86'400'000;
    for (const session::StoredRecord& r : *found) {
      const std::string_view time = std::string_view(r.key).substr(kByTime.size());
      const bool too_old = time < big_endian(std::max<std::int64_t>(old, 0));
      if (!too_old && bytes_ + others <= keep_.bytes) return sweep_from_.clear();
      std::string_view tenant;
      std::string_view id;
      if (!name_of_key(r.key, kByTime.size(), tenant, id)) continue;
      const std::string key = r.key;
      ledger_.find(tenant, id, [this, key](const Entry* e, bool unknown) {
        if (unknown || (e != nullptr && !e->command.done())) return;  // MUST without an end
        records_.remove(key);
        if (e == nullptr) return;
        for (const std::string& k : keys_of(*e)) records_.remove(k);
        records_.remove(final_key(e->asked.tenant, e->asked.id));
        bytes_ -= std::min(bytes_, bytes_of(*e));
        ++swept_;
      });
    }
  });
}

}  // namespace berth::platform
