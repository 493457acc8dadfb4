#include "sim/site.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace berth::sim {

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);
constexpr auto kPatience = std::chrono::seconds(3);  // then the lane opens by its own list
constexpr double kDay_s = 86'400;
constexpr double kCharging_s = 3600;  // on average
constexpr double kMetering_s = 15;
constexpr double kPassing_s = 120;  // between two passes of a door, on average

v1::Plate plate(const std::string& number) {
  v1::Plate p;
  p.set_number(number);
  p.set_color(v1::BLUE);
  return p;
}

}  // namespace

Site::Site(boost::asio::io_context& io, const Lot& lot, Tally& tally, std::uint32_t seed)
    : lot_(lot),
      tally_(tally),
      random_(seed),
      timer_(io),
      barriers_(lot.lanes.size()),
      openings_(lot.lanes.size()),
      charging_(lot.chargers),
      now_s_(lot.begins_at_h * 3600) {
  for (const Lot::Device& d : lot.devices())
    devices_.push_back(std::make_unique<Device>(io, lot, d, tally, counts_, random_));
  platform_ = std::make_unique<Platform>(io, lot, tally, counts_, random_);
  first_charger_ = lot.lanes.size() + (lot.spaces != 0 ? lot.space_gateways : 0);
  first_door_ = first_charger_ + lot.chargers;
  for (std::size_t i = lot.spaces; i-- > 0;) free_.push_back(i);
  for (std::size_t lane = 0; lane < lot.lanes.size(); ++lane) {
    devices_[lane]->on_command = [this, lane](const std::string& name, const std::string& event) {
      if (name == "open_barrier") opened(lane, event);
    };
  }
}

void Site::start() {
  platform_->start();
  last_ = Clock::now();
  tick();
}

void Site::begin() {
  begun_ = true;
  for (auto& d : devices_) d->start();
  for (std::size_t i = 0; i < lot_.chargers; ++i)
    later(between(0, 2 * kCharging_s), [this, i] { charge(i, true); });
  for (std::size_t i = 0; i < lot_.doors; ++i)
    later(exponential(kPassing_s), [this, i] { pass(i); });
  later(0, [this] { come(); });
}

void Site::settle() {
  open_ = false;
  deeds_.clear();
}

void Site::stop() {
  stopped_ = true;
  timer_.cancel();
  for (auto& d : devices_) d->stop();
  platform_->stop();
}

void Site::later(double s, std::function<void()> f) {
  if (open_) deeds_.emplace(now_s_ + s, std::move(f));
}

void Site::tick() {
  const auto now = Clock::now();
  const double real_s = std::chrono::duration<double>(now - last_).count();
  last_ = now;
  if (!begun_ && open_ && platform_->connected()) begin();
  if (begun_) now_s_ += real_s * lot_.speed;
  seen_.resize(devices_.size());
  for (std::size_t i = 0; i < devices_.size(); ++i) seen_[i] = seen_[i] || devices_[i]->connected();
  while (!deeds_.empty() && deeds_.begin()->first <= now_s_) {
    auto f = std::move(deeds_.begin()->second);
    deeds_.erase(deeds_.begin());
    f();
  }
  for (std::size_t lane = 0; lane < barriers_.size(); ++lane) {
    std::deque<Waiting>& waiting = barriers_[lane];
    while (!waiting.empty() && now - waiting.front().since > kPatience) {
      const auto car = waiting.front().car;
      waiting.pop_front();
      ++tally_.opened_locally;
      through(lane, car);
    }
  }
  if (open_) misbehave(real_s);
  timer_.expires_after(kTick);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec && !stopped_) tick();  // it may have been due already when it was cancelled
  });
}

// Two rushes, at half past eight and at half past six, above a quiet day and a quieter night.
double Site::cars_per_s() const {
  const double h = std::fmod(now_s_, kDay_s) / 3600;
  const auto rush = [h](double at) { return std::exp(-(h - at) * (h - at) / 1.5); };
  const double day = h > 6 && h < 22 ? 0.35 : 0.03;
  return lot_.cars_per_day / kDay_s * (day + 3.2 * rush(8.5) + 3.2 * rush(18.5));
}

std::size_t Site::any_lane(bool in) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < lot_.lanes.size(); ++i) {
    if (lot_.lanes[i].in == in) all.push_back(i);
  }
  return all.empty() ? SIZE_MAX : all[random_() % all.size()];
}

void Site::come() {
  const double rate = cars_per_s();
  later(rate > 0 ? exponential(1 / rate) : kDay_s, [this] { come(); });
  const std::size_t lane = any_lane(true);
  if (lane == SIZE_MAX || rate <= 0) return;
  if (lot_.spaces != 0 && free_.empty()) {
    ++tally_.turned_away;
    return;
  }
  char number[16];
  std::snprintf(number, sizeof number, "\u7ca4B%05u", static_cast<unsigned>(random_() % 100'000));
  auto car = std::make_shared<Car>();
  car->plate = number;
  at_barrier(lane, car);
}

void Site::at_barrier(std::size_t lane, const std::shared_ptr<Car>& car) {
  v1::Envelope e;
  v1::PlateRecognized& p = *e.mutable_plate();
  p.set_lane(lot_.lanes[lane].name);
  *p.mutable_plate() = plate(car->plate);
  p.set_direction(lot_.lanes[lane].in ? v1::IN : v1::OUT);
  p.set_confidence(static_cast<std::uint32_t>(between(85, 100)));
  const auto now = Clock::now();
  barriers_[lane].push_back({devices_[lane]->event(std::move(e)), car, now});
}

// For one that may have gone already, by the lane's own list.
void Site::opened(std::size_t lane, const std::string& event_id) {
  std::deque<Waiting>& waiting = barriers_[lane];
  const auto it = std::find_if(waiting.begin(), waiting.end(),
                               [&](const Waiting& w) { return w.event_id == event_id; });
  if (it == waiting.end()) return;
  tally_.to_open.add(Clock::now() - it->since);
  const auto car = it->car;
  waiting.erase(it);
  through(lane, car);
}

void Site::through(std::size_t lane, const std::shared_ptr<Car>& car) {
  v1::Envelope state;
  state.mutable_barrier()->set_lane(lot_.lanes[lane].name);
  state.mutable_barrier()->set_position(v1::OPEN);
  state.mutable_barrier()->set_link_ok(true);
  devices_[lane]->state(std::move(state));
  later(between(4, 8), [this, lane, opening = ++openings_[lane]] { closed(lane, opening); });
  v1::Envelope e;
  if (lot_.lanes[lane].in) {
    ++tally_.arrived;
    *e.mutable_vehicle_arrived()->mutable_plate() = plate(car->plate);
    later(between(30, 180), [this, car] { parked(car); });
  } else {
    ++tally_.left;
    *e.mutable_vehicle_left()->mutable_plate() = plate(car->plate);
  }
  devices_[lane]->event(std::move(e));
}

// A car after the first one keeps the arm up.
void Site::closed(std::size_t lane, std::uint64_t opening) {
  if (openings_[lane] != opening) return;
  v1::Envelope state;
  state.mutable_barrier()->set_lane(lot_.lanes[lane].name);
  state.mutable_barrier()->set_position(v1::CLOSED);
  state.mutable_barrier()->set_link_ok(true);
  devices_[lane]->state(std::move(state));
}

void Site::parked(const std::shared_ptr<Car>& car) {
  if (!free_.empty()) {
    car->space = free_.back();
    free_.pop_back();
    space_changed(car->space, true);
  }
  later(exponential(lot_.stay_minutes * 60.0), [this, car] { leave(car); });
}

void Site::leave(const std::shared_ptr<Car>& car) {
  if (car->space != SIZE_MAX) {
    free_.push_back(car->space);
    space_changed(car->space, false);
  }
  later(between(30, 180), [this, car] {
    const std::size_t lane = any_lane(false);
    if (lane != SIZE_MAX) at_barrier(lane, car);
  });
}

void Site::space_changed(std::size_t space, bool occupied) {
  v1::Envelope e;
  const std::string id = "space-" + std::to_string(space + 1);
  e.set_child(id);
  e.mutable_space()->set_space_id(id);
  e.mutable_space()->set_state(occupied ? v1::OCCUPIED : v1::FREE);
  devices_[lot_.lanes.size() + space % lot_.space_gateways]->event(std::move(e));
}

void Site::charge(std::size_t charger, bool charging) {
  charging_[charger] = charging;
  v1::Envelope e;
  v1::ChargeSession& c = *e.mutable_charge();
  c.set_session_id(std::to_string(charging ? ++sessions_ : sessions_));
  c.set_connector(1);
  c.set_active(charging);
  devices_[first_charger_ + charger]->event(std::move(e));
  later(exponential(kCharging_s), [this, charger, charging] { charge(charger, !charging); });
  if (charging) later(kMetering_s, [this, charger, s = sessions_] { meter(charger, s); });
}

void Site::meter(std::size_t charger, std::uint64_t session) {
  if (!charging_[charger]) return;
  v1::Envelope e;
  e.mutable_charger()->set_connector(1);
  e.mutable_charger()->set_state(v1::CHARGING);
  e.mutable_charger()->set_power_kw(static_cast<float>(between(5, 60)));
  devices_[first_charger_ + charger]->telemetry(std::move(e));
  later(kMetering_s, [this, charger, session] { meter(charger, session); });
}

void Site::pass(std::size_t door) {
  v1::Envelope e;
  v1::AccessEvent& a = *e.mutable_access();
  a.set_door(devices_[first_door_ + door]->name());
  a.set_credential_id(std::to_string(random_() % 1000));
  a.set_method("card");
  a.set_granted(random_() % 50 != 0);
  devices_[first_door_ + door]->event(std::move(e));
  later(exponential(kPassing_s), [this, door] { pass(door); });
}

void Site::misbehave(double real_s) {
  const Misbehaviour& m = lot_.misbehaviour;
  const auto n = static_cast<double>(devices_.size());
  const auto some = [&](double a_second, const auto& f) {
    const int count = std::poisson_distribution(std::max(a_second * real_s, 1e-12))(random_);
    for (int i = 0; i < count; ++i) f(*devices_[random_() % devices_.size()]);
  };
  if (devices_.empty()) return;
  if (m.offline_percent > 0)
    some(n * m.offline_percent / 100 / m.offline_s, [&](Device& d) { d.away(m.offline_s); });
  if (m.malformed_percent > 0)
    some(n * m.malformed_percent / 100 / 60, [](Device& d) { d.misbehave(); });
  if (m.storm_every_s == 0 || Clock::now() - last_storm_ < std::chrono::seconds(m.storm_every_s))
    return;
  last_storm_ = Clock::now();
  for (auto& d : devices_) d->away(0);
}

std::size_t Site::ever_connected() const {
  return static_cast<std::size_t>(std::count(seen_.begin(), seen_.end(), true));
}

std::size_t Site::connected() const {
  return static_cast<std::size_t>(std::count_if(devices_.begin(), devices_.end(),
                                                [](const auto& d) { return d->connected(); }));
}

std::size_t Site::backlog() const {
  std::size_t all = 0;
  for (const auto& d : devices_) all += d->backlog();
  return all;
}

std::string Site::clock() const {
  const auto minutes = static_cast<unsigned>(std::fmod(now_s_, kDay_s) / 60);
  char text[16];
  std::snprintf(text, sizeof text, "%02u:%02u", minutes / 60 % 24, minutes % 60);
  return text;
}

}  // namespace berth::sim
