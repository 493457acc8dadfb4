// The APIs of accounts behind an HttpServer, with a registry and an engine that are this process.
// Tenant acme: devices "hidden-100000" and so on at site south, "a-gate" and "z-gate" at north.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/admin/http_client.h"
#include "gateway/admin/http_server.h"
#include "gateway/engine/answerer.h"
#include "gateway/engine/device_list.h"
#include "gateway/link/principal_id.h"
#include "gateway/rest/api.h"
#include "gateway/rest/platform_api.h"

namespace berth::test {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace gateway;
using link::Answered;
using protocol::link::AskError;
using protocol::link::AskKind;
using protocol::link::Question;

struct ApiEngine final : link::EnginePort {
  bool serving() const override { return true; }
  bool survives_engine() const override { return false; }
  void attach(const protocol::link::Attach&) override {}
  void attached_all() override {}
  std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView b) override {
    return b.size();
  }
  void closed(base::ConnId, protocol::link::CloseReason) override {}
  void credit(base::ConnId, std::uint64_t) override {}
  void turn_end() override {}
  void accepted(std::uint32_t, std::uint64_t) override {}
  void ask(Question q, Answered answered) override { answerer.ask(std::move(q), answered); }
  engine::Answerer answerer;
};

struct ApiRecords final : registry::RegistryStore {
  explicit ApiRecords(registry::Changes c) : changes(std::move(c)) {}
  registry::Changes read() override { return std::exchange(changes, {}); }
  bool write(const std::vector<registry::Write>&) override { return false; }
  bool read_only() const override { return true; }
  registry::Changes changes;
};

class ApiBox : public ::testing::Test {
 protected:
  void start(int hidden, std::size_t looks) {
    link::use_principal_secret("of the tests");
    registry::Changes all{.whole = true, .list = {}};
    const auto add = [&](registry::Kind kind, const std::string& name, const std::string& site) {
      registry::pb::Device d;
      d.set_name(name);
      d.set_site(site);
      all.list.push_back({registry::key_of(kind, "acme", name),
                          kind == registry::Kind::device ? d.SerializeAsString() : std::string()});
    };
    add(registry::Kind::tenant, "", "");
    for (const char* site : {"north", "south"}) add(registry::Kind::site, site, "");
    add(registry::Kind::device, "a-gate", "north");
    add(registry::Kind::device, "z-gate", "north");
    for (int i = 0; i < hidden; ++i)
      add(registry::Kind::device, "hidden-" + std::to_string(100'000 + i), "south");
    feed_ = std::make_unique<registry::RegistryFeed>(
        home_, std::make_unique<ApiRecords>(std::move(all)), registry_, 1000, [](const auto&) {});
    ASSERT_EQ(feed_->load(), "");
    api_ = std::make_unique<registry::RegistryApi>(registry_, *feed_,
                                                   registry::RegistryApi::Options{.looks = looks});
    engine_.answerer.use(AskKind::list_devices, [this](const Question& q, const Answered& a) {
      a({AskError::none, engine::list_devices(registry_, q.bytes)});
    });
    engine_.answerer.use(AskKind::presence, [](const Question&, const Answered& a) {
      a({AskError::none, {}});
    });
    api_->add_to(http_);
    platform_.add_to(http_);
    http_.use_accounts([this](admin::Claim c) { return admitted(std::move(c)); });
    http_.listen("127.0.0.1", port_, {.listen_host = {}, .allowed_hosts = {}, .token = [] {
                                        return std::string("secret");
                                      }});
    thread_ = std::thread([this] { home_.run(); });
  }
  void TearDown() override {
    http_.stop();
    work_.reset();
    home_.stop();
    if (thread_.joinable()) thread_.join();
  }
  json::object get(const std::string& target, int status = 200) {
    const admin::Response r =
        admin::http_request("127.0.0.1", port_, "GET", "/api/v1/" + target, "north@acme:x");
    EXPECT_EQ(r.status, status) << r.body;
    return json::parse(r.body).as_object();
  }
  // Whatever it shows: "Bearer ACCOUNT@TENANT:KEY".
  asio::awaitable<admin::ClaimAnswer> admitted(admin::Claim c) const {
    admin::ClaimAnswer a;
    const std::size_t at = c.authorization.find(' ') + 1;
    a.caller = admin::Caller{.kind = admin::Caller::Kind::service,
                             .id = c.authorization.substr(at, c.authorization.find(':') - at),
                             .tenant = "acme",
                             .sites = sites_,
                             .may_read = true};
    co_return a;
  }
  std::vector<std::string> sites_{"north"};  // of accounts
  asio::io_context home_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{home_.get_executor()};
  registry::Registry registry_{"acme"};
  std::unique_ptr<registry::RegistryFeed> feed_;
  std::unique_ptr<registry::RegistryApi> api_;
  ApiEngine engine_;
  rest::PlatformApi platform_{1, [this](std::uint32_t) { return &engine_; }};
  admin::HttpServer http_{home_};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace berth::test
