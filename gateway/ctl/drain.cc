#include "gateway/ctl/drain.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kLook{200};
constexpr std::uint32_t kOneAnswerS = 5;  // of one question: a process that ends answers none

// What a process has left, as its status page says.
struct Left {
  bool gone = false;     // it has ended: two looks have found no process
  bool silent = false;   // the last look has found none
  bool drained = false;  // nothing more is to come of it
  bool lingers = false;
  std::int64_t count = 0;
  std::string what = "connections";  // an edge's, or the partitions of an engine
};

Left left_of(const std::string& body) {
  Left left;
  json::error_code ec;
  const json::value v = json::parse(body, ec);
  if (ec || !v.is_object()) return left;
  const json::object& o = v.get_object();
  left.drained = is_true(o, "drained");
  left.lingers = is_true(o, "lingers");
  const json::value* shape = o.if_contains("shape");
  if (shape != nullptr && *shape == json::value("engine")) {
    left.what = "partitions";
    left.count = number_in(o, "held");
  } else {
    left.count = number_in(o, "connections") + number_in(o, "unauthenticated");
  }
  return left;
}

// `before`: what was left when it was asked last.
Left look(const Ctl& admin, const Left& before) {
  Ctl to = admin;
  to.timeout_s = std::min(admin.timeout_s, kOneAnswerS);
  Left now = before;
  try {
    const admin::Response r = ask(to, "GET", "/api/v1/status");
    if (r.status == 200) now = left_of(r.body);
    now.silent = false;
  } catch (const admin::Unreachable&) {
    now.gone = std::exchange(now.silent, true);
  } catch (const std::runtime_error&) {  // it ends, or is busy: the next look tells
  }
  return now;
}

}  // namespace

DrainVerb::DrainVerb(CLI::App& control) {
  verb_ = control.add_subcommand("drain",
                                 "an edge or engine of a cluster hands over what it has, and ends");
  verb_->add_flag("--wait", wait_, "until nothing is left; says on stderr what is");
  verb_->add_option("--timeout", wait_s_, "with --wait: at most so many seconds, then exit 75")
      ->check(CLI::Range(1, 86'400));
  verb_->add_flag("--stay", stay_, "it does not end, but waits for SIGTERM: for a preStop hook");
}

int DrainVerb::wait(const Ctl& admin) const {
  const Clock::time_point began = Clock::now();
  const Clock::time_point until =
      wait_s_ == 0 ? Clock::time_point::max() : began + std::chrono::seconds(wait_s_);
  Left left;
  std::string told;
  bool late = false;
  for (;;) {
    left = look(admin, left);
    const std::string line = (left.lingers ? "accepts devices a while yet: " : "draining: ") +
                             std::to_string(left.count) + " " + left.what + " left";
    if (!left.gone && line != told) std::fprintf(stderr, "%s\n", line.c_str());
    told = line;
    late = Clock::now() >= until;
    if (left.gone || left.drained || late) break;
    std::this_thread::sleep_for(kLook);  // between two looks
  }
  const bool ended = left.gone || left.drained;
  const bool good = left.gone || (left.drained && left.count == 0);
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  if (admin.json) {  // a hook's log has the sentence unless JSON was asked for
    const json::object out{{"drained", good},
                           {"ended", left.gone},
                           {"left", left.gone ? 0 : left.count},
                           {"of", left.what},
                           {"seconds", std::round(seconds * 10) / 10}};
    std::printf("%s\n", json::serialize(out).c_str());
  } else {
    std::printf("%s after %.1f s\n",
                good    ? "drained"
                : ended ? "ended with a rest"
                        : "not drained",
                seconds);
  }
  return good ? 0 : ended ? 1 : base::kExitTryAgain;
}

std::optional<int> DrainVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  return answered([&] {
    const admin::Response r =
        ask(admin, "POST", std::string("/api/v1/drain") + (stay_ ? "?stay=true" : ""));
    if (wait_ && r.status / 100 == 2) return wait(admin);
    return print_answer(admin, r,
                        [](const std::string& body) { return without_controls(body, true); });
  });
}

}  // namespace berth::gateway
