// What only a Redis can show (the contract is in store_contract_test.cc): leases, outages, copies,
// failover, TLS and log-in. Every server is a real one that the test starts.
#include "store/redis_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "tests/support/log_lines.h"
#include "tests/support/redis_server.h"
#include "tests/support/store_loop.h"

namespace berth::session {
namespace {

using test::eventually;
using test::RedisSentinel;
using test::RedisServer;

struct Opened {
  Opened(const std::string& url, const std::string& owner, RedisStoreOptions o = {}) {
    o.redis.address = parse_redis_url(url);
    o.redis.timeout_ms = 500;
    o.owner = owner;
    o.lease_ms = 1000;
    o.on_health = [this](bool h, const std::string& text) {
      const std::lock_guard lock(why_mutex);
      why = text;
      healthy = h;
    };
    o.on_fenced = [this] { fenced = true; };
    store = std::make_unique<RedisStore>(o, loop.poster());
  }
  // The commit is under way; done counts it when it is durable.
  void begin(const std::vector<Write>& writes) {
    auto batch = std::make_shared<Batch>();
    for (const Write& w : writes) batch->add(w);
    store->commit(batch, [this](const CommitResult& r) {
      ++done;
      refused += r.refused.size();
    });
  }
  void commit(const std::vector<Write>& writes) {
    begin(writes);
    loop.run_one();
  }
  std::string why_now() {
    const std::lock_guard lock(why_mutex);
    return why;
  }
  std::string contents() {
    Contents c;
    store->restore(c);
    return c.log;
  }
  Loop loop;
  std::atomic<bool> healthy{true};
  std::mutex why_mutex;
  std::string why;
  std::atomic<bool> fenced{false};
  int done = 0;
  std::size_t refused = 0;
  std::unique_ptr<RedisStore> store;
};

Write session_record(std::uint64_t id, std::string_view value) {
  return {.kind = WriteKind::put_session, .session = {id}, .epoch = 1, .value = value};
}

RedisOptions options_for(const std::string& url) {
  RedisOptions o;
  o.address = parse_redis_url(url);
  return o;
}

TEST(RedisUrl, NamesServersSentinelsAndLogIn) {
  const RedisAddress a = parse_redis_url("redis://:se%40cret@10.0.0.1:7000/3");
  EXPECT_EQ(a.nodes.at(0).host, "10.0.0.1");
  EXPECT_EQ(a.nodes.at(0).port, 7000);
  EXPECT_EQ(a.servers.password, "se@cret");
  EXPECT_EQ(a.database, 3u);
  EXPECT_EQ(a.text(), "redis://10.0.0.1:7000") << "logs carry no password";
  const RedisAddress s = parse_redis_url("rediss-sentinel://u:p@a,b:5000,[::1]:26380/mymaster/2");
  EXPECT_EQ(s.nodes.size(), 3u);
  EXPECT_EQ(s.nodes[0].port, 26379);
  EXPECT_EQ(s.nodes[2].host, "::1");
  EXPECT_EQ(s.master, "mymaster");
  EXPECT_TRUE(s.tls);
  EXPECT_EQ(s.sentinels.password, "") << "the servers' log-in is not the sentinels'";
  const RedisAddress q =
      parse_redis_url("redis-sentinel://a/m/1?sentinel_password=p%26w&sentinel_user=watch");
  EXPECT_EQ(q.master, "m");
  EXPECT_EQ(q.database, 1u);
  EXPECT_EQ(q.sentinels.password, "p&w");
  EXPECT_EQ(q.sentinels.user, "watch");
  EXPECT_EQ(q.text(), "redis-sentinel://a:26379/m");
  const RedisAddress c = parse_redis_url("rediss-cluster://:p@a:7000,b:7001");
  EXPECT_TRUE(c.cluster && c.tls);
  EXPECT_EQ(c.nodes.size(), 2u);
  EXPECT_EQ(key_prefix(c, "berth:"), "{berth:}");
  EXPECT_EQ(key_prefix(c, "{x}y:"), "{x}y:");
  EXPECT_EQ(key_prefix(a, "berth:"), "berth:");
  for (const char* bad : {"localhost", "http://x", "redis://", "redis://a,b", "redis://a:x",
                          "redis-sentinel://a", "redis://a/b", "redis-other://a",
                          "redis://a?sentinel_password=p", "redis-sentinel://a/m?password=p"}) {
    EXPECT_THROW(parse_redis_url(bad), std::invalid_argument) << bad;
  }
}

// I5: one gateway at a time.
TEST(RedisStoreTest, I5_TheLeaseIsOneGatewaysAndItsEnginesShareIt) {
  RedisServer redis;
  auto first = std::make_unique<Opened>(redis.url(), "gateway-a");
  first->commit({session_record(1, "x")});
  EXPECT_THROW(Opened(redis.url(), "gateway-b"), std::runtime_error);
  {
    Opened successor(redis.url(), "gateway-a");  // its predecessor was killed and gave nothing back
    successor.commit({session_record(2, "y")});
    EXPECT_EQ(successor.done, 1);
    first->begin({session_record(1, "late")});
    EXPECT_TRUE(eventually([&] { return first->fenced.load(); })) << "its writes come too late";
  }
  first.reset();
  Opened other(redis.url(), "gateway-b");
  EXPECT_NE(other.contents().find("s1=x;"), std::string::npos);
}

// Another engine was quicker: no fault of the store, and it says who.
TEST(RedisStoreTest, ALeaseOfAnotherIsToldApartFromATrouble) {
  RedisServer redis;
  const Opened a(redis.url(), "first");
  RedisStoreOptions o;
  o.take_from = 0;
  try {
    const Opened b(redis.url(), "second", o);
    FAIL() << "the lease is the first one's";
  } catch (const LeaseHeld& e) {
    EXPECT_TRUE(e.holder.starts_with("first#")) << e.holder;
  }
  redis.kill9();
  try {
    const Opened c(redis.url(), "third");
    FAIL() << "there is no Redis";
  } catch (const LeaseHeld&) {
    FAIL() << "a Redis that does not answer is a trouble";
  } catch (const std::runtime_error&) {
  }
}

TEST(RedisStoreTest, I5_AHolderThatLostItsLeaseAcknowledgesNothingMore) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  a.commit({session_record(1, "x")});
  redis.call({"SET", "berth:lease", "gateway-b"});  // a was stopped for longer than its lease
  a.begin({session_record(1, "stale")});
  EXPECT_TRUE(eventually([&] { return a.fenced.load(); }));
  EXPECT_FALSE(a.loop.run_one_within(std::chrono::milliseconds(100)));
  EXPECT_EQ(redis.call({"HGET", "berth:sessions", "1"}).text, "x");
}

TEST(RedisStoreTest, I5_ALeaseThatRanOutIsTakenUpAgainOnlyIfNobodyHeldItSince) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  redis.call({"DEL", "berth:lease"});
  a.commit({session_record(1, "x")});
  EXPECT_EQ(a.done, 1);
  { Opened b(redis.url() + "/0", "gateway-a"); }  // came and went
  a.begin({session_record(1, "stale")});
  EXPECT_TRUE(eventually([&] { return a.fenced.load(); }));
  EXPECT_EQ(redis.call({"HGET", "berth:sessions", "1"}).text, "x");
}

TEST(RedisStoreTest, AnEmptiedRedisIsSaidToBeOne) {
  RedisServer redis;
  const test::LogLines log;
  Opened a(redis.url(), "gateway-a");
  redis.call({"FLUSHALL"});
  a.begin({session_record(1, "x")});
  EXPECT_TRUE(eventually([&] { return a.fenced.load(); }));
  EXPECT_NE(log.all().find("nobody: Redis was emptied"), std::string::npos) << log.all();
  EXPECT_EQ(a.done, 0) << "what is gone is not acknowledged";
}

TEST(RedisStoreTest, I1_KilledRedisKeepsWhatWasAcknowledgedAndCommitsWait) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  a.commit({session_record(1, "before"),
            {.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "m1"}});
  redis.kill9();
  a.begin({{.kind = WriteKind::append, .session = {1}, .seq = 2, .value = "m2"}});
  EXPECT_TRUE(eventually([&] { return !a.healthy.load(); }));
  EXPECT_FALSE(a.loop.run_one_within(std::chrono::milliseconds(100))) << "acknowledged, not stored";
  redis.start();
  a.loop.run_one();
  EXPECT_EQ(a.done, 1 + 1);
  EXPECT_TRUE(eventually([&] { return a.healthy.load(); }));
  EXPECT_EQ(a.contents(), "s1=before;q1=1m1..2m2;");
}

TEST(RedisStoreTest, AStoppedRedisIsNoticedAndReadsWaitToo) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  a.commit({{.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "m1"}});
  redis.stop();
  a.begin({session_record(1, "x")});
  EXPECT_TRUE(eventually([&] { return !a.healthy.load(); }));
  std::vector<StoredEntry> got;
  a.store->read_queue({1}, 1, 10, 1000, [&](auto r) { got = *r; });
  redis.go_on();
  a.loop.run_one();
  a.loop.run_one();
  EXPECT_EQ(a.done, 2);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].value, "m1");
}

TEST(RedisStoreTest, WaitReplicasHoldsTheAcknowledgementUntilACopyExists) {
  RedisServer redis;
  RedisStoreOptions o;
  o.wait_replicas = 1;
  o.wait_ms = 100;
  Opened a(redis.url(), "gateway-a", o);
  a.begin({session_record(1, "x")});
  EXPECT_TRUE(eventually([&] { return !a.healthy.load(); }));
  EXPECT_FALSE(a.loop.run_one_within(std::chrono::milliseconds(100)));
  RedisServer copy({"--replicaof", "127.0.0.1 " + std::to_string(redis.port())});
  a.loop.run_one();
  EXPECT_EQ(copy.call({"HGET", "berth:sessions", "1"}).text, "x");
}

// A wait that is as long as Redis may take for an answer ends with how many copies there are.
TEST(RedisStoreTest, WaitReplicasMissingAreNamedBeforeTheFirstCommitAndAfterIt) {
  RedisServer redis;
  RedisStoreOptions o;
  o.wait_replicas = 1;
  o.wait_ms = 60'000;
  const std::string missing = "Redis confirms no write: 0 of 1 replicas";
  Opened a(redis.url(), "gateway-a", o);
  EXPECT_FALSE(a.healthy) << "nothing is confirmed yet";
  EXPECT_EQ(a.why_now(), missing);
  a.healthy = true;
  a.begin({session_record(1, "x")});
  EXPECT_TRUE(eventually([&] { return !a.healthy.load(); }));
  EXPECT_EQ(a.why_now(), missing);
  EXPECT_FALSE(a.fenced);
  redis.kill9();
  EXPECT_TRUE(eventually([&] { return a.why_now().find("replicas") == std::string::npos; }));
  EXPECT_TRUE(a.why_now().starts_with("Redis confirms no write: " + redis.url())) << a.why_now();
  redis.start();
  EXPECT_TRUE(eventually([&] { return a.why_now() == missing; })) << a.why_now();
  RedisServer copy({"--replicaof", "127.0.0.1 " + std::to_string(redis.port())});
  a.loop.run_one();
  EXPECT_TRUE(a.healthy);
  EXPECT_EQ(a.why_now(), "");
}

// The master dies, a replica is promoted: nothing acknowledged is missing there.
TEST(RedisStoreTest, I1_FailoverBySentinelLosesNothingAcknowledged) {
  auto master = std::make_unique<RedisServer>();
  RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(master->port())});
  RedisSentinel sentinel(*master);
  ASSERT_TRUE(eventually([&] {  // the sentinel has seen the replica, and it follows its master
    return sentinel.call({"SENTINEL", "replicas", "m"}).items.size() == 1 &&
           replica.call({"ROLE"}).items.at(3).text == "connected";
  }));
  RedisStoreOptions o;
  o.wait_replicas = 1;
  Opened a(sentinel.url(), "gateway-a", o);
  for (std::uint64_t i = 1; i <= 50; ++i) {
    a.commit({{.kind = WriteKind::append, .session = {1}, .seq = i, .value = "m"}});
  }
  master.reset();
  ASSERT_TRUE(eventually([&] {
    try {
      return replica.call({"ROLE"}).items.at(0).text == "master";
    } catch (const RedisError&) {  // whoever is connected when it is promoted is cut off
      return false;
    }
  }));
  EXPECT_EQ(replica.call({"ZCARD", "berth:q:1"}).integer, 50);
  RedisStoreOptions alone;  // nobody is left to copy to
  a.store->close();
  Opened b(sentinel.url(), "gateway-a", alone);
  b.commit({{.kind = WriteKind::append, .session = {1}, .seq = 51, .value = "m"}});
  EXPECT_EQ(b.contents(), "q1=1m..51m;");
}

TEST(RedisStoreTest, SentinelsMayWantAPasswordOfTheirOwn) {
  const RedisServer master;
  const RedisSentinel sentinel(master);
  ASSERT_EQ(sentinel.call({"ACL", "SETUSER", "default", "resetpass", ">of-sentinels"}).text, "OK");
  RedisConnection without({.address = parse_redis_url(sentinel.url())});
  EXPECT_THROW(without.connect(), RedisError);
  RedisConnection wrong(
      {.address = parse_redis_url(sentinel.url() + "?sentinel_password=of-others")});
  EXPECT_THROW(wrong.connect(), RedisError);
  RedisConnection right(
      {.address = parse_redis_url(sentinel.url() + "?sentinel_password=of-sentinels")});
  right.connect();
  EXPECT_EQ(right.call({"ROLE"}).items.at(0).text, "master");
}

// All keys in one slot of a cluster; the node that has it is found, and again after a failover.
TEST(RedisStoreTest, I1_ARedisClusterFailingOverLosesNothingAcknowledged) {
  test::RedisCluster cluster;
  RedisStoreOptions o;
  o.wait_replicas = 1;
  auto a = std::make_unique<Opened>(cluster.url(), "gateway-a", o);
  for (std::uint64_t i = 1; i <= 50; ++i) {
    a->commit({{.kind = WriteKind::append, .session = {1}, .seq = i, .value = "m"}});
  }
  RedisServer& master = cluster.owner("{berth:}");
  EXPECT_EQ(master.call({"ZCARD", "{berth:}q:1"}).integer, 50);
  master.kill9();
  ASSERT_TRUE(eventually([&] {
    try {
      return &cluster.owner("{berth:}", &master) != &master;
    } catch (const std::runtime_error&) {
      return false;
    }
  }));
  a.reset();
  Opened b(cluster.url(), "gateway-a");  // nobody is left to copy to
  b.commit({{.kind = WriteKind::append, .session = {1}, .seq = 51, .value = "m"}});
  EXPECT_EQ(b.contents(), "q1=1m..51m;");
}

// A queue that can't be read is not an empty one.
TEST(RedisStoreTest, RestoringFailsAloud) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  redis.call({"SADD", "berth:queues", "1"});
  redis.call({"SET", "berth:q:1", "not a queue"});
  EXPECT_THROW(a.contents(), RedisError);
  redis.call({"DEL", "berth:queues", "berth:q:1"});
  redis.call({"SADD", "berth:receivers", "1"});
  redis.call({"SET", "berth:r:1", "no packet ids"});
  EXPECT_THROW(a.contents(), RedisError);
}

// More writes than one script takes: still all or nothing, a stale gateway's none.
TEST(RedisStoreTest, AGreatBatchIsOneTransaction) {
  RedisServer redis({"--appendfsync", "no"});
  Opened a(redis.url(), "gateway-a");
  std::vector<Write> many;
  for (std::uint64_t i = 1; i <= 60'000; ++i) {
    many.push_back({.kind = WriteKind::append, .session = {1}, .seq = i, .value = "m"});
  }
  a.commit(many);
  EXPECT_EQ(redis.call({"ZCARD", "berth:q:1"}).integer, 60'000);
  redis.call({"SET", "berth:lease", "gateway-b"});
  for (Write& w : many) w.session = {2};
  a.begin(many);
  EXPECT_TRUE(eventually([&] { return a.fenced.load(); }));
  EXPECT_EQ(redis.call({"EXISTS", "berth:q:2"}).integer, 0);
}

TEST(RedisStoreTest, ForgottenScriptsAreLoadedAgain) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  a.commit({session_record(1, "x")});
  redis.call({"SCRIPT", "FLUSH"});
  a.commit({session_record(2, "y")});
  EXPECT_EQ(a.contents().size(), std::string("s1=x;s2=y;").size());
}

// A planned move: the successor reads everything while the holder goes on, then what has changed.
TEST(RedisStoreTest, AWarmSuccessorReadsOnlyWhatHasChanged) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  a.commit({session_record(1, "same"),
            session_record(2, "old"),
            session_record(3, "goes"),
            {.kind = WriteKind::put_retained, .key = "t", .value = "v"},
            {.kind = WriteKind::put_applied, .key = "k1", .value = "1"},
            {.kind = WriteKind::put_record, .key = "!1", .value = "1"},
            {.kind = WriteKind::put_record, .key = "!2", .value = "2"},
            {.kind = WriteKind::put_record, .key = "3", .value = "3"}});
  RedisConnection other{options_for(redis.url())};
  begin_warming(other, "berth:", "move 1");
  EXPECT_EQ(read_lease(other, "berth:").warm, "move 1");
  RedisStoreOptions o;
  o.redis = options_for(redis.url());
  o.owner = "gateway-b";
  o.warm = true;
  Loop loop;
  RedisStore b(o, loop.poster());
  Contents all;
  b.warm_up(all, "move 1");
  EXPECT_EQ(all.sorted(), "s1=same;s2=old;s3=goes;tt=v;ak1;e!1=1;e!2=2;");
  EXPECT_EQ(read_lease(other, "berth:").warmed, 1u);
  a.commit({session_record(2, "new"),
            {.kind = WriteKind::delete_session, .session = {3}},
            {.kind = WriteKind::append, .session = {4}, .seq = 1, .value = "m"},
            {.kind = WriteKind::remove_retained, .key = "t"},
            {.kind = WriteKind::remove_applied, .key = "k1"},
            {.kind = WriteKind::put_applied, .key = "k2", .value = "2"},
            {.kind = WriteKind::put_record, .key = "!1", .value = "new"},
            {.kind = WriteKind::remove_record, .key = "!2"},
            {.kind = WriteKind::put_record, .key = "4", .value = "4"}});
  EXPECT_THROW(b.take(a.store->number() + 1, 0), std::runtime_error) << "not that holder's";
  b.take(a.store->number(), 0);
  Contents changed;
  ASSERT_TRUE(b.catch_up(changed, "move 1"));
  EXPECT_EQ(changed.sorted(), "-s2;-s3;-s4;s2=new;q4=1m..1m;-ak1;-ak2;-tt;ak2;-e!1;-e!2;e!1=new;");
  EXPECT_TRUE(read_lease(other, "berth:").warm.empty()) << "the warming ends with the move";
  a.begin({session_record(1, "late")});
  EXPECT_TRUE(eventually([&] { return a.fenced.load(); }));
}

TEST(RedisStoreTest, WhatWasReadForAnotherMoveIsNotUsed) {
  RedisServer redis;
  Opened a(redis.url(), "gateway-a");
  RedisConnection other{options_for(redis.url())};
  begin_warming(other, "berth:", "move 1");
  RedisStoreOptions o;
  o.redis = options_for(redis.url());
  o.owner = "gateway-b";
  o.warm = true;
  Loop loop;
  RedisStore b(o, loop.poster());
  Contents all;
  b.warm_up(all, "move 1");
  begin_warming(other, "berth:", "move 2");  // what changed before it is forgotten
  b.take(a.store->number(), 0);
  EXPECT_FALSE(b.catch_up(all, "move 1"));
}

class RedisTls : public ::testing::Test {
 protected:
  RedisTls() {
    std::string name = "/tmp/berth-tls-XXXXXX";
    directory_ = mkdtemp(name.data());
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=redis -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem");
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=other -keyout other-key.pem -out other.pem");
  }
  ~RedisTls() override { run("rm -rf " + directory_); }
  void run(const std::string& command) {
    ASSERT_EQ(std::system(("cd " + directory_ + " && " + command + " 2>/dev/null").c_str()), 0);
  }
  std::string file(const char* name) const { return directory_ + "/" + name; }
  std::string directory_;
};

TEST_F(RedisTls, ChecksTheServerShowsACertificateAndLogsIn) {
  RedisServer redis({"--tls-port", "TLS_PORT", "--tls-cert-file", file("cert.pem"),
                     "--tls-key-file", file("key.pem"), "--tls-ca-cert-file", file("cert.pem"),
                     "--tls-auth-clients", "yes", "--user", "gate", "on", ">secret", "~berth:*",
                     "+@all"});
  RedisStoreOptions o;
  o.redis.tls_ca_file = file("cert.pem");
  o.redis.tls_cert_file = file("cert.pem");
  o.redis.tls_key_file = file("key.pem");
  const std::string address = "127.0.0.1:" + std::to_string(redis.tls_port());
  Opened a("rediss://gate:secret@" + address, "gateway-a", o);
  a.commit({session_record(1, "x")});
  EXPECT_EQ(a.contents(), "s1=x;");
  redis.kill9();  // OpenSSL writes to the broken connection: no SIGPIPE may end us
  a.begin({session_record(2, "y")});
  EXPECT_TRUE(eventually([&] { return !a.healthy.load(); }));
  redis.start();
  a.loop.run_one();
  EXPECT_EQ(a.contents().size(), std::string("s1=x;s2=y;").size());
  EXPECT_THROW(Opened("rediss://gate:wrong@" + address, "gateway-a", o), std::runtime_error);
  RedisStoreOptions stranger = o;
  stranger.redis.tls_ca_file = file("other.pem");
  EXPECT_THROW(Opened("rediss://gate:secret@" + address, "gateway-a", stranger),
               std::runtime_error);
}

}  // namespace
}  // namespace berth::session
