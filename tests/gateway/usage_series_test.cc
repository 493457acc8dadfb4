#include "gateway/node/usage_series.h"

#include <gtest/gtest.h>

#include <map>

#include "gateway/link/samples.h"

namespace berth::gateway {
namespace {

using session::UsageOf;

UsageOf tenant(const std::string& name, std::uint64_t connections, std::uint64_t messages = 0) {
  UsageOf u{name, "", {}, {}};
  u.usage.connections = connections;
  u.usage.messages = messages;
  u.per_s.messages = 1;
  return u;
}

// By family and label value.
using Series = std::map<std::string, std::uint64_t>;
Series series(UsageSeries& s, const Usages& all, std::int64_t now_s) {
  Series out;
  for (const auto& one : s.samples(all, now_s)) {
    EXPECT_TRUE(out.emplace(one.family + " " + one.label_value, one.value).second)
        << "doubled: " << one.family << " " << one.label_value;
  }
  return out;
}

constexpr std::size_t kMax = UsageSeries::kOfTheProcess + 18 * 8 + 5;  // three tenants, three sites

TEST(UsageSeries, AThousandTenantsAndAThousandSitesKeepToTheBound) {
  UsageSeries s(5000);
  Usages all;
  for (int i = 0; i < 1000; ++i) {
    all.push_back(tenant("t" + std::to_string(i), i % 7, i));
    all.push_back({"t" + std::to_string(i), "site", {}, {}});
    all.back().usage.messages = 1;
  }
  const Series first = series(s, all, 100);
  EXPECT_LE(first.size(), 5000 - UsageSeries::kOfTheProcess);
  EXPECT_GE(first.size(), 4000u) << "the places are used";
  std::uint64_t messages = 0;
  std::uint64_t sites = 0;
  for (const auto& [name, value] : first) {
    if (name.starts_with("berth_tenant_messages_total ")) messages += value;
    if (name.starts_with("berth_site_messages_total ")) sites += value;
  }
  EXPECT_EQ(messages, 999u * 1000 / 2) << "nobody is left out";
  EXPECT_EQ(sites, 1000u);
  const Series again = series(s, all, 110);
  EXPECT_EQ(again, first);
}

TEST(UsageSeries, WhoHasAPlaceKeepsIt) {
  UsageSeries s(kMax);
  ASSERT_EQ(s.places(), 3u);
  series(s, {tenant("a", 5), tenant("b", 6), tenant("c", 7), tenant("d", 4)}, 100);
  // d becomes the greatest, but not by much; a leaves for a while and comes back.
  Series now = series(s, {tenant("b", 6), tenant("c", 7), tenant("d", 12)}, 200);
  EXPECT_EQ(now.count("berth_tenant_connections d"), 0u);
  now = series(s, {tenant("a", 5), tenant("b", 6), tenant("c", 7), tenant("d", 12)}, 3000);
  EXPECT_EQ(now["berth_tenant_connections a"], 5u);
  EXPECT_EQ(now["berth_tenant_connections _other"], 12u);
}

TEST(UsageSeries, WhoIsMuchGreaterGetsOneAndWhoIsGoneForAnHourLosesIt) {
  UsageSeries s(kMax);
  series(s, {tenant("a", 5), tenant("b", 6), tenant("c", 7), tenant("d", 4)}, 100);
  Series now = series(s, {tenant("a", 5), tenant("b", 6), tenant("c", 7), tenant("d", 50)}, 200);
  EXPECT_EQ(now["berth_tenant_connections d"], 50u);
  EXPECT_EQ(now.count("berth_tenant_connections a"), 0u);
  EXPECT_EQ(now["berth_tenant_connections _other"], 5u);
  now = series(s, {tenant("a", 5), tenant("d", 50)}, 300);
  EXPECT_EQ(now.count("berth_tenant_connections a"), 0u) << "b and c may come back";
  now = series(s, {tenant("a", 5), tenant("d", 50)}, 300 + UsageSeries::kAbsentMax_s);
  EXPECT_EQ(now["berth_tenant_connections a"], 5u);
}

TEST(UsageSeries, CountersOfTheOthersNeverFall) {
  UsageSeries s(kMax);
  const Usages small{tenant("a", 5), tenant("b", 6), tenant("c", 7)};
  const auto with = [&](std::vector<UsageOf> more) {
    more.insert(more.end(), small.begin(), small.end());
    return more;
  };
  const char* other = "berth_tenant_messages_total _other";
  EXPECT_EQ(series(s, with({tenant("d", 1, 100), tenant("e", 1, 10)}), 100)[other], 110u);
  EXPECT_EQ(series(s, with({tenant("d", 1, 150), tenant("e", 1, 10)}), 110)[other], 160u);
  EXPECT_EQ(series(s, with({tenant("e", 1, 11)}), 120)[other], 161u) << "d is gone";
  EXPECT_EQ(series(s, with({tenant("e", 1, 4)}), 130)[other], 165u) << "another engine counts";
  EXPECT_EQ(series(s, with({tenant("e", 99, 6)}), 200)[other], 165u) << "e has a place";
}

TEST(UsageSeries, ATenantThatIsCalledOtherIsNoBucket) {
  UsageSeries s(kMax);
  Series now = series(s, {tenant("other", 5)}, 100);
  EXPECT_EQ(now["berth_tenant_connections other"], 5u);
  EXPECT_EQ(now.count("berth_tenant_connections _other"), 0u);
}

// An engine's answer, to an edge of this release and of the one before.
TEST(UsageReport, IsReadFromEitherForm) {
  Usages all{tenant("a", 5, 9), {"a", "n", {}, {}}};
  all[1].usage.queue_bytes = 3;
  for (const bool whole : {true, false}) {
    std::vector<metrics::Sample> samples{{"berth_x", "", "", "", false, 1}};
    auto more = whole ? std::vector{usage_report(all)} : usage_samples(all);
    samples.insert(samples.end(), more.begin(), more.end());
    std::string bytes;
    link::put_samples(bytes, 7, samples);
    std::uint64_t id = 0;
    std::vector<metrics::Sample> read;
    ASSERT_TRUE(link::get_samples(bytes, id, read));
    const Usages back = take_usage(read);
    ASSERT_EQ(read.size(), 1u);
    ASSERT_EQ(back.size(), 2u);
    EXPECT_EQ(back[0].usage.messages, 9u);
    EXPECT_EQ(back[0].per_s.messages, 1u);
    EXPECT_EQ(back[1].site, "n");
    EXPECT_EQ(back[1].usage.queue_bytes, 3u);
  }
}

TEST(UsageReport, TheLinkKeepsUnitsAndPartsOfSamples) {
  metrics::EngineProbe probe;
  probe.restore_ms = 1500;
  probe.commit.observe_us(40);
  std::string bytes;
  const auto said = metrics::samples_of(probe);
  link::put_samples(bytes, 7, said);
  std::uint64_t id = 0;
  std::vector<metrics::Sample> read;
  ASSERT_TRUE(link::get_samples(bytes, id, read));
  ASSERT_EQ(read.size(), said.size());
  for (std::size_t i = 0; i < said.size(); ++i) {
    EXPECT_EQ(read[i].unit, said[i].unit) << said[i].family;
    EXPECT_EQ(read[i].part, said[i].part) << said[i].family;
    EXPECT_EQ(read[i].counter, said[i].counter) << said[i].family;
    EXPECT_EQ(read[i].value, said[i].value) << said[i].family;
  }
}

}  // namespace
}  // namespace berth::gateway
