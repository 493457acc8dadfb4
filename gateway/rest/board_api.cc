#include "gateway/rest/board_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "base/wall_clock.h"
#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/presence.pb.h"

namespace berth::gateway::rest {

namespace asio = boost::asio;
namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::chrono::milliseconds kBoardEvery{1000};
constexpr std::chrono::milliseconds kBoardSoon{20};  // while events wait for their client
constexpr std::size_t kBoardHeld = 64 * 1024;        // bytes that it has not read: no more is sent
constexpr std::size_t kEventBytes = 16 * 1024;       // about

// Whose sites; an administrator may see all. A refusal, or nothing.
std::optional<admin::Response> read_question(const Request& r, pb::BoardQuestion& q) {
  if (const std::string fault = admin::fault_of(r, {{"tenant", {}}, {"site", {}}}); !fault.empty())
    return invalid(fault);
  q.set_tenant(rest::tenant_of(r));
  const std::string site = r.parameter("site");
  if (!site.empty() && q.tenant().empty()) return invalid("site: of which tenant");
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, q.tenant(), site)) return no;
  add_sites(r, q);
  return std::nullopt;
}

}  // namespace

struct BoardApi::Reading {
  pb::BoardQuestion base;
  BoardSum sum;
  std::vector<AskError> errors;  // by partition, of the last question

  std::int64_t unanswered() const {
    return std::count_if(errors.begin(), errors.end(),
                         [](AskError e) { return e != AskError::none; });
  }
};

struct BoardApi::Stream {
  admin::EventStream events;
  ReadingPtr reading;
  bool asking = true;
  std::int64_t unanswered = -1;                  // as told last
  std::deque<std::string> waiting;               // events that the client has no room for yet
  std::chrono::steady_clock::time_point next{};  // to be asked for what has changed

  void say() {
    BoardSum::Changes c = reading->sum.changes();
    const std::int64_t now = reading->unanswered();
    if (c.sites.empty() && !c.whole && now == unanswered) {
      events.send("alive", "{}", {});
      return;
    }
    unanswered = now;
    std::string sites;
    bool whole = c.whole;
    const auto event = [&](bool more) {
      waiting.push_back(
          "{\"at\":\"" + text_of_time(base::wall_time().ms) +
          "\",\"whole\":" + (whole ? "true" : "false") + ",\"more\":" + (more ? "true" : "false") +
          ",\"partitions_without_answer\":" + std::to_string(now) + ",\"items\":[" + sites + "]}");
      sites.clear();
      whole = false;
    };
    for (std::size_t i = 0; i < c.sites.size(); ++i) {
      if (!sites.empty()) sites += ',';
      sites += json::serialize(c.sites[i]);
      if (sites.size() >= kEventBytes && i + 1 < c.sites.size()) event(true);
    }
    event(false);
    send();
  }
  // True: nothing waits.
  bool send() {
    while (!waiting.empty() && events.held() < kBoardHeld) {
      const std::string e = std::move(waiting.front());
      waiting.pop_front();
      if (!events.send("board", e, {})) return false;
    }
    return waiting.empty();
  }
};

void BoardApi::add_to(admin::HttpServer& http) {
  timer_ = std::make_unique<asio::steady_timer>(http.home().io());
  const admin::RouteOptions options{.who = admin::For::accounts, .body_max = 1024};
  http.route_waiting(
      "GET /api/v1/board", [this](const Request& r, const Responder& d) { list(r, d); }, options);
  http.route_stream(
      "GET /api/v1/board/stream",
      [this](const Request& r, const admin::EventStream& e) { open(r, e); }, options);
  http.route_waiting(
      "GET /api/v1/tenants/{tenant}/devices/{device}/twin",
      [this](const Request& r, const Responder& d) { twin(r, d); }, options);
}

void BoardApi::read_partition(const ReadingPtr& reading, std::uint32_t partition,
                              const std::function<void()>& done) const {
  const pb::BoardQuestion q = reading->sum.question(partition, reading->base);
  asker_.ask_partition(
      partition, {AskKind::board, kWithin_ms, q.SerializeAsString()},
      [this, alive = std::weak_ptr<bool>(alive_), reading, partition, done](const link::Answer& a) {
        if (alive.expired()) return;
        pb::BoardAnswer said;
        const bool good = a.error == AskError::none && said.ParseFromString(a.bytes);
        reading->errors[partition] = good                        ? AskError::none
                                     : a.error == AskError::none ? AskError::failed
                                                                 : a.error;
        const bool more = good && reading->sum.take(partition, std::move(said));
        more ? read_partition(reading, partition, done) : done();
      });
}

void BoardApi::read(const ReadingPtr& reading, std::function<void()> then) const {
  reading->errors.resize(partitions_);
  const auto missing = std::make_shared<std::uint32_t>(partitions_);
  const std::function<void()> one = [missing, then = std::move(then)] {
    if (--*missing == 0) then();
  };
  for (std::uint32_t p = 0; p < partitions_; ++p) read_partition(reading, p, one);
}

void BoardApi::list(const Request& r, const Responder& done) const {
  const auto reading = std::make_shared<Reading>(Reading{{}, BoardSum(partitions_), {}});
  if (auto no = read_question(r, reading->base)) return done.answer(*no);
  read(reading, [reading, done] {
    const std::int64_t missing = reading->unanswered();
    if (missing == static_cast<std::int64_t>(reading->errors.size()))
      return done.answer(unanswered(reading->errors.front()));
    json::array sites;
    for (json::object& s : reading->sum.changes().sites) sites.push_back(std::move(s));
    done.answer(as_json({{"at", text_of_time(base::wall_time().ms)},
                         {"items", std::move(sites)},
                         {"partitions_without_answer", missing}}));
  });
}

void BoardApi::open(const Request& r, const admin::EventStream& events) {
  const auto s = std::make_shared<Stream>(
      Stream{events, std::make_shared<Reading>(Reading{{}, BoardSum(partitions_), {}})});
  if (auto no = read_question(r, s->reading->base)) return events.refuse(*no);
  streams_.push_back(s);
  s->events.on_over([this, alive = std::weak_ptr<bool>(alive_), weak = std::weak_ptr<Stream>(s)] {
    if (!alive.expired()) std::erase(streams_, weak.lock());
  });
  s->events.begin();
  read(s->reading, [s] {
    s->asking = false;
    if (!s->events.over()) s->say();
  });
  arm();
}

void BoardApi::arm() {
  if (streams_.empty() || std::exchange(armed_, true)) return;
  const bool soon = std::any_of(streams_.begin(), streams_.end(),
                                [](const StreamPtr& s) { return !s->waiting.empty(); });
  timer_->expires_after(soon ? kBoardSoon : kBoardEvery / 4);
  timer_->async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    armed_ = false;
    look();
    arm();
  });
}

// A client that does not read is asked for nothing: the next answer has all that it has missed.
void BoardApi::look() {
  const std::vector<StreamPtr> all = streams_;
  for (const StreamPtr& s : all) {
    const auto now = std::chrono::steady_clock::now();
    if (!s->send() || s->asking || s->events.held() > kBoardHeld || now < s->next) continue;
    s->asking = true;
    s->next = now + kBoardEvery;
    read(s->reading, [s] {
      s->asking = false;
      if (!s->events.over()) s->say();
    });
  }
}

void BoardApi::twin(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  pb::DevicesQuestion known;
  known.set_tenant(r.capture("tenant"));
  known.set_exactly(r.capture("device"));
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, known.tenant()))
    return done.answer(*no);
  for (const std::string& s : r.caller.sites) known.add_sites(s);
  find_device(asker_, known, done, [this, known, done](const pb::DevicesAnswer& said) {
    if (said.devices().empty())
      return done.answer(admin::problem(admin::codes::kNotFound, "no such device"));
    pb::BoardQuestion q;
    q.set_tenant(known.tenant());
    q.set_device(known.exactly());
    asker_.ask_all({AskKind::board, kWithin_ms, q.SerializeAsString()},
                   [done](const std::vector<link::Answer>& answers) {
                     pb::TwinRecord all;
                     for (const link::Answer& a : answers) {
                       pb::BoardAnswer one;
                       if (a.error != AskError::none || !one.ParseFromString(a.bytes))
                         return done.answer(unanswered(a.error));
                       const bool newer = one.twin().command().at_ms() > all.command().at_ms();
                       for (const pb::TwinPart& p : one.twin().parts()) *all.add_parts() = p;
                       if (newer) *all.mutable_command() = one.twin().command();
                     }
                     done.answer(as_json(json_of(all)));
                   });
  });
}

}  // namespace berth::gateway::rest
