#include "gateway/node/config_api.h"

#include <boost/json.hpp>
#include <optional>
#include <utility>

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

asio::awaitable<admin::Response> answered(admin::HomeLoop home, std::function<void(Done)> start,
                                          EngineHas engine_has) {
  constexpr std::chrono::seconds kReading{60};  // files of 64 MiB, from a slow disk
  std::optional<Answer> answer = co_await home.ask<Answer>(std::move(start), kReading);
  if (!answer) co_return text_response(504, "the files are still being read\n");
  if (engine_has && answer->hash != 0) {
    const std::string engine = co_await engine_has(answer->hash);
    if (!engine.empty()) answer->body["engine"] = engine;
  }
  co_return json_response(answer->body);
}

}  // namespace

void serve_config(admin::HttpServer& http, Reload& reload, EngineHas engine_has) {
  const auto route = [&](const char* target, std::function<void(Done)> start, EngineHas engine) {
    http.route(target, [&http, start = std::move(start), engine = std::move(engine)] {
      return answered(http.home(), start, engine);
    });
  };
  route("GET /api/v1/config", [&reload](const Done& done) { done({reload.shown(), 0}); }, {});
  route("GET /api/v1/config/diff",
        [&reload](const Done& done) {
          reload.compare([done](json::object diff) { done({std::move(diff), 0}); });
        },
        {});
  route(
      "POST /api/v1/config/reload",
      [&reload](const Done& done) {
        reload.look_now([&reload, done](const Reload::Outcome& o) {
          done({o.json(), o.wrong.empty() ? reload.hash() : 0});
        });
      },
      std::move(engine_has));
}

}  // namespace berth::gateway
