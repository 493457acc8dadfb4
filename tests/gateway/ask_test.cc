// Questions of an edge to engines: over a link with both its ends, and by the partition of a key.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/edge/edge_shard.h"
#include "gateway/engine/answerer.h"
#include "gateway/link/asker.h"
#include "gateway/link/edge_link.h"
#include "gateway/link/engine_link.h"

namespace berth::gateway::link {
namespace {

using namespace protocol::link;

constexpr auto kSilent = static_cast<AskKind>(200);  // these engines never answer it
constexpr auto kHuge = static_cast<AskKind>(201);
constexpr std::uint32_t kLong_ms = 600'000;

// An engine with its end of a link, which serves as soon as the edge has attached.
class Engine final : public EnginePort {
 public:
  Engine(boost::asio::io_context& io, int fd) {
    answerer.use(kSilent, [this](Question, Answered a) { kept.push_back(std::move(a)); });
    answerer.use(kHuge, [](Question, const Answered& a) {
      a({AskError::none, std::string(kAnswerMax + 1, 'x')});
    });
    EngineLink::Events events;
    events.hello = [](const Hello&) {};
    events.attached_all = [this] { link->go(); };
    events.lost = [this] { lost = true; };
    link = std::make_unique<EngineLink>(io, fd, 0, events);
    link->use_engine(*this);
    link->ready();
  }
  bool serving() const override { return true; }
  bool survives_engine() const override { return false; }
  void attach(const Attach&) override {}
  void attached_all() override {}
  std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView b) override {
    return b.size();
  }
  void closed(base::ConnId, CloseReason) override {}
  void credit(base::ConnId, std::uint64_t) override {}
  void turn_end() override { link->flush(); }
  void accepted(std::uint32_t, std::uint64_t) override {}
  void ask(Question q, Answered answered) override {
    ++asked;
    answerer.ask(std::move(q), std::move(answered));
  }
  engine::Answerer answerer;
  std::unique_ptr<EngineLink> link;
  std::vector<Answered> kept;
  int asked = 0;
  bool lost = false;
};

struct Ask : ::testing::Test {
  Ask() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    edge.use_engine(link);
    engine = std::make_unique<Engine>(io, fds[1]);
    link.open(fds[0], {.edge_id = 1, .output_cap = 1 << 20});
    EXPECT_TRUE(run_until([this] { return link.serving(); }));
  }
  ~Ask() override { edge.stop(); }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < end)
      io.run_one_for(std::chrono::milliseconds(5));
    return done();
  }
  // Where the answer will be.
  std::shared_ptr<std::optional<Answer>> ask(AskKind kind, std::string bytes,
                                             std::uint32_t limit_ms = kLong_ms) {
    auto answer = std::make_shared<std::optional<Answer>>();
    link.ask({kind, limit_ms, std::move(bytes)}, [answer](Answer a) {
      EXPECT_FALSE(answer->has_value()) << "answered twice";
      *answer = std::move(a);
    });
    return answer;
  }
  Answer await(const std::shared_ptr<std::optional<Answer>>& answer) {
    EXPECT_TRUE(run_until([&] { return answer->has_value(); }));
    return answer->value_or(Answer{AskError::failed, "no answer"});
  }

  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  edge::EdgeShard edge{io, {}, probe};
  EdgeLink link{io,
                edge,
                {.ready =
                     [this] {
                       link.set_serving(true);
                       link.attached_all();
                     },
                 .lost = [this] { ++losses; }}};
  std::unique_ptr<Engine> engine;
  int losses = 0;
};

TEST_F(Ask, AnEngineAnswers) {
  const auto one = ask(AskKind::echo, std::string("to\0day", 6));
  const auto two = ask(AskKind::echo, "");
  EXPECT_EQ(await(two).error, AskError::none);
  EXPECT_EQ(await(one).error, AskError::none);
  EXPECT_EQ((*one)->bytes, std::string("to\0day", 6));
  EXPECT_EQ((*two)->bytes, "");
}

TEST_F(Ask, AnUnknownKindIsAnError) {
  EXPECT_EQ(await(ask(static_cast<AskKind>(99), "x")).error, AskError::unknown_kind);
}

TEST_F(Ask, QuestionsAndAnswersHaveASize) {
  EXPECT_EQ(await(ask(AskKind::echo, std::string(kQuestionMax, 'x'))).bytes.size(), kQuestionMax);
  const auto large = ask(AskKind::echo, std::string(kQuestionMax + 1, 'x'));
  ASSERT_TRUE(large->has_value()) << "answered at once: it is not sent";
  EXPECT_EQ((*large)->error, AskError::too_large);
  EXPECT_EQ(engine->asked, 1);
  EXPECT_EQ(await(ask(kHuge, "")).error, AskError::too_large);
}

TEST_F(Ask, SoManyWaitAndOthersDoNot) {
  std::vector<std::shared_ptr<std::optional<Answer>>> all;
  for (std::size_t i = 0; i < kQuestionsMax; ++i) all.push_back(ask(kSilent, "x"));
  EXPECT_EQ(await(ask(AskKind::echo, "x")).error, AskError::too_many);
  EXPECT_TRUE(run_until([&] { return engine->kept.size() == kQuestionsMax; }));
  for (const Answered& a : engine->kept) a({AskError::none, "y"});
  for (const auto& a : all) EXPECT_EQ(await(a).bytes, "y");
  EXPECT_EQ(await(ask(AskKind::echo, "z")).bytes, "z");
}

TEST_F(Ask, TheTimeLimitIsAnAnswer) {
  const auto never = ask(kSilent, "x");
  const auto late = ask(kSilent, "x", 1);
  EXPECT_EQ(await(late).error, AskError::too_late);
  EXPECT_FALSE(never->has_value());
  EXPECT_TRUE(run_until([&] { return engine->kept.size() == 2; }));
  engine->kept[1]({AskError::none, "nobody waits"});
  engine->kept[0]({AskError::none, "in time"});
  EXPECT_EQ(await(never).bytes, "in time");
  EXPECT_EQ((*late)->error, AskError::too_late);
}

TEST_F(Ask, EachHasATimeLimitOfItsOwn) {
  const auto second = ask(kSilent, "x", 300);
  const auto first = ask(kSilent, "x", 1);
  EXPECT_EQ(await(first).error, AskError::too_late);
  EXPECT_EQ(await(second).error, AskError::too_late);
}

TEST_F(Ask, TheEndOfTheLinkAnswersAtOnce) {
  const auto waits = ask(kSilent, "x");
  EXPECT_TRUE(run_until([&] { return engine->kept.size() == 1; }));
  engine->link.reset();  // the engine dies
  EXPECT_EQ(await(waits).error, AskError::link_lost);
  EXPECT_EQ(losses, 1);
  engine->kept[0]({AskError::none, "too late"});  // its link has gone: nothing happens
  EXPECT_EQ(await(ask(AskKind::echo, "x")).error, AskError::not_serving);
}

TEST_F(Ask, AClosedLinkAnswersAtOnce) {
  const auto waits = ask(kSilent, "x");
  link.close();
  EXPECT_EQ(await(waits).error, AskError::link_lost);
}

// -- the engine's end alone: what an edge may say that keeps no rule

struct Raw : ::testing::Test {
  Raw() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    far = fds[0];
    engine = std::make_unique<Engine>(io, fds[1]);
  }
  ~Raw() override { ::close(far); }
  void say(FrameType type, const std::string& payload) const {
    std::string frame;
    const std::size_t at = begin_frame(frame, type);
    frame += payload;
    end_frame(frame, at);
    ASSERT_EQ(::send(far, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  void ask(std::uint64_t number, AskKind kind, const std::string& bytes) const {
    std::string payload;
    put_ask(payload, number, {kind, kLong_ms, bytes});
    say(FrameType::ask, payload);
  }
  void serve() const {
    std::string turn;
    put_attached_all(turn);
    say(FrameType::turn, turn);
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < end) {
      io.run_one_for(std::chrono::milliseconds(5));
      char bytes[4096];
      for (ssize_t n; (n = ::recv(far, bytes, sizeof bytes, 0)) > 0;)
        heard.append(bytes, static_cast<std::size_t>(n));
      std::size_t at = 0;
      for (FrameView f; next_frame(std::string_view(heard).substr(at), f) == FrameResult::complete;
           at += f.size) {
        std::uint64_t number = 0;
        AskError error{};
        std::string_view text;
        if (f.type == FrameType::answer && get_answer(f.payload, number, error, text))
          answers.emplace_back(number, error);
      }
      heard.erase(0, at);
    }
    return done();
  }
  boost::asio::io_context io{1};
  int far = -1;
  std::unique_ptr<Engine> engine;
  std::string heard;
  std::vector<std::pair<std::uint64_t, AskError>> answers;
};
using Answers = std::vector<std::pair<std::uint64_t, AskError>>;

TEST_F(Raw, AnEngineThatHasNotAllRoutesOrIsAboutToEndDoesNotServe) {
  ask(7, AskKind::echo, "x");
  EXPECT_TRUE(run_until([&] { return answers.size() == 1; }));
  serve();
  ask(8, AskKind::echo, "x");
  EXPECT_TRUE(run_until([&] { return answers.size() == 2; }));
  engine->link->stop_input();
  ask(9, AskKind::echo, "x");
  EXPECT_TRUE(run_until([&] { return answers.size() == 3; }));
  EXPECT_EQ(answers,
            (Answers{{7, AskError::not_serving}, {8, AskError::none}, {9, AskError::not_serving}}));
  EXPECT_EQ(engine->asked, 1);
}

TEST_F(Raw, TheEnginesOwnLimitsHold) {
  serve();
  ask(1, AskKind::echo, std::string(kQuestionMax + 1, 'x'));
  EXPECT_TRUE(run_until([&] { return answers.size() == 1; }));
  EXPECT_EQ(answers.back(), std::pair(std::uint64_t{1}, AskError::too_large));
  for (std::size_t i = 0; i < kQuestionsMax; ++i) {  // the socket has room for some hundred
    ask(100 + i, kSilent, "");
    if (i % 64 == 63) {
      EXPECT_TRUE(run_until([&] { return engine->kept.size() == i + 1; }));
    }
  }
  ask(2, AskKind::echo, "");
  EXPECT_TRUE(run_until([&] { return answers.size() == 2; }));
  EXPECT_EQ(answers.back(), std::pair(std::uint64_t{2}, AskError::too_many));
  engine->kept[0]({AskError::none, {}});
  ask(3, AskKind::echo, "");
  EXPECT_TRUE(run_until([&] { return answers.size() == 4; }));
  EXPECT_EQ(answers.back(), std::pair(std::uint64_t{3}, AskError::none));
}

// The engine has ended the link, and its socket is still there.
TEST_F(Raw, AnAnswerComesToNobodyWhenTheLinkIsLost) {
  serve();
  ask(1, kSilent, "");
  EXPECT_TRUE(run_until([&] { return engine->kept.size() == 1; }));
  say(FrameType::ask, "\xff");
  EXPECT_TRUE(run_until([&] { return engine->lost; }));
  engine->kept[0]({AskError::none, "late"});
  int rounds = 0;
  run_until([&] { return ++rounds > 3; });
  EXPECT_EQ(answers, Answers{});
}

TEST_F(Raw, AMalformedQuestionEndsTheLink) {
  say(FrameType::ask, "\xff");
  EXPECT_TRUE(run_until([&] { return engine->lost; }));
}

// An engine says that it is ready and is dead before the edge has read it.
TEST(EdgeLink, ADeadEngineDoesNotServe) {
  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  edge::EdgeShard edge{io, {}, probe};
  std::unique_ptr<EdgeLink> link;
  link = std::make_unique<EdgeLink>(io, edge,
                                    EdgeLink::Events{.ready =
                                                         [&] {  // as EdgeShards::make_link
                                                           link->set_serving(true);
                                                           edge.engine_ready();
                                                         },
                                                     .lost = [] {}});
  edge.use_engine(*link);
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  link->open(fds[0], {.edge_id = 1, .output_cap = 1 << 20});
  std::string frame;
  const std::size_t at = begin_frame(frame, FrameType::ready);
  base::put_varint(frame, kVersion);
  end_frame(frame, at);
  ASSERT_EQ(::send(fds[1], frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  ::close(fds[1]);
  link->close();  // as EdgeShards::engine_gone
  edge.engine_gone();
  EXPECT_FALSE(link->serving());
  std::optional<Answer> answer;
  link->ask({AskKind::echo, 600'000, "x"}, [&](Answer a) { answer = std::move(a); });
  EXPECT_TRUE(answer.has_value()) << "the question waits for a dead engine";
  edge.stop();
}

TEST(EdgeLink, AnEngineOfTheReleaseBeforeIsNotAsked) {
  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  edge::EdgeShard edge{io, {}, probe};
  bool ready = false;
  EdgeLink link(io, edge, {.ready = [&] { ready = true; }, .lost = [] {}});
  edge.use_engine(link);
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  link.open(fds[0], {.edge_id = 1, .output_cap = 1 << 20});
  link.set_serving(true);
  std::string frame;
  const std::size_t at = begin_frame(frame, FrameType::ready);
  base::put_varint(frame, kQuestionsSince - 1);
  end_frame(frame, at);
  ASSERT_EQ(::send(fds[1], frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!ready && std::chrono::steady_clock::now() < end)
    io.run_one_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(ready);
  std::optional<Answer> answer;
  link.ask({AskKind::echo, kLong_ms, "x"}, [&](Answer a) { answer = std::move(a); });
  ASSERT_TRUE(answer.has_value()) << "it would wait for an engine that ignores it";
  EXPECT_EQ(answer->error, AskError::old_engine);
  link.close();
  ::close(fds[1]);
  edge.stop();
}

// -- by partition

struct Named : EnginePort {
  explicit Named(std::string n) : name(std::move(n)) {}
  bool serving() const override { return true; }
  bool survives_engine() const override { return true; }
  void attach(const Attach&) override {}
  void attached_all() override {}
  std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView) override {
    return 0;
  }
  void closed(base::ConnId, CloseReason) override {}
  void credit(base::ConnId, std::uint64_t) override {}
  void turn_end() override {}
  void accepted(std::uint32_t, std::uint64_t) override {}
  void ask(Question q, Answered answered) override {
    waiting.push_back([n = name + " " + q.bytes, answered] { answered({AskError::none, n}); });
    if (answers_at_once) waiting.back()();
  }
  std::string name;
  bool answers_at_once = false;
  std::vector<std::function<void()>> waiting;
};

TEST(Asker, AsksThePartitionThatServesAKey) {
  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  edge::EdgeOptions options;
  options.partitions = 3;
  edge::EdgeShard edge(io, options, probe);
  Named zero("zero"), two("two");  // nothing is known of partition 1
  edge.use_engine(zero, 0);
  edge.use_engine(two, 2);
  const Asker asker(3, [&edge](std::uint32_t p) { return edge.engine_of(p); });
  for (int i = 0; i < 50; ++i) {
    const std::string key = "client-" + std::to_string(i);
    std::optional<Answer> answer;
    asker.ask(key, {AskKind::echo, kLong_ms, "q"}, [&](Answer a) { answer = std::move(a); });
    for (Named* n : {&zero, &two}) {
      for (const auto& f : std::exchange(n->waiting, {})) f();
    }
    ASSERT_TRUE(answer.has_value());
    const std::uint32_t p = partition_of(key, 3);
    EXPECT_EQ(answer->error, p == 1 ? AskError::not_serving : AskError::none);
    EXPECT_EQ(answer->bytes, p == 0 ? "zero q" : p == 2 ? "two q" : "");
  }
  EXPECT_EQ(edge.engine_of(3), nullptr);
}

TEST(Asker, AsksAllAndAnswersOnceWithAll) {
  Named zero("zero"), one("one");
  const Asker asker(3, [&](std::uint32_t p) -> EnginePort* {
    return p == 0 ? &zero : p == 1 ? &one : nullptr;
  });
  std::vector<std::vector<Answer>> said;
  asker.ask_all({AskKind::echo, kLong_ms, "q"},
                [&](std::vector<Answer> all) { said.push_back(std::move(all)); });
  one.waiting.at(0)();
  EXPECT_TRUE(said.empty());
  zero.waiting.at(0)();
  ASSERT_EQ(said.size(), 1u);
  ASSERT_EQ(said[0].size(), 3u);
  EXPECT_EQ(said[0][0].bytes, "zero q");
  EXPECT_EQ(said[0][1].bytes, "one q");
  EXPECT_EQ(said[0][2].error, AskError::not_serving);
}

// An Asker whose engine ends and is followed by another one. Each wait ends after 30 s.
struct Succession {
  // Ends each question that it is asked.
  struct Dying final : Named {
    using Named::Named;
    void ask(Question q, Answered answered) override {
      ++asked;
      kinds.push_back(q.kind);
      if (then) then();
      answered({AskError::link_lost, {}});
    }
    std::function<void()> then;
    std::vector<AskKind> kinds;
    int asked = 0;
  };
  Answer ask(Question q) {
    std::optional<Answer> answer;
    asker->ask_partition(0, std::move(q), [&](Answer a) { answer = std::move(a); });
    run_until([&] { return answer.has_value(); });
    return answer.value_or(Answer{AskError::failed, "nothing"});
  }
  template <class Condition>
  void run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    io.restart();
    while (!condition() && std::chrono::steady_clock::now() < end)
      io.run_one_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(condition());
  }
  boost::asio::io_context io;
  EnginePort* engine = nullptr;
  metrics::EdgeProbe probe;
  std::unique_ptr<Asker> asker = std::make_unique<Asker>(
      1, [this](std::uint32_t) { return engine; }, &io, &probe);
};

TEST(Asker, AQuestionWaitsForTheEngineThatFollows) {
  Succession s;
  Named second("second");
  Succession::Dying first("first");
  first.then = [&] { s.engine = nullptr; };
  s.engine = &first;
  boost::asio::steady_timer comes(s.io, std::chrono::milliseconds(50));
  comes.async_wait([&](auto) {
    s.engine = &second;
    second.answers_at_once = true;
  });
  EXPECT_EQ(s.ask({AskKind::echo, kLong_ms, "q"}).bytes, "second q");
  EXPECT_EQ(first.asked, 1);
  EXPECT_EQ(s.probe.questions_waited, 1u);
  EXPECT_EQ(s.probe.questions_given_up, 0u);
  EXPECT_EQ(s.probe.questions_waiting, 0u);
}

TEST(Asker, ANonceIsNotAskedForAgainOfAnotherEngine) {
  Succession s;
  Succession::Dying first("first");
  s.engine = &first;
  EXPECT_EQ(s.ask({AskKind::take_nonce, kLong_ms, "q"}).error, AskError::link_lost);
  EXPECT_EQ(first.asked, 1);
}

TEST(Asker, WhatAnEngineMayHaveDoneIsNotSaidToBeUndone) {
  Succession s;
  Succession::Dying first("first");
  first.then = [&] { s.engine = nullptr; };
  s.engine = &first;
  EXPECT_EQ(s.ask({AskKind::echo, 300, "q"}).error, AskError::link_lost) << "and no other came";
}

TEST(Asker, NoQuestionWaitsBeyondItsLimit) {
  Succession s;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(s.ask({AskKind::echo, 300, "q"}).error, AskError::not_serving);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Asker, AsManyAsMayWaitDoAndTheOthersAreToldAtOnce) {
  Succession s;
  int waiting = 0;
  for (int i = 0; i < Asker::kHeldMax; ++i)
    s.asker->ask_partition(0, {AskKind::echo, kLong_ms, "q"}, [&](const Answer&) { ++waiting; });
  EXPECT_EQ(waiting, 0);
  EXPECT_EQ(s.probe.questions_waiting, static_cast<std::uint64_t>(Asker::kHeldMax));
  EXPECT_EQ(s.ask({AskKind::echo, kLong_ms, "q"}).error, AskError::not_serving);
  EXPECT_EQ(s.probe.questions_given_up, 1u);
  s.asker.reset();  // none of the others is answered any more
  s.io.restart();
  s.io.run();  // until no timer is left
  EXPECT_EQ(waiting, 0);
}

TEST(Asker, SaysWhenAnEngineServes) {
  Succession s;
  Named second("second");
  std::optional<bool> serves;
  s.asker->when_serving(0, [&](bool yes) { serves = yes; });
  EXPECT_FALSE(serves.has_value());
  s.engine = &second;
  s.run_until([&] { return serves.has_value(); });
  EXPECT_TRUE(serves.value_or(false));
  std::optional<bool> at_once;
  s.asker->when_serving(0, [&](bool yes) { at_once = yes; });
  EXPECT_TRUE(at_once.value_or(false));
}

}  // namespace
}  // namespace berth::gateway::link
