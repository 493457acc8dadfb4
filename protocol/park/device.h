// A device's side of the Park protocol, without a socket or a clock: bytes in, bytes out. What was
// reported and is not acknowledged is kept and said again on the next connection. For tests, the
// simulator, and devices that run C++. One thread.
//
//   Device d({.client_id = "gate-1", .auth_id = "gate-1@acme", .key = key}, handler);
//   d.opened();                     the socket is connected (and its TLS handshake done)
//   d.receive(bytes); send(d.out()) until receive() is false or the socket ends
//   d.closed();                     and again from opened(), after a while (docs/park-protocol.md)
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "protocol/park/frame.h"

namespace berth::protocol::park {

struct DeviceCommand {
  bool desired = false;  // state the device should have; without id, name and time limit
  std::string id;
  std::string name;
  std::string child;
  std::string payload;
  std::uint32_t ttl_ms = 0;       // 0: none
  std::uint64_t deadline_ms = 0;  // by the gateway's clock, 0: none
  std::uint32_t seq = 0;          // 0: nobody waits for received()
  bool again = false;             // may have come before
};

// What a connection ends with, as the gateway says it.
struct DeviceEnd {
  bool planned = false;    // GOAWAY
  std::uint32_t code = 0;  // MQTT 5 reason codes
  std::string text;
  std::string endpoint;
  std::string quota;  // that is used up; empty: none
  std::uint32_t retry_after_ms = 0;
};

class DeviceHandler {
 public:
  virtual ~DeviceHandler() = default;
  virtual void on_welcome(bool /*resumed*/) {}
  virtual void on_command(const DeviceCommand& /*c*/) {}
  virtual void on_acked(std::uint64_t /*number*/) {}
  virtual void on_refused(std::uint64_t /*number*/, std::uint32_t /*code*/,
                          const std::string& /*text*/) {}
  virtual void on_end(const DeviceEnd& /*e*/) {}
  virtual void on_pong(std::int64_t /*server_time_ms*/) {}
};

class Device {
 public:
  struct Options {
    std::string client_id;
    std::string auth_id;
    std::string key;       // the bytes themselves; empty: by password or certificate
    std::string password;  // goes over the wire: with TLS only
    std::string firmware;
    std::optional<std::uint32_t> session_expiry_s;
    std::uint32_t heartbeat_s = 0;
    std::uint32_t max_inflight = 0;
    bool fresh = false;             // on the first connection
    std::size_t kept_max = 10'000;  // reports that wait for an acknowledgement
  };
  Device(Options options, DeviceHandler& handler) : options_(std::move(options)), h_(handler) {}

  void opened();
  bool receive(base::ByteView bytes);  // false: close the connection
  void closed();
  std::string& out() { return out_; }  // the caller takes from its front

  // `type`: event, telemetry, state, result; `envelope`: a serialized Envelope. Its number, by
  // which the handler hears of it; 0: it has none (telemetry without kAckWanted, which is dropped
  // while there is no connection), or kept_max wait already: say it again later.
  std::uint64_t report(FrameType type, std::string envelope, std::uint8_t flags = 0);
  void received(const DeviceCommand& c);
  void ping();
  void bye();

  bool ready() const { return ready_; }
  std::uint32_t heartbeat_s() const { return heartbeat_s_; }
  std::uint64_t session_epoch() const { return epoch_; }
  std::size_t unacknowledged() const { return kept_.size(); }

 private:
  struct Report {
    std::uint64_t number = 0;
    FrameType type{};
    std::uint8_t flags = 0;
    std::string envelope;
  };
  bool on_frame(const Frame& f);
  bool on_greeting(const Frame& f);
  bool on_welcome(const Frame& f);
  bool on_ack(const Frame& f);
  bool on_command(const Frame& f);
  bool on_end(const Frame& f);
  void send_reports();
  void put(FrameType type, std::uint32_t seq, std::string_view payload, std::uint8_t flags = 0);

  Options options_;
  DeviceHandler& h_;
  std::string in_;  // part of a frame
  std::string out_;
  std::string token_;        // WELCOME's
  std::deque<Report> kept_;  // not acknowledged; the first sent_ of them sent on this connection
  std::size_t sent_ = 0;
  std::uint32_t acked_ = 0;  // of this connection: report i has seq acked_ + 1 + its place
  std::uint32_t window_ = 0;
  std::uint32_t heartbeat_s_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint64_t numbers_ = 0;
  std::uint64_t said_before_ = 0;  // reports up to this number may have arrived already
  std::uint8_t crc_ = 0;           // kCrc where it is wanted
  bool greeted_ = false;
  bool ready_ = false;
};

}  // namespace berth::protocol::park
