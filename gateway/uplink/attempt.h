// A connection to a platform by one protocol, or what a protocol has in place of one, for as long
// as it works. A Connection (connection.h) makes one after the other.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/uplink/sink.h"

namespace berth::gateway::uplink {

// What an Attempt says.
struct Told {
  enum class What : std::uint8_t {
    connected,     // messages may be published; `number`: how many may be unacknowledged
    opened,        // the same, and whether the platform is there is not known yet
    away,          // not now: the Attempt tries to connect again by itself
    lost,          // this Attempt is over; `number`: ms that the platform asks to wait, or 0
    not_reached,   // the same, and no message is the cause
    acknowledged,  // `number`: a place
    refused,       // the same, and the platform will never take the message
    unrouted,      // the platform has taken a message and has no queue for it
  };
  std::uint64_t attempt = 0;
  What what{};
  std::uint64_t number = 0;
  std::string why;
};

// Between an Attempt's threads and the thread of sinks.
class Hearing {
 public:
  Hearing(boost::asio::io_context& io, std::function<void()> heard);
  // Nothing is called any more.
  void end();
  // Any thread. `heard` is called soon, on the thread of sinks, once for many.
  static void tell(const std::shared_ptr<Hearing>& h, Told t);
  std::vector<Told> take();

 private:
  boost::asio::io_context& io_;
  std::mutex mutex_;
  std::function<void()> heard_;  // empty: ended
  std::vector<Told> told_;
  bool posted_ = false;
};

// An Attempt tells by it, from any thread. What it tells after its end is dropped.
class Teller {
 public:
  Teller(std::shared_ptr<Hearing> hearing, std::uint64_t attempt)
      : hearing_(std::move(hearing)), attempt_(attempt) {}
  void connected(std::size_t window) const { tell(Told::What::connected, window); }
  void opened(std::size_t window) const { tell(Told::What::opened, window); }
  void away(std::string why) const { tell(Told::What::away, 0, std::move(why)); }
  void lost(std::string why, std::chrono::milliseconds wait = {}) const {
    tell(Told::What::lost, static_cast<std::uint64_t>(wait.count()), std::move(why));
  }
  void not_reached(std::string why, std::chrono::milliseconds wait = {}) const {
    tell(Told::What::not_reached, static_cast<std::uint64_t>(wait.count()), std::move(why));
  }
  void acknowledged(std::uint64_t place) const { tell(Told::What::acknowledged, place); }
  void refused(std::uint64_t place, std::string why) const {
    tell(Told::What::refused, place, std::move(why));
  }
  void unrouted() const { tell(Told::What::unrouted, 0); }

 private:
  void tell(Told::What what, std::uint64_t number, std::string why = {}) const {
    Hearing::tell(hearing_, {attempt_, what, number, std::move(why)});
  }
  std::shared_ptr<Hearing> hearing_;
  std::uint64_t attempt_;
};

// On the thread of sinks.
class Attempt {
 public:
  virtual ~Attempt() = default;
  // `m` is good until its place is told to be acknowledged or refused, or the Attempt ends. Throws
  // std::exception: this Attempt is of no use.
  virtual void publish(std::uint64_t place, const Upward& m) = 0;
  // Behind a run of publish().
  virtual void flush() {}
};
// Throws std::exception: as if it was lost.
using Dial = std::function<std::unique_ptr<Attempt>(Teller)>;

}  // namespace berth::gateway::uplink
