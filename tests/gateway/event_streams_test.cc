// How streams of events ask the history for what their clients have missed: an account has a share.
#include <atomic>
#include <chrono>

#include "platform/history.pb.h"
#include "tests/gateway/api_box.h"
#include "tests/support/raw_http.h"

namespace berth::test {
namespace {

using namespace std::chrono;

class EventStreams : public ApiBox {
 protected:
  void start_engine() {
    sites_ = {"a", "b", "c", "d", "e", "f", "g", "h"};
    engine_.answerer.use(AskKind::events, [](const Question&, const Answered& a) {
      platform::pb::EventsAnswer said;  // what was before the place 5000-0 is in the store only
      said.set_gap_ms(5000);
      said.set_through_ms(6000);
      a({AskError::none, said.SerializeAsString()});
    });
    engine_.answerer.use(AskKind::history, [this](const Question& q, const Answered& a) {
      platform::pb::HistoryQuestion asked;
      asked.ParseFromString(q.bytes);
      ++(asked.device().empty() ? of_sites_ : of_device_);
      platform::pb::HistoryAnswer said;
      platform::pb::HistoryEvent& e = *said.add_events();
      e.set_at_ms(2000);
      e.set_number(7);
      e.set_kind(1);
      e.set_site("a");
      a({AskError::none, said.SerializeAsString()});
    });
    start(0, 1000);
  }
  std::unique_ptr<RawHttp> open(const std::string& account, const std::string& query) const {
    auto c = std::make_unique<RawHttp>(port_);
    const std::string id = rest::Cursors::local()->close(rest::lists::kEvents, "acme", "1000-1");
    c->send("GET /api/v1/events?last_event_id=" + id + query +
            " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + account + ":x\r\n\r\n");
    return c;
  }
  std::atomic<int> of_sites_{0}, of_device_{0};
};

TEST_F(EventStreams, OfAnAccountShareWhatTheyAskOfTheHistory) {
  start_engine();
  constexpr int kStreams = 30;
  constexpr int kFills = 8 * kStreams;
  const auto began = steady_clock::now();
  std::vector<std::unique_ptr<RawHttp>> all;
  for (int i = 0; i < kStreams; ++i) all.push_back(open("one@acme", "&types=connected"));
  const auto other = open("two@acme", "&types=connected&device=a-gate");
  EXPECT_NE(other->receive("event: connected").find("event: connected"), std::string::npos);
  const auto& cut = http_.figures().cut_resumes;
  while (of_sites_ + static_cast<int>(cut) < kFills && steady_clock::now() < began + seconds(60))
    all[0]->receive("no such text", 20);
  const auto took_s = duration_cast<seconds>(steady_clock::now() - began).count();
  EXPECT_EQ(of_sites_ + static_cast<int>(cut), kFills);
  EXPECT_GT(cut, 0u) << "not all of it within the time that a stream waits";
  const auto rate = static_cast<std::int64_t>(rest::EventsApi::kFillsPerSecond);
  EXPECT_LE(of_sites_, rate * (2 + took_s + 1));
  EXPECT_EQ(of_device_, 1) << "the other account has a share of its own";
  bool said = false;
  for (const auto& c : all) {
    const std::string text = c->receive("event: ");
    said = said || c->receive("\"some\"", 100).find("\"some\"") != std::string::npos;
    EXPECT_NE(text.find("event: "), std::string::npos);
  }
  EXPECT_TRUE(said) << "to the clients too";
}

}  // namespace
}  // namespace berth::test
