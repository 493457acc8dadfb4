// The devices of a lot and the platform behind the gateway, each with its connection. What they are
// told to do is the Site's to say (site.h). One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "sim/connection.h"
#include "sim/lot.h"
#include "sim/mqtt_client.h"
#include "sim/speaker.h"
#include "sim/tally.h"

namespace berth::sim {

class Device {
 public:
  Device(boost::asio::io_context& io, const Lot& lot, const Lot::Device& what, Tally& tally,
         ConnectionCounts& counts, std::minstd_rand& random);
  void start() { connection_->start(); }
  void stop() { connection_->stop(); }
  // Fills in what every event has. With the lot's share of misbehaviour. Its id.
  std::string event(v1::Envelope e);
  void telemetry(v1::Envelope e);
  void state(v1::Envelope e);
  void away(std::uint32_t seconds);
  void misbehave() { connection_->garbage(std::string(64, '\xff')); }
  bool connected() const { return speaker_->ready(); }
  std::size_t backlog() const { return speaker_->unacknowledged(); }
  const std::string& name() const { return name_; }

  // A command that has come; it is answered EXECUTED.
  std::function<void(const std::string& name, const std::string& payload)> on_command;

 private:
  void say(Kind kind, v1::Envelope& e);
  void command(const std::string& id, const std::string& command_name, const std::string& payload);

  const Lot& lot_;
  std::string name_;
  Tally& tally_;
  std::minstd_rand& random_;
  std::string ids_;  // of this run's events, begin so: a platform must not take them for old ones
  std::uint64_t events_ = 0;
  bool skewed_ = false;
  std::map<std::uint64_t, std::string> unacked_;  // report's number -> event id
  std::map<std::string, bool> done_;              // commands that have been executed
  std::unique_ptr<Speaker> speaker_;
  std::unique_ptr<Connection> connection_;
};

// A service account: hears every event, and answers each plate with "open".
class Platform {
 public:
  Platform(boost::asio::io_context& io, const Lot& lot, Tally& tally, ConnectionCounts& counts,
           std::minstd_rand& random);
  void start() { connection_->start(); }
  void stop() { connection_->stop(); }
  bool connected() const { return client_->ready(); }
  std::function<void(const std::string& line)> on_news;  // what a person would like to see

 private:
  void heard(std::string_view topic, std::string_view payload);
  void open(std::string_view topic, const std::string& event_id);

  Tally& tally_;
  std::uint64_t commands_ = 0;
  std::string run_;  // begins the ids of this run's commands
  std::unique_ptr<MqttClient> client_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace berth::sim
