#include "gateway/node/config_api.h"

#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "gateway/node/process.h"

namespace berth::gateway {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

struct Answer {
  json::object body;
  std::uint64_t hash = 0;  // 0: there is nothing that the engine should have
};
using Done = admin::HomeLoop::Done<Answer>;

constexpr std::uint32_t kOthersWithin_ms = 30'000;  // files of 64 MiB, from a slow disk

std::string our_host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

json::object parsed_object(const std::string& text) {
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  return ec || !v.is_object() ? json::object() : v.get_object();
}

void look(Reload& reload, const std::string& what, const Done& done) {
  if (what == "diff")
    return reload.compare([done](json::object diff) { done({std::move(diff), 0}); });
  if (what == "reload")
    return reload.look_now([&reload, done](const Reload::Outcome& o) {
      done({o.json(), o.wrong.empty() ? reload.hash() : 0});
    });
  done({reload.shown(), 0});
}

// One of each process, however many partitions it serves; not this one.
json::object of_others(const std::vector<link::Answer>& answers) {
  json::array engines;
  std::set<std::string> seen{our_host() + " " + std::to_string(::getpid())};
  std::int64_t unanswered = 0;
  for (const link::Answer& a : answers) {
    json::object said = parsed_object(a.bytes);
    const json::value* const host = said.if_contains("host");
    const json::value* const pid = said.if_contains("pid");
    if (a.error != protocol::link::AskError::none || host == nullptr || pid == nullptr) {
      ++unanswered;
      continue;
    }
    if (seen.insert(std::string(host->is_string() ? host->get_string() : "") + " " +
                    json::serialize(*pid))
            .second)
      engines.push_back(std::move(said));
  }
  return {{"engines", std::move(engines)}, {"partitions_without_answer", unanswered}};
}

asio::awaitable<void> add_others(admin::HomeLoop home, const OtherEngines& others, std::string what,
                                 json::object& body) {
  const json::object asked{{"do", what}};
  protocol::link::Question q{protocol::link::AskKind::config, kOthersWithin_ms,
                             json::serialize(asked)};
  std::function<void(admin::HomeLoop::Done<json::object>)> start =
      [asker = others.asker, q = std::move(q)](const admin::HomeLoop::Done<json::object>& done) {
        asker->ask_all(q, [done](const std::vector<link::Answer>& a) { done(of_others(a)); });
      };
  constexpr std::chrono::seconds kLimit{kOthersWithin_ms / 1000 + 5};
  const auto said = co_await home.ask<json::object>(std::move(start), kLimit);
  if (said) {
    for (const auto& [name, value] : *said) body[name] = value;
  }
  if (!others.not_asked.empty()) body["not_asked"] = others.not_asked;
}

struct Route {
  admin::HomeLoop home;
  Reload& reload;
  EngineHas engine_has;
  OtherEngines others;
};

asio::awaitable<admin::Response> answered(std::shared_ptr<const Route> route, std::string what) {
  constexpr std::chrono::seconds kReading{60};  // files of 64 MiB, from a slow disk
  admin::HomeLoop home = route->home;
  std::function<void(Done)> start = [&reload = route->reload, what](const Done& done) {
    look(reload, what, done);
  };
  std::optional<Answer> answer = co_await home.ask<Answer>(std::move(start), kReading);
  if (!answer) co_return text_response(504, "the files are still being read\n");
  if (route->engine_has && answer->hash != 0) {
    const std::string engine = co_await route->engine_has(answer->hash);
    if (!engine.empty()) answer->body["engine"] = engine;
  }
  if (route->others.asker != nullptr) co_await add_others(home, route->others, what, answer->body);
  co_return json_response(answer->body);
}

}  // namespace

void answer_about_config(Reload& reload, const protocol::link::Question& q,
                         const link::Answered& answered) {
  const json::object asked = parsed_object(q.bytes);
  const json::value* const what = asked.if_contains("do");
  const bool text = what != nullptr && what->is_string();
  look(reload, text ? std::string(what->get_string()) : std::string(), [answered](Answer a) {
    a.body["host"] = our_host();
    a.body["pid"] = static_cast<std::int64_t>(::getpid());
    answered({protocol::link::AskError::none, json::serialize(a.body)});
  });
}

void serve_config(admin::HttpServer& http, Reload& reload, EngineHas engine_has,
                  OtherEngines others) {
  const auto all = std::make_shared<const Route>(
      Route{http.home(), reload, std::move(engine_has), std::move(others)});
  const auto route = [&](const char* target, const char* what) {
    http.route(target, [all, what] { return answered(all, what); });
  };
  route("GET /api/v1/config", "show");
  route("GET /api/v1/config/diff", "diff");
  route("POST /api/v1/config/reload", "reload");
}

}  // namespace berth::gateway
