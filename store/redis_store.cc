// Keys, all with the prefix; session is the id as decimal text:
//   version             format version
//   lease               owner#number of the store's holder, expires
//   holders             number of the last holder
//   sessions            hash: session -> record          epochs    hash: session -> epoch
//   queues, receivers   sets of sessions that have (or had) q: and r:
//   q:session           sorted set, all scores 0: seq as 8 bytes big-endian, then the entry
//   r:session           hash: packet id -> where a QoS 2 PUBLISH came from
//   retained, applied   hashes by the key of the write
//   records, keys       the same, and a sorted set of its keys, all scores 0
//   reach               edges linked to the holder, expires
//   edges               which these are, expires later
//   warm, changed, warmed   a planned move: its name, what has been written since, who is ready
#include "store/redis_store.h"

#include <algorithm>
#include <boost/system/errc.hpp>
#include <thread>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/redis_restore.h"
#include "store/redis_script.h"
#include "store/store_threads.h"

namespace berth::session {
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kWritesPerScript = 50'000;  // Redis takes a million arguments; more: MULTI
constexpr std::size_t kGreatBatch = 1000;
constexpr std::size_t kWritesPerMs = 20;  // Redis does at least so many
constexpr std::size_t kReadStep =
    32;  // queue entries at a time: each may have the size of a packet
constexpr auto kRetryDelay = std::chrono::milliseconds(200);
constexpr std::uint32_t kFirstLookMs = 250;  // devices wait for a new holder
constexpr std::int64_t kTellAgainNs = 10'000'000'000;

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
    case WriteKind::put_record:
      return "put_record";
    case WriteKind::remove_record:
      return "remove_record";
  }
  return "";
}

std::string key64(std::uint64_t v) {
  std::string k;
  base::put_key64(k, v);
  return k;
}

// Another gateway has the lease; what(): which.
struct Fenced : std::runtime_error {
  using std::runtime_error::runtime_error;
};

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
    first_look();
    threads_.start({.write = [this](StoreThreads::Commit& c) { write_until_done(c); },
                    .read = [this](StoreThreads::Read& r) { read_until_done(r); },
                    .read_records = [this](StoreThreads::ReadRecords& r) { read_until_done(r); },
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
  metrics::Histogram round_trips() const {
    const std::lock_guard lock(times_mutex_);
    return round_trips_;
  }
  std::uint64_t number() const { return std::strtoull(number_.c_str(), nullptr, 10); }

 private:
  std::string key(std::string_view name) const { return options_.prefix + std::string(name); }
  std::string key(char kind, const std::string& session) const {
    return options_.prefix + kind + ":" + session;
  }
  void take_lease();
  void check_server();
  std::string setting(std::string_view name);
  void renew_lease();
  void write_until_done(StoreThreads::Commit& c);
  template <class Read>
  void read_until_done(Read& r);
  void write(const Batch& batch, CommitResult& result);
  void add_write(const Write& w);
  void add_script(const Batch& batch, std::size_t from, std::size_t to);
  static void take_outcome(const std::vector<RedisReply>& script, CommitResult& result);
  void take_transaction(std::size_t scripts, CommitResult& result);
  void count_round_trip(std::int64_t ns);
  void await_replicas(std::uint32_t wait_ms);
  void fenced(const std::string& holder);
  void health(bool healthy, const std::string& why);
  void first_look();
  std::vector<StoredEntry> read(const StoreThreads::Read& r);
  std::vector<StoredRecord> read(const StoreThreads::ReadRecords& r);

  RedisStoreOptions options_;
  Poster post_;
  RedisConnection writes_to_;  // the writer's, after construction
  RedisConnection
      reads_from_;  // reading_'s, then the reader's; the writer renews the lease meanwhile
  RedisRestore reading_;
  std::string number_;  // ours as a holder
  std::string holder_;
  std::string commit_script_;  // its SHA1 at the server we are connected to
  mutable std::mutex times_mutex_;
  metrics::Histogram round_trips_;  // under times_mutex_
  bool healthy_ = true;             // writer's, as the two behind it
  std::string told_why_;
  std::int64_t told_ns_ = 0;
  bool lost_ = false;     // writer's: fenced
  StoreThreads threads_;  // last: they use the rest
};

// -- opening

void RedisStore::Impl::take_lease() {
  const auto deadline =
      std::chrono::steady_clock::now() + 2 * std::chrono::milliseconds(options_.lease_ms);
  std::string why;
  std::string holder;
  const auto fail = [&] {
    const std::string what = "store " + options_.redis.address.text() + ": " + why;
    if (!holder.empty()) throw LeaseHeld(what, holder);
    throw std::runtime_error(what);
  };
  for (;;) {
    try {
      writes_to_.connect();
      const std::string lease = std::to_string(options_.lease_ms);
      const std::uint64_t from = options_.take_from.value_or(0);
      const auto taken = writes_to_.run(
          "take", kTakeScript, options_.prefix,
          {options_.owner, lease, std::to_string(from), std::to_string(options_.floor)});
      if (taken.size() != 1) writes_to_.fail("not a lease's answer");
      if (taken[0].type == RedisReply::Type::integer) {
        number_ = std::to_string(taken[0].as_count());
        holder_ = options_.owner + "#" + number_;
        break;
      }
      holder = taken[0].as_text();
      why = "another gateway has its lease (" + holder +
            "): one `berth serve` has a store.redis_prefix; several replicas of one gateway are "
            "`berth edge` and `berth engine`";
      if (options_.take_from) break;
    } catch (const RedisError& e) {
      writes_to_.close();
      why = e.what();
      holder.clear();
    }
    if (std::chrono::steady_clock::now() >= deadline) fail();
    std::this_thread::sleep_for(kRetryDelay);
  }
  if (number_.empty()) fail();
  check_server();
}

void RedisStore::Impl::check_server() {
  writes_to_.call({"SET", key("version"), std::to_string(kFormatVersion), "NX"});
  const std::string version = writes_to_.call({"GET", key("version")}).as_text();
  if (redis_number(version) > kFormatVersion) {
    throw std::runtime_error("store: format " + version + " is newer than this version knows");
  }
  const std::string policy = setting("maxmemory-policy");
  if (!policy.empty() && policy != "noeviction") {
    BERTH_LOG(warn, "redis evicts sessions when full maxmemory-policy={}", base::LogName{policy});
  }
  const std::string log = setting("appendonly");
  if (!log.empty() && log != "yes") {
    BERTH_LOG(warn, "redis keeps nothing across its own restart appendonly={}", base::LogName{log});
  }
}

// Of Redis' configuration; empty: we may not ask.
std::string RedisStore::Impl::setting(std::string_view name) {
  try {
    const RedisReply r = writes_to_.call({"CONFIG", "GET", name});
    return r.as_array().empty() ? std::string() : r.as_array(2)[1].as_text();
  } catch (const RedisError&) {
    writes_to_.close();
    writes_to_.connect();
    return {};
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
  writes_to_.begin_script("commit", "EVALSHA", commit_script_, {options_.prefix},
                          3 + 6 * (to - from));
  for (const std::string& a : {holder_, lease, number_}) writes_to_.add(a);
  for (std::size_t i = from; i < to; ++i) add_write(batch[i]);
  writes_to_.end_script();
}

// What a commit's script has answered: only its own 'ok' is a commit.
void RedisStore::Impl::take_outcome(const std::vector<RedisReply>& script, CommitResult& result) {
  const std::string outcome = script.empty() ? std::string() : script[0].as_text();
  if (outcome == "fenced" && script.size() == 2) throw Fenced(script[1].as_text());
  if (outcome != "ok") throw RedisError("not a commit's answer");
  for (std::size_t i = 1; i < script.size(); ++i)
    result.refused.push_back(session_of(script[i].as_text()));
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
    commit_script_ = writes_to_.call({"SCRIPT", "LOAD", kCommitScript}).as_text();
  }
  // A script of many writes takes its time (10 us each measured): it must not be taken for a Redis
  // that does not answer, and be sent for ever.
  const bool great = batch.size() > kGreatBatch;
  const auto extra_ms = static_cast<std::uint32_t>(batch.size() / kWritesPerMs);
  if (great) writes_to_.extend_patience(extra_ms);
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
  const std::int64_t sent_ns = base::monotonic_ns();
  writes_to_.flush();
  if (several) {
    take_transaction(scripts, result);
  } else {
    take_outcome(writes_to_.script_answer(), result);
  }
  count_round_trip(base::monotonic_ns() - sent_ns);
  if (great) writes_to_.extend_patience(0);
  await_replicas(std::min(options_.wait_ms, options_.lease_ms / 2));
}

void RedisStore::Impl::count_round_trip(std::int64_t ns) {
  const std::lock_guard lock(times_mutex_);
  round_trips_.observe_ns(ns);
}

void RedisStore::Impl::take_transaction(std::size_t scripts, CommitResult& result) {
  for (std::size_t i = 0; i <= scripts; ++i) {
    const RedisReply r = writes_to_.read();
    const bool good = r.type == RedisReply::Type::status && r.text == (i == 0 ? "OK" : "QUEUED");
    if (!good) throw RedisError(r.type == RedisReply::Type::error ? r.text : "no transaction");
  }
  RedisReply all = writes_to_.read();
  if (all.type == RedisReply::Type::error) throw RedisError(all.text);
  all.as_array(scripts);
  for (RedisReply& r : all.items) take_outcome(writes_to_.script_answer(std::move(r)), result);
}

void RedisStore::Impl::await_replicas(std::uint32_t wait_ms) {
  if (options_.wait_replicas == 0) return;
  // The answer comes at the end of the wait: a Redis without copies must not be taken for one that
  // does not answer.
  writes_to_.extend_patience(wait_ms);
  const std::string count = std::to_string(options_.wait_replicas);
  const RedisReply r = writes_to_.call({"WAIT", count, std::to_string(wait_ms)});
  writes_to_.extend_patience(0);
  if (r.as_integer() < options_.wait_replicas)
    throw RedisError(std::to_string(r.integer) + " of " + count + " replicas");
}

// Whether what has taken the lease reached the copies: before that no commit is confirmed.
void RedisStore::Impl::first_look() {
  try {
    await_replicas(std::min(options_.wait_ms, kFirstLookMs));
    health(true, {});
  } catch (const RedisError& e) {
    writes_to_.close();
    health(false, e.what());
  }
}

void RedisStore::Impl::health(bool healthy, const std::string& why) {
  const std::string text = healthy ? std::string() : "Redis confirms no write: " + why;
  const std::int64_t now = base::monotonic_ns();
  const bool changed = std::exchange(healthy_, healthy) != healthy;
  if (changed && healthy) BERTH_LOG(info, "store recovered");
  // A failure may get another reason: an outage ends and copies are missing.
  if (!healthy && (changed || (text != told_why_ && now - told_ns_ > kTellAgainNs))) {
    BERTH_LOG(err, "store failing error=\"{}\"", text);
    told_why_ = text;
    told_ns_ = now;
  }
  if (options_.on_health) options_.on_health(healthy, text);
}

void RedisStore::Impl::fenced(const std::string& holder) {
  BERTH_LOG(err, "store lost: this engine no longer has the lease holder=\"{}\"", holder);
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
    } catch (const Fenced& e) {
      return fenced(e.what());
    } catch (const RedisError& e) {
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
  } catch (const Fenced& e) {
    fenced(e.what());
  } catch (const RedisError& e) {
    writes_to_.close();
    health(false, e.what());
  }
}

// -- reading

std::vector<StoredEntry> RedisStore::Impl::read(const StoreThreads::Read& r) {
  reads_from_.connect();
  const std::string queue = key('q', std::to_string(r.session.value));
  std::vector<StoredEntry> out;
  std::size_t used = 0;
  std::uint64_t next = r.from;
  std::string from = "[" + key64(next);
  while (out.size() < r.count) {
    const std::string count = std::to_string(std::min(kReadStep, r.count - out.size()));
    const RedisReply found =
        reads_from_.call({"ZRANGEBYLEX", queue, from, "+", "LIMIT", "0", count});
    if (found.as_array().empty()) return out;
    for (const RedisReply& member : found.items) {
      StoredEntry entry = entry_of(member.as_text());
      if (entry.seq < next) throw RedisError("a queue's entries are out of order");
      next = entry.seq + 1;
      if (!out.empty() && used + entry.value.size() > r.bytes) return out;
      used += entry.value.size();
      out.push_back(std::move(entry));
    }
    from = "[" + key64(out.back().seq + 1);
  }
  return out;
}

std::vector<StoredRecord> RedisStore::Impl::read(const StoreThreads::ReadRecords& r) {
  std::vector<StoredRecord> out;
  std::size_t used = 0;
  if (r.range.from >= r.range.to) return out;
  reads_from_.connect();
  std::string from = "[" + r.range.from;
  std::string to = "(" + r.range.to;
  std::string last_key;
  while (out.size() < r.range.count) {
    const std::string count = std::to_string(std::min(kReadStep, r.range.count - out.size()));
    const char* const command = r.range.newest_first ? "ZREVRANGEBYLEX" : "ZRANGEBYLEX";
    const std::string& first = r.range.newest_first ? to : from;
    const std::string& last = r.range.newest_first ? from : to;
    const RedisReply keys =
        reads_from_.call({command, key("keys"), first, last, "LIMIT", "0", count});
    if (keys.as_array().empty()) return out;
    reads_from_.begin(2 + keys.items.size());
    reads_from_.add("HMGET");
    reads_from_.add(key("records"));
    for (const RedisReply& k : keys.items) {
      const bool next = last_key.empty() ||
                        (r.range.newest_first ? k.as_text() < last_key : k.as_text() > last_key);
      if (!next || k.text < r.range.from || k.text >= r.range.to)
        throw RedisError("keys of records are out of order");
      last_key = k.text;
      reads_from_.add(last_key);
    }
    reads_from_.ask();
    const RedisReply values = reads_from_.answer();
    for (std::size_t i = 0; i < values.as_array(keys.items.size()).size(); ++i) {
      if (values.items[i].type == RedisReply::Type::nil) continue;  // removed in between
      used += keys.items[i].text.size() + values.items[i].as_text().size();
      if (!out.empty() && used > r.range.bytes) return out;
      out.push_back({keys.items[i].text, values.items[i].text});
    }
    (r.range.newest_first ? to : from) = "(" + last_key;
  }
  return out;
}

template <class Read>
void RedisStore::Impl::read_until_done(Read& r) {
  while (!threads_.closing()) {
    try {
      auto entries = read(r);
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
      writes_to_.run("release", kReleaseScript, options_.prefix, {holder_});
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
void RedisStore::read_records(RecordRange range, RecordsDone done) {
  impl_->threads().enqueue(StoreThreads::ReadRecords{std::move(range), std::move(done)});
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
metrics::Histogram RedisStore::round_trips() const {
  return impl_->round_trips();
}
std::uint64_t RedisStore::number() const {
  return impl_->number();
}

}  // namespace berth::session
