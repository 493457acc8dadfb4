// The packets of an output that have a deadline, as strings: which bytes go, which are dropped.
#include "gateway/edge/timed_output.h"

#include <gtest/gtest.h>

#include <random>

namespace berth::gateway::edge {
namespace {

using Tags = std::vector<std::uint64_t>;
using Fate = protocol::link::Fate;
using Taken = TimedOutput::Taken;

// An output as a Connection has it.
struct OutputBox {
  void plain(const std::string& bytes) { out += bytes; }
  Taken timed_packet(const std::string& bytes, std::int64_t not_after, std::uint64_t tag = 0) {
    const Taken t = timed.take(out.size() - at, bytes.size(), {{not_after}, tag}, {now});
    if (t == Taken::yes) out += bytes;
    return t;
  }
  std::string write(std::size_t n) {
    const std::string bytes = out.substr(at, n);
    at += bytes.size();
    timed.written(bytes.size());
    return bytes;
  }
  std::string at_time(std::int64_t t) {  // what is left to be written
    now = t;
    dropped += timed.drop_late(out, at, {now});
    return out.substr(at);
  }
  TimedOutput timed;
  std::string out;
  std::size_t at = 0;
  std::int64_t now = 100;
  std::size_t dropped = 0;
};

TEST(TimedOutput, DropsWholePacketsAndNothingElse) {
  OutputBox o;
  o.plain("<a>");
  o.timed_packet("<one>", 200, 1);
  o.timed_packet("<two>", 300, 2);
  o.plain("<b>");
  o.timed_packet("<three>", 200, 3);
  o.plain("<c>");
  EXPECT_EQ(o.at_time(200), "<a><one><two><b><three><c>");  // not after: in that very millisecond
  EXPECT_EQ(o.at_time(201), "<a><two><b><c>");
  EXPECT_EQ(o.dropped, 2u);
  EXPECT_EQ(o.timed.tell(), (Tags{1, 3}));
  o.timed_packet("<four>", 250, 4);
  EXPECT_EQ(o.write(4), "<a><");
  EXPECT_EQ(o.at_time(1000), "two><b><c>");  // of <two> a byte has gone
  EXPECT_EQ(o.timed.tell(), (Tags{4}));
  EXPECT_TRUE(o.timed.empty());
}

TEST(TimedOutput, WhatIsLateAtOnceIsNotTaken) {
  OutputBox o;
  EXPECT_EQ(o.timed_packet("x", 99, 7), Taken::late);
  EXPECT_EQ(o.timed_packet("x", 99), Taken::late);
  EXPECT_EQ(o.timed_packet("y", 100, 8), Taken::yes);
  EXPECT_EQ(o.out, "y");
  EXPECT_EQ(o.timed.tell(), (Tags{7}));
  EXPECT_TRUE(o.timed.is_needed());
}

TEST(TimedOutput, HasABound) {
  OutputBox o;
  for (std::size_t i = 0; i < TimedOutput::kPacketsMax; ++i)
    ASSERT_EQ(o.timed_packet("p", 1000, i + 1), Taken::yes);
  EXPECT_EQ(o.timed_packet("p", 1000, 77), Taken::no_room);
  EXPECT_EQ(o.timed.tell(), (Tags{77}));
  o.write(1);
  o.timed.kernel_has_all(1);
  o.timed.acknowledged(1);
  EXPECT_EQ(o.timed_packet("p", 1000, 78), Taken::yes);
}

// One that is not watched is kept too, until the peer has acknowledged it or it is too late.
TEST(TimedOutput, WhatIsWrittenAndNotAcknowledgedIsCutOffAtItsDeadline) {
  OutputBox o;
  o.timed_packet("abc", 200, 1);
  o.timed_packet("def", 300);
  o.write(6);
  o.timed.kernel_has_all(6);
  EXPECT_EQ(o.timed.look_at(), (base::Instant{200}));
  EXPECT_FALSE(o.timed.cut_off({200}, 0));
  const std::string saved = o.timed.save(0, 6);
  EXPECT_FALSE(o.timed.cut_off({301}, 6)) << "acknowledged";
  EXPECT_FALSE(o.timed.is_needed());
  TimedOutput next;  // in another process, whose socket has handed on nothing
  ASSERT_TRUE(next.go_on_from(saved, 0, 0, 0));
  EXPECT_EQ(next.undecided(), Tags{});
  EXPECT_TRUE(next.cut_off({201}, static_cast<std::uint64_t>(-4)));
  EXPECT_EQ(next.tell(), Tags{}) << "it may have arrived";
  EXPECT_EQ(next.tell_fates().size(), 0u);
  EXPECT_FALSE(next.is_needed());
}

// What is written behind it in one call need not be acknowledged in time.
TEST(TimedOutput, OnlyItsOwnBytesHoldAConnectionUp) {
  OutputBox o;
  o.timed_packet("abc", 200);
  o.plain("0123456789");
  o.write(13);
  o.timed.kernel_has_all(13);
  EXPECT_TRUE(o.timed.holds_up());
  o.timed.acknowledged(2);
  EXPECT_TRUE(o.timed.holds_up());
  o.timed.acknowledged(3);
  EXPECT_FALSE(o.timed.holds_up());
}

TEST(TimedOutput, WhatIsWrittenCountsForItsBoundUntilItIsAcknowledged) {
  OutputBox o;
  for (std::size_t i = 0; i < TimedOutput::kPacketsMax; ++i) {
    ASSERT_EQ(o.timed_packet("p", 1000, i + 1), Taken::yes);
    o.write(1);
    o.timed.kernel_has_all(i + 1);
  }
  EXPECT_TRUE(o.timed.are_many_written());
  EXPECT_EQ(o.timed_packet("p", 1000, 77), Taken::no_room);
  o.timed.acknowledged(2);
  EXPECT_EQ(o.timed_packet("p", 1000, 78), Taken::yes);
}

TEST(TimedOutput, EncryptedBytesAreOutOfReach) {
  OutputBox o;
  o.plain("ab");
  o.timed_packet("cd", 200, 1);
  o.timed_packet("ef", 200, 2);
  o.timed.begun(3);  // a record holds them, the socket none of it
  EXPECT_EQ(o.at_time(201), "abcd");
  EXPECT_EQ(o.timed.tell(), (Tags{2}));
}

TEST(TimedOutput, TellsEachEngineUntilOneHasTakenIt) {
  OutputBox o;
  for (const std::uint64_t tag : {5u, 6u, 7u}) o.timed_packet("x", 1, tag);
  EXPECT_EQ(o.timed.tell(), (Tags{5, 6, 7}));
  EXPECT_EQ(o.timed.tell(), Tags{});
  o.timed.taken(6, Fate::dropped);
  o.timed_packet("x", 1, 8);
  EXPECT_FALSE(o.timed.all_told());
  EXPECT_EQ(o.timed.tell(), (Tags{8}));
  o.timed.tell_again();
  EXPECT_EQ(o.timed.tell(), (Tags{5, 7, 8}));
  for (const std::uint64_t tag : {8u, 5u, 7u, 99u}) o.timed.taken(tag, Fate::dropped);
  EXPECT_TRUE(o.timed.all_told());
  EXPECT_FALSE(o.timed.is_needed());
}

TEST(TimedOutput, GoesOnInAnotherProcess) {
  OutputBox o;
  o.timed_packet("late", 99, 1);
  o.plain("ab");
  o.timed_packet("cd", 200, 2);
  o.plain("ef");
  o.write(1);
  const std::string saved = o.timed.save(60, 0);  // its clock is 60 ms ahead of the uptime
  OutputBox next;
  next.out = o.out.substr(o.at);
  ASSERT_TRUE(next.timed.go_on_from(saved, next.out.size(), 1060, 0));
  EXPECT_EQ(next.timed.tell(), (Tags{1}));
  EXPECT_EQ(next.at_time(1200), "bcdef");
  EXPECT_EQ(next.at_time(1201), "bef");
  EXPECT_EQ(next.timed.tell(), (Tags{2}));
  TimedOutput shorter;
  EXPECT_FALSE(shorter.go_on_from(saved, 2, 0, 0)) << "it does not lie within the output";
  for (std::size_t n = 0; n < saved.size(); ++n) {
    TimedOutput cut;
    EXPECT_FALSE(cut.go_on_from(saved.substr(0, n), 100, 0, 0)) << n;
  }
}

TEST(TimedOutput, APacketWithoutAByteIsMalformed) {
  for (const char size : {'\1', '\0'}) {  // no notices, one packet: gap, size, not_after, tag
    TimedOutput t;
    EXPECT_EQ(t.go_on_from(std::string({'\0', '\1', '\0', size, '\5', '\7'}), 10, 0, 0), size != 0);
  }
}

// -- watched packets

using ToldFates = std::vector<std::pair<std::uint64_t, Fate>>;

struct Watched : OutputBox {
  Taken packet(const std::string& bytes, std::uint64_t n, std::int64_t not_after = 1000) {
    const protocol::link::Deadline d{{not_after}, protocol::link::kCommandTag | n, true};
    const Taken t = timed.take(out.size() - at, bytes.size(), d, {now});
    if (t == Taken::yes) out += bytes;
    return t;
  }
  ToldFates fates() {
    ToldFates all;
    for (const auto& [tag, fate] : timed.tell_fates())
      all.emplace_back(tag & ~protocol::link::kCommandTag, fate);
    return all;
  }
  std::size_t undecided() const { return timed.undecided().size(); }
};

TEST(TimedOutput, AWatchedPacketIsWrittenWhenTheKernelHasItsLastByte) {
  Watched o;
  o.plain("ab");
  o.packet("cde", 1);
  o.plain("f");
  o.packet("ghi", 2);
  o.write(2);
  o.timed.kernel_has_all(0);
  EXPECT_EQ(o.fates(), ToldFates{});
  o.write(2);
  o.timed.kernel_has_all(0);
  EXPECT_EQ(o.fates(), ToldFates{}) << "a part of it";
  EXPECT_EQ(o.undecided(), 2u);
  o.write(1);
  EXPECT_EQ(o.fates(), ToldFates{}) << "framed, and it waits for the socket";
  o.timed.kernel_has_all(0);
  EXPECT_EQ(o.fates(), (ToldFates{{1, Fate::written}}));
  EXPECT_EQ(o.undecided(), 1u);
  o.timed.begun(3);  // encrypted
  EXPECT_EQ(o.at_time(2000), "fghi");
  o.write(4);
  o.timed.kernel_has_all(0);
  EXPECT_EQ(o.fates(), (ToldFates{{2, Fate::written}}));
  EXPECT_EQ(o.undecided(), 0u);
}

TEST(TimedOutput, AWatchedPacketThatIsTooLateIsDroppedLikeAnother) {
  Watched o;
  EXPECT_EQ(o.packet("x", 1, 99), Taken::late);
  o.packet("y", 2, 100);
  o.packet("z", 3, 200);
  EXPECT_EQ(o.at_time(101), "z");
  EXPECT_EQ(o.fates(), (ToldFates{{1, Fate::dropped}, {2, Fate::dropped}}));
  EXPECT_EQ(o.timed.tell(), Tags{});
}

TEST(TimedOutput, AWatchedPacketWhoseConnectionEndsIsDroppedOrCutOff) {
  Watched o;
  for (std::uint64_t n = 1; n <= 3; ++n) o.packet("abc", n);
  o.write(4);
  o.timed.kernel_has_all(0);
  o.timed.forget_packets();
  EXPECT_EQ(o.fates(), (ToldFates{{1, Fate::written}, {2, Fate::cut_off}, {3, Fate::dropped}}));
  EXPECT_EQ(o.undecided(), 0u);
  o.timed.refuse(protocol::link::kCommandTag | 4, Fate::dropped);
  EXPECT_EQ(o.fates(), (ToldFates{{4, Fate::dropped}}));
}

TEST(TimedOutput, WatchedPacketsHaveABound) {
  Watched o;
  for (std::uint64_t n = 0; n < TimedOutput::kWatchedMax; ++n)
    ASSERT_EQ(o.packet("p", n), Taken::yes);
  EXPECT_EQ(o.packet("p", 1000), Taken::no_room);
  EXPECT_EQ(o.timed_packet("p", 1000, 1), Taken::yes) << "others have their own";
  EXPECT_EQ(o.fates(), (ToldFates{{1000, Fate::dropped}}));
  o.write(1);
  o.timed.kernel_has_all(0);
  EXPECT_EQ(o.packet("p", 1001), Taken::yes);
  // What no engine takes: a fate of these is not kept, the packet has never come.
  for (std::uint64_t n = 0; n < 2 * TimedOutput::kFatesMax; ++n) o.packet("p", 2000 + n);
  o.timed.tell_again();
  EXPECT_EQ(o.fates().size(), TimedOutput::kFatesMax);
}

TEST(TimedOutput, FatesAreToldToEachEngineUntilOneHasTakenThem) {
  Watched o;
  o.packet("p", 1, 1);
  o.packet("p", 2, 1);
  EXPECT_EQ(o.fates().size(), 2u);
  EXPECT_EQ(o.fates().size(), 0u);
  o.timed.taken(protocol::link::kCommandTag | 1, Fate::written);  // not what was said
  o.timed.taken(protocol::link::kCommandTag | 2, Fate::dropped);
  o.timed.tell_again();
  EXPECT_EQ(o.fates(), (ToldFates{{1, Fate::dropped}}));
  EXPECT_TRUE(o.timed.is_needed());
  o.timed.taken(protocol::link::kCommandTag | 1, Fate::dropped);
  EXPECT_FALSE(o.timed.is_needed());
}

TEST(TimedOutput, WatchedPacketsGoOnInAnotherProcess) {
  Watched o;
  o.packet("late", 1, 99);
  o.packet("abc", 2, 5000);
  o.packet("def", 3, 200);
  o.packet("ghi", 4, 5000);
  o.write(1);
  const std::string saved = o.timed.save(60, 0);
  Watched next;
  next.out = o.out.substr(o.at);
  ASSERT_TRUE(next.timed.go_on_from(saved, next.out.size(), 1060, 0));
  EXPECT_EQ(next.undecided(), 3u);
  EXPECT_EQ(next.at_time(1201), "bcghi");
  next.write(2);
  next.timed.kernel_has_all(0);
  EXPECT_EQ(next.fates(), (ToldFates{{1, Fate::dropped}, {3, Fate::dropped}, {2, Fate::written}}));
  next.write(3);
  next.timed.kernel_has_all(0);
  EXPECT_EQ(next.fates(), (ToldFates{{4, Fate::written}}));
  std::size_t adopted = 0;
  for (std::size_t n = 0; n < saved.size(); ++n) {
    TimedOutput cut;
    adopted += cut.go_on_from(saved.substr(0, n), 100, 0, 0) ? 1u : 0u;
  }
  EXPECT_EQ(adopted, 1u) << "as a process of the release before writes it";
}

// Against a list of packets, by chance.
TEST(TimedOutput, AsAListOfPackets) {
  std::mt19937 random(7);
  const auto upto = [&random](unsigned n) {
    return std::uniform_int_distribution<>(0, static_cast<int>(n))(random);
  };
  for (int round = 0; round < 200; ++round) {
    struct P {
      std::string bytes;
      std::int64_t not_after;
    };
    OutputBox o;
    std::vector<P> model;  // not begun
    std::string expected, written;
    for (int i = 0; i < 60; ++i) {
      const std::string bytes(static_cast<std::size_t>(1 + upto(9)),
                              static_cast<char>('a' + i % 26));
      if (upto(1) == 0) {
        o.plain(bytes);
        model.push_back({bytes, INT64_MAX});
      } else {
        const std::int64_t not_after = o.now + upto(20) - 3;
        const bool taken =
            o.timed_packet(bytes, not_after, static_cast<std::uint64_t>(i + 1)) == Taken::yes;
        EXPECT_EQ(taken, not_after >= o.now);
        if (taken) model.push_back({bytes, not_after});
      }
      const std::int64_t t = o.now + upto(4);
      std::erase_if(model, [t](const P& p) { return p.not_after < t; });
      o.at_time(t);
      std::size_t n = static_cast<std::size_t>(upto(12));
      written += o.write(n);
      while (!model.empty() && expected.size() < written.size()) {
        expected += model.front().bytes;
        model.erase(model.begin());
      }
    }
    while (!model.empty()) {
      expected += model.front().bytes;
      model.erase(model.begin());
    }
    written += o.write(SIZE_MAX);
    EXPECT_EQ(written, expected);
  }
}

}  // namespace
}  // namespace berth::gateway::edge
