#include "protocol/link/records.h"

#include <gtest/gtest.h>

#include <fstream>

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
  void on_expired(base::ConnId c, std::uint64_t tag) override {
    log += "X" + std::to_string(c.slot) + "," + std::to_string(tag) + ";";
  }
  void on_fate(base::ConnId c, std::uint64_t tag, Fate fate) override {
    log += "F" + std::to_string(c.slot) + "," + std::to_string(tag) + "," + name_of(fate) + ";";
  }
  void on_pending(base::ConnId c, std::uint64_t tag) override {
    log += "P" + std::to_string(c.slot) + "," + std::to_string(tag) + ";";
  }
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

// What lies in a step's bytes has its deadline there; a part beyond them ends the turn.
TEST(LinkRecords, PartsWithADeadlineReadBack) {
  Step s;
  s.conn = {1, 1};
  s.bytes = "plain timed and timed.";
  std::string before;
  put_step(before, s);  // as version 4 says it
  s.has_parts = true;
  s.parts = {{6, 5, {{1'800'000'000'123}, 77}}, {5, 5, {{5}, 0}}};
  s.expired_taken = {70, 71};
  std::string o;
  put_step(o, s);
  struct : EngineTurnVisitor {
    void on_step(const Step& step) override {
      steps.push_back(step);
      bytes.emplace_back(step.bytes);
    }
    std::vector<Step> steps;
    std::vector<std::string> bytes;
  } v;
  ASSERT_TRUE(visit_engine_turn(o + before, v));
  ASSERT_EQ(v.steps.size(), 2u);
  ASSERT_EQ(v.steps[0].parts.size(), 2u);
  EXPECT_EQ(v.bytes[0].substr(v.steps[0].parts[0].skip, v.steps[0].parts[0].size), "timed");
  EXPECT_EQ(v.steps[0].parts[0].deadline.not_after.ms, 1'800'000'000'123);
  EXPECT_EQ(v.steps[0].parts[0].deadline.tag, 77u);
  EXPECT_EQ(v.steps[0].parts[1].skip, 5u);
  EXPECT_EQ(v.steps[0].expired_taken, (std::vector<std::uint64_t>{70, 71}));
  EXPECT_FALSE(v.steps[1].has_parts);
  EXPECT_TRUE(v.steps[1].parts.empty());
  for (std::size_t n = 1; n < o.size(); ++n) {
    Recorder r;
    EXPECT_FALSE(visit_engine_turn(o.substr(0, n), r)) << n;
  }
  for (const TimedPart& bad : {TimedPart{23, 1, {}}, TimedPart{22, 1, {}}, TimedPart{0, 23, {}},
                               TimedPart{0, 0, {}}, TimedPart{1, UINT64_MAX, {}}}) {
    s.parts = {bad};
    std::string wrong;
    put_step(wrong, s);
    Recorder r;
    EXPECT_FALSE(visit_engine_turn(before + wrong, r)) << bad.skip << " " << bad.size;
    EXPECT_EQ(r.log, "");
  }
}

TEST(LinkRecords, ANoticeOfADroppedPartReadsBack) {
  std::string o;
  put_expired(o, {3, 9}, 70'000);
  Recorder r;
  ASSERT_TRUE(visit_edge_turn(o, r));
  EXPECT_EQ(r.log, "X3,70000;");
}

TEST(LinkRecords, FatesOfCommandsReadBack) {
  std::string o;
  put_pending(o, {3, 9}, 5);
  put_fate(o, {3, 9}, 6, Fate::written);
  put_fate(o, {3, 9}, 6, Fate::cut_off);
  Recorder r;
  ASSERT_TRUE(visit_edge_turn(o, r));
  EXPECT_EQ(r.log, "P3,5;F3,6,written;F3,6,cut_off;");
  o.back() = static_cast<char>(Fate::count);
  Recorder unknown;
  EXPECT_FALSE(visit_edge_turn(o, unknown));
}

TEST(LinkRecords, WatchedPartsAndFatesThatAreTakenReadBack) {
  constexpr std::uint64_t kOne = kCommandTag | 1;
  constexpr std::uint64_t kTwo = kCommandTag | 2;
  struct : EngineTurnVisitor {
    void on_step(const Step& step) override { steps.push_back(step); }
    std::vector<Step> steps;
  } v;
  Step s;
  s.conn = {1, 1};
  s.bytes = "one, two, three";
  s.has_parts = s.has_commands = true;
  s.parts = {{0, 3, {{5}, 7}}, {2, 3, {{6}, kOne, true, false}}, {2, 5, {{7}, kTwo, true, true}}};
  s.fates_taken = {{kOne, Fate::dropped}, {kTwo, Fate::cut_off}};
  std::string o;
  put_step(o, s);
  Step only_taken;
  only_taken.conn = {1, 1};
  only_taken.has_commands = true;
  only_taken.fates_taken = {{kOne, Fate::stale}};
  put_step(o, only_taken);
  ASSERT_TRUE(visit_engine_turn(o, v));
  ASSERT_EQ(v.steps.size(), 2u);
  ASSERT_EQ(v.steps[0].parts.size(), 3u);
  EXPECT_FALSE(v.steps[0].parts[0].deadline.watch);
  EXPECT_TRUE(v.steps[0].parts[1].deadline.watch);
  EXPECT_FALSE(v.steps[0].parts[1].deadline.fresh);
  EXPECT_TRUE(v.steps[0].parts[2].deadline.watch);
  EXPECT_TRUE(v.steps[0].parts[2].deadline.fresh);
  EXPECT_EQ(v.steps[0].parts[2].deadline.tag, kTwo);
  EXPECT_EQ(v.steps[0].fates_taken, s.fates_taken);
  EXPECT_TRUE(v.steps[1].parts.empty());
  EXPECT_EQ(v.steps[1].fates_taken, only_taken.fates_taken);
  for (std::size_t n = 1; n < o.size(); ++n) {
    Recorder r;
    const bool whole = visit_engine_turn(o.substr(0, n), r);
    EXPECT_EQ(r.log.empty(), !whole) << n;
  }
  // A step whose parts are fewer than those that it says are watched, behind one that has more.
  std::string wrong = o;
  only_taken.parts = {{0, 1, {{5}, kOne, true}}};
  put_step(wrong, only_taken);
  Recorder r;
  EXPECT_FALSE(visit_engine_turn(wrong, r));
  EXPECT_EQ(r.log, "");
  s.parts = {{0, 3, {{5}, 7, true}}};  // a delivery's
  std::string not_a_command;
  put_step(not_a_command, s);
  EXPECT_FALSE(visit_engine_turn(not_a_command, r));
}

TEST(LinkRecords, ForwardedWorkIsAWordOfNoConnection) {
  const ForwardedWork w{63, (std::uint64_t{1} << 55) - 1};
  EXPECT_TRUE(ForwardedWork::is(w.packed()));
  EXPECT_EQ(ForwardedWork::from_packed(w.packed()), w);
  EXPECT_FALSE(ForwardedWork::is(base::ConnId{0xffffffff, 0x7fffffff}.packed()));
}

TEST(LinkRecords, SettingsReadBackAndUnknownOnesAreKeptForWhoeverKnowsThem) {
  std::string o;
  const Settings said{{Setting::others_admit_per_s, 70'000}, {static_cast<Setting>(200), 1}};
  put_settings(o, said);
  Settings heard{{Setting::packet_max, 1}};
  EXPECT_TRUE(get_settings(o, heard));
  EXPECT_EQ(heard, said);
  EXPECT_FALSE(get_settings(std::string("\x04\xff", 2), heard));
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

// -- peers of other releases. recorded/*-vN.hex is what the code of link version N said; a release
// that makes a new version adds its own and keeps the one before.

std::string recorded(const std::string& name) {
  std::ifstream in(std::string(BERTH_SOURCE) + "/tests/protocol/recorded/" + name + ".hex");
  std::string bytes;
  for (std::string line; std::getline(in, line);) {
    for (std::size_t i = 0; i + 1 < line.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(line.substr(i, 2), nullptr, 16)));
    }
  }
  return bytes;
}

// Every frame as one word, what it says where it is not a turn.
std::string read_all(const std::string& bytes, Recorder& r) {
  std::string_view in = bytes;
  FrameView f;
  while (next_frame(in, f) == FrameResult::complete) {
    in.remove_prefix(f.size);
    Hello h;
    Welcome w;
    Status s;
    Alive a;
    if (f.type == FrameType::hello && get_hello(f.payload, h)) {
      r.log += "hello" + std::to_string(h.version_min) + ".." + std::to_string(h.version) + "," +
               std::to_string(h.heartbeat_ms) + (h.remote ? ",remote," + h.name : "") +
               (h.partitions != 1
                    ? "," + std::to_string(h.partition) + "/" + std::to_string(h.partitions)
                    : "") +
               (h.internal ? ",internal;" : ";");
    } else if (f.type == FrameType::turn) {
      EXPECT_TRUE(bytes[4] == 1 ? visit_edge_turn(f.payload, r) : visit_engine_turn(f.payload, r));
    } else if (f.type == FrameType::welcome && get_welcome(f.payload, w)) {
      r.log +=
          "welcome" + std::to_string(w.version) + "," + std::to_string(w.settings.size()) + ";";
    } else if (f.type == FrameType::status && get_status(f.payload, s)) {
      r.log += std::string(name_of(s.state)) + std::to_string(s.term) +
               (s.process != 0 ? ",holds" + std::to_string(s.held) : "") +
               (s.ending ? ",ending;" : ";");
    } else if (f.type == FrameType::alive && get_alive(f.payload, a)) {
      r.log += "alive" + std::to_string(a.lost_term) + (a.nominate ? "!;" : ";");
    } else {
      r.log += "#" + std::to_string(static_cast<int>(f.type)) + ";";
    }
  }
  EXPECT_TRUE(in.empty());
  return r.log;
}

TEST(LinkVersions, RecordedEdgesAreUnderstood) {
  const std::string turns = "A5,70000,sentc;Z;";
  const std::string rest = "I3,70000,5,bytes;W900;Ckeepalive_timeout;";
  Recorder one;
  EXPECT_EQ(read_all(recorded("edge-v1"), one), "hello1..1,250;" + turns + rest);
  Recorder two;
  EXPECT_EQ(read_all(recorded("edge-v2"), two),
            "hello1..2,250,remote,edge-a/0;alive41!;" + turns + "#6;" + rest + "#8;");
  Recorder three;
  EXPECT_EQ(read_all(recorded("edge-v3"), three),
            "hello1..3,250,remote,edge-a/0,2/4;alive41!;" + turns + "#6;" + rest + "#8;");
  Recorder four;
  EXPECT_EQ(read_all(recorded("edge-v4"), four),
            "hello1..4,250,remote,edge-a/0,2/4;alive41!;" + turns + "#6;" + rest + "#8;");
}

TEST(LinkVersions, RecordedEnginesAreUnderstood) {
  const std::string turn = "S900,answer,70005,taken_over,cookies1;S0,,release,cookies0;#18;";
  Recorder one;
  EXPECT_EQ(read_all(recorded("engine-v1"), one), "#17;" + turn);
  Recorder two;
  EXPECT_EQ(read_all(recorded("engine-v2"), two), "welcome2,3;serving42;#17;" + turn);
  Recorder three;
  EXPECT_EQ(read_all(recorded("engine-v3"), three),
            "welcome3,3;serving42,holds3,ending;#17;" + turn);
  Recorder four;
  EXPECT_EQ(read_all(recorded("engine-v4"), four),
            "welcome4,3;serving42,holds3,ending;#17;" + turn);
}

TEST(LinkVersions, AStatusOfTheReleaseBeforeIsFit) {
  std::string bytes;
  put_status(bytes, {.held = 3, .ending = true, .unfit = true});
  Status s;
  ASSERT_TRUE(get_status(bytes, s));
  EXPECT_TRUE(s.unfit && s.ending);
  bytes.pop_back();  // version 3
  ASSERT_TRUE(get_status(bytes, s));
  EXPECT_FALSE(s.unfit);
  EXPECT_TRUE(s.ending);
}

TEST(LinkVersions, ANewerPeerIsSpokenToInOurs) {
  Hello h;
  h.version = kVersion + 1;
  h.version_min = kVersion;
  h.remote = true;
  std::string bytes;
  put_hello(bytes, h);
  bytes.append("and something that we do not know");
  Hello read;
  ASSERT_TRUE(get_hello(bytes, read));
  EXPECT_EQ(common_version(read.version_min, read.version), kVersion);
  EXPECT_EQ(common_version(kVersion + 1, kVersion + 2), 0u) << "two releases on";
  EXPECT_EQ(common_version(0, 0), 0u);
  Welcome w{.settings = {{static_cast<Setting>(200), 5}, {Setting::packet_max, 6}}};
  std::string welcome;
  put_welcome(welcome, w);
  Welcome got;
  ASSERT_TRUE(get_welcome(welcome, got));
  EXPECT_EQ(got.settings.size(), 2u) << "a setting that is not known has a value all the same";
}

}  // namespace
}  // namespace berth::protocol::link
