#include "gateway/ctl/trace.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kBetweenLooks{500};
constexpr std::chrono::seconds kSilenceMax{30};  // of a gateway that is being restarted

volatile std::sig_atomic_t g_stop = 0;

// Ctrl-C ends the trace at the gateway too.
void stop_at_signals() {
  struct sigaction stop {};
  stop.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
}

admin::Ask trace_ask(const char* method, const std::string& target, const json::object& body = {}) {
  admin::Ask q;
  q.method = method;
  q.target = target;
  if (!body.empty()) q.body = json::serialize(body);
  return q;
}

void print(const json::object& line, bool as_json) {
  const std::string text =
      as_json ? json::serialize(line)
              : without_controls(text_in(line, "at") + " " + text_in(line, "text"), false);
  std::fprintf(stdout, "%s\n", text.c_str());
}

}  // namespace

TraceVerb::TraceVerb(CLI::App& control) {
  verb_ = control.add_subcommand("trace", "each packet of one client, for a limited time");
  verb_->add_option("client", client_, "a client id, or the name of a device or account")
      ->required();
  verb_->add_option("--tenant", tenant_, "of this tenant");
  verb_->add_option("--for", for_s_, "seconds [300]")->check(CLI::Range(1, 3600));
}

int TraceVerb::trace(const Ctl& admin) const {
  json::object wanted{{"client", client_}, {"tenant", tenant_}, {"for_s", for_s_}};
  const admin::Response begun = ask(admin, trace_ask("POST", "/api/v1/traces", wanted));
  if (begun.status != 201) {
    return print_refusal(admin, begun);
  }
  const json::object trace = object_of(begun.body);
  const std::string id = text_in(trace, "id");
  if (number_in(trace, "connections") == 0)
    std::fprintf(stderr, "no client of this name is connected: waiting for one\n");
  stop_at_signals();
  const auto end = Steady::now() + std::chrono::seconds(for_s_);
  auto heard = Steady::now();
  std::string after;
  while (g_stop == 0 && Steady::now() < end && std::ferror(stdout) == 0) {
    try {
      const std::string target = "/api/v1/traces/" + id;
      const admin::Response r =
          ask(admin, "GET", after.empty() ? target : target + "?after=" + encoded(after));
      const json::object said = object_of(r.body);
      if (r.status == 200) heard = Steady::now();
      for (const json::value& v : list_in(said, "lines")) {
        if (v.is_object()) print(v.get_object(), admin.json);
      }
      if (const std::int64_t n = number_in(said, "missed"); n != 0)
        std::fprintf(stderr, "%lld lines are missing: more packets than can be kept\n",
                     static_cast<long long>(n));
      if (r.status == 200) after = text_in(said, "next");
      if (r.status == 404 || is_true(said, "lost")) {  // an engine has begun since
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(end - Steady::now());
        wanted["id"] = id;
        wanted["for_s"] = std::max<std::int64_t>(left.count(), 1);
        ask(admin, trace_ask("POST", "/api/v1/traces", wanted));
        if (r.status == 404) after.clear();
        std::fprintf(stderr, "another engine serves the client now: packets may be missing\n");
      }
      std::fflush(stdout);
    } catch (const ConfigError&) {
      throw;
    } catch (const std::runtime_error& e) {  // the gateway may be restarted meanwhile
      if (Steady::now() - heard > kSilenceMax) throw;
    }
    std::this_thread::sleep_for(kBetweenLooks);  // a signal ends it
  }
  ask(admin, "DELETE", "/api/v1/traces/" + id);
  return 0;
}

std::optional<int> TraceVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  return answered([&] { return trace(admin); });
}

}  // namespace berth::gateway
