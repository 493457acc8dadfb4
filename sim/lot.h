// A parking lot or park to be simulated, as its YAML describes it (config/lots/small.yaml documents
// every key).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace berth::sim {

struct BadLot : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Protocol : std::uint8_t {
  mqtt,  // native: v1/…, an Envelope
  park,
  camera  // a vendor's JSON over MQTT; needs a registry with the product plate-camera
};

struct Address {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string text() const { return host + ":" + std::to_string(port); }
};

struct Lane {
  std::string name;
  bool in = true;
  Protocol protocol = Protocol::park;
};

struct Misbehaviour {
  double offline_percent = 0;       // of devices, at any time; they say later what happened
  std::uint32_t offline_s = 20;     // each time
  double duplicate_percent = 0;     // of events, said twice with the same event_id
  double skewed_percent = 0;        // of devices, whose clock is an hour ahead
  double malformed_percent = 0;     // of devices; once a minute they send nonsense, and are cut off
  std::uint32_t storm_every_s = 0;  // all devices reconnect at once; 0: never
};

struct Lot {
  std::string name = "lot";
  std::string tenant;  // empty: devices are in no registry
  std::string password;
  std::string key;  // of Park devices, base64
  Address mqtt{.host = "127.0.0.1", .port = 1883};
  Address park{.host = "127.0.0.1", .port = 7700};
  double speed = 60;  // simulated seconds a second
  double begins_at_h = 7.5;
  double cars_per_day = 1000;
  std::uint32_t stay_minutes = 90;  // on average
  std::vector<Lane> lanes;
  std::uint32_t spaces = 0;
  std::uint32_t space_gateways = 1;  // devices that speak for the sensors behind them
  Protocol space_protocol = Protocol::park;
  std::uint32_t chargers = 0;
  Protocol charger_protocol = Protocol::park;
  std::uint32_t doors = 0;
  Protocol door_protocol = Protocol::mqtt;
  Misbehaviour misbehaviour;

  // Throws BadLot with the line.
  static Lot load(const std::string& path);
  // What a gateway's registry file needs for all of it.
  std::string registry_yaml() const;
  struct Device {
    std::string name;
    Protocol protocol{};
  };
  std::vector<Device> devices() const;  // lanes, space gateways, chargers, doors
};

}  // namespace berth::sim
