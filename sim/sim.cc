#include "sim/sim.h"

#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "base/exit_codes.h"
#include "sim/site.h"

namespace berth::sim {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr auto kSettle = std::chrono::seconds(15);  // at most
constexpr auto kNobody = std::chrono::seconds(30);  // without a gateway

Address parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const int port = colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
  if (port <= 0 || port > 65535) throw BadLot("'" + text + "' is not HOST:PORT");
  return {text.substr(0, colon), static_cast<std::uint16_t>(port)};
}

Lot load(const Options& o) {
  Lot lot = Lot::load(o.lot);
  if (!o.mqtt.empty()) lot.mqtt = parse_address(o.mqtt);
  if (!o.park.empty()) lot.park = parse_address(o.park);
  if (o.speed > 0) lot.speed = o.speed;
  return lot;
}

class Run {
 public:
  Run(const Options& o, const Lot& lot)
      : options_(o),
        lot_(lot),
        site_(io_, lot, tally_, o.seed),
        signals_(io_, SIGINT, SIGTERM),
        timer_(io_) {}

  int run() {
    if (options_.news) {
      site_.platform().on_news = [](const std::string& line) {
        std::printf("  %s\n", line.c_str());
        std::fflush(stdout);
      };
    }
    signals_.async_wait([this](auto ec, int) {
      if (!ec) settle();
    });
    begun_ = Clock::now();
    site_.start();
    second();
    io_.run();
    const std::string why = broken();
    summary(why);
    if (!site_.platform_ever_connected()) return base::kExitUnavailable;
    return why.empty() ? 0 : 1;
  }

 private:
  // What is wrong with the gateway, or with this run as a proof of it; empty: nothing.
  std::string broken() const {
    const auto of = [](std::uint64_t n, const char* what) { return std::to_string(n) + what; };
    if (!site_.platform_ever_connected())
      return "the platform never got in: is there a gateway at " + lot_.mqtt.text() +
             ", and does it know the account?";
    if (site_.ever_connected() < site_.devices())
      return of(site_.devices() - site_.ever_connected(), " of ") +
             of(site_.devices(), " devices") +
             " never got in: does the gateway know them, is it at " + lot_.mqtt.text() + " and " +
             lot_.park.text() + "?";
    if (tally_.missing() != 0) return of(tally_.missing(), " acknowledged events were lost");
    if (site_.counts().dropped != 0) return of(site_.counts().dropped, " connections were dropped");
    if (tally_.unknown != 0) return of(tally_.unknown, " events were heard that nobody has said");
    if (tally_.delivered == 0) return "no event was heard: run it longer";
    return {};
  }

  double age_s() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }

  void second() {
    if (settling_) {
      const bool done = site_.backlog() == 0 && tally_.missing() == 0;
      if (done || Clock::now() - settling_since_ > kSettle)
        return site_.stop(), signals_.cancel(ec_);
    } else if (!site_.platform_ever_connected() && Clock::now() - begun_ > kNobody) {
      return site_.stop(), signals_.cancel(ec_);
    } else if (options_.for_s != 0 && age_s() >= options_.for_s) {
      settle();
    } else if (!options_.json && seconds_ % std::max(1u, options_.every_s) == 0) {
      progress();
    }
    if (++seconds_ % 30 == 0) tally_.prune();
    timer_.expires_after(std::chrono::seconds(1));
    timer_.async_wait([this](boost::system::error_code ec) {
      if (!ec) second();
    });
  }

  void settle() {
    if (std::exchange(settling_, true)) return;
    settling_since_ = Clock::now();
    site_.settle();
  }

  void progress() {
    std::printf(
        "%s  devices %zu/%zu  vehicles in %llu out %llu  events %llu heard %llu  to platform %.0f "
        "ms  to barrier %.0f ms (p99)%s%s\n",
        site_.clock().c_str(), site_.connected(), site_.devices(), u(tally_.arrived),
        u(tally_.left), u(tally_.events), u(tally_.delivered), tally_.to_platform.at(.99),
        tally_.to_open.at(.99),
        site_.backlog() != 0 ? said("  waiting ", site_.backlog()).c_str() : "",
        site_.counts().dropped != 0 ? said("  dropped ", site_.counts().dropped).c_str() : "");
    std::fflush(stdout);
  }

  static std::string said(const char* what, std::uint64_t n) { return what + std::to_string(n); }
  static unsigned long long u(std::uint64_t v) { return v; }

  void summary(const std::string& why) const {
    const auto quantiles = [](const Latency& l) {
      return json::object{
          {"count", l.count()}, {"p50_ms", l.at(.5)}, {"p99_ms", l.at(.99)}, {"max_ms", l.at(1)}};
    };
    const json::object all{{"seconds", age_s()},
                           {"devices", site_.devices()},
                           {"vehicles_arrived", tally_.arrived},
                           {"vehicles_left", tally_.left},
                           {"turned_away", tally_.turned_away},
                           {"events", tally_.events},
                           {"acknowledged", tally_.acknowledged},
                           {"heard", tally_.delivered},
                           {"lost", tally_.missing()},
                           {"doubled", tally_.doubled},
                           {"unknown", tally_.unknown},
                           {"refused", tally_.refused},
                           {"telemetry", tally_.telemetry},
                           {"commands", tally_.commands},
                           {"executed", tally_.executed},
                           {"opened_locally", tally_.opened_locally},
                           {"connects", site_.counts().connects},
                           {"dropped", site_.counts().dropped},
                           {"event_to_platform", quantiles(tally_.to_platform)},
                           {"plate_to_barrier", quantiles(tally_.to_open)},
                           {"verdict", why.empty() ? std::string("kept") : why}};
    if (options_.json) {
      std::puts(json::serialize(all).c_str());
      return;
    }
    std::printf("\nafter %.0f s, %zu devices:\n", age_s(), site_.devices());
    for (const auto& [key, value] : all) {
      if (key == "seconds" || key == "devices" || key == "verdict" || value.is_object()) continue;
      std::printf("  %-18s %s\n", std::string(key).c_str(), json::serialize(value).c_str());
    }
    latency("event_to_platform", tally_.to_platform);
    latency("plate_to_barrier", tally_.to_open);
    const bool colour = isatty(STDOUT_FILENO) != 0;
    if (why.empty()) {
      std::printf("%sKEPT%s: %llu acknowledged events were all heard, nobody was dropped\n",
                  colour ? "\033[1;32m" : "", colour ? "\033[0m" : "", u(tally_.acknowledged));
    } else {
      std::printf("%sNOT KEPT%s: %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "",
                  why.c_str());
    }
  }

  static void latency(const char* name, const Latency& l) {
    std::printf("  %-18s p50 %.0f ms, p99 %.0f ms, max %.0f ms\n", name, l.at(.5), l.at(.99),
                l.at(1));
  }

  const Options& options_;
  const Lot& lot_;
  asio::io_context io_;
  Tally tally_;
  Site site_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  boost::system::error_code ec_;
  Clock::time_point begun_;
  Clock::time_point settling_since_;
  std::uint64_t seconds_ = 0;
  bool settling_ = false;
};

}  // namespace

int run(const Options& options) {
  try {
    const Lot lot = load(options);
    if (options.registry) {
      std::fputs(lot.registry_yaml().c_str(), stdout);
      return 0;
    }
    return Run(options, lot).run();
  } catch (const BadLot& e) {
    std::fprintf(stderr, "berth sim: %s\n", e.what());
    return base::kExitUsage;
  } catch (const boost::system::system_error& e) {
    std::fprintf(stderr, "berth sim: %s\n", e.what());
    return base::kExitUnavailable;
  }
}

}  // namespace berth::sim
