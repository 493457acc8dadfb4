#include "gateway/node/host_check.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace berth::gateway {
namespace {

Config listening_at(const char* mqtt) {
  Config c;
  set_key(c, "mqtt.listen", mqtt);
  return c;
}

TEST(HostCheck, WhereEveryDeviceWouldBeRefusedAWordSaysWhatIsMissing) {
  Config c = listening_at("0.0.0.0:1883");
  EXPECT_NE(all_refused(c, Role::serve).find("auth.password_file"), std::string::npos);
  set_key(c, "auth.anonymous", "never");
  EXPECT_NE(all_refused(c, Role::serve), "");
}

TEST(HostCheck, NoWordWhereSomebodyMayCome) {
  EXPECT_EQ(all_refused(listening_at("127.0.0.1:1883"), Role::serve), "");
  for (const auto& [key, value] :
       {std::pair{"auth.anonymous", "always"}, std::pair{"auth.password_file", "/x"},
        std::pair{"registry.source", "store"}, std::pair{"mqtts.user_name", "common_name"}}) {
    Config c = listening_at("0.0.0.0:1883");
    set_key(c, key, value);
    EXPECT_EQ(all_refused(c, Role::serve), "") << key;
  }
}

TEST(HostCheck, AnEngineLetsInWhatItsEdgesHold) {
  Config c;
  EXPECT_EQ(all_refused(c, Role::engine), "");
  set_key(c, "cluster.listen", "0.0.0.0:7883");
  EXPECT_NE(all_refused(c, Role::engine), "");
  EXPECT_EQ(all_refused(listening_at("0.0.0.0:1883"), Role::edge), "");
}

}  // namespace
}  // namespace berth::gateway
