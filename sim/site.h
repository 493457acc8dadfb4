// What happens on a site: vehicles come, park and leave, chargers charge, doors open, and some
// devices misbehave. In simulated time, `speed` times as fast as ours. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "sim/devices.h"
#include "sim/lot.h"
#include "sim/tally.h"

namespace berth::sim {

class Site {
 public:
  Site(boost::asio::io_context& io, const Lot& lot, Tally& tally, std::uint32_t seed);
  void start();   // the platform first, the devices when it hears
  void settle();  // nothing new happens; what is waiting is said
  void stop();
  Platform& platform() { return *platform_; }
  const ConnectionCounts& counts() const { return counts_; }
  std::size_t devices() const { return devices_.size(); }
  std::size_t connected() const;
  std::size_t ever_connected() const;  // devices that have got in once
  bool platform_ever_connected() const { return begun_; }
  std::size_t backlog() const;  // reports that wait for an acknowledgement
  std::string clock() const;    // "08:15"
  std::size_t occupied() const { return lot_.spaces - free_.size(); }

 private:
  struct Car {
    std::string plate;
    std::size_t space = SIZE_MAX;
  };
  struct Waiting {         // at a barrier
    std::string event_id;  // by which it was announced
    std::shared_ptr<Car> car;
    Clock::time_point since;
  };

  void begin();
  void tick();
  void come();
  void at_barrier(std::size_t lane, const std::shared_ptr<Car>& car);
  void opened(std::size_t lane, const std::string& event_id);
  void through(std::size_t lane, const std::shared_ptr<Car>& car);
  void closed(std::size_t lane, std::uint64_t opening);
  void parked(const std::shared_ptr<Car>& car);
  void leave(const std::shared_ptr<Car>& car);
  void space_changed(std::size_t space, bool occupied);
  void charge(std::size_t charger, bool charging);
  void meter(std::size_t charger, std::uint64_t session);
  void pass(std::size_t door);
  void misbehave(double real_s);
  double cars_per_s() const;  // simulated seconds
  void later(double s, std::function<void()> f);
  double between(double a, double b) { return std::uniform_real_distribution(a, b)(random_); }
  double exponential(double mean) { return std::exponential_distribution(1 / mean)(random_); }
  std::size_t any_lane(bool in);

  const Lot& lot_;
  Tally& tally_;
  std::minstd_rand random_;
  ConnectionCounts counts_;
  boost::asio::steady_timer timer_;
  std::vector<std::unique_ptr<Device>> devices_;  // as Lot::devices()
  std::vector<bool> seen_;                        // connected, once
  std::unique_ptr<Platform> platform_;
  std::size_t first_charger_ = 0, first_door_ = 0;
  std::vector<std::size_t> free_;
  std::vector<std::deque<Waiting>> barriers_;  // by lane
  std::vector<std::uint64_t> openings_;        // by lane: the newest
  std::vector<bool> charging_;
  std::multimap<double, std::function<void()>> deeds_;  // by simulated time
  double now_s_ = 0;                                    // simulated, since midnight
  Clock::time_point last_ = Clock::now();
  Clock::time_point last_storm_ = Clock::now();
  std::uint64_t sessions_ = 0;
  bool begun_ = false;  // what nobody has subscribed to is rightly heard by nobody
  bool open_ = true;
  bool stopped_ = false;
};

}  // namespace berth::sim
