// Whose turn it is.
#include "session/fair_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace berth::test {
namespace {

TEST(FairQueue, OneItemOfOneKeyWaitsForOneOfEachOther) {
  session::FairQueue<int> q;
  for (int i = 0; i < 1000; ++i) q.push(1, i);
  q.push(2, 5000);
  q.push(3, 6000);
  EXPECT_EQ(q.size(), 1002u);
  std::vector<int> first;
  for (int i = 0; i < 4; ++i) first.push_back(q.pop());
  EXPECT_EQ(first, (std::vector<int>{0, 5000, 6000, 1}));
  int n = 0;
  for (; !q.empty(); ++n) q.pop();
  EXPECT_EQ(n, 998);
}

}  // namespace
}  // namespace berth::test
