#include "gateway/registry/guarded_registry.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace berth::gateway::registry {
namespace {

constexpr std::size_t kHandful = 10;

std::size_t hash_of(const std::string& value) {
  return std::hash<std::string>{}(value);
}

}  // namespace

bool is_loss(std::size_t missing, std::size_t known) {
  if (missing == 0) return false;
  return missing == known || (missing > kHandful && missing * 2 > known);
}

GuardedRegistry::GuardedRegistry(std::unique_ptr<RegistryStore> inner, Options options)
    : inner_(std::move(inner)), options_(std::move(options)) {
  if (!options_.monotonic_s)
    options_.monotonic_s = [] { return base::monotonic_ns() / 1'000'000'000; };
}

std::optional<GuardedRegistry::Doubt> GuardedRegistry::doubt() const {
  const std::lock_guard lock(mutex_);
  return told_;
}

Changes GuardedRegistry::read() {
  if (!std::exchange(begun_, true)) return begin();
  return judge(inner_->read());
}

Changes GuardedRegistry::begin() {
  std::optional<Changes> copy = read_copy();
  if (copy) {
    for (const Change& c : copy->list) known_.emplace(c.key, hash_of(*c.value));
    removals_.now = removals_.saved = copy->noted_removals;
  }
  Changes now;
  try {
    now = inner_->read();
  } catch (const std::runtime_error& e) {
    if (!copy || copy->list.empty()) throw;
    BERTH_LOG(err, "registry can't be read, the last good copy is used records={} error=\"{}\"",
              copy->list.size(), e.what());
    return std::move(*copy);
  }
  if (now.pending && copy) {
    copy->pending = true;
    return std::move(*copy);
  }
  now = judge(std::move(now));
  if (missing_.empty() || !copy) return now;
  // What is in force is the copy with what the store says otherwise.
  std::unordered_set<std::string> said;  // not views: the list grows while they are asked for
  for (const Change& c : now.list) said.insert(c.key);
  for (Change& c : copy->list) {
    if (!said.contains(c.key)) now.list.push_back(std::move(c));
  }
  now.whole = true;
  return now;
}

Changes GuardedRegistry::judge(Changes c) {
  if (c.pending) return c;
  removals_.before = removals_.now;
  if (c.removals >= 0) removals_.now = c.removals;
  if (c.whole) {
    c = judge_whole(std::move(c));
  } else {
    for (const Change& change : c.list) follow(change);
  }
  if (!missing_.empty() && loss_is_believed()) end_doubt(c);
  save();
  tell();
  return c;
}

// What is missing has been removed by name: the store has counted as many removals.
bool GuardedRegistry::by_name() const {
  if (removals_.before < 0 || removals_.now < removals_.before) return false;
  return missing_.size() <= static_cast<std::size_t>(removals_.now - removals_.before);
}

// What was known and is not there is missing, not removed, as long as that may be a loss.
Changes GuardedRegistry::judge_whole(Changes c) {
  std::unordered_set<std::string> there;  // not views: the list is moved from
  for (const Change& change : c.list) {
    if (change.value) there.insert(change.key);
  }
  const bool doubted_before = !missing_.empty();
  missing_.clear();
  for (const auto& [key, hash] : known_) {
    if (!there.contains(key)) missing_.insert(key);
  }
  if (!is_loss(missing_.size(), known_.size()) || by_name()) {
    if (doubted_before) BERTH_LOG(info, "registry is whole again records={}", there.size());
    for (const std::string& key : std::exchange(missing_, {})) follow({key, std::nullopt});
    for (const Change& change : c.list) follow(change);
    return c;
  }
  doubted_of_ = known_.size();
  if (!doubted_before) {
    since_s_ = options_.monotonic_s();
    BERTH_LOG(err,
              "registry has lost most of its records, what was known stays in force missing={} "
              "known={} believed_in_s={}",
              missing_.size(), known_.size(), options_.grace_s);
  }
  for (const Change& change : c.list) follow(change);
  c.whole = false;
  return c;
}

void GuardedRegistry::follow(const Change& c) {
  missing_.erase(c.key);
  const auto it = known_.find(c.key);
  if (!c.value) {
    if (it == known_.end()) return;
    known_.erase(it);
  } else {
    const std::size_t hash = hash_of(*c.value);
    if (it != known_.end() && it->second == hash) return;
    known_.insert_or_assign(c.key, hash);
  }
  if (options_.copy && options_.keeps_copy) unsaved_.insert_or_assign(c.key, c.value);
}

bool GuardedRegistry::loss_is_believed() {
  if (accepted_.exchange(false)) return true;
  if (!is_loss(missing_.size(), doubted_of_)) return true;  // most of it is back
  if (options_.monotonic_s() - since_s_ >= options_.grace_s) return true;
  if (options_.keeps_copy || !options_.copy) return false;
  try {  // the process that keeps the copy has believed it
    for (const Change& c : options_.copy->read().list) {
      if (!c.value && missing_.contains(c.key)) return true;
    }
  } catch (const std::runtime_error& e) {
    BERTH_LOG(debug, "registry's copy not read error=\"{}\"", e.what());
  }
  return false;
}

// What is missing has been removed.
void GuardedRegistry::end_doubt(Changes& out) {
  BERTH_LOG(warn, "registry's loss is believed removed={} left={}", missing_.size(),
            known_.size() - missing_.size());
  for (const std::string& key : std::exchange(missing_, {})) {
    out.list.push_back({key, std::nullopt});
    follow(out.list.back());
  }
}

void GuardedRegistry::tell() {
  std::optional<Doubt> now;
  if (!missing_.empty()) {
    now = Doubt{.missing = {missing_.begin(), missing_.end()}, .known = doubted_of_};
    std::sort(now->missing.begin(), now->missing.end());
  }
  const std::lock_guard lock(mutex_);
  told_ = std::move(now);
}

std::optional<Changes> GuardedRegistry::read_copy() {
  for (bool renewed = false; options_.copy; renewed = true) {
    try {
      Changes c = options_.copy->read();
      std::erase_if(c.list, [](const Change& change) { return !change.value; });
      return c;
    } catch (const std::runtime_error& e) {
      BERTH_LOG(warn, "registry's last good copy not read error=\"{}\"", e.what());
      const bool renew = !renewed && options_.keeps_copy && options_.renew_copy;
      options_.copy = renew ? options_.renew_copy() : nullptr;
    }
  }
  return std::nullopt;
}

void GuardedRegistry::save() {
  const bool counted = removals_.now != removals_.saved;
  if (!options_.copy || !options_.keeps_copy || (unsaved_.empty() && !counted)) return;
  std::vector<Write> writes;
  writes.reserve(unsaved_.size());
  for (const auto& [key, value] : unsaved_) writes.push_back({key, value, std::nullopt});
  try {
    if (!writes.empty()) options_.copy->write(writes);
    unsaved_.clear();
    if (counted) options_.copy->note_removals(removals_.now);
    removals_.saved = removals_.now;
    copy_fails_ = false;
  } catch (const std::runtime_error& e) {
    if (!std::exchange(copy_fails_, true))
      BERTH_LOG(warn, "registry's last good copy not kept error=\"{}\"", e.what());
  }
}

}  // namespace berth::gateway::registry
