// What tenants and sites use, by topic and session.
#include "session/tenant_usage.h"

#include <gtest/gtest.h>

#include "protocol/link/types.h"
#include "tests/support/core_box.h"

namespace berth::test {
namespace {

class NoRegistry final : public session::Principals {
 public:
  session::ScopePtr scope_of(const session::Principal&) const override { return nullptr; }
  bool exists(std::string_view) const override { return false; }
  session::Limits limits_of(std::string_view tenant, std::string_view site) const override {
    session::Limits l;
    l.connections = tenant == "acme" ? (site.empty() ? 100 : 10) : 0;
    return l;
  }
};

TEST(TenantUsage, ATopicInsideIsItsTenantsNotItsSites) {
  CoreBox box;
  auto& usage = box.core.usage;
  session::Account* a = usage.account_of("$tenant/acme/v1/north/cam/event/x");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->tenant(), "acme");
  EXPECT_EQ(a->site(), "") << "a service may name sites that there are not, without end";
  EXPECT_EQ(usage.account_of("$tenant/acme/v1/south/x"), a);
  EXPECT_EQ(usage.account_of("$tenant/acme"), a);
  EXPECT_NE(usage.account_of("$tenant/other/x"), a);
  EXPECT_EQ(usage.account_of("acme/v1/x"), nullptr);
  EXPECT_EQ(usage.account_of("$SYS/x"), nullptr);
}

TEST(TenantUsage, LimitsAreThoseOfTheRegistry) {
  CoreBox box;
  const NoRegistry registry;
  EXPECT_EQ(box.core.usage.registry(), nullptr);
  box.core.usage.use_registry(registry);
  EXPECT_EQ(box.core.usage.registry(), &registry);
  EXPECT_EQ(box.core.usage.accounts().of("acme", "").limits.connections, 100u);
  EXPECT_EQ(box.core.usage.accounts().of("acme", "north").limits.connections, 10u);
}

TEST(TenantUsage, ARetainedMessageCountsInOnePartitionOnly) {
  std::uint64_t in_all = 0;
  for (std::uint32_t p = 0; p < 3; ++p) {
    session::BrokerOptions o;
    o.partition = p;
    o.partitions = 3;
    CoreBox box(o);
    for (int i = 0; i < 50; ++i)
      box.core.usage.count_retained("$tenant/acme/r/" + std::to_string(i), 1);
    box.core.usage.count_retained("of no tenant", 1);
    const std::uint64_t here = box.core.usage.accounts().of("acme", "").usage.retained_messages;
    EXPECT_GT(here, 0u);
    in_all += here;
  }
  EXPECT_EQ(in_all, 50u);
}

TEST(TenantUsage, WhatOtherPartitionsSayReplacesWhatTheySaidBefore) {
  CoreBox box;
  auto& usage = box.core.usage;
  session::UsageOf north{.tenant = "acme", .site = "north", .usage = {}, .per_s = {}};
  north.usage.connections = 7;
  usage.use_elsewhere({north, north});  // of two partitions
  session::Account& a = usage.accounts().of("acme", "north");
  EXPECT_EQ(a.elsewhere.connections, 14u);
  usage.use_elsewhere({north});
  EXPECT_EQ(a.elsewhere.connections, 7u);
  usage.use_elsewhere({});
  EXPECT_EQ(a.elsewhere.connections, 0u);
}

TEST(TenantUsage, WhatAFullQueueLosesCountsForItsSite) {
  CoreBox box;
  session::Session& s = box.session("c", 600);
  box.core.usage.count_dropped(s);
  EXPECT_EQ(box.probe.drop_queue_full, 1u) << "without an account too";
  s.account = &box.core.usage.accounts().of("acme", "north");
  box.core.usage.count_dropped(s);
  EXPECT_EQ(box.probe.drop_queue_full, 2u);
  EXPECT_EQ(s.account->usage.dropped, 1u);
  EXPECT_EQ(box.core.usage.accounts().of("acme", "").usage.dropped, 1u) << "and for its tenant";
}

}  // namespace
}  // namespace berth::test
