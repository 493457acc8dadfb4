// A device's protocol, whichever it is: reports out, commands in. Bytes only; connection.h moves
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "protocol/messages/envelope.pb.h"
#include "sim/lot.h"

namespace berth::sim {

enum class Kind : std::uint8_t { event, telemetry, state, result };

class Speaker {
 public:
  struct Events {
    std::function<void(const std::string& id, const std::string& name, const std::string& payload)>
        command;
    std::function<void(std::uint64_t number)> acked;
    std::function<void(const std::string& why)> refused;
  };
  virtual ~Speaker() = default;
  virtual void opened() = 0;
  virtual void closed() = 0;
  virtual bool receive(base::ByteView bytes) = 0;  // false: close the connection
  virtual std::string& out() = 0;
  virtual bool ready() const = 0;
  virtual std::uint32_t heartbeat_s() const = 0;
  virtual void ping() = 0;
  // Its number, by which `acked` names it; 0: nobody will.
  virtual std::uint64_t report(Kind kind, const v1::Envelope& e) = 0;
  virtual std::size_t unacknowledged() const = 0;
};

std::unique_ptr<Speaker> make_speaker(const Lot& lot, const std::string& device, Protocol protocol,
                                      Speaker::Events events);

}  // namespace berth::sim
