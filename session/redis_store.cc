// Keys, all with the prefix; session is the id as decimal text:
//   version             format version
//   lease               owner#number of the store's holder, expires
//   holders             number of the last holder
//   sessions            hash: session -> record          epochs    hash: session -> epoch
//   queues, receivers   sets of sessions that have (or had) q: and r:
//   q:session           sorted set, all scores 0: seq as 8 bytes big-endian, then the entry
//   r:session           hash: packet id -> where a QoS 2 PUBLISH came from
//   retained, applied   hashes by the key of the write
//   reach               edges linked to the holder, expires
//   warm, changed, warmed   a planned move: its name, what has been written since, who is ready
#include "session/redis_store.h"

#include <algorithm>
#include <boost/system/errc.hpp>
#include <thread>

#include "base/bytes.h"
#include "base/log.h"
#include "session/redis_restore.h"
#include "session/redis_script.h"
#include "session/store_threads.h"

namespace berth::session {
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kWritesPerScript = 50'000;  // Redis takes a million arguments; more: MULTI
constexpr std::size_t kGreatBatch = 1000;
constexpr std::size_t kWritesPerMs = 20;  // Redis does at least so many
constexpr std::size_t kReadStep =
    32;  // queue entries at a time: each may have the size of a packet
constexpr auto kRetryDelay = std::chrono::milliseconds(200);

const char* name_of(WriteKind kind) {
  switch (kind) {
    case WriteKind::put_session:
      return "put_session";
    case WriteKind::delete_session:
      return "delete_session";
    case WriteKind::append:
      return "append";
    case WriteKind::remove:
      return "remove";
    case WriteKind::remove_through:
      return "remove_through";
    case WriteKind::put_received:
      return "put_received";
    case WriteKind::remove_received:
      return "remove_received";
    case WriteKind::put_retained:
      return "put_retained";
    case WriteKind::remove_retained:
      return "remove_retained";
    case WriteKind::put_applied:
      return "put_applied";
    case WriteKind::remove_applied:
      return "remove_applied";
  }
  return "";
}

std::string key64(std::uint64_t v) {
  std::string k;
  base::put_key64(k, v);
  return k;
}

RedisStoreOptions placed(RedisStoreOptions o) {
  o.prefix = key_prefix(o.redis.address, o.prefix);
  o.redis.slot_key = o.prefix;
  return o;
}

}  // namespace

class RedisStore::Impl {
 public:
  Impl(RedisStoreOptions options, Poster post)
      : options_(placed(std::move(options))),
        post_(std::move(post)),
        writes_to_(options_.redis),
        reads_from_(options_.redis),
        reading_(reads_from_, options_.prefix) {
    if (!options_.warm) open();
  }
  void open() {
    take_lease();
    threads_.start({.write = [this](StoreThreads::Commit& c) { write_until_done(c); },
                    .read = [this](StoreThreads::Read& r) { read_until_done(r); },
                    .idle = [this] { renew_lease(); },
                    .idle_after = std::chrono::milliseconds(options_.lease_ms / 3)});
  }
  ~Impl() { close(); }
  void warm_up(RestoreSink& sink, const std::string& name) {
    reading_.warm_up(sink, name, options_.owner);
  }
  void take(std::uint64_t from, std::uint64_t floor);
  RedisRestore& reading() { return reading_; }
  void close();
  StoreThreads& threads() { return threads_; }
  std::uint64_t number() const { return std::strtoull(number_.c_str(), nullptr, 10); }

 private:
  std::string key(std::string_view name) const { return options_.prefix + std::string(name); }
  std::string key(char kind, const std::string& session) const {
    return options_.prefix + kind + ":" + session;
  }
  void take_lease();
  void check_server();
  void renew_lease();
  void write_until_done(StoreThreads::Commit& c);
  void read_until_done(StoreThreads::Read& r);
  void write(const Batch& batch, CommitResult& result);
  void add_write(const Write& w);
  void add_script(const Batch& batch, std::size_t from, std::size_t to);
  static void take_refused(const RedisReply& script, CommitResult& result);
  void await_replicas();
  void fenced(const std::string& holder);
  void health(bool healthy, const std::string& why);
  std::vector<StoredEntry> read_entries(const StoreThreads::Read& r);

  RedisStoreOptions options_;
  Poster post_;
  RedisConnection writes_to_;  // the writer's, after construction
  RedisConnection
      reads_from_;  // reading_'s, then the reader's; the writer renews the lease meanwhile
  RedisRestore reading_;
  std::string number_;  // ours as a holder
  std::string holder_;
  std::string commit_script_;  // its SHA1 at the server we are connected to
  bool healthy_ = true;        // writer's
  bool lost_ = false;          // writer's: fenced
  StoreThreads threads_;       // last: they use the rest
};

// -- opening

void RedisStore::Impl::take_lease() {
  const auto deadline =
      std::chrono::steady_clock::now() + 2 * std::chrono::milliseconds(options_.lease_ms);
  std::string why;
  for (;;) {
    try {
      writes_to_.connect();
      const std::string lease = std::to_string(options_.lease_ms);
      const std::uint64_t from = options_.take_from.value_or(0);
      const RedisReply taken =
          writes_to_.call({"EVAL", kTakeScript, "1", options_.prefix, options_.owner, lease,
                           std::to_string(from), std::to_string(options_.floor)});
      if (taken.type == RedisReply::Type::integer) {
        number_ = std::to_string(taken.integer);
        holder_ = options_.owner + "#" + number_;
        break;
      }
      why = "another gateway has its lease (" + taken.text + ")";
      if (options_.take_from) break;
    } catch (const RedisError& e) {
      why = e.what();
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      throw std::runtime_error("store " + options_.redis.address.text() + ": " + why);
    }
    std::this_thread::sleep_for(kRetryDelay);
  }
  if (number_.empty())
    throw std::runtime_error("store " + options_.redis.address.text() + ": " + why);
  check_server();
}

void RedisStore::Impl::check_server() {
  writes_to_.call({"SET", key("version"), std::to_string(kFormatVersion), "NX"});
  const RedisReply version = writes_to_.call({"GET", key("version")});
  if (std::atoi(version.text.c_str()) > kFormatVersion) {
    throw std::runtime_error("store: format " + version.text + " is newer than this version knows");
  }
  writes_to_.append({"CONFIG", "GET", "maxmemory-policy"});  // may be forbidden
  writes_to_.append({"CONFIG", "GET", "appendonly"});
  writes_to_.flush();
  const RedisReply policy = writes_to_.read();
  const RedisReply log = writes_to_.read();
  if (policy.items.size() == 2 && policy.items[1].text != "noeviction") {
    BERTH_LOG(warn, "redis evicts sessions when full maxmemory-policy={}", policy.items[1].text);
  }
  if (log.items.size() == 2 && log.items[1].text != "yes") {
    BERTH_LOG(warn, "redis keeps nothing across its own restart appendonly={}", log.items[1].text);
  }
}

void RedisStore::Impl::take(std::uint64_t from, std::uint64_t floor) {
  options_.take_from = from;
  options_.floor = floor;
  open();
}

// -- writing

void RedisStore::Impl::add_script(const Batch& batch, std::size_t from, std::size_t to) {
  const std::string lease = std::to_string(options_.lease_ms);
  writes_to_.begin(7 + 6 * (to - from));
  for (const std::string_view a :
       {std::string_view("EVALSHA"), std::string_view(commit_script_), std::string_view("1"),
        std::string_view(options_.prefix), std::string_view(holder_), std::string_view(lease),
        std::string_view(number_)}) {
    writes_to_.add(a);
  }
  for (std::size_t i = from; i < to; ++i) add_write(batch[i]);
}

void RedisStore::Impl::take_refused(const RedisReply& script, CommitResult& result) {
  if (script.type == RedisReply::Type::error) throw RedisError(script.text);
  for (const RedisReply& id : script.items) result.refused.push_back(session_of(id.text));
}

void RedisStore::Impl::add_write(const Write& w) {
  const bool entry = w.kind == WriteKind::append || w.kind == WriteKind::remove ||
                     w.kind == WriteKind::remove_through;
  const bool packet = w.kind == WriteKind::put_received || w.kind == WriteKind::remove_received;
  writes_to_.add(name_of(w.kind));
  writes_to_.add(std::to_string(w.session.value));
  writes_to_.add(key64(w.seq));
  writes_to_.add(std::to_string(w.epoch));
  writes_to_.add(entry ? key64(w.seq + 1) : packet ? key64(w.seq) : std::string(w.key));
  writes_to_.add(w.value);
}

void RedisStore::Impl::write(const Batch& batch, CommitResult& result) {
  if (!writes_to_.connected()) commit_script_.clear();
  writes_to_.connect();
  if (commit_script_.empty()) {
    commit_script_ = writes_to_.call({"SCRIPT", "LOAD", kCommitScript}).text;
  }
  // A script of many writes takes its time (10 us each measured): it must not be taken for a Redis
  // that does not answer, and be sent for ever.
  const bool great = batch.size() > kGreatBatch;
  const auto extra_ms = static_cast<std::uint32_t>(batch.size() / kWritesPerMs);
  if (great) writes_to_.set_patience(options_.redis.timeout_ms + extra_ms);
  result.refused.clear();
  const std::size_t scripts =
      std::max<std::size_t>(1, (batch.size() + kWritesPerScript - 1) / kWritesPerScript);
  const bool several = scripts > 1;
  if (several) writes_to_.append({"MULTI"});
  for (std::size_t i = 0; i < scripts; ++i) {
    const std::size_t from = i * kWritesPerScript;
    add_script(batch, from, std::min(batch.size(), from + kWritesPerScript));
  }
  if (several) writes_to_.append({"EXEC"});
  writes_to_.flush();
  if (several) {
    for (std::size_t i = 0; i <= scripts; ++i) writes_to_.expect();  // OK, QUEUED …
    for (const RedisReply& r : writes_to_.expect().items) take_refused(r, result);
  } else {
    take_refused(writes_to_.read(), result);
  }
  if (great) writes_to_.set_patience(options_.redis.timeout_ms);
  await_replicas();
}

void RedisStore::Impl::await_replicas() {
  if (options_.wait_replicas == 0) return;
  const std::string count = std::to_string(options_.wait_replicas);
  const RedisReply r = writes_to_.call({"WAIT", count, std::to_string(options_.wait_ms)});
  if (r.integer < options_.wait_replicas) {
    throw RedisError("only " + std::to_string(r.integer) + " of " + count + " replicas have it");
  }
}

void RedisStore::Impl::health(bool healthy, const std::string& why) {
  if (std::exchange(healthy_, healthy) == healthy) return;
  if (healthy) {
    BERTH_LOG(info, "store recovered");
  } else {
    BERTH_LOG(err, "store failing error=\"{}\"", why);
  }
  if (options_.on_health) options_.on_health(healthy);
}

void RedisStore::Impl::fenced(const std::string& holder) {
  BERTH_LOG(err, "store lost to another gateway holder={}", holder);
  lost_ = true;
  if (options_.on_fenced) options_.on_fenced();
}

void RedisStore::Impl::write_until_done(StoreThreads::Commit& c) {
  CommitResult result;
  for (;;) {
    if (lost_) return;  // never acknowledged: another gateway owns the sessions
    try {
      write(*c.batch, result);
      break;
    } catch (const RedisError& e) {
      const std::string_view why = e.what();
      if (why.starts_with("FENCED ")) {
        fenced(std::string(why.substr(7)));
        return;
      }
      writes_to_.close();
      health(false, e.what());
    }
    if (!threads_.pause(kRetryDelay)) return;
  }
  health(true, {});
  post_([done = std::move(c.done), result] { done(result); });
}

void RedisStore::Impl::renew_lease() {
  if (lost_) return;
  try {
    CommitResult nothing;
    write(Batch(), nothing);
    health(true, {});
  } catch (const RedisError& e) {
    const std::string_view why = e.what();
    if (why.starts_with("FENCED ")) return fenced(std::string(why.substr(7)));
    writes_to_.close();
    health(false, e.what());
  }
}

// -- reading

std::vector<StoredEntry> RedisStore::Impl::read_entries(const StoreThreads::Read& r) {
  reads_from_.connect();
  const std::string queue = key('q', std::to_string(r.session.value));
  std::vector<StoredEntry> out;
  std::size_t used = 0;
  std::string from = "[" + key64(r.from);
  while (out.size() < r.count) {
    const std::string count = std::to_string(std::min(kReadStep, r.count - out.size()));
    const RedisReply found =
        reads_from_.call({"ZRANGEBYLEX", queue, from, "+", "LIMIT", "0", count});
    if (found.items.empty()) return out;
    for (const RedisReply& member : found.items) {
      StoredEntry entry = entry_of(member.text);
      if (!out.empty() && used + entry.value.size() > r.bytes) return out;
      used += entry.value.size();
      out.push_back(std::move(entry));
    }
    from = "[" + key64(out.back().seq + 1);
  }
  return out;
}

void RedisStore::Impl::read_until_done(StoreThreads::Read& r) {
  while (!threads_.closing()) {
    try {
      auto entries = read_entries(r);
      post_([done = std::move(r.done), e = std::move(entries)]() mutable { done(std::move(e)); });
      return;
    } catch (const RedisError&) {  // the writer says so in the log
      reads_from_.close();
    }
    threads_.pause(kRetryDelay);
  }
}

void RedisStore::Impl::close() {
  threads_.close([this] { reads_from_.interrupt(); });
  try {
    if (writes_to_.connected()) {
      writes_to_.call({"EVAL", kReleaseScript, "1", options_.prefix, holder_});
    }
  } catch (const RedisError&) {  // it ends by itself
  }
  writes_to_.close();
  reads_from_.close();
}

RedisStore::RedisStore(RedisStoreOptions options, Poster post)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(post))) {}
RedisStore::~RedisStore() = default;
void RedisStore::restore(RestoreSink& sink) {
  impl_->reading().restore(sink);
}
void RedisStore::commit(std::shared_ptr<const Batch> batch, CommitDone done) {
  impl_->threads().enqueue(StoreThreads::Commit{std::move(batch), std::move(done)});
}
void RedisStore::read_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                            std::size_t bytes, ReadDone done) {
  impl_->threads().enqueue(StoreThreads::Read{session, from, count, bytes, std::move(done)});
}
void RedisStore::close() {
  impl_->close();
}
void RedisStore::warm_up(RestoreSink& sink, const std::string& name) {
  impl_->warm_up(sink, name);
}
void RedisStore::take(std::uint64_t from, std::uint64_t floor) {
  impl_->take(from, floor);
}
bool RedisStore::catch_up(RestoreSink& sink, const std::string& name) {
  return impl_->reading().catch_up(sink, name);
}
std::uint64_t RedisStore::number() const {
  return impl_->number();
}

}  // namespace berth::session
