// What figures of a host mean, for berth ctl check.
#include "gateway/node/finding.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

namespace berth::gateway {
namespace {

using Result = Finding::Result;

TEST(Findings, OneFailureIsTheExitCode) {
  const Finding good{Result::ok, "clock", "right"};
  const Finding warned{Result::warn, "disk", "slow", "another disk"};
  const Finding bad{Result::fail, "port", "in use", "end it"};
  EXPECT_EQ(exit_code_of({good, warned}), 0);
  EXPECT_EQ(exit_code_of({good, bad, warned}), 1);
  EXPECT_EQ(findings_text({good, warned}),
            "OK    clock  right\nWARN  disk   slow\n             fix: another disk\n"
            "\n1 OK, 1 WARN, 0 FAIL\n");
  const auto o = boost::json::parse(findings_json({bad})).as_object();
  EXPECT_EQ(o.at("failed"), boost::json::value(true));
  EXPECT_EQ(o.at("checks").as_array()[0].at("fix"), boost::json::value("end it"));
}

TEST(Findings, OpenFilesAreComparedWithTheConnections) {
  Config c;
  EXPECT_EQ(judge_open_files(c, 20'000, 0).result, Result::ok) << "a default that nobody has set";
  c.edge.max_connections = 50'000;
  const Finding few = judge_open_files(c, 20'000, 0);
  EXPECT_EQ(few.result, Result::warn);
  EXPECT_NE(few.fix.find("51300"), std::string::npos) << few.fix;
  EXPECT_EQ(judge_open_files(c, 60'000, 0).result, Result::ok);
  EXPECT_EQ(judge_open_files(c, 60'000, 9'000).result, Result::warn) << "of the whole system";
  EXPECT_EQ(judge_open_files(c, 110, 0).result, Result::fail);
}

TEST(Findings, TheKernelsSettingsThatMatter) {
  EXPECT_EQ(judge_backlog(128).result, Result::warn);
  EXPECT_EQ(judge_backlog(4096).result, Result::ok);
  EXPECT_EQ(judge_port_range(32'768, 60'999, "", {1883, 9180}).result, Result::ok);
  EXPECT_EQ(judge_port_range(1024, 60'999, "", {1883, 80}).result, Result::warn);
  EXPECT_EQ(judge_port_range(1024, 60'999, "1000-1900,9180", {1883, 9180}).result, Result::ok);
  EXPECT_EQ(judge_port_range(1024, 60'999, "nonsense", {1883}).result, Result::warn);
  EXPECT_EQ(judge_conntrack(65'536, 100'000).result, Result::warn);
  EXPECT_EQ(judge_conntrack(262'144, 100'000).result, Result::ok);
  EXPECT_EQ(judge_netdev_backlog(0, 0, 1000).result, Result::ok);
  EXPECT_EQ(judge_netdev_backlog(500, 1'000'000, 1000).result, Result::warn);
}

TEST(Findings, ALoadBalancerWaitsLongerThanDevicesAreSilent) {
  EXPECT_EQ(judge_balancer(0, 0).result, Result::ok) << "nothing was said of one";
  EXPECT_EQ(judge_balancer(40, 60).result, Result::ok);
  for (const std::uint32_t keep_alive : {0u, 60u, 300u}) {
    const Finding f = judge_balancer(keep_alive, 60);
    EXPECT_EQ(f.result, Result::warn) << keep_alive;
    EXPECT_NE(f.fix.find("mqtt.keep_alive_max_s: 40 "), std::string::npos) << f.fix;
  }
}

TEST(Findings, AClockBeforeTheReleaseIsAFailure) {
  EXPECT_EQ(judge_clock(true, 900, 2'000'000, 1'000'000).result, Result::ok);
  EXPECT_EQ(judge_clock(false, 0, 2'000'000, 1'000'000).result, Result::warn);
  EXPECT_EQ(judge_clock(true, 0, 1'000'000, 2'000'000).result, Result::fail);
}

TEST(Findings, TheSlowestSyncsCount) {
  std::vector<std::uint32_t> us(200, 900);
  us[0] = us[1] = 90'000;  // one in a hundred
  EXPECT_EQ(judge_sync(us).result, Result::ok) << judge_sync(us).measured;
  us[2] = 90'000;
  const Finding slow = judge_sync(us);
  EXPECT_EQ(slow.result, Result::warn);
  EXPECT_NE(slow.measured.find("p99 90.0 ms, median 0.9 ms of 200"), std::string::npos)
      << slow.measured;
  EXPECT_EQ(judge_sync({900'000}).result, Result::fail);
}

TEST(Findings, SpaceAndCertificates) {
  constexpr std::uint64_t kGiB = 1 << 30;
  EXPECT_EQ(judge_free_space(4 * kGiB, kGiB).result, Result::ok);
  EXPECT_EQ(judge_free_space(2 * kGiB, kGiB).result, Result::warn);
  EXPECT_EQ(judge_free_space(kGiB / 8, kGiB).result, Result::fail);
  constexpr std::int64_t kDay = 86'400;
  EXPECT_EQ(judge_certificate("a", 100 * kDay, 0).measured, "a: 100 days left");
  EXPECT_EQ(judge_certificate("a", 29 * kDay, 0).result, Result::warn);
  EXPECT_EQ(judge_certificate("a", 0, 3 * kDay).result, Result::fail);
  EXPECT_EQ(judge_certificate("a", 0, 3 * kDay).measured, "a: expired 3 days ago");
}

RedisFacts good_redis() {
  RedisFacts facts;
  facts.info = redis_info(
      "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nconnected_slaves:1\r\n"
      "used_memory:1048576\r\nmaxmemory:104857600\r\naof_last_write_status:ok\r\n\r\nnonsense");
  facts.settings = {{"appendonly", "yes"},
                    {"appendfsync", "everysec"},
                    {"maxmemory-policy", "noeviction"},
                    {"min-replicas-to-write", "0"}};
  facts.ping_us = 300;
  return facts;
}

// The worst finding of one check.
Result result_of(const Findings& all, const std::string& check) {
  Result worst = Result::ok;
  for (const Finding& f : all) {
    if (f.check == check && f.result > worst) worst = f.result;
  }
  return worst;
}

TEST(Findings, ARedisThatKeepsWhatItAcknowledgesIsGood) {
  for (const Finding& f : judge_redis(good_redis(), 1))
    EXPECT_EQ(f.result, Result::ok) << f.check << " " << f.measured;
}

TEST(Findings, ARedisThatLosesSomethingIsNot) {
  const auto with = [](const char* name, const char* value, std::uint32_t wait) {
    RedisFacts facts = good_redis();
    (facts.settings.contains(name) ? facts.settings : facts.info)[name] = value;
    return judge_redis(facts, wait);
  };
  EXPECT_EQ(result_of(with("appendonly", "no", 1), "redis persistence"), Result::fail);
  EXPECT_EQ(result_of(with("appendfsync", "no", 1), "redis persistence"), Result::warn);
  EXPECT_EQ(result_of(with("appendfsync", "everysec", 0), "redis persistence"), Result::warn);
  EXPECT_EQ(result_of(with("aof_last_write_status", "err", 1), "redis persistence"), Result::fail);
  EXPECT_EQ(result_of(with("maxmemory-policy", "allkeys-lru", 1), "redis eviction"), Result::fail);
  EXPECT_EQ(result_of(with("maxmemory", "0", 1), "redis memory"), Result::warn);
  EXPECT_EQ(result_of(with("maxmemory", "1048577", 1), "redis memory"), Result::warn);
  EXPECT_EQ(result_of(with("role", "slave", 1), "redis replicas"), Result::fail);
  EXPECT_EQ(result_of(with("connected_slaves", "0", 1), "redis replicas"), Result::fail);
  EXPECT_EQ(result_of(with("min-replicas-to-write", "2", 1), "redis replicas"), Result::fail);
  EXPECT_EQ(result_of(with("connected_slaves", "1", 0), "redis replicas"), Result::warn);
  EXPECT_EQ(result_of(with("redis_version", "6.2.1", 1), "redis version"), Result::warn);
  RedisFacts managed = good_redis();
  managed.settings.clear();
  EXPECT_EQ(result_of(judge_redis(managed, 1), "redis eviction"), Result::warn);
  EXPECT_EQ(result_of(judge_redis(managed, 1), "redis persistence"), Result::warn);
}

}  // namespace
}  // namespace berth::gateway
