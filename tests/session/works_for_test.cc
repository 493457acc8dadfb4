// Whom the core works for (I12).
#include "session/works_for.h"

#include <gtest/gtest.h>

namespace berth::test {
namespace {

TEST(WorksFor, ScopesNestAndTheOuterWordComesBack) {
  session::Work work;
  {
    const session::WorksFor outer(work, base::ConnId{7, 1});
    {
      const session::WorksFor inner(work, base::ConnId{8, 1});
      EXPECT_EQ(work.word(), (base::ConnId{8, 1}.packed()));
      const session::WorksFor nobody(work, base::kNoConn);
      EXPECT_EQ(work.word(), (base::ConnId{8, 1}.packed()));
    }
    EXPECT_EQ(work.word(), (base::ConnId{7, 1}.packed()));
  }
  EXPECT_EQ(work.word(), 0u);
}

}  // namespace
}  // namespace berth::test
