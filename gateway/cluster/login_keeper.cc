#include "gateway/cluster/login_keeper.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "base/wall_clock.h"
#include "gateway/engine/login_throttle.h"

namespace berth::gateway::cluster {

using engine::LoginMemory;
using session::RedisConnection;
using session::RedisReply;

namespace {

constexpr std::size_t kAtOnce = 500;  // fields of a command
constexpr const char* kPage = "2000";

// Between machines the wall clock counts.
std::int64_t wall_ahead_ms() {
  return base::wall_time().ms - engine::login_time().ms;
}

// entry := hash at_ms failures, 8 bytes each
std::string bytes_of(const LoginMemory::Entry& e) {
  std::string out;
  base::put_key64(out, e.hash);
  base::put_key64(out, static_cast<std::uint64_t>(e.at_ms + wall_ahead_ms()));
  base::put_key64(out, std::bit_cast<std::uint64_t>(e.failures));
  return out;
}

bool read(const std::string& field, const std::string& value, LoginMemory::Change& c) {
  if (value.size() != 24 || field.empty() || field.size() > 6 ||
      !std::all_of(field.begin(), field.end(), [](char d) { return d >= '0' && d <= '9'; }))
    return false;
  const std::string_view v = value;
  c.place = static_cast<std::uint32_t>(std::stoul(field));
  c.entry.hash = base::get_key64(v);
  c.entry.at_ms = static_cast<std::int64_t>(base::get_key64(v.substr(8))) - wall_ahead_ms();
  c.entry.failures = std::bit_cast<double>(base::get_key64(v.substr(16)));
  return c.entry.failures >= 0 && c.entry.failures < 1e9;
}

}  // namespace

LoginKeeper::LoginKeeper(const session::RedisOptions& redis)
    : options_(redis),
      key_(redis.slot_key + "logins"),
      memory_(std::make_shared<LoginMemory>()),
      redis_(redis) {
  memory_->track_changes();
  thread_ = std::thread([this] { run(); });
}

LoginKeeper::~LoginKeeper() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LoginKeeper::load() try {
  RedisConnection redis(options_);
  redis.connect();
  std::string ours;
  base::put_key64(ours, memory_->key().k0);
  base::put_key64(ours, memory_->key().k1);
  redis.call({"HSETNX", key_, "key", ours});
  const std::string shared = redis.call({"HGET", key_, "key"}).as_text();
  if (shared.size() == 16) {
    const std::string_view k = shared;
    memory_->use_key({base::get_key64(k), base::get_key64(k.substr(8))});
  }
  std::string cursor = "0";
  std::size_t all = 0;
  do {
    const RedisReply page = redis.call({"HSCAN", key_, cursor, "COUNT", kPage});
    const auto& parts = page.as_array(2);
    cursor = parts[0].as_text();
    const auto& pairs = parts[1].as_array();
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2, ++all) {
      LoginMemory::Change c{};
      if (read(pairs[i].as_text(), pairs[i + 1].as_text(), c)) memory_->put(c);
    }
  } while (cursor != "0" && all < 2 * LoginMemory::kPlaces);
} catch (const std::exception& e) {
  BERTH_LOG(warn, "failed log-ins of the engine before are not known error=\"{}\"", e.what());
}

void LoginKeeper::beat() {
  if (!memory_->has_changes()) return;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t room = kWaitMax - std::min(kWaitMax, waiting_.size());
    for (const LoginMemory::Change& c : memory_->take_changes(room)) waiting_.push_back(c);
  }
  wake_.notify_one();
}

void LoginKeeper::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto changes = std::exchange(waiting_, {});
    lock.unlock();
    try {
      redis_.connect();
      write(std::move(changes));
    } catch (const std::exception& e) {
      BERTH_LOG(warn, "failed log-ins not copied to the store error=\"{}\"", e.what());
      redis_.close();
    }
    lock.lock();
  }
}

void LoginKeeper::write(std::vector<LoginMemory::Change> changes) {
  for (std::size_t at = 0; at < changes.size(); at += kAtOnce) {
    const std::size_t n = std::min(kAtOnce, changes.size() - at);
    redis_.begin(2 + 2 * n);
    redis_.add("HSET");
    redis_.add(key_);
    for (std::size_t i = at; i < at + n; ++i) {
      redis_.add(std::to_string(changes[i].place));
      redis_.add(bytes_of(changes[i].entry));
    }
    redis_.ask();
    redis_.answer();
  }
}

}  // namespace berth::gateway::cluster
