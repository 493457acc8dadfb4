// What devices publish, as their platform is to get it: in Envelopes (docs/messages.md). On the
// Broker's thread; must not block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "protocol/messages/envelope.h"
#include "session/scope.h"

namespace berth::session {

class DeviceMessages {
 public:
  enum class What : std::uint8_t {
    as_is,
    replaced,
    json,       // replaced, but it was JSON that is no Envelope: its body is `json`
    raw,        // replaced, but its meaning is not known: its bytes in an Envelope
    swallowed,  // no platform wants it: a vendor's heartbeat
    wait        // its product is not known yet: say it again
  };
  struct Out {
    std::string topic;  // as the device would say it: v1/event/plate
    std::string payload;
    bool json = false;          // else Protobuf: a time beyond the year 9999, say, has no JSON
    const char* why = nullptr;  // a literal: why a command is refused
  };
  virtual ~DeviceMessages() = default;
  // Of a device whose Scope translates(). It may publish to `topic`.
  // `made_id`: its event_id, where the device gives none. The same when an engine says it again.
  virtual What translate(const Scope& who, std::uint64_t session_epoch, base::Instant now,
                         std::string_view made_id, std::string_view topic, std::string_view payload,
                         Out& out) = 0;
  enum class Told : std::uint8_t {
    as_is,
    elsewhere,         // to another device, which carries it out: `out.topic`, as topics are inside
    in_vendors_words,  // `out.topic`, as topics are inside, and `out.payload`
    refused            // `out.why`
  };
  // A command that a service says to `topic`, v1/SITE/DEVICE/[sub/CHILD/]cmd/ID/req/NAME.
  virtual Told command(const Scope& service, base::Instant now, std::string_view topic,
                       std::string_view payload, Out& out) = 0;
  struct Lasts {
    std::uint32_t ttl_ms = 0;      // of a publisher that names no Message Expiry Interval
    std::uint32_t ttl_max_ms = 0;  // more is cut
  };
  // Of a command of this type that is published to a device's topic. `tenant` is empty for who is
  // not registered. Nothing: as long as its publisher says.
  virtual std::optional<Lasts> lasts(std::string_view /*tenant*/, std::string_view /*device*/,
                                     std::string_view /*type*/) {
    return std::nullopt;
  }
  // A topic that a product of the tenant gives its devices, for reports or for a vendor's commands;
  // as services call it.
  virtual bool is_devices_topic(std::string_view /*tenant*/, std::string_view /*topic*/) {
    return false;
  }
  // The same, of commands only: how long one is good for that is published there. Nothing: no
  // product sends commands there.
  virtual std::optional<Lasts> vendors_command(std::string_view /*tenant*/,
                                               std::string_view /*topic*/) {
    return std::nullopt;
  }
  // Somebody looks at what some device says: state() is called for each report.
  bool watched = false;
  // A device's report of its own state (protocol::messages::tells_state()), as an Envelope.
  virtual void state(const Scope&, std::string_view /*envelope*/) {}
  // A device says its firmware where it says who it is.
  virtual void firmware(const Scope&, std::string_view /*version*/) {}
  // Reports are traced: reported() and taken() are called. Set once, before the first message.
  bool traces = false;
  // An Envelope that a device says as such. May append to its bytes. `made_id`: as in translate().
  virtual void reported(const Scope&, std::uint64_t /*session_epoch*/, base::Instant /*now*/,
                        const protocol::messages::EnvelopeView&, std::string_view /*made_id*/,
                        std::string& /*envelope*/) {}
  // What was said in the last call of translate() or reported() has been accepted.
  virtual void taken() {}
  // An Envelope as JSON; false: it can't be.
  virtual bool to_json(std::string_view envelope, std::string& json) = 0;
};

}  // namespace berth::session
