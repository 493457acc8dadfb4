// One device's protocol, without a socket or a clock: bytes in, bytes out. MQTT or Park; pool.h
// moves the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::bench {

class Talk {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_connected(bool session_present) = 0;  // let in
    virtual void on_ready() = 0;                          // and subscribed
    virtual void on_message(std::string_view payload) = 0;
    virtual void on_settled(std::uint32_t number) = 0;  // acknowledged for good
  };
  virtual ~Talk() = default;
  virtual void opened() = 0;  // the socket is connected
  // Takes whole packets off `in`. False: the connection is of no use any more.
  virtual bool receive(std::string& in, Listener& to) = 0;
  // `again`: it was said on an earlier connection.
  virtual void publish(std::uint32_t number, std::string_view payload, bool again) = 0;
  virtual void ping() = 0;
  virtual void bye() = 0;
  virtual std::string& out() = 0;
  // Whether it says itself what was not acknowledged on the connection before.
  virtual bool repeats() const = 0;
};

// What a device is: its name, its log-in, and what it does.
struct Role {
  std::string id;
  std::string user, password;
  std::string topic;   // it publishes there; empty: it does not
  std::string filter;  // it subscribes to; empty: it does not
  int qos = 1;
  std::uint16_t keep_alive_s = 300;
  bool clean = true;
};

std::unique_ptr<Talk> mqtt_talk(Role role);  // MQTT 3.1.1
// What it publishes are events, Envelopes; it takes commands, but subscribes to nothing.
std::unique_ptr<Talk> park_talk(const Role& role);

}  // namespace berth::bench
