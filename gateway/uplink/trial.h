// Finds the message for which a platform ends the connection, and which would hold up all others.
//
// After two connections that ended without any acknowledgement messages go one at a time. One that
// ends its connection alone, twice, is the suspect: it waits until another one, the probe, has been
// acknowledged, which shows that the platform works, and is tried again. When it has ended its
// connection twice in this way it is guilty: one restart of the platform at the wrong moment is no
// proof. A probe that ends the connection too shows nothing: another one follows. A probe is of
// another device, so that the order stays. Where no other device has said anything, the next
// message of the suspect's own device is one, when there is one proof already, or after ten
// connections. Behind a guilty one one strike and one proof are enough, until a message in front is
// acknowledged: a device that says one such message may say many.
//
// A message is known by its place, a number that rises. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace berth::gateway::uplink {

class Trial {
 public:
  // So many messages may be unacknowledged.
  std::size_t at_once() const { return at_once_; }
  // The message that is to go alone, before the suspect, which is in front; 0: none.
  std::uint64_t probe() const { return probe_; }
  void acknowledged(std::uint64_t place);
  // A message has expired, or the platform has refused it: it shows nothing.
  void gone(std::uint64_t place);

  struct Loss {  // of a connection
    std::size_t unacknowledged = 0;
    std::uint64_t front = 0;   // the oldest message
    bool front_alone = false;  // no other one was on its way
    // One of another device that may be the probe, the next behind `last`; of 0 the first. 0: there
    // is none.
    std::function<std::uint64_t(std::uint64_t last)> other;
    std::function<std::uint64_t()> same = nullptr;  // the next of its own device; 0: there is none
  };
  // True: the front is guilty, and is to be dropped.
  bool lost(const Loss& l);

 private:
  std::size_t at_once_ = SIZE_MAX;
  int fruitless_ = 0;          // connections in a row that ended without an acknowledgement
  std::uint64_t suspect_ = 0;  // a place; 0: none
  int strikes_ = 0;            // connections that it has ended alone
  std::uint64_t probe_ = 0;
  bool works_ = false;  // the platform has shown it, since the suspect's last strike
  int proofs_ = 0;      // strikes after that
  bool again_ = false;  // one was guilty, and none in front has been acknowledged since
};

}  // namespace berth::gateway::uplink
