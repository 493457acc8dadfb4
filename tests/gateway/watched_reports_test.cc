// What devices report while somebody looks at them, and nothing of others.
#include "gateway/engine/watched_reports.h"

#include <gtest/gtest.h>

#include <string>

namespace berth::gateway::engine {
namespace {

namespace pb = platform::pb;
constexpr std::int64_t kNow = 1'800'000'000'000;
const session::Principal kCam{"acme", session::Role::device, "cam"};

v1::Envelope plate(const std::string& number) {
  v1::Envelope e;
  e.mutable_plate()->set_lane("E1");
  e.mutable_plate()->mutable_plate()->set_number(number);
  e.mutable_plate()->mutable_plate()->set_color(v1::BLUE);
  e.mutable_plate()->add_images()->set_url("http://camera/face.jpg");
  return e;
}

pb::ReportsAnswer asked(WatchedReports& w, const pb::ReportsAnswer& last, std::int64_t at = kNow,
                        const std::string& device = "cam") {
  pb::ReportsQuestion q;
  q.set_tenant("acme");
  q.set_device(device);
  q.set_engine(last.engine());
  q.set_after(last.through());
  pb::ReportsAnswer a;
  const auto said = w.answer(q.SerializeAsString(), at);
  EXPECT_TRUE(said && a.ParseFromString(*said));
  return a;
}

TEST(WatchedReports, AreKeptOnlyWhileSomebodyAsks) {
  WatchedReports w;
  w.take(kCam, "north", plate("粤B12345"), kNow);
  EXPECT_FALSE(w.any());
  pb::ReportsAnswer a = asked(w, {});
  EXPECT_TRUE(w.any());
  EXPECT_EQ(a.reports_size(), 0);
  w.take(kCam, "north", plate("粤B12345"), kNow + 1);
  w.take({"acme", session::Role::device, "other"}, "north", plate("x"), kNow + 1);
  w.take({"other", session::Role::device, "cam"}, "north", plate("x"), kNow + 1);
  a = asked(w, a, kNow + 400);
  ASSERT_EQ(a.reports_size(), 1);
  const pb::WatchedReport& r = a.reports(0);
  EXPECT_EQ(r.plate(), "粤B12345");
  EXPECT_EQ(r.type(), "plate");
  EXPECT_EQ(r.body().find("粤"), std::string::npos) << r.body();
  EXPECT_EQ(r.body().find("face"), std::string::npos) << r.body();
  EXPECT_NE(r.body().find("BLUE"), std::string::npos) << r.body();
  EXPECT_EQ(asked(w, a, kNow + 800).reports_size(), 0) << "each once";
  w.take(kCam, "north", plate("y"), kNow + 800 + WatchedReports::kAsked_ms + 1);
  EXPECT_FALSE(w.any()) << "nobody looks any more";
}

TEST(WatchedReports, AreBoundedAndSayNothingOfPayments) {
  WatchedReports w;
  pb::ReportsAnswer a = asked(w, {});
  for (int i = 0; i < 200; ++i) w.take(kCam, "north", plate(std::to_string(i)), kNow);
  v1::Envelope payment;
  payment.mutable_payment()->set_order_id("o");
  w.take(kCam, "north", payment, kNow);
  a = asked(w, a);
  EXPECT_EQ(a.reports_size(), static_cast<int>(WatchedReports::kKept));
  EXPECT_EQ(a.reports(a.reports_size() - 1).plate(), "199");
  pb::ReportsQuestion q;
  q.set_tenant("acme");
  std::size_t taken = 1;
  for (; taken < 1000; ++taken) {
    q.set_device("d" + std::to_string(taken));
    if (!w.answer(q.SerializeAsString(), kNow)) break;
  }
  EXPECT_EQ(taken, WatchedReports::kDevices);
}

TEST(WatchedReports, EachBodyHasItsWords) {
  v1::Envelope e;
  e.mutable_barrier()->set_position(v1::OPEN);
  EXPECT_EQ(watched_report_of(e)->type(), "barrier");
  EXPECT_NE(watched_report_of(e)->body().find("OPEN"), std::string::npos);
  e.mutable_charger()->set_state(v1::CHARGING);
  EXPECT_EQ(watched_report_of(e)->type(), "charger");
  e.mutable_alarm()->set_text(std::string(5000, 'x'));
  EXPECT_LE(watched_report_of(e)->body().size(), WatchedReports::kBodyMax);
  e.mutable_access()->set_credential_id("4711");
  EXPECT_EQ(watched_report_of(e)->body().find("4711"), std::string::npos);
  EXPECT_FALSE(watched_report_of({}));
}

}  // namespace
}  // namespace berth::gateway::engine
