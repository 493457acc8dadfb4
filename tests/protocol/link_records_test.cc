#include "protocol/link/records.h"

#include <gtest/gtest.h>

namespace berth::protocol::link {
namespace {

struct Recorder : EdgeTurnVisitor, EngineTurnVisitor {
  std::string log;
  void on_attach(const Attach& a) override {
    log += "A" + std::to_string(a.in_ack) + "," + std::to_string(a.in_end) + "," + a.cookie[1] +
           (a.connected ? "c" : "") + ";";
  }
  void on_attached_all() override { log += "Z;"; }
  void on_input(base::ConnId c, std::uint64_t o, std::uint64_t ack, std::string_view b) override {
    log += "I" + std::to_string(c.slot) + "," + std::to_string(o) + "," + std::to_string(ack) +
           "," + std::string(b) + ";";
  }
  void on_closed(base::ConnId, CloseReason r) override {
    log += std::string("C") + name_of(r) + ";";
  }
  void on_credit(base::ConnId, std::uint64_t w) override { log += "W" + std::to_string(w) + ";"; }
  void on_step(const Step& s) override {
    log += "S" + std::to_string(s.out_off) + "," + std::string(s.bytes) +
           (s.has_in_ack ? "," + std::to_string(s.in_ack) : "") +
           (s.has_close ? std::string(",") + name_of(s.reason) : "") +
           (s.release ? ",release" : "") + ",cookies" + std::to_string(s.cookies.size()) + ";";
  }
};

std::string edge_turn() {
  std::string o;
  Attach a;
  a.conn = {3, 9};
  a.in_ack = 5;
  a.in_end = 70000;
  a.connected = true;
  a.cookie[1] = "cc";
  put_attach(o, a);
  put_attached_all(o);
  put_input(o, {3, 9}, 5, 4, "bytes");
  put_closed(o, {3, 9}, CloseReason::keepalive_timeout);
  put_credit(o, {3, 9}, 1u << 20);
  return o;
}

TEST(LinkRecords, AnEdgesTurnReadsBack) {
  Recorder r;
  ASSERT_TRUE(visit_edge_turn(edge_turn(), r));
  EXPECT_EQ(r.log, "A5,70000,ccc;Z;I3,5,4,bytes;Ckeepalive_timeout;W1048576;");
}

TEST(LinkRecords, AnEnginesTurnIsReadWholeOrNotAtAll) {
  std::string o;
  Step s;
  s.conn = {1, 1};
  s.bytes = "out";
  s.has_in_ack = true;
  s.in_ack = 12;
  s.cookies = {{CookieSlot::sent_seq, "x"}};
  put_step(o, s);
  s.has_close = s.release = true;
  s.reason = CloseReason::taken_over;
  put_step(o, s);
  Recorder r;
  ASSERT_TRUE(visit_engine_turn(o, r));
  EXPECT_EQ(r.log, "S0,out,12,cookies1;S0,out,12,taken_over,release,cookies1;");
  for (std::size_t n = 1; n < o.size();
       ++n) {  // a cut inside the second step must not apply the first
    Recorder cut;
    const std::string part = o.substr(0, n);
    if (visit_engine_turn(part, cut)) continue;
    EXPECT_EQ(cut.log, "");
  }
}

TEST(LinkRecords, EveryTruncationOfAnEdgesTurnIsBounded) {
  const std::string all = edge_turn();
  for (std::size_t n = 0; n < all.size(); ++n) {
    Recorder r;
    const std::string part = all.substr(0, n);
    visit_edge_turn(part, r);
  }
}

TEST(LinkRecords, FramesSplitAnywhere) {
  std::string o;
  const std::size_t at = begin_frame(o, FrameType::turn);
  o += "payload";
  end_frame(o, at);
  for (std::size_t n = 0; n < o.size(); ++n) {
    FrameView f;
    EXPECT_EQ(next_frame(o.substr(0, n), f), FrameResult::need_more);
  }
  FrameView f;
  ASSERT_EQ(next_frame(o, f), FrameResult::complete);
  EXPECT_EQ(f.payload, "payload");
  EXPECT_EQ(next_frame(std::string(5, '\0'), f), FrameResult::malformed);
}

}  // namespace
}  // namespace berth::protocol::link
