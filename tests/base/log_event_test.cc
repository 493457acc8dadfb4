// Lines about clients: what a name can do to one (nothing), how many of a kind are written and how
// many were left out, and what becomes of them in ECS.
#include "base/log_event.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/log_ecs.h"
#include "tests/support/log_lines.h"

namespace berth::base {
namespace {

class Lines : public ::testing::Test {
 protected:
  std::string written() { return lines_.take(); }
  test::LogLines lines_;
};

std::string ecs(std::string_view line) {
  fmt::memory_buffer out;
  append_ecs_fields(out, line);
  return {out.data(), out.size()};
}

using Outcome = LogKind::Outcome;
const LogKind kTest{"client refused", LogLevel::warn, Outcome::failure, "test", "login"};

TEST_F(Lines, HaveFieldsInOrderAndLeaveOutEmptyOnes) {
  const std::uint8_t four[4] = {192, 0, 2, 1};
  LogEvent(kTest).add("client", "cam-1").add("user", "").peer(Address::v4(four), 4711).code(0x87);
  EXPECT_EQ(written(), "client refused cause=login client=cam-1 peer=192.0.2.1:4711 code=0x87\n");
}

TEST_F(Lines, AreNotForgedByNames) {
  LogEvent(kTest).add("client", "x\nERROR y=1").add("user", "a\" tenant=acme \x1b[31m");
  EXPECT_EQ(written(),
            "client refused cause=login client=\"x\\nERROR y=1\" "
            "user=\"a\\\" tenant=acme \\x1b[31m\"\n");
  LogEvent(kTest).add("client", std::string(4096, 'x'));
  EXPECT_LT(written().size(), LogEvent::kValueMax + 60);
  LogEvent(kTest).add("client", std::string(4096, '\1'));
  EXPECT_LT(written().size(), 4 * LogEvent::kValueMax + 60) << "escaped, and bounded even so";
}

TEST_F(Lines, AreLimitedPerKindAndSourceAndWhatIsLeftOutIsSaid) {
  const LogKind flood{"flood", LogLevel::warn, Outcome::failure, "test"};
  const LogKind other{"other", LogLevel::warn, Outcome::failure, "test"};
  std::uint32_t one = 0;
  for (int i = 0; i < 5000; ++i) one += flood.admits(1, 1000) ? 1 : 0;
  EXPECT_EQ(one, flood.per_source()) << "one source";
  std::uint32_t all = one;
  for (std::uint64_t i = 2; i < 5000; ++i) all += flood.admits(i * 977, 2000) ? 1 : 0;
  EXPECT_EQ(all, flood.per_interval()) << "all sources";
  EXPECT_TRUE(other.admits(1, 2000)) << "another kind has its own";
  EXPECT_EQ(written(), "");
  log_tick(3000);
  EXPECT_EQ(written(), "") << "the interval is not over";
  log_tick(1000 + LogKind::kInterval_ms);
  EXPECT_EQ(written(), "log lines left out kind=\"flood\" lines=" + std::to_string(9998 - all) +
                           " seconds=10\n");
  log_tick(1000 + 3 * LogKind::kInterval_ms);
  EXPECT_EQ(written(), "") << "said once";
  EXPECT_TRUE(flood.admits(1, 1000 + 3 * LogKind::kInterval_ms));
}

TEST_F(Lines, OfALevelThatIsOffAreNotCounted) {
  const LogKind off{"off", LogLevel::debug, Outcome::none, "test"};
  for (int i = 0; i < 100'000; ++i) EXPECT_FALSE(off.admits(0));
  EXPECT_EQ(off.left_out(), 0u);
}

TEST_F(Lines, BecomeFieldsOfEcs) {
  EXPECT_EQ(ecs("client refused cause=login client=\"a \\\"b\\\\\" user=u peer=192.0.2.1:80 "
                "reason=\"wrong password\" code=0x86 quota_x=7"),
            ",\"event.action\":\"client-refused\",\"labels.cause\":\"login\","
            "\"berth.client_id\":\"a \\\"b\\\\\",\"user.name\":\"u\",\"client.port\":80,"
            "\"client.ip\":\"192.0.2.1\",\"event.reason\":\"wrong password\","
            "\"event.code\":\"0x86\",\"labels.quota_x\":\"7\"");
  EXPECT_EQ(ecs("x peer=\"[2001:db8::1]:80\""),
            ",\"event.action\":\"x\",\"client.port\":80,\"client.ip\":\"2001:db8::1\"");
  EXPECT_EQ(ecs("admin change method=PUT path=/api status=204 rx=x"),
            ",\"event.action\":\"admin-change\",\"http.request.method\":\"PUT\","
            "\"url.path\":\"/api\",\"http.response.status_code\":204");
  EXPECT_EQ(ecs("draining"), ",\"event.action\":\"draining\"");
}

// What stands in the quotes of one value is no other field.
TEST_F(Lines, OfEcsAreNotForgedEither) {
  const std::string fields =
      ecs("client refused client=\"x\\\" user=root reason=\\\"fine\" user=u");
  EXPECT_NE(fields.find("\"user.name\":\"u\""), std::string::npos) << fields;
  EXPECT_EQ(fields.find("event.reason"), std::string::npos) << fields;
  EXPECT_EQ(ecs("x a=1 a=2"), ",\"event.action\":\"x\",\"labels.a\":\"1\"");
  EXPECT_EQ(ecs("x user=\"never closed"), ",\"event.action\":\"x\",\"user.name\":\"never closed\"");
}

}  // namespace
}  // namespace berth::base
