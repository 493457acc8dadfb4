#include "sim/sim.h"

#include <boost/asio/signal_set.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "sim/site.h"

namespace berth::sim {

namespace asio = boost::asio;

namespace {

constexpr auto kSettle = std::chrono::seconds(15);  // at most

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
      : options_(o), site_(io_, lot, tally_, o.seed), signals_(io_, SIGINT, SIGTERM), timer_(io_) {}

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
    summary();
    return tally_.missing() == 0 && site_.counts().dropped == 0 && tally_.unknown == 0 ? 0 : 1;
  }

 private:
  double age_s() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }

  void second() {
    if (settling_) {
      const bool done = site_.backlog() == 0 && tally_.missing() == 0;
      if (done || Clock::now() - settling_since_ > kSettle)
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
        "%s  devices %zu/%zu  vehicles in %llu out %llu  events %llu heard %llu  backlog %zu  "
        "dropped %llu  to platform p99 %.0f ms  to barrier p99 %.0f ms\n",
        site_.clock().c_str(), site_.connected(), site_.devices(), u(tally_.arrived),
        u(tally_.left), u(tally_.events), u(tally_.delivered), site_.backlog(),
        u(site_.counts().dropped), tally_.to_platform.at(.99), tally_.to_open.at(.99));
    std::fflush(stdout);
  }

  static unsigned long long u(std::uint64_t v) { return v; }

  void summary() const {
    const auto quantiles = [](const Latency& l) {
      return boost::json::object{
          {"count", l.count()}, {"p50_ms", l.at(.5)}, {"p99_ms", l.at(.99)}, {"max_ms", l.at(1)}};
    };
    const boost::json::object all{{"seconds", age_s()},
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
                                  {"plate_to_barrier", quantiles(tally_.to_open)}};
    if (options_.json) {
      std::puts(boost::json::serialize(all).c_str());
      return;
    }
    std::printf("\nafter %.0f s, %zu devices:\n", age_s(), site_.devices());
    for (const auto& [key, value] : all) {
      if (key == "seconds" || key == "devices") continue;
      std::printf("  %-18s %s\n", std::string(key).c_str(), boost::json::serialize(value).c_str());
    }
  }

  const Options& options_;
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
    return 64;
  } catch (const boost::system::system_error& e) {
    std::fprintf(stderr, "berth sim: %s\n", e.what());
    return 69;
  }
}

}  // namespace berth::sim
