#include "gateway/rest/passages_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/passages.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

struct Merged {
  pb::PassageRecord first;  // its name and kind; its times grow
  std::set<std::uint32_t> partitions;
  std::set<std::uint64_t> edges;
  std::uint64_t held = 0, dropped = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;  // milliseconds, connections
  std::optional<std::uint64_t> late;

  bool is_same(const pb::PassageRecord& r) const {
    return r.process() != 0 && r.process() == first.process() && r.of() == first.of() &&
           r.begin_ms() <= first.end_ms() + platform::Passages::kSameWithin_ms &&
           first.begin_ms() <= r.end_ms() + platform::Passages::kSameWithin_ms;
  }
  void take(std::uint32_t partition, const pb::PassageRecord& r) {
    if (platform::is_worse(r.what(), first.what())) first.set_what(r.what());
    first.set_begin_ms(std::min(first.begin_ms(), r.begin_ms()));
    first.set_end_ms(std::max(first.end_ms(), r.end_ms()));
    partitions.insert(partition);
    for (const pb::PassagePart& p : r.parts()) {
      edges.insert(p.edge());
      held += p.held();
      dropped += p.dropped();
      for (const pb::PassageGap& g : p.gaps()) gaps.emplace_back(g.ms(), g.connections());
      // Each edge has counted those of the whole gateway.
      if (p.has_late()) late = std::max(late.value_or(0), p.late());
    }
  }
  // So long at most was the gap of 99 of 100 connections.
  std::uint64_t gap_p99() {
    std::sort(gaps.begin(), gaps.end());
    std::uint64_t all = 0, so_far = 0;
    for (const auto& [ms, connections] : gaps) all += connections;
    for (const auto& [ms, connections] : gaps) {
      so_far += connections;
      if (so_far * 100 >= all * 99 && all != 0) return ms;
    }
    return gaps.empty() ? 0 : gaps.back().first;
  }
  json::object as_json() {
    const std::uint64_t p99 = gap_p99();
    json::object o{{"begin", text_of_time(first.begin_ms())},
                   {"end", text_of_time(first.end_ms())},
                   {"what", platform::name_of_passage(first.what())},
                   {"of", first.of()},
                   {"partitions", json::array(partitions.begin(), partitions.end())},
                   {"edges", edges.size()},
                   {"held", held},
                   {"dropped", dropped},
                   {"gap_p99_ms", p99},
                   {"gap_max_ms", gaps.empty() ? 0 : gaps.back().first}};
    if (late) o["late_commands"] = *late;
    return o;
  }
};

}  // namespace

json::array merged_passages(std::vector<PassageOf> all) {
  std::sort(all.begin(), all.end(), [](const PassageOf& a, const PassageOf& b) {
    return a.record.end_ms() > b.record.end_ms();
  });
  std::vector<Merged> out;
  for (const PassageOf& p : all) {
    auto it = std::find_if(out.begin(), out.end(), [&p](const Merged& m) {
      return m.partitions.count(p.partition) == 0 && m.is_same(p.record);
    });
    if (it == out.end()) {
      out.emplace_back();
      it = std::prev(out.end());
      it->first = p.record;
    }
    it->take(p.partition, p.record);
  }
  json::array items;
  for (Merged& m : out) items.push_back(m.as_json());
  return items;
}

void PassagesApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("GET /api/v1/passages",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.body_max = 1024});
}

void PassagesApi::list(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {{"from", {}}}); !fault.empty())
    return done.answer(invalid(fault));
  std::int64_t from_ms = 0;
  if (const std::string fault = read_time(r, "from", from_ms); !fault.empty())
    return done.answer(invalid(fault));
  pb::PassagesQuestion q;
  q.set_from_ms(from_ms);
  asker_.ask_all(
      {AskKind::passages, kWithin_ms, q.SerializeAsString()},
      [done](const std::vector<link::Answer>& answers) {
        std::vector<PassageOf> all;
        std::size_t missing = 0;
        for (std::size_t p = 0; p < answers.size(); ++p) {
          pb::PassagesAnswer said;
          if (answers[p].error != AskError::none || !said.ParseFromString(answers[p].bytes)) {
            ++missing;
            continue;
          }
          for (pb::PassageRecord& one : *said.mutable_items())
            all.push_back({static_cast<std::uint32_t>(p), std::move(one)});
        }
        if (missing == answers.size()) return done.answer(unanswered(answers.front().error));
        done.answer(as_json(
            {{"items", merged_passages(std::move(all))}, {"partitions_without_answer", missing}}));
      });
}

}  // namespace berth::gateway::rest
