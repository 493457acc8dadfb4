#include "gateway/node/passage_teller.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/random_id.h"
#include "platform/passages.h"
#include "platform/passages.pb.h"

namespace berth::gateway {

namespace pb = platform::pb;
using edge::Passages;
using platform::PassageKind;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::chrono::milliseconds kLook{250};
constexpr std::uint32_t kStored_ms = 2000;
constexpr std::int64_t kAgain_ns = 1'000'000'000;
constexpr std::int64_t kMs = 1'000'000;

PassageKind kind_of(const Passages::Passage& p) {
  if (p.what == Passages::What::edge) return PassageKind::edge;
  if (p.what == Passages::What::edge_drain) return PassageKind::edge_drain;
  if (p.what == Passages::What::link) return PassageKind::link;
  switch (p.how) {
    case edge::EngineEnd::planned:
      return PassageKind::planned;
    case edge::EngineEnd::proven:
      return PassageKind::poison;
    case edge::EngineEnd::unproven:
      return PassageKind::killed;
    case edge::EngineEnd::fault:
      return PassageKind::fault;
  }
  return PassageKind::planned;
}

}  // namespace

PassageTeller::PassageTeller(boost::asio::io_context& io, edge::Passages& passages,
                             const link::Asker& asker, std::string edge)
    : timer_(io),
      passages_(passages),
      asker_(asker),
      edge_("edge " + std::move(edge)),
      process_(base::random_id()) {}

void PassageTeller::arm() {
  timer_.expires_after(kLook);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    look();
    arm();
  });
}

void PassageTeller::look() {
  const std::int64_t now = base::monotonic_ns();
  for (Passages::Passage& p : passages_.take(now)) {
    if (all_.size() == kMost) all_.pop_front();
    all_.push_back(std::make_shared<Telling>(Telling{.p = std::move(p), .number = next_++}));
  }
  all_.remove_if([now](const TellingPtr& t) {
    const bool given_up = now - t->p.ended_ns > kGivenUp_ns;
    if (given_up && !t->stored)
      BERTH_LOG(warn, "passage not stored partition={} held={} dropped={}", t->p.partition,
                t->p.held, t->p.dropped);
    return t->done || given_up;
  });
  for (const TellingPtr& t : all_) {
    if (t->asking || now < t->next_ns) continue;
    if (!t->stored || t->late) {
      tell(t);
    } else if (now - t->p.ended_ns >= kAfter_ns + kLook.count() * kMs) {
      ask_late(t);
    }
  }
}

std::string PassageTeller::question_of(const Telling& t) const {
  const bool own = t.p.what == Passages::What::edge || t.p.what == Passages::What::edge_drain;
  pb::PassageTold q;
  q.set_what(static_cast<std::uint32_t>(kind_of(t.p)));
  q.set_of((own ? edge_ : t.p.of.text).substr(0, platform::Passages::kTextMax));
  q.set_process(own ? process_ : t.p.of.process);
  q.set_ended_ago_ms((base::monotonic_ns() - t.p.ended_ns) / kMs);
  q.set_lasted_ms(static_cast<std::int64_t>(t.p.gap_ms));
  pb::PassagePart& part = *q.mutable_part();
  part.set_edge(process_);
  part.set_number(t.number);
  part.set_held(t.p.held);
  part.set_dropped(t.p.dropped);
  for (const auto& [ms, connections] : t.p.gaps) {
    if (part.gaps_size() == platform::Passages::kGapsMax) break;
    pb::PassageGap& g = *part.add_gaps();
    g.set_ms(ms);
    g.set_connections(connections);
  }
  if (t.late) part.set_late(*t.late);
  return q.SerializeAsString();
}

void PassageTeller::tell(const TellingPtr& t) {
  t->asking = true;
  asker_.ask_partition(t->p.partition, {AskKind::tell_passage, kStored_ms, question_of(*t)},
                       [t, alive = std::weak_ptr<bool>(alive_)](const link::Answer& a) {
                         if (alive.expired()) return;
                         t->asking = false;
                         if (a.error != AskError::none)
                           return (void)(t->next_ns = base::monotonic_ns() + kAgain_ns);
                         t->stored = true;
                         t->done = t->late.has_value();
                       });
}

// Of all partitions: a command for a connection of one may be kept by another.
void PassageTeller::ask_late(const TellingPtr& t) {
  const std::int64_t ago_ms = (base::monotonic_ns() - t->p.ended_ns) / kMs;
  pb::LateQuestion q;
  q.set_from_ago_ms(ago_ms + static_cast<std::int64_t>(t->p.gap_ms));
  q.set_to_ago_ms(ago_ms - kAfter_ns / kMs);
  t->asking = true;
  asker_.ask_all({AskKind::late_commands, kStored_ms, q.SerializeAsString()},
                 [t, alive = std::weak_ptr<bool>(alive_)](const std::vector<link::Answer>& all) {
                   if (alive.expired()) return;
                   t->asking = false;
                   std::uint64_t commands = 0;
                   for (const link::Answer& a : all) {
                     pb::LateAnswer said;
                     if (a.error != AskError::none || !said.ParseFromString(a.bytes))
                       return (void)(t->next_ns = base::monotonic_ns() + kAgain_ns);
                     commands += said.commands();
                   }
                   t->late = commands;
                 });
}

}  // namespace berth::gateway
