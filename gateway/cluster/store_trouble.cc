#include "gateway/cluster/store_trouble.h"

#include <map>
#include <mutex>

#include "base/log.h"

namespace berth::gateway::cluster {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kTellStoreAgain = 30 * kSecond;
constexpr std::int64_t kTakingCounts = 3 * kSecond;

struct Trouble {
  std::string why;
  std::int64_t since_ns = 0;
  std::int64_t told_ns = 0;
  std::int64_t not_taken_ns = 0;  // the last try; 0: none
};

std::mutex g_mutex;
std::map<std::string, Trouble>& troubles() {
  static std::map<std::string, Trouble> all;
  return all;
}

}  // namespace

void note_store_trouble(const std::string& prefix, const std::string& why, std::int64_t now_ns) {
  const std::lock_guard lock(g_mutex);
  const auto [it, fresh] = troubles().try_emplace(prefix);
  Trouble& t = it->second;
  if (fresh) t.since_ns = now_ns;
  t.why = why;
  if (!fresh && now_ns - t.told_ns < kTellStoreAgain) return;
  t.told_ns = now_ns;
  BERTH_LOG(err, "store not usable prefix={} for_s={} error=\"{}\"", prefix,
            (now_ns - t.since_ns) / kSecond, why);
}

void note_store_not_taken(const std::string& prefix, const std::string& why, std::int64_t now_ns) {
  note_store_trouble(prefix, why, now_ns);
  const std::lock_guard lock(g_mutex);
  troubles()[prefix].not_taken_ns = now_ns;
}

void note_store_reached(const std::string& prefix, std::int64_t now_ns) {
  const std::lock_guard lock(g_mutex);
  const auto it = troubles().find(prefix);
  if (it == troubles().end()) return;
  const Trouble& t = it->second;
  if (t.not_taken_ns != 0 && now_ns - t.not_taken_ns < kTakingCounts) return;
  BERTH_LOG(info, "store usable again prefix={} after_s={}", prefix,
            (now_ns - t.since_ns) / kSecond);
  troubles().erase(it);
}

std::string store_trouble(const std::string& prefix) {
  const std::lock_guard lock(g_mutex);
  const auto it = troubles().find(prefix);
  return it == troubles().end() ? std::string() : it->second.why;
}

}  // namespace berth::gateway::cluster
