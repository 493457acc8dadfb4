// The configuration of a process while it runs: read as one set, taken as a whole or not at all.
#include "gateway/node/reload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/log_level.h"
#include "base/read_file.h"
#include "metrics/link_names.h"
#include "tests/support/mount.h"

namespace berth::gateway {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;

class ReloadTest : public ::testing::Test {
 protected:
  // The files of a generation; "@" in berth.yaml is the directory, "%" an at sign.
  void put(Files files) {
    std::string& yaml = files["berth.yaml"];
    for (std::size_t at; (at = yaml.find('@')) != std::string::npos;)
      yaml.replace(at, 1, mount_.file(""));
    std::replace(yaml.begin(), yaml.end(), '%', '@');
    mount_.swap(files);
  }
  Files good(const std::string& more = "") {
    return {{"berth.yaml", "auth: {acl_file: '@acl', password_file: '@users'}\n" + more},
            {"acl", "topic readwrite #\n"},
            {"users", kUsers}};
  }
  void begin(Reload::Options options = {.process = "edge"}) {
    const std::string file = mount_.file("berth.yaml");
    ConfigSource source{file,
                        [file] {
                          Config c;
                          load_file(c, file);
                          check(c);
                          return c;
                        },
                        {}};
    reload_ = std::make_unique<Reload>(io_, source.load(), source, options);
    follows_ = reload_->on_taken([this](const Reload::Taken& t) {
      ++taken_;
      changed_ = t.changed;
      acl_ = base::read_file(mount_.file("acl"));
    });
    reload_->start();
    ASSERT_TRUE(run_until([&] { return reload_->current() != nullptr; }));
  }
  Reload::Outcome look() {
    std::optional<Reload::Outcome> outcome;
    reload_->look_now([&](const Reload::Outcome& o) { outcome = o; });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return outcome.value_or(Reload::Outcome());
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < end)
      io_.run_one_for(std::chrono::milliseconds(50));
    return done();
  }
  std::uint64_t sample(const std::string& family, const std::string& label) {
    for (const metrics::Sample& s : reload_->samples()) {
      if (s.family == family && s.label_value == label) return s.value;
    }
    ADD_FAILURE() << family << " " << label;
    return 0;
  }

  static constexpr const char* kUsers =
      "cam:$7$101$AAAAAAAAAAAAAAAA$qPZJrd0pZ7nyw7sQXnZ0Jr3jmLRXcBGqKHk2xRNoeS0YJnEkpmPVOUVmrm1ZkJU+"
      "A7AYxYmrt6oqC2lCGyD3Mw==\n";
  test::Mount mount_;
  boost::asio::io_context io_{1};
  std::unique_ptr<Reload> reload_;
  Reload::Subscription follows_;
  int taken_ = 0;
  std::set<std::string> changed_;
  std::string acl_;
};

TEST_F(ReloadTest, WhatIsAsAtTheStartIsInForceWithoutBeingTaken) {
  put(good());
  begin();
  EXPECT_EQ(taken_, 0);
  const Reload::Outcome o = look();
  EXPECT_FALSE(o.taken);
  EXPECT_TRUE(o.wrong.empty());
  EXPECT_TRUE(o.pending.empty());
  EXPECT_NE(sample(metrics::kConfigHash, "edge"), 0u);
}

TEST_F(ReloadTest, OfSettingsThoseThatCanTakeEffectDoAndTheOthersAreNamed) {
  put(good());
  begin();
  put(good("log: {level: error}\nstore: {directory: /elsewhere}\n"));
  const Reload::Outcome o = look();
  ASSERT_EQ(o.settings.size(), 1u);
  EXPECT_EQ(o.settings[0].key, "log.level");
  EXPECT_EQ(o.settings[0].after, "error");
  EXPECT_EQ(o.pending, std::vector<std::string>{"store.directory"});
  EXPECT_FALSE(base::log_wanted(base::LogLevel::warn));
  EXPECT_EQ(reload_->in_force().data_directory, Config().data_directory);
  EXPECT_EQ(sample(metrics::kConfigPending, "edge"), 1u);
  put(good());
  EXPECT_TRUE(look().pending.empty()) << "taken back";
  EXPECT_TRUE(base::log_wanted(base::LogLevel::info));
}

TEST_F(ReloadTest, ABadFileTakesNothingAndIsNamedWithItsLine) {
  put(good());
  begin();
  const auto hash = sample(metrics::kConfigHash, "edge");
  Files bad = good("log: {level: error}\n");
  bad["acl"] = "topic readwrite #\ntopik #\n";
  put(bad);
  const Reload::Outcome o = look();
  EXPECT_FALSE(o.taken);
  ASSERT_EQ(o.wrong.size(), 1u);
  EXPECT_EQ(o.wrong[0].cause, Wrong::Cause::acl_file);
  EXPECT_EQ(o.wrong[0].why, mount_.file("acl") + ":2: unknown keyword 'topik'");
  EXPECT_TRUE(base::log_wanted(base::LogLevel::info)) << "nor another part of the set";
  EXPECT_EQ(taken_, 0);
  EXPECT_EQ(sample(metrics::kConfigHash, "edge"), hash);
  EXPECT_EQ(sample(metrics::kConfigRefused, "edge"), 1u);
  EXPECT_EQ(sample(metrics::kConfigReloads, "acl_file"), 1u);
  look();
  EXPECT_EQ(sample(metrics::kConfigReloads, "acl_file"), 1u) << "counted once";
  put(good());
  EXPECT_TRUE(look().wrong.empty());
  EXPECT_EQ(sample(metrics::kConfigRefused, "edge"), 0u);
  EXPECT_EQ(taken_, 0) << "what is in force was there all the time";
}

// An emptied file must not mean "everything is allowed", nor a missing one "nobody is asked".
TEST_F(ReloadTest, EmptiedAndMissingFilesAreBad) {
  put(good());
  begin();
  for (const char* name : {"acl", "users"}) {
    Files files = good();
    files[name] = "";
    put(files);
    EXPECT_EQ(look().wrong.size(), 1u) << name;
    files.erase(name);
    fs::remove(mount_.file(name));
    put(files);
    EXPECT_EQ(look().wrong.size(), 1u) << name;
    EXPECT_EQ(taken_, 0);
  }
  Files files = good();
  files["berth.yaml"] = "mqtt: [";
  put(files);
  ASSERT_EQ(look().wrong.size(), 1u);
  EXPECT_EQ(look().wrong[0].cause, Wrong::Cause::settings);
}

TEST_F(ReloadTest, WhatIsWrongIsSaidOfAllFilesAtOnce) {
  put(good());
  begin();
  Files files = good();
  files["acl"] = "nonsense\n";
  files["users"] = "nonsense\n";
  put(files);
  EXPECT_EQ(look().wrong.size(), 2u);
}

TEST_F(ReloadTest, AChangeIsNoticedWithoutBeingAskedFor) {
  put(good());
  begin({.process = "edge", .every = std::chrono::milliseconds(5), .settling = {.quiet_ns = 1}});
  Files files = good();
  files["acl"] = "topic read #\n";
  put(files);
  ASSERT_TRUE(run_until([&] { return taken_ == 1; }));
  EXPECT_EQ(changed_, std::set<std::string>{mount_.file("acl")});
  EXPECT_EQ(acl_, "topic read #\n");
}

TEST_F(ReloadTest, DifferencesAreShownWithoutBeingTaken) {
  put(good("store: {url: 'redis://me:secret%host:1'}\n"));
  begin();
  Files files = good("store: {url: 'redis://me:geheim%host:1'}\nlog: {level: warn}\n");
  files["acl"] = "topic read #\n";
  put(files);
  boost::json::object diff;
  reload_->compare([&](boost::json::object o) { diff = std::move(o); });
  ASSERT_TRUE(run_until([&] { return !diff.empty(); }));
  const std::string text = boost::json::serialize(diff) + boost::json::serialize(reload_->shown());
  EXPECT_EQ(taken_, 0);
  EXPECT_NE(text.find("log.level"), std::string::npos);
  EXPECT_NE(text.find("redis://me:***@host:1"), std::string::npos);
  EXPECT_EQ(redacted("store.url", "redis-sentinel://:a?b@h/m?sentinel_password=c"),
            "redis-sentinel://:***@h/m?***");
  EXPECT_EQ(text.find("secret"), std::string::npos);
  EXPECT_EQ(text.find("geheim"), std::string::npos);
}

// What a part reads when it hears of a set is of the generation that was proven, and of one.
TEST_F(ReloadTest, I11_NoPartSeesFilesOfTwoGenerations) {
  const auto generation = [this](int i) {
    Files files = good();
    files["acl"] = "user u" + std::to_string(i) + "\ntopic #\n";
    files["users"] = "u" + std::to_string(i) + std::string(kUsers).substr(3);
    return files;
  };
  put(generation(0));
  begin();
  int heard = 0;
  const auto both = reload_->on_taken([&](const Reload::Taken&) {
    const std::string acl = base::read_file(mount_.file("acl"));
    const std::string users = base::read_file(mount_.file("users"));
    EXPECT_EQ(acl.substr(5, acl.find('\n') - 5), users.substr(0, users.find(':')));
    ++heard;
  });
  std::atomic<bool> end{false};
  std::thread kubelet([&] {
    for (int i = 1; !end; ++i) put(generation(i));
  });
  for (int i = 0; i < 300; ++i) look();
  end = true;
  kubelet.join();
  EXPECT_TRUE(look().wrong.empty());
  EXPECT_GT(heard, 20);
}

}  // namespace
}  // namespace berth::gateway
