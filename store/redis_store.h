// The store in a Redis (7 or newer: one master, with sentinels if there are, or a Redis Cluster, in
// one slot of it): for gateways whose disk does not outlive them. One gateway at a time holds it,
// by a lease with its owner's name and a number. The engines of one gateway share the name, so that
// a successor does not wait for its predecessor's lease to end; the number differs, so that nothing
// of the predecessor's can arrive late. A lease that has run out is taken up again only if nobody
// has held it since.
//
// Threads: one writer (commits; each batch is one script, or a transaction of several: atomic, and
// refused where the lease is another's) and one reader; completions run through the Poster. Redis'
// configuration decides what a commit survives: with `appendfsync always` a power loss of the Redis
// host, with `wait_replicas` n the loss of n copies. While Redis is away, or copies are too few,
// the store repeats a commit until it succeeds or close() is called; the scripts can be repeated
// without harm. on_health tells of each try: of commits, and of the lease's renewal, which waits
// for copies too. on_fenced tells that another gateway has the lease (this one must end). Both run
// on the writer's thread, on_health before it in open() too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "session/store.h"
#include "store/health.h"
#include "store/redis_connection.h"
#include "store/redis_lease.h"

namespace berth::session {

struct RedisStoreOptions {
  RedisOptions redis;
  std::string prefix = "berth:";
  std::string owner;                // who holds the lease
  std::uint32_t lease_ms = 5000;    // at least 1000
  std::uint32_t wait_replicas = 0;  // copies beside the master before a commit is done
  // For them, then the commit is tried again; at most half of lease_ms, which a wait does not
  // renew.
  std::uint32_t wait_ms = 1000;
  bool warm = false;  // do not take the lease yet: warm_up(), take(), catch_up()
  // In a cluster: do not wait for a holder to end, take the lease from the one of this number
  // (0: only if it is free). Its writes are refused from then on.
  std::optional<std::uint64_t> take_from;
  std::uint64_t floor = 0;  // our number will be above it
  HealthTold on_health;
  std::function<void()> on_fenced;
};

// The store is in order, and is another's.
struct LeaseHeld : std::runtime_error {
  LeaseHeld(const std::string& what, std::string by)
      : std::runtime_error(what), holder(std::move(by)) {}
  std::string holder;
};

class RedisStore : public Store {
 public:
  // Takes the lease, waiting for a former holder's to end (twice lease_ms at most). Throws
  // std::runtime_error, LeaseHeld among them.
  RedisStore(RedisStoreOptions options, Poster post);
  ~RedisStore() override;
  void restore(RestoreSink& sink) override;
  void commit(std::shared_ptr<const Batch> batch, CommitDone done) override;
  void read_queue(base::SessionId session, std::uint64_t from, std::size_t count, std::size_t bytes,
                  ReadDone done) override;
  void read_records(RecordRange range, RecordsDone done) override;
  metrics::Histogram round_trips() const override;
  void close() override;         // gives the lease back
  std::uint64_t number() const;  // ours as the lease's holder

  // -- with options.warm, in this order; each throws std::runtime_error
  // Reads everything while another holds the lease and goes on writing.
  void warm_up(RestoreSink& sink, const std::string& name);
  void take(std::uint64_t from, std::uint64_t floor);
  // What has changed since. False: that can't be told (another warming, another Redis); restore()
  // into a new sink.
  bool catch_up(RestoreSink& sink, const std::string& name);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::session
