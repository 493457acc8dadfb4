// Rates of quotas.
#include "session/quota.h"

#include <gtest/gtest.h>

namespace berth::test {
namespace {

using session::Bucket;

TEST(Bucket, GivesWhatASecondBringsAndGoesIntoDebt) {
  Bucket b;
  base::Instant t{1000};
  EXPECT_TRUE(b.open(10, t));
  b.take(25);
  EXPECT_FALSE(b.open(10, t));
  EXPECT_FALSE(b.open(10, base::Instant{2000}));
  EXPECT_TRUE(b.open(10, base::Instant{2600}));
  EXPECT_TRUE(b.open(0, t)) << "no limit";
  Bucket idle;
  EXPECT_TRUE(idle.open(10, t));
  EXPECT_TRUE(idle.open(10, base::Instant{100'000}));
  idle.take(10);
  EXPECT_FALSE(idle.open(10, base::Instant{100'000})) << "no more than a second is saved";
}

}  // namespace
}  // namespace berth::test
