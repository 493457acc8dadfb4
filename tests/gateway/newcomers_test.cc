// Which links may wait for their hello, and which addresses links may have at all.
#include <gtest/gtest.h>

#include "gateway/cluster/link_policy.h"
#include "gateway/cluster/newcomer_limits.h"

namespace berth::gateway::cluster {
namespace {

constexpr std::int64_t kS = 1'000'000'000;

base::Address address(std::uint8_t a, std::uint8_t b = 1) {
  const std::uint8_t bytes[4] = {10, 0, a, b};
  return base::Address::v4(bytes);
}

class NewcomerLimitsTest : public ::testing::Test {
 protected:
  // How many of `n` connections of this address are let in at `now`.
  std::size_t flood(const base::Address& from, std::size_t n, std::int64_t now) {
    std::size_t in = 0;
    for (std::size_t i = 0; i < n; ++i) in += limits_.enter(++id_, from, now).admitted ? 1 : 0;
    return in;
  }
  NewcomerLimits limits_;
  NewcomerLimits::Id id_ = 0;
};

TEST_F(NewcomerLimitsTest, OneAddressHasABoundedShare) {
  EXPECT_EQ(flood(address(1), 1400, kS), NewcomerLimits::kPerSite);
  EXPECT_EQ(limits_.waiting(), NewcomerLimits::kPerSite);
  EXPECT_TRUE(limits_.enter(++id_, address(2), kS).admitted) << "an edge from elsewhere";
}

TEST_F(NewcomerLimitsTest, WhoHasMostMakesRoom) {
  limits_.know(address(9));
  EXPECT_EQ(flood(address(9), 500, kS), 500u) << "a host with many edge shards";
  EXPECT_EQ(flood(address(1), 100, kS), 12u) << "all is full, and none has waited for long";
  EXPECT_EQ(limits_.waiting(), NewcomerLimits::kMax);
  const auto v = limits_.enter(++id_, address(9), kS);
  EXPECT_TRUE(v.admitted);
  EXPECT_EQ(v.evicted, NewcomerLimits::Id{501}) << "the oldest of an unknown site";
}

TEST_F(NewcomerLimitsTest, AnUnknownEdgeFindsRoomAmongManyAddresses) {
  for (std::uint8_t a = 1; a <= 64; ++a) flood(address(a), 8, kS);
  ASSERT_EQ(limits_.waiting(), NewcomerLimits::kMax);
  EXPECT_TRUE(limits_.enter(++id_, address(200), kS).admitted);
  EXPECT_EQ(limits_.waiting(), NewcomerLimits::kMax);
}

// Of the same address as the attacker: who is silent makes room after a moment.
TEST_F(NewcomerLimitsTest, TheSilentOnesOfAnAddressMakeRoomAfterAMoment) {
  flood(address(1), 1400, kS);
  EXPECT_FALSE(limits_.enter(++id_, address(1), kS + 1).admitted);
  const auto later = kS * 2;
  const auto v = limits_.enter(++id_, address(1), later);
  EXPECT_TRUE(v.admitted);
  EXPECT_EQ(v.evicted, NewcomerLimits::Id{1});
}

// Handshakes cost the engine's only thread.
TEST_F(NewcomerLimitsTest, AnUnknownAddressHasARateAKnownOneHasNone) {
  for (const bool known : {false, true}) {
    const base::Address from = address(known ? 2 : 1);
    if (known) limits_.know(from);
    std::size_t in = 0;
    for (int ms = 0; ms < 10'000; ++ms) {
      const bool admitted = limits_.enter(++id_, from, kS + ms * (kS / 1000)).admitted;
      if (admitted) limits_.leave(id_);
      in += admitted ? 1 : 0;
    }
    if (known) {
      EXPECT_EQ(in, 10'000u);
    } else {
      EXPECT_NEAR(static_cast<double>(in), NewcomerLimits::kBurst + 10 * NewcomerLimits::kPerSecond,
                  3);
    }
  }
}

TEST_F(NewcomerLimitsTest, NetworksOfIpv6AreOneSite) {
  std::size_t in = 0;
  for (std::uint8_t i = 0; i < 255; ++i) {
    for (std::uint8_t j = 0; j < 2; ++j) {
      std::uint8_t bytes[16] = {0x20, 1, 0xd, 0xb8};
      bytes[14] = j;
      bytes[15] = i;
      in += limits_.enter(++id_, base::Address::v6(bytes), kS).admitted ? 1 : 0;
    }
  }
  EXPECT_EQ(in, NewcomerLimits::kPerSite);
}

// -- closed by default

std::string why_not(bool edge, const std::map<std::string, std::string>& settings) {
  Config c;
  for (const auto& [key, value] : settings) set_key(c, key, value);
  try {
    edge ? check_edge_links(c) : check_engine_links(c);
    return {};
  } catch (const ConfigError& e) {
    return e.what();
  }
}

TEST(LinkPolicy, AnEngineListensBeyondLoopbackOnlyWithTlsOrOnPurpose) {
  EXPECT_EQ(why_not(false, {}), "");
  for (const char* at : {"0.0.0.0:7883", "[::]:7883", "10.1.2.3:7883", ":7883", "engine:7883"}) {
    const std::string why = why_not(false, {{"cluster.listen", at}});
    EXPECT_NE(why.find("is beyond loopback: set cluster.ca_file"), std::string::npos) << at;
    EXPECT_NE(why.find("cluster.insecure: true"), std::string::npos) << at;
    EXPECT_EQ(why_not(false, {{"cluster.listen", at}, {"cluster.insecure", "true"}}), "");
    EXPECT_EQ(why_not(false, {{"cluster.listen", at},
                              {"cluster.ca_file", "ca"},
                              {"cluster.peer_name", "berth-edge"}}),
              "");
  }
  for (const char* at : {"127.0.0.1:7883", "127.9.9.9:1", "[::1]:7883", "localhost:7883"})
    EXPECT_EQ(why_not(false, {{"cluster.listen", at}}), "") << at;
}

TEST(LinkPolicy, TlsNeedsANameToLookFor) {
  for (const char* name : {"", " , "}) {
    for (const bool edge : {false, true}) {
      EXPECT_NE(why_not(edge, {{"cluster.engines", "127.0.0.1:1"},
                               {"cluster.ca_file", "ca"},
                               {"cluster.insecure", "true"},
                               {"cluster.peer_name", name}})
                    .find("cluster.peer_name is not set"),
                std::string::npos);
    }
  }
}

TEST(LinkPolicy, AnEdgeGoesBeyondLoopbackOnlyWithTlsOrOnPurpose) {
  EXPECT_EQ(why_not(true, {{"cluster.engines", "127.0.0.1:1,[::1]:2,localhost:3"}}), "");
  for (const char* at :
       {"engine.example:7883", "127.0.0.1:1,10.0.0.1:7883", "[2001:db8::1]:7883"}) {
    EXPECT_NE(why_not(true, {{"cluster.engines", at}}).find("is beyond loopback"),
              std::string::npos);
    EXPECT_EQ(why_not(true, {{"cluster.engines", at}, {"cluster.insecure", "true"}}), "");
  }
  for (const char* partitions : {"1", "2"}) {
    const std::string why =
        why_not(false, {{"cluster.engines", "10.0.0.1:7883"}, {"cluster.partitions", partitions}});
    EXPECT_NE(why.find("cluster.engines 10.0.0.1:7883 is beyond loopback"), std::string::npos)
        << "an engine's own links to the others";
  }
}

}  // namespace
}  // namespace berth::gateway::cluster
