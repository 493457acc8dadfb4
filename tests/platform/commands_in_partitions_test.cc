// Commands whose home is another partition than that of the device's session, and engines that die
// between the command and its result.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "platform/platform.h"
#include "platform/platform.pb.h"
#include "tests/support/partitions.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

namespace pb = platform::pb;
using platform::Outcome;

// Two partitions with a platform side each. The camera `cam` carries out the commands of two
// barriers, whose homes are both partitions; its session is in partition 1.
class TwoHomes : public ::testing::Test, private platform::CommandWays {
 protected:
  TwoHomes() {
    p.serves = [this](std::uint32_t n) { sides[n]->attached_all(p[n].now()); };
    for (std::uint32_t n = 0; n < 2; ++n) {
      World& w = p[n];
      w.use_registry(book);
      w.on_login([this](const session::AuthRequest& r) { return book.login(r); });
      w.before_serving([] {});
      w.each_turn([this, &w, n] {
        if (sides[n]) sides[n]->end_turn(w.now());
      });
      w.on_broker([this, &w, n] {
        sides[n].reset();
        sides[n] = std::make_unique<platform::Platform>(
            w.broker().context(), w.broker().core(),
            [&w](session::RecordRange r, session::Store::RecordsDone done) {
              w.store().read_records(std::move(r), std::move(done));
            });
        sides[n]->use(*this);
      });
    }
    p.run();
    cam = p[1].open_connected({.client_id = "cam", .user = "acme/d/cam"});
    p[1].feed(cam, subscribe(1, "v1/cmd/#", 1));
    p[1].take_bytes(cam);
  }
  // A barrier whose home is this partition.
  static std::string barrier(std::uint32_t home) {
    std::string name = "b";
    while (platform::home_of("acme", name, 2) != home) name += "x";
    return name;
  }
  void submit(std::uint32_t home, const std::string& id) {
    pb::SubmitQuestion q;
    q.mutable_command()->set_tenant("acme");
    q.mutable_command()->set_device(barrier(home));
    q.mutable_command()->set_type("open");
    q.mutable_command()->set_id(id);
    q.mutable_command()->set_content(std::string(32, 'c'));
    q.mutable_command()->set_is_admin(true);
    q.set_located(2);
    pb::CommandAnswer a;
    sides[home]->begin(p[home].now());
    sides[home]->commands().questions().submit(
        q.SerializeAsString(), [&](const std::string& bytes) { a.ParseFromString(bytes); });
    p[home].run();
    p.run();
    EXPECT_EQ(a.status(), 200u) << a.code();
  }
  Outcome outcome(std::uint32_t home, const std::string& id) {
    pb::CommandKey q;
    q.set_tenant("acme");
    q.set_id(id);
    pb::CommandAnswer a;
    sides[home]->begin(p[home].now());
    sides[home]->commands().questions().find(
        q.SerializeAsString(), [&](const std::string& bytes) { a.ParseFromString(bytes); });
    p[home].run();
    EXPECT_EQ(a.status(), 200u) << a.code();
    return static_cast<Outcome>(a.command().outcome());
  }
  // The camera answers as a vendor does that names no command; notes go no further for now.
  void answers() { p[1].feed(cam, publish("v1/cmd/~open/res", R"({"outcome":"EXECUTED"})", 0)); }

  Book book;
  Partitions p;
  std::array<std::unique_ptr<platform::Platform>, 2> sides;
  int cam = -1;

 private:
  platform::Refusal terms(const platform::Asked&, platform::Terms& out) const override {
    out = {.delivery = platform::Delivery::queued, .ttl_ms = 60'000, .result_ms = 60'000};
    out.site = out.executor_site = "north";
    out.executor = "cam";
    return {};
  }
  platform::Part part_of(std::string_view, std::string_view) const override { return {"cam", {}}; }
  void each_target(std::string_view, std::string_view,
                   const std::function<bool(std::string_view)>& f) const override {
    for (const std::string& target : {std::string("cam"), barrier(0), barrier(1)}) {
      if (!f(target)) return;
    }
  }
  std::string read_request(std::string_view, std::int64_t, platform::Asked&) const override {
    return {};
  }
  bool render(const platform::Entry& e, std::int64_t, std::int64_t, std::int64_t,
              platform::Rendered& out) const override {
    out.topic = "$tenant/acme/v1/north/cam/cmd/" + e.asked.id + "/req/" + e.asked.type;
    out.payload = "{}";
    return true;
  }
};

TEST_F(TwoHomes, AnAnswerThatNamesNoCommandReachesItsHomeAfterTheDeathOfTheDevicesEngine) {
  for (const std::uint32_t home : {0u, 1u}) {
    const std::string id = "c" + std::to_string(home);
    submit(home, id);
    p[1].crash();
    answers();
    EXPECT_EQ(p[1].probe().command_results_stray, 1u) << "the other home has not told yet";
    p.run();
    EXPECT_EQ(outcome(home, id), Outcome::none);
    answers();
    EXPECT_EQ(p[1].probe().command_results_stray, 1u);
    p.run();
    EXPECT_EQ(outcome(home, id), Outcome::succeeded) << home;
  }
}

TEST_F(TwoHomes, NothingIsGuessedWhereTwoHomesHaveACommandUnderWay) {
  submit(0, "c0");
  submit(1, "c1");
  for (const std::uint32_t dies : {1u, 0u, 1u}) {
    p[dies].crash();
    p.run();
  }
  answers();
  p.run();
  EXPECT_EQ(outcome(0, "c0"), Outcome::none);
  EXPECT_EQ(outcome(1, "c1"), Outcome::none);
  p[1].feed(cam, publish("v1/cmd/c1/res", R"({"outcome":"EXECUTED"})", 0));
  p.run();
  EXPECT_EQ(outcome(1, "c1"), Outcome::succeeded);
  answers();
  p.run();
  EXPECT_EQ(outcome(0, "c0"), Outcome::succeeded);
}

}  // namespace
}  // namespace berth::test
