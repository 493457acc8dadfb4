// What people call devices, in answers of an engine; and the search by it.
#include "gateway/engine/device_names.h"

#include <gtest/gtest.h>

#include <string>

#include "gateway/engine/device_list.h"
#include "platform/history.pb.h"
#include "platform/platform.pb.h"
#include "platform/presence.pb.h"
#include "tests/gateway/registry_texts.h"

namespace berth::gateway::engine {
namespace {

namespace pb = platform::pb;

struct DeviceNamesTest : ::testing::Test {
  DeviceNamesTest() {
    registry.apply(registry::changes_of(R"(
tenants:
  - name: acme
    sites: [{name: north}]
    devices:
      - {name: cam-1, site: north, display_name: 车道1}
      - {name: cam-2, site: north, display_name: Lane 2}
      - {name: gate, site: north}
)"));
  }
  std::string listed(const std::string& q, const std::string& after = {}) {
    pb::DevicesQuestion question;
    question.set_tenant("acme");
    question.set_limit(100);
    question.set_q(q);
    question.set_after(after);
    pb::DevicesAnswer a;
    EXPECT_TRUE(a.ParseFromString(list_devices(registry, question.SerializeAsString())));
    std::string all;
    for (const auto& d : a.devices()) all += d.name() + "=" + d.display_name() + " ";
    return all;
  }
  registry::Registry registry{"acme"};
  DeviceNames names{registry};
};

TEST_F(DeviceNamesTest, ListDevicesByNameAndDisplayName) {
  EXPECT_EQ(listed("车道"), "cam-1=车道1 ");
  EXPECT_EQ(listed("LANE"), "cam-2=Lane 2 ");
  EXPECT_EQ(listed("cam"), "cam-1=车道1 cam-2=Lane 2 ");
  EXPECT_EQ(listed("出口"), "");
  EXPECT_EQ(listed(""), "cam-1=车道1 cam-2=Lane 2 gate= ");
  EXPECT_TRUE(names.is_called("acme", "cam-2", "lane"));
  EXPECT_TRUE(names.is_called("acme", "Cam-9", "cAM"));
  EXPECT_FALSE(names.is_called("other", "cam-1", "车道"));
}

TEST_F(DeviceNamesTest, AreInAnswersThatHaveDevices) {
  pb::CommandAnswer command;
  command.mutable_command()->set_tenant("acme");
  command.mutable_command()->set_device("cam-1");
  EXPECT_TRUE(command.ParseFromString(names.in_command(command.SerializeAsString())));
  EXPECT_EQ(command.command().display_name(), "车道1");
  pb::ListAnswer list;
  *list.add_commands() = command.command();
  list.mutable_commands(0)->set_device("cam-2");
  list.set_more(true);
  EXPECT_TRUE(list.ParseFromString(names.in_list(list.SerializeAsString())));
  EXPECT_EQ(list.commands(0).display_name(), "Lane 2");
  EXPECT_TRUE(list.more());
  pb::HistoryAnswer history;
  history.add_events()->set_device("cam-1");
  history.add_events()->set_device("gate");
  EXPECT_TRUE(history.ParseFromString(names.in_history("acme", history.SerializeAsString())));
  EXPECT_EQ(history.events(0).display_name(), "车道1");
  EXPECT_EQ(history.events(1).display_name(), "");
  EXPECT_EQ(names.in_command("\xff"), "\xff");
}

}  // namespace
}  // namespace berth::gateway::engine
